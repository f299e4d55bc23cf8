"""What `retrim up` costs: memory and processor of an idle installation, and of checks of many models in one.

    .venv/bin/python bench/always_on.py --minutes 5 --models 20

Each model has a workspace of its own with a live version of a generated table. Memory is the proportional set size
(PSS) of all processes of the installation. Processor time is theirs and that of every process they waited for.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from retrim.adapters.prefect_server import LOGIN_VARIABLE, own
from retrim.files import count_cores
from retrim.operations.parts import Installation, installation_at
from retrim.release.versions import find_live_version
from tests.builders.waiting import until
from tests.builders.world import COMMAND, World, ask_when_free, lay_world

RARELY = {"ingest": "30d", "monitor": "30d", "score": "30d", "maintain": "30d", "prove": None}
ENVIRONMENT = {"RETRIM_PREFECT_URL": "", "RETRIM_MLFLOW_URL": ""}
PORTS = ("--port", "0", "--serve-port", "0", "--prefect-port", "0")
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
FIRST, NEXT, LAST, AFTER = 25, 31, 37, 43
ALONE = 3
"""Installations of one model, one after the other, whose first check is measured; one figure alone varies by 5%."""
SETTLE_SECONDS = 60
"""What has just been made settles."""
DEADLINE_SECONDS = 3600
ASK_SECONDS = 2
"""How often the server is asked how many runs have ended: its answers count as its processor time."""
TWICE = """
import resource, sys
from pathlib import Path
from retrim.cli.base import flows_of
from retrim.lineage.workspace import open_workspace
with flows_of(open_workspace(Path.cwd())):
    from retrim_flows.monitor import monitor
    for at in sys.argv[1:]:
        monitor(at)
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(used.ru_utime + used.ru_stime, flush=True)
"""
"""Two checks in one process: processor seconds of the process after each."""


@dataclass
class Running:
    """An installation that runs."""

    worlds: list[World]
    process: "subprocess.Popen[bytes]"
    installation: Installation

    def processes(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def pss(self) -> dict[str, float]:
        """Megabytes by part."""
        sizes: dict[str, float] = {}
        for process in self.processes():
            with suppress(psutil.Error):
                name = part_of(process.cmdline())
                sizes[name] = sizes.get(name, 0.0) + process.memory_full_info().pss / 1e6
        return sizes

    def seconds(self) -> float:
        """Of processor time so far, of the living and of those they waited for."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.Error):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def run_all(self, flow: str) -> None:
        """Has Prefect begin a flow of every model now, and waits until all have ended."""
        api = self.installation.prefect_api
        runs = []
        for world in self.worlds:
            deployment = ask_when_free(api, f"deployments/name/{flow}/{world.workspace.model}")["id"]
            asked = {"idempotency_key": f"{flow}-{time.time()}"}
            runs.append(ask_when_free(api, f"deployments/{deployment}/create_flow_run", asked)["id"])
        mine = {"flow_runs": {"id": {"any_": runs}, "state": {"type": {"any_": list(ENDED)}}}}
        until(
            lambda: ask_when_free(api, "flow_runs/count", mine) == len(runs),
            seconds=DEADLINE_SECONDS,
            pause=ASK_SECONDS,
        )
        states = [ask_when_free(api, f"flow_runs/{run}")["state_type"] for run in runs]
        assert set(states) == {"COMPLETED"}, states


def part_of(line: list[str]) -> str:
    text = " ".join(line)
    marks = {"prefect": "prefect server", "worker": "--part worker", "ui": "main() ui"}
    return next((name for name, mark in {**marks, "serve": "main() serve"}.items() if mark in text), "supervisor")


def make_first_versions(home: Path, worlds: list[World]) -> None:
    """Version 1 of each, as many at a time as there are cores."""
    home.mkdir()

    def make(world: World) -> None:
        world.land(world.day(FIRST))
        at = {**ENVIRONMENT, "RETRIM_PREFECT_URL": running.api.url, LOGIN_VARIABLE: running.api.login or ""}
        world.retrim("retrain", "--as-of", world.day(FIRST), environment=at)
        assert find_live_version(world.workspace) is not None

    with own(home, pages=False) as running, ThreadPoolExecutor(count_cores()) as pool:
        list(pool.map(make, worlds))


def start(folder: Path, count: int, *, times: dict[str, Any]) -> Running:
    """An installation of so many models, each with a live version."""
    names = [f"model{number:02}" for number in range(count)]
    worlds = [lay_world(folder / name, changes={"schedule": times, "data": {"model": name}}) for name in names]
    make_first_versions(folder / ".first", worlds)
    where = folder if count > 1 else worlds[0].root
    log = (folder / "printed.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "up", str(where), *PORTS],
        cwd=where,
        env={**os.environ, **worlds[0].environment, **ENVIRONMENT},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    until(lambda: "worker started" in (folder / "printed.log").read_text(encoding="utf-8"), seconds=DEADLINE_SECONDS)
    running = Running(worlds, process, installation_at(where))
    until(lambda: "is served at" in (folder / "printed.log").read_text(encoding="utf-8"), seconds=DEADLINE_SECONDS)
    for world in worlds:
        world.land(world.day(NEXT), since=world.day(FIRST))
    return running


def measure_idle(running: Running, minutes: float) -> tuple[dict[str, float], float]:
    """The largest memory by part, and the share of a core, over some minutes in which nothing is due."""
    time.sleep(SETTLE_SECONDS)
    began, before, most = time.monotonic(), running.seconds(), running.pss()
    while time.monotonic() - began < minutes * 60:
        time.sleep(10)
        now = running.pss()
        most = max(most, now, key=lambda sizes: sum(sizes.values()))
    return most, (running.seconds() - before) / (time.monotonic() - began)


def measure_checks(running: Running, idle: float) -> tuple[float, float]:
    """Processor seconds, without those of an idle installation, and seconds of a check of every model."""
    began, before = time.monotonic(), running.seconds()
    running.run_all("monitor")
    time.sleep(5)
    seconds = time.monotonic() - began
    return running.seconds() - before - idle * seconds, seconds


def measure_start(world: World, api: str, login: str) -> tuple[float, float]:
    """Processor seconds of a process that makes one check, and of a second check in the same process."""
    world.land(world.day(LAST), since=world.day(NEXT))
    world.land(world.day(AFTER), since=world.day(LAST))
    process = subprocess.run(
        [sys.executable, "-c", TWICE, world.day(LAST), world.day(AFTER)],
        cwd=world.root,
        env={**world.environment, **ENVIRONMENT, "RETRIM_PREFECT_URL": api, LOGIN_VARIABLE: login},
        capture_output=True,
        text=True,
        check=True,
    )
    first, both = map(float, process.stdout.split())
    return first, both - first


def stop(running: Running) -> None:
    running.process.terminate()
    running.process.wait(120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--models", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retrim-bench-") as name:
        checks = []
        for number in range(ALONE):
            folder = Path(name) / f"one{number}"
            folder.mkdir()
            one = start(folder, 1, times=RARELY)
            try:
                sizes, idle = measure_idle(one, asked.minutes)
                shown = ", ".join(f"{part} {size:.0f}" for part, size in sorted(sizes.items()))
                print(f"idle, 1 model: {sum(sizes.values()):.0f} MB ({shown}), {idle:.1%} of a core", flush=True)
                alone, seconds = measure_checks(one, idle)
                checks.append(alone)
                print(f"a check of 1 model: {alone:.2f} s of a core, {seconds:.0f} s", flush=True)
                if number == ALONE - 1:
                    api = one.installation.prefect_api
                    first, second = measure_start(one.worlds[0], api.url, api.login or "")
                    print(
                        f"a process that makes one check: {first:.1f} s of a core; a second check in it: {second:.1f} "
                        f"s, so {first - second:.1f} s are its start and imports",
                        flush=True,
                    )
            finally:
                stop(one)
        alone = sum(checks) / len(checks)
        if asked.models > 1:
            (Path(name) / "many").mkdir()
            many = start(Path(name) / "many", asked.models, times=RARELY)
            try:
                sizes, idle = measure_idle(many, min(asked.minutes, 2))
                shown = ", ".join(f"{part} {size:.0f}" for part, size in sorted(sizes.items()))
                print(f"idle, {asked.models} models: {sum(sizes.values()):.0f} MB ({shown}), {idle:.1%} of a core")
                together, seconds = measure_checks(many, idle)
                each, share = together / asked.models, together / (alone * asked.models)
                print(
                    f"checks of {asked.models} models: {together:.1f} s of a core, {each:.2f} s each, {seconds:.0f} s; "
                    f"{share:.0%} of {asked.models} times one ({alone:.2f} s)"
                )
            finally:
                stop(many)


if __name__ == "__main__":
    main()
