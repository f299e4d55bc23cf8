"""Preprocessing steps for categories: codes that need no target, the target code, and rare levels merged."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from retrim.errors import BadInputError
from retrim.features.step import (
    CATEGORIES,
    Frame,
    PreprocessingStep,
    StepColumn,
    StepState,
    TrainingRows,
    counts_of,
    estimator_to_record,
    same,
    step,
    transform_texts,
)


def _all_apart(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} twice; a level has one place")
    return names


Order = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_apart)]


@step("one_hot", takes=CATEGORIES, gives="gone")
class OneHot(PreprocessingStep):
    """`COLUMN=LEVEL` for each of the most frequent levels: 1 or 0; missing where the cell is.

    A row of another level has 0 in all of them.
    """

    def learn(self, past: TrainingRows, *, most_levels: Annotated[int, Field(ge=1, le=10_000)]) -> StepState:
        from sklearn.preprocessing import OneHotEncoder

        kept = {name: sorted(list(counts_of(values))[:most_levels]) for name, values in past.frame.items()}
        of: dict[str, str] = {}
        for name, levels in kept.items():
            for column in (f"{name}={level}" for level in levels):
                if of.setdefault(column, name) != name:
                    raise BadInputError(
                        f"prepare.steps: one_hot makes {column!r} of {of[column]!r} and of {name!r}; rename one of them"
                    )
        fitted = {
            name: estimator_to_record(OneHotEncoder(categories=[levels], handle_unknown="ignore", sparse_output=False))
            for name, levels in kept.items()
            if levels
        }
        return StepState(
            {"fitted": fitted}, {name: StepColumn("number", of[name]) for name in of}, drops=tuple(past.frame)
        )

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made: Frame = {}
        for name, record in state["fitted"].items():
            (levels,) = record["parameters"]["categories"]
            encoded = transform_texts([record], frame[name], width=len(levels), nested=True)
            made |= {f"{name}={level}": encoded[:, place] for place, level in enumerate(levels)}
        return made


@step("ordinal", takes=CATEGORIES, gives="number")
class Ordinal(PreprocessingStep):
    """The place of a level in the declared order, from 0 on; missing for a level that is not in it."""

    def learn(self, past: TrainingRows, *, order: Order) -> StepState:
        from sklearn.preprocessing import OrdinalEncoder

        said = {
            name: {"not in order": sorted(set(counts_of(values)) - set(order))[:20]}
            for name, values in past.frame.items()
        }
        encoder = OrdinalEncoder(categories=[list(order)], handle_unknown="use_encoded_value", unknown_value=-1)
        state = {"fitted": [estimator_to_record(encoder)], "levels": {name: list(order) for name in past.frame}}
        return StepState(state, same(past, "number"), said=said)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        fitted = state["fitted"]
        codes = {n: transform_texts(fitted, values, width=1, nested=True)[:, 0] for n, values in frame.items()}
        return {name: np.where(values < 0, np.nan, values) for name, values in codes.items()}


@step("frequency", takes=CATEGORIES, gives="number")
class Frequency(PreprocessingStep):
    """The share of the training rows with a level that had this one; 0 for an unseen level."""

    def learn(self, past: TrainingRows) -> StepState:
        shares = {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            shares[name] = {level: count / rows for level, count in counts.items()}
        return StepState({"levels": shares}, same(past, "number"))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {
            name: np.array(
                [np.nan if value is None else state["levels"][name].get(value, 0.0) for value in values],
                dtype="float64",
            )
            for name, values in frame.items()
        }


@step("rare", takes=CATEGORIES, gives="category")
class RareLevels(PreprocessingStep):
    """Levels under a share of the training rows become one; an unseen level becomes it too, or missing."""

    def learn(
        self,
        past: TrainingRows,
        *,
        under: Annotated[float, Field(gt=0, lt=1)],
        into: Annotated[str, Field(min_length=1)],
        unseen: Literal["merge", "missing"],
    ) -> StepState:
        kept, said, levels = {}, {}, {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            kept[name] = sorted(level for level, count in counts.items() if count >= under * rows)
            levels[name] = sorted(counts)
            said[name] = {"levels": len(counts), "kept": len(kept[name])}
        rare = {name: sorted(set(levels[name]) - set(kept[name])) if unseen == "missing" else None for name in kept}
        state = {"kept": kept, "rare": rare, "into": into, "levels": levels}
        return StepState(state, same(past, "category"), said=said)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            kept, rare = set(state["kept"][name]), state["rare"][name]
            merged = None if rare is None else set(rare)
            into = [
                value
                if value is None or value in kept
                else (state["into"] if merged is None or value in merged else None)
                for value in values
            ]
            made[name] = np.array(into, dtype=object)
        return made


@step("target_code", takes=CATEGORIES, gives="gone")
class TargetCode(PreprocessingStep):
    """`COLUMN:target`: the mean target of the rows with a level, drawn to the mean of all; of several classes one each.

    A row that a model is fitted on is coded by rows alone that came before it and whose label was due by its event,
    never by its own label; before any was due the code is missing. Other rows are coded by all training rows. A
    missing cell is a level of its own; an unseen level has the mean of all.

    Source:
        Micci-Barreca (2001), SIGKDD Explorations 3(1), 27-32, with a fixed weight in place of his sigmoid; the order as
        in Prokhorenkova et al. (2018), CatBoost, NeurIPS 31, by time in place of a drawn permutation.
    """

    def learn(self, past: TrainingRows, *, smoothing: Annotated[float, Field(ge=0, le=1e9)]) -> StepState:
        outcomes = past.outcomes
        prior = [float(each.mean()) if past.rows else 0.0 for each in outcomes.values()]
        levels, missing = {}, {}
        for name, values in past.frame.items():
            found = list(counts_of(values))
            codes = _codes(values, found)
            rows = np.bincount(codes, minlength=len(found) + 1)
            means = [
                np.bincount(codes, each, minlength=len(found) + 1) / np.maximum(rows, 1) for each in outcomes.values()
            ]
            shares = [[float(part[place]) for part in means] for place in range(len(found) + 1)]
            levels[name] = {level: [int(rows[place]), *shares[place]] for place, level in enumerate(found)}
            missing[name] = [int(rows[-1]), *shares[-1]]
        state = {"smoothing": smoothing, "prior": prior, "levels": levels, "missing": missing, "of": list(outcomes)}
        makes = {_name(name, of): StepColumn("number", name) for name in past.frame for of in outcomes}
        return StepState(state, makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            levels, missing = state["levels"][name], state["missing"][name]
            unseen = [0, *([0.0] * len(state["of"]))]
            found = np.array(
                [missing if value is None else levels.get(value, unseen) for value in values], dtype="float64"
            ).reshape(len(values), 1 + len(state["of"]))
            for place, of in enumerate(state["of"]):
                rows, prior = found[:, 0], np.full(len(found), state["prior"][place])
                made[_name(name, of)] = _drawn(rows * found[:, place + 1], rows, prior, state["smoothing"])
        return made

    def train(self, past: TrainingRows, state: Mapping[str, Any]) -> Frame:
        made, event = {}, past.event.astype("int64")
        # A label that is due with its own event would be known of itself, and of those beside it.
        available = np.maximum(past.due.astype("int64"), event + 1)
        everything = np.zeros(past.rows, dtype="int64")
        outcomes = past.outcomes
        for name, values in past.frame.items():
            codes = _codes(values, list(counts_of(values)))
            for of in state["of"]:
                rows, sums = _before(codes, event, available, outcomes[of])
                every, total = _before(everything, event, available, outcomes[of])
                prior = np.divide(total, every, out=np.full(past.rows, np.nan), where=every > 0)
                made[_name(name, of)] = _drawn(sums, rows, prior, state["smoothing"])
        return made


def _name(column: str, of: str) -> str:
    return f"{column}:target={of}" if of else f"{column}:target"


def _codes(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """The place of each value among the levels; the place after the last for a missing one."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([len(levels) if value is None else places[value] for value in values], dtype="int64")


def _drawn(sums: np.ndarray, rows: np.ndarray, prior: np.ndarray, smoothing: float) -> np.ndarray:
    weight = rows + smoothing
    return np.where(weight > 0, (sums + smoothing * prior) / np.where(weight > 0, weight, 1.0), prior)


def _before(
    codes: np.ndarray, event: np.ndarray, available: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row: how many rows of its code were available by its event, and the sum of their outcomes."""
    n = len(codes)
    if not n:
        return np.zeros(0), np.zeros(0)
    ranks = np.unique(np.concatenate([event, available]), return_inverse=True)[1]
    width = int(ranks.max()) + 1
    order = np.lexsort((available, codes))
    keys = codes[order] * width + ranks[n:][order]
    # Within each code: of sums that ran over all of them, a code with small outcomes would be what rounding left.
    sums = np.append(pd.Series(outcome[order]).groupby(codes[order], sort=False).cumsum().to_numpy(), 0.0)
    starts = np.searchsorted(codes[order], codes, side="left")
    ends = np.searchsorted(keys, codes * width + ranks[:n], side="right")
    return (ends - starts).astype("float64"), sums[np.where(ends > starts, ends - 1, n)]
