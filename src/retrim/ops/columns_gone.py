"""Columns that a version reads and that the table no longer has: said by status, by checks and by scoring."""

import pandas as pd

from retrim.core.landed_schema import ColumnNames
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.known import NEEDS


def columns_gone(house: House, version: int) -> tuple[str, ...]:
    """Columns that a version reads and params.yaml does not declare any more, under any name."""
    row, data = house.store.version(house.model, version), house.params.data
    needs = {} if row is None else row.lineage.get(NEEDS, {})
    if set(needs) <= set(data.columns):
        return ()
    names = ColumnNames((file.schema for file in house.landing.batches()), data)
    return tuple(name for name in needs if names.current(name) is None)


def tell_columns_gone(house: House, version: int, *, now: pd.Timestamp) -> tuple[str, ...]:
    """The same of the live version, with an alert for what it lacks."""
    gone = columns_gone(house, version)
    if gone:
        listed = ", ".join(map(repr, gone))
        what, it = ("no column", "it is") if len(gone) == 1 else ("no columns", "one is")
        alert(
            house,
            "column gone",
            f"version {version} is live and reads {listed}, which {'is' if len(gone) == 1 else 'are'} {what} any more: "
            f"where it is not known, the version predicts without it; the next one does without. If {it} called "
            f"otherwise now, say so: data.columns, `was: {gone[0]}`",
            now=now,
        )
    return gone
