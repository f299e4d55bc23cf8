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

import retrim.adapters.mlflow_registry
from retrim.adapters import git
from retrim.decision.stored_rows import RunRow
from retrim.files import Paths, write_file
from retrim.gate.reference_rows import REFERENCE_ROWS, TOLERANCE, answers_of, farthest
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, ask_for_run, decision_of, open_workspace
from retrim.release.release import FIRST, recorded
from retrim.release.versions import find_live_version, load_stored_version, trusted_live, verify_log
from retrim.retraining import retrain
from retrim.retraining.recover import recover
from retrim.retraining.retrain import publish
from retrim.retraining.run_directory import RunDirectory
from retrim.stats.codec import from_parquet, to_json

RUN_DIRECTORY = "drill"
FIRST_RUN = pd.Timestamp("2024-03-01", tz="UTC")
UNDISTURBED = 3  # the first of them is slower: files are read for the first time


def at(number: int) -> pd.Timestamp:
    return FIRST_RUN + pd.Timedelta(number, "h")


def release_one(root: Path, number: int, begins: Callable[[], None]) -> None:
    """The end of a retraining: publish, conclude; or what is left of it, where it was killed before."""
    workspace = open_workspace(root)
    decision = decision_of(workspace, at(number))
    if workspace.store.decision(decision) is None:
        ask_for_run(workspace, as_of=at(number), by="a test", reason="a drill", now=at(number))
    with held_locks(workspace, f"run-{decision}"):
        run = retrain.claim_run(workspace, decision, now=at(number), mode="refit")
        parent = workspace.registry.open_run(run.id, run.id, {})
        version = retrain.made_before(workspace, run)
        begins()
        if version is None:
            version = publish(workspace, run, a_run_directory(workspace, run, number), parent, now=at(number))
        retrain.conclude_run(workspace, run, version, parent, now=at(number))


def a_run_directory(workspace: Workspace, run: RunRow, number: int) -> RunDirectory:
    """The room, with a bundle of its own for this run, judged against what is live."""
    folder = workspace.paths.runs / RUN_DIRECTORY
    paths, champion = Paths(folder), find_live_version(workspace)
    against = None if champion is None else champion.version
    verdict = json.loads((paths.verdict / "verdict.json").read_bytes())
    write_file(paths.verdict / "verdict.json", to_json({**verdict, "promote": True, "drill": number}))
    write_file(paths.pins, to_json({**json.loads(paths.pins.read_bytes()), "champion": against, "drill": run.id}))
    return RunDirectory(folder, git.git(folder, "rev-parse", "HEAD").strip(), (), against)


def champion_is_whole(workspace: Workspace) -> list[str]:
    """What is wrong with what is live: it resolves, is complete, has passed its checks, and answers as stored."""
    champion = trusted_live(workspace)
    if champion is None:
        return ["nothing is live"]
    found = load_stored_version(workspace, champion.version)
    reference = from_parquet(found.files[REFERENCE_ROWS])
    apart = farthest(found.predictor.predict(reference), answers_of(reference))
    wrong = [] if apart <= TOLERANCE else [f"version {champion.version} answers {apart} beside what was stored"]
    checks = recorded(workspace, champion.version, FIRST)
    if checks is None or not checks.record["passed"]:
        wrong.append(f"version {champion.version} is live without release checks that passed")
    alias = workspace.registry.aliases().get("champion")
    if alias not in (champion.version, champion.previous):
        wrong.append(f"the alias is at {alias}, and {champion.version} is live")
    return wrong


def all_is_settled(workspace: Workspace, releases: int) -> list[str]:
    """What is wrong after the run was finished: each version is there once, and each move is one row."""
    rows = workspace.store.releases(workspace.model)
    numbers = [row.version for row in workspace.store.versions(workspace.model)]
    registered = [version.number for version in workspace.registry.versions()]
    tags = git.git(workspace.paths.root, "tag", "--list", f"retrim/{workspace.model}/v*").split()
    champion = find_live_version(workspace)
    wrong = champion_is_whole(workspace)
    if [row.version for row in rows] != numbers or len(rows) != releases:
        wrong.append(f"released {[row.version for row in rows]} of versions {numbers}, {releases} expected")
    if registered != numbers or len(tags) != len(numbers):
        wrong.append(f"registered {registered}, tagged {sorted(tags)}, recorded {numbers}")
    if champion is not None and workspace.registry.aliases() != {
        "champion": champion.version,
        **({} if champion.previous is None else {"previous": champion.previous}),
    }:
        wrong.append(f"aliases {workspace.registry.aliases()}, live {champion.version} and {champion.previous} before")
    verified = verify_log(workspace, kept=None)
    if (verified.rows, verified.in_git) != (len(rows), len(rows)):
        wrong.append("the log does not hold")
    states = [run.state for run in workspace.store.runs(workspace.model)]
    return wrong if set(states) == {"promoted"} else [*wrong, f"runs are {states}"]


def look_and_finish(root: Path, number: int) -> list[str]:
    """What is wrong right after a kill, and after the run was finished by whoever comes next."""
    workspace = open_workspace(root)
    wrong = [f"after the kill: {each}" for each in champion_is_whole(workspace)]
    for decision in recover(workspace, now=at(number)):
        if decision == decision_of(workspace, at(number)):
            release_one(root, number, lambda: None)
    run = workspace.store.run(f"run-{decision_of(workspace, at(number))}")
    if run is None or run.state != "promoted":
        release_one(root, number, lambda: None)
    return wrong + [f"at the end: {each}" for each in all_is_settled(open_workspace(root), number + 1)]


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
    """Kills one that many seconds after it began to publish; what was left of it, and what was wrong."""
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
    assert retrim.adapters.mlflow_registry
    import matplotlib.figure  # noqa: F401  imported once, before the children
    import mlflow.pyfunc  # noqa: F401

    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
