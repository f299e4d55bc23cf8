"""Steps learned and applied in declared order, as a bundle keeps them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.prepare.params import StepParams
from retrim.core.prepare.sheet import Sheet
from retrim.core.prepare.step import STEPS, Made, Past
from retrim.core.table import ColumnType
from retrim.errors import BadInputError


@dataclass(frozen=True)
class FittedStep:
    """A step with what it learned.

    Args:
        declared: As params.yaml says it.
        columns: The columns it works on.
        state: All that applying takes, in JSON types.
        makes: Columns it writes.
        drops: Columns that are there no longer.
        said: What it found, for a reader.
    """

    declared: StepParams
    columns: tuple[str, ...]
    state: dict[str, Any] = field(repr=False)
    makes: dict[str, Made]
    drops: tuple[str, ...]
    said: dict[str, Any]

    def apply(self, sheet: Sheet) -> None:
        """Works on rows that are predicted."""
        sheet.put(self.makes, self.drops, STEPS[self.declared.step].apply(sheet.frame(self.columns), self.state))

    def train(self, sheet: Sheet, past: Past, *, drop: bool = True) -> None:
        """Works on rows that a model is fitted on; with `drop` it may leave some out."""
        step = STEPS[self.declared.step]
        kept = step.kept(past.frame, self.state)
        sheet.put(self.makes, self.drops, step.train(past, self.state))
        if drop:
            sheet.keep(kept)

    def as_record(self) -> dict[str, Any]:
        return {
            "declared": self.declared.model_dump(mode="json"),
            "columns": list(self.columns),
            "state": self.state,
            "makes": [{"name": name, "kind": made.kind, "of": made.of} for name, made in self.makes.items()],
            "drops": list(self.drops),
            "said": self.said,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "FittedStep":
        return cls(
            declared=StepParams.model_validate(record["declared"]),
            columns=tuple(record["columns"]),
            state=record["state"],
            makes={each["name"]: Made(each["kind"], each["of"]) for each in record["makes"]},
            drops=tuple(record["drops"]),
            said=record["said"],
        )


@dataclass(frozen=True)
class Outcome:
    """What training rows hold beside their features.

    Args:
        target: Numbers, or codes of classes, shape (n,).
        classes: Names by code; empty for a regression.
    """

    target: np.ndarray
    classes: tuple[str, ...]


def learn_steps(
    rows: pd.DataFrame,
    kinds: Mapping[str, ColumnType],
    outcome: Outcome,
    declared: Sequence[StepParams],
    *,
    strict: bool,
) -> tuple[tuple[FittedStep, ...], Sheet]:
    """Each step, learned on what those before it made of the training rows.

    Args:
        rows: Training rows in total order, with `_event` and `_due`.
        kinds: Columns and types.
        outcome: What the rows came to.
        declared: The steps.
        strict: Whether a named column that is not there is refused; else it is passed over, as other rows may well
            lack a level that made a column of its own.

    Returns:
        The steps, and the rows as a model is fitted on them.

    Raises:
        BadInputError: A column is not there, or a step cannot take it.
    """
    sheet, found = Sheet(rows, kinds), []
    for place, each in enumerate(declared):
        where = f"prepare.steps.{place}: {each.step}"
        columns = _columns(sheet, each, where, strict=strict)
        past = past_of(sheet, columns, outcome)
        learned = STEPS[each.step].learn(past, **each.arguments)
        fitted = FittedStep(each, columns, learned.state, learned.makes, learned.drops, learned.said)
        fitted.train(sheet, past)
        found.append(fitted)
    if not any(kind != "time" for kind in sheet.kinds.values()):
        raise BadInputError("prepare.steps: the steps leave no feature for a model; drop fewer")
    return tuple(found), sheet


def past_of(sheet: Sheet, columns: tuple[str, ...], outcome: Outcome) -> Past:
    """The rows of a sheet as a step learns from them."""
    event, due = (
        sheet.rows[name].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        for name in ("_event", "_due")
    )
    return Past(sheet.frame(columns), outcome.target[sheet.places], outcome.classes, event, due)


def _columns(sheet: Sheet, declared: StepParams, where: str, *, strict: bool) -> tuple[str, ...]:
    takes = STEPS.entry(declared.step).facts["takes"]
    if isinstance(declared.columns, str):
        return tuple(name for name in sheet.kinds if sheet.kind(name) in takes)
    there = tuple(name for name in declared.columns if name in sheet.kinds)
    for name in declared.columns:
        if strict and name not in sheet.kinds and name not in sheet.dropped:
            raise BadInputError(f"{where}: {name!r} is no column here; columns: {', '.join(sheet.kinds)}")
    for name in there:
        if sheet.kind(name) not in takes:
            raise BadInputError(f"{where}: {name!r} is a {sheet.kind(name)} here; it takes {' and '.join(takes)}")
    return there
