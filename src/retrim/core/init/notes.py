"""What was seen in a table, and what was made of it: the sentences that `retrim init` prints and its record keeps."""

from dataclasses import dataclass
from typing import Any, Literal

Weight = Literal["stop", "warn", "tell"]
"""stop: nothing is written; warn: a person should look; tell: what was found and decided."""


@dataclass(frozen=True)
class Note:
    """One thing seen.

    Args:
        about: Kind of finding, in one word or two, such as `decimal comma`.
        column: Column it is about; empty: the table.
        seen: What was found, with its figure.
        done: What was made of it, or what to do.
        weight: How much it matters.
    """

    about: str
    column: str
    seen: str
    done: str
    weight: Weight = "tell"

    def as_record(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "column": self.column,
            "seen": self.seen,
            "done": self.done,
            "weight": self.weight,
        }

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        return f"{self.about}: {where}{self.seen}; {self.done}"
