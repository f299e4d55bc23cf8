"""Backups in a bucket, and of a store, of models and of predictions that lie in PostgreSQL and in buckets."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.adapters.database import load_postgresql, require_empty
from retrim.environment import Env
from retrim.errors import RefusedError, RetrimError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.operations.backup import make_backup
from retrim.operations.backup_record import Backup
from retrim.operations.backup_store import BackupStore
from retrim.operations.restore import restore_backup
from retrim.reading.address import address_of, open_system
from retrim.release.versions import verify_log
from retrim.retraining.run_directory import UNPUSHED
from retrim.yaml_files import dump_yaml
from tests.builders.desk import Desk, make_desk
from tests.builders.left import leave_unpushed
from tests.builders.shipped import whole
from tests.builders.stores import S3, PostgreSQL, on_path

pytestmark = [pytest.mark.e2e(minutes=1), pytest.mark.server, pytest.mark.slow]
NOT_EMPTY = "is not empty"


@pytest.fixture
def in_bucket(bucket_server: S3, monkeypatch: pytest.MonkeyPatch) -> S3:
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    return bucket_server


def make(folder: Path) -> Desk:
    """A version that is live, in a repository."""
    desk = make_desk(folder)
    (folder / ".gitignore").write_text("var/\n.dvc/\n", encoding="utf-8")
    (folder / "params.yaml").write_text(dump_yaml(whole()), encoding="utf-8")
    (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    git.git(folder, "add", "-A")
    git.git(folder, *git.IDENTITY, "commit", "-q", "-m", "settings")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    return desk


def record(place: str) -> Backup:
    """That of the newest backup at a place."""
    store = BackupStore(place)
    return store.read(store.chosen(None))


def back(desk: Desk, folder: Path, env: Env) -> Workspace:
    return Workspace(WorkspacePaths(folder), desk.workspace.params, env)


def test_a_backup_in_a_bucket_is_restored_from_there(tmp_path: Path, in_bucket: S3) -> None:
    desk, place = make(tmp_path / "used"), "s3://backups/shop"
    first = make_backup(desk.workspace, place, now=desk.day(10))
    desk.land(desk.rows(10, 11), 11)
    second = make_backup(desk.workspace, place, now=desk.day(11))

    restore_backup(place, tmp_path / "back", until=None, env=Env())

    assert 0 < second.new_files < first.new_files
    assert len(list((in_bucket.folder / "backups" / "shop" / "objects").iterdir())) > 10
    assert verify_log(back(desk, tmp_path / "back", Env()), kept=None).rows == 1
    assert len(back(desk, tmp_path / "back", Env()).landing.batches()) == 2


def test_an_object_that_was_removed_from_the_bucket_is_named(tmp_path: Path, in_bucket: S3) -> None:
    desk, place = make(tmp_path / "used"), "s3://backups/lost"
    make_backup(desk.workspace, place, now=desk.day(10))
    lost = record(place).databases[0]
    system, path = open_system(address_of(f"{place}/objects/{lost.digest[:2]}/{lost.digest}"))
    system.rm(path)

    with pytest.raises(RetrimError, match=rf"var/retrim\.db \(object {lost.digest[:16]}\)"):
        restore_backup(place, tmp_path / "back", until=None, env=Env())
    assert not (tmp_path / "back").exists()


def test_predictions_and_models_in_buckets_are_in_it(tmp_path: Path, in_bucket: S3) -> None:
    desk = make(tmp_path / "used")
    env = Env(predictions="s3://predictions/backed-up", mlflow_artifacts="s3://models/backed-up")
    predicted, models = "s3://predictions/backed-up", "s3://models/backed-up"
    for place, content in {
        f"{predicted}/model=generated/version=1/part-0000.parquet": b"rows",
        f"{predicted}/model=other/version=1/part-0000.parquet": b"rows",
        f"{models}/generated/run/model.txt": b"tree",
    }.items():
        system, path = open_system(address_of(place))
        system.pipe_file(path, content)
    workspace = Workspace(desk.workspace.paths, desk.workspace.params, env)

    make_backup(workspace, str(tmp_path / "backups"), now=desk.day(10))
    restore_backup(str(tmp_path / "backups"), tmp_path / "back", until=None, env=Env())

    var = tmp_path / "back" / "var"
    assert (var / "mlflow/generated/run/model.txt").read_bytes() == b"tree"
    assert (var / "predictions/model=generated/version=1/part-0000.parquet").read_bytes() == b"rows"
    assert not (var / "predictions/model=other").exists()


@pytest.fixture
def in_postgresql(tmp_path: Path, database_server: PostgreSQL, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A workspace whose store lies in PostgreSQL."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETRIM_STORE_URL", database_server.create(f"backed_{abs(hash(request.node.name))}"))
        desk = make(tmp_path / "used")
    with closing(desk.workspace.store):
        yield desk


def test_a_store_in_postgresql_is_dumped_and_filled_by_its_own_tools(
    in_postgresql: Desk, tmp_path: Path, database_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", on_path())
    leave_unpushed(in_postgresql, tmp_path / "gone")
    make_backup(in_postgresql.workspace, str(tmp_path / "backups"), now=in_postgresql.day(10))
    address = database_server.create("filled")

    monkeypatch.setenv("RETRIM_STORE_URL", address)
    done = restore_backup(str(tmp_path / "backups"), tmp_path / "back", until=None, env=Env())

    assert record(str(tmp_path / "backups")).databases[0].place == "var/retrim.db.dump"
    assert not [each for each in done.to_do if "retrim.db" in each]
    workspace = back(in_postgresql, tmp_path / "back", Env(store_url=address))
    with closing(workspace.store):
        assert [run.detail.run_directory for run in workspace.store.all_runs(state=UNPUSHED)] == [None]
        assert verify_log(workspace, kept=None).rows == 1
    with pytest.raises(RefusedError, match=NOT_EMPTY):
        load_postgresql(tmp_path / "back" / "var" / "retrim.db.dump", address)
    secret = database_server.password.encode()
    assert not [file for file in (tmp_path / "backups").rglob("*") if file.is_file() and secret in file.read_bytes()]


def test_no_database_is_filled_where_another_is_not_empty(
    in_postgresql: Desk, tmp_path: Path, database_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", on_path())
    place = str(tmp_path / "backups")
    make_backup(in_postgresql.workspace, place, now=in_postgresql.day(10))
    backup = record(place)
    both = (*backup.databases, replace(backup.databases[0], place="var/mlflow.db.dump"))
    BackupStore(place).add(replace(backup, at=in_postgresql.day(11), databases=both))
    env = Env(store_url=database_server.create("stays_empty"), mlflow_url=in_postgresql.workspace.store_url)

    with pytest.raises(RefusedError, match=NOT_EMPTY):
        restore_backup(place, tmp_path / "back", until=None, env=env)
    require_empty(str(env.store_url))


KILLED = """
import os, signal, sys
from pathlib import Path
import retrim.operations.restore as module
from retrim.environment import Env
setattr(module, sys.argv[1], lambda *given: os.kill(os.getpid(), signal.SIGKILL))
module.restore_backup(sys.argv[2], Path(sys.argv[3]), until=None, env=Env())
"""


@pytest.mark.parametrize("at", ["_forget_what_is_not_here", "_put_in_place"])
def test_a_killed_restore_is_run_again_with_a_new_database_and_what_it_filled_stays(
    in_postgresql: Desk, tmp_path: Path, database_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setenv("PATH", on_path())
    place, folder = str(tmp_path / "backups"), tmp_path / "into" / "back"
    make_backup(in_postgresql.workspace, place, now=in_postgresql.day(10))
    address = database_server.create(f"killed{at}")
    command = [sys.executable, "-c", KILLED, at, place, str(folder)]
    environment = {**os.environ, "RETRIM_STORE_URL": address}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr

    with pytest.raises(RefusedError, match=NOT_EMPTY):
        restore_backup(place, folder, until=None, env=Env(store_url=address))
    assert int(database_server.run("select count(*) from versions", database=f"killed{at}")) == 1
    again = database_server.create(f"again{at}")
    restore_backup(place, folder, until=None, env=Env(store_url=again))

    with closing(back(in_postgresql, folder, Env(store_url=again)).store) as store:
        assert len(store.releases("generated")) == 1
    assert [path.name for path in folder.parent.iterdir()] == ["back"]


def test_without_its_tool_a_backup_of_postgresql_is_refused(
    in_postgresql: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git_alone = tmp_path / "bin"
    git_alone.mkdir()
    (git_alone / "git").symlink_to(str(shutil.which("git")))
    monkeypatch.setenv("PATH", str(git_alone))

    with pytest.raises(RefusedError, match="pg_dump is not installed"):
        make_backup(in_postgresql.workspace, str(tmp_path / "backups"), now=in_postgresql.day(10))
    assert BackupStore(str(tmp_path / "backups")).names() == []
