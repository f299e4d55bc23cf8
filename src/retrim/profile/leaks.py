"""Columns that give the answer away: each probe names the column and says how it was found."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.profile.leak_pairs import ALONE, ENOUGH, ERRORS, LARGEST, number_leaks, step_of
from retrim.profile.table import Leak
from retrim.stats.plugins import SettingsSection
from retrim.table.data import DataParams

SAMPLED = 20_000
"""Rows of which more are not used for what one column tells."""
FEW = 5
"""Errors of a naive rule that are expected, of fewer of which nothing can be told."""
OWN_ROWS, GAPS = 30, 0.02
"""Rows that have the column, and share of rows without it, from which those that have it are judged by themselves."""
AHEAD, SAME = (1, 2, 3), 0.95
"""How many rows later is looked, and the share of rows in which a column has to be the target there."""
MOVES = 30
"""Rows in which the target is another one there, at least: of a target that stays, nothing can be told."""
OFTEN, SELDOM = 0.9, 0.2
"""Share of rows without a label that are blank or have a value, and of the others, where it is set after the event."""
LEAST_KIND = 20
"""Rows with a label, without one, in training and in the holdout, below which nothing is told of them."""
TWINS, USUAL = 0.05, 0.05
"""Share of judging rows with a twin in training from which it is a leak, where training has fewer within itself."""
DUPLICATES = "duplicates"
"""What the leak of rows that come twice is called, as no column is at fault."""
FEW_LATE, FEW_SHARE = 10, 0.005
"""Newest rows, and their share of all, below which answers that are missing there say nothing of answers to come."""
MOSTLY = 2.0
"""Times as many rows without an answer among the newest as older ones make expected: then most are still to come."""


class LeakParams(SettingsSection):
    """What a run does about columns that leak the target."""

    probe: bool = Field(
        exclude=True,
        default=True,
        description="whether a run looks for leaks, and stops if it finds one that leaks.allowed does not list",
    )
    allowed: dict[str, str] = Field(
        default={}, description="columns that look like a leak but are used anyway, each with the reason"
    )


def leaks_of(
    table: pd.DataFrame, data: DataParams, *, entity: str | None, judge_rows: int, calendar: Collection[str]
) -> list[Leak]:
    """Every feature that gives the answer away.

    Args:
        table: Typed rows in order of time, labelled and not; `_known`, if it is there, says when each label was known.
        calendar: Features that are made of the event time.
    """
    answered = table[data.target].notna().to_numpy(dtype=bool)
    labelled = table[answered]
    if len(labelled) < LEAST_KIND:
        return []
    goal, classes = _goal(labelled, data), data.task != "regression"
    leaks = _filled_later(table, data)
    names = [name for name in data.own_features if name not in _columns_of(leaks) | set(calendar)]
    with np.errstate(all="ignore"):  # squares of numbers near the largest; what is not finite says nothing below
        alone = (_alone_leak(name, labelled[name], goal, classes=classes) for name in names)
        leaks += [leak for leak in alone if leak is not None]
        left = [name for name in names if name not in _columns_of(leaks)]
        numbers = {name: labelled[name] for name in left if data.own_features[name] in ("number", "integer")}
        leaks += number_leaks(numbers, goal, classes=classes)
    others = [*_future_leaks(table, data, entity), *_open_leaks(table, data, answered)]
    old, new = labelled.iloc[:-judge_rows], labelled.iloc[-judge_rows:]
    if len(old) >= LEAST_KIND and len(new) >= LEAST_KIND:
        others += [*_twins(old, new, data, calendar), *_one_answer(old, new, data, entity)]
    caught = _columns_of(leaks)
    return leaks + [leak for leak in others if not set(leak.columns) & caught]


def _columns_of(leaks: Collection[Leak]) -> set[str]:
    return {name for leak in leaks for name in leak.columns}


def _goal(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    """The target as numbers: itself, or the code of its class."""
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    if data.task == "binary":
        return (rows[data.target] == data.positive).to_numpy(dtype="float64")
    return pd.Categorical(rows[data.target]).codes.astype("float64")


def _alone_leak(name: str, values: pd.Series, goal: np.ndarray, *, classes: bool) -> Leak | None:
    """The column as a leak, judged on all rows and on those that have it."""
    step, move = max(len(values) // SAMPLED, 1), step_of(goal, classes=classes)
    values, goal = values.iloc[::step], goal[::step]
    present, of = values.notna().to_numpy(), ""
    share = _share(values, goal, move, classes=classes)
    if share is None and 1 - present.mean() >= GAPS and present.sum() >= OWN_ROWS:
        share = _share(values[present], goal[present], move, classes=classes)
        of = f", among the {present.mean():.0%} of rows that have it"
    if share is None:
        return None
    what = "of a naive rule's errors" if classes else "of the target"
    seen = f"explains {share:.1%} {what} by itself, on rows after those it was fitted on{of}"
    return Leak((name,), "alone", seen)


def _share(values: pd.Series, goal: np.ndarray, move: float, *, classes: bool) -> float | None:
    """What the column explains on the newest 30% of these rows, where that is too much; else None."""
    cut = int(0.7 * len(goal))
    if len(goal) - cut < 8 or len(np.unique(goal[:cut])) < 2 or len(np.unique(goal[cut:])) < 2:
        return None
    predict = _by_tree if pd.api.types.is_numeric_dtype(values) else _by_level
    predicted = predict(values, goal, cut, classes=classes)
    known = ~np.isnan(predicted)
    truth, predicted = goal[cut:][known], predicted[known]
    if len(truth) < 8:
        return None
    if not classes:
        total = min(float(np.var(truth)), move)
        share = 1 - float(np.mean((truth - predicted) ** 2)) / total if total > 0 else 0.0
        return share if share >= ALONE else None
    usual = min(1 - max(float(np.mean(truth == kind)) for kind in np.unique(goal[:cut])), move)
    if usual * len(truth) < FEW:
        return None
    share = 1 - float(np.mean(truth != predicted)) / usual
    return share if share >= (ERRORS if usual * len(truth) >= ENOUGH else ALONE) else None


def _by_level(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> np.ndarray:
    """Mean or commonest class that the level of each newer row had before; missing where it is new."""
    codes = pd.factorize(values)[0]  # a missing cell is a level of its own
    old, new = codes[:cut], codes[cut:]
    before = pd.crosstab(old, goal[:cut]).idxmax(axis=1) if classes else pd.Series(goal[:cut]).groupby(old).mean()
    return before.reindex(new).to_numpy(dtype="float64")


def _by_tree(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> np.ndarray:
    """What a tree on one column of numbers says of the newer rows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    low = float(np.nanmin(numbers)) - 1 if np.isfinite(numbers).any() else 0.0
    filled = np.where(np.isfinite(numbers), numbers, low)
    column = np.clip(filled.reshape(-1, 1), -LARGEST, LARGEST).astype("float32")  # a tree holds no more
    leaf = max(cut // 2000, 2)
    kind, leaves = (DecisionTreeClassifier, 256) if classes else (DecisionTreeRegressor, 2048)
    tree = kind(max_leaf_nodes=leaves, min_samples_leaf=leaf, random_state=0).fit(column[:cut], goal[:cut])
    return np.asarray(tree.predict(column[cut:]), dtype="float64")


def _filled_later(table: pd.DataFrame, data: DataParams) -> list[Leak]:
    """Columns that are filled only once the answer is known: blank where it is still to come, and not elsewhere."""
    waits, answered = _waiting(table, data)
    if waits.sum() < LEAST_KIND or answered.sum() < LEAST_KIND:
        return []
    leaks = []
    for name in data.own_features:
        blank = table[name].isna().to_numpy()
        if blank[waits].mean() >= OFTEN and blank[answered].mean() <= SELDOM:
            seen = (
                f"is blank in {blank[waits].mean():.0%} of the rows whose label is still to come, but in "
                f"{blank[answered].mean():.0%} of the rows that have a label: it is known only after the event"
            )
            leaks.append(Leak((name,), "known later", seen))
    return leaks


def _waiting(table: pd.DataFrame, data: DataParams) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose answer is still to come, and rows that have one; a row whose answer never comes is neither.

    Such a row is blank elsewhere too, and says nothing of when a column is filled. Where these may be most of those
    that seem to wait, none waits.
    """
    answered = table[data.target].notna().to_numpy(dtype=bool)
    if "_known" in table and table["_known"].notna().any():
        answered = answered & table["_known"].notna().to_numpy()
    if data.labels == "or_never":
        return np.zeros(len(table), dtype=bool), answered
    coming = np.arange(len(table)) >= len(table) - unanswered_tail(~answered)
    if "_due" in table:
        coming |= (table["_due"] > table["_event"].max()).to_numpy()
    waits = ~answered & coming
    never = (~answered)[~coming].mean() if not coming.all() else 0.0
    return waits & (waits.sum() >= MOSTLY * never * coming.sum()), answered


def unanswered_tail(missing: np.ndarray) -> int:
    """How many of the newest rows are those most of which have no answer yet; 0 where they are few.

    Args:
        missing: Whether each row has none, in order of event time, shape (n,).
    """
    # They begin where rows without one outnumber the others most.
    more = np.cumsum(np.where(missing[::-1], 1, -1))
    tail = int(more.argmax()) + 1 if more.max(initial=0) > 0 else 0
    return tail if tail >= max(FEW_LATE, FEW_SHARE * len(missing)) else 0


def _future_leaks(table: pd.DataFrame, data: DataParams, entity: str | None) -> list[Leak]:
    """Features that are the target of a later row, of the same entity where one is named: joined from the future."""
    target = table[data.target]
    groups = table[entity] if entity is not None and entity in table else None
    whose = "" if groups is None else f" within the same {entity}"
    leaks = []
    for name in data.own_features:
        values = table[name]
        if pd.api.types.is_numeric_dtype(values) != pd.api.types.is_numeric_dtype(target):
            continue
        for ahead in AHEAD:
            later = target.shift(-ahead) if groups is None else target.groupby(groups, dropna=False).shift(-ahead)
            moved = (later.notna() & values.notna() & target.notna() & (later != target)).to_numpy(dtype=bool)
            if moved.sum() < MOVES:
                continue
            share = float((values[moved] == later[moved]).mean())
            if share >= SAME:
                seen = (
                    f"equals the target {ahead} rows later{whose} in {share:.0%} of the rows: it comes from the future"
                )
                leaks.append(Leak((name,), "future", seen))
                break
    return leaks


def _open_leaks(table: pd.DataFrame, data: DataParams, answered: np.ndarray) -> list[Leak]:
    """Features with a value that rows without a label have, and rows of the same time with one have not."""
    # From the first that waits to the last that does not.
    same_time = ~np.logical_and.accumulate(answered) & ~np.logical_and.accumulate(~answered[::-1])[::-1]
    part, known = table[same_time], answered[same_time]
    if known.sum() < LEAST_KIND or (~known).sum() < LEAST_KIND:
        return []
    leaks = []
    for name in data.own_features:
        waits, has = part.loc[~known, name], part.loc[known, name]
        value = next(iter(waits.value_counts().index), None)  # None equals no cell
        without, within = float((waits == value).mean()), float((has == value).mean())
        if without >= OFTEN and within <= SELDOM:
            seen = (
                f" in {without:.0%} of the rows without a label, but in {within:.0%} of the rows with a label from the "
                "same time: it is set only after the event"
            )
            leaks.append(Leak((name,), "known later", f"is {value!r}{seen}", f"has the same value{seen}"))
    return leaks


def count_twins(
    old: pd.DataFrame, new: pd.DataFrame, data: DataParams, calendar: Collection[str]
) -> tuple[int, float] | None:
    """Rows of `new` that stand in `old` too, time and key aside; and the share of `old` that repeats by chance.

    Returns:
        None where fewer than two features say what a row is.
    """
    columns = [name for name in (*data.own_features, data.target) if name not in calendar]
    if len(columns) < 3:
        return None
    before, after = (pd.util.hash_pandas_object(rows[columns], index=False) for rows in (old, new))
    return int(after.isin(before).sum()), float(before.duplicated(keep=False).mean())


def _twins(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, calendar: Collection[str]) -> list[Leak]:
    counted, usual = count_twins(old, new, data, calendar) or (0, 0.0)
    twins = counted / len(new)
    if twins < TWINS or usual >= USUAL:
        return []
    seen = (
        f"{twins:.0%} of the holdout rows are in training too, identical except for time and key, but only {usual:.0%} "
        "of training rows have a duplicate"
    )
    return [Leak((DUPLICATES,), DUPLICATES, seen)]


def _one_answer(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, entity: str | None) -> list[Leak]:
    if entity is None or entity not in old or entity == data.target:
        return []
    last = old.dropna(subset=[entity]).drop_duplicates(entity, keep="last").set_index(entity)[data.target]
    shared = new[new[entity].isin(last.index)]
    if len(shared) < LEAST_KIND or shared[data.target].nunique() < 2:
        return []
    same = float((shared[data.target].to_numpy() == last.reindex(shared[entity]).to_numpy()).mean())
    commonest = float(shared[data.target].value_counts(normalize=True).iloc[0])
    if same < ALONE or commonest >= same:
        return []
    seen = (
        f"{len(shared)} of {len(new)} holdout rows are of a {entity} seen in training, and {same:.0%} of them have its "
        f"label from there: they show nothing about a new {entity}"
    )
    return [Leak((entity,), "entity", seen)]
