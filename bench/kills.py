"""Kills at random moments of whole retrainings, each asked for again until it has ended, and what was found after each.

    .venv/bin/python bench/kills.py --kills 200 --worlds 3

SIGKILL ends the command with its process group, at a moment drawn evenly over a part of the time of an undisturbed
retraining, and the same is asked for at once: so the moments lie all over it, from the start of the command to the end
of its run. Every eighth retraining is left alone, and says how long one takes now.
After each kill the champion has to load and to answer. Once a run has ended, nothing may run or lie about in any tool,
and version, tag, MLflow's run and trials have to be there once. At the end some versions are rebuilt to the same bytes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]
from retrim.adapters import git, prefect_server  # noqa: E402
from tests.builders.world import turn_code  # noqa: E402
from tests.drills.scene import (  # noqa: E402
    Scene,
    all_is_settled,
    champion_is_whole,
    end_within,
    trials_are_those_of_the_bundle,
)

ATTEMPTS = "attempts: int = Field(\n        exclude=True,\n        default=3,"
"""What the code says of the times that a run is started: here it is never given up."""
RULES = "src/retrim/decision/rules.py"
LEFT_ALONE = 8
DONE = (0, 1)
STAGES = ("validate", "features", "tune", "train", "backtest", "compare")
BEFORE, AFTER = "before its first stage", "compare, release"
"""What a run was at when it had not told of a stage, and from its last stage on."""


@dataclass
class Seen:
    """What came of the kills.

    Args:
        kills: By what the run was at.
        wrong: What did not hold, each with its kill.
        seconds: Of each retraining that was left alone.
        runs: Kills of each run that has ended.
    """

    kills: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)

    def require(self, claim: str, check: Callable[[], None]) -> None:
        """Notes what a check finds wrong."""
        try:
            check()
        except Exception:  # noqa: BLE001  whatever is wrong is told at the end
            self.wrong.append(f"{claim}:\n{traceback.format_exc()}")
            print(self.wrong[-1], flush=True)


def started(scene: Scene, at: str, after: float | None) -> "subprocess.CompletedProcess[str]":
    """A retraining for a moment, killed after that many seconds if it still goes on."""
    process = scene.world.start("retrain", "--as-of", at)
    out, errors = end_within(process, after)
    return subprocess.CompletedProcess(process.args, process.returncode, out, errors)


def place_in(errors: str) -> str:
    """The stage that a command told of last."""
    told = [line.split(" (")[0] for line in errors.splitlines() if line.split(" (")[0] in STAGES]
    last = told[-1] if told else BEFORE
    return AFTER if last == "compare" else last


def retrain(scene: Scene, draw: random.Random, task: "Task", seen: Seen) -> None:
    """One retraining, killed again and again until it ends between two kills."""
    at, killed = scene.next_day(), 0
    while True:
        over = seen.kills.total() == task.kills or time.monotonic() > task.until
        after = None if over else draw.uniform(0, task.share) * seen.seconds[-1]
        done = started(scene, at, after)
        if done.returncode != -signal.SIGKILL:
            break
        killed += 1
        place = place_in(done.stderr)
        seen.kills[place] += 1
        print(f"kill {seen.kills.total()}: {at[:10]}, {after:.1f} s, {place}", flush=True)
        seen.require(f"kill {seen.kills.total()}, {place}", lambda: champion_is_whole(scene.world))
    if done.returncode not in DONE:
        seen.wrong.append(f"{at} ended with {done.returncode}: {done.stderr}")
        print(seen.wrong[-1], flush=True)
    seen.runs.append(killed)
    seen.require(f"the end of {at[:10]} after {killed} kills", lambda: settled(scene, at))


def settled(scene: Scene, at: str) -> None:
    """What must hold once a run has ended."""
    run = scene.run_of(at)
    assert run is not None
    assert run.state in ("promoted", "refused"), run
    assert run.version is not None
    champion_is_whole(scene.world)
    all_is_settled(scene.world)
    trials_are_those_of_the_bundle(scene.world, run.version)


def leave_alone(scene: Scene, seen: Seen) -> None:
    at, began = scene.next_day(), time.monotonic()
    done = started(scene, at, None)
    seen.seconds.append(time.monotonic() - began)
    assert done.returncode in DONE, done.stderr
    seen.require(f"the end of {at[:10]}, left alone", lambda: settled(scene, at))


def rebuild(scene: Scene, draw: random.Random, count: int, seen: Seen) -> None:
    """Rebuilds some versions: what was killed on the way has to be what its inputs give."""
    versions = scene.world.workspace.store.versions(scene.world.workspace.model)
    for row in draw.sample(versions, min(count, len(versions))):

        def check(number: int = row.version) -> None:
            assert scene.world.ask("versions", "reproduce", str(number))["identical"]

        seen.require(f"version {row.version} is rebuilt to the same bytes", check)
    seen.require("the release log verifies", lambda: void(scene.world.retrim("versions", "verify-log")))


def void(_: object) -> None:
    """Takes what nobody needs."""


@dataclass(frozen=True)
class Task:
    """What one world is for: its folder, its seed, its kills, and the latest moment of a kill in retrainings."""

    folder: Path
    server: str
    seed: int
    kills: int
    share: float
    until: float
    rebuilds: int


def run_world(task: Task) -> Seen:
    """Makes a world and kills its retrainings; `until` is the moment after which nothing more is killed."""
    task.folder.mkdir()
    draw, seen = random.Random(task.seed), Seen()
    scene = Scene(task.folder, task.server)
    turn_code(scene.world.root, {RULES: (ATTEMPTS, ATTEMPTS.replace("default=3", "default=1000"))})
    git.git(scene.world.root, *git.IDENTITY, "commit", "-qam", "never given up")
    while seen.kills.total() < task.kills and time.monotonic() < task.until:
        if len(seen.runs) + len(seen.seconds) == len(seen.seconds) * LEFT_ALONE:
            leave_alone(scene, seen)
        retrain(scene, draw, task, seen)
    rebuild(scene, draw, task.rebuilds, seen)
    return seen


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--kills", type=int, default=200)
    asked.add_argument("--worlds", type=int, default=1, help="workspaces in which as many processes kill at once")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--share", type=float, default=0.6, help="latest kill, in undisturbed retrainings")
    asked.add_argument("--rebuilds", type=int, default=2, help="versions of each world that are rebuilt")
    asked.add_argument("--minutes", type=float, default=240, help="after which nothing more is killed")
    given = asked.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, prefect_server.own(Path(name) / "prefect", pages=False) as running:
        os.environ[prefect_server.LOGIN_VARIABLE] = str(running.api.login)
        until, share = began + 60 * given.minutes, -(-given.kills // given.worlds)
        tasks = [
            Task(
                Path(name) / f"world-{number}",
                running.api.url,
                given.seed + number,
                min(share, given.kills - number * share),
                given.share,
                until,
                given.rebuilds,
            )
            for number in range(given.worlds)
        ]
        with ProcessPoolExecutor(given.worlds, mp_context=get_context("spawn")) as pool:
            worlds = list(pool.map(run_world, tasks))
    report(worlds, given.rebuilds * given.worlds, time.monotonic() - began)


def report(worlds: list[Seen], rebuilds: int, seconds: float) -> None:
    """Prints what was seen; the exit code is 1 if something did not hold."""
    kills, runs = sum((each.kills for each in worlds), Counter()), [n for each in worlds for n in each.runs]
    for place in (BEFORE, *STAGES[:-1], AFTER):
        print(f"{kills[place]:4d}  {place}")
    alone = ", ".join(f"{each:.0f}" for world in worlds for each in world.seconds)
    print(f"{kills.total()} kills of {len(runs)} retrainings, at most {max(runs)} of one; left alone: {alone} s each")
    print(f"{rebuilds} versions rebuilt, {seconds / 60:.0f} minutes in all")
    wrong = [each for world in worlds for each in world.wrong]
    print(f"{len(wrong)} claims did not hold")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
