"""Two versions on the same rows: the newest judging block that neither was trained, tuned or stopped on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import iso
from retrim.core.contrast import moved, said
from retrim.core.frames import from_parquet
from retrim.core.metrics import measure, row_losses
from retrim.core.slice_table import slice_table
from retrim.errors import BadInputError, RefusedError
from retrim.ops.champion import Stored, stored
from retrim.ops.house import House
from retrim.ops.known import known

JUDGED = "verdict/judged.parquet"
NOTHING: dict[str, Any] = {"rows": None, "metrics": None, "slices": [], "moved": []}


@dataclass(frozen=True)
class Common:
    """Rows that neither of two versions has used, and the version whose judging block they are from."""

    rows: pd.DataFrame
    block_of: int


def compare_on_common_rows(
    house: House, older: Stored, newer: Stored, *, top: int, now: pd.Timestamp
) -> dict[str, Any]:
    """Metrics, slices, and the `top` rows that moved most, of both versions on the same rows; else a note why not.

    A judging block that came after both is taken before the newer one's own, which chose that version as its best.
    """
    try:
        found = _common(house, older, newer, now=now)
    except BadInputError as error:
        return {**NOTHING, "notes": [f"metrics: {error}"]}
    if found is None:
        note = (
            "metrics: no judging block has rows that neither version was trained on and whose labels are here, so they "
            "cannot be compared on the same rows"
        )
        return {**NOTHING, "notes": [note]}
    params, rows, notes = house.params, newer.predictor.view.seen(found.rows), []
    views = older.predictor.view, newer.predictor.view
    try:
        predicted = older.predictor.predict(rows), newer.predictor.predict(rows)
        losses = [row_losses(params.judge.loss, v.actual(rows), p) for v, p in zip(views, predicted, strict=True)]
        metrics = {
            str(each.version): {params.judge.loss: float(loss.mean())}
            | measure(params.judge.metrics, view.actual(rows), said_, task=view.task)
            for each, view, said_, loss in zip((older, newer), views, predicted, losses, strict=True)
        }
    except BadInputError as error:  # a feature that the table no longer has, or a loss of another task
        return {**NOTHING, "notes": [f"metrics: {error}"]}
    if found.block_of == newer.version:
        notes.append(
            f"metrics: on the rows that chose version {newer.version} as the best of its run, which favours it a little"
        )
    sliced = slice_table(
        rows,
        losses[1],
        losses[0],
        views[1].features,
        params.slices,
        confidence=params.explain.confidence,
        block_rows=params.judge.block_rows,
    )
    by = moved(predicted[0], predicted[1], *views)
    first = np.argsort(-by, kind="stable")[:top]
    return {
        "rows": {
            "block_of": found.block_of,
            "rows": len(rows),
            "from": iso(rows["_event"].iloc[0]),
            "until": iso(rows["_event"].iloc[-1]),
            "loss": params.judge.loss,
        },
        "metrics": metrics,
        "slices": [each.as_record() for each in sliced],
        "moved": [
            {
                "key": str(rows["_key"].iloc[at]),
                "event": iso(rows["_event"].iloc[at]),
                "actual": _plain(rows[views[1].target].iloc[at]),
                "from": said(predicted[0][at], views[0]),
                "to": said(predicted[1][at], views[1]),
                "by": float(by[at]),
            }
            for at in first
        ],
        "notes": notes,
    }


def _common(house: House, older: Stored, newer: Stored, *, now: pd.Timestamp) -> Common | None:
    """The newest judging block with two or more rows after what either version used, as the landing zone has them."""
    used = max(older.predictor.used_until, newer.predictor.used_until)
    blocks = [row for row in house.store.versions(house.model) if row.verdict.get("judged_until")]
    until = {row.version: pd.Timestamp(row.verdict["judged_until"]) for row in blocks}
    until |= {each.version: each.predictor.judged_until for each in (older, newer)}
    ripe = None
    for version in sorted((v for v in until if until[v] > used), key=lambda v: (until[v], v), reverse=True):
        try:
            files = {older.version: older, newer.version: newer}.get(version) or stored(house, version)
        except RefusedError:  # altered: another block will do
            continue
        keys = from_parquet(files.files[JUDGED])[["_key", "_event"]]
        keys = keys[keys["_event"] > used]
        if ripe is None:
            ripe = known(house, as_of=now).mature()
        found = ripe.only(ripe.times["_key"].isin(keys["_key"]))
        if len(found) >= 2:
            return Common(found.read(), version)
    return None


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else float(value)
