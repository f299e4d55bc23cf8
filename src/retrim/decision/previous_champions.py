"""Previous champions as challengers: a regime that returns may have its old model back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.gate.verdict import Check, Verdict
from retrim.stats.metrics import row_losses
from retrim.training.bundle import Predictor

CONSIDERED = 3
"""Previous champions that are looked at, the newest: older ones rarely fit the newest rows."""
COMPETING = 1
"""Previous champions that a probe and a run judge beside the refits, at most: each makes the gate stricter for all."""


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
