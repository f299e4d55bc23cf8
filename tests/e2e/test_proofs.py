"""Proofs: of a version, of its ancestors, of one that chance picks; what they say of a fault.

One world for all: version 1, and version 2 that was judged against it.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.migrations.schema import VERSIONS
from retrim.decision.stored_rows import Proof
from retrim.retraining.archive import unpack
from retrim.retraining.reproduce import PERSON, ancestors, pick, prove_scheduled
from tests.builders.world import World
from tests.e2e.flows_here import at_work

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server, pytest.mark.slow]
ALL = ["validate", "features", "tune", "train", "backtest", "compare"]


@pytest.fixture(scope="module")
def world(two_versions: World) -> World:
    return two_versions


@contextmanager
def recorded_as(world: World, version: int, **lineage: Any) -> Iterator[None]:
    """Lets the store say something else of a version's lineage for a while."""
    workspace = world.workspace
    row = workspace.store.version(workspace.model, version)
    assert row is not None
    this = sa.update(VERSIONS).where(VERSIONS.c.model == workspace.model, VERSIONS.c.version == version)
    with workspace.store.begin() as connection:
        connection.execute(this.values(lineage={**row.lineage, **lineage}))
    try:
        yield
    finally:
        with workspace.store.begin() as connection:
            connection.execute(this.values(lineage=row.lineage))


@pytest.fixture(scope="module")
def chain(world: World) -> Any:
    return world.ask("versions", "reproduce", "2", "--prove", "--chain")


def proofs(world: World, version: int) -> list[Proof]:
    return [row.proof for row in world.workspace.store.envelope("generated", version, kind="proof")]


class TestAChain:
    def test_proves_the_version_and_before_it_its_champion(self, chain: Any) -> None:
        found = [(each["version"], each["identical"], each["executed"]) for each in (*chain["ancestors"], chain)]

        assert found == [(1, True, ALL), (2, True, ALL)]

    def test_leaves_out_what_was_proved_before_only_if_asked(self, world: World, chain: Any) -> None:
        again = world.ask("versions", "reproduce", "2", "--prove", "--chain", "--skip-proved")

        assert (again["ancestors"], again["proved"]) == ([], True)
        assert ancestors(world.workspace, 2) == [1]

    def test_dates_the_proof_in_an_export(self, world: World, chain: Any) -> None:
        file = world.root / "var" / "proved.tar"
        world.ask("versions", "export", "2", "--to", str(file))

        assert json.loads(unpack(file)["manifest.json"])["proved_at"] == proofs(world, 2)[-1].proved_at

    def test_asks_for_a_proof(self, world: World) -> None:
        refused = world.retrim("versions", "reproduce", "2", "--chain", code=2)

        assert "run `retrim versions reproduce N --prove --chain`" in refused.stderr


class TestAProof:
    def test_stands_in_the_envelope_of_its_version(self, world: World, chain: Any) -> None:
        row = world.workspace.store.version("generated", 2)
        assert row is not None
        (proof,) = [proof for proof in proofs(world, 2) if proof.reason == PERSON][:1]

        assert (proof.identical, proof.bundle, proof.first_difference) == (True, row.bundle, None)
        assert proof.platform == row.lineage["platform"]

    def test_compares_predictions_on_the_judged_rows(self, world: World, chain: Any) -> None:
        assert chain["largest_difference"] == proofs(world, 2)[0].largest_difference == 0.0

    def test_gives_the_registry_the_day_of_the_last_one(self, world: World, chain: Any) -> None:
        shown = {each["version"]: each["last_proved"] for each in world.ask("versions")}
        tagged = {each.number: each.tags.get("last_proved") for each in world.workspace.registry.versions()}

        assert shown[1] == proofs(world, 1)[-1].proved_at
        assert tagged == shown


def test_an_altered_object_in_the_repository_reaches_no_fresh_clone(world: World) -> None:
    """Git lays out a worktree without hashing what it reads, so that a changed line of code would go unseen."""
    import zlib

    row = world.workspace.store.version("generated", 1)
    assert row is not None
    name = git.git(world.root, "rev-parse", f"{row.lineage['commit']}:src/retrim/stats/windows.py")
    file = world.root / ".git" / "objects" / name[:2] / name[2:]
    whole, mode = file.read_bytes(), file.stat().st_mode
    altered = zlib.decompress(whole).replace(b"newest", b"oldest")
    file.chmod(0o600)
    file.write_bytes(zlib.compress(altered))
    try:
        failed = world.retrim("versions", "reproduce", "1", "--prove", code=3)
    finally:
        file.write_bytes(whole)
        file.chmod(mode)

    assert "git push" in failed.stderr


def test_a_proof_in_an_environment_with_other_packages_is_refused(world: World) -> None:
    python = next(world.workspace.paths.environments.glob("*/bin/python"))
    whole = python.read_text(encoding="utf-8")
    real = whole.splitlines()[-1].removeprefix("exec ")
    altered = f"""{real} | sed 's/"numpy", "[^"]*"/"numpy", "0.1"/'"""
    other = f'case "$*" in *importlib.metadata*) {altered}; exit;; esac\n'
    python.write_text(whole.replace("\n", f"\n{other}", 1), encoding="utf-8")
    try:
        refused = world.retrim("versions", "reproduce", "1", "--prove", code=1)
    finally:
        python.write_text(whole, encoding="utf-8")

    assert "numpy is 0.1, " in refused.stderr
    assert "remove that folder" in refused.stderr


SUNDAY = "2024-03-03T03:00:00+00:00"


@pytest.fixture(scope="module")
def first(world: World) -> Any:
    from retrim_flows.prove import prove

    with at_work(world):
        return prove(SUNDAY)


class TestTheScheduledProof:
    def test_proves_a_version_that_the_date_picks(self, world: World, first: Any) -> None:
        reasons = [proof.reason for proof in proofs(world, first["version"])]

        assert first["proved"]
        assert f"scheduled for {SUNDAY}" in reasons

    def test_is_made_once_a_moment(self, world: World, first: Any) -> None:
        again = prove_scheduled(world.workspace, now=pd.Timestamp(SUNDAY), say=print)
        reasons = [proof.reason for version in (1, 2) for proof in proofs(world, version)]

        assert again is None
        assert reasons.count(f"scheduled for {SUNDAY}") == 1

    def test_that_differs_is_told(self, world: World, first: Any) -> None:
        moments = [pd.Timestamp("2024-03-10", tz="UTC") + pd.Timedelta(week * 7, "D") for week in range(20)]
        at = next(each for each in moments if pick([1, 2], model="generated", moment=iso(each)) == 2)
        with recorded_as(world, 2, champion_digest="x"):
            proof = prove_scheduled(world.workspace, now=at, say=print)
        told = [row.text for row in world.workspace.store.alerts("generated") if row.kind == "rebuild differs"]
        (kept,) = [proof for proof in proofs(world, 2) if proof.proved_at == iso(at)]

        assert proof is not None
        assert not kept.identical
        assert kept.first_difference == proof.differences[0]
        assert "its champion has the hash x, which differs from" in proof.differences[0]
        assert any("version 2 " in text and proof.differences[0] in text for text in told)

    def test_that_is_switched_off_does_nothing(self, world: World) -> None:
        schedule = world.workspace.params.schedule.model_copy(update={"prove": None})
        params = world.workspace.params.model_copy(update={"schedule": schedule})
        workspace = type(world.workspace)(world.workspace.paths, params, world.workspace.env)

        assert prove_scheduled(workspace, now=pd.Timestamp("2025-01-05", tz="UTC"), say=print) is None
