"""Attestations as files: any altered byte is found, and only keys that count here count."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.signing import Keys
from retrim.decision.probation import (
    REBUILD,
    Agreement,
    Output,
    StatedPlatform,
    agreement,
    from_top,
    pick,
    rebuild_predicate,
)
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.release.versions import read_record, verify_attestation
from retrim.settings import Env, Params
from retrim.stats.codec import to_json
from tests.builders.shipped import whole

REPOSITORY = Path(__file__).parents[2]
SAME = StatedPlatform("linux-x86_64-python3.11.7", "linux-x86_64-python3.11.7")


def fields(**other: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "what": {"model": "bike", "version": 3, "commit": "c" * 40, "tag": "retrim/bike/v3"},
        "platform": SAME,
        "environment": {"lock_recorded": "a", "lock_built": "a"},
        "inputs": {"raw": "r", "champion": "c", "champion_version": 2},
        "outputs": [Output("train", "data/candidate/models", "m", "m")],
        "bundle": {"recorded": "b", "rebuilt": "b"},
        "executed": ["train"],
        "differences": [],
        "predictions": Agreement(10, 0.0, ""),
        "reason": "a test",
        "proved_at": "2024-01-01T00:00:00+00:00",
    }
    return rebuild_predicate(**{**given, **other})


def attest(keys: Keys, said: dict[str, Any], *, kind: str = REBUILD) -> bytes:
    return to_json(keys.attest(kind, {"bike/v3": "b"}, said))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    document = whole()
    return Workspace(WorkspacePaths(tmp_path / "workspace"), Params.model_validate(document), Env())


@pytest.fixture
def file(workspace: Workspace, tmp_path: Path) -> Path:
    path = tmp_path / "attestation.json"
    path.write_bytes(attest(Keys(workspace.paths.keys), fields()))
    return path


def test_our_own_attestation_is_valid(workspace: Workspace, file: Path) -> None:
    found = verify_attestation(workspace, file, key=None)

    assert (found.whose, found.version, found.identical) == ("ours", 3, True)


def test_any_altered_byte_is_found(workspace: Workspace, file: Path) -> None:
    whole, passed = file.read_bytes(), []
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            verify_attestation(workspace, file, key=None)
            passed.append(place)
        except (BadInputError, RefusedError):
            continue

    # Between the tokens of JSON a line feed may be another blank: nothing of what it says is altered.
    assert [place for place in passed if whole[place : place + 1] not in (b"\n", b" ")] == []


def altered(file: Path, change: Callable[[bytes], bytes]) -> None:
    record = json.loads(file.read_bytes())
    payload = base64.b64encode(change(base64.b64decode(record["payload"]))).decode()
    file.write_bytes(to_json({**record, "payload": payload}))


def test_a_changed_answer_is_refused(workspace: Workspace, file: Path) -> None:
    altered(file, lambda said: said.replace(b'"identical": true', b'"identical": false'))

    with pytest.raises(RefusedError, match=Keys(workspace.paths.keys).public.fingerprint[:16]):
        verify_attestation(workspace, file, key=None)


def test_a_key_that_stands_twice_is_refused(workspace: Workspace, file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('{\n "payload"', '{\n "payload": "",\n "payload"', 1), encoding="utf-8")

    with pytest.raises(BadInputError, match="in which a key occurs twice"):
        verify_attestation(workspace, file, key=None)


def test_what_is_signed_has_one_spelling(workspace: Workspace, file: Path) -> None:
    altered(file, lambda said: said.replace(b'"identical": true', b'"identical": false,\n  "identical": true'))

    with pytest.raises(BadInputError, match=r"attestation: .*var/attestations"):
        verify_attestation(workspace, file, key=None)


def test_another_workspaces_attestation_counts_only_if_trusted_or_given(
    workspace: Workspace, file: Path, tmp_path: Path
) -> None:
    public = str(Keys(workspace.paths.keys).public)
    elsewhere = replace(workspace, paths=WorkspacePaths(tmp_path / "elsewhere"))
    proof = elsewhere.params.proof.model_copy(update={"trusted_keys": (public,)})
    trusting = replace(elsewhere, params=elsewhere.params.model_copy(update={"proof": proof}))
    (tmp_path / "key.pub").write_text(f"{public}\n", encoding="utf-8")

    fingerprint = Keys(workspace.paths.keys).public.fingerprint
    with pytest.raises(RefusedError, match=rf"\bproof\.trusted_keys\b.*{fingerprint}"):
        verify_attestation(elsewhere, file, key=None)
    assert verify_attestation(trusting, file, key=None).whose == "trusted"
    assert verify_attestation(None, file, key=str(tmp_path / "key.pub")).whose == "given"


def test_the_key_that_is_given_is_the_only_one_that_counts(workspace: Workspace, file: Path, tmp_path: Path) -> None:
    other = Keys(tmp_path / "other").public

    with pytest.raises(RefusedError, match=f"but --key is key {other.fingerprint[:16]}"):
        verify_attestation(workspace, file, key=str(other))


def test_a_key_that_is_longer_than_a_file_name_may_be_is_refused_as_a_key(workspace: Workspace, file: Path) -> None:
    with pytest.raises(BadInputError, match="is not a public key"):
        verify_attestation(workspace, file, key=f"ssh-rsa {'A' * 372} me@host")


def test_an_attestation_of_something_else_is_refused(workspace: Workspace, file: Path) -> None:
    file.write_bytes(attest(Keys(workspace.paths.keys), fields(), kind="urn:a:letter"))

    with pytest.raises(BadInputError, match=rf"'urn:a:letter'; .*'{REBUILD}'"):
        verify_attestation(workspace, file, key=None)


def test_a_newer_form_is_not_guessed_at(workspace: Workspace, file: Path) -> None:
    file.write_bytes(attest(Keys(workspace.paths.keys), fields(), kind="urn:retrim:rebuild:v2"))

    with pytest.raises(BadInputError, match=r"reads only v1; .*newer"):
        verify_attestation(workspace, file, key=None)


@pytest.mark.parametrize("other", [{"predictions": None}, {"predictions": {}}])
def test_one_that_lacks_a_figure_is_bad_input(workspace: Workspace, file: Path, other: dict[str, object]) -> None:
    file.write_bytes(attest(Keys(workspace.paths.keys), {**fields(), **other}))

    with pytest.raises(BadInputError, match=rf"{re.escape(file.name)} .*\bpredictions\b"):
        verify_attestation(workspace, file, key=None)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_record_is_bad_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "junk.json"
    path.write_bytes(content)

    with pytest.raises(BadInputError, match=r"junk\.json"):
        read_record(path)


def test_another_platform_promises_nothing() -> None:
    elsewhere = fields(platform=replace(SAME, here="linux-aarch64-python3.11.7"), predictions=Agreement(5, 0.25, ""))

    assert elsewhere["promise"] == "none: it was made on another platform"
    assert elsewhere["predictions"]["largest_difference"] == 0.25
    assert fields()["promise"] == "the same bytes"


def test_the_first_difference_stands_in_the_attestation() -> None:
    found = fields(differences=["train: models", "the bundle"])

    assert (found["identical"], found["first_difference"], found["differences"]) == (False, "train: models", 2)


def test_where_the_workspace_lies_does_not_stand_in_a_attestation(tmp_path: Path) -> None:
    said = f'stage tune failed:\n  File "{tmp_path}/var/runs/reproduce-v1/src/retrim/stages/tune.py", line 1'

    assert from_top([said], root=str(tmp_path)) == [said.replace(str(tmp_path), ".")]


def test_predictions_of_another_shape_are_no_figure() -> None:
    import numpy as np

    assert agreement(np.zeros(3), np.array([0.0, 0.5, -0.25])).largest == 0.5
    assert agreement(np.zeros((3, 2)), np.zeros((3, 4))).largest is None
    assert agreement(np.array([np.nan]), np.zeros(1)).largest is None


def test_chance_picks_the_same_version_for_the_same_moment_and_every_one_in_time() -> None:
    weeks = [f"2024-{week:03d}" for week in range(200)]
    picked = [pick([1, 2, 3, 4, 5], model="bike", moment=week) for week in weeks]

    assert picked == [pick([5, 4, 3, 2, 1], model="bike", moment=week) for week in weeks]
    assert all(20 <= picked.count(version) <= 60 for version in (1, 2, 3, 4, 5))
