"""Proofs and their attestations: a version, its ancestors, one that chance picks; what they say of a fault.

One world for all: version 1, and version 2 that was judged against it.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.migrations.schema import VERSIONS
from retrim.adapters.signing import attested
from retrim.decision.probation import pick
from retrim.retraining.reproduce import ancestors, prove_scheduled
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
def unproved(world: World) -> str:
    """What an export says before there is a proof."""
    return world.retrim("versions", "export", "2", "--to", str(world.root / "var" / "unproved.tar")).stdout


@pytest.fixture(scope="module")
def chain(world: World, unproved: str) -> Any:
    return world.ask("versions", "reproduce", "2", "--prove", "--chain")


def said(record: Any) -> dict[str, Any]:
    return attested(json.loads(Path(record["attestation"]).read_bytes()))


class TestAChain:
    def test_proves_the_version_and_before_it_its_champion(self, chain: Any) -> None:
        found = [(each["version"], each["identical"], each["executed"]) for each in (*chain["ancestors"], chain)]

        assert found == [(1, True, ALL), (2, True, ALL)]

    def test_leaves_an_attestation_for_each_that_verifies(self, world: World, chain: Any) -> None:
        for each in (chain, *chain["ancestors"]):
            record = world.ask("versions", "verify-attestation", each["attestation"])

            assert (record["whose"], record["version"], record["identical"]) == ("ours", each["version"], True)

    def test_leaves_out_what_was_proved_before_only_if_asked(self, world: World, chain: Any) -> None:
        again = world.ask("versions", "reproduce", "2", "--prove", "--chain", "--skip-proved")

        assert (again["ancestors"], again["proved"]) == ([], True)
        assert ancestors(world.workspace, 2) == [1]

    def test_gives_an_export_its_attestation(self, world: World, unproved: str, chain: Any) -> None:
        exported = world.retrim("versions", "export", "2", "--to", str(world.root / "var" / "proved.tar")).stdout

        assert "the attestation" in exported

    def test_asks_for_a_proof(self, world: World) -> None:
        refused = world.retrim("versions", "reproduce", "2", "--chain", code=2)

        assert "run `retrim versions reproduce N --prove --chain`" in refused.stderr


class TestAnAttestation:
    def test_holds_both_hashes_of_every_output_of_every_stage(self, world: World, chain: Any) -> None:
        outputs = said(chain)["outputs"]
        stages = list(dict.fromkeys(each["stage"] for each in outputs))

        assert stages == ALL
        assert all(each["recorded"] == each["rebuilt"] is not None for each in outputs)

    def test_says_what_was_rebuilt_from_what(self, world: World, chain: Any) -> None:
        row = world.workspace.store.version("generated", 2)
        assert row is not None
        found = said(chain)

        assert (found["commit"], found["tag"]) == (row.lineage["commit"], row.tag)
        assert found["bundle"] == {"recorded": row.bundle, "rebuilt": row.bundle}
        assert found["inputs"]["champion_version"] == 1
        assert found["environment"]["lock_built"] == row.lineage["requirements_lock"]
        assert found["platform"]["here"] == found["platform"]["recorded"]
        assert found["promise"] == "the same bytes"

    def test_compares_predictions_on_the_judged_rows(self, chain: Any) -> None:
        assert said(chain)["predictions"] == {"rows": 96, "largest_difference": 0.0, "why": ""}

    def test_stands_in_the_envelope_of_its_version(self, world: World, chain: Any) -> None:
        kept = [attested(row.record) for row in world.workspace.store.envelope("generated", 2, kind="proof")]

        assert said(chain) in kept

    def test_gives_the_registry_the_day_of_the_last_proof(self, world: World, chain: Any) -> None:
        shown = {each["version"]: each["last_proved"] for each in world.ask("versions")}
        tagged = {each.number: each.tags.get("last_proved") for each in world.workspace.registry.versions()}

        assert shown[1] == said(chain["ancestors"][0])["proved_at"]
        assert tagged == shown

    def test_that_was_edited_is_refused(self, world: World, chain: Any, tmp_path: Path) -> None:
        record = json.loads(Path(chain["attestation"]).read_bytes())
        other = base64.b64decode(record["payload"]).replace(b'"version": 2', b'"version": 3')
        edited = tmp_path / "edited.json"
        edited.write_text(json.dumps({**record, "payload": base64.b64encode(other).decode()}))
        refused = world.retrim("versions", "verify-attestation", str(edited), code=1)

        assert world.workspace.keys.public.fingerprint[:16] in refused.stderr

    def test_holds_no_path_host_or_private_key(self, world: World, chain: Any) -> None:
        text = json.dumps(said(chain))
        private = (world.root / "var" / "keys" / "signing.key").read_text().splitlines()[1]

        assert str(world.root.parent) not in text
        assert private not in text


def test_a_proof_on_another_platform_promises_nothing_and_tells_the_difference(world: World) -> None:
    row = world.workspace.store.version("generated", 1)
    assert row is not None
    elsewhere = row.lineage["platform"].replace("linux", "plan9")
    with recorded_as(world, 1, platform=elsewhere):
        found = said(world.ask("versions", "reproduce", "1", "--prove"))

    assert found["promise"] == "none: it was made on another platform"
    assert found["predictions"]["largest_difference"] == 0.0


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
        found = said(first)

        assert (first["proved"], found["reason"]) == (True, f"scheduled for {SUNDAY}")
        assert found["version"] in (1, 2)

    def test_is_made_once_a_moment(self, world: World, first: Any) -> None:
        again = prove_scheduled(world.workspace, now=pd.Timestamp(SUNDAY), say=print)
        reasons = [attested(row.record)["reason"] for row in world.workspace.store.envelopes("generated", kind="proof")]

        assert again is None
        assert reasons.count(f"scheduled for {SUNDAY}") == 1

    def test_that_differs_is_told(self, world: World, first: Any) -> None:
        moments = [pd.Timestamp("2024-03-10", tz="UTC") + pd.Timedelta(week * 7, "D") for week in range(20)]
        at = next(each for each in moments if pick([1, 2], model="generated", moment=iso(each)) == 2)
        with recorded_as(world, 2, champion_digest="x"):
            proof = prove_scheduled(world.workspace, now=at, say=print)
        told = [row.text for row in world.workspace.store.alerts("generated") if row.kind == "rebuild differs"]
        kept = [row for row in world.workspace.store.envelope("generated", 2, kind="proof") if row.at == iso(at)]

        assert proof is not None
        difference = attested(json.loads(proof.attestation.read_bytes()))["first_difference"]
        assert difference == "its champion has the hash x, which differs from the recorded hash of version 1"
        assert any("version 2 " in text and difference in text for text in told)
        assert [attested(row.record)["identical"] for row in kept] == [False]

    def test_that_is_switched_off_does_nothing(self, world: World) -> None:
        schedule = world.workspace.params.schedule.model_copy(update={"prove": None})
        params = world.workspace.params.model_copy(update={"schedule": schedule})
        workspace = type(world.workspace)(world.workspace.paths, params, world.workspace.env)

        assert prove_scheduled(workspace, now=pd.Timestamp("2025-01-05", tz="UTC"), say=print) is None
