"""The drill: a workspace in use is backed up, wiped, brought back elsewhere, and held against what it was.

python -m tests.builders.restoring FOLDER      the full form, with a proof and figures: what `make drill-restore` runs
"""

import os
import shutil
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters import git, prefect_server
from retrim.adapters.dvc_cache import cache_folder, named_in_commit, object_path, with_members
from retrim.checking.score import RecomputedSample, recompute
from retrim.lineage.workspace import Workspace
from retrim.reading.landed import check_whole
from retrim.yaml_files import dump_yaml, read_yaml
from tests.builders.world import World, make_world

FIRST, SECOND, PREDICTED, LOST = 25, 35, 80, 82
PREDICTIONS = 1000


@dataclass(frozen=True)
class Drill:
    """What a drill found.

    Args:
        before: The workspace that was wiped, and what it said of itself.
        restored: The one that was brought back.
        backup: The record that `retrim backup` printed.
        restore: The record that `retrim backup --restore` printed.
        seconds: From the loss to the end of the restore.
        point: From the cut of the backup to the loss, in seconds: what came meanwhile is lost.
    """

    before: dict[str, Any]
    restored: World
    backup: dict[str, Any]
    restore: dict[str, Any]
    seconds: float
    point: float


def state_of(world: World) -> dict[str, Any]:
    """What must be the same after a restore."""
    store, model = world.workspace.store, world.workspace.model
    return {
        "versions": [(row.version, row.bundle, row.tag) for row in store.versions(model)],
        "decisions": [row.id for row in store.decisions(model)],
        "releases": [row.sequence for row in store.releases(model)],
        "batches": [(file.batch, file.rows) for file in world.workspace.landing.batches()],
        "head": git.git(world.root, "rev-parse", "HEAD"),
        "tags": git.git(world.root, "for-each-ref", "refs/tags"),
        "params": (world.root / "params.yaml").read_text(encoding="utf-8"),
    }


def use(world: World) -> None:
    """Rows land, 1,000 of them and more are predicted, and a setting is edited."""
    settings = read_yaml(world.root / "params.yaml")
    assert isinstance(settings["triggers"], dict)
    settings["triggers"]["rules"] = ["manual"]  # the check after the restore starts no run
    (world.root / "params.yaml").write_text(dump_yaml(settings), encoding="utf-8")
    world.land(world.day(PREDICTED), since=world.day(SECOND))
    world.retrim("predict")


def lose_and_restore(world: World, place: str, folder: Path) -> Drill:
    """Backs a world up, lets it go on, wipes it, and restores it as `folder`."""
    used = World(world.root, world.server, world.table, world.python)
    before = state_of(used)
    backup = used.ask("backup", place)
    used.land(used.day(LOST), since=used.day(PREDICTED))
    shutil.rmtree(used.root)
    lost = time.time()
    used.root.mkdir()  # where commands are run
    shutil.copytree(Path(__file__).parents[2] / "src", used.root / "src")
    restore = used.ask("backup", place, "--restore", str(folder))
    seconds = time.time() - lost
    shutil.rmtree(used.root)
    point = lost - pd.Timestamp(backup["at"]).timestamp()
    return Drill(before, replace(used, root=folder), backup, restore, seconds, point)


def recomputed(workspace: Workspace) -> RecomputedSample:
    """1,000 stored predictions of one call, made again."""
    return recompute(workspace, seed=1, most=PREDICTIONS)


def inconsistencies(workspace: Workspace) -> list[str]:
    """What of a workspace names something that is not there."""
    root, store, model = workspace.paths.root, workspace.store, workspace.model
    versions = {row.version: row for row in store.versions(model)}
    found = [f"run {run.id} has no version" for run in store.runs(model) if run.version not in {None, *versions}]
    found += [f"release {row.sequence} has no version" for row in store.releases(model) if row.version not in versions]
    found += [f"predictions of version {each}" for each in workspace.predictions.versions() if each not in versions]
    cache = cache_folder(root)
    for number, row in versions.items():
        commit = git.find_tag(root, row.tag)
        if commit is None:
            found.append(f"version {number} has no tag")
            continue
        digests, lost = with_members(cache, named_in_commit(root, commit))
        found += [f"version {number} lacks listing {each}" for each in lost]
        found += [f"version {number} lacks {each}" for each in digests if not object_path(cache, each).is_file()]
        if not (workspace.registry.bundle_folder(number) / "verdict").is_dir():
            found.append(f"version {number} has no bundle")
    for file in workspace.landing.batches():
        check_whole(file.path)
    return found


def main(folder: Path) -> int:
    """The full form: proves the champion in the environment of its lock; prints figures; 1 if one is not right."""
    with prefect_server.own(folder / "prefect", pages=False) as running:
        os.environ[prefect_server.LOGIN_VARIABLE] = str(running.api.login)
        drift = {"kind": "concept", "size": 3.0, "since": "2024-01-26T00:00:00+00:00"}
        world = make_world(folder, server=running.api.url, drift=drift)
        world.land(world.day(FIRST))
        world.retrim("retrain", "--as-of", world.day(FIRST))
        world.land(world.day(SECOND), since=world.day(FIRST))
        world.retrim("retrain", "--as-of", world.day(SECOND), code=(0, 1))
        use(world)
        drill = lose_and_restore(world, str(folder / "backups"), folder / "restored")
        restored = drill.restored
        checked = restored.ask("check", "--now", restored.day(PREDICTED), code=(0, 1))
        live = restored.ask("status")["champion"]["version"]
        proof = restored.ask("versions", "reproduce", str(live), "--prove")
        sample, log = recomputed(restored.workspace), restored.ask("versions", "log", "--verify")
        rows = {
            "backup": "{files} files, {bytes} bytes, {seconds} s".format(**drill.backup),
            "recovery time": f"{drill.seconds:.1f} s, of which the restore {drill.restore['seconds']} s",
            "recovery point": f"{drill.point:.1f} s before the loss; 1 batch came after it",
            "same as before": state_of(restored)["versions"] == drill.before["versions"],
            "nothing is missing": inconsistencies(restored.workspace) == [],
            "champion proved": f"version {live}: {'identical' if proof['identical'] else proof['differences']}",
            "release log": log,
            "predictions made again": f"{sample.rows}, {len(sample.differing)} differ",
            "next check": checked["check"]["champion"],
        }
        for name, said in rows.items():
            sys.stdout.write(f"{name:24} {said}\n")
        good = proof["identical"] and not sample.differing and sample.rows == PREDICTIONS
        return 0 if good and not inconsistencies(restored.workspace) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
