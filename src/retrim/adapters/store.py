"""Our own store: what was decided, run, released and predicted. It is the truth; MLflow and Prefect mirror it.

SQLite under `var/` by default, any SQLAlchemy address in production. Times are ISO
8601 in UTC, so they sort as text. Nothing is deleted; releases are only ever added.
"""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import sqlalchemy as sa

from retrim.adapters.counted import CountedRows
from retrim.adapters.rows import Row, iso
from retrim.adapters.schema import (
    ALERTS,
    DECISIONS,
    ENVELOPES,
    RELEASES,
    RUNS,
    SEALS,
    USED_ROWS,
    VERSIONS,
)
from retrim.core.chain import FIRST, seal
from retrim.core.release_checks import RELEASE_CHECKS
from retrim.errors import RefusedError, RetrimError


class Store(CountedRows):
    """The store at an address; its tables are made at first use."""

    def models(self) -> list[str]:
        """Every model of which something was decided or made here, by name; several workspaces may share a store."""
        named = sa.union(*(sa.select(table.c.model) for table in (DECISIONS, VERSIONS, RELEASES, ALERTS))).subquery()
        return [str(row.model) for row in self.all(sa.select(named.c.model).order_by(named.c.model))]

    def decision(self, identity: str) -> Row | None:
        return self.one(sa.select(DECISIONS).where(DECISIONS.c.id == identity))

    def decisions(self, model: str, *, source: str | None = None) -> list[Row]:
        """Decisions of a model, oldest first."""
        query = sa.select(DECISIONS).where(DECISIONS.c.model == model)
        if source is not None:
            query = query.where(DECISIONS.c.source == source)
        return self.all(query.order_by(DECISIONS.c.as_of, DECISIONS.c.at))

    def add_decision(self, row: dict[str, Any]) -> bool:
        """Records a decision; False if one of this model, source and date is there already."""
        return self._insert(DECISIONS, row)

    def run(self, identity: str) -> Row | None:
        return self.one(sa.select(RUNS).where(RUNS.c.id == identity))

    def runs(self, model: str, *, state: str | None = None) -> list[Row]:
        """Runs of a model, oldest first."""
        query = sa.select(RUNS).where(RUNS.c.model == model)
        if state is not None:
            query = query.where(RUNS.c.state == state)
        return self.all(query.order_by(RUNS.c.as_of, RUNS.c.started))

    def claim_run(self, row: dict[str, Any], *, mode: str | None = None) -> Row:
        """Starts a run of a decision, or starts a crashed or failed one again: in its own mode, or in `mode`.

        Raises:
            RefusedError: The decision has had its run, or another run of the model is going on.
        """
        first = {"state": "running", "pid": os.getpid(), "attempt": 1, "ended": None, "version": None, "detail": {}}
        if self._insert(RUNS, {**row, **first}):
            return Row({**row, **first})
        with self.begin() as connection:
            again = (
                sa.update(RUNS)
                .where(RUNS.c.id == row["id"], RUNS.c.state.in_(("crashed", "failed")))
                .values(state="running", pid=os.getpid(), attempt=RUNS.c.attempt + 1, ended=None)
                .values(mode=RUNS.c.mode if mode is None else mode)
            )
            try:
                claimed = connection.execute(again).rowcount
            except sa.exc.IntegrityError:
                claimed = 0
        found = self.run(row["id"])
        if claimed and found is not None:
            return found
        other = self.one(sa.select(RUNS).where(RUNS.c.model == row["model"], RUNS.c.state == "running"))
        if other is not None:
            raise RefusedError(f"run {other.id} of {row['model']} is going on (process {other.pid}); one at a time")
        state = found.state if found is not None else "unknown"
        raise RefusedError(f"decision {row['decision']} has had its run: {state}")

    def note_run(self, identity: str, detail: dict[str, Any]) -> None:
        """Adds to what is kept of a run."""
        with self.begin() as connection:
            this = RUNS.c.id == identity
            kept = connection.execute(sa.select(RUNS.c.detail).where(this)).scalar_one()
            connection.execute(sa.update(RUNS).where(this).values(detail={**kept, **detail}))

    def end_run(self, identity: str, *, state: str, ended: str, version: int | None, detail: dict[str, Any]) -> None:
        """Ends a run in a state."""
        with self.begin() as connection:
            change = sa.update(RUNS).where(RUNS.c.id == identity)
            connection.execute(change.values(state=state, ended=ended, version=version, detail=detail))

    def add_version(self, row: dict[str, Any], *, used: Mapping[str, bytes] = MappingProxyType({})) -> bool:
        """Records a version; False if it is there already.

        Args:
            row: The version.
            used: The landed rows that it was made or judged with, by batch; empty where nobody knows.
        """
        name = {"model": row["model"], "version": row["version"]}
        rows = [{**name, "batch": batch, "rows": bits} for batch, bits in used.items()]
        return self._insert(VERSIONS, row, {USED_ROWS: rows})

    def version(self, model: str, number: int) -> Row | None:
        return self.one(sa.select(VERSIONS).where(VERSIONS.c.model == model, VERSIONS.c.version == number))

    def version_of_run(self, run: str) -> Row | None:
        """The version that a run made, if it got so far."""
        return self.one(sa.select(VERSIONS).where(VERSIONS.c.run == run))

    def versions(self, model: str) -> list[Row]:
        """Versions of a model, first to last."""
        return self.all(sa.select(VERSIONS).where(VERSIONS.c.model == model).order_by(VERSIONS.c.version))

    def all_versions(self) -> list[Row]:
        """Versions of every model, first to last."""
        return self.all(sa.select(VERSIONS).order_by(VERSIONS.c.model, VERSIONS.c.version))

    def all_runs(self, *, state: str) -> list[Row]:
        """Runs of every model in a state."""
        return self.all(sa.select(RUNS).where(RUNS.c.state == state).order_by(RUNS.c.id))

    def add_to_envelope(
        self, model: str, version: int, *, kind: str, name: str, at: str, record: dict[str, Any]
    ) -> bool:
        """Adds what has become known of a version, such as an approval; False if it is there already."""
        row = {"model": model, "version": version, "kind": kind, "id": name, "at": at, "record": record}
        return self._insert(ENVELOPES, row)

    def envelope(self, model: str, version: int, *, kind: str | None = None) -> list[Row]:
        """What has become known of a version since it was made, oldest first: of one kind, or all."""
        query = sa.select(ENVELOPES).where(ENVELOPES.c.model == model, ENVELOPES.c.version == version)
        if kind is not None:
            query = query.where(ENVELOPES.c.kind == kind)
        return self.all(query.order_by(ENVELOPES.c.at, ENVELOPES.c.kind, ENVELOPES.c.id))

    def envelopes(self, model: str, *, kind: str) -> list[Row]:
        """Of all versions of a model, what has become known of one kind, oldest first."""
        of_kind = sa.select(ENVELOPES).where(ENVELOPES.c.model == model, ENVELOPES.c.kind == kind)
        return self.all(of_kind.order_by(ENVELOPES.c.at, ENVELOPES.c.version, ENVELOPES.c.id))

    def add_release(self, row: dict[str, Any], *, expected: int | None) -> None:
        """Adds a release if `expected` is still what is live (compare and swap), whoever asks for it.

        Raises:
            RefusedError: Something else went live in the meantime; or the version has no verdict that promotes, or no
                release checks that passed.
        """
        self._refuse_unproved(row["model"], row["version"])
        past, seals = self.releases(row["model"]), self.seals(row["model"])
        live = past[-1].version if past else None
        sequence = len(past) + 1
        entry = {**row, "previous": expected, "sequence": sequence}
        sealed = seal(seals.get(sequence - 1, FIRST), entry)
        try:
            with self.begin() as connection:
                if live == expected:
                    connection.execute(sa.insert(RELEASES).values(**entry))
                    connection.execute(sa.insert(SEALS).values(model=row["model"], sequence=sequence, seal=sealed))
                    return
        except sa.exc.IntegrityError:
            if sequence in seals:
                raise RefusedError(
                    f"the release log of {row['model']} was altered: row {sequence} is gone, its seal is there; "
                    "`retrim log verify` says more"
                ) from None
        raise RefusedError(f"another version of {row['model']} went live in the meantime; look at `retrim status`")

    def _refuse_unproved(self, model: str, version: int) -> None:
        row = self.version(model, version)
        if row is None or not row.verdict.get("promote"):
            raise RefusedError(f"version {version} of {model} has no verdict that promotes it, and cannot go live")
        if not any(each.record["passed"] for each in self.envelope(model, version, kind=RELEASE_CHECKS)):
            raise RefusedError(f"version {version} of {model} has not passed its release checks, and cannot go live")

    def releases(self, model: str) -> list[Row]:
        """Releases of a model, oldest first; the last says what is live."""
        return self.all(sa.select(RELEASES).where(RELEASES.c.model == model).order_by(RELEASES.c.sequence))

    def seals(self, model: str) -> dict[int, str]:
        """The seal of each release of a model, by its number."""
        rows = self.all(sa.select(SEALS).where(SEALS.c.model == model))
        return {row.sequence: row.seal for row in rows}

    def stray_seals(self) -> list[int]:
        """Numbers of seals, of any model, that seal no release."""
        same = (SEALS.c.model == RELEASES.c.model) & (SEALS.c.sequence == RELEASES.c.sequence)
        query = sa.select(SEALS.c.sequence).outerjoin_from(SEALS, RELEASES, same).where(RELEASES.c.version.is_(None))
        return [int(row.sequence) for row in self.all(query)]

    def unreadable_release(self, model: str) -> int | None:
        """The number of the first release that cannot be read, or whose seal cannot: it is no text any more."""
        numbers = self.all(sa.select(RELEASES.c.sequence).where(RELEASES.c.model == model))
        for number in sorted(int(row.sequence) for row in numbers):
            for table in (RELEASES, SEALS):
                try:
                    self.all(sa.select(table).where(table.c.model == model, table.c.sequence == number))
                except RetrimError:
                    return number
        return None

    def add_alert(self, row: dict[str, Any]) -> bool:
        """Records an alert; False if it was told before."""
        return self._insert(ALERTS, row)

    def alerts(self, model: str) -> list[Row]:
        """Alerts of a model, oldest first."""
        return self.all(sa.select(ALERTS).where(ALERTS.c.model == model).order_by(ALERTS.c.at, ALERTS.c.id))


__all__ = ["Row", "Store", "iso"]
