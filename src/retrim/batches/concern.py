"""A concern is one line of a batch's verdict. The limits that make a batch broken or suspicious stand here too."""

import re
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from retrim.stats.codec import Unwritten, written
from retrim.stats.plugins import SettingsSection

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
BROKEN_RULE = re.compile(
    r'(?:^|; )(?:(?P<column>[^;"]+): )?the (?:column|file) breaks the rule "resembles earlier batches '
    r'\(\w+: (?P<text>[^"]*)\)"'
)


@dataclass(frozen=True)
class Concern:
    """One thing that is not as it was."""

    verdict: Gravity  # what it makes of the batch
    check: Check  # which check says so
    column: str  # column it is about; empty when it is the whole batch
    text: str  # what was found, with its figures
    beside: Unwritten[str] = ""  # another column that the check is about; empty where there is none

    @written
    def setting(self) -> str:
        """The setting that lets such a batch pass."""
        return f"batches.skip: [{self.column or self.check}]"

    @property
    def rule(self) -> str:
        """The rule that the batch breaks, in a fault."""
        return f"resembles earlier batches ({self.verdict}: {self.text})"


def suspicion_of(faults: str) -> str:
    """The concerns of a suspicious batch, short: its columns and what was found, from the text that landed with it."""
    concerns = [(match["column"], match["text"]) for match in BROKEN_RULE.finditer(faults)]
    return "; ".join(f"{column}: {text}" if column else text for column, text in concerns) or faults


class BatchParams(SettingsSection):
    """How a batch is compared with earlier ones, and which deviation is suspicious."""

    least_rows: int = Field(
        exclude=True,
        default=50,
        ge=10,
        description=(
            "minimum number of rows in a batch for its columns to be inspected; in a smaller batch, shares "
            "are too noisy"
        ),
    )
    least_windows: int = Field(
        exclude=True,
        default=4,
        ge=2,
        description=(
            "minimum number of earlier windows of the batch's length to compare the batch with; fewer "
            "windows do not show the usual range"
        ),
    )
    most_windows: int = Field(
        exclude=True,
        default=60,
        ge=2,
        description=(
            "maximum number of earlier windows to compare a batch with, newest first; this limits the run time "
            "of a verdict"
        ),
    )
    history_rows: int = Field(
        exclude=True,
        default=50000,
        ge=100,
        description=(
            "maximum number of landed rows, newest first, that are read for the earlier windows; this limits the "
            "memory that a verdict needs"
        ),
    )
    novelty: float = Field(
        exclude=True,
        default=2.0,
        gt=1,
        description=(
            "a column is suspicious if it is more than this many times as unusual as it was in its most unusual "
            "earlier window; the benchmark verdicts were measured with the default"
        ),
    )
    piece_mb: float = Field(
        default=128.0,
        gt=0,
        le=512,
        description="maximum unpacked size, in megabytes, of a file that lands as one batch; a larger file "
        "lands in chunks of this size",
    )
    cut_short: float = Field(
        exclude=True,
        default=0.5,
        gt=0,
        lt=1,
        description=(
            "a batch counts as cut short if it covers less than this share of the shortest usual time span; the "
            "benchmark verdicts were measured with the default"
        ),
    )
    skip: tuple[str, ...] | Literal["all"] = Field(
        default=(),
        description=(
            "columns that are not inspected, and batch checks that are left out (rows twice, sent before or cut "
            "short); all: a batch is checked only against data.columns and its suite"
        ),
    )
