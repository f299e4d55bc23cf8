"""An approval that asks for a person's own key: signed, by somebody in the committed list, and not by who trained."""

import subprocess
from pathlib import Path

import pytest

from retrim.adapters import git, ssh_signing
from retrim.errors import BadInputError, RefusedError
from retrim.release.approval import APPROVERS, answer_of, approve
from retrim.release.versions import find_live_version
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Version 1 waits."""
    made = make_desk(tmp_path / "workspace", changes={"release": {"approval": {"moves": ["first"]}}})
    made.land(made.rows(0, 10), 10)
    made.make_version(10, waits=True)
    return made


def make_key(folder: Path, name: str) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    return folder / name


def list_approver(desk: Desk, name: str, key: Path) -> None:
    root = desk.workspace.paths.root
    public = key.with_suffix(".pub").read_text(encoding="utf-8")
    (root / APPROVERS).write_text(f"{name} {public}", encoding="utf-8")
    git.git(root, "add", APPROVERS)
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "who approves")


def approved(desk: Desk, key: Path | None) -> None:
    approve(desk.workspace, 1, by="a claim", reason="looks right", now=desk.day(11), key=key)


def test_it_is_kept_with_the_name_of_the_key_and_its_signature(desk: Desk, tmp_path: Path) -> None:
    key = make_key(tmp_path, "ines")
    list_approver(desk, "ines", key)
    approved(desk, key)
    answer, live = answer_of(desk.workspace, 1), find_live_version(desk.workspace)

    assert answer is not None
    assert (answer.by, str(answer.signature).startswith("-----BEGIN SSH SIGNATURE-----")) == ("ines", True)
    assert live is not None


def test_without_one_or_by_another_key_nothing_goes_live(desk: Desk, tmp_path: Path) -> None:
    list_approver(desk, "ines", make_key(tmp_path, "ines"))
    stranger = make_key(tmp_path, "stranger")
    (desk.workspace.paths.root / APPROVERS).write_bytes(b"s " + stranger.with_suffix(".pub").read_bytes())
    with pytest.raises(RefusedError, match=r"--key ~/\.ssh"):
        approved(desk, None)
    with pytest.raises(RefusedError, match="a key in the list"):
        approved(desk, stranger)  # which only an uncommitted list has

    assert find_live_version(desk.workspace) is answer_of(desk.workspace, 1) is None


def test_who_started_the_retraining_does_not_approve_it(desk: Desk, tmp_path: Path) -> None:
    key = make_key(tmp_path, "key")
    list_approver(desk, '"a test"', key)
    with pytest.raises(RefusedError, match="somebody else"):
        approved(desk, key)


def test_a_signature_of_other_words_is_none(tmp_path: Path) -> None:
    key = make_key(tmp_path, "ines")
    allowed = b"ines " + key.with_suffix(".pub").read_bytes()
    signature = ssh_signing.sign(b"version 1", key)

    assert ssh_signing.signer_of(b"version 1", signature, allowed) == "ines"
    with pytest.raises(RefusedError):
        ssh_signing.signer_of(b"version 2", signature, allowed)


def test_a_key_that_nobody_asks_for_or_that_is_none_is_refused(desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=APPROVERS):
        approved(desk, make_key(tmp_path, "ines"))
    with pytest.raises(BadInputError, match="no such file"):
        ssh_signing.sign(b"", tmp_path / "none")
    (tmp_path / "broken").write_text("not a key", encoding="utf-8")
    with pytest.raises(BadInputError, match="cannot sign"):
        ssh_signing.sign(b"", tmp_path / "broken")
