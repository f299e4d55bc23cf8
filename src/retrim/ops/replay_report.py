"""What a replay found: both sides at every moment, what each lost and cost, and why they differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.bundle import Predictor
from retrim.core.metrics import row_losses
from retrim.core.replay.served import Served, losses_as_served
from retrim.core.replay.sides import Moment, Side, pair
from retrim.core.replay.summary import Cost, Summary
from retrim.core.replay.why import explain
from retrim.core.table import mature
from retrim.ops.champion import stored
from retrim.ops.check import price_now
from retrim.ops.house import House
from retrim.ops.known import known_table
from retrim.ops.mode import share_of_refit
from retrim.ops.person import REFIT
from retrim.ops.replay import Replay


@dataclass(frozen=True)
class Replayed:
    """A replay that was run.

    Args:
        replay: What was asked.
        moments: Both sides.
        losses: Mean loss of history and replay, of the rows that happened since the moment before; by moment.
        summary: Over all of it.
    """

    replay: Replay
    moments: tuple[Moment, ...]
    losses: tuple[tuple[float, float] | None, ...]
    summary: Summary

    def why(self, moment: Moment) -> tuple[str, ...]:
        """Why the sides differ at a moment."""
        return explain(moment, self.replay.changed)

    def as_record(self) -> dict[str, Any]:
        replay = self.replay
        return {
            "folder": str(replay.there.workspace.root.relative_to(replay.here.workspace.root)),
            "from": iso(replay.since),
            "until": iso(replay.until),
            "settings": [change.as_record() for change in replay.changed],
            "moments": [
                {
                    "at": moment.at,
                    "history": None if moment.history is None else moment.history.as_record(),
                    "replay": None if moment.replay is None else moment.replay.as_record(),
                    "losses": None if means is None else list(means),
                    "differs": moment.differs,
                    "why": list(self.why(moment)),
                }
                for moment, means in zip(self.moments, self.losses, strict=True)
            ],
            "summary": self.summary.as_record(),
            "sentence": self.summary.sentence,
        }


def report(replay: Replay) -> Replayed:
    """Puts both stores side by side, and judges both on the same rows, with the loss of the workspace's params.yaml."""
    moments = pair(_sides(replay.here, replay), _sides(replay.there, replay))
    served = _served(replay)
    means, since = [], replay.since
    for moment in moments:
        until = pd.Timestamp(moment.at)
        means.append(served.between(since, until).means)
        since = until
    params = replay.here.params
    summary = Summary(
        since=replay.since,
        until=replay.until,
        loss=params.judge.loss,
        rows=served.rows,
        usual_rows=params.account.usual_rows,
        price=price_now(replay.here),
        history=_cost([moment.history for moment in moments], served.history, again=share_of_refit(replay.here)),
        replay=_cost([moment.replay for moment in moments], served.replay, again=share_of_refit(replay.there)),
        compared=sum(moment.compared for moment in moments),
        differing=sum(moment.differs for moment in moments),
    )
    return Replayed(replay, moments, tuple(means), summary)


def _sides(house: House, replay: Replay) -> list[tuple[str, Side]]:
    """What happened in a house in the replayed span, from its store alone."""
    releases = house.store.releases(house.model)
    since, until = iso(replay.since), iso(replay.until)
    found = [
        (row.as_of, _side(house, row, releases))
        for row in house.store.decisions(house.model)
        if since <= row.as_of <= until and row.source != REFIT
    ]
    back = [row for row in releases if row.action == "rollback" and since <= row.as_of <= until]
    return found + [(row.as_of, _rollback(row)) for row in back]


def _rollback(row: Row) -> Side:
    """A release that a person made, beside the decisions."""
    return Side(
        outcome="rollback",
        reason=row.reason,
        by_person=True,
        state=None,
        came="",
        live=row.version,
        since=row.as_of,
        record={},
    )


def _side(house: House, row: Row, releases: list[Row]) -> Side:
    run = house.store.run(f"run-{row.id}")
    now_live = next((each for each in reversed(releases) if each.as_of <= row.as_of), None)
    return Side(
        outcome=row.outcome,
        reason=row.reason,
        by_person=row.source != "check",
        state=None if run is None else run.state,
        came="" if run is None else run.detail.get("reason", ""),
        live=None if now_live is None else now_live.version,
        since=None if now_live is None else now_live.as_of,
        record=row.record,
    )


def _served(replay: Replay) -> Served:
    """Rows that happened in the span and matured by its end, each judged on both sides by what was live then."""
    here = replay.here
    ripe = mature(known_table(here, replay.there, as_of=replay.until))
    ripe = ripe[(ripe["_event"] >= replay.since) & (ripe["_event"] < replay.until)].reset_index(drop=True)
    both = [losses_as_served(ripe, _releases(house), _judge(house, here.params.judge.loss)) for house in _both(replay)]
    known = np.isfinite(both[0]) & np.isfinite(both[1])
    return Served(ripe.loc[known, "_event"], both[0][known], both[1][known])


def _both(replay: Replay) -> tuple[House, House]:
    return replay.here, replay.there


def _releases(house: House) -> list[tuple[pd.Timestamp, int]]:
    return [(pd.Timestamp(row.as_of), row.version) for row in house.store.releases(house.model)]


def _judge(house: House, loss: str) -> Callable[[int, pd.DataFrame], np.ndarray]:
    """What a version of a house loses on rows; each is loaded once."""
    loaded: dict[int, Predictor] = {}

    def losses(version: int, rows: pd.DataFrame) -> np.ndarray:
        if version not in loaded:
            loaded[version] = stored(house, version).predictor
        model = loaded[version]
        return row_losses(loss, model.view.actual(rows), model.predict(rows))

    return losses


def _cost(sides: list[Side | None], losses: np.ndarray, *, again: float) -> Cost:
    """What one side cost: what was lost, what runs ended how, and what the probes took."""
    there = [side for side in sides if side is not None]
    states = [side.state for side in there]
    return Cost(
        loss=float(losses.sum()),
        promoted=states.count("promoted"),
        refused=states.count("refused"),
        restored=sum(side.outcome == "restore" for side in there),
        held=sum(side.outcome == "held" for side in there),
        probes=float(sum((side.record.get("probe") or {"cost": 0.0})["cost"] for side in there)),
        again=again,
    )
