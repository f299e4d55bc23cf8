"""The suite of a table, drafted from its older rows: types, keys and physical bounds, tried on later batches."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from pydantic import JsonValue

from retrim.stats.codec import to_record
from retrim.table.data import DataParams
from retrim.table.derived_columns import PARTS
from retrim.table.fault import Expectation, Suite
from retrim.table.reading import ReadingParams

BINDS = "types, keys and physical bounds; never the distribution or the levels of a reference window"
STORED = {"number": "float64", "integer": "float64", "category": "str", "time": "Timestamp"}
MEANT: tuple[tuple[str, float, float, str], ...] = (
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
    """A drafted expectation, and how many past batches it would have quarantined.

    Args:
        expectation: As the suite holds it.
        blocked: Held-out past batches that break it.
        batches: Number of held-out past batches.
    """

    expectation: Expectation
    blocked: int
    batches: int

    @property
    def kept(self) -> bool:
        """Whether the draft is kept: an expectation that any held-out batch breaks is dropped."""
        return self.blocked == 0

    def as_record(self) -> dict[str, Any]:
        return {**to_record(self.expectation), "blocked": self.blocked, "batches": self.batches, "kept": self.kept}


def draft_suite(
    older: pd.DataFrame, held_out: Sequence[pd.DataFrame], data: DataParams, reading: ReadingParams
) -> list[ExpectationDraft]:
    """Expectations drafted from the older rows, each tried on every later batch."""
    drafted: list[Expectation] = [
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
                _expect("be_in_set", name, value_set=sorted(older[name].dropna().unique()), source="one of two values")
            )
    return [ExpectationDraft(one, sum(breaks(batch, one) for batch in held_out), len(held_out)) for one in drafted]


def _expect(kind: str, column: str, *, source: str = "", **kwargs: Any) -> Expectation:
    meta: dict[str, JsonValue] | None = {"source": source} if source else None
    return Expectation(f"expect_column_values_to_{kind}", {"column": column, **kwargs}, meta)


def _bounds(name: str, values: pd.Series, reading: ReadingParams) -> list[Expectation]:
    if name in reading.calendar:
        low, high = PARTS[reading.calendar[name]]
        return [_expect("be_between", name, min_value=low, max_value=high, source="a part of the calendar")]
    if not len(values):
        return []
    for pattern, least, most, source in MEANT:
        if re.search(pattern, name, re.IGNORECASE) and values.between(least, most).all():
            return [_expect("be_between", name, min_value=least, max_value=most, source=source)]
    if COUNTS.search(name) and (values >= 0).all():
        return [_expect("be_between", name, min_value=0, source="its name says that it counts or measures from 0")]
    return []


def breaks(batch: pd.DataFrame, expectation: Expectation) -> bool:
    """Whether a batch of typed rows breaks an expectation of a kind that is drafted here."""
    arguments = expectation.arguments
    if arguments.column == "_key":
        return False  # keys are made or were checked before
    values = batch[arguments.column]
    if expectation.kind == "not_be_null":
        return bool(values.isna().any())
    present = values.dropna()
    if expectation.kind == "be_between":
        low, high = arguments.min_value, arguments.max_value
        return bool((low is not None and (present < low).any()) or (high is not None and (present > high).any()))
    return expectation.kind == "be_in_set" and not present.isin(arguments.value_set).all()


def suite_of(name: str, drafts: Sequence[ExpectationDraft]) -> Suite:
    """The suite of those that are kept, each with the batches it was tried on."""
    expectations = []
    for draft in drafts:
        if draft.kept:
            meta = {**(draft.expectation.meta or {}), "false_blocks": f"0 of {draft.batches} held-out batches"}
            expectations.append(replace(draft.expectation, meta=meta) if draft.batches else draft.expectation)
    return Suite(name, {"binds": BINDS}, tuple(expectations))
