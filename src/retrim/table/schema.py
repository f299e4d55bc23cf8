"""What a landed file says of its columns, and how they are read as the columns that are declared now.

A table may change. A column that appears is missing in older files, one that disappears is left out of newer ones, a
type may widen, and a rename is declared (`was`), with every name that the column had: so the settings say all that
reading any of the files takes, whatever other files are there. A rename also stands in the files that land after it, so
that one which is forgotten is noticed. Whatever else changed is a fault.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from retrim.errors import BadInputError
from retrim.stats.codec import to_record
from retrim.table.data import LABEL_TIME, ColumnType, DataParams

NUMERIC = "number or integer"
"""The type of a column of numbers in a file that does not say which of the two it was declared."""

WIDER: Mapping[str, tuple[str, ...]] = {"integer": ("number", "category"), NUMERIC: ("number", "integer")}
"""To what a type may be changed: those in which every value that landed can be read exactly."""

RULE = "a type may only change from integer to number or to category"


@dataclass(frozen=True)
class LandedSchema:
    """The columns of a landed file, as they were declared when it landed.

    Args:
        types: Type of each of its own columns, in the order of the file.
        was: Earlier names of those that had been renamed by then.
        key: Columns that named a row; None where the file does not say.
        time: The column of the event's time; None where it does not say.
        due: The column of the label's due time; None where there was none, or it does not say.
    """

    types: Mapping[str, str]
    was: Mapping[str, tuple[str, ...]]
    key: tuple[str, ...] | None = None
    time: str | None = None
    due: str | None = None

    @classmethod
    def declared(cls, data: DataParams, columns: Iterable[str]) -> "LandedSchema":
        """The schema of a file that lands now with these columns; one that is not declared is a time."""
        types = {name: data.columns[name].type if name in data.columns else "time" for name in columns}
        was = {name: column.was for name, column in data.columns.items() if name in types and column.was}
        return cls(types, was, data.key, data.time, data.due)

    def as_text(self) -> str:
        """One line of JSON; `from_record` reads what it holds."""
        return json.dumps(to_record(self), separators=(",", ":"))


class ColumnNames:
    """Which names are names of one column: those that a rename connects, declared or noted in a landed file."""

    def __init__(self, schemas: Iterable[LandedSchema], data: DataParams | None) -> None:
        self._same: dict[str, frozenset[str]] = {}
        declared = {} if data is None else {name: column.was for name, column in data.columns.items()}
        for was in (declared, *(schema.was for schema in schemas)):
            for name, earlier in was.items():
                together = frozenset({name, *earlier}).union(*(self.of(other) for other in (name, *earlier)))
                self._same |= dict.fromkeys(together, together)
        self._declared = tuple(declared)

    def of(self, name: str) -> frozenset[str]:
        """All names of the column that is called so."""
        return self._same.get(name, frozenset((name,)))

    def current(self, name: str) -> str | None:
        """What the column is called in params.yaml; None where it is gone."""
        same = self.of(name)
        return name if name in self._declared else next((other for other in self._declared if other in same), None)

    def within(self, name: str, columns: Iterable[str]) -> str | None:
        """What the column is called among `columns`; None where it is not among them."""
        same, there = self.of(name), set(columns)
        return name if name in there else next(iter(sorted(same & there)), None)


@dataclass(frozen=True)
class ReadColumns:
    """The columns that landed files are read as.

    Args:
        types: Name and type of each, those of params.yaml first.
        renamed: Of those that are not declared and have another name by now: that name.
    """

    types: Mapping[str, ColumnType]
    names: ColumnNames
    renamed: Mapping[str, str]


def read_as(
    schemas: Mapping[str, LandedSchema], data: DataParams, needs: Mapping[str, ColumnType], *, labels: bool = False
) -> ReadColumns:
    """How files are read as the declared columns, and as those that earlier versions need.

    Raises:
        BadInputError: A column cannot be read as it is declared.
    """
    faults = schema_faults(schemas, data, labels=labels)
    if faults:
        raise BadInputError("; ".join(faults))
    names = ColumnNames(schemas.values(), data)
    types: dict[str, ColumnType] = {name: column.type for name, column in data.columns.items()}
    if labels:
        types = {data.target: types[data.target], LABEL_TIME: "time"}
    renamed: dict[str, str] = {}
    for name, kind in needs.items():
        if name not in types:
            now = names.current(name)
            types[name] = _widest(name, kind, schemas.values(), names) if now is None else types[now]
            renamed |= {} if now is None else {name: now}
    return ReadColumns(types, names, renamed)


def as_they_stand(schemas: Mapping[str, LandedSchema]) -> ReadColumns:
    """All columns of files of which nothing is declared.

    Raises:
        BadInputError: A column has several types that none of them can hold.
    """
    types: dict[str, ColumnType] = {}
    for schema in schemas.values():
        for name, stored in schema.types.items():
            kind: Any = "number" if stored == NUMERIC else stored
            before = types.setdefault(name, kind)
            if before != kind and not {before, kind} <= {"number", "integer"}:
                raise BadInputError(f"column {name!r} has landed both as {before} and as {kind}; {RULE}")
    return ReadColumns(types, ColumnNames(schemas.values(), None), {})


def _widest(name: str, kind: ColumnType, schemas: Iterable[LandedSchema], names: ColumnNames) -> ColumnType:
    """The type that holds all values of a column that is gone: as it was declared last."""
    kinds: list[str] = [kind]
    for schema in schemas:
        there = names.within(name, schema.types)
        kinds += [] if there is None else [schema.types[there]]
    if "category" in kinds:
        return "category"
    return "time" if "time" in kinds else "number"


def schema_faults(schemas: Mapping[str, LandedSchema], data: DataParams, *, labels: bool = False) -> list[str]:
    """Why these batches cannot be read as the declared columns, in sentences with their cure."""
    names = ColumnNames(schemas.values(), data)
    faults = _named_twice(data, names)
    needed = {data.target: "the target"}
    if not labels:
        needed |= {data.time: "the event's time"} | ({data.due: "the label's due time"} if data.due else {})
        needed |= dict.fromkeys(data.key, "part of the key")
    for batch, schema in _each_once(schemas):
        faults += _type_faults(batch, schema, data, names)
        for name, what in needed.items():
            if names.within(name, schema.types) is None:
                faults.append(
                    f"data.columns: batch {batch} lacks column {name!r}, {what}, which every row needs; if the column "
                    "had a different name in that batch, add `was: OLD_NAME` to it; otherwise declare the earlier "
                    "column again"
                )
        faults += [] if labels else _role_faults(batch, schema, data, names)
    return list(dict.fromkeys(faults))


def name_faults(schemas: Iterable[LandedSchema], data: DataParams) -> list[str]:
    """Renames of what never landed, and earlier names that are not declared any more, in sentences with their cure."""
    schemas = list(schemas)
    landed, names = {name for schema in schemas for name in schema.types}, ColumnNames(schemas, data)
    faults = []
    for name, column in data.columns.items():
        declared = {name, *column.was}
        forgotten = sorted((names.of(name) & landed) - declared - set(data.columns))
        if landed and column.was and not declared & landed:
            faults.append(
                f"data.columns: `was` of {name!r} is {' or '.join(map(repr, column.was))}, but no landed batch has "
                f"such a column; write the name of a landed column ({', '.join(sorted(landed))}), or remove `was`"
            )
        elif forgotten:
            faults.append(
                f"data.columns: {name!r} also landed as {' and as '.join(map(repr, forgotten))}, under a rename that "
                f"is no longer declared; list all its earlier names: `was: [{', '.join([*column.was, *forgotten])}]`"
            )
    return faults


def _each_once(schemas: Mapping[str, LandedSchema]) -> list[tuple[str, LandedSchema]]:
    """Each schema with the first batch that has it."""
    same: dict[int, tuple[str, LandedSchema]] = {}  # most batches share one object
    for batch, schema in schemas.items():
        same.setdefault(id(schema), (batch, schema))
    seen: dict[str, tuple[str, LandedSchema]] = {}
    for batch, schema in same.values():
        seen.setdefault(schema.as_text(), (batch, schema))
    return list(seen.values())


def _named_twice(data: DataParams, names: ColumnNames) -> list[str]:
    faults = []
    for name in data.columns:
        others = sorted(names.of(name) & set(data.columns) - {name})
        if others and name < others[0]:
            faults.append(
                f"data.columns: {name!r} and {others[0]!r} are names of the same column, because a rename is declared "
                "or recorded in a landed batch; choose a new name for the other column, in the files too"
            )
    return faults


def _type_faults(batch: str, schema: LandedSchema, data: DataParams, names: ColumnNames) -> list[str]:
    faults = []
    for name, column in data.columns.items():
        there = [stored for stored in schema.types if stored in names.of(name)]
        if len(there) > 1:
            faults.append(
                f"data.columns: batch {batch} has both {' and '.join(map(repr, there))}, but a rename declares that "
                "they are one column; remove `was`"
            )
        for stored in there[:1]:
            old = schema.types[stored]
            if old != column.type and column.type not in WIDER.get(old, ()):
                faults.append(
                    f"data.columns: {name!r} landed as {old} (batch {batch}) but is declared {column.type}; {RULE}. "
                    f"Declare it as {_declarable(old)} again, or put the new values in a column with a different name"
                )
    return faults


def _declarable(old: str) -> str:
    return "number" if old == NUMERIC else old


def _shown(column: str | None) -> str:
    return "no column" if column is None else repr(column)


def _role_faults(batch: str, schema: LandedSchema, data: DataParams, names: ColumnNames) -> list[str]:
    faults = []
    if schema.key is not None and [names.current(column) for column in schema.key] != list(data.key):
        faults.append(
            f"data.key: batch {batch} landed with the key [{', '.join(schema.key)}], but data.key is now "
            f"[{', '.join(data.key)}]. Change data.key back; for a table with a different key, create a "
            "workspace: retrim new DIR"
        )
    for what, then, now in (("the event's time", schema.time, data.time), ("the due time", schema.due, data.due)):
        if schema.time is not None and now is not None and (then is None or names.current(then) != now):
            faults.append(
                f"data.columns: {now!r} is {what}, but in batch {batch} it was {_shown(then)}. Change the role back; "
                "for a table with different times, create a workspace: retrim new DIR"
            )
    return faults


def lacking(
    schemas: Mapping[str, LandedSchema], columns: Iterable[str], names: ColumnNames
) -> dict[str, frozenset[str]]:
    """Of each of `columns` that some batch landed without: which batches those are."""
    without = {
        name: frozenset(batch for batch, schema in schemas.items() if names.within(name, schema.types) is None)
        for name in columns
    }
    return {name: batches for name, batches in without.items() if batches}
