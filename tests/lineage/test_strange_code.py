"""Whose code runs: an import's only where the workspace has the very same file; a room's as its commit has it."""

from hashlib import sha256
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.decision.pins import PinnedFile
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.own_code import pinned_code, refuse_strange_code
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params, resolved
from retrim.training.estimators import CODE, CODE_FILE
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.shipped import whole

ROOT = Path(__file__).parents[2]
OURS, THEIRS = b"# ours\n", b"raise SystemExit('it ran')\n"
NAME = "own:models/m.py"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    document = whole()
    document["train"]["model"] = NAME
    (tmp_path / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.py").write_bytes(OURS)
    return Workspace(WorkspacePaths(tmp_path), load_params(tmp_path / "params.yaml"), Env())


def test_settings_name_the_file_with_its_hash(workspace: Workspace) -> None:
    assert workspace.params.train.model == f"{NAME}@{sha256(OURS).hexdigest()}"


def test_a_bundle_without_code_is_nobodys_to_look_at(workspace: Workspace) -> None:
    refuse_strange_code(workspace, {"models/all/model.txt": b"tree"})


def test_a_bundle_with_our_file_may_run_it(workspace: Workspace) -> None:
    refuse_strange_code(workspace, {f"models/all/{CODE_FILE}": OURS})


@pytest.mark.parametrize("names", [["models/all/"], ["models/all/", "models/sliding/"], [""]])
def test_a_bundle_with_another_file_is_refused_and_it_is_not_run(workspace: Workspace, names: list[str]) -> None:
    bundle = {f"models/first/{CODE_FILE}": OURS, **{f"{name}{CODE_FILE}": THEIRS for name in names}}
    with pytest.raises(RefusedError, match=rf"{sha256(THEIRS).hexdigest()[:12]}.* train\.model\b"):
        refuse_strange_code(workspace, bundle)

    assert sha256(THEIRS).hexdigest() not in CODE


def test_a_workspace_with_another_kind_of_model_runs_no_code(workspace: Workspace) -> None:
    document = load_yaml(workspace.paths.params.read_text(encoding="utf-8"))
    document["train"]["model"] = "gbm"
    workspace.paths.params.write_text(dump_yaml(document), encoding="utf-8")

    with pytest.raises(RefusedError, match=r"train\.model"):
        refuse_strange_code(workspace, {f"models/all/{CODE_FILE}": OURS})


def test_a_file_that_is_not_there_is_told(workspace: Workspace) -> None:
    (workspace.paths.root / "models" / "m.py").unlink()

    with pytest.raises(BadInputError, match=r"models/m\.py .*docs/how-to/own-model\.md"):
        load_params(workspace.paths.params)


def test_a_link_out_of_the_workspace_is_no_file_of_it(
    workspace: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "m.py"
    elsewhere.write_bytes(THEIRS)
    file = workspace.paths.root / "models" / "m.py"
    file.unlink()
    file.symlink_to(elsewhere)

    with pytest.raises(BadInputError, match=r"models/m\.py"):
        load_params(workspace.paths.params)


def test_a_name_with_the_hash_of_another_file_is_refused(workspace: Workspace) -> None:
    document = {"train": {"model": f"{NAME}@{'ab' * 32}"}}

    with pytest.raises(BadInputError, match=r"models/m\.py .*abababababab"):
        resolved(workspace.paths.root, document)


def test_pins_name_the_file_as_the_commit_has_it(workspace: Workspace) -> None:
    root = workspace.paths.root
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")
    commit = git.git(root, "rev-parse", "HEAD").strip()
    (root / "models" / "m.py").write_bytes(OURS + b"# later\n")

    assert pinned_code(root, commit) == PinnedFile("models/m.py", sha256(OURS).hexdigest())


def test_a_file_that_git_does_not_keep_cannot_be_pinned(workspace: Workspace) -> None:
    root = workspace.paths.root
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "params.yaml")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")

    commit = git.git(root, "rev-parse", "HEAD").strip()
    with pytest.raises(BadInputError, match=rf"^train\.model: models/m\.py .*{commit[:12]}"):
        pinned_code(root, commit)
