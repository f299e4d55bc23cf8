"""Flows: when, whether, retries, limits, who is told. All work is done by the use cases they call."""

from retrim.files import collect_seldom

collect_seldom()  # a worker starts a process for each flow run
