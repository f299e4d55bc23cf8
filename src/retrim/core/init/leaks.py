"""Columns that give the answer away: each probe names the column, and says by what it is caught."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from retrim.core.init.leak import Leak, own_features
from retrim.core.init.leak_alone import SAMPLED, alone_leak
from retrim.core.init.leak_pairs import pair_leaks
from retrim.core.init.leak_rows import future_leaks, open_leaks, split_leaks
from retrim.core.init.notes import Note
from retrim.core.table import DataParams

EXACT = 1e-6
"""Of the target's usual spread: a sum that meets it so closely on every row is the target."""
MOST_COLUMNS = 200
KNOWN_LATER = 0.9
"""Of the rows without a label, in which a column is blank that hardly ever is so elsewhere."""
EARLY_SHARE = 0.2
JOINED = 0.5
"""Share of rows in which a time lies after the event, from which it is said."""


def leaks_of(
    table: pd.DataFrame,
    data: DataParams,
    *,
    label_time: pd.Series | None,
    entity: str | None,
    judge_rows: int,
    made: Collection[str],
) -> list[Leak]:
    """Every feature that gives the answer away.

    Args:
        table: Typed rows in order of time, labelled and not, shape (n, columns).
        data: What the table is.
        label_time: When each label was known, index of `table`; None: not known.
        entity: The column that names what a row is about; None: none was named.
        judge_rows: The newest rows, which judge.
        made: Features made of the event time, which tell rows apart that are the same.
    """
    labelled = table[table[data.target].notna()]
    if len(labelled) < 20:
        return []
    with np.errstate(all="ignore"):  # squares of numbers near the largest; what is not finite says nothing below
        found = _found(table, labelled, data, label_time, made)
    caught = {name for leak in found for name in leak.columns}
    others = [
        *future_leaks(table, data, entity=entity),
        *open_leaks(table, data, answered=table[data.target].notna().to_numpy()),
        *split_leaks(table, data, entity=entity, judge_rows=judge_rows, made=made),
    ]
    return found + [leak for leak in others if not set(leak.columns) & caught]


def _found(
    table: pd.DataFrame, labelled: pd.DataFrame, data: DataParams, label_time: pd.Series | None, made: Collection[str]
) -> list[Leak]:
    goal, classes = _goal(labelled, data), data.task != "regression"
    found = [*_sums(labelled, data, goal), *_later(table, data, label_time)]
    caught = {name for leak in found for name in leak.columns} | set(made)
    for name in own_features(table, data):
        if name not in caught:
            leak = alone_leak(name, labelled[name], goal, classes=classes)
            found += [] if leak is None else [leak]
    caught |= {name for leak in found for name in leak.columns}
    numbers = {name: labelled[name] for name in _numeric(labelled, data) if name not in caught}
    return found + pair_leaks(numbers, goal, classes=classes)


def _goal(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    """The target as numbers: itself, or the code of its class."""
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    if data.task == "binary":
        return (rows[data.target] == data.positive).to_numpy(dtype="float64")
    return pd.Categorical(rows[data.target]).codes.astype("float64")


def _numeric(rows: pd.DataFrame, data: DataParams) -> list[str]:
    kinds = data.own_features
    return [name for name in own_features(rows, data) if kinds[name] in ("number", "integer")]


def _sums(rows: pd.DataFrame, data: DataParams, goal: np.ndarray) -> list[Leak]:
    """Columns whose weighted sum is the target on every row: casual + registered = cnt."""
    names = _numeric(rows, data)
    if data.task != "regression" or not 1 <= len(names) <= MOST_COLUMNS:
        return []
    matrix = rows[names].to_numpy(dtype="float64", na_value=np.nan)
    whole = np.isfinite(matrix).all(axis=1) & np.isfinite(goal)
    if whole.sum() < 2 * len(names) + 10:
        return []
    step = max(int(whole.sum()) // SAMPLED, 1)
    spread = _spread(goal[whole])
    matrix, goal = matrix[whole][::step], goal[whole][::step]
    scale = matrix.std(axis=0)
    kept = [place for place in range(len(names)) if scale[place] > 0]
    if spread == 0 or not kept:
        return []
    used = _exact(matrix[:, kept], goal, spread)
    if used is None:
        return []
    columns = [kept[place] for place in used]
    # Fewer that are exact too: each is left out once, and stays out if the others do without it.
    for place in list(columns):
        others = [other for other in columns if other != place]
        if others and _exact(matrix[:, others], goal, spread) is not None:
            columns = others
    return [
        Leak(
            tuple(names[place] for place in columns),
            "sum",
            f"{'a weighted sum of them' if len(columns) > 1 else 'a multiple of it'} is the target in every row",
        )
    ]


def _spread(goal: np.ndarray) -> float:
    """How far a target usually is from its middle and from the row before: no row far out and no trend counts."""
    middle, step = np.median(np.abs(goal - np.median(goal))), np.median(np.abs(np.diff(goal)))
    return float(min([far for far in (goal.std(), middle, step) if far > 0], default=0.0))


def _exact(matrix: np.ndarray, goal: np.ndarray, spread: float) -> list[int] | None:
    """The columns that a least-squares fit uses, where it meets the goal on every row; else None."""
    mean, scale = matrix.mean(axis=0), matrix.std(axis=0)
    scaled = (matrix - mean) / scale
    weights, *_ = np.linalg.lstsq(scaled, goal - goal.mean(), rcond=None)
    if float(np.abs(scaled @ weights - (goal - goal.mean())).max()) > EXACT * spread:
        return None
    return [int(place) for place in np.flatnonzero(np.abs(weights) > 1e-4 * spread)]


def _later(table: pd.DataFrame, data: DataParams, label_time: pd.Series | None) -> list[Leak]:
    """Columns that are filled only once the answer is known: where one never comes, blank cells say nothing of when."""
    unlabelled = table[data.target].isna().to_numpy()
    found = []
    groups = [] if data.labels == "or_never" else [("rows without a label", unlabelled, ~unlabelled)]
    if label_time is not None and label_time.notna().any():
        known = label_time.notna().to_numpy()
        groups.append(("rows without a label time", ~known, known))
    for what, without, rest in groups:
        if without.sum() < 20 or rest.sum() < 20:
            continue
        for name in own_features(table, data):
            blank = table[name].isna().to_numpy()
            if blank[without].mean() >= KNOWN_LATER and blank[rest].mean() <= EARLY_SHARE:
                seen = (
                    f"is blank in {blank[without].mean():.0%} of the {what} and in "
                    f"{blank[rest].mean():.0%} of the others: it is known only after the event"
                )
                found.append(Leak((name,), "known later", seen))
        break
    return found


def joined_notes(table: pd.DataFrame, data: DataParams) -> list[Note]:
    """Times beside the event's own that lie after it: what was joined with them was not known then."""
    notes = []
    for name, column in data.columns.items():
        if column.type == "time" and column.role == "forbidden" and name in table:
            later = float((table[name] > table["_event"]).mean())
            if later > JOINED:
                done = "forbidden, as every time is; leave out what was written with it, known only then: --forbid COL"
                notes.append(Note("after the event", name, f"lies after it in {later:.0%} of the rows", done, "warn"))
    return notes


def crossing(
    table: pd.DataFrame, data: DataParams, *, entity: str | None, judge_rows: int, made: Collection[str]
) -> dict[str, float]:
    """What stands on both sides of the split: whole rows that come twice, and rows of entities seen before.

    Args:
        table: Typed rows in order of time.
        data: What the table is.
        entity: The column that names what a row is about; None: none was named.
        judge_rows: The newest rows, which judge.
        made: Features made of the event time, which tell rows apart that are the same.

    Returns:
        `duplicates`: judging rows that are there in training too, event time and key aside; `usual`: the share of
        training rows that are there twice; `shared`: judging rows
        whose entity has training rows (only where an entity was named).
    """
    told = [name for name in (*own_features(table, data), data.target) if name not in made]
    hashed = pd.util.hash_pandas_object(table[told], index=False)
    old, new = hashed.iloc[:-judge_rows], hashed.iloc[-judge_rows:]
    counted = {"duplicates": int(new.isin(old).sum()), "usual": float(old.duplicated(keep=False).mean())}
    if entity is not None:
        counted["shared"] = int(table[entity].iloc[-judge_rows:].isin(table[entity].iloc[:-judge_rows]).sum())
    return counted
