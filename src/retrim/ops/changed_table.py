"""A table whose columns have changed since rows landed: what is refused before more land, and what a champion lacks."""

from typing import Any

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.landed_schema import ColumnNames, schema_faults, unknown_earlier_names
from retrim.core.table import DataParams
from retrim.datasets.landed import schemas_of
from retrim.errors import BadInputError
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.known import NEEDS


def refuse_changes(landing: Landing, data: DataParams) -> None:
    """Refuses columns under which what has landed could not be read any more.

    Raises:
        BadInputError: A column changed its type, its meaning or its name in a way that does; names both and the cure.
    """
    files = landing.standing()
    rows, labels = (schemas_of(file for file in files if file.kind == kind) for kind in ("rows", "labels"))
    faults = [*schema_faults(rows, data), *schema_faults(labels, data, labels=True)]
    faults += unknown_earlier_names([*rows.values(), *labels.values()], data)
    if faults:
        raise BadInputError("; ".join(dict.fromkeys(faults)))


def landed_columns(landing: Landing, data: DataParams) -> dict[str, Any]:
    """The columns that ever landed, and what they were called: as `fit_suite` takes them."""
    schemas = [file.schema for file in landing.batches()]
    return {"landed": {name for schema in schemas for name in schema.types}, "names": ColumnNames(schemas, data)}


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
