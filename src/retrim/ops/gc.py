"""Prunes what no version needs: rooms, trial logs, environments, MLflow's leftovers and the DVC cache.

What goes is found first, by what is known to be needed, and then removed piece by piece: whenever it is killed,
nothing is gone that was needed, and the next one goes on. Landing zone, store, receipts and keys are not looked at.
"""

import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.environment import COMPLETE
from retrim.adapters.mlflow_leftovers import erase, leftovers
from retrim.core.history import UNFINISHED
from retrim.files import file_digest
from retrim.ops.cache_lock import alone_with_cache
from retrim.ops.gc_cache import cache_pieces, needed
from retrim.ops.gc_piece import Piece, size_of, unlink
from retrim.ops.house import House
from retrim.ops.recover import ROOM, clear_room
from retrim.ops.signs import clear, is_alive, left_behind

REBUILD = "reproduce-v"


@dataclass(frozen=True)
class Pruned:
    """What was kept and what went, or would go.

    Args:
        dry: Whether nothing was removed.
        pieces: All that was looked at, in the order in which it is removed.
    """

    dry: bool
    pieces: tuple[Piece, ...]

    @property
    def gone(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.remove is not None)

    @property
    def kept(self) -> tuple[Piece, ...]:
        return tuple(piece for piece in self.pieces if piece.remove is None)

    def as_record(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry,
            "freed": sum(piece.frees for piece in self.gone),
            "removed": [piece.as_record() for piece in self.gone],
            "kept": [piece.as_record() for piece in self.kept],
        }


def prune(house: House, *, dry: bool, now: pd.Timestamp) -> Pruned:
    """Removes what no registered version, no run under way and nobody's hand needs.

    Args:
        house: The house.
        dry: Whether to say only what would go.
        now: What came into the cache within `room.gc_grace` before is kept: a person may work with it by hand.

    Raises:
        RefusedError: A run or a rebuild is going on, or it cannot be told what a version needs.
    """
    with alone_with_cache(house):
        pieces = tuple(_pieces(house, now))
        if not dry:
            for piece in pieces:
                if piece.remove is not None:
                    piece.remove()
    return Pruned(dry, pieces)


def _pieces(house: House, now: pd.Timestamp) -> Iterator[Piece]:
    named = needed(house)
    rooms = list(_rooms(house))
    kept = [house.workspace.runs / room.name for room in rooms if room.remove is None]
    yield from rooms
    yield from _trials(house)
    yield from _environments(house)
    yield from _mlflow(house)
    yield from cache_pieces(house, named, kept_rooms=kept, now=now)


def _rooms(house: House) -> Iterator[Piece]:
    """Rooms under `var/runs/`: those of runs that are over go, and rebuilds that a kill left; a person's stay."""
    for folder in sorted(house.workspace.runs.glob("*")):
        if not folder.is_dir():
            continue
        named = ROOM.fullmatch(folder.name)
        run = house.store.run(named[1]) if named is not None else None
        frees = size_of(folder)
        if run is not None and run.state in UNFINISHED:
            yield Piece("room", folder.name, frees, f"its run is {run.state}: `retrim check` finishes it", None)
        elif run is not None and run.model == house.model:
            yield Piece("room", folder.name, frees, f"its run ended {run.state}", partial(clear_room, house, folder))
        elif folder.name.startswith(REBUILD) and not is_alive(house, folder.name):
            yield Piece("room", folder.name, frees, "a rebuild that was killed", partial(clear_room, house, folder))
        else:
            cure = f"remove it with `git worktree remove --force {folder}`"
            yield Piece("room", folder.name, frees, f"a person may work in it; {cure}", None)
    for name in left_behind(house, REBUILD):
        yield Piece("sign", name, 0, "its process was killed", partial(clear, house, name))


def _trials(house: House) -> Iterator[Piece]:
    """Trial logs: they save time to a search that was killed, and to nothing else."""
    waiting = [run for state in UNFINISHED for run in house.store.all_runs(state=state)]
    for log in sorted(house.workspace.trials.glob("*.jsonl")):
        size = log.stat().st_size
        if waiting:
            yield Piece("trial log", log.stem, size, f"{waiting[0].id} may go on from it", None)
        else:
            yield Piece("trial log", log.stem, size, "no search goes on from it", partial(unlink, log))


def _environments(house: House) -> Iterator[Piece]:
    """Environments of proofs: those of a version's lock stay, as a package may be gone from its index by then."""
    versions = house.store.all_versions()
    locks = {str(row.lineage.get("requirements_lock", ""))[:16]: f"version {row.version}" for row in versions}
    if house.workspace.lock.exists():
        locks.setdefault(file_digest(house.workspace.lock)[:16], "the workspace")
    for folder in sorted(path for path in house.workspace.environments.glob("*") if path.is_dir()):
        lock, _, python = folder.name.partition("-")
        whole, frees = (folder / COMPLETE).exists(), size_of(folder)
        if not whole:
            why = "it was never whole"
        elif python != platform.python_version():
            why = f"it is of Python {python}"
        else:
            why = "" if lock in locks else "no version has its lock"
        if why:
            yield Piece("environment", folder.name, frees, why, partial(_remove_environment, folder))
        else:
            yield Piece("environment", folder.name, frees, f"{locks[lock]} is proved in it", None)


def _remove_environment(folder: Path) -> None:
    unlink(folder / COMPLETE)  # first: what is left by a kill is then built anew
    shutil.rmtree(folder, ignore_errors=True)


def _mlflow(house: House) -> Iterator[Piece]:
    """Runs of MLflow that no version came from: deleted ones, and those of runs that failed for good."""
    failed = {run.id for run in house.store.runs(house.model, state="failed")}
    for run in leftovers(house.registry, failed):
        yield Piece("mlflow run", run.id, run.bytes, run.why, partial(erase, house.registry, run.id))
