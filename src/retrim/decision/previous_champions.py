"""Previous champions on the newest rows: a regime that returns may have its old model back, at no training cost."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from retrim.decision.rules import Decision
from retrim.gate.losses import judge
from retrim.gate.verdict import GateParams, Verdict
from retrim.stats.codec import written


@dataclass(frozen=True)
class PreviousChampions:
    """Previous champions beside the live one, on rows that none of them has seen.

    Args:
        rows: Rows judged.
        champion_loss: The live version's mean loss on them.
        losses: That of each previous champion, by version.
        verdict: The gate's, with the best of them as the challenger.
        rests_on: Digest of the rows, versions and settings behind it; empty while nobody noted it.
    """

    rows: int
    champion_loss: float
    losses: Mapping[int, float]
    verdict: Verdict
    rests_on: str = ""

    @written
    def best(self) -> int:
        """The previous champion with the least loss."""
        return min(sorted(self.losses), key=lambda version: self.losses[version])


def judge_previous_champions(
    losses: Mapping[int, np.ndarray], champion: np.ndarray, gate: GateParams, *, draws: int, block_rows: int
) -> PreviousChampions | None:
    """Previous champions through the gate, as challengers of the live version; None where there is none.

    Args:
        losses: Loss of each judged row, in time order, of each previous champion.
        champion: The same of the live version.
        gate: Thresholds. The naive floors are left out: each of them has passed those once.
        draws: Bootstrap draws.
        block_rows: Rows of a block.
    """
    if not losses or not len(champion):
        return None
    named = {str(version): each for version, each in losses.items()}
    verdict = judge(named, champion, {}, gate, draws=draws, block_rows=block_rows, uses=0.0)
    means = {version: float(each.mean()) for version, each in losses.items()}
    return PreviousChampions(len(champion), float(champion.mean()), means, verdict)


def restore_instead(
    decision: Decision,
    previous_champions: PreviousChampions | None,
    *,
    probe_loss: float | None,
    led_before: bool,
    checks_since_release: int | None,
    cooldown_checks: int,
    manual: bool,
) -> Decision:
    """The decision to promote a previous champion again, where that is better than what was decided; else what was.

    It has to pass the gate, to have led at the check before too, and to lose less than a
    refit would where one is decided on. A cooldown after each release keeps two models from taking turns.

    Args:
        decision: What the rules decided: `none` or `retrain`; a hold is a person's.
        previous_champions: As judged; None where there are none.
        probe_loss: What a refit lost on this check's rows; None where nobody knows.
        led_before: Whether the best of them had less loss than the live version at the check before.
        checks_since_release: Checks since something went live, this one counted; None if nothing ever did.
        cooldown_checks: As for retrainings.
        manual: Whether everything is a person's.
    """
    if (
        previous_champions is None
        or not previous_champions.verdict.promote
        or not led_before
        or decision.outcome == "held"
    ):
        return decision
    if checks_since_release is not None and checks_since_release <= cooldown_checks:
        return decision
    if (
        decision.outcome == "retrain"
        and probe_loss is not None
        and probe_loss < previous_champions.losses[previous_champions.best]
    ):
        return decision
    text = (
        f"version {previous_champions.best}, a previous champion, is better again: {previous_champions.verdict.reason}"
    )
    if manual:
        reason = f"{text}; but manual is set: `retrim rollback --to {previous_champions.best} --reason ...`"
        return replace(decision, outcome="held", reason=reason, change="a person", fired=())
    return replace(decision, outcome="restore", reason=text, change="a previous champion that lost more", fired=())
