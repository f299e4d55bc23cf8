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
    RELEASE_HEADS,
    RELEASES,
    RUNS,
    USED_ROWS,
    VERSIONS,
)
from retrim.adapters.signing import Keys
from retrim.adapters.times import Times
from retrim.core.release_checks import RELEASE_CHECKS
from retrim.core.release_log import FIRST, SIGNATURE, digest_of_row, head_of, signed_bytes
from retrim.errors import RefusedError, RetrimError


class Store(Times, CountedRows):
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
        """Starts a run of a decision, or again one that crashed, failed or was not pushed; in its mode, or in `mode`.

        Raises:
            RefusedError: The decision has had its run, or another run of the model is going on.
        """
        first = {"state": "running", "pid": os.getpid(), "attempt": 1, "ended": None, "version": None, "detail": {}}
        if self._insert(RUNS, {**row, **first}):
            return Row({**row, **first})
        with self.begin() as connection:
            again = (
                sa.update(RUNS)
                .where(RUNS.c.id == row["id"], RUNS.c.state.in_(("crashed", "failed", "unpushed")))
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

    def add_release(self, row: dict[str, Any], *, expected: int | None, keys: Keys) -> None:
        """Adds a release if `expected` is still what is live (compare and swap), signed over the one before.

        Args:
            row: `model`, `version`, `action`, `actor`, `reason`, `as_of`, `at`.
            expected: What was live when this was decided.
            keys: Sign it, and the new head.

        Raises:
            RefusedError: Something else went live in the meantime; or the version has no verdict that promotes, or no
                release checks that passed.
        """
        self._refuse_unproved(row["model"], row["version"])
        past = self.releases(row["model"])
        live, last = (past[-1].version, past[-1].values) if past else (None, None)
        entry = {**row, "previous": expected, "sequence": len(past) + 1, "signer": str(keys.public)}
        entry["follows"] = FIRST if last is None else digest_of_row(last)
        entry[SIGNATURE] = keys.sign(signed_bytes(entry))
        head = head_of(entry, signer=entry["signer"])
        head[SIGNATURE] = keys.sign(signed_bytes(head))
        try:
            with self.begin() as connection:
                if live == expected:
                    connection.execute(sa.insert(RELEASES).values(**entry))
                    self._move_head(connection, head)
                    return
        except sa.exc.IntegrityError:
            pass
        raise RefusedError(f"another version of {row['model']} went live in the meantime; look at `retrim status`")

    def _move_head(self, connection: sa.Connection, head: dict[str, Any]) -> None:
        """Replaces the head of one row less; where the log was altered there is no such head."""
        mine = RELEASE_HEADS.c.model == head["model"]
        before = sa.delete(RELEASE_HEADS).where(mine, RELEASE_HEADS.c.sequence == head["sequence"] - 1)
        replaced = connection.execute(before).rowcount
        there = connection.execute(sa.select(RELEASE_HEADS.c.sequence).where(mine)).first()
        if there is not None or replaced != min(head["sequence"] - 1, 1):
            raise RefusedError(
                f"the release log of {head['model']} was altered: there are {head['sequence'] - 1} rows, and its "
                "signed head is not that of so many; `retrim log verify` says more"
            )
        connection.execute(sa.insert(RELEASE_HEADS).values(**head))

    def _refuse_unproved(self, model: str, version: int) -> None:
        row = self.version(model, version)
        if row is None or not row.verdict.get("promote"):
            raise RefusedError(f"version {version} of {model} has no verdict that promotes it, and cannot go live")
        if not any(each.record["passed"] for each in self.envelope(model, version, kind=RELEASE_CHECKS)):
            raise RefusedError(f"version {version} of {model} has not passed its release checks, and cannot go live")

    def releases(self, model: str) -> list[Row]:
        """Releases of a model, oldest first; the last says what is live."""
        return self.all(sa.select(RELEASES).where(RELEASES.c.model == model).order_by(RELEASES.c.sequence))

    def release_head(self, model: str) -> Row | None:
        """The signed head of a model's releases: how many there are, and the digest of the last."""
        return self.one(sa.select(RELEASE_HEADS).where(RELEASE_HEADS.c.model == model))

    def unreadable_release(self, model: str) -> int | None:
        """The number of the first release that cannot be read: it is no text any more."""
        numbers = self.all(sa.select(RELEASES.c.sequence).where(RELEASES.c.model == model))
        for number in sorted(int(row.sequence) for row in numbers):
            try:
                self.all(sa.select(RELEASES).where(RELEASES.c.model == model, RELEASES.c.sequence == number))
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
