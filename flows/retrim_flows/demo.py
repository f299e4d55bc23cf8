"""The demo: a table's real history replayed through the real flows, with the dates passed in."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from retrim.checking.check import CheckOutcome
from retrim.decision.history import RunOutcome
from retrim.lineage.workspace import Workspace, ask_for_run, report_progress
from retrim.reading.shipped import DATASETS, ShippedFile
from retrim.release.approval import approve_all
from retrim.release.versions import find_live_version
from retrim.reports.demo import Loss, frozen_loss
from retrim_flows.check import check
from retrim_flows.ingest import ingest
from retrim_flows.retrain import retrain

DEMO = "retrim demo"


@dataclass(frozen=True)
class Beat:
    """One date of the replay: what landed, what was decided, what came of it.

    Args:
        date: The day.
        check: The check's record; None on the first date, when version 1 is made.
        run: How the retraining ended, if there was one.
        live: The version that is live after it.
        system: Loss of whatever was live, over the rows that matured.
        frozen: That of version 1.
        always: That of a model refitted at every check.
    """

    date: str
    rows: int
    check: CheckOutcome | None
    run: RunOutcome | None
    live: int | None
    system: Loss
    frozen: Loss
    always: Loss


def replay(workspace: Workspace) -> Iterator[Beat]:
    """Makes version 1 from the first months, then lands and checks piece by piece to the end of the table."""
    shipped = DATASETS[workspace.model]
    pieces = list(shipped.pieces(workspace.paths.root, start=shipped.start, every=shipped.every))
    # A heartbeat costs a flow most of a second at its end; a replay has hundreds of flows and nobody to listen.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        for number, piece in enumerate(pieces):
            report_progress(f"checks: {piece.arrives:%Y-%m-%d}", number, len(pieces))
            _land(workspace, piece)
            yield _first(workspace, piece) if number == 0 else _check(workspace, piece)


def _land(workspace: Workspace, piece: ShippedFile) -> None:
    file = workspace.paths.var / "arriving" / f"{piece.arrives:%Y-%m-%d}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(piece.content)
    ingest(str(file), piece.arrives.isoformat())


def _first(workspace: Workspace, piece: ShippedFile) -> Beat:
    at, why = piece.arrives, "version 1, from the first months"
    decision = ask_for_run(workspace, as_of=at, by=DEMO, reason=why, now=at)
    run = retrain(decision, at.isoformat())
    _approve(workspace, piece)
    return Beat(f"{piece.arrives:%Y-%m-%d}", piece.rows, None, run, _live(workspace), Loss(), Loss(), Loss())


def _check(workspace: Workspace, piece: ShippedFile) -> Beat:
    done = check(piece.arrives.isoformat())
    _approve(workspace, piece)
    assert done is not None, piece.arrives
    reading = done.check.record.probe.reading
    system = frozen = always = Loss()
    if reading is not None:
        system = Loss(reading.champion_loss * reading.rows, reading.rows)
        always = Loss(reading.probe_loss * reading.rows, reading.rows)
        since = piece.arrives - pd.Timedelta(DATASETS[workspace.model].every)
        first = workspace.store.releases(workspace.model)[0].version
        frozen = frozen_loss(workspace, first, since=since, until=piece.arrives)
    return Beat(
        date=f"{piece.arrives:%Y-%m-%d}",
        rows=piece.rows,
        check=done.check,
        run=done.run,
        live=_live(workspace),
        system=system,
        frozen=frozen,
        always=always,
    )


def _approve(workspace: Workspace, piece: ShippedFile) -> None:
    """Lets go live what waits for a person, where release.approval asks one: the demo has none."""
    approve_all(workspace, by=DEMO, reason="nobody is asked in a demo", now=piece.arrives)


def _live(workspace: Workspace) -> int | None:
    now = find_live_version(workspace)
    return None if now is None else now.version
