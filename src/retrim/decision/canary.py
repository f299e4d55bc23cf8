"""A canary: which rows a version answers in place of the live one, and when its requests end that by themselves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from statistics import median
from typing import Literal

CanaryEnd = Literal["errors", "slow", "worse", "confirmed", "over", "replaced", "stopped"]
FAILURES, FAILED_SHARE = 3, 0.01
"""Requests that it fails and the live version answers, and their share: more than one in a hundred is no accident."""
TIMED = 200
"""Requests whose processor time is compared: enough for a median that one pause does not move."""
FEW_TIMED, HANGS_SECONDS = 20, 0.1
"""So few are enough where the median lies that far above the live version's: every caller waits."""
SLOWER, SLOWER_SECONDS = 2.0, 0.001
"""A canary may take twice the processor time of the live version, and a millisecond more, which no caller notices."""
LARGEST_SHARE = 0.5
"""More than half is a release, which the gate is for."""
STEP_ROWS = 100
"""Rows with a label that a step lasts at least: so few show a fault that matters before more callers meet it."""


@dataclass(frozen=True)
class Canary:
    """A version that answers a share of the requests instead of the live version.

    Args:
        version: Number of the canary version.
        against: The version that was live when the canary began.
        share: Share of the entities, above 0, at most 0.5.
        by: Who started it.
        reason: Why it was started.
        began: When it began, ISO 8601.
        ended: When it ended; None while it goes on. A canary that has ended does not resume.
        outcome: `errors`, `slow`: its requests failed or were slow; `worse`, `confirmed`, `over`: result of its test;
            `replaced`: another version went live; `stopped`: by a person. None while it goes on.
        said: Why it ended, in words; empty while it goes on.
        entity: Column that identifies the entity of a row; empty: the key of the row, which is also used if the column
            has no value.
        steps: Shares that follow, ascending; empty: the share stays.
        promotes: Whether the version goes live where the test confirms it.
        stepped: Rows with a label that the test had when the share was last raised.
    """

    version: int
    against: int
    share: float
    by: str
    reason: str
    began: str
    ended: str | None = None
    outcome: CanaryEnd | None = None
    said: str = ""
    entity: str = ""
    steps: tuple[float, ...] = ()
    promotes: bool = False
    stepped: int = 0

    def holds(self, entity: str) -> bool:
        """Whether the rows of an entity are the canary's: the same answer as long as it goes on, in every server.

        Another canary has others: they follow from its version and its begin.
        """
        digest = sha256(f"{self.version} since {self.began}\0{entity}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") < self.share * 2**64

    def after(self, rows: int) -> "Canary":
        """The canary with its next share where the test has gone on for `STEP_ROWS` more of `rows` labelled rows."""
        if not self.steps or rows < self.stepped + STEP_ROWS:
            return self
        return replace(self, share=self.steps[0], steps=self.steps[1:], stepped=rows)


def judge_failures(failed: int, answered: int) -> str | None:
    """Why a canary ends by its failures; None: it goes on."""
    if failed < FAILURES or failed <= FAILED_SHARE * (failed + answered):
        return None
    return f"it failed {failed} of {failed + answered} requests that the live version answered"


def judge_seconds(seconds: Sequence[float], live: Sequence[float]) -> str | None:
    """Why a canary ends by its times; None: it goes on.

    Args:
        seconds: Processor time of its newest answers, at most `TIMED`.
    """
    if len(seconds) < FEW_TIMED:
        return None
    took, usual = median(seconds), median(live)
    allowed = max(SLOWER * usual, usual + (SLOWER_SECONDS if len(seconds) >= TIMED else HANGS_SECONDS))
    if took <= allowed:
        return None
    return (
        f"it took {took * 1000:.1f} ms of processor time, the live version {usual * 1000:.1f} ms, in the median of "
        f"{len(seconds)} requests"
    )
