"""A soak: batch after batch on a fast clock, each landed and checked, with kills and other faults at random.

    .venv/bin/python bench/soak.py --batches 720 --every 1h       # thirty days
    .venv/bin/python bench/soak.py --batches 2880 --every 1min    # two days

One long-lived process does most batches, by the functions that the flows call; one batch in 20 goes through the flows
themselves, and one in 50 through the commands. A table changes on its way, so that versions are made. The way has ten
parts. In every second one SIGKILL ends the process, or a command, at random moments with all it started, and the batch
is asked for again. The other parts are calm, so that the memory of a process that lives long can be seen.

All along some files arrive twice, some in the wrong order, some are broken, and the store is locked for a moment. The
release log is read five times a second: a version has to be live at each look. At the end each batch is there once,
each row counted once, each moment checked once, each broken file in quarantine, and nothing runs or lies about.
"""

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median

import pandas as pd

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]
from retrim.adapters import prefect_server  # noqa: E402
from retrim.adapters.store import Store  # noqa: E402
from retrim.landing.quarantine import Quarantine  # noqa: E402
from tests.builders.world import START, World, make_world  # noqa: E402
from tests.drills.scene import all_is_settled, end_within  # noqa: E402

FIRST, CHANGE = 25, 26
"""Day of version 1, and day on which the table changes."""
DONE, QUARANTINED = (0, 1), (2,)
LOOK_SECONDS = 0.2
PARTS = 10
COMMANDS, FLOWS = 1 / 50, 1 / 20
TWICE, SWAPPED, BROKEN, LOCKED = 1 / 40, 1 / 40, 1 / 60, 1 / 50
LOCKED_SECONDS = 2.0
SETTLED_SECONDS = 700
TIDIED = 60
"""Batches between two rounds of what the schedule removes each day."""


@dataclass
class Part:
    """What was measured in a tenth of the way: megabytes at its end, seconds of each undisturbed batch."""

    kills: int = 0
    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)
    memory: float = 0.0
    sizes: dict[str, float] = field(default_factory=dict)


@dataclass
class Seen:
    """What was done and seen on the way.

    Args:
        parts: By tenth.
        ways: How many batches went which way.
        faults: How many there were of each.
        digests: Of every file that has to land.
        broken: Of every file that has to lie in quarantine.
        without: Looks at which no version was live.
        looks: All of them.
    """

    parts: list[Part] = field(default_factory=list)
    ways: dict[str, int] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    digests: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    without: int = 0
    looks: int = 0


class Worker:
    """The long-lived process, with the one that forks it anew."""

    def __init__(self, world: World, folder: Path) -> None:
        self.process = subprocess.Popen(
            [world.python, str(world.root / "bench" / "soak_worker.py"), str(folder / "modules.json")],
            cwd=world.root,
            env=world.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "worker.log").open("w"),
            text=True,
            start_new_session=True,
        )
        self.pid, self.asked = int(self._hear()["pid"]), 0

    def ask(self, way: str, now: str, after: float | None) -> dict[str, float] | None:
        """Has one thing done; None: it was killed that many seconds later."""
        assert self.process.stdin is not None
        self.asked += 1
        killer = None if after is None else threading.Timer(after, kill, [self.pid])
        if killer is not None:
            killer.start()
        self.process.stdin.write(json.dumps({"id": self.asked, "way": way, "now": now}) + "\n")
        self.process.stdin.flush()
        try:
            while True:
                said = self._hear()
                if "failed" in said:
                    raise SystemExit(said["failed"])
                if "died" in said:
                    assert said["died"] == -signal.SIGKILL, said
                    self.pid = int(self._hear()["pid"])
                    return None
                if said["id"] == self.asked:  # else it is of what was asked before a kill
                    return said
        finally:
            if killer is not None:
                killer.cancel()

    def _hear(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("the worker's parent has ended")
        heard: dict[str, float] = json.loads(line)
        return heard

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)


def kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def command(world: World, words: tuple[str, ...], after: float | None, *, done: tuple[int, ...] = DONE) -> bool:
    """Whether a command ended as it should; it is killed that many seconds after its start."""
    process = world.start(*words)
    _, errors = end_within(process, after)
    if process.returncode not in (*done, -signal.SIGKILL):
        raise SystemExit(f"{' '.join(words)} ended with {process.returncode}: {errors}")
    return process.returncode in done


def watch(address: str, model: str, over: threading.Event, seen: Seen) -> None:
    """Reads what is live until it is over."""
    store = Store(address)
    while not over.wait(LOOK_SECONDS):
        releases = store.releases(model)
        seen.looks += 1
        seen.without += not releases or releases[-1].version is None
    store.close()


def lock(address: str, seconds: float) -> None:
    """Keeps everybody from writing to the store for a moment."""
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"), timeout=30)) as held:
        held.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        held.rollback()


def sizes_of(world: World, prefect: Path) -> dict[str, float]:
    """Megabytes of what a workspace holds: what grows with its rows and decisions, and all else."""
    places = {
        "landed": ["var/landing", "var/inbox", "var/quarantine", "var/predictions"],
        "store": ["var/retrim.db"],
        "MLflow": ["var/mlflow", "var/mlflow.db"],
    }
    var = world.root / "var"
    found = {name: sum(size_of(world.root / place) for place in there) for name, there in places.items()}
    found["Prefect"] = size_of(prefect)
    found["other"] = sum(size_of(world.root / top) for top in ("var", ".dvc", ".git"))
    found["other"] -= found["landed"] + found["store"] + found["MLflow"] + size_of(var / "arriving")
    return found


def size_of(top: Path) -> float:
    total = 0
    for path in [top, *top.rglob("*")]:
        with suppress(OSError):
            total += 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
    return total / 2**20


class Soak:
    """One run of it."""

    def __init__(self, world: World, folder: Path, *, batches: int, every: pd.Timedelta, rows: int, seed: int) -> None:
        self.world, self.folder, self.batches, self.every, self.rows = world, folder, batches, every, rows
        self.draw, self.seen = random.Random(seed), Seen()
        self.stream = world.rows(world.day(FIRST), world.day(FIRST + batches * rows / 24 + 1))
        self.order = list(range(batches))
        for batch in range(batches - 1):
            if self.order[batch] == batch and self.draw.random() < SWAPPED:
                self.order[batch : batch + 2] = [batch + 1, batch]
                self.count("in the wrong order")
        self.worker = Worker(world, folder)

    def count(self, fault: str) -> None:
        self.seen.faults[fault] = self.seen.faults.get(fault, 0) + 1

    def moment(self, batch: int) -> str:
        return str((START + pd.Timedelta(FIRST, "D") + (batch + 1) * self.every).isoformat())

    def drop(self, name: str, content: bytes) -> None:
        """Puts a file into the inbox as a producer should: whole, under its name at last."""
        inbox = self.world.workspace.paths.inbox
        inbox.mkdir(parents=True, exist_ok=True)
        (inbox / f".{name}").write_bytes(content)
        (inbox / f".{name}").rename(inbox / name)

    def deliver(self, batch: int) -> None:
        """The files of a batch: its rows, and now and then one that was there before, or one that is none."""
        which = self.order[batch]
        rows = self.stream[which * self.rows : (which + 1) * self.rows]
        first = START + pd.Timedelta(FIRST, "D") + which * self.every
        if which > batch:
            first -= self.every  # an event is not after its arrival
            first += pd.Timedelta(1, "s") * self.rows
        content = rows.assign(at=first + pd.to_timedelta(range(len(rows)), "s")).to_csv(index=False).encode()
        self.seen.digests.add(sha256(content).hexdigest())
        self.drop(f"{batch}.csv", content)
        if self.draw.random() < TWICE:
            self.count("twice")
            self.drop(f"{batch}-again.csv", content)
        if self.draw.random() < BROKEN:
            self.count("broken")
            broken = content.replace(b"at,", b"when,").replace(b",", b";", 3) + f"torn {batch}".encode()
            self.seen.broken.add(sha256(broken).hexdigest())
            self.drop(f"{batch}-broken.csv", broken)

    def run(self) -> None:
        began = time.monotonic()
        size = max(self.batches // PARTS, 1)
        for batch in range(self.batches):
            if batch % size == 0 and len(self.seen.parts) < PARTS:
                self.seen.parts.append(Part())
            self.deliver(batch)
            self.do(batch, calm=(batch // size) % 2 == 0)
            if (batch + 1) % TIDIED == 0:
                self.worker.ask("tidy", self.moment(batch), None)
            if (batch + 1) % size == 0:
                self.close_part(batch + 1, time.monotonic() - began)
        self.worker.stop()

    def do(self, batch: int, *, calm: bool) -> None:
        """Has a batch landed and checked; killed on the way or not, it is asked for until it is done."""
        part, at, chance = self.seen.parts[-1], self.moment(batch), self.draw.random()
        way = "commands" if chance < COMMANDS else "flows" if chance < COMMANDS + FLOWS else "functions"
        self.seen.ways[way] = self.seen.ways.get(way, 0) + 1
        locker = None
        if self.draw.random() < LOCKED:
            self.count("store locked")
            where = self.world.workspace.store_url
            locker = threading.Thread(target=lock, args=(where, self.draw.random() * LOCKED_SECONDS))
            locker.start()
        while True:
            kills = not calm and self.draw.random() < self.kill_share(way)
            usual = 10.0 if way == "commands" else median(part.wall[-9:] or [2.0])
            after = self.draw.uniform(0.02, 1.2) * usual if kills else None
            if self.once(way, at, after, part, disturbed=locker is not None):
                break
            part.kills += 1
        if locker is not None:
            locker.join()

    def kill_share(self, way: str) -> float:
        return 0.5 if way == "commands" else 0.12

    def once(self, way: str, at: str, after: float | None, part: Part, *, disturbed: bool) -> bool:
        """Whether it was done."""
        if way == "commands":
            files = sorted(self.world.workspace.paths.inbox.glob("[0-9]*"))
            for file in files:
                done = QUARANTINED if "broken" in file.name else DONE
                if not command(self.world, ("ingest", str(file), "--arrived", at), after, done=done):
                    return False
                file.unlink()
            return command(self.world, ("check", "--now", at), after)
        said = self.worker.ask(way, at, after)
        if said is None:
            return False
        if way == "functions" and said["outcome"] == "none" and not disturbed:
            part.cpu.append(said["cpu"])
            part.wall.append(said["wall"])
        part.memory = said["memory"]
        return True

    def close_part(self, done: int, seconds: float) -> None:
        self.world.retrim("versions", "gc")
        part = self.seen.parts[-1]
        part.sizes = sizes_of(self.world, self.folder / "prefect")
        sizes = ", ".join(f"{name} {size:.1f}" for name, size in part.sizes.items())
        print(
            f"{done} of {self.batches} batches, {seconds:.0f} s, {part.kills} kills; a batch takes "
            f"{median(part.cpu or [0]):.2f} s of a core, {median(part.wall or [0]):.2f} s; "
            f"memory {part.memory:.0f} MB; disk, MB: {sizes}",
            flush=True,
        )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--batches", type=int, default=720)
    asked.add_argument("--every", default="1h")
    asked.add_argument("--rows", type=int, default=1, help="of a batch")
    asked.add_argument("--seed", type=int, default=0)
    given = asked.parse_args()
    drift = {"kind": "concept", "size": 3.0, "since": f"2024-01-{CHANGE:02d}T00:00:00+00:00"}
    with tempfile.TemporaryDirectory() as name, prefect_server.own(Path(name) / "prefect", pages=False) as running:
        os.environ[prefect_server.LOGIN_VARIABLE] = str(running.api.login)
        world = make_world(Path(name), server=running.api.url, drift=drift, changes={"retrain": {"mode": "refit"}})
        world.land(world.day(FIRST))
        world.retrim("retrain", "--as-of", world.day(FIRST))
        soak = Soak(
            world,
            Path(name),
            batches=given.batches,
            every=pd.Timedelta(given.every),
            rows=given.rows,
            seed=given.seed,
        )
        over, workspace = threading.Event(), world.workspace
        watcher = threading.Thread(target=watch, args=(workspace.store_url, workspace.model, over, soak.seen))
        watcher.start()
        try:
            soak.run()
        except BaseException:
            print((Path(name) / "worker.log").read_text(encoding="utf-8")[-3000:])
            raise
        finally:
            over.set()
            watcher.join()
            kill(soak.worker.pid)
        report(soak)


def is_settled(soak: Soak) -> str:
    """What is not settled; empty: all is. A flow run that was killed as it began counts as dead 10 minutes later."""
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        soak.world.retrim("check", "--now", soak.moment(soak.batches - 1), code=DONE)
        try:
            all_is_settled(soak.world)
        except AssertionError as error:
            if time.monotonic() > deadline:
                return f": {error}"
        else:
            return ""


def report(soak: Soak) -> None:
    """Prints what was seen, and what has to hold; the exit code is 1 if something does not."""
    world, seen, workspace = soak.world, soak.seen, soak.world.workspace
    settled = is_settled(soak)
    landed = [file.digest for file in workspace.landing.batches()]
    checks = [row.as_of for row in workspace.store.decisions(workspace.model, source="check")]
    audit = world.start("batch", "audit", "--now", soak.moment(soak.batches - 1))
    audit.communicate()
    aside = {entry.digest for entry in Quarantine(workspace.paths.quarantine).entries()}
    calm = [part for part in seen.parts[2::2] if part.cpu]  # the first process of all has imported by itself
    first, last = calm[0], calm[-1]
    holds = {
        f"nothing runs or lies about{settled}": not settled,
        "each batch is landed once": len(landed) == len(set(landed)) and seen.digests <= set(landed),
        "and nothing else": len(landed) == soak.batches + 1,
        "each broken file lies in quarantine, and no other": aside == seen.broken,
        "each moment is checked once": len(checks) == len(set(checks)) == soak.batches,
        "each row is counted once (retrim batch audit)": audit.returncode == 0,
        "a version is live at each look": seen.without == 0,
        "the release log verifies": world.start("versions", "verify-log").wait() == 0,
        "memory at the end of a calm tenth is at most 1.25 times that of the first": last.memory < 1.25 * first.memory,
        "a batch of the last calm tenth takes at most twice that of the first": median(last.cpu)
        < 2 * median(first.cpu),
    }
    for what, is_so in holds.items():
        print(f"{'yes' if is_so else 'NO '}  {what}")
    versions = workspace.store.versions(workspace.model)
    runs = workspace.store.runs(workspace.model)
    print(f"{soak.batches} batches: {seen.ways}; {sum(part.kills for part in seen.parts)} kills; {seen.faults}")
    print(f"{len(versions)} versions, {len(runs)} retrainings, {seen.looks:,} looks at what is live")
    sys.exit(0 if all(holds.values()) else 1)


if __name__ == "__main__":
    main()
