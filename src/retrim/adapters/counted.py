"""Which landed rows were counted by which check, and which ones made a version."""

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from retrim.adapters.rows import Rows
from retrim.adapters.schema import COUNTED_ROWS, DECISIONS, USED_ROWS
from retrim.core.row_ledger import Entry


class CountedRows(Rows):
    """The ledger of rows in the store. It is only added to."""

    def add_check(self, row: dict[str, Any], entries: Iterable[Entry]) -> bool:
        """Records a check with the rows that it counted, all of it or nothing.

        Args:
            row: The decision. Its `sequence` is one more than that of the check it goes by.
            entries: What it did with landed rows.

        Returns:
            False, and nothing is written, if it is recorded already or another check of this model was recorded since.
        """
        rows = [
            {"model": row["model"], "decision": row["id"], "kind": each.kind, "batch": each.batch, "rows": each.rows}
            for each in entries
        ]
        try:
            with self.begin() as connection:
                connection.execute(sa.insert(DECISIONS).values(**row))
                if rows:
                    connection.execute(sa.insert(COUNTED_ROWS), rows)
        except sa.exc.IntegrityError:
            if self.last_sequence(row["model"]) < row["sequence"]:  # nobody came first: the ledger itself is wrong
                raise
            return False
        return True

    def last_sequence(self, model: str) -> int:
        """The number of the newest check of a model; 0 before the first."""
        query = sa.select(sa.func.max(DECISIONS.c.sequence).label("last")).where(DECISIONS.c.model == model)
        row = self.one(query)
        return 0 if row is None or row.last is None else int(row.last)

    def counted_rows(self, model: str) -> list[Entry]:
        """What checks did with landed rows, in order of the checks."""
        query = (
            sa.select(COUNTED_ROWS)
            .join(DECISIONS, DECISIONS.c.id == COUNTED_ROWS.c.decision)
            .where(COUNTED_ROWS.c.model == model)
            .order_by(DECISIONS.c.sequence, COUNTED_ROWS.c.kind, COUNTED_ROWS.c.batch)
        )
        return [Entry(row.decision, row.kind, row.batch, row.rows) for row in self.all(query)]

    def used_rows(self, model: str, version: int) -> dict[str, bytes] | None:
        """The landed rows that a version was made or judged with, by batch; None for an imported one."""
        query = sa.select(USED_ROWS).where(USED_ROWS.c.model == model, USED_ROWS.c.version == version)
        return {row.batch: row.rows for row in self.all(query)} or None
