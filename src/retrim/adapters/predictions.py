"""What was predicted, and what was decided on it: a row once a version."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from retrim.adapters.rows import Row, Rows
from retrim.adapters.schema import PREDICTIONS, SELECTIONS


class Predictions(Rows):
    """The predictions in the store."""

    def add_predictions(self, rows: Sequence[dict[str, Any]]) -> int:
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
        with self.begin() as connection:
            for start in range(0, len(rows), 500):
                part = rows[start : start + 500]
                keys = [row["key"] for row in part]
                known = sa.select(table.c.key).where(
                    table.c.model == part[0]["model"],
                    table.c.version == part[0]["version"],
                    table.c.key.in_(keys),
                )
                there = set(connection.execute(known).scalars())
                fresh = [row for row in part if row["key"] not in there]
                if fresh:
                    connection.execute(sa.insert(table), fresh)
                added += len(fresh)
        return added

    def predictions(self, model: str, *, version: int) -> pd.DataFrame:
        """Stored predictions of a version: key, event, at, value."""
        query = sa.select(PREDICTIONS).where(PREDICTIONS.c.model == model, PREDICTIONS.c.version == version)
        rows = [row.values for row in self.all(query)]
        return pd.DataFrame(rows, columns=[column.name for column in PREDICTIONS.columns])

    def selections(self, model: str, *, version: int) -> dict[str, bool]:
        """What a version decided, by key of the row; empty for one that only predicts."""
        query = sa.select(SELECTIONS).where(SELECTIONS.c.model == model, SELECTIONS.c.version == version)
        return {row.key: row.selected for row in self.all(query)}

    def prediction_keys(self, model: str, *, version: int) -> list[str]:
        """Keys of the rows that a version has predicted."""
        query = sa.select(PREDICTIONS.c.key).where(PREDICTIONS.c.model == model, PREDICTIONS.c.version == version)
        return [row.key for row in self.all(query)]

    def prediction(self, model: str, *, key: str, version: int) -> Row | None:
        """The stored prediction of one row by a version."""
        query = sa.select(PREDICTIONS).where(PREDICTIONS.c.model == model, PREDICTIONS.c.version == version)
        return self.one(query.where(PREDICTIONS.c.key == key))
