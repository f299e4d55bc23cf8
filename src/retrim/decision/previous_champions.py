"""Previous champions on the newest rows: a regime that returns may have its old model back, at no training cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.decision.rules import Decision
from retrim.gate.losses import judge
from retrim.gate.verdict import Check, GateParams, Verdict
from retrim.stats.codec import written
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import SettingsSection
from retrim.training.bundle import Predictor

COMPETING = 1
"""Previous champions that a run judges beside its challengers, at most: each makes the gate stricter for all models."""


@dataclass(frozen=True)
class PreviousChampions:
    """Comparison of previous champions with the live version, on rows that none of them was trained on.

    Args:
        rows: Rows evaluated.
        champion_loss: The live version's mean loss on those rows.
        losses: Mean loss of each previous champion, by version.
        verdict: The gate's verdict, with the best previous champion as the challenger.
        rests_on: Digest of the rows, versions and settings behind the comparison; empty if it was not recorded.
    """

    rows: int
    champion_loss: float
    losses: Mapping[int, float]
    verdict: Verdict
    rests_on: str = ""

    @written
    def best(self) -> int:
        """The previous champion with the lowest loss."""
        return min(sorted(self.losses), key=lambda version: self.losses[version])


def judge_previous_champions(
    losses: Mapping[int, np.ndarray], champion: np.ndarray, gate: GateParams, *, draws: int, block_rows: int
) -> PreviousChampions | None:
    """Previous champions through the gate, as challengers of the live version; None where there is none.

    Args:
        losses: Loss of each judged row, in time order, of each previous champion.
    """
    if not losses or not len(champion):
        return None
    named = {str(version): values for version, values in losses.items()}
    verdict = judge(named, champion, {}, gate, draws=draws, block_rows=block_rows, uses=0.0)
    means = {version: float(values.mean()) for version, values in losses.items()}
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
        checks_since_release: Checks since something went live, this one counted; None if nothing ever did.
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
        reason = f"{text}; but manual is set: `retrim versions rollback --to {previous_champions.best} --reason ...`"
        return replace(decision, outcome="held", reason=reason, change="a person", fired=())
    return replace(decision, outcome="restore", reason=text, change="a previous champion with a higher loss", fired=())


class PreviousChampionParams(SettingsSection):
    """How previous champions are scored at checks."""

    most: int = Field(
        exclude=True,
        default=3,
        ge=0,
        description="number of previous champions that are scored, newest first; older ones rarely fit the newest rows",
    )


@dataclass(frozen=True)
class PreviousChampionsLook:
    """Previous champions that a run looked at.

    Args:
        left_out: Why each of those that did not compete did not, by version.
        losses: Mean loss on the judging rows of each that competed, by version.
        verdict: The gate's on the best of them; None where none competed.
        restore: The version that is to go live again; None where none is.
    """

    left_out: Mapping[int, str]
    losses: Mapping[int, float]
    verdict: Verdict | None
    restore: int | None


def may_compete(
    previous_champions: Mapping[int, Predictor], *, columns: Sequence[str], judged_from: pd.Timestamp
) -> tuple[dict[int, Predictor], dict[int, str]]:
    """Those that can be scored on rows that they have not seen; and why each of the others cannot."""
    left_out: dict[int, str] = {}
    for version, previous_champion in previous_champions.items():
        lacking = [name for name in previous_champion.columns if name not in columns]
        if previous_champion.used_until >= judged_from:
            left_out[version] = (
                f"it was trained on rows until {previous_champion.used_until.isoformat()}, some of which are holdout "
                "rows"
            )
        elif lacking:
            left_out[version] = f"it needs {', '.join(lacking)}, which the table no longer has"
    return {
        version: previous_champion
        for version, previous_champion in previous_champions.items()
        if version not in left_out
    }, left_out


def shortlist(
    previous_champions: Mapping[int, Predictor], before: pd.DataFrame, *, loss: str, most: int, rows: int
) -> tuple[dict[int, Predictor], dict[int, str]]:
    """The `most` promising ones, by their loss just before the judging block; and why each of the others is left out.

    Each more that is judged makes the gate stricter for all, so who is judged is settled on
    rows that do not judge: the newest `rows` that none of them was made with. Where there are none, the newest stay.

    Args:
        before: Training rows in time order, whole rows of the table, with `_event`.
    """
    if len(previous_champions) <= most:
        return dict(previous_champions), {}
    unseen = before[
        before["_event"] > max(previous_champion.used_until for previous_champion in previous_champions.values())
    ].iloc[-rows:]
    means = {
        version: float(
            row_losses(loss, previous_champion.view.actual(unseen), previous_champion.predict(unseen)).mean()
        )
        for version, previous_champion in previous_champions.items()
        if len(unseen)
    }
    shortest = sorted(previous_champions, key=lambda version: (means.get(version, 0.0), -version))[:most]
    better = f"did better on {len(unseen)} rows before the holdout rows" if len(unseen) else "are newer"
    why = f"only {most} of {len(previous_champions)} are judged, and others {better}"
    return {version: previous_champions[version] for version in shortest}, {
        version: why for version in previous_champions if version not in shortest
    }


def settle(
    verdict: Verdict, of_previous: Verdict | None, losses: Mapping[int, np.ndarray], left_out: Mapping[int, str]
) -> tuple[Verdict, PreviousChampionsLook]:
    """The verdict on the new ones, with one more check: that no previous champion comes back instead.

    One comes back that passes the gate, if none of the new ones does or if it loses less than the best of them.

    Args:
        of_previous: On the best previous champion, each named by its version; None where none competed.
    """
    if of_previous is None:
        return verdict, PreviousChampionsLook(left_out, {}, None, None)
    means = {version: float(values.mean()) for version, values in losses.items()}
    best, new = int(of_previous.winner), verdict.losses[verdict.winner]
    back = of_previous.promote and (not verdict.promote or means[best] < new)
    figures = f"mean loss {means[best]:.4g} against {new:.4g} of the best new model"
    if back:
        text = f"version {best}, a previous champion, goes live again instead: it passes the gate, {figures}"
    else:
        passes = "passes the gate, but has a higher loss" if of_previous.promote else "does not pass the gate"
        text = f"the best of {len(means)} previous champions, version {best}, {passes}: {figures}"
    check = Check("previous champion", not back, means[best], new, text, None)
    contest = PreviousChampionsLook(left_out, means, of_previous, best if back else None)
    return verdict.with_checks([check]), contest
