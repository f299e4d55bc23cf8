"""Policies tried on history: one loss matrix, and any number of policies read off it without another fit."""
