"""Use cases with effects: what the command line and the flows call. Time is passed in, adapters too."""
