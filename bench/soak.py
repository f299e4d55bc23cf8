"""A soak: batch after batch on a fast clock, each landed and checked by real commands, of which some are killed.

    .venv/bin/python bench/soak.py --batches 720 --every 1h       # thirty days
    .venv/bin/python bench/soak.py --batches 2880 --every 1min    # two days

A table changes on its way, so that versions are made. At random moments SIGKILL ends a command with all it started, and
it is asked for again. Meanwhile the release log is read five times a second: a version has to be live at each look.
At the end each batch is there once, each row counted once, each moment checked once, and nothing runs or lies about.
Memory is the largest of a command, disk what `var/` and the cache hold beside the landed rows, by quarter of the way.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]
from retrim.adapters import prefect_server  # noqa: E402
from retrim.adapters.store import Store  # noqa: E402
from tests.builders.world import START, World, make_world  # noqa: E402
from tests.drills.scene import all_is_settled  # noqa: E402

FIRST, CHANGE = 25, 26
"""Day of version 1, and day on which the table changes."""
DONE = (0, 1)
LOOK_SECONDS = 0.2


@dataclass
class Seen:
    """What was measured on the way.

    Args:
        kills: Commands that were killed.
        without: Looks at which no version was live.
        looks: All of them.
        seconds: Of each command that ended by itself.
        memory: The largest of a quarter's commands, MB.
        disk: At the end of each quarter, MB: all but landed rows.
    """

    kills: int = 0
    without: int = 0
    looks: int = 0
    seconds: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    disk: list[float] = field(default_factory=list)


def ask(world: World, words: tuple[str, ...], draw: random.Random, kill_share: float, seen: Seen) -> float:
    """Has a command end as it should, killed on the way or not; gives the most memory that it took, MB."""
    while True:
        usual = sum(seen.seconds[-10:]) / max(len(seen.seconds[-10:]), 1) or 5.0
        after = draw.uniform(0.1, 1.2) * usual if draw.random() < kill_share else None
        began, process = time.monotonic(), world.start(*words)
        killer = None if after is None else threading.Timer(after, kill, [process.pid])
        if killer is not None:
            killer.start()
        assert process.stdout is not None
        assert process.stderr is not None
        _, errors = process.stdout.read(), process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if killer is not None:
            killer.cancel()
        if process.returncode in DONE:
            seen.seconds.append(time.monotonic() - began)
            return used.ru_maxrss / 1024
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"{' '.join(words)} ended with {process.returncode}: {errors}")
        seen.kills += 1


def kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def watch(address: str, model: str, over: threading.Event, seen: Seen) -> None:
    """Reads what is live until it is over."""
    store = Store(address)
    while not over.wait(LOOK_SECONDS):
        releases = store.releases(model)
        seen.looks += 1
        seen.without += not releases or releases[-1].version is None
    store.close()


def megabytes(world: World) -> float:
    """What a workspace holds beside the landed rows."""
    total = 0
    for top in ("var", ".dvc", ".git"):
        for path in (world.root / top).rglob("*"):
            with suppress(OSError):
                inside = "landing" in path.parts or "arriving" in path.parts
                total += 0 if inside or path.is_symlink() else path.stat().st_size
    return total / 2**20


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--batches", type=int, default=720)
    asked.add_argument("--every", default="1h")
    asked.add_argument("--rows", type=int, default=1, help="of a batch")
    asked.add_argument("--kill-share", type=float, default=0.2)
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    draw, every, seen = random.Random(given.seed), pd.Timedelta(given.every), Seen()
    drift = {"kind": "concept", "size": 3.0, "since": f"2024-01-{CHANGE:02d}T00:00:00+00:00"}
    with tempfile.TemporaryDirectory() as name, prefect_server.own(Path(name) / "prefect", pages=False) as running:
        os.environ[prefect_server.LOGIN_VARIABLE] = str(running.api.login)
        world = make_world(Path(name), server=running.api.url, drift=drift, changes={"retrain": {"mode": "refit"}})
        world.land(world.day(FIRST))
        world.retrim("retrain", "--as-of", world.day(FIRST))
        over, workspace = threading.Event(), world.workspace
        watcher = threading.Thread(target=watch, args=(workspace.store_url, workspace.model, over, seen))
        watcher.start()
        stream = world.rows(world.day(FIRST), world.day(FIRST + given.batches * given.rows / 24 + 1))
        began, largest = time.monotonic(), 0.0
        for batch in range(given.batches):
            at = (START + pd.Timedelta(FIRST, "D") + (batch + 1) * every).isoformat()
            file = Path(name) / f"{batch}.csv"
            rows = stream[batch * given.rows : (batch + 1) * given.rows]
            moved = START + pd.Timedelta(FIRST, "D") + batch * every + pd.to_timedelta(range(len(rows)), "s")
            rows.assign(at=moved).to_csv(file, index=False)
            for words in (("ingest", str(file), "--arrived", at), ("check", "--now", at)):
                largest = max(largest, ask(world, words, draw, given.kill_share, seen))
            if (batch + 1) % max(given.batches // 4, 1) == 0:
                world.retrim("versions", "gc")
                seen.memory.append(largest)
                seen.disk.append(megabytes(world))
                largest = 0.0
                print(f"{batch + 1} of {given.batches} batches, {time.monotonic() - began:.0f} s", flush=True)
        over.set()
        watcher.join()
        report(world, given.batches, at, seen)


def report(world: World, batches: int, at: str, seen: Seen) -> None:
    """Prints what was seen, and what has to hold; the exit code is 1 if something does not."""
    workspace = world.workspace
    all_is_settled(world)
    landed = [file.digest for file in workspace.landing.batches()]
    checks = [row.as_of for row in workspace.store.decisions(workspace.model, source="check")]
    audit = world.start("batch", "audit", "--now", at)
    audit.communicate()
    holds = {
        "each batch is landed once": len(landed) == len(set(landed)) == batches + 1,
        "each moment is checked once": len(checks) == len(set(checks)) == batches,
        "each row is counted once (retrim batch audit)": audit.returncode == 0,
        "a version is live at each look": seen.without == 0,
        "the release log verifies": world.start("versions", "verify-log").wait() == 0,
    }
    for what, is_so in holds.items():
        print(f"{'yes' if is_so else 'NO '}  {what}")
    versions = len(workspace.store.versions(workspace.model))
    print(f"{batches} batches, {seen.kills} commands killed, {versions} versions, {seen.looks:,} looks")
    print("memory of a command by quarter, MB:", ", ".join(f"{each:.0f}" for each in seen.memory))
    print("disk beside landed rows by quarter, MB:", ", ".join(f"{each:.1f}" for each in seen.disk))
    sys.exit(0 if all(holds.values()) else 1)


if __name__ == "__main__":
    main()
