"""`retrim new --ci` lays files of CI that are what GitHub and GitLab take, and that cannot start themselves again."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.errors import RefusedError
from retrim.onboarding.ci import CHECK, FILES, lay_ci
from retrim.onboarding.new import lay_workspace
from retrim.templates import own_model
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.shipped import whole
from tests.builders.synthetic import data_section

pytestmark = pytest.mark.slow
WORKFLOW = ".github/workflows/retrim.yml"
SCHEMAS = {
    WORKFLOW: ["vendor.github-workflows"],
    ".gitlab-ci.yml": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
}
SPACE = {
    "learning_rate": {"low": 0.05, "high": 0.3},
    "max_iter": {"low": 5, "high": 9},
    "max_leaf_nodes": {"low": 4, "high": 8},
}


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_workspace(tmp_path_factory.mktemp("ci") / "mine", ci=True).root


@pytest.mark.parametrize("name", SCHEMAS)
def test_each_file_keeps_the_schema_of_its_host(laid: Path, name: str) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", *SCHEMAS[name], str(laid / name)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_workflow_cannot_start_itself_again(laid: Path) -> None:
    workflow = load_yaml((laid / WORKFLOW).read_text(encoding="utf-8"))
    assert list(workflow["on"]) == ["pull_request"]
    assert workflow["on"]["pull_request"]["paths"]
    assert workflow["permissions"] == {}
    assert {job: each["permissions"] for job, each in workflow["jobs"].items()} == {
        "check": {"contents": "read"},
        "comment": {"pull-requests": "write"},
    }
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert workflow["jobs"]["check"]["steps"][0]["with"]["persist-credentials"] is False


def test_no_code_of_the_change_runs_where_a_comment_may_be_written(laid: Path) -> None:
    steps = load_yaml((laid / WORKFLOW).read_text(encoding="utf-8"))["jobs"]["comment"]["steps"]
    assert [step.get("uses", step.get("run", "")).split()[0].partition("@")[0] for step in steps] == [
        "actions/download-artifact",
        "gh",
    ]


def test_they_are_committed_and_the_script_can_be_run(laid: Path) -> None:
    assert set(FILES) <= set(git.git(laid, "ls-files").splitlines())
    assert git.git(laid, "ls-files", "-s", CHECK).startswith("100755")
    assert git.git(laid, "status", "--porcelain") == ""


def test_a_workspace_that_is_there_gets_them_in_one_commit(tmp_path: Path) -> None:
    root = lay_workspace(tmp_path / "older").root
    made = lay_workspace(root, ci=True)
    assert made.files == len(FILES)
    assert set(git.git(root, "show", "--name-only", "--format=", made.commit).splitlines()) == set(FILES)
    assert lay_workspace(root, ci=True).files == 0


def test_a_file_with_other_content_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / CHECK).parent.mkdir()
    (tmp_path / CHECK).write_text("mine\n", encoding="utf-8")
    with pytest.raises(RefusedError, match=f"^{re.escape(str(CHECK))} "):
        lay_ci(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ci"]


@pytest.mark.parametrize(("broken", "code"), [(False, 0), (True, 1)])
def test_a_custom_model_is_tested(tmp_path: Path, *, broken: bool, code: int) -> None:
    lay_ci(tmp_path)
    text = Path(own_model.__file__).read_text(encoding="utf-8")
    if broken:
        text = text.replace('"random_state": about.seed', '"random_state": about.threads')
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.py").write_text(text, encoding="utf-8")
    params = whole() | {"data": data_section("regression", labels="with_rows", horizon="1h")}
    params["train"] |= {"model": "own:models/mine.py"}
    params["tune"] |= {"space": SPACE}
    (tmp_path / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout
