"""Fairness: error rates by declared groups, what a model owes to each, and columns that no model may see."""
