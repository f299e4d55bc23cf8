"""What was predicted, by which version and when, and what was decided on it: the one place that reads and writes it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

import pandas as pd
import sqlalchemy as sa

from retrim.adapters.rows import Row, Rows
from retrim.adapters.schema import PREDICTIONS, SELECTIONS

Item = TypeVar("Item")
ONCE = 5_000
"""Keys of one query: SQLite takes 32,766 values in a statement, others more."""


class PredictionLog:
    """The predictions of a store: a row a version, each added once and never changed."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def add(self, rows: Sequence[dict[str, Any]]) -> int:
        """Adds predictions that are not there yet (model, key, version); gives how many were added."""
        return self._add_scored(PREDICTIONS, rows)

    def add_selections(self, rows: Sequence[dict[str, Any]]) -> int:
        """Adds what was decided on predictions, likewise."""
        return self._add_scored(SELECTIONS, rows)

    def _add_scored(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
        while True:
            try:
                return self._add_missing(table, rows)
            except sa.exc.IntegrityError:  # another process added some of them since we looked: look again
                continue

    def _add_missing(self, table: sa.Table, rows: Sequence[dict[str, Any]]) -> int:
        added = 0
        with self._rows.begin() as connection:
            for part in _parts(rows):
                known = sa.select(table.c.key).where(
                    table.c.model == part[0]["model"],
                    table.c.version == part[0]["version"],
                    table.c.key.in_([row["key"] for row in part]),
                )
                there = set(connection.execute(known).scalars())
                fresh = [row for row in part if row["key"] not in there]
                if fresh:
                    connection.execute(sa.insert(table), fresh)
                added += len(fresh)
        return added

    def served(self, model: str, keys: Iterable[str]) -> pd.DataFrame:
        """What was served for rows: of each the prediction that was stored first, by the version that was live then.

        A later champion predicts rows again that are still without a label; nobody had acted on that.

        Args:
            model: Name of the model.
            keys: Of the rows.

        Returns:
            `key`, `version`, `at` (UTC) and `value`, a row for each key that has one, in no order.
        """
        table = PREDICTIONS
        found = [
            row.values
            for part in _parts(list(keys))
            for row in self._rows.all(
                sa.select(table.c.key, table.c.version, table.c.at, table.c.value).where(
                    table.c.model == model, table.c.key.in_(part)
                )
            )
        ]
        frame = pd.DataFrame(found, columns=["key", "version", "at", "value"])
        frame["at"] = pd.to_datetime(frame["at"], utc=True, format="ISO8601")
        return frame.sort_values(["at", "version"], kind="stable").drop_duplicates("key")

    def of_version(self, model: str, *, version: int, keys: Iterable[str]) -> pd.DataFrame:
        """`key` and `value` of what a version predicted for rows; those it did not predict are left out."""
        table = PREDICTIONS
        found = [
            row.values
            for part in _parts(list(keys))
            for row in self._rows.all(
                sa.select(table.c.key, table.c.value).where(
                    table.c.model == model, table.c.version == version, table.c.key.in_(part)
                )
            )
        ]
        return pd.DataFrame(found, columns=["key", "value"])

    def predicted(self, model: str, *, version: int, keys: Iterable[str]) -> set[str]:
        """Those of the keys that a version has predicted."""
        table = PREDICTIONS
        return {
            row.key
            for part in _parts(list(keys))
            for row in self._rows.all(
                sa.select(table.c.key).where(table.c.model == model, table.c.version == version, table.c.key.in_(part))
            )
        }

    def all_keys(self, model: str, *, version: int) -> list[str]:
        """Keys of all rows that a version has predicted."""
        query = sa.select(PREDICTIONS.c.key).where(PREDICTIONS.c.model == model, PREDICTIONS.c.version == version)
        return [row.key for row in self._rows.all(query)]

    def one(self, model: str, *, version: int, key: str) -> Row | None:
        """What a version predicted for one row."""
        query = sa.select(PREDICTIONS).where(PREDICTIONS.c.model == model, PREDICTIONS.c.version == version)
        return self._rows.one(query.where(PREDICTIONS.c.key == key))

    def selections(self, model: str, *, version: int) -> dict[str, bool]:
        """What a version decided, by key of the row; empty for one that only predicts."""
        query = sa.select(SELECTIONS).where(SELECTIONS.c.model == model, SELECTIONS.c.version == version)
        return {row.key: row.selected for row in self._rows.all(query)}

    def before(self, model: str, moment: str) -> Iterator[list[dict[str, Any]]]:
        """All that was predicted before a moment, as the store spells it, some rows at a time."""
        query = sa.select(PREDICTIONS).where(PREDICTIONS.c.model == model, PREDICTIONS.c.at < moment)
        return ([row.values for row in rows] for rows in self._rows.in_parts(query, ONCE))

    def take_over(self, parts: Iterable[list[dict[str, Any]]]) -> None:
        """Adds what `before` of another log gives; this one has none of it."""
        with self._rows.begin() as connection:
            for rows in parts:
                connection.execute(sa.insert(PREDICTIONS), rows)


def _parts(rows: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(rows), ONCE):
        yield rows[start : start + ONCE]
