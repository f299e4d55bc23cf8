"""Probation: a new champion beside the one before, on rows that neither has seen, until one of them has shown more."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retrim.core.anytime import NO_SUMS, Sums, log_evidence, lower_bound
from retrim.core.section import Section
from retrim.core.triggers import Decision

Outcome = Literal["going on", "worse", "confirmed", "over", "replaced"]
MOST = 700.0  # e to more than this is no number


class ProbationParams(Section):
    """How long a promotion is watched, and what ends that."""

    checks: int = Field(ge=0, description="checks for which a new champion is on probation, at most; 0: not at all")
    block_share: float = Field(gt=0, le=1, description="rows whose loss is averaged, as a share of a usual check")
    alpha_rollback: float = Field(gt=0, lt=0.5, description="chance of ever rolling back one that is no worse, at most")
    alpha_confirm: float = Field(gt=0, lt=0.5, description="chance of ever confirming one worse by the effect, at most")
    min_effect: float = Field(gt=0, description="share of the previous champion's loss from which on worse counts")

    def block_rows(self, usual_rows: int) -> int:
        """Rows of a block, where a usual check has so many."""
        return max(round(self.block_share * usual_rows), 1)


@dataclass(frozen=True)
class Watch:
    """A probation: all that is kept of the rows it has seen.

    Args:
        version: On probation.
        against: The champion before it.
        checks: Checks that had rows for it.
        rows: Rows so far.
        new: Sum of the new champion's losses.
        previous: Sum of those of the one before.
        worse: Sums of new minus previous, by block.
        fine: Sums of (1 + min_effect) times previous minus new, by block.
        waiting: Rows that do not fill a block yet: how many, their summed losses, new and previous.
    """

    version: int
    against: int
    checks: int
    rows: int
    new: float
    previous: float
    worse: Sums
    fine: Sums
    waiting: tuple[int, float, float]

    @classmethod
    def begin(cls, version: int, against: int) -> "Watch":
        return cls(version, against, 0, 0, 0.0, 0.0, NO_SUMS, NO_SUMS, (0, 0.0, 0.0))

    def after(self, new: np.ndarray, previous: np.ndarray, params: ProbationParams, *, block_rows: int) -> "Watch":
        """The probation after a check's rows.

        Args:
            new: Losses of the new champion, in order of time, shape (n,).
            previous: Those of the one before, on the same rows.
            params: Its section.
            block_rows: Rows of a block; one may be begun at a check and filled at the next.
        """
        worse, fine = self.worse, self.fine
        held, held_new, held_previous = self.waiting
        start = 0
        while start < len(new):
            end = min(start + block_rows - held, len(new))
            held += end - start
            held_new += float(new[start:end].sum())
            held_previous += float(previous[start:end].sum())
            start = end
            if held >= block_rows:
                worse = worse.plus((held_new - held_previous) / held)
                fine = fine.plus(((1 + params.min_effect) * held_previous - held_new) / held)
                held, held_new, held_previous = 0, 0.0, 0.0
        return replace(
            self,
            checks=self.checks + 1,
            rows=self.rows + len(new),
            new=self.new + float(new.sum()),
            previous=self.previous + float(previous.sum()),
            worse=worse,
            fine=fine,
            waiting=(held, held_new, held_previous),
        )

    def judge(self, params: ProbationParams) -> "Judged":
        """What the rows so far say; asked after every check, as often as one likes.

        Rolled back is only what is worse by the minimum effect in the mean, too: a rollback has its own price.
        """
        worse, fine = log_evidence(self.worse, above=0.0), log_evidence(self.fine, above=0.0)
        effect = self.worse.mean / (self.previous / self.rows) if self.previous > 0 else 0.0
        outcome: Outcome = "going on"
        if worse >= -np.log(params.alpha_rollback) and effect >= params.min_effect:
            outcome = "worse"
        elif fine >= -np.log(params.alpha_confirm):
            outcome = "confirmed"
        elif self.checks >= params.checks:
            outcome = "over"
        margin = lower_bound(self.worse, alpha=params.alpha_rollback)
        return Judged(outcome, effect, float(np.exp(min(worse, MOST))), float(np.exp(min(fine, MOST))), margin)

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "against": self.against,
            "checks": self.checks,
            "rows": self.rows,
            "new": self.new,
            "previous": self.previous,
            "worse": self.worse.as_record(),
            "fine": self.fine.as_record(),
            "waiting": list(self.waiting),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Watch":
        held, new, previous = record["waiting"]
        return cls(
            **{name: record[name] for name in ("version", "against", "checks", "rows", "new", "previous")},
            worse=Sums(**record["worse"]),
            fine=Sums(**record["fine"]),
            waiting=(held, new, previous),
        )


@dataclass(frozen=True)
class Judged:
    """What a probation has come to.

    Args:
        outcome: `going on`; `worse`; `confirmed`; `over`: the longest length passed with neither; `replaced`: something
            else went live meanwhile.
        effect: Mean of new minus previous in whole blocks, as a share of the previous champion's loss.
        worse: Evidence that the new one is worse: how many times as likely as with no difference.
        fine: Evidence that it is not worse by the minimum effect.
        margin: What the mean of new minus previous lies above, whenever one looks; minus infinity at first.
    """

    outcome: Outcome
    effect: float
    worse: float
    fine: float
    margin: float

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "effect": self.effect,
            "evidence_worse": self.worse,
            "evidence_fine": self.fine,
            "margin": None if np.isinf(self.margin) else self.margin,
        }


def in_words(watch: Watch, judged: Judged, params: ProbationParams) -> str:
    """A sentence with the figures."""
    who = f"version {watch.version} against {watch.against}, the champion before"
    if not watch.rows:
        return f"{who}: no row that neither has seen yet"
    seen = (
        f"{who}: loss {watch.new / watch.rows:.4g} against {watch.previous / watch.rows:.4g} on {watch.rows} rows in "
        f"{watch.checks} check{'' if watch.checks == 1 else 's'}, {judged.effect:+.1%} in {watch.worse.count} blocks"
    )
    evidence = (
        f"evidence {judged.worse:.3g} of {1 / params.alpha_rollback:.3g} needed that it is worse, "
        f"{judged.fine:.3g} of {1 / params.alpha_confirm:.3g} that it is not worse by {params.min_effect:.1%}"
    )
    return f"{seen}; {evidence}"


def roll_back_instead(decision: Decision, judged: Judged, *, against: int, said: str, manual: bool) -> Decision:
    """The decision to roll back where the probation says so, whatever else was decided: no run starts in that check.

    A retraining would be judged against a champion that has just been found worse than the one before; with that back,
    the next check decides anew.

    Args:
        decision: What the rules, and the former champions, decided.
        judged: The probation.
        against: The champion before, which goes live again.
        said: The probation in words.
        manual: Whether everything is a person's.
    """
    if judged.outcome != "worse":
        return decision
    change = "a probation with less evidence that the new champion is worse"
    if manual:
        reason = f"worse on probation: {said}; but manual is set: `retrim rollback --to {against} --reason ...`"
        return replace(decision, outcome="held", reason=reason, change=change, fired=())
    return replace(decision, outcome="rollback", reason=f"worse on probation: {said}", change=change, fired=())
