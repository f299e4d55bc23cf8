"""Keeps a tabular model right while the world moves."""

__version__ = "0.1.0"
