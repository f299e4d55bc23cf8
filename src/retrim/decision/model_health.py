"""What is wrong with a live model, as the newest check measured it: for status, alerts, the page and monitoring."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from retrim.decision.check_record import CheckRecord
from retrim.decision.check_verdict import naming

TWICE = 2.0  # times the expected loss from which a loss above its band is critical


class HealthLevel(StrEnum):
    """How things are, in the order of the exit codes of a Nagios plug-in."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        return list(HealthLevel).index(self)


@dataclass(frozen=True)
class HealthFinding:
    """Something that is wrong.

    Args:
        level: How grave it is.
        kind: What it is, a word that stays the same between releases.
        text: What it is, in a sentence.
        do: What answers it.
    """

    level: HealthLevel
    kind: str
    text: str
    do: str


LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE, SEGMENT_WORSE = "loss_above_expected", "worse_than_naive", "segment_worse"
SUSPICIOUS_BATCH, HOLDS_WITHDRAWN = "suspicious_batch", "holds_withdrawn_batch"
KINDS = (LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE, SEGMENT_WORSE, SUSPICIOUS_BATCH, HOLDS_WITHDRAWN)
"""Kinds that a person can acknowledge."""


def find_model_faults(record: CheckRecord) -> tuple[HealthFinding, ...]:
    """What the comparison of a check says is wrong with the live model, the gravest first."""
    found = sorted(_faults(record), key=lambda finding: -finding.level.exit_code)
    return tuple(found)


def _faults(record: CheckRecord) -> Iterator[HealthFinding]:
    comparison, verdict = record.comparison, record.verdict
    if comparison is None or verdict is None:
        return
    told = " ".join(part for part in (verdict.loss, verdict.cause, verdict.would_help) if part)
    do = verdict.do or "retrim why"
    if comparison.above_expected:
        is_twice = not comparison.estimated and (comparison.times_expected or 0.0) >= TWICE
        yield HealthFinding(HealthLevel.CRITICAL if is_twice else HealthLevel.WARNING, LOSS_ABOVE_EXPECTED, told, do)
    if comparison.worse_than is not None:
        yield HealthFinding(HealthLevel.CRITICAL, WORSE_THAN_NAIVE, told, do)
    segment = comparison.worse_slice
    is_whole_bad = comparison.above_expected or comparison.worse_than is not None
    if segment is not None and segment.other is not None and not is_whole_bad:
        text = (
            f"Where {segment.column} is {segment.name} ({segment.rows} rows), the model has {segment.loss:.3g} and the "
            f"naive {naming(comparison.best_naive)} {segment.other:.3g}."
        )
        yield HealthFinding(HealthLevel.WARNING, SEGMENT_WORSE, text, "retrim why")


@dataclass(frozen=True)
class HealthNews:
    """What a check has to tell: what is new or graver, and what is over.

    Args:
        raised: Findings of kinds that the check before did not have at this level.
        cleared: Kinds that the check before had, and this one has not.
    """

    raised: tuple[HealthFinding, ...]
    cleared: tuple[str, ...]


def find_news(before: Sequence[HealthFinding], now: Sequence[HealthFinding]) -> HealthNews:
    """What changed from one check to the next: each kind is told once when it begins, and once when it is over."""
    levels = {finding.kind: finding.level.exit_code for finding in before}
    raised = tuple(finding for finding in now if finding.level.exit_code > levels.get(finding.kind, 0))
    return HealthNews(raised, tuple(kind for kind in levels if kind not in {finding.kind for finding in now}))
