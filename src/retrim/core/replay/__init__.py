"""A replay beside history: the same moments decided under other settings, what that cost, and why it differs."""
