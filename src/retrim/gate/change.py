"""What a change of settings or code does to the loss, judged as the gate judges a challenger.

A changed setting is refitted at several origins, with and without the change, and both sides are judged on the same
rows. Settings are changed by dotted key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.errors import BadInputError
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.gate.losses import RelativeGain, confidence_text, relative_gains, share_in_words
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import Resampling
from retrim.stats.metrics import row_losses
from retrim.stats.windows import folds, past_of
from retrim.table.data import DataParams
from retrim.training.recipe import Recipe, WindowKind, WindowLengths, fit_recipe

Outcome = Literal["nothing to replay", "same", "better", "not worse", "unclear", "worse", "failed"]
FACTS = {
    "reading": "it determines how files are read when they land, and landed rows were read with the old value; land "
    "the files in a separate workspace (retrim new) and compare the two",
    "data.model": "it only names the model",
    "data.key": "it determines how rows are identified, and landed rows already have their keys",
    "data.task": "both sides have to predict the same outcome",
    "data.positive": "both sides have to predict the same outcome",
    "data.labels": "it says how labels arrive, which is the same on both sides",
    "data.label_horizon": "it says when labels are known, which is the same on both sides",
}
"""Keys that no backtest can try, and why."""


@dataclass(frozen=True)
class ChangeVerdict:
    """Losses before and after a change on the rows that both sides judge.

    Args:
        rows: Number of rows.
        before: Mean loss without the change; None without rows.
        after: Mean loss with the change; None without rows.
        gain: Gain of the change, as a share of `before`; None without rows.
        outcome: The outcome in one word.
        sentence: The reason for the outcome.
    """

    rows: int
    before: float | None
    after: float | None
    gain: RelativeGain | None
    outcome: Outcome
    sentence: str


def judge_change(before: np.ndarray, after: np.ndarray, gate: GateParams, resampling: Resampling) -> ChangeVerdict:
    """Better at the gate's confidence, or surely not worse by more than its margin, or unclear; of the same rows."""
    if not len(before):
        why = "no row was judged on both sides, so nothing can be compared"
        return ChangeVerdict(0, None, None, None, "failed", why)
    margin = gate.non_inferiority
    confidences = (gate.confidence, gate.confidence if margin is None else margin.confidence)
    gain, surer = relative_gains(after, before, confidences, resampling)
    outcome, sentence = _outcome(gain, surer, len(before), gate, is_same=np.array_equal(before, after))
    return ChangeVerdict(len(before), float(before.mean()), float(after.mean()), gain, outcome, sentence)


def _outcome(
    gain: RelativeGain, surer: RelativeGain, rows: int, gate: GateParams, *, is_same: bool
) -> tuple[Outcome, str]:
    if is_same:
        return "same", f"both sides have the same loss on each of {rows} rows"
    figure, low, high = (share_in_words(value) for value in (gain.figure, gain.low, gain.high))
    confidence = f"{confidence_text(gain.confidence)} confidence"
    if gain.low > 0:
        return "better", f"gain {figure}, above {low} with {confidence}"
    if gain.high < 0:
        return "worse", f"gain {figure}, below {high} with {confidence}"
    margin = gate.non_inferiority
    if margin is not None and surer.low >= -margin.most:
        surely = f"above {share_in_words(surer.low)} with {confidence_text(surer.confidence)} confidence"
        return "not worse", f"gain {figure}, {surely}, where at least -{margin.most:.1%} is required"
    between = f"between {low} and {high} with {confidence} at either end"
    return "unclear", f"gain {figure}, {between}: {rows} rows do not show that the change is not worse"


@dataclass(frozen=True)
class RefitSide:
    """One way to make a model."""

    table: pd.DataFrame  # mature rows in total order with `_key`, `_event` and `_due`, as this way makes them
    data: DataParams
    steps: tuple[StepParams, ...]  # what prepares the features
    windows: tuple[WindowKind, ...]  # training windows that compete; the one that counts at first stands first
    sliding_rows: int  # rows of a sliding one
    recipe: Recipe


def judged_keys(table: pd.DataFrame, others: Sequence[pd.DataFrame], *, origins: int, rows: int) -> list[pd.Series]:
    """The keys of the rows that each origin judges, oldest first: those that every side's table holds.

    Raises:
        ValueError: Too few rows, or no rows in common.
    """
    origins_keys = []
    for fold in folds(table["_event"], table["_due"], count=origins, rows=rows):
        keys = table["_key"].iloc[fold.score]
        for other in others:
            keys = keys[keys.isin(other["_key"])]
        if len(keys) >= 2:
            origins_keys.append(keys.reset_index(drop=True))
    if not origins_keys:
        raise ValueError("the changed settings keep none of the rows that the current settings keep")
    return origins_keys


def losses_at(side: RefitSide, keys: pd.Series, window: WindowKind, *, loss: str, threads: int) -> np.ndarray:
    """The loss on each judged row of a model fitted on what was due before the first of them, shape (n,).

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


def windows_at(side: RefitSide, keys: pd.Series) -> list[WindowKind]:
    """The windows that differ on the past of an origin."""
    start = int(side.table.index[side.table["_key"].isin(keys)][0])
    known = past_of(side.table["_event"], side.table["_due"], start)
    return WindowLengths(side.sliding_rows).competing(side.windows, len(known))


def counted(origins: Sequence[Mapping[WindowKind, np.ndarray]]) -> np.ndarray:
    """One loss a row, all origins after one another: of the window that lost least at the origins before.

    At the first origin it is the first window. The best of several on the very rows that judge would be luck in part.
    """
    parts = []
    for number, losses in enumerate(origins):
        before = {kind: [earlier[kind] for earlier in origins[:number] if kind in earlier] for kind in losses}
        known = {kind: float(np.concatenate(earlier).mean()) for kind, earlier in before.items() if earlier}
        parts.append(losses[min(known, key=lambda kind: known[kind]) if known else next(iter(losses))])
    return np.concatenate(parts)


def changed(document: Mapping[str, JsonValue], changes: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The document with each dotted key set to its value; the document itself stays as it is.

    A name with dots in it is found where it stands: the longest one goes first.

    Raises:
        BadInputError: A key lies below a value that holds no keys.
    """
    copy: dict[str, JsonValue] = dict(document)
    for key, value in changes.items():
        section, (name, rest) = copy, _first_name(copy, key)
        while rest:
            below = {} if section.get(name) is None else section[name]  # a section that is off
            if not isinstance(below, Mapping):
                parent = key.removesuffix(f".{rest}")
                raise BadInputError(
                    f"{key}: {parent} is {below!r}, which is not a mapping; set all of {parent} at once"
                )
            section[name] = inner = dict(below)
            section, (name, rest) = inner, _first_name(inner, rest)
        section[name] = value
    return copy


def _first_name(section: Mapping[str, JsonValue], key: str) -> tuple[str, str]:
    """The longest name of a section that a dotted key begins with, its first word where none does; and the rest."""
    words = key.split(".")
    names = [".".join(words[:count]) for count in range(len(words), 0, -1)]
    name = next((name for name in names if name in section), words[0])
    return name, key[len(name) + 1 :]


def value_at(document: Mapping[str, JsonValue], key: str) -> Any:
    """What stands at a dotted key, names with dots in them found as `changed` finds them; None where nothing does."""
    name, rest = _first_name(document, key)
    value = document.get(name)
    if not rest:
        return value
    return value_at(value, rest) if isinstance(value, Mapping) else None


def refuse_facts(keys: Mapping[str, JsonValue]) -> None:
    """Refuses keys whose effect no backtest of landed rows can show.

    Raises:
        BadInputError: Names the key, and says why.
    """
    for key, (fact, why) in product(keys, FACTS.items()):
        if f"{key}.".startswith(f"{fact}."):
            raise BadInputError(f"{key} cannot be tried on rows that have landed: {why}")


def refuse_other_facts(document: Mapping[str, JsonValue], tried: Mapping[str, JsonValue]) -> None:
    """Refuses the same keys where a whole section was set, and one of them became another with it."""
    refuse_facts({fact: None for fact in FACTS if value_at(document, fact) != value_at(tried, fact)})
