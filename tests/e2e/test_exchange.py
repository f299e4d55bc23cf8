"""A version goes from staging to production: one signed file, checked, judged and released anew.

Staging is the world with two versions. Production has a champion of its own, made before the table changed.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.migrations.schema import DECISIONS, ENVELOPES, RELEASE_HEADS, RELEASES, RUNS, USED_ROWS, VERSIONS
from retrim.adapters.signing import Keys, PublicKey
from retrim.adapters.store import Store, copy_whole
from retrim.decision.release_log import head_of, signed_bytes
from retrim.decision.stored_rows import ReleaseRow, columns_of
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.lineage.workspace import Workspace
from retrim.release.versions import find_live_version
from retrim.retraining.archive import pack, unpack
from retrim.retraining.exchange import export, import_version, open_archive
from retrim.stats.codec import to_json
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]
OWN, LATER = 20, 50
Refuse = Callable[..., str]
"""What is said of files that are sent to production; nothing of them may be left there."""


@pytest.fixture(scope="module")
def staging(two_versions: World) -> World:
    return two_versions


@pytest.fixture(scope="module")
def file(staging: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("exported") / "v2.tar"
    staging.ask("versions", "export", "2", "--to", str(to))
    return to


@pytest.fixture(scope="module")
def signer(staging: World) -> PublicKey:
    return Keys(staging.workspace.paths.keys).public


@pytest.fixture(scope="module")
def key(signer: PublicKey, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file that production has staging's public key in."""
    file = tmp_path_factory.mktemp("key") / "staging.pub"
    file.write_text(f"{signer}\n", encoding="utf-8")
    return str(file)


@pytest.fixture(scope="module")
def production(staging: World, tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    folder = tmp_path_factory.mktemp("production")
    drift = {name: staging.table[name] for name in ("kind", "size", "since")}
    changes = {"gate": {"baselines": ["mean"], "confidence": 0.6}}
    made = make_world(folder, server=server, drift=drift, changes=changes)
    made.land(made.day(OWN))
    made.retrim("retrain", "--as-of", made.day(OWN))
    return made


@pytest.fixture(scope="module")
def deferred(production: World, file: Path, key: str) -> Any:
    """An import before production has seen rows that are new to the model."""
    return production.ask("versions", "import", str(file), "--key", key, code=1)


@pytest.fixture(scope="module")
def imported(production: World, deferred: Any, file: Path, key: str) -> Any:
    production.land(production.day(LATER), since=production.day(OWN))
    return production.ask("versions", "import", str(file), "--key", key)


def test_the_same_version_is_exported_as_the_same_bytes(staging: World, file: Path, tmp_path: Path) -> None:
    again = export(staging.workspace, 2, to=tmp_path / "again.tar")

    assert again.file.read_bytes() == file.read_bytes()


class TestAnExport:
    def test_holds_bundle_lock_and_lineage_under_one_signature(self, staging: World, file: Path) -> None:
        files = unpack(file)
        manifest = json.loads(files["manifest.json"])
        row = staging.workspace.store.version("generated", 2)
        assert row is not None

        assert (manifest["bundle"], manifest["lineage"]) == (row.bundle, row.lineage)
        assert {"requirements.lock", "bundle/format.json", "bundle/verdict/verdict.json"} <= set(files)
        assert manifest["files"].keys() == files.keys() - {"manifest.json", "signature"}

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
        split = json.loads(unpack(file)["bundle/features/split.json"])

        assert row.verdict["judged_from"] > split["judged_until"]
        assert row.verdict["rows"] == 96

    def test_keeps_where_it_came_from(self, signer: PublicKey, production: World, imported: Any) -> None:
        kept = production.workspace.store.envelope("generated", 2, kind="imported")

        assert kept[0].record["origin"] == imported["origin"]
        assert (imported["origin"]["version"], imported["origin"]["signer"]) == (2, signer.fingerprint)
        assert imported["environment"] == []

    def test_is_one_row_of_a_log_that_holds(self, production: World, imported: Any) -> None:
        assert production.ask("versions", "log", "--verify")["rows"] == 2

    def test_asked_again_gives_the_same_and_adds_nothing(
        self, production: World, file: Path, key: str, imported: Any
    ) -> None:
        again = production.ask("versions", "import", str(file), "--key", key)

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


def altered(sent: dict[str, bytes], keys: Keys, **fields: Any) -> dict[str, bytes]:
    """The files with other fields in the manifest, signed anew."""
    manifest = to_json({**json.loads(sent["manifest.json"]), **fields})
    return {**sent, "manifest.json": manifest, "signature": f"{keys.public} {keys.sign(manifest)}".encode()}


class TestAFileThatIsNotRight:
    @pytest.fixture
    def files(self, file: Path) -> dict[str, bytes]:
        return unpack(file)

    @pytest.fixture
    def keys(self, staging: World) -> Keys:
        return Keys(staging.workspace.paths.keys)

    @pytest.fixture
    def refused(self, production: World, signer: PublicKey, tmp_path: Path) -> Refuse:
        def refuse(files: dict[str, bytes], key: PublicKey | None = signer) -> str:
            sent, store = tmp_path / "sent.tar", production.workspace.store
            sent.write_bytes(pack(files))
            now, before = pd.Timestamp("2024-06-01", tz="UTC"), store.versions("generated")
            with pytest.raises((BadInputError, RefusedError)) as error:
                import_version(production.workspace, sent, key=key, by="a test", approval=None, now=now)
            assert store.versions("generated") == before
            return str(error.value)

        return refuse

    def test_is_refused_for_one_altered_byte_of_a_file(self, refused: Refuse, files: dict[str, bytes]) -> None:
        model = next(name for name in files if name.endswith("model.txt"))

        assert f"differ from the files that were signed: {model}" in refused({**files, model: b"T" + files[model][1:]})

    def test_is_refused_for_a_file_added_or_taken_away(self, refused: Refuse, files: dict[str, bytes]) -> None:
        less = {name: content for name, content in files.items() if name != "bundle/format.json"}

        assert "bundle/x" in refused({**files, "bundle/x": b""})
        assert "bundle/format.json" in refused(less)

    def test_is_refused_for_an_altered_manifest(self, refused: Refuse, files: dict[str, bytes]) -> None:
        other = files["manifest.json"].replace(b'"version": 2', b'"version": 3')

        assert "does not match its signature" in refused({**files, "manifest.json": other})

    def test_is_refused_without_a_signature(self, refused: Refuse, files: dict[str, bytes]) -> None:
        unsigned = {name: content for name, content in files.items() if name != "signature"}

        assert "`retrim versions export`" in refused(unsigned)

    def test_is_refused_for_another_key(
        self, refused: Refuse, signer: PublicKey, files: dict[str, bytes], tmp_path: Path
    ) -> None:
        stranger = Keys(tmp_path / "stranger")

        assert stranger.public.fingerprint in refused(altered(files, stranger))
        assert "not key" in refused(files, stranger.public)
        assert signer.fingerprint in refused(files, None)

    def test_is_refused_for_another_model(self, refused: Refuse, keys: Keys, files: dict[str, bytes]) -> None:
        assert "model 'other'" in refused(altered(files, keys, model="other"))

    def test_is_refused_for_a_manifest_that_lacks_a_field(
        self, refused: Refuse, keys: Keys, files: dict[str, bytes]
    ) -> None:
        assert "lineage" in refused(altered(files, keys, lineage=None))

    def test_is_refused_for_another_bundle_than_it_names(
        self, refused: Refuse, keys: Keys, files: dict[str, bytes]
    ) -> None:
        assert "the hash of the bundle" in refused(altered(files, keys, bundle="0" * 64))

    def test_is_refused_when_any_stretch_of_it_is_altered(
        self, production: World, signer: PublicKey, file: Path, tmp_path: Path
    ) -> None:
        whole, passed = file.read_bytes(), []
        for place in range(0, len(whole), len(whole) // 60):
            sent = tmp_path / "sent.tar"
            sent.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            try:
                open_archive(production.workspace, sent, key=signer)
                passed.append(place)
            except RetrimError:
                continue

        assert passed == []


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
    production: World, file: Path, signer: PublicKey, imported: Any, tmp_path: Path
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
        before = import_version(asking, file, key=signer, by="a test", approval=None, now=now)
        after = import_version(asking, file, key=signer, by="Ines", approval="looked at it", now=now)
    finally:
        git.git(production.root, "update-ref", log, copied)
    answer = asking.store.envelope("generated", 2, kind="approval")[0].record

    assert (before.state, after.state) == ("waiting", "promoted")
    assert (answer["by"], answer["reason"]) == ("Ines", "looked at it")


def test_another_platform_is_said(production: World, staging: World, file: Path, tmp_path: Path) -> None:
    files, keys = unpack(file), Keys(staging.workspace.paths.keys)
    lineage = json.loads(files["manifest.json"])["lineage"]
    sent = tmp_path / "sent.tar"
    sent.write_bytes(pack(altered(files, keys, lineage={**lineage, "platform": "plan9-python3.11.7"})))
    archive = open_archive(production.workspace, sent, key=keys.public)

    assert archive.environment[0].startswith("made on plan9-python3.11.7, but this is ")
