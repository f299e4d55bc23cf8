"""Batch scoring: the champion's predictions for rows that have landed, into the store, each row once a version."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import iso
from retrim.core.drift.scores import score_columns
from retrim.core.view import FeatureView
from retrim.ops.champion import Stored, champion
from retrim.ops.columns_gone import tell_columns_gone
from retrim.ops.counts import used_by
from retrim.ops.house import House
from retrim.ops.known import KnownTable, known, left_out_since


@dataclass(frozen=True)
class Scored:
    """What a scoring run wrote.

    Args:
        version: The live one; None before the first.
        rows: That had no prediction of it yet.
        written: Predictions.
        selected: Rows that were decided for; None where nothing is decided.
        left_out: Rows since the version was made that `data.rows` leaves out, and that so have no prediction.
        lacks: Columns that the version reads and that are gone: where they are not known, it predicts without them.
    """

    version: int | None
    rows: int
    written: int
    selected: int | None
    left_out: int = 0
    lacks: tuple[str, ...] = ()

    def as_record(self) -> dict[str, Any]:
        plain = {"version": self.version, "rows": self.rows, "written": self.written}
        return {**plain, "selected": self.selected, "left_out": self.left_out, "lacks": list(self.lacks)}


def score(house: House, *, now: pd.Timestamp) -> Scored:
    """Predicts every row that the champion was not fitted on and that has no prediction of it yet."""
    found = champion(house)
    if found is None:
        return Scored(None, 0, 0, None)
    scored = score_table(house, known(house, as_of=now), found, now=now)
    return replace(scored, left_out=left_out_since(house, as_of=now, since=found.predictor.used_until))


def score_table(house: House, table: KnownTable, champion: Stored, *, now: pd.Timestamp) -> Scored:
    """The same for a table and a champion that are at hand.

    Args:
        house: The house.
        table: All rows that had landed by `now`.
        champion: The live version.
        now: Noted with each prediction.
    """
    version, predictor = champion.version, champion.predictor
    lacks = tell_columns_gone(house, version, now=now)
    used = (table.times["_event"] <= predictor.used_until) & used_by(house, table, champion)
    unseen = table.only(~used)
    done = house.predictions.predicted(house.model, version=version, keys=unseen.times["_key"])
    unseen = unseen.only(~unseen.times["_key"].isin(done))
    if not len(unseen):
        return Scored(version, 0, 0, None, lacks=lacks)
    fresh = unseen.read()
    values = predictor.predict(fresh)
    decided = predictor.decide(fresh, values)
    if decided is not None:  # first, as a row with a prediction is not looked at again
        house.predictions.add_selections(
            [
                {"model": house.model, "key": key, "version": version, "selected": selected}
                for key, selected in zip(fresh["_key"], decided.tolist(), strict=True)
            ]
        )
    written = house.predictions.add(
        [
            {"model": house.model, "key": key, "version": version, "event": iso(event), "at": iso(now), "value": value}
            for key, event, value in zip(fresh["_key"], fresh["_event"], values.tolist(), strict=True)
        ]
    )
    return Scored(version, len(fresh), written, None if decided is None else int(decided.sum()), lacks=lacks)


def stored_scores(house: House, version: int, keys: pd.Series, view: FeatureView) -> pd.DataFrame:
    """Stored predictions for these rows as the columns of `score_columns`; missing where a row was not scored.

    Args:
        house: The house.
        version: Whose predictions.
        keys: Of the rows, shape (n,).
        view: Of that version.

    Returns:
        Shape (n, 1 or 2), index of `keys`.
    """
    stored = house.predictions.of_version(house.model, version=version, keys=keys)
    values = stored["value"].tolist()
    wide = view.task == "multiclass"
    predicted = np.array(values, dtype="float64").reshape((len(values), len(view.classes)) if wide else -1)
    columns = score_columns(predicted, view).set_index(pd.Index(stored["key"]))
    return columns.reindex(keys).set_axis(keys.index)
