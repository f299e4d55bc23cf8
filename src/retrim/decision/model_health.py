"""What is wrong with a live model, as the newest check measured it: for status, alerts, the page and monitoring."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from retrim.decision.check_record import CheckRecord
from retrim.decision.check_verdict import naming

TWICE = 2.0  # times the expected loss from which a loss above its band is critical
LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE, SEGMENT_WORSE = "loss_above_expected", "worse_than_naive", "segment_worse"
SUSPICIOUS_BATCH, HOLDS_WITHDRAWN = "suspicious_batch", "holds_withdrawn_batch"
KINDS = (LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE, SEGMENT_WORSE, SUSPICIOUS_BATCH, HOLDS_WITHDRAWN)
"""Kinds that a person can acknowledge."""


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


def find_model_faults(record: CheckRecord) -> tuple[HealthFinding, ...]:
    """What the comparison of a check says is wrong with the live model, the gravest first."""
    return tuple(sorted(_faults(record), key=lambda finding: -finding.level.exit_code))


def _faults(record: CheckRecord) -> Iterator[HealthFinding]:
    comparison, verdict = record.performance.comparison, record.verdict
    if comparison is None or verdict is None:
        return
    text = " ".join(part for part in (verdict.loss, verdict.cause, verdict.would_help) if part)
    do = verdict.do or "retrim why"
    if comparison.above_expected:
        is_twice = not comparison.estimated and (comparison.times_expected or 0.0) >= TWICE
        yield HealthFinding(HealthLevel.CRITICAL if is_twice else HealthLevel.WARNING, LOSS_ABOVE_EXPECTED, text, do)
    if comparison.worse_than is not None:
        yield HealthFinding(HealthLevel.CRITICAL, WORSE_THAN_NAIVE, text, do)
    segment = comparison.worse_slice
    is_whole_bad = comparison.is_too_high
    if segment is not None and segment.other is not None and not is_whole_bad:
        text = (
            f"Where {segment.column} is {segment.name} ({segment.rows} rows), the model has {segment.loss:.3g} and the "
            f"naive {naming(comparison.best_naive)} {segment.other:.3g}."
        )
        yield HealthFinding(HealthLevel.WARNING, SEGMENT_WORSE, text, "retrim why")


def find_standing_faults(checks: Iterable[CheckRecord]) -> tuple[HealthFinding, ...]:
    """What is wrong with a model by its checks: what the newest one that measured its loss said still stands.

    A check without enough new labels neither finds nor clears anything; an estimate above what was expected is added.
    """
    newest: CheckRecord | None = None
    for record in checks:
        newest = newest or (record if record.performance.comparison is not None else None)
        if record.performance.comparison is not None and not record.performance.comparison.estimated:
            measured = find_model_faults(record)
            estimated = () if newest is None or newest is record else find_model_faults(newest)
            known = {finding.kind for finding in measured}
            return (*measured, *(finding for finding in estimated if finding.kind not in known))
    return () if newest is None else find_model_faults(newest)


@dataclass(frozen=True)
class HealthNews:
    """What a check has to tell: what is new or graver, and what is over.

    Args:
        raised: Findings of kinds that nobody was told of at this level.
        cleared: Kinds that people were told of, and that are over.
    """

    raised: tuple[HealthFinding, ...]
    cleared: tuple[str, ...]


def find_news(
    before: Sequence[HealthFinding],
    now: Sequence[HealthFinding],
    *,
    muted_before: Collection[str] = (),
    muted_now: Collection[str] = (),
) -> HealthNews:
    """What changed from one check to the next: each kind is told once when it begins, and once when it is over."""
    levels = {finding.kind: finding.level.exit_code for finding in before if finding.kind not in muted_before}
    raised = tuple(
        finding
        for finding in now
        if finding.kind not in muted_now and finding.level.exit_code > levels.get(finding.kind, 0)
    )
    standing = {finding.kind for finding in now}
    is_whole_bad = bool(standing & {LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE})
    over = [kind for kind in levels if kind not in standing and kind not in muted_now]
    return HealthNews(raised, tuple(kind for kind in over if kind != SEGMENT_WORSE or not is_whole_bad))
