"""What a choice does to the loss: the recipe refitted at several origins with it and without it, on the same rows.

Settings with a few values set otherwise, by dotted key; and those that a backtest can try.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.drift.slices import SliceLoss, SliceParams, slice_table
from retrim.errors import BadInputError
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.gate.losses import SAYABLE, RelativeGain, Resampling, relative_gains
from retrim.stats.codec import to_record
from retrim.stats.metrics import row_losses
from retrim.stats.windows import folds, past_of
from retrim.table.data import ColumnType, DataParams
from retrim.training.recipe import Recipe, WindowKind, WindowLengths, fit_recipe


@dataclass(frozen=True)
class WhatIfSide:
    """One way to make a model.

    Args:
        table: Mature rows in total order with `_key`, `_event` and `_due`, as this way makes them.
        data: What the table is.
        steps: What prepares the features.
        windows: Training windows that compete; the one that counts at first stands first.
        sliding_rows: Rows of a sliding one.
        recipe: What is fitted.
    """

    table: pd.DataFrame
    data: DataParams
    steps: tuple[StepParams, ...]
    windows: tuple[WindowKind, ...]
    sliding_rows: int
    recipe: Recipe


@dataclass(frozen=True)
class ComparedWays:
    """Both settings on the same rows.

    Args:
        keys: Keys of the rows, in time order, shape (n,).
        origins: Number of refits evaluated for each side.
        before: Mean loss with the current settings.
        after: Mean loss with the tried settings.
        gain: Gain as a share of `before`, with its bounds.
        slices: Losses by slice, worst first.
    """

    keys: pd.Series
    origins: int
    before: float
    after: float
    gain: RelativeGain
    slices: tuple[SliceLoss, ...]

    @property
    def sentence(self) -> str:
        """What the interval shows, in one sentence."""
        sure = f"{100 * self.gain.confidence:.12g}% confidence"  # never rounded up to certainty
        if max(abs(end) for end in (self.gain.figure, *self.gain.interval)) > SAYABLE:
            return f"mean loss {self.after:.4g} against {self.before:.4g}; the loss is too small for a relative gain"
        if not any(self.gain.interval):
            return f"no difference: both have the same loss on {len(self.keys)} rows"
        figure, low, high = (f"{each:+.1%}" for each in (self.gain.figure, self.gain.low, self.gain.high))
        if self.gain.low > 0:
            return f"better: gain {figure}, above {low} with {sure}"
        if self.gain.high < 0:
            return f"worse: gain {figure}, below {high} with {sure}"
        return (
            f"no clear difference on {len(self.keys)} rows: gain {figure}; with {sure} at either end it lies between "
            f"{low} and {high}"
        )

    def as_record(self) -> dict[str, JsonValue]:
        return {
            "rows": len(self.keys),
            "origins": self.origins,
            "loss": {"as_is": self.before, "tried": self.after},
            "gain": self.gain.figure,
            "interval": list(self.gain.interval),
            "confidence": self.gain.confidence,
            "sentence": self.sentence,
            "slices": [to_record(each) for each in self.slices],
        }


def judged_keys(table: pd.DataFrame, others: Sequence[pd.DataFrame], *, origins: int, rows: int) -> list[pd.Series]:
    """The keys of the rows that each origin judges, oldest first: those that every side's table holds.

    Args:
        table: As the settings are.
        others: As they are tried.
        origins: How many.
        rows: Rows that each judges; half as many, and again, where they would be more than half of the table.

    Raises:
        ValueError: Too few rows, or no rows in common.
    """
    found = []
    for fold in folds(table["_event"], table["_due"], count=origins, rows=rows):
        keys = table["_key"].iloc[fold.score]
        for other in others:
            keys = keys[keys.isin(other["_key"])]
        if len(keys) >= 2:
            found.append(keys.reset_index(drop=True))
    if not found:
        raise ValueError("the changed settings keep none of the rows that the current settings keep")
    return found


def losses_at(side: WhatIfSide, keys: pd.Series, window: WindowKind, *, loss: str, threads: int) -> np.ndarray:
    """The loss on each judged row of a model fitted on what was due before the first of them, shape (n,).

    Args:
        side: How the model is made.
        keys: Of the judged rows, in time order.
        window: Training window.
        loss: Per-row loss that both sides are measured by.
        threads: Of the fit; changes no result.

    Raises:
        ValueError: Fewer than 2 rows were due before.
    """
    table = side.table
    judged = table[table["_key"].isin(keys)]
    known = past_of(table["_event"], table["_due"], int(judged.index[0]))
    if len(known) < 2:
        raise ValueError(
            f"only {len(known)} rows had a label due before the first holdout row under the changed settings"
        )
    view = FeatureView.learn(table.iloc[known], side.data, side.steps)
    take = WindowLengths(side.sliding_rows).rows(known, window)
    model = fit_recipe(side.recipe, view, table, take=take, past=known, threads=threads)
    return row_losses(loss, view.actual(judged), model.predict(view.matrix(judged)))


def windows_at(side: WhatIfSide, keys: pd.Series) -> list[WindowKind]:
    """The windows that differ on the past of an origin."""
    start = int(side.table.index[side.table["_key"].isin(keys)][0])
    known = past_of(side.table["_event"], side.table["_due"], start)
    return WindowLengths(side.sliding_rows).competing(side.windows, len(known))


def counted(origins: Sequence[Mapping[WindowKind, np.ndarray]]) -> np.ndarray:
    """One loss a row, all origins after one another: of the window that lost least at the origins before.

    At the first origin it is the first window. The best of several on the very rows that judge would be luck in part.
    """
    parts = []
    for place, losses in enumerate(origins):
        before = {kind: [each[kind] for each in origins[:place] if kind in each] for kind in losses}
        known = {kind: float(np.concatenate(each).mean()) for kind, each in before.items() if each}
        parts.append(losses[min(known, key=lambda kind: known[kind]) if known else next(iter(losses))])
    return np.concatenate(parts)


def compare_ways(
    before: np.ndarray,
    after: np.ndarray,
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    *,
    origins: int,
    slices: SliceParams,
    confidence: float,
    slice_confidence: float,
    resampling: Resampling,
) -> ComparedWays:
    """The paired comparison, as the gate makes it.

    Args:
        before: Loss on each judged row as the settings are, in time order, shape (n,).
        after: As tried, on the same rows.
        rows: Those rows, with the features and `_key`.
        features: By which it is sliced, and their types.
        origins: How many refits were judged.
        slices: How slices are cut.
        confidence: One-sided, of either bound of the gain.
        slice_confidence: Two-sided, of a slice's interval.
        resampling: Draws, blocks, seed.
    """
    (gain,) = relative_gains(after, before, confidences=(confidence,), resampling=resampling)
    found = slice_table(
        rows, after, before, features, slices, confidence=slice_confidence, block_rows=resampling.block_rows
    )
    ranked = sorted(found, key=lambda each: (0.0 if each.saved is None else each.saved[0], each.column, each.name))
    return ComparedWays(rows["_key"], origins, float(before.mean()), float(after.mean()), gain, tuple(ranked))


FACTS = {
    "reading": "it determines how files are read when they land, and landed rows were read with the old value; land "
    "the files in a separate workspace (retrim new) and compare the two",
    "data.model": "it only names the model",
    "data.key": "it determines how rows are identified, and landed rows already have their keys",
    "data.task": "both sides have to predict the same outcome",
    "data.positive": "both sides have to predict the same outcome",
    "data.labels": "it says how labels arrive, which is the same on both sides",
    "data.rows.resample": "rows of a different granularity are different rows with different labels; land the files "
    "in a separate workspace (retrim new) and compare the two",
    "data.label_horizon": "it says when labels are known, which is the same on both sides",
}
"""Keys that no backtest can try, and why."""


def changed(document: Mapping[str, JsonValue], changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The document with each dotted key set to its value; the document itself stays as it is.

    A name with dots in it is found where it stands: the longest one goes first.

    Raises:
        BadInputError: A key lies below a value that holds no keys.
    """
    made: dict[str, JsonValue] = dict(document)
    for key, value in changes.items():
        _set(made, key.split("."), value, key)
    return made


def _set(section: dict[str, JsonValue], words: list[str], value: Any, key: str) -> None:
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name in section or count == 1:
            break
    if count == len(words):
        section[name] = value
        return
    below = {} if section.get(name) is None else section[name]  # a section that is off
    if not isinstance(below, Mapping):
        place = key.removesuffix("." + ".".join(words[count:]))
        raise BadInputError(f"{key}: {place} is {below!r}, which is not a mapping; set all of {place} at once")
    inner = dict(below)
    section[name] = inner
    _set(inner, words[count:], value, key)


def value_at(document: Mapping[str, JsonValue], key: str) -> Any:
    """What stands at a dotted key, names with dots in them found as `changed` finds them; None where nothing does."""
    words = key.split(".")
    for count in range(len(words), 0, -1):
        name = ".".join(words[:count])
        if name in document:
            found, rest = document[name], ".".join(words[count:])
            if not rest:
                return found
            return value_at(found, rest) if isinstance(found, Mapping) else None
    return None


def refuse_facts(keys: Mapping[str, JsonValue]) -> None:
    """Refuses keys whose effect no backtest of landed rows can show.

    Raises:
        BadInputError: Names the key, and says why.
    """
    for key in keys:
        for fact, why in FACTS.items():
            if key == fact or key.startswith(f"{fact}."):
                raise BadInputError(f"{key} cannot be tried on rows that have landed: {why}")


def refuse_other_facts(document: Mapping[str, JsonValue], tried: Mapping[str, JsonValue]) -> None:
    """Refuses the same keys where a whole section was set, and one of them became another with it.

    Raises:
        BadInputError: Names the first such key, and says why.
    """
    refuse_facts({fact: None for fact in FACTS if value_at(document, fact) != value_at(tried, fact)})
