"""What is the matter with a batch: one line of its verdict."""

from dataclasses import dataclass
from typing import Any, Literal

Gravity = Literal["drifted", "suspicious", "broken"]
GRAVER: tuple[Gravity, ...] = ("drifted", "suspicious", "broken")
Check = Literal[
    "values missing",
    "constant",
    "categories",
    "spelling",
    "clock",
    "unit",
    "sign",
    "swap",
    "frequent value",
    "spread",
    "pair",
    "novelty",
    "rows twice",
    "sent before",
    "cut short",
]
WHOLE: tuple[Check, ...] = ("rows twice", "sent before", "cut short")
"""Checks of a batch as a whole; all others are of a column."""


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it was.

    Args:
        verdict: What it makes of the batch.
        check: Which check says so.
        column: Column it is about; empty when it is the whole batch.
        text: What was found, with its figures.
        beside: Another column that the check is about; empty where there is none.
    """

    verdict: Gravity
    check: Check
    column: str
    text: str
    beside: str = ""

    @property
    def setting(self) -> str:
        """The setting that lets such a batch pass."""
        return f"batches.skip: [{self.column or self.check}]"

    def as_record(self) -> dict[str, Any]:
        named = {"verdict": self.verdict, "check": self.check, "column": self.column, "text": self.text}
        return {**named, "setting": self.setting}
