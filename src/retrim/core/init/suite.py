"""A draft of what must be true of every row: types, keys, and bounds that a column's meaning sets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.made import PARTS
from retrim.core.reading import ReadingParams
from retrim.core.table import DataParams

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
class Draft:
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
) -> list[Draft]:
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
    return [Draft(one, sum(breaks(batch, one) for batch in held_out), len(held_out)) for one in drafted]


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


def suite_of(name: str, drafts: Sequence[Draft]) -> dict[str, Any]:
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
