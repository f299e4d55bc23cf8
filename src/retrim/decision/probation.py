"""Probation: a new champion beside the one before on rows new to both, until the evidence is enough."""

from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np
from pydantic import Field

from retrim.decision.rules import Decision
from retrim.gate.losses import share, share_in_words
from retrim.stats.anytime import RunningSums, log_evidence, lower_bound
from retrim.stats.codec import Moment
from retrim.stats.plugins import SettingsSection

Outcome = Literal["going on", "worse", "confirmed", "over", "replaced"]
MOST = 700.0  # e to more than this is not a number


class ProbationParams(SettingsSection):
    """How long a new champion is on probation, and what ends the probation."""

    checks: int = Field(
        default=26, ge=0, description="maximum number of checks on probation for a new champion; 0: no probation"
    )
    acts: bool = Field(
        default=False,
        description="whether a version that is worse on probation is rolled back without a person; else an alert "
        "proposes it: seasonal models that were equal were rolled back in 16% to 27% of years",
    )
    block_share: float = Field(
        exclude=True,
        default=0.5,
        gt=0,
        le=1,
        description=(
            "size of the blocks over which the loss is averaged, as a share of the rows of a usual check; "
            "blocks are needed because the errors of neighbouring rows are correlated"
        ),
    )
    alpha_rollback: float = Field(
        exclude=True,
        default=0.05,
        gt=0,
        lt=0.5,
        description="highest probability of rolling back a version that is not worse, over the whole probation",
    )
    alpha_confirm: float = Field(
        exclude=True,
        default=0.05,
        gt=0,
        lt=0.5,
        description="highest probability of confirming a version that is worse by min_effect, over the whole probation",
    )
    min_effect: float = Field(
        exclude=True,
        default=0.02,
        gt=0,
        description=(
            "smallest increase in loss that counts as worse, as a share of the previous champion's loss; the "
            "benchmark error rates were measured with the default"
        ),
    )

    def block_rows(self, rows_per_check: int) -> int:
        """Rows of a block, where a usual check has that many."""
        return max(round(self.block_share * rows_per_check), 1)


@dataclass(frozen=True)
class ProbationState:
    """Stored state of a probation: sums over the rows seen so far.

    Args:
        version: The version on probation.
        against: The champion before it.
        checks: Checks that brought rows for the probation.
        rows: Rows so far.
        new: Sum of the new champion's losses.
        previous: Sum of the previous champion's losses.
        worse: Sums over the blocks' values of new minus previous loss.
        fine: Sums over the blocks' values of (1 + min_effect) times previous loss, minus new loss.
        waiting: Rows that do not fill a block yet: their number, and the sums of the new and the previous champion's
            losses.
    """

    version: int
    against: int
    checks: int
    rows: int
    new: float
    previous: float
    worse: RunningSums
    fine: RunningSums
    waiting: tuple[int, float, float]

    @classmethod
    def begin(cls, version: int, against: int) -> "ProbationState":
        return cls(version, against, 0, 0, 0.0, 0.0, RunningSums.empty(), RunningSums.empty(), (0, 0.0, 0.0))

    def after(
        self, new: np.ndarray, previous: np.ndarray, params: ProbationParams, *, block_rows: int
    ) -> "ProbationState":
        """The probation after a check's rows.

        Args:
            new: Losses of the new champion, in order of time, shape (n,).
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

    def judge(self, params: ProbationParams) -> "ProbationVerdict":
        """What the rows so far say; asked after every check, as often as one likes.

        Rolled back is only what is worse by the minimum effect in the mean, too: a rollback has a cost of its own.
        """
        worse, fine = log_evidence(self.worse, above=0.0), log_evidence(self.fine, above=0.0)
        effect = share(self.worse.mean, self.previous / max(self.rows, 1))
        outcome: Outcome = "going on"
        if worse >= -np.log(params.alpha_rollback) and effect >= params.min_effect:
            outcome = "worse"
        elif fine >= -np.log(params.alpha_confirm):
            outcome = "confirmed"
        elif self.checks >= params.checks:
            outcome = "over"
        margin = lower_bound(self.worse, alpha=params.alpha_rollback)
        return ProbationVerdict(
            outcome,
            effect,
            float(np.exp(min(worse, MOST))),
            float(np.exp(min(fine, MOST))),
            None if np.isinf(margin) else margin,
        )


@dataclass(frozen=True)
class ProbationVerdict:
    """State of a probation.

    Args:
        outcome: `going on`; `worse`; `confirmed`; `over`: the longest duration passed without either; `replaced`:
            another version went live meanwhile.
        effect: Mean over whole blocks of the new champion's loss minus the previous champion's, as a share of the
            previous champion's loss; the largest number if that loss is 0 and the new one is not.
        evidence_worse: Evidence that the new champion is worse: how many times more likely the losses are than without
            a difference.
        evidence_fine: Evidence that it is not worse by the minimum effect, on the same scale.
        margin: Lower bound of the new champion's mean loss minus the previous champion's, over whole blocks, which
            holds at every check; None if there is no bound yet.
    """

    outcome: Outcome
    effect: float
    evidence_worse: float
    evidence_fine: float
    margin: float | None


@dataclass(frozen=True)
class ProbationFacts(ProbationVerdict):
    """A probation, as `retrim` prints it.

    Args:
        release: Number of the release in the release log that began the probation.
        version: The version on probation.
        against: The champion before it.
        said: The state, in words.
        until: Time up to which rows are included.
        ended: When it ended; None while it goes on.
        loss: Name of the loss.
    """

    release: int
    version: int
    against: int
    said: str
    until: Moment
    ended: Moment | None
    loss: str


@dataclass(frozen=True)
class ProbationNow(ProbationFacts):
    """Probation of the live version.

    Args:
        checks: Checks that brought rows for the probation.
    """

    checks: int


@dataclass(frozen=True)
class ProbationCheck(ProbationFacts):
    """A probation as of a check.

    Args:
        watch: Stored sums of the probation, including the rows of this check.
    """

    watch: ProbationState

    @property
    def facts(self) -> ProbationFacts:
        """All but what it has seen."""
        return ProbationFacts(**{column.name: getattr(self, column.name) for column in fields(ProbationFacts)})

    @property
    def now(self) -> ProbationNow:
        """As far as people ask of what is live."""
        return ProbationNow(**vars(self.facts), checks=self.watch.checks)


def in_words(
    watch: ProbationState, judged: ProbationVerdict, params: ProbationParams, *, role: str | None = None
) -> str:
    """A sentence with the figures; of a probation, or of what was answered as shadow or canary."""
    who = f"version {watch.version} against {watch.against}{', the previous champion' if role is None else ''}"
    if not watch.rows:
        return f"{who}: no rows yet {'that are new to both' if role is None else 'whose label has arrived'}"
    shown = share_in_words(judged.effect)
    seen = (
        f"{who}: loss {watch.new / watch.rows:.4g} against {watch.previous / watch.rows:.4g} on {watch.rows} rows in "
        f"{watch.checks} check{'' if watch.checks == 1 else 's'}, {shown} in {watch.worse.count} blocks"
    )
    evidence = (
        f"evidence that it is worse: {judged.evidence_worse:.3g} of {1 / params.alpha_rollback:.3g} needed, that it is "
        f"not worse by {params.min_effect:.1%}: {judged.evidence_fine:.3g} of {1 / params.alpha_confirm:.3g}"
    )
    return f"{seen}; {evidence}"


@dataclass(frozen=True)
class ServedBeside(ProbationVerdict):
    """Comparison of two versions that answered requests, on the rows whose labels have arrived.

    Args:
        role: `shadow`: both versions answered the same requests, and only one was returned; `canary`: each answered its
            share of the rows.
        version: The newer version.
        against: The older version.
        rows: Rows of the newer version that were compared.
        said: The state, in words.
    """

    role: Literal["shadow", "canary"]
    version: int
    against: int
    rows: int
    said: str


def compare_beside(
    new: np.ndarray,
    previous: np.ndarray,
    params: ProbationParams,
    *,
    role: Literal["shadow", "canary"],
    version: int,
    against: int,
    rows_per_check: int,
) -> ServedBeside:
    """The test of a probation on answers: after each block, until one of the two has shown more or enough rows passed.

    Asked again with more rows at the end it never takes back what it has found.

    Args:
        new: Losses of the newer version in the order in which labels came, shape (n,).
        previous: Those of the older one beside them, shape (n,).
    """
    if not params.checks:  # probations are off; answers are compared anyway
        params = params.model_copy(update={"checks": ProbationParams().checks})
    watch, block_rows = ProbationState.begin(version, against), params.block_rows(rows_per_check)
    judged = watch.judge(params)
    for start in range(0, len(new), block_rows):
        if judged.outcome != "going on":
            break
        part = slice(start, start + block_rows)
        watch = watch.after(new[part], previous[part], params, block_rows=block_rows)
        watch = replace(watch, checks=watch.rows // rows_per_check)
        judged = watch.judge(params)
    text = in_words(watch, judged, params, role=role)
    return ServedBeside(**vars(judged), role=role, version=version, against=against, rows=watch.rows, said=text)


def blocks_side_by_side(is_new: np.ndarray, losses: np.ndarray, *, block_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Losses of rows that one of two versions answered, as pairs: beside each of one the mean of the other's.

    That mean is of the rows that came while the newer version's block of `block_rows` rows was filled. A block without
    such a row is left out.

    Args:
        is_new: Whose rows, in the order in which labels came, shape (n,).
        losses: Of whichever version answered, shape (n,).
        block_rows: Rows of a block of the newer version.

    Returns:
        Losses of the newer version's rows and those means, shape (k,) each.
    """
    before = np.cumsum(is_new) - is_new
    block = before // block_rows
    rows = np.bincount(block[~is_new], minlength=int(block.max(initial=0)) + 1)
    sums = np.bincount(block[~is_new], weights=losses[~is_new], minlength=len(rows))
    blocks = block[is_new]
    there = rows[blocks] > 0
    return losses[is_new][there], (sums[blocks] / np.maximum(rows[blocks], 1))[there]


def roll_back_instead(decision: Decision, judged: ProbationVerdict, *, text: str) -> Decision:
    """The decision to roll back where the probation says so, whatever else was decided: no run starts in that check.

    A retraining would be judged against a champion that has just been found worse than the one before; with that back,
    the next check decides anew.
    """
    if judged.outcome != "worse":
        return decision
    change = "less evidence from the probation that the new champion is worse"
    return replace(decision, outcome="rollback", reason=f"worse on probation: {text}", change=change, fired=())
