"""The scheduled backup lies in the folder of its model, below the place that the environment names."""

from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.operations.backup_store import BackupStore
from retrim.yaml_files import dump_yaml
from retrim_flows.backup import backup
from tests.builders.desk import make_desk
from tests.builders.shipped import whole

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace in which the flow works."""
    root = make_desk(tmp_path / "workspace").workspace.paths.root
    (root / "params.yaml").write_text(dump_yaml(whole()), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "settings")
    monkeypatch.chdir(root)
    return root


def test_a_backup_of_the_model_is_made(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_BACKUP", str(tmp_path / "backups"))

    made = backup.fn("2024-02-01")

    assert made is not None
    model = str(whole()["data"]["model"])
    assert BackupStore(str(tmp_path / "backups" / model)).names() == [made.name]
