"""A database read and written row by row: a transaction, a query, an insert that may find its row there."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import pandas as pd
import sqlalchemy as sa

from retrim.adapters.database import Database


def iso(time: pd.Timestamp) -> str:
    """A time as the store spells it."""
    return time.tz_convert("UTC").isoformat(timespec="seconds")


@dataclass(frozen=True)
class Row:
    """One row of a table, its columns as attributes of `values`."""

    values: dict[str, Any]

    def __getattr__(self, name: str) -> Any:
        try:
            return self.values[name]
        except KeyError as error:
            raise AttributeError(name) from error


class Rows:
    """The tables at an address."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url)

    @property
    def shown(self) -> str:
        """The address without its password and its query."""
        return self._database.shown

    @property
    def place(self) -> str:
        """The address with its query, which tells two stores apart; never shown."""
        return self._database.place

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction: all of it, or nothing."""
        with self._database.begin() as connection:
            yield connection

    def all(self, query: "sa.Select[Any]") -> list[Row]:
        with self._database.connect() as connection:
            return [Row(dict(row._mapping)) for row in connection.execute(query)]  # noqa: SLF001  its public name

    def in_parts(self, query: "sa.Select[Any]", size: int) -> Iterator[list[Row]]:
        """The same, `size` rows at a time, so that they need not all fit into memory."""
        with self._database.connect() as connection:
            for part in connection.execution_options(yield_per=size).execute(query).partitions():
                yield [Row(dict(row._mapping)) for row in part]  # noqa: SLF001  its public name

    def one(self, query: "sa.Select[Any]") -> Row | None:
        return next(iter(self.all(query.limit(1))), None)

    def _insert(
        self,
        table: sa.Table,
        row: dict[str, Any],
        others: Mapping[sa.Table, Sequence[dict[str, Any]]] = MappingProxyType({}),
    ) -> bool:
        """Inserts a row, and the rows of other tables that belong to it; False, and none of them, if one is there."""
        try:
            with self.begin() as connection:
                connection.execute(sa.insert(table).values(**row))
                for other, rows in others.items():
                    if rows:
                        connection.execute(sa.insert(other), rows)
        except sa.exc.IntegrityError:
            return False
        return True
