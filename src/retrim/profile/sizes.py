"""Values of params.yaml that depend on how many rows come, and how.

A draft of what must be true of every row: types, keys, and bounds that a column's meaning sets.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.profile.columns_of_raw import Aim
from retrim.profile.rhythm import Rhythm, TableSeason, span_text
from retrim.table.data import DataParams
from retrim.table.derived_columns import PARTS
from retrim.table.reading import ReadingParams

LEAST_ROWS = 120
"""Rows below which no judging block, no folds and no training rows can be cut that would say anything."""
POSITIVES = 50
"""Rows of the rarer class that a judging block should hold."""
BLOCKS = 8
"""Blocks that a judging block should hold, so that the gate's bound means something."""

SEARCHED = 16
"""A search scores one row in that many a fold, at least: about a tenth of the history that version 1 is made from.

A batch alone is too few on a long table: rounds and learning rate are then chosen by its noise.
"""


@dataclass(frozen=True)
class SettingChoice:
    """A value for params.yaml, and the reason that stands beside it; empty: what stands there is right."""

    value: Any
    why: str


Choices = Mapping[tuple[str, ...], SettingChoice]


def judging_rows(n: int, rhythm: Rhythm, aim: Aim) -> int:
    """Rows to keep back for the gate: a usual batch or two, enough of the rarer class, and an eighth of all at most."""
    wanted = max(200, rhythm.batch_rows if rhythm.batch_rows >= 150 else 2 * rhythm.batch_rows)
    if aim.task == "binary" and aim.rarest:
        wanted = max(wanted, int(POSITIVES / aim.rarest))
    return int(np.clip(wanted, 24, max(n // 8, 24)))


def floors_of(aim: Aim, season: TableSeason | None) -> list[str]:
    """Naive baselines that the gate asks a model to beat."""
    floors = ["last_value"] if aim.task == "regression" else []
    return [*floors, "seasonal_mean" if season is not None else "mean"]


def sizes(
    n: int, rhythm: Rhythm, aim: Aim, *, judge_rows: int, block_rows: int, season: TableSeason | None, features: int
) -> Choices:
    """Every value that depends on the number of rows, by its place in params.yaml.

    Args:
        n: Labelled rows.
        rhythm: How they follow one another.
        aim: What is predicted.
        judge_rows: Rows kept back for the gate.
        block_rows: For how many rows errors stay alike.
        season: Of the target, if it has one.
        features: How many there are.
    """
    usual = max(rhythm.batch_rows, 2)
    rounds = 800 if aim.task == "regression" else 400 if aim.task == "binary" else 150
    leaves = (7, 31) if n < 2000 else (15, 127)
    leaf = int(np.clip(n // 100, 20, 200))
    floors = floors_of(aim, season)
    chosen: dict[tuple[str, ...], SettingChoice] = {
        ("split", "judge_rows"): SettingChoice(judge_rows, f"of {n} rows; a usual batch has {usual}"),
        ("split", "sliding_rows"): SettingChoice(max(n // 4, 4 * judge_rows), f"a quarter of {n}"),
        ("judge", "loss"): SettingChoice(aim.loss, ""),
        ("judge", "metrics"): SettingChoice(list(aim.metrics), ""),
        ("judge", "block_rows"): SettingChoice(
            block_rows, "the autocorrelation of a first model's errors falls below 0.2 there"
        ),
        ("tune", "fold_rows"): SettingChoice(
            max(judge_rows, n // SEARCHED), f"a {SEARCHED}th of {n}, and as many as judge at least"
        ),
        ("tune", "max_rounds"): SettingChoice(rounds, ""),
        ("tune", "space", "num_leaves"): SettingChoice({"low": leaves[0], "high": leaves[1], "log": True}, ""),
        ("tune", "space", "min_child_samples"): SettingChoice({"low": 5, "high": leaf, "log": True}, ""),
        ("tune", "space", "feature_fraction"): SettingChoice({"low": 0.5 if features < 40 else 0.3, "high": 1.0}, ""),
        ("gate", "min_rows"): SettingChoice(max(judge_rows // 2, 2), "half of those that judge"),
        ("gate", "floor"): SettingChoice(floors, ""),
        ("probe", "min_rows"): SettingChoice(max(usual // 4, 12), "a quarter of a usual batch"),
        ("account", "usual_rows"): SettingChoice(usual, f"a batch of {rhythm.batch_every}"),
    }
    if season is not None:
        chosen[("gate", "season")] = SettingChoice(season.span, f"it explains {season.gain:.0%} of the variance ahead")
    return chosen


def horizon_of(rhythm: Rhythm) -> tuple[str, str]:
    """A label's horizon where no label time is known, and why: a step of the rhythm, or a day."""
    if rhythm.regular and rhythm.step <= pd.Timedelta("1D"):
        return span_text(
            rhythm.step
        ), "one step of the table: the answer is taken to be known when the next row is (--horizon says otherwise)"
    return "1D", "assumed: nothing in the table says when the answer is known (--horizon says otherwise)"


STORED = {"number": "float64", "integer": "float64", "category": "str", "time": "Timestamp"}
HELD_OUT = 0.5
"""Share of the history, its newest, on which an expectation drafted from the older part is tried."""
MEANT: tuple[tuple[str, float | None, float | None, str], ...] = (
    (r"(^|[_ -])(hour|hr)($|[_ -])", 0, 23, "a day has 24 hours"),
    (r"(^|[_ -])(weekday|dayofweek|dow)$", 0, 7, "a week has 7 days"),
    (r"(^|[_ -])month$", 1, 12, "a year has 12 months"),
    (r"(^|[_ -])(percent|pct)($|[_ -])", 0, 100, "percent"),
    (r"(^|[_ -])(lat|latitude)$", -90, 90, "degrees of latitude"),
    (r"(^|[_ -])(lon|lng|longitude)$", -180, 360, "degrees of longitude"),
    (r"(^|[_ -])age$", 0, 130, "longer than any documented life"),
    (r"(^|[_ -])humidity($|[_ -])", 0, 100, "relative humidity is a share"),
)
"""What a name says of a number, where the older rows agree."""
COUNTS = re.compile(
    r"(^|[_ -])(count|number|num|qty|quantity|volume|distance|duration|weight|height|length|price|amount|speed|pressure"
    r"|trips|rides|sales|visits)s?($|[_ -])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ExpectationDraft:
    """One expectation, and how often it would have set a batch aside for nothing.

    Args:
        expectation: As the suite holds it.
        blocked: Held-out past batches that break it.
        batches: Held-out past batches.
    """

    expectation: dict[str, Any]
    blocked: int
    batches: int

    @property
    def kept(self) -> bool:
        """One that would have blocked any of them is dropped: those batches were real."""
        return self.blocked == 0

    def as_record(self) -> dict[str, Any]:
        return {**self.expectation, "blocked": self.blocked, "batches": self.batches, "kept": self.kept}


def draft_suite(
    older: pd.DataFrame, held_out: Sequence[pd.DataFrame], data: DataParams, reading: ReadingParams
) -> list[ExpectationDraft]:
    """Expectations drafted from the older rows, each tried on every later batch.

    Args:
        older: Typed rows of the first part of the history.
        held_out: Typed rows of each later batch.
        data: What the table is.
        reading: Which columns are made.
    """
    drafted: list[dict[str, Any]] = [
        _expect("not_be_null", "_key"),
        _expect("be_unique", "_key", source="a key names one row of a batch"),
    ]
    for name, column in data.columns.items():
        drafted.append(_expect("be_of_type", name, type_=STORED[column.type]))
        if column.role in ("time", "due") or name in reading.calendar:
            drafted.append(_expect("not_be_null", name))
        if column.type in ("number", "integer"):
            drafted += _bounds(name, older[name].dropna(), reading)
        elif column.role == "target" and older[name].nunique() == 2:
            drafted.append(
                _expect("be_in_set", name, value_set=sorted(older[name].dropna().unique()), source="one of two answers")
            )
    return [ExpectationDraft(one, sum(breaks(batch, one) for batch in held_out), len(held_out)) for one in drafted]


def _expect(kind: str, column: str, *, source: str = "", **kwargs: Any) -> dict[str, Any]:
    expectation: dict[str, Any] = {"type": f"expect_column_values_to_{kind}", "kwargs": {"column": column, **kwargs}}
    if source:
        expectation["meta"] = {"source": source}
    return expectation


def _bounds(name: str, values: pd.Series, reading: ReadingParams) -> list[dict[str, Any]]:
    if name in reading.calendar:
        low, high = PARTS[reading.calendar[name]]
        return [_expect("be_between", name, min_value=low, max_value=high, source="a part of the calendar")]
    if not len(values):
        return []
    for pattern, low_, high_, source in MEANT:
        if re.search(pattern, name, re.IGNORECASE) and values.between(low_ or -np.inf, high_ or np.inf).all():
            return [_expect("be_between", name, min_value=low_, max_value=high_, source=source)]
    if COUNTS.search(name) and (values >= 0).all():
        return [_expect("be_between", name, min_value=0, source="its name says that it counts or measures from 0")]
    return []


def breaks(batch: pd.DataFrame, expectation: Mapping[str, Any]) -> bool:
    """Whether a batch of typed rows breaks an expectation of a kind that is drafted here."""
    kwargs = expectation["kwargs"]
    kind = str(expectation["type"]).removeprefix("expect_column_values_to_")
    name = kwargs["column"]
    if name == "_key":
        return False  # keys are made or were checked before
    values = batch[name]
    if kind == "not_be_null":
        return bool(values.isna().any())
    present = values.dropna()
    if kind == "be_between":
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        return bool(
            ((present < low).any() if low is not None else False)
            or ((present > high).any() if high is not None else False)
        )
    if kind == "be_in_set":
        return bool((~present.isin(kwargs["value_set"])).any())
    return False


def suite_of(name: str, drafts: Sequence[ExpectationDraft]) -> dict[str, Any]:
    """The suite of those that are kept, each with the batches it was tried on."""
    kept = []
    for draft in drafts:
        if draft.kept:
            meta = {**draft.expectation.get("meta", {}), "false_blocks": f"0 of {draft.batches} held-out batches"}
            kept.append({**draft.expectation, "meta": meta} if draft.batches else draft.expectation)
    return {
        "name": name,
        "meta": {
            "binds": "types, keys and physical bounds; never the distribution or the levels of a reference window"
        },
        "expectations": kept,
    }
