"""Target encoding, in order of time: what rows with a level came to, as far as it was known when a row happened."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.prepare.sheet import held
from retrim.core.prepare.step import CATEGORIES, Frame, Learned, Made, Past, Step, counts_of, step

LARGE = 1e280
"""Targets beyond it are scaled: so many rows as there can be of smaller ones never sum to infinity."""


@step("target_code", takes=CATEGORIES, gives="gone")
class TargetCode(Step):
    """`COLUMN:target`: the mean target of the rows with a level, drawn to the mean of all; of several classes one each.

    A row that a model is fitted on is coded by rows alone that came before it and whose label was due by its event,
    never by its own label; before any was due the code is missing. Other rows are coded by all training rows. A
    missing cell is a level of its own; an unseen level has the mean of all.

    Source:
        Micci-Barreca (2001), SIGKDD Explorations 3(1), 27-32, with a fixed weight in place of his sigmoid; the order as
        in Prokhorenkova et al. (2018), CatBoost, NeurIPS 31, by time in place of a drawn permutation.
    """

    def learn(self, past: Past, *, smoothing: Annotated[float, Field(ge=0, le=1e9)]) -> Learned:
        outcomes, scales = past.outcomes, [_scale(each) for each in past.outcomes.values()]
        prior = [
            float(held((each / scale).mean() * scale)) if past.rows else 0.0
            for each, scale in zip(outcomes.values(), scales, strict=True)
        ]
        levels, missing = {}, {}
        for name, values in past.frame.items():
            found = list(counts_of(values))
            codes = _codes(values, found)
            rows = np.bincount(codes, minlength=len(found) + 1)
            means = [
                held(np.bincount(codes, each / scale, minlength=len(found) + 1) / np.maximum(rows, 1) * scale)
                for each, scale in zip(outcomes.values(), scales, strict=True)
            ]
            shares = [[float(part[place]) for part in means] for place in range(len(found) + 1)]
            levels[name] = {level: [int(rows[place]), *shares[place]] for place, level in enumerate(found)}
            missing[name] = [int(rows[-1]), *shares[-1]]
        state = {"smoothing": smoothing, "prior": prior, "levels": levels, "missing": missing, "of": list(outcomes)}
        makes = {_name(name, of): Made("number", name) for name in past.frame for of in outcomes}
        return Learned(state, makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            levels, missing = state["levels"][name], state["missing"][name]
            unseen = [0, *([0.0] * len(state["of"]))]
            found = np.array(
                [missing if value is None else levels.get(value, unseen) for value in values], dtype="float64"
            ).reshape(len(values), 1 + len(state["of"]))
            for place, of in enumerate(state["of"]):
                rows = found[:, 0]
                prior = np.full(len(rows), state["prior"][place])
                # Of each row by itself: a row alone is coded as among others.
                largest = np.maximum(np.abs(found[:, place + 1]), np.abs(prior))
                scale = np.where(largest > LARGE, largest, 1.0)
                sums = rows * (found[:, place + 1] / scale)
                made[_name(name, of)] = held(_drawn(sums, rows, prior / scale, state["smoothing"]) * scale)
        return made

    def train(self, past: Past, state: Mapping[str, Any]) -> Frame:
        made, event = {}, past.event.astype("int64")
        # A label that is due with its own event would be known of itself, and of those beside it.
        available = np.maximum(past.due.astype("int64"), event + 1)
        everything = np.zeros(past.rows, dtype="int64")
        outcomes = past.outcomes
        for name, values in past.frame.items():
            codes = _codes(values, list(counts_of(values)))
            for of in state["of"]:
                scale = _scale(outcomes[of])
                small = outcomes[of] / scale
                rows, sums = _before(codes, event, available, small)
                every, total = _before(everything, event, available, small)
                prior = np.divide(total, every, out=np.full(past.rows, np.nan), where=every > 0)
                made[_name(name, of)] = held(_drawn(sums, rows, prior, state["smoothing"]) * scale)
        return made


def _name(column: str, of: str) -> str:
    return f"{column}:target={of}" if of else f"{column}:target"


def _codes(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """The place of each value among the levels; the place after the last for a missing one."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([len(levels) if value is None else places[value] for value in values], dtype="int64")


def _scale(values: np.ndarray) -> float:
    """What numbers are counted in, so that no sum of them overflows; 1 but for the very largest."""
    largest = float(np.abs(values).max(initial=0.0))
    return largest if largest > LARGE else 1.0


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
