"""Times that a file holds in parts: a column of years, one of months, one of days, perhaps of hours."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.core.fault import Fault
from retrim.core.reading import MONTHS, ReadingParams, TimePart
from retrim.datasets.cells import typed

HIGHEST: Mapping[TimePart, int] = {"hour": 24, "minute": 59, "second": 59}
"""Of parts of a day, each from 0; hour 24 is the midnight that ends it."""


def put_together(stored: pa.Table, name: str, reading: ReadingParams) -> tuple[pa.ChunkedArray, tuple[Fault, ...]]:
    """The time column `name` as text in ISO 8601, as if the file had it; blank where a part is.

    Args:
        stored: The columns of the file, among them the parts.
        name: What the time is called, in `reading.parts`.
        reading: How the file spells what its cells say.

    Returns:
        The column, what stands in the parts where that is no day of the calendar; and cells that are no whole numbers.
    """
    found: dict[TimePart, pd.Series] = {}
    faults: list[Fault] = []
    for part, column in reading.parts[name].items():
        cells = _numbered(stored.column(column)) if part == "month" else stored.column(column)
        found[part], wrong = typed(cells, column, "integer", reading)
        faults += (
            replace(fault, cure="write each part of a time as a number; of months also the name") for fault in wrong
        )
    parts = pd.DataFrame(found)
    blank = parts.isna().any(axis=1).to_numpy()
    days = pd.to_datetime(parts[["year", "month", "day"]].where(parts["year"] >= 1000), errors="coerce")
    good = days.notna().to_numpy()
    seconds = np.zeros(len(parts))
    for part, each in (("hour", 3600), ("minute", 60), ("second", 1)):
        if part in found:
            good = good & found[part].between(0, HIGHEST[part]).to_numpy()
            seconds += found[part].fillna(0).to_numpy() * each
    instants = days.to_numpy(dtype="datetime64[s]") + np.where(good, seconds, 0).astype("timedelta64[s]")
    text = pd.Series(np.datetime_as_string(instants), index=parts.index, dtype="str")
    wrong_days = parts.index[~good & ~blank]
    text.loc[wrong_days] = ["-".join(f"{cell:.0f}" for cell in row) for row in parts.loc[wrong_days].to_numpy()]
    return pa.chunked_array([pa.array(text.mask(blank), pa.string(), from_pandas=True)]), tuple(faults)


def _numbered(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Months with their numbers in place of words."""
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        return cells
    words = pd.Series(cells.to_pandas(), dtype="str")
    small = words.str.strip().str.rstrip(".").str.lower()
    numbers = {word: str(at) for at, month in enumerate(MONTHS, 1) for word in (month, month[:3])}
    told = small.map(numbers)
    return pa.chunked_array([pa.array(words.where(told.isna(), told), pa.string(), from_pandas=True)])
