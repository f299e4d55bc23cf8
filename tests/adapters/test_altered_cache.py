"""An object of the DVC cache in which a byte was turned: what a stage takes from there is refused before it is used."""

import os
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.adapters.dvc_cache import file_hash, object_path, tree_hash
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.yaml_files import dump_yaml, load_yaml
from tests.adapters.test_pipeline import a_run_directory, a_workspace, run

pytestmark = pytest.mark.slow
MAKE = "mkdir -p made/deep && cat data/raw/*/* > made/a && echo b > made/deep/b && echo ü > made/ü.txt"
STAGES = {
    "one": {"cmd": "cat data/raw/*/* > gathered", "deps": ["data/raw"], "outs": ["gathered"]},
    "many": {"cmd": MAKE, "deps": ["data/raw"], "outs": ["made"]},
}


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    workspace = a_workspace(tmp_path)
    (workspace.root / "dvc.yaml").write_text(dump_yaml({"stages": STAGES}))
    (workspace.root / ".gitignore").write_text("var/\n/data/raw\n/data/champion\n/gathered\n/made\n")
    git.git(workspace.root, "add", "-A")
    git.git(workspace.root, *git.IDENTITY, "commit", "-q", "-m", "stages")
    return workspace


def turn_a_byte(path: Path) -> None:
    """As a disk does it: the size, the time and the mode stay as they were."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[0] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    path.chmod(before.st_mode)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def recorded(run_directory: Path, stage: str) -> str:
    lock = load_yaml((run_directory / "dvc.lock").read_text())
    return str(lock["stages"][stage]["outs"][0]["md5"])


def test_hashes_are_those_of_dvc(workspace: WorkspacePaths) -> None:
    run_directory = a_run_directory(workspace)
    run("one", run_directory)
    run("many", run_directory)

    assert file_hash(run_directory / "gathered") == recorded(run_directory, "one")
    assert tree_hash(run_directory / "made") == recorded(run_directory, "many")


@pytest.mark.parametrize(("stage", "place"), [("one", "gathered"), ("many", "made/a"), ("many", "made/deep/b")])
def test_an_output_taken_from_the_cache_is_held_to_its_hash(workspace: WorkspacePaths, stage: str, place: str) -> None:
    first = a_run_directory(workspace, "first")
    run(stage, first)
    cache = workspace.root / ".dvc" / "cache"
    altered = object_path(cache, file_hash(first / place))
    turn_a_byte(altered)

    with pytest.raises(RefusedError) as refused:
        run(stage, a_run_directory(workspace, "second"))
    assert f"{place}, an output of stage {stage}" in str(refused.value)
    assert f"Remove {altered}" in str(refused.value)


def test_the_cure_is_one(workspace: WorkspacePaths) -> None:
    first = a_run_directory(workspace, "first")
    run("many", first)
    altered = object_path(workspace.root / ".dvc" / "cache", file_hash(first / "made/a"))
    turn_a_byte(altered)
    altered.unlink()
    run("many", a_run_directory(workspace, "second"))

    assert (workspace.runs / "second" / "made/a").read_bytes() == b"rows\n"
