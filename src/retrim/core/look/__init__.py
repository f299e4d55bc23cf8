"""A look at a table for a person: what is in it, what is odd about it, what to do about that."""

from retrim.core.look.table import LookTable
from retrim.core.look.whole import Look, look_at

__all__ = ["Look", "LookTable", "look_at"]
