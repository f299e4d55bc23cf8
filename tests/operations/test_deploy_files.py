"""The recipe of an image and the compose file: what they have to hold, as no container is built in the tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.onboarding.new import lay_workspace
from retrim.yaml_files import load_yaml
from tests.builders.world import REPOSITORY

DEPLOY = REPOSITORY / "deploy"
RECIPE = (DEPLOY / "Containerfile").read_text(encoding="utf-8")


def test_the_compose_file_keeps_its_schema() -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, str(DEPLOY / "compose.yaml")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_package_of_an_image_is_checked_by_its_hash() -> None:
    installs = re.findall(r"pip install .*", RECIPE)
    assert installs
    assert all("--require-hashes" in line and "--no-deps" in line for line in installs)


def test_an_image_runs_as_nobody_in_particular_and_says_whether_it_is_healthy() -> None:
    last = RECIPE.partition("AS retrim")[2]
    assert re.findall(r"(?m)^USER (.*)$", last) == ["10001:10001"]
    assert last.count("HEALTHCHECK") == 2


def test_no_image_and_no_manifest_holds_a_secret() -> None:
    for name in ("Containerfile", "compose.yaml", "kubernetes.yaml"):
        text = (DEPLOY / name).read_text(encoding="utf-8")
        assert not re.search(r"(?i)\b(password|secret_access_key|token)\s*[:=]\s*\S", text), name


def test_the_container_may_write_only_workspaces_and_tmp() -> None:
    service = load_yaml((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["retrim"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108  inside the container


def test_a_workspace_has_the_same_path_in_the_container_as_outside() -> None:
    service = load_yaml((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))["services"]["retrim"]
    (mounted,) = service["volumes"]
    outside, _, inside = mounted.rpartition(":")
    assert outside.startswith("${WORKSPACES:?")
    assert inside == "${WORKSPACES}"  # MLflow lays the files of a run at the path where the experiment was made
    assert service["command"] == ["up", inside]


def test_the_user_of_the_image_may_read_a_model_that_only_its_builder_may() -> None:
    assert re.findall(r"COPY (.*) model /model", RECIPE) == ["--chown=10001:10001"]


@pytest.mark.slow
def test_what_an_image_of_a_version_needs_is_laid_where_there_is_no_dvc_remote(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "deploying.md").read_text(encoding="utf-8")
    steps = re.search(r"git worktree add .*\n.*dvc pull .*", page)
    assert steps is not None
    root = lay_workspace(tmp_path / "bike").root
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["bash", "-ec", f"git tag retrim/bike/v7\n{steps[0]}"]
    done = subprocess.run(
        command, cwd=root, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert [file.suffix for file in (root / "var" / "image" / "data" / "code").iterdir()] == [".whl"]
