"""Kills a use case of ingest before and inside each of its writes, and runs it again: for test_ingest_killed.

    python killed_ingest.py FOLDER SCENARIO ...

Prints as JSON of each scenario how many writes there were, and what was wrong after which of them.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.landing_index import FOLDER
from retrim.adapters.landing_zone import Landing
from retrim.files import WorkspacePaths
from retrim.landing.ingest import drop_quarantined, land_batch, release_quarantined
from retrim.landing.quarantine import Quarantine
from retrim.lineage.landing_address import LandingAddress
from retrim.reading.chunks import large_at
from retrim.reading.landed import Withdrawal, landed_files
from retrim.reading.landed_rows import read_column
from retrim.table.data import DataParams
from retrim.table.reading import PLAIN

WRITES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SIZES = (64, 400, 1500)
SMALLEST = 1e-6  # megabytes: a row a piece
NOW = pd.Timestamp("2024-01-02", tz="UTC")
HEADER = "at,order,weight,price\n"
GOOD, BAD = HEADER + "2024-01-01,1,0.5,2\n", HEADER + "2024-01-01,1,0.5,\n"
DATA = DataParams.model_validate(
    {
        "model": "shop",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "order": {"type": "integer", "role": "forbidden"},
            "weight": {"type": "number", "role": "feature"},
            "price": {"type": "number", "role": "target"},
        },
        "key": ["order"],
        "task": "regression",
        "label_horizon": "1D",
        "batch_every": "7D",
        "suite": "suite.json",
    }
)


def ingest(root: Path, content: str, day: int, *, correction: bool = False, at: LandingAddress | None = None) -> None:
    path = root / "batch.csv"
    if not path.exists() or path.read_text(encoding="utf-8") != content:
        path.write_text(content, encoding="utf-8")
    now = NOW + pd.Timedelta(day, "D")
    land_batch(path, workspace=WorkspacePaths(root), data=DATA, now=now, correction=correction, at=at)


def address(root: Path) -> LandingAddress:
    """A folder beside the landing zone, so that what is written there is seen too."""
    return LandingAddress(f"file://{root}/var/address", DATA.model, root / "var" / "landing")


def land_there(root: Path) -> None:
    ingest(root, GOOD, 6, at=address(root))


def withdraw_there(root: Path) -> None:
    landing = Landing(root / "var" / "landing", address(root))
    with landing.locked():
        (batch,) = landing.batches()
        landing.withdraw(Withdrawal(batch.batch, batch.digest, NOW + pd.Timedelta(7, "D"), "a test", "a test file"))


def in_pieces(root: Path) -> None:
    path = root / "large.csv"
    path.write_text(GOOD + "2024-01-01,2,0.5,\n2024-01-01,3,0.5,4\n", encoding="utf-8")  # the second is set aside
    large = large_at(path, piece_mb=SMALLEST, reading=PLAIN)
    assert large is not None
    for piece in large.pieces():
        land_batch(piece, workspace=WorkspacePaths(root), data=DATA, now=NOW + pd.Timedelta(6, "D"), correction=False)


def let_go(root: Path) -> None:
    (entry,) = Quarantine(WorkspacePaths(root).quarantine).entries()
    release_quarantined(
        entry.batch,
        workspace=WorkspacePaths(root),
        data=DATA,
        now=NOW + pd.Timedelta(5, "D"),
        by="a test",
        reason="right after all",
    )


def give_up(root: Path) -> None:
    (entry,) = Quarantine(WorkspacePaths(root).quarantine).entries()
    drop_quarantined(
        entry.batch, workspace=WorkspacePaths(root), now=NOW + pd.Timedelta(5, "D"), by="a test", reason="a test file"
    )


def hold(root: Path) -> None:
    ingest(root, BAD, 0)


def hold_and_drop(root: Path) -> None:
    hold(root)
    give_up(root)


def hold_a_correction(root: Path) -> None:
    ingest(root, GOOD, 0)
    ingest(root, GOOD.replace("0.5", "0.7"), 1)


# What stands before; what is killed.
SCENARIOS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "land": (lambda root: None, lambda root: ingest(root, GOOD, 6)),
    "pieces": (lambda root: None, in_pieces),
    "quarantine": (lambda root: None, lambda root: ingest(root, BAD, 6)),
    "release": (hold, let_go),
    "drop": (hold, give_up),
    "quarantine again": (hold_and_drop, lambda root: ingest(root, BAD, 6)),
    "correct": (hold_a_correction, lambda root: ingest(root, GOOD.replace("0.5", "0.7"), 6, correction=True)),
    "land at an address": (lambda root: None, land_there),
    "withdraw at an address": (land_there, withdraw_there),
}


def tree(root: Path) -> dict[str, str]:
    """Every file by its hash, but for the landing zone's index: a cache, which knows when each file was written."""
    files = sorted(path for path in (root / "var").rglob("*") if path.is_file() and path.name != ".lock")
    kept = (path for path in files if path.parent.name != FOLDER)
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


def index_faults(root: Path) -> list[str]:
    """What the index of the landing zone does not know of what has landed."""
    zone = root / "var" / "landing"
    landing, there = Landing(zone), landed_files(zone)
    faults = [] if landing.batches() == there else ["the index knows other batches"]
    with landing.locked():
        for file in there:
            if file.batch in landing.withdrawals():
                continue  # its keys may land again
            keys = read_column([file.path], "_key")
            if not landing.known(keys, kind=file.kind, surely=False).all():
                faults.append(f"the index does not know the keys of {file.path.name}")
    return faults


def child_killed(act: Callable[[Path], None], root: Path, prepare: Callable[[Path], None]) -> bool:
    """Runs `act` in a child after `prepare`, which sees to it that it is killed; whether it was."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] != 0
    prepare(root / "var")
    act(root)
    os._exit(0)


def before_write(number: int) -> Callable[[Path], None]:
    """Kills before the n-th file or folder is opened for writing, made, renamed or removed."""

    def prepare(var: Path) -> None:
        seen = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            opens = event == "open" and bool(arguments[2] & TO_WRITE)
            if (opens or event in WRITES) and str(var) in str(arguments[0]):
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)

    return prepare


def inside_write(size: int) -> Callable[[Path], None]:
    """Kills in the middle of the first file that grows beyond `size` bytes, which then has just that many."""

    def prepare(var: Path) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    return prepare


def play(scenario: str, folder: Path) -> dict[str, Any]:
    """Kills a scenario at each of its writes, and runs it again each time."""
    before, act = SCENARIOS[scenario]
    base, clean = folder / "base", folder / "clean"
    base.mkdir(parents=True)
    (base / "suite.json").write_text('{"name": "none", "expectations": []}', encoding="utf-8")
    before(base)
    shutil.copytree(base, clean)
    act(clean)
    wrong: list[str] = []

    def survives(name: str, prepare: Callable[[Path], None]) -> bool:
        root = Path(shutil.copytree(base, folder / name))
        killed = child_killed(act, root, prepare)
        landed_files(root / "var" / "landing")  # no torn file among them
        act(root)
        wrong.extend(f"{name}: {fault}" for fault in index_faults(root))
        if (left := tree(root)) != tree(clean):
            wrong.append(f"{name}: {sorted(set(left.items()) ^ set(tree(clean).items()))}")
        return not killed

    write = 1
    while not survives(f"write {write}", before_write(write)):
        write += 1
    inside = sum(not survives(f"size {size}", inside_write(size)) for size in SIZES)
    return {"writes": write - 1, "inside": inside, "wrong": wrong}


if __name__ == "__main__":
    outcomes = {scenario: play(scenario, Path(sys.argv[1]) / scenario) for scenario in sys.argv[2:]}
    print(json.dumps(outcomes))  # noqa: T201 (the test reads it)
