"""A concern is one line of a batch's verdict. The section `batches` of params.yaml stands here too."""

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
    """What of a batch is compared with earlier ones."""

    skip: tuple[str, ...] | Literal["all"] = Field(
        default=(),
        description=(
            "columns that are not inspected, and batch checks that are left out (rows twice, sent before or cut "
            "short); all: a batch is checked only against data.columns and its suite"
        ),
    )
