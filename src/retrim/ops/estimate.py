"""The estimated loss of rows that came, and past estimates scored by the labels that have come since."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.bundle import Predictor
from retrim.core.drift.performance import Estimate, Scored, Seen, estimate_loss, quality
from retrim.core.metrics import row_losses
from retrim.ops.house import House
from retrim.ops.known import KnownTable

SHARE_KNOWN = 0.9  # of an estimate's rows: with so many labels it is scored


@dataclass(frozen=True)
class Estimated:
    """What a check estimates, and what became of earlier estimates.

    Args:
        estimate: Of the rows that came since the check before; None where it cannot be said.
        since: They came after this moment.
        scored: Estimates, this one or earlier, whose labels have come by this check.
        quality: How good all estimates scored so far were, of any version; None before the first.
    """

    estimate: Estimate | None
    since: str
    scored: tuple[Scored, ...]
    quality: dict[str, float] | None

    def as_record(self) -> dict[str, Any]:
        """The fields of a check's record that stand for it."""
        return {
            "estimate": None if self.estimate is None else {**self.estimate.as_record(), "since": self.since},
            "scored": [each.as_record() for each in self.scored],
            "estimates": self.quality,
        }


def estimate(
    house: House, table: KnownTable, predictor: Predictor, version: int, *, past: Sequence[Row], now: pd.Timestamp
) -> Estimated:
    """Estimates the loss on rows that came since the check before, and scores what can be scored.

    The labels it learns from had come by that check, so an estimate never knows what it is about.

    Args:
        house: The house.
        table: As of now.
        predictor: The champion.
        version: Its number.
        past: The checks before, oldest first.
        now: The moment of the check.
    """
    made = house.store.version(house.model, version)
    assert made is not None, version
    since = max([pd.Timestamp(made.as_of), *(pd.Timestamp(row.as_of) for row in past[-1:])])
    unseen = table.only(table.times["_event"] > predictor.used_until)
    fresh = unseen.only(unseen.times["_arrived"] > since)
    known = unseen.only(unseen.times["_matured"] <= since)
    found = None
    if len(fresh) >= house.params.probe.min_rows:
        found = _estimate(house, predictor, known.read(), fresh.read())
    pending = [(row.as_of, row.record) for row in past if row.record.get("estimate")]
    settled = {each["as_of"] for row in past for each in row.record.get("scored", ())}
    if found is not None:
        own = {"champion": version, "estimate": {**found.as_record(), "since": iso(since)}}
        pending.append((iso(now), own))
    scored = [
        _score(house, unseen, predictor, as_of, record["estimate"])
        for as_of, record in pending
        if record["champion"] == version and as_of not in settled
    ]
    now_scored = tuple(each for each in scored if each is not None)
    before = [Scored(**each) for row in past for each in row.record.get("scored", ())]
    return Estimated(found, iso(since), now_scored, quality([*before, *now_scored]))


def _estimate(house: House, predictor: Predictor, known: pd.DataFrame, fresh: pd.DataFrame) -> Estimate | None:
    loss = house.params.judge.loss
    parts = [Seen(predictor.view.matrix(rows), predictor.predict(rows)) for rows in (known, fresh)]
    losses = row_losses(loss, predictor.view.actual(known), parts[0].predicted)
    return estimate_loss(parts[0], losses, parts[1], task=predictor.view.task, loss=loss, seed=house.params.train.seed)


def _score(house: House, unseen: KnownTable, predictor: Predictor, as_of: str, said: dict[str, Any]) -> Scored | None:
    """An estimate beside the loss that came; None while too few of its labels have."""
    arrived = unseen.times["_arrived"]
    known = unseen.only((arrived > pd.Timestamp(said["since"])) & (arrived <= pd.Timestamp(as_of))).mature()
    if not len(known) or len(known) < SHARE_KNOWN * said["rows"]:
        return None
    ripe = known.read()
    losses = row_losses(house.params.judge.loss, predictor.view.actual(ripe), predictor.predict(ripe))
    return Scored(as_of, len(ripe), said["loss"], said["naive"], float(losses.mean()))
