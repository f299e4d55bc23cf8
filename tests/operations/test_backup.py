"""A workspace backed up and restored, without servers: what is in it, what is not, and what is refused."""

import errno
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.cli.operate import backup as command
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError
from retrim.files import WorkspacePaths, dump_yaml
from retrim.lineage.locks import alone_with_cache, held_locks, using_cache
from retrim.lineage.workspace import Workspace
from retrim.operations import backup as module
from retrim.operations.backup import back_up_here, make_backup, verify_backups
from retrim.operations.backup_parts import NOT_KEPT, content_state
from retrim.operations.backup_record import BackupFile, BackupMade
from retrim.operations.backup_store import BackupStore
from retrim.operations.restore import restore_backup
from retrim.reading.address import address_of, open_system
from retrim.release.versions import verify_log
from retrim.retraining.run_directory import UNPUSHED
from retrim.settings import Env
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.left import leave_unpushed
from tests.builders.shipped import whole

pytestmark = pytest.mark.slow
WORD = "a test's"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A version that is live, with its release log, in a repository."""
    desk = make_desk(tmp_path_factory.mktemp("made") / "workspace")
    root = desk.workspace.paths.root
    (root / ".gitignore").write_text("var/\n.dvc/\n", encoding="utf-8")
    document = whole()
    document["data"]["model"] = desk.workspace.model
    (root / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "settings")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


@pytest.fixture
def place(tmp_path: Path) -> str:
    return str(tmp_path / "backups")


def back_up(desk: Desk, place: str, *, word: str | None = WORD) -> BackupMade:
    return make_backup(desk.workspace, place, word=word, now=desk.day(11))


def restored(desk: Desk, place: str, folder: Path, *, word: str | None = WORD) -> Workspace:
    restore_backup(place, folder, until=None, word=word, env=Env())
    return Workspace(WorkspacePaths(folder), desk.workspace.params, desk.workspace.env)


def landed(made: BackupMade) -> BackupFile:
    """A landed file of a backup."""
    return next(file for file in made.backup.files if re.search(r"^var/landing/.*parquet$", file.place))


def test_rows_versions_and_the_release_log_come_back(desk: Desk, place: str, tmp_path: Path) -> None:
    back_up(desk, place)

    back = restored(desk, place, tmp_path / "back")

    assert back.store.versions(back.model) == desk.workspace.store.versions(desk.workspace.model)
    assert [file.batch for file in back.landing.batches()] == [file.batch for file in desk.workspace.landing.batches()]
    assert verify_log(back, kept=None) == verify_log(desk.workspace, kept=None)


def test_edits_new_files_and_removed_ones_come_back_uncommitted(desk: Desk, place: str, tmp_path: Path) -> None:
    root = desk.workspace.paths.root
    committed = git.git(root, "ls-files").splitlines()
    (root / committed[0]).unlink()
    (root / committed[1]).write_text("edited", encoding="utf-8")
    (root / "new one.txt").write_text("new", encoding="utf-8")
    back_up(desk, place)

    back = restored(desk, place, tmp_path / "back").paths.root

    assert git.git(back, "status", "--porcelain") == git.git(root, "status", "--porcelain")
    assert git.refs(back) == git.refs(root)
    assert (back / "new one.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("name", ["link.txt", "link.pem"])
def test_a_link_that_is_not_committed_is_named_and_what_it_leads_to_is_not_read(
    desk: Desk, place: str, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("elsewhere", encoding="utf-8")
    (desk.workspace.paths.root / name).symlink_to(outside)
    backup = back_up(desk, place).backup

    back = restored(desk, place, tmp_path / "back").paths.root

    assert name in [each.what for each in backup.left_out]
    assert name not in [file.place for file in backup.every_file()]
    assert not os.path.lexists(back / name)


def test_a_second_backup_copies_only_what_is_new(desk: Desk, place: str) -> None:
    back_up(desk, place)
    assert back_up(desk, place, word=None).new_files == 0

    desk.land(desk.rows(10, 11), 11)

    assert 0 < back_up(desk, place, word=None).new_files < 6


def test_no_key_lies_in_the_clear(desk: Desk, place: str) -> None:
    desk.workspace.keys.sign(b"a letter")
    private = (desk.workspace.paths.keys / "signing.key").read_bytes()
    (desk.workspace.paths.root / "service.key").write_bytes(b"word of a service")
    back_up(desk, place)
    back_up(desk, place, word=None)

    files = [file.read_bytes() for file in Path(place).rglob("*") if file.is_file()]

    assert not [each for each in files if private in each or b"word of a service" in each]


def test_keys_come_back_with_the_passphrase(desk: Desk, place: str, tmp_path: Path) -> None:
    desk.workspace.keys.sign(b"a letter")
    back_up(desk, place)

    back = restored(desk, place, tmp_path / "back").paths.keys / "signing.key"

    assert back.read_bytes() == (desk.workspace.paths.keys / "signing.key").read_bytes()
    assert back.stat().st_mode & 0o777 == 0o600


def test_without_a_passphrase_keys_are_left_apart_and_named(desk: Desk, place: str, tmp_path: Path) -> None:
    desk.workspace.keys.sign(b"a letter")
    made = back_up(desk, place, word=None)

    back = restored(desk, place, tmp_path / "back", word=None)

    assert "var/keys/signing.key" in [each.what for each in made.left_out]
    assert not (back.paths.keys / "signing.key").exists()
    assert verify_log(back, kept=None).rows == 1  # what the old key signed still counts


def test_a_wrong_passphrase_leaves_nothing_behind(desk: Desk, place: str, tmp_path: Path) -> None:
    desk.workspace.keys.sign(b"a letter")
    back_up(desk, place)

    with pytest.raises(BadInputError, match="passphrase"):
        restored(desk, place, tmp_path / "into" / "back", word="another")
    assert list((tmp_path / "into").iterdir()) == []


def test_an_object_that_is_missing_is_named_before_anything_is_written(desk: Desk, place: str, tmp_path: Path) -> None:
    made = back_up(desk, place)
    lost = next(
        file for file in made.backup.files if file.place.startswith("var/landing") and file.place.endswith(".parquet")
    )
    next(Path(place).rglob(lost.digest)).unlink()

    with pytest.raises(RetrimError, match=lost.digest[:16]):
        restored(desk, place, tmp_path / "into" / "back")
    assert not (tmp_path / "into").exists()


def test_an_object_that_is_damaged_is_named_and_nothing_is_left(desk: Desk, place: str, tmp_path: Path) -> None:
    made = back_up(desk, place)
    hurt = next(
        file for file in made.backup.files if file.place.startswith("var/landing") and file.place.endswith(".parquet")
    )
    file = next(Path(place).rglob(hurt.digest))
    file.write_bytes(bytes(reversed(file.read_bytes())))

    with pytest.raises(RetrimError, match=rf"parquet .*{hurt.digest} is damaged"):
        restored(desk, place, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []


def alter(desk: Desk, place: str, made: BackupMade, **fields: Any) -> None:
    """Adds a backup with other fields, as one might who can write to the place."""
    BackupStore(place).add(replace(made.backup, at=desk.day(12), **fields))


@pytest.mark.parametrize("name", ["out/file", ".git/hooks/post-checkout", "../file"])
def test_a_record_that_leads_out_of_the_workspace_is_refused(desk: Desk, place: str, tmp_path: Path, name: str) -> None:
    root = desk.workspace.paths.root
    (tmp_path / "elsewhere").mkdir()
    (root / "out").symlink_to(tmp_path / "elsewhere")
    git.commit(root, ["out"], "a link")
    made = back_up(desk, place)
    alter(desk, place, made, files=(*made.backup.files, replace(landed(made), place=name)))

    with pytest.raises(RetrimError, match=re.escape(repr(name))):
        restored(desk, place, tmp_path / "into" / "back")
    assert [*(tmp_path / "elsewhere").iterdir(), *(tmp_path / "into").iterdir()] == []


def test_a_record_that_names_a_file_of_git_as_a_ref_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    made = back_up(desk, place)
    state = made.backup.git
    alter(desk, place, made, git=replace(state, refs={**state.refs, "hooks/post-checkout": state.commit}))

    with pytest.raises(RetrimError, match="altered"):
        restored(desk, place, tmp_path / "into" / "back")


def test_no_file_comes_back_with_rights_of_its_owner_for_all(desk: Desk, place: str, tmp_path: Path) -> None:
    made = back_up(desk, place)
    alter(desk, place, made, files=(*made.backup.files, replace(landed(made), place="var/program", mode=0o6755)))

    restored(desk, place, tmp_path / "back")

    assert (tmp_path / "back" / "var" / "program").stat().st_mode & 0o7777 == 0o755


def test_a_restore_leaves_another_to_the_same_folder_alone(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(desk, place)
    folder, unbundled = tmp_path / "back", git.unbundle

    def while_another_restores(fresh: Path, *given: Any) -> None:
        monkeypatch.setattr(git, "unbundle", unbundled)
        restored(desk, place, folder)
        unbundled(fresh, *given)

    monkeypatch.setattr(git, "unbundle", while_another_restores)
    with pytest.raises(BadInputError, match=f"^{re.escape(str(folder))} .*{os.strerror(errno.ENOTEMPTY)}"):
        restored(desk, place, folder)

    assert not list(tmp_path.glob(".back*"))


def test_a_run_that_was_not_pushed_has_no_run_directory_any_more(desk: Desk, place: str, tmp_path: Path) -> None:
    leave_unpushed(desk, tmp_path / "gone")
    back_up(desk, place)
    restore_backup(place, tmp_path / "back", until=None, word=None, env=Env())
    store = Workspace(WorkspacePaths(tmp_path / "back"), desk.workspace.params, Env()).store

    assert [run.detail.run_directory for run in store.all_runs(state=UNPUSHED)] == [None]


def test_what_stands_in_the_folder_of_a_run_is_no_ref_of_the_backup(desk: Desk, place: str, tmp_path: Path) -> None:
    root = desk.workspace.paths.root
    git.git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "run"))
    git.git(tmp_path / "run", *git.IDENTITY, "commit", "-q", "--allow-empty", "-m", "under way")
    back_up(desk, place)

    assert git.refs(restored(desk, place, tmp_path / "back").paths.root) == git.refs(root)


def test_a_folder_that_is_not_empty_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    back_up(desk, place)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()

    with pytest.raises(BadInputError, match=f"^{re.escape(str(tmp_path / 'there'))} ") as refused:
        restored(desk, place, tmp_path / "there")
    assert refused.value.__cause__ is None  # before anything was fetched, not when that could not be put there
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_locks_run_directories_and_the_index_are_not_in_it(desk: Desk, place: str) -> None:
    paths = desk.workspace.paths
    desk.workspace.landing.batches()
    being_written = ("serve/requests/0123456789abcdef.new", "serve/.canary.json.new", "landing/.tmp-1")
    for name in ("runs/run-1.lock", "prefect/login", "trials/a.jsonl", "serve/requests/.lock", *being_written):
        (paths.var / name).parent.mkdir(parents=True, exist_ok=True)
        (paths.var / name).touch()

    places = [file.place for file in back_up(desk, place).backup.every_file()]

    parts = [each.split("/")[1] for each in places if each.startswith("var/")]
    assert not set(parts) & set(NOT_KEPT)
    assert not [each for each in places if each.endswith((".lock", ".new")) or ".index/" in each or ".tmp-" in each]


def test_a_folder_that_nobody_knows_of_is_in_it(desk: Desk, place: str) -> None:
    (desk.workspace.paths.var / "of-tomorrow").mkdir()
    (desk.workspace.paths.var / "of-tomorrow" / "file").write_bytes(b"new")

    assert "var/of-tomorrow/file" in [file.place for file in back_up(desk, place).backup.files]


def test_files_of_people_are_in_it_whatever_they_are_called(desk: Desk, place: str) -> None:
    names = {"var/inbox/rows.new", "var/inbox/rows.lock", "var/inbox/.lockers.csv", "var/jobs/deep/result.lock"}
    for name in names:
        (desk.workspace.paths.root / name).parent.mkdir(parents=True, exist_ok=True)
        (desk.workspace.paths.root / name).write_bytes(b"rows")

    assert names <= {file.place for file in back_up(desk, place).backup.files}


def test_a_copy_of_the_release_log_that_came_after_the_store_is_left_out(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the restored store is older than its copies in git, which is refused."""
    copied = module.copy_sqlite
    root = desk.workspace.paths.root

    def copied_before_a_release(address: str, to: Path) -> bool:
        done = copied(address, to)
        git.keep(root, f"retrim/{desk.workspace.model}/log/2", "HEAD", "retrim: later\n\n{}")
        return done

    monkeypatch.setattr(module, "copy_sqlite", copied_before_a_release)
    back_up(desk, place)

    assert verify_log(restored(desk, place, tmp_path / "back"), kept=None).rows == 1


def test_what_landed_while_the_store_was_copied_is_in_it(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check may have been stored of it."""
    copied = module.copy_sqlite

    def landed_before(address: str, to: Path) -> bool:
        desk.land(desk.rows(10, 11), 11)
        return copied(address, to)

    monkeypatch.setattr(module, "copy_sqlite", landed_before)
    back_up(desk, place)

    assert len(restored(desk, place, tmp_path / "back").landing.batches()) == 2


def test_the_cache_is_not_pruned_while_it_is_backed_up(desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = module.copy_sqlite

    def pruned_meanwhile(address: str, to: Path) -> bool:
        with pytest.raises(RefusedError, match="`retrim versions gc`"), alone_with_cache(desk.workspace):
            pass
        with using_cache(desk.workspace):  # as a retraining does
            return copied(address, to)

    monkeypatch.setattr(module, "copy_sqlite", pruned_meanwhile)

    assert back_up(desk, place).files > 10


def test_a_second_backup_at_once_is_refused(desk: Desk, place: str) -> None:
    with held_locks(desk.workspace, "backup"), pytest.raises(BusyError):
        back_up(desk, place)


def test_a_place_of_another_workspace_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    back_up(desk, place)
    other = make_desk(tmp_path / "other")
    git.git(
        other.workspace.paths.root, *git.IDENTITY, "commit", "-q", "--amend", "--allow-empty", "-m", "another start"
    )

    with pytest.raises(RefusedError, match=r"\bgenerated from a different repository\b"):
        back_up(other, place)


def test_without_a_place_it_is_said_where_to_name_one(desk: Desk) -> None:
    with pytest.raises(BadInputError, match="set RETRIM_BACKUP"):
        back_up_here(desk.workspace, None)


def test_a_file_of_a_passphrase_that_is_empty_is_refused(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "word").touch()

    with pytest.raises(BadInputError, match="is empty"):
        Env(backup_passphrase_file=tmp_path / "word").passphrase()


NAMED = {
    "RETRIM_PREDICTIONS_TABLE_FILE": "var/table",
    "RETRIM_PING_FILE": "var/inbox/ping",
    "RETRIM_ALERTS_FILE": "var/of-people/alerts",
    "RETRIM_BACKUP_PASSPHRASE_FILE": "var/keys/word.key",
}


def test_no_file_that_a_variable_names_lies_in_the_clear(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = desk.workspace.paths.root
    monkeypatch.chdir(root)
    for number, (variable, file) in enumerate(NAMED.items()):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"sqlite:///planted{number}", encoding="utf-8")
        monkeypatch.setenv(variable, str(root / file) if number % 2 else file)
    (root / "var" / "link").symlink_to(root / NAMED["RETRIM_PING_FILE"])
    made = back_up(replace(desk, workspace=replace(desk.workspace, env=Env())), place)

    back = restored(desk, place, tmp_path / "back").paths.root

    assert not [file for file in Path(place).rglob("*") if file.is_file() and b"planted" in file.read_bytes()]
    assert [file for file in NAMED.values() if not (back / file).exists()] == ["var/keys/word.key"]
    assert "var/keys/word.key" in [each.what for each in made.left_out]


def test_a_place_in_the_workspace_is_refused(desk: Desk) -> None:
    with pytest.raises(BadInputError, match=re.escape(str(desk.workspace.paths.var / "backups"))):
        back_up(desk, str(desk.workspace.paths.var / "backups"))


def rewrite(address: str, content: bytes) -> None:
    system, path = open_system(address_of(address))
    with system.open(path, "wb") as file:
        file.write(content)


def test_a_file_at_an_address_that_tells_no_moment_is_read_again(desk: Desk, place: str, tmp_path: Path) -> None:
    where = f"memory://{tmp_path.name}"
    there = replace(desk.workspace, env=Env(predictions=where))
    for day, content in ((11, b"first"), (12, b"other")):
        rewrite(f"{where}/{desk.workspace.model}/file", content)
        make_backup(there, place, word=None, now=desk.day(day))

    back = restored(desk, place, tmp_path / "back").paths.var

    assert (back / "predictions" / desk.workspace.model / "file").read_bytes() == b"other"


@pytest.mark.parametrize("key", ["ETag", "etag", "mtime", "LastModified", "last_modified", "modify", "updated"])
def test_systems_tell_one_content_from_another_in_words_of_their_own(key: str) -> None:
    facts = {"name": "file", "size": 5, "type": "file", key: "1"}

    assert content_state(facts) == content_state({**facts, "name": "same"}) != content_state({**facts, key: "2"})
    assert content_state({**facts, key: None}) == ""


KILLED = """
import os, signal, sys
from pathlib import Path
import retrim.operations.{module} as module
from retrim.operations.backup_store import BackupStore
place, count = sys.argv[1], int(sys.argv[2])
real, done = BackupStore.{method}, 0
def armed(self, *given):
    global done
    done += 1
    if done == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, *given)
BackupStore.{method} = armed
{call}
"""


def killed(script: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-c", script, *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def kill_backup(desk: Desk, place: str, method: str, count: int) -> None:
    """Makes a backup in a process that dies at a call of a method."""
    call = (
        "from retrim.lineage.workspace import open_workspace\n"
        "import pandas as pd\n"
        "module.make_backup(open_workspace(Path(sys.argv[3])), place, word=None, "
        "now=pd.Timestamp('2024-01-11', tz='UTC'))"
    )
    script = KILLED.format(module="backup", method=method, call=call)
    killed(script, place, str(count), str(desk.workspace.paths.root))


@pytest.mark.parametrize(("method", "count"), [("put", 1), ("put", 6), ("_lay", 3), ("add", 1)])
def test_a_killed_backup_is_none_and_the_next_is_whole(
    desk: Desk, place: str, tmp_path: Path, method: str, count: int
) -> None:
    kill_backup(desk, place, method, count)
    assert BackupStore(place).names() == []

    back_up(desk, place)

    assert verify_log(restored(desk, place, tmp_path / "back"), kept=None).rows == 1


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_killed_restore_leaves_no_folder_and_the_next_is_whole(
    desk: Desk, place: str, tmp_path: Path, count: int
) -> None:
    back_up(desk, place)
    imported = "from retrim.settings import Env"
    call = f"{imported}\nmodule.restore_backup(place, Path(sys.argv[3]), until=None, word=None, env=Env())"
    folder = tmp_path / "into" / "back"
    killed(KILLED.format(module="restore", method="get", call=call), place, str(count), str(folder))
    assert not folder.exists()

    assert verify_log(restored(desk, place, folder), kept=None).rows == 1
    assert [path.name for path in folder.parent.iterdir()] == ["back"]


@pytest.mark.parametrize("where", ["s3://key:planted@models/here", "ftp://planted@host/models", "s3://m?token=planted"])
def test_no_password_of_the_models_is_recorded(desk: Desk, place: str, where: str) -> None:
    workspace = Workspace(desk.workspace.paths, desk.workspace.params, Env(mlflow_artifacts=where))

    with pytest.raises(BadInputError, match="RETRIM_MLFLOW_ARTIFACTS contains ") as refused:
        make_backup(workspace, place, word=None, now=desk.day(10))
    with pytest.raises(BadInputError, match="RETRIM_MLFLOW_ARTIFACTS contains "):
        _ = workspace.registry

    assert "planted" not in str(refused.value)
    assert not [file for file in Path(place).rglob("*") if file.is_file() and b"planted" in file.read_bytes()]


def test_who_backs_up_an_mlflow_behind_a_server_is_said_without_its_password(desk: Desk, place: str) -> None:
    env = Env(mlflow_url="http://me:planted@127.0.0.1:9")
    workspace = Workspace(desk.workspace.paths, desk.workspace.params, env)

    made = make_backup(workspace, place, word=None, now=desk.day(10))

    said = next(each for each in made.left_out if "MLflow" in each.what)
    assert said.what.endswith(" http://127.0.0.1:9")
    assert "RETRIM_MLFLOW_URL" in said.why
    assert not [file for file in Path(place).rglob("*") if file.is_file() and b"planted" in file.read_bytes()]


def test_what_a_killed_backup_was_writing_goes_after_a_day(desk: Desk, place: str) -> None:
    kill_backup(desk, place, "_lay", 3)
    (room,) = (Path(place) / ".staged").iterdir()
    back_up(desk, place)
    assert room.exists()

    os.utime(room, (0, 0))
    back_up(desk, place)

    assert not room.exists()


def test_verify_names_a_damaged_and_a_missing_file_of_each_backup(
    desk: Desk, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = back_up(desk, place, word=None)
    assert [each.damaged for each in verify_backups(desk.workspace, place)] == [()]
    hurt, lost = landed(made), made.backup.databases[0]
    file = next(Path(place).rglob(hurt.digest))
    file.write_bytes(bytes(reversed(file.read_bytes())))
    next(Path(place).rglob(lost.digest)).unlink()

    (verified,) = verify_backups(desk.workspace, place)

    named = {damaged.partition(" ")[0] for damaged in verified.damaged}
    assert named == {file.place for file in made.backup.every_file() if file.digest in (hurt.digest, lost.digest)}
    monkeypatch.chdir(desk.workspace.paths.root)
    with pytest.raises(RetrimError, match="1 of 1 backups are damaged"):
        command(place, verify=True)


def test_two_backups_at_once_to_one_place_are_both_whole(desk: Desk, place: str, tmp_path: Path) -> None:
    """As of a copy of the workspace: nothing that one brings is removed by the other."""
    other = copy_of(desk, tmp_path / "other")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda each: back_up(each, place, word=None), (desk, other)))

    assert len({made.name for made in done}) == 2
    assert [each.damaged for each in verify_backups(desk.workspace, place)] == [(), ()]
