"""Batches: whether one that keeps the contract is what it looks like, held against those that came before."""

from retrim.core.batches.concern import Concern
from retrim.core.batches.params import BatchParams
from retrim.core.batches.verdict import BatchVerdict, History, Kind, look_at

__all__ = ["BatchParams", "BatchVerdict", "Concern", "History", "Kind", "look_at"]
