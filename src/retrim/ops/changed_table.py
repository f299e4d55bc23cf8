"""A table whose columns have changed since rows landed: what is refused before anything lands or is read."""

from typing import Any

from retrim.adapters.landing import Landing
from retrim.core.landed_schema import ColumnNames, name_faults, schema_faults
from retrim.core.table import DataParams
from retrim.datasets.landed import schemas_of
from retrim.errors import BadInputError


def refuse_changes(landing: Landing, data: DataParams) -> None:
    """Refuses columns under which what has landed could not be read any more.

    Raises:
        BadInputError: A column changed its type, its meaning or its name in a way that does; names both and the cure.
    """
    files = landing.standing()
    rows, labels = (schemas_of(file for file in files if file.kind == kind) for kind in ("rows", "labels"))
    faults = name_faults([file.schema for file in landing.batches()], data)
    faults += [*schema_faults(rows, data), *schema_faults(labels, data, labels=True)]
    if faults:
        raise BadInputError("; ".join(dict.fromkeys(faults)))


def landed_columns(landing: Landing, data: DataParams) -> dict[str, Any]:
    """The columns that ever landed, and what they were called: as `fit_suite` takes them."""
    schemas = [file.schema for file in landing.batches()]
    return {"landed": {name for schema in schemas for name in schema.types}, "names": ColumnNames(schemas, data)}
