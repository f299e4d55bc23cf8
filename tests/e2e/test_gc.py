"""Pruning: what no version needs goes, what any version needs stays, also when it is killed on the way."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from time import sleep
from typing import Any

import pandas as pd
import pytest

from retrim.adapters.dvc_cache import cache_folder, named_in_commit, with_members
from retrim.adapters.mlflow_leftovers import leftovers
from retrim.decision.stored_rows import DecisionRow, RunClaim, RunDetail, columns_of
from retrim.files import folder_digest, read_folder
from retrim.lineage.locks import using_cache
from retrim.retraining.gc import prune
from tests.builders.world import World

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]
KILLED = Path(__file__).parents[1] / "drills" / "killed.py"
GARBAGE = ("ab" + "1" * 30, "cd" + "2" * 30, "ef" + "3" * 30 + ".dir")


@pytest.fixture(scope="module")
def world(two_versions: World) -> World:
    return two_versions


def needed(world: World) -> dict[str, bytes | None]:
    """What raw data, champion and outputs of every version are made of, as it lies in the cache."""
    cache = cache_folder(world.root)
    found: dict[str, bytes | None] = {}
    for row in world.workspace.store.versions("generated"):
        digests, lost = with_members(cache, named_in_commit(world.root, row.lineage["commit"]))
        assert not lost
        for digest in digests:
            path = cache / "files" / "md5" / digest[:2] / digest[2:]
            found[digest] = path.read_bytes() if path.exists() else None
    return found


def in_cache(world: World, digest: str) -> Path:
    return cache_folder(world.root) / "files" / "md5" / digest[:2] / digest[2:]


def strew(world: World) -> None:
    """Lays about what no version needs."""
    for digest in GARBAGE:
        in_cache(world, digest).parent.mkdir(parents=True, exist_ok=True)
        in_cache(world, digest).write_bytes(b"[]")
    sleep(1.1)  # the command knows whole seconds only


def fail_a_run(world: World) -> str:
    """A retraining that failed for good, with its run and a trial in MLflow; MLflow's id of the run."""
    workspace, at = world.workspace, "2024-01-30T00:00:00+00:00"
    row = {
        "id": "lost",
        "model": workspace.model,
        "source": "person",
        "as_of": at,
        "at": at,
        "actor": "a test",
        "outcome": "retrain",
    }
    workspace.store.add_decision(DecisionRow(**row, reason="a test", text=json.dumps({"as_of": at})))
    run = {"id": "run-lost", "model": workspace.model, "decision": "lost", "as_of": at, "mode": "refit", "started": at}
    workspace.store.claim_run(RunClaim(**run))
    workspace.store.end_run("run-lost", state="failed", ended=at, version=None, detail=RunDetail(reason="a test"))
    parent = workspace.registry.open_run("run-lost", "lost", {})
    workspace.registry.client.log_text(parent, "half of a bundle", "bundle/half.txt")
    workspace.registry.finish(parent, "FAILED")
    return parent


@pytest.fixture(scope="module")
def pruned(world: World) -> dict[str, Any]:
    """What was said and what was there, before and after."""
    workspace = world.workspace
    strew(world)
    failed = fail_a_run(world)
    for name in ("0123456789abcdef-3.0.0", f"{'0' * 16}-{sys.version.split()[0]}"):
        (workspace.paths.environments / name / "bin").mkdir(parents=True)
    (workspace.paths.runs / "reproduce-v7" / "data").mkdir(parents=True)
    world.retrim("retrain", "--by-hand", "--as-of", world.day(35))
    before = {
        "needed": needed(world),
        "landing": folder_digest(workspace.paths.landing),
        "bundles": [folder_digest(workspace.registry.bundle_folder(version)) for version in (1, 2)],
        "releases": [columns_of(row) for row in workspace.store.releases("generated")],
    }
    said = world.ask("versions", "gc", "--dry-run")
    still = {digest: in_cache(world, digest).exists() for digest in GARBAGE}
    done = world.ask("versions", "gc")
    return {"before": before, "said": said, "still": still, "done": done, "failed": failed}


class TestPruning:
    def test_takes_what_nobody_names_out_of_the_cache(self, world: World, pruned: dict[str, Any]) -> None:
        assert [digest for digest in GARBAGE if in_cache(world, digest).exists()] == []

    def test_that_is_dry_says_the_same_and_removes_nothing(self, pruned: dict[str, Any]) -> None:
        assert all(pruned["still"].values())
        assert pruned["said"]["removed"] == pruned["done"]["removed"]
        assert pruned["said"]["freed"] == pruned["done"]["freed"] > 0

    def test_leaves_all_that_any_version_needs(self, world: World, pruned: dict[str, Any]) -> None:
        kept = needed(world)

        assert len(kept) > 30
        assert None not in kept.values()
        assert kept == pruned["before"]["needed"]

    def test_touches_neither_landing_zone_nor_bundles_nor_releases(self, world: World, pruned: dict[str, Any]) -> None:
        workspace, before = world.workspace, pruned["before"]

        assert folder_digest(workspace.paths.landing) == before["landing"]
        assert [folder_digest(workspace.registry.bundle_folder(version)) for version in (1, 2)] == before["bundles"]
        assert [columns_of(row) for row in workspace.store.releases("generated")] == before["releases"]

    def test_removes_rooms_environments_and_logs_that_are_over(self, world: World, pruned: dict[str, Any]) -> None:
        gone = {(piece["what"], piece["why"]) for piece in pruned["done"]["removed"]}
        workspace = world.workspace.paths

        assert ("run directory", "left by a killed rebuild") in gone
        assert {("environment", "it is incomplete"), ("trial log", "no search resumes from it")} <= gone
        assert len([path for path in workspace.environments.iterdir() if path.is_dir()]) == 1  # beside its lock
        assert [run_directory.name[:5] for run_directory in workspace.runs.iterdir()] == ["hand-"]
        assert list(workspace.trials.glob("*")) == []

    def test_says_for_whom_it_keeps_what(self, pruned: dict[str, Any]) -> None:
        kept = " ".join(f"{piece['what']}: {piece['why']}." for piece in pruned["done"]["kept"])

        assert "cache: generated version 1 needs them." in kept
        assert "environment: it is used to prove version 2." in kept
        assert "remove it with `git worktree remove --force " in kept

    def test_erases_the_mlflow_run_of_a_retraining_that_failed(self, world: World, pruned: dict[str, Any]) -> None:
        registry = world.workspace.registry
        runs = registry.client.search_runs([registry.experiment], "", max_results=1000)

        assert pruned["failed"] not in {run.info.run_id for run in runs}
        assert list(leftovers(registry, {"run-lost"})) == []
        assert {version.number for version in registry.versions()} == {1, 2}

    def test_finds_nothing_the_second_time(self, world: World, pruned: dict[str, Any]) -> None:
        assert world.ask("versions", "gc")["removed"] == []

    def test_lets_the_oldest_version_be_rebuilt_and_proved(self, world: World, pruned: dict[str, Any]) -> None:
        assert world.ask("versions", "reproduce", "1")["identical"]
        assert world.ask("versions", "reproduce", "1", "--prove")["proved"]


def test_killed_on_the_way_nothing_is_gone_that_is_needed_and_the_next_one_goes_on(world: World) -> None:
    strew(world)
    before = needed(world)
    process = subprocess.run(
        [
            sys.executable,
            str(KILLED),
            "SIGKILL",
            f"retrim.retraining.gc:unlink:after:{GARBAGE[0][2:]}",
            "versions",
            "gc",
        ],
        cwd=world.root,
        env=world.environment,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
    )
    left = [digest for digest in GARBAGE if in_cache(world, digest).exists()]
    held = needed(world)
    world.retrim("versions", "gc")

    assert process.returncode == -signal.SIGKILL, process.stderr
    assert left == [GARBAGE[1]]  # the listing went first, then file by file
    assert held == before == needed(world)
    assert [digest for digest in GARBAGE if in_cache(world, digest).exists()] == []


def test_while_a_run_works_with_the_cache_it_is_refused(world: World) -> None:
    with using_cache(world.workspace):
        refused = world.retrim("versions", "gc", code=1)

    assert "a run, a rebuild or another `retrim versions gc` is in progress" in refused.stderr


def test_where_it_cannot_tell_what_a_version_needs_nothing_goes(world: World) -> None:
    strew(world)
    lost = next(digest for digest in needed(world) if digest.endswith(".dir"))
    whole = in_cache(world, lost).read_bytes()
    in_cache(world, lost).unlink()
    try:
        refused = world.retrim("versions", "gc", code=1)
    finally:
        in_cache(world, lost).write_bytes(whole)

    assert lost in refused.stderr
    assert in_cache(world, GARBAGE[0]).exists()


def test_what_came_within_the_grace_stays(world: World) -> None:
    strew(world)
    prune(world.workspace, dry=False, now=pd.Timestamp.now("UTC"))

    assert all(in_cache(world, digest).exists() for digest in GARBAGE)
    assert read_folder(world.workspace.paths.landing)
