"""A first model that is too good to be true, whatever the form of what it knows, and the columns that carry it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd

from retrim.core.init.first_model import FirstRows, first_rows
from retrim.core.init.leak import Leak, own_features
from retrim.core.init.notes import Note
from retrim.core.metrics import row_losses
from retrim.core.models.baseline import season_cell
from retrim.core.table import DataParams

TENTH, SURE = 0.1, 0.99
"""Of the naive rule's loss or errors, and the area under the ROC curve: beyond them a first model is too good."""
TWICE = 2.0
"""How much more is left without a column that carries it."""
FELT = 0.05
"""What it adds at least, of the bar that the model is under: of hardly anything, twice is hardly anything."""
LEANED = 5
"""Columns that a first model leans on most: those that are shown, and those that may carry it."""
LEAST_JUDGED, LEAST_ERRORS = 30, 20
"""Rows that judge; errors of the naive rule, or rows of each class."""
GAPS = 0.02
"""Share of judged rows without a column, from which those that have it are judged by themselves."""
MOST_FITTED, MOST_JUDGED = 20_000, 8_000
CELLS, FEWEST = 2_000_000, 2_000
"""Cells of the rows to fit on, at most: of a wide table fewer rows are taken, but not fewer than this."""
LEANS_ON = "leans on"
"""What the note on these columns is about."""
SEASONS = (("1D", 24), ("7D", 168), ("365D", 52))
"""Spans of the seasonal means among the naive rules, and their parts."""


@dataclass(frozen=True)
class FirstLook:
    """What a first model leans on, and whether it is too good.

    Args:
        leaned: Columns that it leans on most and their share of all gains, the most first; those that retrim made of
            the event time are left out.
        leak: The columns that carry it where it is too good; else None.
    """

    leaned: dict[str, float]
    leak: Leak | None


@dataclass(frozen=True)
class Asked:
    """What is measured on a part of the judged rows.

    Args:
        what: In words.
        value: Of a model's predictions for all judged rows, less is better.
        bar: Below it a model is too good.
        says: The value in words.
    """

    what: str
    value: Callable[[np.ndarray], float]
    bar: float
    says: Callable[[float], str]


def first_look(
    table: pd.DataFrame, data: DataParams, *, without: Collection[str], made: Collection[str], seed: int, threads: int
) -> FirstLook:
    """Fits a first model on the columns that rows bring along, and looks for what carries it where it is too good.

    It is held against naive rules: a constant, the season's mean, the newest label that was due. It is judged on all
    judged rows, and on those that have a column it leans on: cells that are missing do not hide what the others give
    away.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
        data: What the table is.
        without: Columns that are left out: each was refused or allowed.
        made: Features that were made of the event time: used, and never named.
        seed: Same seed, same answer.
        threads: For LightGBM.
    """
    features = [name for name in own_features(table, data) if name not in without]
    if not features:
        return FirstLook({}, None)
    most = min(MOST_FITTED, max(CELLS // len(features), FEWEST))
    rows = first_rows(table, data, most_fitted=most, most_judged=MOST_JUDGED, features=features)
    if rows is None:
        return FirstLook({}, None)
    loss = "mae" if data.task == "regression" else "log_loss"
    model = rows.first_model(loss=loss, seed=seed, threads=threads)
    gains = model.gains()
    whole = float(gains.sum()) or 1.0
    named = [(name, float(gain) / whole) for name, gain in zip(features, gains, strict=True) if name not in made]
    leaned = dict(sorted((one for one in named if one[1] > 0), key=lambda one: -one[1])[:LEANED])

    @cache
    def predicted(left_out: frozenset[str]) -> np.ndarray:
        fewer = rows.without(left_out)
        if not fewer.view.features:
            return _constant(rows)
        return fewer.first_model(loss=loss, seed=seed, threads=threads).predict(fewer.asked)

    full = model.predict(rows.asked)
    naive = _naive(rows, table, data)
    for having, part in _parts(rows, leaned).items():
        for asked in _questions(rows, part, naive, loss=loss):
            value = asked.value(full)
            if not value < asked.bar:
                continue
            carriers = _carriers(asked, value, list(leaned), having, predicted)
            if carriers:
                return FirstLook(
                    leaned, _leak(carriers, asked, value, asked.value(predicted(frozenset(carriers))), having)
                )
    return FirstLook(leaned, None)


def leaned_notes(leaned: dict[str, float]) -> list[Note]:
    """The columns that a first model leans on most, with what has to hold for each."""
    if not leaned:
        return []
    said = ", ".join(f"{name} {share:.0%}" for name, share in leaned.items())
    return [
        Note(
            LEANS_ON,
            "",
            f"a first model leans most on {said}",
            "each of them has to be known before the event; leave out what is not: --forbid COL",
        )
    ]


def _leak(carriers: tuple[str, ...], asked: Asked, value: float, without: float, having: str | None) -> Leak:
    of = "" if having is None else f" on the rows that have {having}"
    them = "it" if len(carriers) == 1 else "them"
    seen = (
        f"a first model is too good{of}: {asked.what} {asked.says(value)}, without {them} {asked.says(without)}, and "
        f"{asked.says(asked.bar)} is suspicious"
    )
    return Leak(carriers, "too good", seen)


def _carriers(
    asked: Asked,
    value: float,
    leaned: list[str],
    having: str | None,
    predicted: Callable[[frozenset[str]], np.ndarray],
) -> tuple[str, ...]:
    """The columns without which twice as much is left: each by itself, else two together, else the first few."""

    def carries(names: Collection[str]) -> bool:
        left = asked.value(predicted(frozenset(names)))
        return left >= TWICE * value and left - value >= FELT * asked.bar

    alone = tuple(name for name in leaned if carries([name]))
    if alone and (having is None or having in alone):
        return alone
    for pair in combinations(leaned, 2):
        if (having is None or having in pair) and carries(pair):
            return pair
    for many in range(3, len(leaned) + 1):
        if (having is None or having in leaned[:many]) and carries(leaned[:many]):
            return tuple(leaned[:many])
    return ()


def _parts(rows: FirstRows, leaned: Collection[str]) -> dict[str | None, np.ndarray]:
    """All judged rows, and those that have a column whose cells are missing in some, or new in others."""
    parts: dict[str | None, np.ndarray] = {None: np.ones(len(rows.judged), dtype=bool)}
    places = {name: place for place, name in enumerate(rows.view.features)}
    for name in leaned:
        there = ~np.isnan(rows.asked[:, places[name]])
        if there.sum() >= LEAST_JUDGED and 1 - there.mean() >= GAPS:
            parts[name] = there
    return parts


def _constant(rows: FirstRows) -> np.ndarray:
    """The best constant for every judged row: the median, the chance, or the shares of the classes."""
    if rows.view.task == "regression":
        return np.full(len(rows.truth), float(np.median(rows.actual)))
    if rows.view.task == "binary":
        return np.full(len(rows.truth), float(rows.actual.mean()))
    shares = np.bincount(rows.actual, minlength=len(rows.view.classes)) / len(rows.actual)
    return np.tile(shares, (len(rows.truth), 1))


def _naive(rows: FirstRows, table: pd.DataFrame, data: DataParams) -> dict[str, np.ndarray]:
    """What naive rules predict for the judged rows: a constant, the season's mean, by the newest label due by then."""
    told = {"constant": _constant(rows)}
    targets = np.eye(len(rows.view.classes))[rows.actual] if data.task == "multiclass" else rows.actual
    how = "median" if data.task == "regression" else "mean"
    for span, cells in SEASONS:
        length = pd.Timedelta(span)
        by = pd.DataFrame(targets).groupby(season_cell(rows.fitted["_event"], length, cells)).agg(how)
        told[span] = _found(by, season_cell(rows.judged["_event"], length, cells), told["constant"])
    old, new = (_newest(table, part, rows.view.actual(table)) for part in (rows.fitted, rows.judged))
    if data.task == "regression":
        told["newest"] = np.where(np.isnan(new), told["constant"], new)
    else:  # the chances of the classes after each
        told["newest"] = _found(pd.DataFrame(targets).groupby(old).mean(), new, told["constant"])
    return told


def _found(by: pd.DataFrame, keys: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The row of each key, or what stands in its place where there is none."""
    found = by.reindex(keys).to_numpy(dtype="float64")
    found = found if otherwise.ndim == 2 else found[:, 0]
    return np.where(np.isnan(found), otherwise, found)


def _newest(table: pd.DataFrame, part: pd.DataFrame, actual: np.ndarray) -> np.ndarray:
    """The newest target, or code of a class, that was due before each of these rows; missing where none was."""
    order = table["_due"].argsort(kind="stable").to_numpy()
    newest = np.searchsorted(table["_due"].to_numpy()[order], part["_event"].to_numpy(), side="left") - 1
    return np.where(newest >= 0, actual.astype("float64")[order][newest], np.nan)


def _questions(rows: FirstRows, part: np.ndarray, naive: dict[str, np.ndarray], *, loss: str) -> list[Asked]:
    """What is asked of a model on these rows; nothing where they are too few to say."""
    truth = rows.truth[part]
    if len(truth) < LEAST_JUDGED:
        return []

    def mean_loss(predicted: np.ndarray) -> float:
        return float(row_losses(loss, truth, predicted[part]).mean())

    bar = TENTH * min(map(mean_loss, naive.values()))
    if rows.view.task == "regression":
        return [Asked("its mean absolute error is", mean_loss, bar, "{:.4g}".format)]
    asked = [Asked("its log loss is", mean_loss, bar, "{:.4g}".format)]

    def errors(predicted: np.ndarray) -> float:
        return float((_said(predicted[part]) != truth).mean())

    usual = min(map(errors, naive.values()))
    if usual * len(truth) >= LEAST_ERRORS:
        asked.append(Asked("the share of rows it gets wrong is", errors, TENTH * usual, "{:.2%}".format))
    if rows.view.task == "binary" and min(truth.sum(), (1 - truth).sum()) >= LEAST_ERRORS:
        from retrim.core.metrics.classes import auc

        def missing(predicted: np.ndarray) -> float:
            return 1 - auc(truth, predicted[part])

        bar = min(1 - SURE, TENTH * min(map(missing, naive.values())))
        asked.append(Asked("the area under its ROC curve is", missing, bar, _as_area))
    return asked


def _said(predicted: np.ndarray) -> np.ndarray:
    return predicted.argmax(axis=1) if predicted.ndim == 2 else (predicted >= 0.5).astype("int64")


def _as_area(missing: float) -> str:
    return f"{1 - missing:.4f}"
