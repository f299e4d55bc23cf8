"""The demo: a table's real history replayed through the real flows, with the dates passed in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.ingest import ingest
from flows.monitor import monitor
from flows.retrain import retrain
from retrim.datasets.catalogue import DATASETS
from retrim.datasets.shipped import Piece
from retrim.ops.approval import approve_all
from retrim.ops.demo import NO_LOSS, Loss, first_live, frozen_loss
from retrim.ops.house import House
from retrim.ops.person import ask_for_run
from retrim.ops.progress import tell
from retrim.ops.release import live

DEMO = "retrim demo"


@dataclass(frozen=True)
class Beat:
    """One date of the replay: what landed, what was decided, what came of it.

    Args:
        date: The day.
        rows: Rows that landed.
        check: The check's record; None on the first date, when version 1 is made.
        run: How the retraining ended, if there was one.
        live: The version that is live after it.
        system: Loss of whatever was live, over the rows that matured.
        frozen: That of version 1.
        always: That of a model refitted at every check.
    """

    date: str
    rows: int
    check: dict[str, Any] | None
    run: dict[str, Any] | None
    live: int | None
    system: Loss
    frozen: Loss
    always: Loss


def replay(house: House) -> Iterator[Beat]:
    """Makes version 1 from the first months, then lands and checks piece by piece to the end of the table."""
    demo = house.params.demo
    pieces = list(DATASETS[demo.dataset].pieces(house.workspace.root, start=demo.start, every=demo.check_every))
    # A heartbeat costs a flow most of a second at its end; a replay has hundreds of flows and nobody to listen.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        for number, piece in enumerate(pieces):
            tell(f"checks: {piece.arrives:%Y-%m-%d}", number, len(pieces))
            _land(house, piece)
            yield _first(house, piece) if number == 0 else _check(house, piece)


def _land(house: House, piece: Piece) -> None:
    file = house.workspace.var / "arriving" / f"{piece.arrives:%Y-%m-%d}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(piece.content)
    ingest(str(file), piece.arrives.isoformat())


def _first(house: House, piece: Piece) -> Beat:
    at, why = piece.arrives, "version 1, from the first months"
    decision = ask_for_run(house, as_of=at, by=DEMO, reason=why, now=at)
    run = retrain(decision, at.isoformat())
    _approve(house, piece)
    return Beat(f"{piece.arrives:%Y-%m-%d}", piece.rows, None, run, _live(house), NO_LOSS, NO_LOSS, NO_LOSS)


def _check(house: House, piece: Piece) -> Beat:
    done = monitor(piece.arrives.isoformat())
    _approve(house, piece)
    reading = done["check"]["reading"]
    system = frozen = always = NO_LOSS
    if reading is not None:
        system = Loss(reading["champion_loss"] * reading["rows"], reading["rows"])
        always = Loss(reading["probe_loss"] * reading["rows"], reading["rows"])
        since = piece.arrives - pd.Timedelta(house.params.demo.check_every)
        frozen = frozen_loss(house, first_live(house), since=since, until=piece.arrives)
    return Beat(
        date=f"{piece.arrives:%Y-%m-%d}",
        rows=piece.rows,
        check=done["check"],
        run=done["run"],
        live=_live(house),
        system=system,
        frozen=frozen,
        always=always,
    )


def _approve(house: House, piece: Piece) -> None:
    """Lets go live what waits for a person, where release.approval asks one: the demo has none."""
    approve_all(house, by=DEMO, reason="nobody is asked in a demo", now=piece.arrives)


def _live(house: House) -> int | None:
    now = live(house)
    return None if now is None else now.version
