"""Mature rows to the feature view, and the cut between training rows and judging block."""

import numpy as np
import pandas as pd

from retrim.errors import RefusedError
from retrim.features.fitted import PrepareParams
from retrim.features.view import FeatureView, order_digest
from retrim.files import Paths, write_folder
from retrim.reading.frames import PIECE, read_frame, writing
from retrim.stages._common import main, read_judged, read_pins, read_split
from retrim.stats.codec import rows_at, to_json, to_record
from retrim.stats.windows import SplitParams, past_of
from retrim.table.data import DataParams
from retrim.training.bundle import SplitRecord

PARTS = ("train", "embargo", "judge")


def run(
    data: DataParams,
    split: SplitParams,
    prepare: PrepareParams,
    paths: Paths,
    *,
    retrain__refit_after: bool,
) -> None:
    """Learns the view on training rows alone; the newest rows that no champion has used are kept to judge.

    The final fit takes a view of its own, learned on all rows.
    """
    names = ["_key", "_event", "_due", data.time, *data.features, data.target, *data.series]
    coded = [name for name, kind in data.features.items() if kind == "category"]
    if prepare.steps:  # these take text
        coded = []
    table = read_frame(paths.table, list(dict.fromkeys(names)), coded=coded)
    pins = read_pins(paths)
    size = split.judge_rows if pins.size is None else pins.size.rows
    train, judge = _apart(table, size, paths)
    fitted = rows_at(table, train)
    view = FeatureView.learn(fitted, data, prepare.steps)
    _require_classes(view, fitted)
    part = _parts(len(table), train, judge)
    columns = list(dict.fromkeys(["_key", "_event", "_due", *view.needs, view.target, *data.series]))
    with writing(paths.view) as add:
        for start in range(0, len(table), PIECE):
            piece = table.iloc[start : start + PIECE][columns]
            add(piece.assign(_part=part.iloc[start : start + PIECE]))
    cut = SplitRecord(
        rows={name: int((part == name).sum()) for name in PARTS if (part == name).any()},
        used_until=table["_event"].iloc[train[-1]].isoformat(),
        judged_from=table["_event"].iloc[judge[0]].isoformat() if len(judge) else None,
        judged_until=table["_event"].iloc[-1].isoformat(),
        row_order=order_digest(table["_key"]),
        series=tuple(data.series) or None,
    )
    files = {"view.json": to_json(view.as_record()), "split.json": to_json(to_record(cut))}
    if retrain__refit_after:
        files["final_view.json"] = to_json(FeatureView.learn(table, data, prepare.steps).as_record())
    if data.history.features:
        files["history.json"] = to_json(data.history.model_dump(mode="json"))
    write_folder(paths.features, files)


def _parts(rows: int, train: np.ndarray, judge: np.ndarray) -> pd.Series:
    """Which part each row is of, by name, as categories, shape (rows,)."""
    codes = np.full(rows, PARTS.index("embargo"), dtype="int8")
    codes[train], codes[judge] = PARTS.index("train"), PARTS.index("judge")
    return pd.Series(pd.Categorical.from_codes(codes, pd.Index(PARTS)))


def _apart(table: pd.DataFrame, judge_rows: int, paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers that train, and those that judge: no row is both."""
    start = judging_start(table, judge_rows, champion_used_until(paths))
    judge = np.arange(start, len(table))
    train = past_of(table["_event"], table["_due"], start) if start < len(table) else table.index.to_numpy()
    if len(train) < 2:
        raise RefusedError(
            f"only {len(train)} of {len(table)} mature rows had a label due before the {len(judge)} holdout rows; wait "
            "for more rows, or lower split.judge_rows"
        )
    return train, judge


def _require_classes(view: FeatureView, train: pd.DataFrame) -> None:
    """Refuses training rows of one class alone: there is nothing to tell apart. A window within them may hold one."""
    if view.task == "regression":
        return
    found = sorted(train[view.target].dropna().astype("str").unique())
    kinds = len(set(view.actual(train).tolist()))
    if kinds < 2:
        raise RefusedError(
            f"a {view.task} model needs at least 2 classes, but the training rows have only {kinds} "
            f"({', '.join(found[:3])}); wait until rows of another class are mature"
        )


def champion_used_until(paths: Paths) -> pd.Timestamp | None:
    """Event time of the newest row the champion has trained, tuned or stopped on; None before version 1."""
    if not paths.has_champion:
        return None
    split = read_split(paths.champion / "features")
    return pd.Timestamp(read_judged(paths.champion).used_until(split))


def judging_start(table: pd.DataFrame, judge_rows: int, used_until: pd.Timestamp | None) -> int:
    """Row number at which the judging block begins: its newest rows, none of them used by the champion."""
    newest = max(len(table) - judge_rows, 0)
    if used_until is None:
        return newest
    unused = int((table["_event"] <= used_until).sum())
    return max(newest, unused)


if __name__ == "__main__":
    main(run)
