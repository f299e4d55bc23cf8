"""The demo's workspace keeps all of its own: it neither reads nor writes what lies elsewhere."""

from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.lineage.workspace import open_workspace
from retrim.reports.demo import make_workspace
from tests.builders.world import copy_repository

ADDRESSES = (
    "RETRIM_STORE_URL",
    "RETRIM_MLFLOW_URL",
    "RETRIM_MLFLOW_ARTIFACTS",
    "RETRIM_PREDICTIONS",
    "RETRIM_PREDICTIONS_TABLE",
    "RETRIM_LANDING",
)


@pytest.mark.slow
def test_the_demo_leaves_alone_what_lies_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "workspace"
    copy_repository(root)
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")
    for name in ADDRESSES:
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    made = make_workspace(open_workspace(root))

    own = made.paths.var
    assert Path(made.predictions.where) == own / "predictions"
    assert (made.landing_address, made.env.predictions_table) == (None, None)
    assert made.store_url == f"sqlite:///{own / 'retrim.db'}"
    assert (made.mlflow_url, made.mlflow_artifacts) == (f"sqlite:///{own / 'mlflow.db'}", str(own / "mlflow"))
