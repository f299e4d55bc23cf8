"""Columns of rows as the steps so far have made them. One that no step has touched is read when it is asked for."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retrim.core.frames import as_numbers
from retrim.core.prepare.step import LARGEST, Frame, Kind, Made
from retrim.core.table import ColumnType
from retrim.errors import BadInputError


def values_of(rows: pd.DataFrame, name: str, kind: ColumnType) -> np.ndarray:
    """A column of a table as a step sees it; what is infinite is held at the largest number."""
    column = rows[name]
    if kind == "time":
        return np.asarray(pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]"))
    if kind == "category":
        text = column.astype("str")
        found = text.to_numpy(dtype=object, copy=True)
        found[text.isna().to_numpy()] = None
        return np.asarray(found)
    return held(as_numbers(column).to_numpy(dtype="float64", na_value=np.nan))


def held(values: np.ndarray) -> np.ndarray:
    """Numbers with the infinite ones held at the largest there is; missing ones stay missing."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


class Sheet:
    """Rows, and the columns that steps see.

    Args:
        rows: Of the table, shape (n, columns).
        kinds: Columns and their types, in order; the event's time may be among them.
    """

    def __init__(self, rows: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> None:
        self.rows = rows
        self.places = np.arange(len(rows))
        self.kinds: dict[str, ColumnType] = dict(kinds)
        self.sources = {name: name for name in kinds}
        self.made: Frame = {}
        self.dropped: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.made:
            return values_of(self.rows, name, self.kinds[name])
        return self.made[name]

    def kind(self, name: str) -> Kind:
        """What a column holds; an integer is a number."""
        found = self.kinds[name]
        return "number" if found == "integer" else found

    def frame(self, names: tuple[str, ...]) -> Frame:
        return {name: self[name] for name in names}

    def put(self, makes: Mapping[str, Made], drops: tuple[str, ...], values: Frame) -> None:
        """Writes what a step made, and drops what it did away with.

        Raises:
            BadInputError: A column that it adds is there already.
        """
        for name, made in makes.items():
            if name in self.kinds and made.of != name:
                raise BadInputError(
                    f"prepare.steps: a step makes {name!r}, and there is such a column; rename it, or leave a step out"
                )
            self.sources[name] = self.sources[made.of]
            self.kinds[name] = made.kind
            self.made[name] = held(values[name]) if made.kind == "number" else values[name]
        for name in drops:
            self.kinds.pop(name, None)
            self.made.pop(name, None)
            self.dropped.add(name)

    def keep(self, mask: np.ndarray | None) -> None:
        """Goes on with some of the rows; None: with all."""
        if mask is not None and not mask.all():
            self.rows, self.places = self.rows[mask], self.places[mask]
            self.made = {name: values[mask] for name, values in self.made.items()}
