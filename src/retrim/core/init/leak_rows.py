"""Answers given away by other rows: the row to come, rows that are there twice, an entity that training has seen."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from retrim.core.init.leak import ALONE, Leak, own_features
from retrim.core.table import DataParams

AHEAD, SAME = (1, 2, 3), 0.95
"""How many rows later is looked, and the share of rows in which a column has to be the target there."""
MOVES = 30
"""Rows in which the target is another one there, at least: of a target that stays, nothing can be told."""
OFTEN, SELDOM, OWN = 0.9, 0.2, 20
"""Share of rows without a label that have a value which hardly any other of that time has; rows of each kind."""
TWINS, USUAL = 0.05, 0.05
"""Share of judging rows with a twin in training from which it is a leak, where training has fewer within itself."""
DUPLICATES = "duplicates"
"""What the leak of rows that come twice is called, as no column is at fault."""


def future_leaks(table: pd.DataFrame, data: DataParams, *, entity: str | None) -> list[Leak]:
    """Features that are the target of a later row, of the same entity where one is named: joined from the future.

    Args:
        table: Typed rows in order of time.
        data: What the table is.
        entity: The column that names what a row is about.
    """
    target = table[data.target]
    groups = table[entity] if entity is not None and entity in table else None
    found = []
    for name in own_features(table, data):
        own = table[name]
        if pd.api.types.is_numeric_dtype(own) != pd.api.types.is_numeric_dtype(target):
            continue
        for ahead in AHEAD:
            later = target.shift(-ahead) if groups is None else target.groupby(groups, dropna=False).shift(-ahead)
            moved = (later.notna() & own.notna() & target.notna() & (later != target)).to_numpy(dtype=bool)
            if moved.sum() < MOVES:
                continue
            share = float((own[moved] == later[moved]).mean())
            if share >= SAME:
                whose = "" if groups is None else f" of the same {entity}"
                seen = f"is the target {ahead} rows later{whose} in {share:.0%} of the rows: it comes from the future"
                found.append(Leak((name,), "future", seen))
                break
    return found


def open_leaks(table: pd.DataFrame, data: DataParams, *, answered: np.ndarray) -> list[Leak]:
    """Features with a value that rows without a label have, and rows of the same time with one have not.

    Args:
        table: Typed rows in order of time.
        data: What the table is.
        answered: Whether each row's label is known.
    """
    places = np.flatnonzero(~answered), np.flatnonzero(answered)
    if min(map(len, places)) < OWN:
        return []
    both = slice(places[0][0], places[1][-1] + 1)  # from the first that waits to the last that does not
    part, known = table.iloc[both], answered[both]
    if known.sum() < OWN or (~known).sum() < OWN:
        return []
    found = []
    for name in own_features(table, data):
        waits, has = part.loc[~known, name], part.loc[known, name]
        counts = waits.value_counts()
        if not len(counts):
            continue
        value = counts.index[0]
        without, within = float((waits == value).mean()), float((has == value).mean())
        if without >= OFTEN and within <= SELDOM:
            seen = (
                f" in {without:.0%} of the rows without a label and in {within:.0%} of those of that time with one: "
                "it is set only after the event"
            )
            found.append(Leak((name,), "known later", f"is {value!r}{seen}", f"is one and the same{seen}"))
    return found


def split_leaks(
    table: pd.DataFrame, data: DataParams, *, entity: str | None, judge_rows: int, made: Collection[str]
) -> list[Leak]:
    """Rows that judge and whose answer training has seen: twins of training rows, and entities with one answer.

    Args:
        table: Typed rows in order of time.
        data: What the table is.
        entity: The column that names what a row is about.
        judge_rows: The newest rows, which judge.
        made: Features made of the event time, which tell rows apart that are the same.
    """
    rows = table[table[data.target].notna()]
    old, new = rows.iloc[:-judge_rows], rows.iloc[-judge_rows:]
    if len(old) < OWN or len(new) < OWN:
        return []
    return [*_twins(old, new, data, made), *_one_answer(old, new, data, entity)]


def _twins(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, made: Collection[str]) -> list[Leak]:
    told = [name for name in (*own_features(old, data), data.target) if name not in made]
    if len(told) < 3:
        return []
    before, after = (pd.util.hash_pandas_object(rows[told], index=False) for rows in (old, new))
    twins = float(after.isin(before).mean())
    usual = float(before.duplicated(keep=False).mean())  # rows of few values are alike by chance
    if twins < TWINS or usual >= USUAL:
        return []
    seen = (
        f"{twins:.0%} of the rows that judge are in training too, cell for cell but for time and key, and only "
        f"{usual:.0%} of training is there twice"
    )
    return [Leak((DUPLICATES,), DUPLICATES, seen)]


def _one_answer(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, entity: str | None) -> list[Leak]:
    if entity is None or entity not in old or entity == data.target:
        return []
    last = old.dropna(subset=[entity]).drop_duplicates(entity, keep="last").set_index(entity)[data.target]
    shared = new[new[entity].isin(last.index)]
    if len(shared) < OWN or shared[data.target].nunique() < 2:
        return []
    same = float((shared[data.target].to_numpy() == last.reindex(shared[entity]).to_numpy()).mean())
    commonest = float(shared[data.target].value_counts(normalize=True).iloc[0])
    if same < ALONE or commonest >= same:
        return []
    seen = (
        f"{len(shared)} of {len(new)} rows that judge are of a {entity} that training has seen, and {same:.0%} of them "
        "have its answer of then: they say nothing of a new one"
    )
    return [Leak((entity,), "entity", seen)]
