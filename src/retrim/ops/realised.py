"""What the champion lost on rows that matured, what the probe says of them, and the band to hold the loss against."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row
from retrim.core.band import Band, reference_band
from retrim.core.bundle import Predictor
from retrim.core.metrics import measure, row_losses
from retrim.core.probe import Reading, probe
from retrim.core.table import mature
from retrim.machine import cores
from retrim.ops.house import House


@dataclass(frozen=True)
class Realised:
    """What matured rows say.

    Args:
        rows: Rows that matured since the last counted moment, and since the champion was made.
        reading: The probe on them; None where they are too few.
        metrics: The champion on them, each of `judge.metrics`; None likewise.
        loss: Its mean loss on them; None likewise.
        counted_until: Until when rows have been counted, this check included.
        labels_until: When the newest label matured; None if none has.
    """

    rows: int
    reading: Reading | None
    metrics: dict[str, float] | None
    loss: float | None
    counted_until: pd.Timestamp
    labels_until: pd.Timestamp | None

    def as_record(self) -> dict[str, Any]:
        """The fields of a check's record that stand for it."""
        return {
            "window": None if self.reading is None else {"rows": self.reading.rows},
            "reading": None if self.reading is None else self.reading.as_record(),
            "metrics": self.metrics,
            "loss": self.loss,
            "counted_until": self.counted_until.tz_convert("UTC").isoformat(timespec="seconds"),
            "labels_until": None if self.labels_until is None else self.labels_until.isoformat(),
        }


def realise(
    house: House,
    table: pd.DataFrame,
    predictor: Predictor,
    version: int,
    *,
    previous: Row | None,
    now: pd.Timestamp,
) -> Realised:
    """The champion and the probe on rows that matured since the last counted moment, and since the champion was made.

    With too few of them nothing is said, and they are counted with the next ones.
    """
    params = house.params
    ripe = mature(table)
    made = house.store.version(house.model, version)
    assert made is not None, version
    begin = pd.Timestamp(made.as_of)
    if previous is not None and previous.record["counted_until"] is not None:
        begin = max(begin, pd.Timestamp(previous.record["counted_until"]))
    labels_until = pd.Timestamp(ripe["_matured"].max()) if len(ripe) else None
    is_new = (ripe["_matured"] > begin) & (ripe["_event"] > predictor.used_until)
    newest = np.flatnonzero(is_new.to_numpy())
    if len(newest) < params.probe.min_rows:
        return Realised(len(newest), None, None, None, begin, labels_until)
    judged = ripe.iloc[newest]
    actual, predicted = predictor.view.actual(judged), predictor.predict(judged)
    losses = row_losses(params.judge.loss, actual, predicted)
    reading = probe(
        ripe,
        newest,
        losses,
        replace(predictor.recipe, loss=params.judge.loss),
        params.data,
        params.probe,
        window=predictor.window,
        sliding_rows=params.split.sliding_rows,
        block_rows=params.judge.block_rows,
        cores=cores(),
    )
    metrics = measure(params.judge.metrics, actual, predicted, task=predictor.view.task)
    return Realised(len(newest), reading, metrics, float(losses.mean()), now, labels_until)


def band_of(house: House, table: pd.DataFrame, predictor: Predictor, *, rows: int) -> Band | None:
    """The band for a window of `rows` rows, from the rows that judged the champion; None where they are too few."""
    if rows < 1:
        return None
    ripe = mature(table)
    judging = ripe[ripe["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")]
    losses = row_losses(house.params.judge.loss, predictor.view.actual(judging), predictor.predict(judging))
    judge = house.params.judge
    return reference_band(
        losses, rows=rows, block_rows=judge.block_rows, draws=judge.draws, seed=house.params.gate.seed
    )
