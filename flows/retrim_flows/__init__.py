"""Flows: when, whether, retries, limits, who is told. All work is done by the use cases they call."""
