"""The gate's records: a check, and the verdict that all of them make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Check:
    """One line of a verdict: the figure, what it is held against, and a sentence.

    Args:
        name: What is looked at, such as `gain`.
        passed: Whether the challenger may be promoted as far as this goes.
        figure: What was found.
        threshold: What it is held against; None where it is reported only, and always passes.
        text: The sentence for a person.
        interval: Where the figure's true value lies, low and high, each with the check's own one-sided confidence;
            None where nothing is estimated, or too few rows tell.
    """

    name: str
    passed: bool
    figure: float
    threshold: float | None
    text: str
    interval: tuple[float, float] | None

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "passed": self.passed,
            "figure": self.figure,
            "threshold": self.threshold,
            "interval": None if self.interval is None else list(self.interval),
            "text": self.text,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Check":
        """The line that `as_record` wrote."""
        interval = record["interval"]
        return cls(**{**record, "interval": None if interval is None else (interval[0], interval[1])})


def mark_of(check: Mapping[str, Any]) -> str:
    """How a stored check came out: `passed`, `failed`, or `reported` where it is held against nothing."""
    if not check["passed"]:
        return "failed"
    return "reported" if check["threshold"] is None else "passed"


@dataclass(frozen=True)
class Verdict:
    """The gate's answer, with every check it made.

    Args:
        winner: The challenger with the least loss on the judging rows.
        checks: All of them; every check runs, also after one has failed.
        losses: Mean loss on the judging rows: challengers, baselines, and `champion` where there is one.
        rows: Judging rows.
        corrected_gain: The winner's gain over the champion without the luck that made it the best of several; None
            before the first version, and where too few rows tell.
    """

    winner: str
    checks: tuple[Check, ...]
    losses: dict[str, float]
    rows: int
    corrected_gain: float | None

    @property
    def promote(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """What decided, in a sentence: every check that failed, else the gain over the champion or the floor."""
        failed = [check.text for check in self.checks if not check.passed]
        if failed:
            return "; ".join(failed)
        weightiest = min(self.checks, key=lambda check: (check.name != "gain", not check.name.startswith("floor")))
        return f"all {len(self.checks)} checks passed; {weightiest.text}"

    def with_checks(self, checks: Sequence[Check]) -> "Verdict":
        """The same verdict with more checks at its end; it promotes if these pass too."""
        return replace(self, checks=(*self.checks, *checks))

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "winner": self.winner,
            "promote": self.promote,
            "reason": self.reason,
            "checks": [check.as_record() for check in self.checks],
            "losses": self.losses,
            "rows": self.rows,
            "corrected_gain": self.corrected_gain,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Verdict":
        """The verdict that `as_record` wrote."""
        checks = tuple(Check.from_record(each) for each in record["checks"])
        return cls(record["winner"], checks, record["losses"], record["rows"], record["corrected_gain"])
