"""Publishes and concludes one version after another, and is killed at random instants of that: a script for a drill.

    python instants.py WORKSPACE KILLS SEED

All versions come from one room, whose stages have run; each has another bundle, so each is another version. The
process that publishes is a child of this one, forked from it with everything imported, and is killed with SIGKILL
between the beginning of `publish` and the end of `conclude`. A second child looks at what is left, recovers, finishes
the run, and looks again. Prints as JSON how long an undisturbed one took, when each was killed, and what was wrong.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import retrim.adapters.registry
from retrim.adapters import git
from retrim.adapters.store import Row
from retrim.core.canonical import to_json
from retrim.core.frames import from_parquet
from retrim.core.reference_rows import REFERENCE_ROWS, TOLERANCE, answers_of, farthest
from retrim.files import write_file
from retrim.ops import retrain
from retrim.ops.champion import stored
from retrim.ops.house import House, open_house
from retrim.ops.live import live, trusted_live
from retrim.ops.person import ask_for_run, decision_of
from retrim.ops.publish import publish
from retrim.ops.recover import recover
from retrim.ops.release_checks import FIRST, recorded
from retrim.ops.release_log import verify_log
from retrim.ops.rooms import Room
from retrim.ops.signs import held
from retrim.paths import Paths

ROOM = "drill"
FIRST_RUN = pd.Timestamp("2024-03-01", tz="UTC")
UNDISTURBED = 3  # the first of them is slower: files are read for the first time


def at(number: int) -> pd.Timestamp:
    return FIRST_RUN + pd.Timedelta(number, "h")


def release_one(root: Path, number: int, begins: Callable[[], None]) -> None:
    """The end of a retraining: publish, conclude; or what is left of it, where it was killed before."""
    house = open_house(root)
    decision = decision_of(house, at(number))
    if house.store.decision(decision) is None:
        ask_for_run(house, as_of=at(number), by="a test", reason="a drill", now=at(number))
    with held(house, f"run-{decision}"):
        run = retrain.claim(house, decision, now=at(number), mode="refit")
        parent = house.registry.open_run(run.id, run.id, {})
        version = retrain.made_before(house, run)
        begins()
        if version is None:
            version = publish(house, run, a_room(house, run, number), parent, now=at(number))
        retrain.conclude(house, run, version, parent, now=at(number))


def a_room(house: House, run: Row, number: int) -> Room:
    """The room, with a bundle of its own for this run, judged against what is live."""
    folder = house.workspace.runs / ROOM
    paths, champion = Paths(folder), live(house)
    against = None if champion is None else champion.version
    verdict = json.loads((paths.verdict / "verdict.json").read_bytes())
    write_file(paths.verdict / "verdict.json", to_json({**verdict, "promote": True, "drill": number}))
    write_file(paths.pins, to_json({**json.loads(paths.pins.read_bytes()), "champion": against, "drill": run.id}))
    return Room(folder, git.git(folder, "rev-parse", "HEAD").strip(), (), against)


def champion_is_whole(house: House) -> list[str]:
    """What is wrong with what is live: it resolves, is complete, has passed its checks, and answers as stored."""
    champion = trusted_live(house)
    if champion is None:
        return ["nothing is live"]
    found = stored(house, champion.version)
    reference = from_parquet(found.files[REFERENCE_ROWS])
    apart = farthest(found.predictor.predict(reference), answers_of(reference))
    wrong = [] if apart <= TOLERANCE else [f"version {champion.version} answers {apart} beside what was stored"]
    checks = recorded(house, champion.version, FIRST)
    if checks is None or not checks.record["passed"]:
        wrong.append(f"version {champion.version} is live without release checks that passed")
    alias = house.registry.aliases().get("champion")
    if alias not in (champion.version, champion.previous):
        wrong.append(f"the alias is at {alias}, and {champion.version} is live")
    return wrong


def all_is_settled(house: House, releases: int) -> list[str]:
    """What is wrong after the run was finished: each version is there once, and each move is one row."""
    rows = house.store.releases(house.model)
    numbers = [row.version for row in house.store.versions(house.model)]
    registered = [version.number for version in house.registry.versions()]
    tags = git.git(house.workspace.root, "tag", "--list", f"retrim/{house.model}/v*").split()
    champion = live(house)
    wrong = champion_is_whole(house)
    if [row.version for row in rows] != numbers or len(rows) != releases:
        wrong.append(f"released {[row.version for row in rows]} of versions {numbers}, {releases} expected")
    if registered != numbers or len(tags) != len(numbers):
        wrong.append(f"registered {registered}, tagged {sorted(tags)}, recorded {numbers}")
    if champion is not None and house.registry.aliases() != {
        "champion": champion.version,
        **({} if champion.previous is None else {"previous": champion.previous}),
    }:
        wrong.append(f"aliases {house.registry.aliases()}, live {champion.version} and {champion.previous} before")
    verified = verify_log(house, kept=None)
    if (verified.rows, verified.in_git) != (len(rows), len(rows)):
        wrong.append("the log does not hold")
    states = [run.state for run in house.store.runs(house.model)]
    return wrong if set(states) == {"promoted"} else [*wrong, f"runs are {states}"]


def look_and_finish(root: Path, number: int) -> list[str]:
    """What is wrong right after a kill, and after the run was finished by whoever comes next."""
    house = open_house(root)
    wrong = [f"after the kill: {each}" for each in champion_is_whole(house)]
    for decision in recover(house, now=at(number)):
        if decision == decision_of(house, at(number)):
            release_one(root, number, lambda: None)
    run = house.store.run(f"run-{decision_of(house, at(number))}")
    if run is None or run.state != "promoted":
        release_one(root, number, lambda: None)
    return wrong + [f"at the end: {each}" for each in all_is_settled(open_house(root), number + 1)]


def in_child(work: Callable[[Callable[[], None]], Any]) -> tuple[int, int]:
    """Forks a child that does the work; gives its number and where it says that it begins, and then what came of it."""
    reads, writes = os.pipe()
    child = os.fork()
    if child:
        os.close(writes)
        return child, reads
    try:
        came = work(lambda: os.write(writes, b"b") and None)
    except BaseException:  # noqa: BLE001  told by the parent
        came = [traceback.format_exc()]
    os.write(writes, json.dumps(came).encode())
    os._exit(0)


def told(reads: int, child: int) -> str:
    """All that a child has said, after its end."""
    said = b""
    while part := os.read(reads, 65536):
        said += part
    os.close(reads)
    os.waitpid(child, 0)
    return said.decode()


def undisturbed(root: Path, number: int) -> float:
    """Seconds from the beginning of publish to the end of conclude."""
    child, reads = in_child(lambda begins: release_one(root, number, begins))
    assert os.read(reads, 1) == b"b", told(reads, child)
    begun = time.monotonic()
    assert told(reads, child) == "null"
    return time.monotonic() - begun


def killed(root: Path, number: int, after: float) -> dict[str, Any]:
    """Kills one so many seconds after it began to publish; what was left of it, and what was wrong."""
    child, reads = in_child(lambda begins: release_one(root, number, begins))
    assert os.read(reads, 1) == b"b", told(reads, child)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    ended = told(reads, child) != ""
    child, reads = in_child(lambda _: look_and_finish(root, number))
    return {"number": number, "after": after, "ended": ended, "wrong": json.loads(told(reads, child))}


def main(root: Path, kills: int, seed: int) -> None:
    os.chdir(root)
    spans = [undisturbed(root, number) for number in range(UNDISTURBED)]
    draw = np.random.default_rng(seed)
    instants = draw.permutation((np.arange(kills) + draw.random(kills)) / kills) * spans[-1]
    seen = []
    for place, after in enumerate(instants):
        seen.append(killed(root, UNDISTURBED + place, float(after)))
        sys.stderr.write(f"{seen[-1]}\n")
    sys.stdout.write(json.dumps({"undisturbed": spans, "kills": seen}))


if __name__ == "__main__":
    assert retrim.adapters.registry
    import matplotlib.figure  # noqa: F401  imported once, before the children
    import mlflow.pyfunc  # noqa: F401

    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
