"""Gives stored decisions and runs another date: only after the clock ran ahead."""

from typing import Any

import sqlalchemy as sa

from retrim.adapters.rows import Rows
from retrim.adapters.schema import DECISIONS, RUNS


def date_decision_anew(store: Rows, identity: str, *, as_of: str, record: dict[str, Any]) -> None:
    """Sets the moment that a decision is about, in its row and in its record."""
    this = sa.update(DECISIONS).where(DECISIONS.c.id == identity)
    with store.begin() as connection:
        connection.execute(this.values(as_of=as_of, at=as_of, record=record))


def date_run_anew(store: Rows, identity: str, *, as_of: str, latest: str) -> None:
    """Sets the moment that a run is about; when it began and ended becomes `latest` where that is later."""
    this = RUNS.c.id == identity
    with store.begin() as connection:
        connection.execute(sa.update(RUNS).where(this).values(as_of=as_of))
        for column in (RUNS.c.started, RUNS.c.ended):
            connection.execute(sa.update(RUNS).where(this, column > latest).values({column: latest}))
