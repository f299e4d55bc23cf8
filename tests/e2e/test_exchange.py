"""A version goes from staging to production: one signed file, checked, judged and released anew.

Staging is the world with two versions. Production has a champion of its own, made before the table changed, and
trusts staging's key.
"""

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.migrations.schema import DECISIONS, ENVELOPES, RELEASE_HEADS, RELEASES, RUNS, USED_ROWS, VERSIONS
from retrim.adapters.signing import Keys, attested, pack, read_attestation, unpack
from retrim.adapters.store import Store, copy_whole
from retrim.decision.probation import REBUILD, RebuildStatement, StatedBundle, StatedDifference, StatedPlatform
from retrim.decision.release_log import head_of, signed_bytes
from retrim.decision.stored_rows import ReleaseRow, columns_of
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version
from retrim.retraining.exchange import EXPORT, export, import_version, open_parcel
from retrim.stats.codec import to_json, to_record
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]
OWN, LATER = 20, 50


@pytest.fixture(scope="module")
def staging(two_versions: World) -> World:
    return two_versions


@pytest.fixture(scope="module")
def file(staging: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("exported") / "v2.tar"
    staging.ask("versions", "export", "2", "--to", str(to))
    return to


@pytest.fixture(scope="module")
def production(staging: World, tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    key = str(Keys(staging.workspace.paths.keys).public)
    folder = tmp_path_factory.mktemp("production")
    drift = {name: staging.table[name] for name in ("kind", "size", "since")}
    changes = {"proof": {"trusted_keys": [key]}, "gate": {"baselines": ["mean"], "confidence": 0.6}}
    made = make_world(folder, server=server, drift=drift, changes=changes)
    made.land(made.day(OWN))
    made.retrim("retrain", "--as-of", made.day(OWN))
    return made


@pytest.fixture(scope="module")
def deferred(production: World, file: Path) -> Any:
    """An import before production has seen rows that are new to the model."""
    return production.ask("versions", "import", str(file), code=1)


@pytest.fixture(scope="module")
def imported(production: World, deferred: Any, file: Path) -> Any:
    production.land(production.day(LATER), since=production.day(OWN))
    return production.ask("versions", "import", str(file))


def test_the_same_version_is_exported_as_the_same_bytes(staging: World, file: Path, tmp_path: Path) -> None:
    again = export(staging.workspace, 2, to=tmp_path / "again.tar")

    assert again.file.read_bytes() == file.read_bytes()


class TestAnExport:
    def test_holds_bundle_lock_and_lineage_under_one_signature(self, staging: World, file: Path) -> None:
        files = unpack(file, most_mb=100)
        signed = read_attestation(json.loads(files["attestation.json"]))
        manifest = signed.fields
        row = staging.workspace.store.version("generated", 2)
        assert row is not None

        assert (manifest["bundle"], manifest["lineage"]["commit"]) == (row.bundle, row.lineage["commit"])
        assert manifest["verdict"] == row.verdict
        assert {"made-from/requirements.lock", "made-from/data/pins.json", "bundle/format.json"} <= set(files)
        assert signed.subject.keys() == files.keys() - {"attestation.json"}

    def test_holds_no_private_key_and_no_path(self, staging: World, file: Path) -> None:
        content = file.read_bytes()

        assert b"PRIVATE KEY" not in content
        assert str(staging.root.parent).encode() not in content


class TestAnImportWithTooFewRows:
    def test_is_deferred_and_says_what_is_missing(self, deferred: Any) -> None:
        assert (deferred["state"], deferred["version"]) == ("deferred", None)
        assert "48 are needed" in deferred["reason"]

    def test_leaves_nothing_behind(self, production: World, deferred: Any, imported: Any) -> None:
        assert [row.version for row in production.workspace.store.versions("generated")] == [1, 2]
        assert [each.number for each in production.workspace.registry.versions()] == [1, 2]


class TestAnImport:
    def test_goes_live_past_the_gate_here(self, production: World, imported: Any) -> None:
        now_live = find_live_version(production.workspace)
        row = production.workspace.store.version("generated", 2)
        assert row is not None
        assert now_live is not None

        assert (imported["state"], imported["version"]) == ("promoted", 2)
        assert (now_live.version, now_live.previous, now_live.action) == (2, 1, "import")
        assert "gain" in {check["name"] for check in row.verdict["checks"]}
        assert production.workspace.registry.aliases() == {"champion": 2, "previous": 1}

    def test_is_judged_on_rows_that_it_has_not_seen(self, production: World, file: Path, imported: Any) -> None:
        row = production.workspace.store.version("generated", 2)
        assert row is not None
        split = json.loads(unpack(file, most_mb=100)["bundle/features/split.json"])

        assert row.verdict["judged_from"] > split["judged_until"]
        assert row.verdict["rows"] == 96

    def test_keeps_where_it_came_from(self, staging: World, production: World, imported: Any) -> None:
        kept = production.workspace.store.envelope("generated", 2, kind="imported")
        signer = Keys(staging.workspace.paths.keys).public.fingerprint

        assert kept[0].record["origin"] == imported["origin"]
        assert (imported["origin"]["version"], imported["origin"]["signer"]) == (2, signer)
        assert imported["environment"] == []

    def test_is_one_row_of_a_log_that_holds(self, production: World, imported: Any) -> None:
        assert production.ask("versions", "verify-log")["rows"] == 2

    def test_asked_again_gives_the_same_and_adds_nothing(self, production: World, file: Path, imported: Any) -> None:
        again = production.ask("versions", "import", str(file))

        assert again == imported
        assert len(production.workspace.store.releases("generated")) == 2
        assert len(production.workspace.registry.versions()) == 2

    def test_serves(self, production: World, imported: Any) -> None:
        assert production.ask("predict")["version"] == 2

    def test_says_where_it_can_be_proved(self, production: World, imported: Any) -> None:
        refused = production.retrim("versions", "reproduce", "2", "--prove", code=1)

        assert "its commit" in refused.stderr
        assert "prove it" in refused.stderr

    def test_is_not_in_the_way_of_pruning(self, production: World, imported: Any) -> None:
        kept = production.ask("versions", "gc", "--dry-run")["kept"]

        assert any(piece["why"] == "generated version 1 needs them" for piece in kept)


def altered(sent: dict[str, bytes], keys: Keys, *, kind: str = EXPORT, **fields: Any) -> dict[str, bytes]:
    """The files with other fields in the attestation, signed anew."""
    said = attested(json.loads(sent["attestation.json"]))
    subject = {name: sha256(content).hexdigest() for name, content in sent.items() if name != "attestation.json"}
    return {**sent, "attestation.json": to_json(keys.attest(kind, subject, {**said, **fields}))}


class TestAFileThatIsNotRight:
    @pytest.fixture
    def files(self, file: Path) -> dict[str, bytes]:
        return unpack(file, most_mb=100)

    def refused(self, production: World, folder: Path, files: dict[str, bytes]) -> str:
        """What is said of these files, sent to production; nothing of them may be left there."""
        sent = folder / "sent.tar"
        sent.write_bytes(pack(files))
        with pytest.raises((BadInputError, RefusedError)) as error:
            import_version(
                production.workspace, sent, by="a test", approval=None, now=pd.Timestamp("2024-06-01", tz="UTC")
            )
        return str(error.value)

    def test_is_refused_for_one_altered_byte_of_a_file(
        self, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        model = next(name for name in files if name.endswith("model.txt"))
        said = self.refused(production, tmp_path, {**files, model: b"T" + files[model][1:]})

        assert f"differ from the files that were signed: {model}" in said

    def test_is_refused_for_a_file_added_or_taken_away(
        self, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        less = {name: content for name, content in files.items() if name != "bundle/format.json"}

        assert "bundle/x" in self.refused(production, tmp_path, {**files, "bundle/x": b""})
        assert "bundle/format.json" in self.refused(production, tmp_path, less)

    def test_is_refused_for_a_key_that_nobody_trusts(
        self, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        said = self.refused(production, tmp_path, altered(files, Keys(tmp_path / "stranger")))

        assert "proof.trusted_keys" in said

    def test_is_refused_for_another_model_or_a_newer_format(
        self, staging: World, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        keys = Keys(staging.workspace.paths.keys)

        assert "model 'other'" in self.refused(production, tmp_path, altered(files, keys, model="other"))
        newer = altered(files, keys, kind="urn:retrim:export:v2")
        assert "reads only v1" in self.refused(production, tmp_path, newer)

    def test_is_refused_for_rows_of_another_grain(
        self, staging: World, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        lineage = attested(json.loads(files["attestation.json"]))["lineage"]
        other = {**lineage, "grain": {"every": "2h", "by": [], "how": {}}}
        said = self.refused(production, tmp_path, altered(files, Keys(staging.workspace.paths.keys), lineage=other))

        assert lineage["grain"] is None
        assert "a different granularity" in said

    def test_is_refused_for_a_proof_of_another_bundle(
        self, staging: World, production: World, tmp_path: Path, files: dict[str, bytes]
    ) -> None:
        keys = Keys(staging.workspace.paths.keys)
        same = StatedPlatform("here", "here")
        said = RebuildStatement("generated", 2, True, StatedBundle("x"), same, StatedDifference(0.0), "a test", "")
        proof = to_json(keys.attest(REBUILD, {"generated/v2": "x"}, to_record(said)))
        why = self.refused(production, tmp_path, altered({**files, "rebuild.json": proof}, keys))

        assert "rebuild.json in the export is signed by a different key" in why

    def test_is_refused_when_any_stretch_of_it_is_altered(self, production: World, file: Path, tmp_path: Path) -> None:
        whole, passed = file.read_bytes(), []
        for place in range(0, len(whole), len(whole) // 60):
            sent = tmp_path / "sent.tar"
            sent.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                open_parcel(production.workspace, sent)
                passed.append(place)
            except RetrimError:
                continue

        assert passed == []

    def test_is_refused_where_its_key_is_not_trusted_any_more(self, production: World, file: Path) -> None:
        proof = production.workspace.params.proof.model_copy(update={"trusted_keys": ()})
        workspace = replace(
            production.workspace, params=production.workspace.params.model_copy(update={"proof": proof})
        )

        with pytest.raises(RefusedError, match=r"proof.trusted_keys"):
            open_parcel(workspace, file)


def _undo(store: Store, moved: ReleaseRow, keys: Keys) -> None:
    """Takes a version, and the release that made it live, out of a store."""
    head = head_of(store.releases(moved.model)[-2], signer=str(keys.public))
    with store.begin() as connection:
        connection.execute(sa.delete(RELEASES).where(RELEASES.c.sequence == moved.sequence))
        for table in (ENVELOPES, USED_ROWS, VERSIONS):
            connection.execute(sa.delete(table).where(table.c.version == moved.version))
        for table in (RUNS, DECISIONS):
            connection.execute(sa.delete(table).where(table.c.as_of >= moved.as_of))
        connection.execute(sa.delete(RELEASE_HEADS))
        signed = replace(head, signature=keys.sign(signed_bytes(head)))
        connection.execute(sa.insert(RELEASE_HEADS).values(**columns_of(signed)))


def test_where_a_person_has_to_approve_it_waits_until_one_does(
    production: World, file: Path, imported: Any, tmp_path: Path
) -> None:
    """With a store and a repository as they were before the import went live."""
    workspace = production.workspace
    release = workspace.params.release
    approval = release.approval.model_copy(update={"moves": ("first", "promote")})
    params = workspace.params.model_copy(update={"release": release.model_copy(update={"approval": approval})})
    url = f"sqlite:///{tmp_path / 'retrim.db'}"
    asking = Workspace(workspace.paths, params, workspace.env.model_copy(update={"store_url": url}))
    moved = workspace.store.releases(workspace.model)[-1]
    copy_whole(workspace.store, asking.store, workspace.model)
    _undo(asking.store, moved, workspace.keys)
    now, log = pd.Timestamp("2024-06-01", tz="UTC"), f"refs/tags/retrim/{workspace.model}/log/{moved.sequence}"
    copied = git.git(production.root, "rev-parse", log)
    git.git(production.root, "update-ref", "-d", log)
    try:
        before = import_version(asking, file, by="a test", approval=None, now=now)
        after = import_version(asking, file, by="Ines", approval="looked at it", now=now)
    finally:
        git.git(production.root, "update-ref", log, copied)
    answer = asking.store.envelope("generated", 2, kind="approval")[0].record

    assert (before.state, after.state) == ("waiting", "promoted")
    assert (answer["by"], answer["reason"]) == ("Ines", "looked at it")


def test_another_platform_or_lock_is_said(production: World, staging: World, file: Path, tmp_path: Path) -> None:
    files = unpack(file, most_mb=100)
    lineage = attested(json.loads(files["attestation.json"]))["lineage"]
    keys = Keys(staging.workspace.paths.keys)
    sent = tmp_path / "sent.tar"
    sent.write_bytes(pack(altered(files, keys, lineage={**lineage, "platform": "plan9-python3.11.7"})))
    parcel = open_parcel(production.workspace, sent)

    assert parcel.environment[0].startswith("made on plan9-python3.11.7, but this is ")
