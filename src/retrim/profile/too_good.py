"""A first model that is too good to be true, and the columns that carry it: `init` and every run look for them."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd

from retrim.profile.class_leaks import class_leak, is_known_before
from retrim.profile.first_model import FirstRows, first_rows
from retrim.profile.leaks import leaks_of
from retrim.profile.table import Leak, TableNote
from retrim.stats.metrics import auc, row_losses
from retrim.table.data import DataParams
from retrim.training.baseline import season_cell

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
MOST_REFITTED, MOST_REJUDGED = 20_000, 8_000
CELLS, FEWEST = 2_000_000, 2_000
"""Cells of the rows to fit on, at most: of a wide table fewer rows are taken, but not fewer than this."""
LEANS_ON = "leans on"
"""What the note on these columns is about."""
LEANS_ALONE = 0.4
"""Share of all gains above which a first model leans on one column alone."""
SIGNAL = 0.8
"""Share of the best naive rule's loss below which a first model has something to lean on."""
SEASONS = (("1D", 24), ("7D", 168), ("365D", 52))
"""Spans of the seasonal means among the naive rules, and their parts."""


@dataclass(frozen=True)
class LeaksFound:
    """What gives the answer away.

    Args:
        allowed: Leaks of which one column is allowed.
        leaned: Columns that a first model without any of these leans on most, and their shares.
        has_signal: Whether that model loses clearly less than every naive rule.
    """

    refused: list[Leak]
    allowed: list[Leak]
    leaned: dict[str, float]
    has_signal: bool


@dataclass(frozen=True)
class Measure:
    """What is measured on a part of the judged rows: in words, and of a model's predictions for all (less is better).

    Below `bar` a model is too good; `says` puts a value into words.
    """

    what: str
    value: Callable[[np.ndarray], float]
    bar: float
    says: Callable[[float], str]


def find_leaks(
    table: pd.DataFrame,
    data: DataParams,
    *,
    entity: str | None,
    judge_rows: int,
    calendar: Collection[str],
    allowed: Collection[str],
    seed: int,
    threads: int,
) -> LeaksFound:
    """Asks each column and each pair, then first models, until one without what was found is not too good.

    Args:
        table: Typed rows in order of time, labelled and not, with `_event`, `_due` and, where it is known, `_known`.
    """
    leaks = leaks_of(table, data, entity=entity, judge_rows=judge_rows, calendar=calendar)
    labelled = table[table[data.target].notna()].reset_index(drop=True)
    while True:
        caught = {name for leak in leaks for name in leak.columns}
        names = [name for name in data.own_features if name not in caught]
        leaned, leak, has_signal = _first_look(labelled, data, names, calendar=calendar, seed=seed, threads=threads)
        if leak is None:
            refused = [leak for leak in leaks if not set(leak.columns) & set(allowed)]
            return LeaksFound(refused, [leak for leak in leaks if leak not in refused], leaned, has_signal)
        leaks.append(leak)


def _first_look(
    table: pd.DataFrame, data: DataParams, names: Collection[str], *, calendar: Collection[str], seed: int, threads: int
) -> tuple[dict[str, float], Leak | None, bool]:
    """Fits a first model on these columns, and looks for what carries it where it is too good.

    Returns:
        Columns that it leans on most, but for those of the calendar, and their shares of all gains; those that carry
        it where it is too good; whether it loses clearly less than every naive rule.
    """
    most = min(MOST_REFITTED, max(CELLS // max(len(names), 1), FEWEST))
    rows = first_rows(table, data, most_fitted=most, most_judged=MOST_REJUDGED) if names else None
    if rows is None:
        return {}, None, False
    rows = rows.of(names)
    loss = "mae" if data.task == "regression" else "log_loss"
    model = rows.first_model(loss=loss, seed=seed, threads=threads)
    leaned = _leaned(rows, model.gains(), calendar)

    @cache
    def predicted(left_out: frozenset[str]) -> np.ndarray:
        fewer = rows.of(set(rows.view.features) - left_out)
        if not fewer.view.features:
            return _constant(rows)
        return fewer.first_model(loss=loss, seed=seed, threads=threads).predict(fewer.newest)

    full = model.predict(rows.newest)
    naive = _naive(rows, table, data)
    lost, *others = (float(row_losses(loss, rows.truth, values).mean()) for values in (full, *naive.values()))
    has_signal = lost < SIGNAL * min(others)
    for having, part in _parts(rows, leaned).items():
        for measure in _measures(rows, part, naive, loss=loss):
            value = measure.value(full)
            carriers = _carriers(measure, value, list(leaned), having, predicted) if value < measure.bar else ()
            if carriers:
                without = measure.value(predicted(frozenset(carriers)))
                of = "" if having is None else f" on the rows with a value of {having}"
                them = "it" if len(carriers) == 1 else "them"
                seen = (
                    f"a first model is too good{of}: {measure.what} {measure.says(value)}, or {measure.says(without)} "
                    f"without {them}; {measure.says(measure.bar)} is already suspicious"
                )
                return leaned, Leak(carriers, "too good", seen), has_signal
    return leaned, None, has_signal


def _leaned(rows: FirstRows, gains: np.ndarray, calendar: Collection[str]) -> dict[str, float]:
    shares = pd.Series(gains / (float(gains.sum()) or 1.0), index=list(rows.view.features), dtype="float64")
    used = shares[(shares > 0) & ~shares.index.isin(list(calendar))]
    return {str(name): share for name, share in used.sort_values(ascending=False, kind="stable")[:LEANED].items()}


def leaned_notes(leaned: dict[str, float]) -> list[TableNote]:
    """The columns that a first model leans on most, with what has to hold for each."""
    if not leaned:
        return []
    seen = f"a first model relies most on {', '.join(f'{name} {share:.0%}' for name, share in leaned.items())}"
    done = "each of them must be known before the event; leave out a column that is not: --forbid COL"
    return [TableNote(LEANS_ON, "", seen, done)]


def _carriers(
    measure: Measure,
    value: float,
    leaned: list[str],
    having: str | None,
    predicted: Callable[[frozenset[str]], np.ndarray],
) -> tuple[str, ...]:
    """The columns without which twice as much is left: each by itself, else two together, else the first few."""

    def carry(names: Collection[str]) -> bool:
        left = measure.value(predicted(frozenset(names)))
        return left >= TWICE * value and left - value >= FELT * measure.bar

    alone = tuple(name for name in leaned if carry([name]))
    if alone and (having is None or having in alone):
        return alone
    several = [*combinations(leaned, 2), *(tuple(leaned[:many]) for many in range(3, len(leaned) + 1))]
    return next((names for names in several if (having is None or having in names) and carry(names)), ())


def _parts(rows: FirstRows, leaned: Collection[str]) -> dict[str | None, np.ndarray]:
    """All judged rows, and those that have a column: missing cells do not hide what the others give away."""
    parts: dict[str | None, np.ndarray] = {None: np.ones(len(rows.judged), dtype=bool)}
    columns = {name: column for column, name in enumerate(rows.view.features)}
    for name in leaned:
        there = ~np.isnan(rows.newest[:, columns[name]])
        if there.sum() >= LEAST_JUDGED and 1 - there.mean() >= GAPS:
            parts[name] = there
    return parts


def _constant(rows: FirstRows) -> np.ndarray:
    """The best constant for every judged row: the median, the chance, or the shares of the classes."""
    if rows.view.task != "multiclass":
        middle = np.median if rows.view.task == "regression" else np.mean
        return np.full(len(rows.truth), float(middle(rows.actual)))
    shares = np.bincount(rows.actual, minlength=len(rows.view.classes)) / len(rows.actual)
    return np.tile(shares, (len(rows.truth), 1))


def _naive(rows: FirstRows, table: pd.DataFrame, data: DataParams) -> dict[str, np.ndarray]:
    """What naive rules predict for the judged rows: a constant, the season's mean, by the newest label due by then."""
    constant = _constant(rows)
    targets = np.eye(len(rows.view.classes))[rows.actual] if data.task == "multiclass" else rows.actual
    how = "median" if data.task == "regression" else "mean"
    naive = {"constant": constant}
    for span, cells in SEASONS:
        length = pd.Timedelta(span)
        by = pd.DataFrame(targets).groupby(season_cell(rows.fitted["_event"], length, cells)).agg(how)
        naive[span] = _looked_up(by, season_cell(rows.judged["_event"], length, cells), constant)
    old, new = (_newest(table, part, rows.view.actual(table)) for part in (rows.fitted, rows.judged))
    if data.task == "regression":
        naive["newest"] = np.where(np.isnan(new), constant, new)
    else:  # the chances of the classes after each
        naive["newest"] = _looked_up(pd.DataFrame(targets).groupby(old).mean(), new, constant)
    return naive


def _looked_up(by: pd.DataFrame, keys: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    values = by.reindex(keys).to_numpy(dtype="float64")
    values = values if otherwise.ndim == 2 else values[:, 0]
    return np.where(np.isnan(values), otherwise, values)


def _newest(table: pd.DataFrame, part: pd.DataFrame, actual: np.ndarray) -> np.ndarray:
    """The newest target, or code of a class, that was due before each of these rows; missing where none was."""
    order = table["_due"].argsort(kind="stable").to_numpy()
    newest = np.searchsorted(table["_due"].to_numpy()[order], part["_event"].to_numpy(), side="left") - 1
    return np.where(newest >= 0, actual.astype("float64")[order][newest], np.nan)


def _measures(rows: FirstRows, part: np.ndarray, naive: dict[str, np.ndarray], *, loss: str) -> list[Measure]:
    """What is measured of a model on these rows; nothing where they are too few to say."""
    truth = rows.truth[part]
    if len(truth) < LEAST_JUDGED:
        return []

    def measure(what: str, value: Callable[[np.ndarray], float], says: Callable[[float], str]) -> Measure:
        return Measure(what, value, TENTH * min(map(value, naive.values())), says)

    def mean_loss(predicted: np.ndarray) -> float:
        return float(row_losses(loss, truth, predicted[part]).mean())

    def errors(predicted: np.ndarray) -> float:
        values = predicted[part]
        classes = values.argmax(axis=1) if values.ndim == 2 else (values >= 0.5).astype("int64")
        return float((classes != truth).mean())

    def area_above(predicted: np.ndarray) -> float:
        return 1 - auc(truth, predicted[part])

    if rows.view.task == "regression":
        return [measure("its mean absolute error is", mean_loss, "{:.4g}".format)]
    measures = [measure("its log loss is", mean_loss, "{:.4g}".format)]
    wrong = measure("the share of rows it gets wrong is", errors, "{:.2%}".format)
    if min(map(errors, naive.values())) * len(truth) >= LEAST_ERRORS:
        measures.append(wrong)
    if rows.view.task == "binary" and min(truth.sum(), (1 - truth).sum()) >= LEAST_ERRORS:
        bar = min(1 - SURE, TENTH * min(map(area_above, naive.values())))
        measures.append(Measure("the area under its ROC curve is", area_above, bar, lambda area: f"{1 - area:.4f}"))
    return measures


def suspects_of(
    labelled: pd.DataFrame, data: DataParams, leaks: LeaksFound, *, calendar: Collection[str]
) -> dict[str, str]:
    """Columns that may be known only after the event, and what was seen; a person has to say whether they are.

    Args:
        labelled: Labelled rows in order of time, with `_event`.
    """
    caught = {name for leak in (*leaks.refused, *leaks.allowed) for name in leak.columns} | set(calendar)
    suspects = {}
    for name in dict.fromkeys([*leaks.leaned, *data.own_features]):
        if name in caught:
            continue
        fixed, share = class_leak(name, labelled, data), leaks.leaned.get(name, 0.0)
        seen = [] if fixed is None else [fixed.seen]
        if share > LEANS_ALONE and leaks.has_signal:
            seen.append(f"a first model leans on it for {share:.0%}")
        if seen and not is_known_before(name, labelled, data):
            suspects[name] = "; ".join(seen)
    return suspects
