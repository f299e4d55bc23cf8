"""What is the matter with a batch: one line of its verdict."""

from dataclasses import dataclass
from typing import Any, Literal

Gravity = Literal["drifted", "unsure", "broken"]


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it was.

    Args:
        verdict: What it makes of the batch.
        column: Column it is about; empty when it is the whole batch.
        text: What was found, with its figures.
    """

    verdict: Gravity
    column: str
    text: str

    def as_record(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "column": self.column, "text": self.text}
