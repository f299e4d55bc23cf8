"""Our own store: what was decided, run, counted, released and sent. It is the truth; MLflow and Prefect mirror it.

SQLite under `var/` by default, any SQLAlchemy address in production. Nothing is deleted; releases are only ever added.
"""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import sqlalchemy as sa
from pydantic import JsonValue

from retrim.adapters.database import SqlTables
from retrim.adapters.migrations.schema import (
    ALERTS,
    COUNTED_ROWS,
    DECISIONS,
    DELIVERIES,
    DUE_TIMES,
    ENVELOPES,
    METADATA,
    RELEASE_HEADS,
    RELEASES,
    RUNS,
    STAGE_TIMES,
    USED_ROWS,
    VERSIONS,
)
from retrim.adapters.signing import Keys
from retrim.decision.release_checks import RELEASE_CHECKS, ReleaseChecks
from retrim.decision.release_log import FIRST, digest_of_row, head_of, signed_bytes
from retrim.decision.rows_counted import LedgerEntry
from retrim.decision.stored_rows import (
    AlertRow,
    CountedRow,
    DecisionRow,
    DeliveryRow,
    DueTime,
    EnvelopeRow,
    ReleaseHeadRow,
    ReleaseMove,
    ReleaseRow,
    RunClaim,
    RunDetail,
    RunRow,
    StageTime,
    UsedRow,
    VersionRow,
    as_text,
    columns_of,
)
from retrim.errors import RefusedError, RetrimError
from retrim.stats.codec import from_record, to_record


class CountedRows(SqlTables):
    """The ledger of rows in the store. It is only added to."""

    def add_check(self, row: DecisionRow, entries: Iterable[LedgerEntry]) -> bool:
        """Records a check with the rows that it counted, all of it or nothing.

        Returns:
            False, and nothing is written, if it is recorded already or another check of this model was recorded since.
        """
        assert row.sequence is not None, row.id
        rows = [columns_of(CountedRow(row.model, row.id, entry.kind, entry.batch, entry.rows)) for entry in entries]
        try:
            with self.begin() as connection:
                connection.execute(sa.insert(DECISIONS).values(**columns_of(row)))
                if rows:
                    connection.execute(sa.insert(COUNTED_ROWS), rows)
        except sa.exc.IntegrityError:
            if self.last_sequence(row.model) < row.sequence:  # nobody came first: the ledger itself is wrong
                raise
            return False
        return True

    def last_sequence(self, model: str) -> int:
        """The number of the newest check of a model; 0 before the first."""
        query = sa.select(sa.func.max(DECISIONS.c.sequence)).where(DECISIONS.c.model == model)
        with self.connect() as connection:
            return connection.execute(query).scalar() or 0

    def counted_rows(self, model: str) -> list[LedgerEntry]:
        """What checks did with landed rows, in order of the checks."""
        query = (
            sa.select(COUNTED_ROWS)
            .join(DECISIONS, DECISIONS.c.id == COUNTED_ROWS.c.decision)
            .where(COUNTED_ROWS.c.model == model)
            .order_by(DECISIONS.c.sequence, COUNTED_ROWS.c.kind, COUNTED_ROWS.c.batch)
        )
        return [LedgerEntry(row.decision, row.kind, row.batch, row.rows) for row in self.all(query)]

    def used_rows(self, model: str, version: int) -> dict[str, bytes] | None:
        """The landed rows that a version was made or judged with, by batch; None for an imported one."""
        query = sa.select(USED_ROWS).where(USED_ROWS.c.model == model, USED_ROWS.c.version == version)
        return {row.batch: row.rows for row in self.all(query)} or None


class StoredTimes(SqlTables):
    """What stages took, and up to when schedules are done."""

    def add_stage_times(self, run: RunRow, seconds: Mapping[str, float]) -> None:
        """Records what the stages of an attempt of a run took."""
        for stage, took in seconds.items():
            self._insert(STAGE_TIMES, StageTime(run.id, run.attempt, run.model, run.mode, stage, took))

    def stage_times(self, model: str, *, mode: str, stage: str) -> list[float]:
        """Seconds that a stage took in the runs of a model in a mode."""
        of_stage = (STAGE_TIMES.c.model == model) & (STAGE_TIMES.c.mode == mode) & (STAGE_TIMES.c.stage == stage)
        return [float(row.seconds) for row in self.all(sa.select(STAGE_TIMES.c.seconds).where(of_stage))]

    def seconds_of_runs(self, model: str) -> dict[str, float]:
        """Seconds that the stages of each run of a model took, all attempts together."""
        took = sa.select(STAGE_TIMES.c.run, sa.func.sum(STAGE_TIMES.c.seconds).label("seconds"))
        rows = self.all(took.where(STAGE_TIMES.c.model == model).group_by(STAGE_TIMES.c.run))
        return {str(row.run): float(row.seconds) for row in rows}

    def done_until(self, model: str, flow: str) -> str | None:
        """Up to when all due times of a scheduled flow are done; None before its schedule first ran."""
        of_flow = (DUE_TIMES.c.model == model) & (DUE_TIMES.c.flow == flow)
        return next((str(row.done_until) for row in self.all(sa.select(DUE_TIMES.c.done_until).where(of_flow))), None)

    def mark_done(self, model: str, flow: str, *, until: str) -> bool:
        """Records that all due times of a scheduled flow are done up to a moment; False if that was known."""
        if self._insert(DUE_TIMES, DueTime(model, flow, until)):
            return True
        earlier = (DUE_TIMES.c.model == model) & (DUE_TIMES.c.flow == flow) & (DUE_TIMES.c.done_until < until)
        with self.begin() as connection:
            return bool(connection.execute(sa.update(DUE_TIMES).where(earlier).values(done_until=until)).rowcount)


class Outbox(SqlTables):
    """Alerts, and what each address was sent of them."""

    def add_alert(self, row: AlertRow, is_to_be_told: Callable[[str | None, str | None], bool]) -> bool:
        """Records an alert; whether it is to be told.

        Args:
            is_to_be_told: From when the same words and when the same matter were last told, None for never.
        """
        same_words = sa.select(ALERTS.c.queued).where(ALERTS.c.id == row.id)
        matter = (ALERTS.c.model == row.model, ALERTS.c.kind == row.kind, ALERTS.c.about == row.about)
        same_matter = sa.select(sa.func.max(ALERTS.c.queued)).where(*matter)
        try:
            with self.begin() as connection:
                known = connection.execute(same_words).first()
                about = connection.execute(same_matter).scalar() if row.about else None
                is_told = is_to_be_told(None if known is None else known.queued, about)
                if known is None:
                    new = row if is_told else replace(row, queued=None)
                    connection.execute(sa.insert(ALERTS).values(**columns_of(new)))
                elif is_told:
                    again = sa.update(ALERTS).where(ALERTS.c.id == row.id)
                    connection.execute(again.values(queued=row.queued))
                    ahead = (DELIVERIES.c.alert == row.id, DELIVERIES.c.sent >= row.queued)
                    connection.execute(sa.delete(DELIVERIES).where(*ahead))  # sent by a clock that was ahead
        except sa.exc.IntegrityError:  # another process records the same just now
            return False
        return is_told

    def alerts(self, model: str) -> list[AlertRow]:
        """Alerts of a model, oldest first."""
        return self.rows(sa.select(ALERTS).where(ALERTS.c.model == model).order_by(ALERTS.c.at, ALERTS.c.id), AlertRow)

    def deliveries(self, model: str) -> list[DeliveryRow]:
        """What addresses were sent of the alerts of a model, or are to be."""
        return self.rows(sa.select(DELIVERIES).where(DELIVERIES.c.model == model), DeliveryRow)

    def forget_untold(self) -> None:
        """Takes all alerts so far off the queue: a copy of a store sends nothing of what the original has told."""
        with self.begin() as connection:
            connection.execute(sa.update(ALERTS).values(queued=None))

    def claim_alerts(
        self,
        model: str,
        address: str,
        choose: Callable[[Sequence[AlertRow], Sequence[DeliveryRow]], Sequence[str]],
        *,
        claim: str,
        now: str,
        until: str,
    ) -> list[tuple[AlertRow, int]]:
        """Claims alerts for one address, so that no other process sends them; gives them in order, each with the number
        of the attempt.
        """
        queued = sa.select(ALERTS).where(ALERTS.c.model == model, ALERTS.c.queued.is_not(None))
        of_address = sa.select(DELIVERIES).where(DELIVERIES.c.model == model, DELIVERIES.c.address == address)
        taken = {"tried": now, "due": until, "claim": claim, "sent": None}
        claimed: list[tuple[AlertRow, int]] = []
        try:
            with self.begin() as connection:
                alerts = {row["id"]: AlertRow(**row) for row in connection.execute(queued).mappings()}
                rows = [DeliveryRow(**row) for row in connection.execute(of_address).mappings()]
                known = {row.alert: row for row in rows}
                for name in choose(list(alerts.values()), rows):
                    before = known.get(name)
                    if before is None:
                        new = {"alert": name, "address": address, "model": model, "attempts": 1, "error": None}
                        connection.execute(sa.insert(DELIVERIES).values(**new, **taken))
                        claimed.append((alerts[name], 1))
                        continue
                    same = (DELIVERIES.c.alert == name, DELIVERIES.c.address == address)
                    unchanged = (DELIVERIES.c.tried == before.tried, DELIVERIES.c.attempts == before.attempts)
                    attempts = 1 if before.sent is not None else before.attempts + 1
                    update = sa.update(DELIVERIES).where(*same, *unchanged).values(attempts=attempts, **taken)
                    claimed += [(alerts[name], attempts)] * connection.execute(update).rowcount
        except sa.exc.IntegrityError:  # another process was faster
            return []
        return claimed

    def settle_claim(self, claim: str, *, sent: str | None, due: str | None, error: str | None) -> None:
        """Records how the sending of claimed alerts ended."""
        mine = sa.update(DELIVERIES).where(DELIVERIES.c.claim == claim)
        with self.begin() as connection:
            connection.execute(mine.values(claim=None, sent=sent, due=due, error=error))


class Store(StoredTimes, CountedRows, Outbox):
    """The store at an address; its tables are made at first use."""

    def models(self) -> list[str]:
        """Every model of which something was decided or made here, by name; several workspaces may share a store."""
        named = sa.union(*(sa.select(table.c.model) for table in (DECISIONS, VERSIONS, RELEASES, ALERTS))).subquery()
        return [str(row.model) for row in self.all(sa.select(named.c.model).order_by(named.c.model))]

    def decision(self, identity: str) -> DecisionRow | None:
        return self.one(sa.select(DECISIONS).where(DECISIONS.c.id == identity), DecisionRow)

    def decisions(
        self,
        model: str,
        *,
        source: str | None = None,
        newest: int | None = None,
        until: str | None = None,
        acted: bool = False,
    ) -> list[DecisionRow]:
        """Decisions of a model, oldest first.

        Args:
            newest: That many of the newest; None: all.
            until: Those about this moment or earlier, as the store spells it; None: all.
            acted: Only those that something was done after: their outcome is not `none`.
        """
        query = sa.select(DECISIONS).where(DECISIONS.c.model == model)
        if source is not None:
            query = query.where(DECISIONS.c.source == source)
        if until is not None:
            query = query.where(DECISIONS.c.as_of <= until)
        if acted:
            query = query.where(DECISIONS.c.outcome != "none")
        if newest is None:
            return self.rows(query.order_by(DECISIONS.c.as_of, DECISIONS.c.at), DecisionRow)
        backwards = query.order_by(DECISIONS.c.as_of.desc(), DECISIONS.c.at.desc()).limit(newest)
        return self.rows(backwards, DecisionRow)[::-1]

    def add_decision(self, row: DecisionRow) -> bool:
        """Records a decision; False if one of this model, source and date is there already."""
        return self._insert(DECISIONS, row)

    def run(self, identity: str) -> RunRow | None:
        return self.one(sa.select(RUNS).where(RUNS.c.id == identity), RunRow)

    def runs(self, model: str, *, state: str | None = None) -> list[RunRow]:
        """Runs of a model, oldest first."""
        query = sa.select(RUNS).where(RUNS.c.model == model)
        if state is not None:
            query = query.where(RUNS.c.state == state)
        return self.rows(query.order_by(RUNS.c.as_of, RUNS.c.started), RunRow)

    def claim_run(self, claim: RunClaim, *, mode: str | None = None) -> RunRow:
        """Starts a run of a decision, or again one that crashed, failed or was not pushed; in its mode, or in `mode`.

        Raises:
            RefusedError: The decision has had its run, or another run of the model is in progress.
        """
        row = RunRow(**vars(claim), state="running", attempt=1, pid=os.getpid(), ended=None, version=None, text="{}")
        if self._insert(RUNS, row):
            return row
        with self.begin() as connection:
            again = (
                sa.update(RUNS)
                .where(RUNS.c.id == row.id, RUNS.c.state.in_(("crashed", "failed", "unpushed")))
                .values(state="running", pid=os.getpid(), attempt=RUNS.c.attempt + 1, ended=None)
                .values(mode=RUNS.c.mode if mode is None else mode)
            )
            try:
                claimed = connection.execute(again).rowcount
            except sa.exc.IntegrityError:
                claimed = 0
        stored = self.run(row.id)
        if claimed and stored is not None:
            return stored
        other = next(iter(self.runs(row.model, state="running")), None)
        if other is not None:
            raise RefusedError(
                f"run {other.id} of {row.model} is in progress (process {other.pid}), and only one run is allowed at a "
                "time; wait until it ends"
            )
        state = stored.state if stored is not None else "unknown"
        raise RefusedError(f"decision {row.decision} already has its run (state: {state}); wait for the next decision")

    def note_run(self, identity: str, detail: RunDetail) -> None:
        """Adds to what is kept of a run."""
        with self.begin() as connection:
            this = RUNS.c.id == identity
            before = json.loads(connection.execute(sa.select(RUNS.c.text).where(this)).scalar_one())
            text = json.dumps({**before, **to_record(detail)})
            connection.execute(sa.update(RUNS).where(this).values(text=text))

    def end_run(self, identity: str, *, state: str, ended: str, version: int | None, detail: RunDetail) -> None:
        with self.begin() as connection:
            change = sa.update(RUNS).where(RUNS.c.id == identity)
            connection.execute(change.values(state=state, ended=ended, version=version, text=as_text(detail)))

    def add_version(self, row: VersionRow, *, used: Mapping[str, bytes] = MappingProxyType({})) -> bool:
        """Records a version; False if it is there already."""
        rows = [UsedRow(row.model, row.version, batch, bits) for batch, bits in used.items()]
        return self._insert(VERSIONS, row, {USED_ROWS: rows})

    def version(self, model: str, number: int) -> VersionRow | None:
        return self.one(sa.select(VERSIONS).where(VERSIONS.c.model == model, VERSIONS.c.version == number), VersionRow)

    def version_of_run(self, run: str) -> VersionRow | None:
        """The version that a run made, if it got so far."""
        return self.one(sa.select(VERSIONS).where(VERSIONS.c.run == run), VersionRow)

    def versions(self, model: str) -> list[VersionRow]:
        """Versions of a model, first to last."""
        return self.rows(sa.select(VERSIONS).where(VERSIONS.c.model == model).order_by(VERSIONS.c.version), VersionRow)

    def all_versions(self) -> list[VersionRow]:
        """Versions of every model, first to last."""
        return self.rows(sa.select(VERSIONS).order_by(VERSIONS.c.model, VERSIONS.c.version), VersionRow)

    def all_runs(self, *, state: str) -> list[RunRow]:
        """Runs of every model in a state."""
        return self.rows(sa.select(RUNS).where(RUNS.c.state == state).order_by(RUNS.c.id), RunRow)

    def add_to_envelope(
        self, model: str, version: int, *, kind: str, name: str, at: str, record: Mapping[str, JsonValue]
    ) -> bool:
        """Adds what has become known of a version, such as an approval; False if it is there already."""
        return self._insert(ENVELOPES, EnvelopeRow(model, version, kind, name, at, dict(record)))

    def envelope(self, model: str, version: int, *, kind: str | None = None) -> list[EnvelopeRow]:
        """What has become known of a version since it was made, oldest first: of one kind, or all."""
        query = sa.select(ENVELOPES).where(ENVELOPES.c.model == model, ENVELOPES.c.version == version)
        if kind is not None:
            query = query.where(ENVELOPES.c.kind == kind)
        return self.rows(query.order_by(ENVELOPES.c.at, ENVELOPES.c.kind, ENVELOPES.c.id), EnvelopeRow)

    def envelopes(self, model: str, *, kind: str) -> list[EnvelopeRow]:
        """Of all versions of a model, what has become known of one kind, oldest first."""
        of_kind = sa.select(ENVELOPES).where(ENVELOPES.c.model == model, ENVELOPES.c.kind == kind)
        return self.rows(of_kind.order_by(ENVELOPES.c.at, ENVELOPES.c.version, ENVELOPES.c.id), EnvelopeRow)

    def add_release(self, move: ReleaseMove, *, expected: int | None, keys: Keys) -> None:
        """Adds a release if `expected` is still what is live (compare and swap), signed over the one before.

        Raises:
            RefusedError: Something else went live in the meantime; or the version has no verdict that promotes, or no
                release checks that passed.
        """
        self._refuse_unproved(move.model, move.version)
        past, signer = self.releases(move.model), str(keys.public)
        live, follows = (past[-1].version, digest_of_row(past[-1])) if past else (None, FIRST)
        row = ReleaseRow(**vars(move), previous=expected, sequence=len(past) + 1, signer=signer, follows=follows)
        row = replace(row, signature=keys.sign(signed_bytes(row)))
        head = head_of(row, signer=signer)
        head = replace(head, signature=keys.sign(signed_bytes(head)))
        try:
            with self.begin() as connection:
                if live == expected:
                    connection.execute(sa.insert(RELEASES).values(**columns_of(row)))
                    self._move_head(connection, head)
                    return
        except sa.exc.IntegrityError:
            pass
        raise RefusedError(f"a different version of {move.model} went live in the meantime; see `retrim status`")

    def _move_head(self, connection: sa.Connection, head: ReleaseHeadRow) -> None:
        """Replaces the head of one row less; where the log was altered there is no such head."""
        mine = RELEASE_HEADS.c.model == head.model
        before = sa.delete(RELEASE_HEADS).where(mine, RELEASE_HEADS.c.sequence == head.sequence - 1)
        replaced = connection.execute(before).rowcount
        there = connection.execute(sa.select(RELEASE_HEADS.c.sequence).where(mine)).first()
        if there is not None or replaced != min(head.sequence - 1, 1):
            raise RefusedError(
                f"the release log of {head.model} was altered: it has {head.sequence - 1} rows, and its "
                "signed head does not match them; run `retrim versions log --verify` to see where"
            )
        connection.execute(sa.insert(RELEASE_HEADS).values(**columns_of(head)))

    def _refuse_unproved(self, model: str, version: int) -> None:
        row = self.version(model, version)
        if row is None or not (row.verdict.get("promote") or row.is_baseline):
            raise RefusedError(
                f"version {version} of {model} has no verdict that promotes it, so it cannot go live; train a new "
                "version"
            )
        shown = self.envelope(model, version, kind=RELEASE_CHECKS)
        if not any(from_record(ReleaseChecks, each.record).passed for each in shown):
            raise RefusedError(
                f"version {version} of {model} did not pass its release checks, so it cannot go live; choose a "
                "different version"
            )

    def releases(self, model: str) -> list[ReleaseRow]:
        """Releases of a model, oldest first; the last says what is live."""
        return self.rows(sa.select(RELEASES).where(RELEASES.c.model == model).order_by(RELEASES.c.sequence), ReleaseRow)

    def release_head(self, model: str) -> ReleaseHeadRow | None:
        """The signed head of a model's releases: how many there are, and the digest of the last."""
        return self.one(sa.select(RELEASE_HEADS).where(RELEASE_HEADS.c.model == model), ReleaseHeadRow)

    def unreadable_release(self, model: str) -> int | None:
        """The number of the first release that cannot be read: it is not text any more."""
        numbers = self.all(sa.select(RELEASES.c.sequence).where(RELEASES.c.model == model))
        for number in sorted(int(row.sequence) for row in numbers):
            try:
                self.all(sa.select(RELEASES).where(RELEASES.c.model == model, RELEASES.c.sequence == number))
            except RetrimError:
                return number
        return None


def copy_whole(source: Store, target: Store, model: str) -> None:
    """Copies every row of a model into an empty store."""
    alerts = sa.select(ALERTS.c.id).where(ALERTS.c.model == model)
    for table in METADATA.sorted_tables:
        mine = table.c.model == model if "model" in table.c else table.c.alert.in_(alerts)
        names = table.c.keys()
        rows = [dict(zip(names, row, strict=True)) for row in source.all(sa.select(table).where(mine))]
        if rows:
            with target.begin() as connection:
                connection.execute(sa.insert(table), rows)
