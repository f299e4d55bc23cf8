"""A workspace backed up and restored, without servers: what is in it, what is not, and what is refused."""

import errno
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.cli.operate import backup as command
from retrim.decision.alerts import AlertKind
from retrim.environment import Env
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError
from retrim.files import WorkspacePaths
from retrim.lineage.locks import alone_with_cache, held_locks, using_cache
from retrim.lineage.workspace import Workspace, record_alert
from retrim.operations import backup as module
from retrim.operations.backup import back_up_here, make_backup, verify_backups
from retrim.operations.backup_parts import NOT_KEPT, content_state
from retrim.operations.backup_record import Backup, BackupFile, BackupMade
from retrim.operations.backup_store import BackupStore
from retrim.operations.restore import restore_backup
from retrim.reading.address import address_of, open_system
from retrim.release.versions import verify_log
from retrim.retraining.run_directory import UNPUSHED
from retrim.yaml_files import dump_yaml
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.left import leave_unpushed
from tests.builders.shipped import whole

pytestmark = pytest.mark.slow


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


def back_up(desk: Desk, place: str) -> BackupMade:
    return make_backup(desk.workspace, place, now=desk.day(11))


def restored(desk: Desk, place: str, folder: Path) -> Workspace:
    restore_backup(place, folder, until=None, env=Env())
    return Workspace(WorkspacePaths(folder), desk.workspace.params, desk.workspace.env)


def record(place: str) -> Backup:
    """That of the newest backup at a place."""
    store = BackupStore(place)
    return store.read(store.chosen(None))


def make_record(desk: Desk, place: str) -> Backup:
    back_up(desk, place)
    return record(place)


def landed(backup: Backup) -> BackupFile:
    """A landed file of a backup."""
    return next(file for file in backup.files if re.search(r"^var/landing/.*parquet$", file.place))


def test_a_restored_copy_sends_no_alert_of_the_original_and_its_own(desk: Desk, place: str, tmp_path: Path) -> None:
    record_alert(desk.workspace, AlertKind.CANARY_ENDED, "an old one", now=desk.day(11))
    back_up(desk, place)

    back = restored(desk, place, tmp_path / "back")
    record_alert(back, AlertKind.CANARY_ENDED, "a new one", now=desk.day(12))

    assert [(row.text, row.queued is None) for row in back.store.alerts(back.model)][-2:] == [
        ("an old one", True),
        ("a new one", False),
    ]


def holds(place: str, content: bytes) -> list[Path]:
    """Files of a place of backups in which a content is read in the clear."""
    return [file for file in Path(place).rglob("*") if file.is_file() and content in file.read_bytes()]


def test_a_workspace_comes_back_as_it_was(desk: Desk, place: str, tmp_path: Path) -> None:
    root = desk.workspace.paths.root
    committed = git.git(root, "ls-files").splitlines()
    (root / committed[0]).unlink()
    (root / committed[1]).write_text("edited", encoding="utf-8")
    (root / "new one.txt").write_text("new", encoding="utf-8")
    leave_unpushed(desk, tmp_path / "gone")
    git.git(root, "worktree", "add", "-q", "--detach", str(tmp_path / "run"))
    git.git(tmp_path / "run", *git.IDENTITY, "commit", "-q", "--allow-empty", "-m", "under way")
    back_up(desk, place)

    back = restored(desk, place, tmp_path / "back")

    assert back.store.versions(back.model) == desk.workspace.store.versions(desk.workspace.model)
    assert [file.batch for file in back.landing.batches()] == [file.batch for file in desk.workspace.landing.batches()]
    assert verify_log(back, kept=None) == verify_log(desk.workspace, kept=None)
    assert [run.detail.run_directory for run in back.store.all_runs(state=UNPUSHED)] == [None]
    assert git.git(back.paths.root, "status", "--porcelain") == git.git(root, "status", "--porcelain")
    assert git.refs(back.paths.root) == git.refs(root)
    assert (back.paths.root / "new one.txt").read_text(encoding="utf-8") == "new"


@pytest.mark.parametrize("name", ["link.txt", "link.pem"])
def test_a_link_that_is_not_committed_is_named_and_what_it_leads_to_is_not_read(
    desk: Desk, place: str, tmp_path: Path, name: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("elsewhere", encoding="utf-8")
    (desk.workspace.paths.root / name).symlink_to(outside)
    made = back_up(desk, place)

    back = restored(desk, place, tmp_path / "back").paths.root

    assert name in [left.what for left in made.left_out]
    assert name not in [file.place for file in record(place).every_file()]
    assert not os.path.lexists(back / name)


SECRET_FILES = {
    "RETRIM_PREDICTIONS_TABLE_FILE": "var/table",
    "RETRIM_PING_FILE": "var/inbox/ping",
    "RETRIM_ALERTS_FILE": "var/of-people/alerts",
}


def test_secrets_are_named_and_lie_nowhere_in_the_backup(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = desk.workspace.paths.root
    monkeypatch.chdir(root)
    for number, (variable, file) in enumerate(SECRET_FILES.items()):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(f"sqlite:///planted{number}", encoding="utf-8")
        monkeypatch.setenv(variable, str(root / file) if number % 2 else file)
    (root / "var" / "link").symlink_to(root / SECRET_FILES["RETRIM_PING_FILE"])
    (root / "service.key").write_bytes(b"planted")
    git.git(root, "remote", "add", "origin", "ssh://me:planted@host/shop.git")
    desk.workspace.keys.sign(b"a letter")
    private = (desk.workspace.paths.keys / "signing.key").read_bytes()

    made = back_up(replace(desk, workspace=replace(desk.workspace, env=Env())), place)
    back = restored(desk, place, tmp_path / "back")

    assert holds(place, b"planted") == holds(place, private) == []
    secret = {*SECRET_FILES.values(), "service.key", "var/keys/signing.key"}
    assert {*secret, ".git/config"} <= {left.what for left in made.left_out}
    assert [file for file in secret if (back.paths.root / file).exists()] == []
    assert verify_log(back, kept=None).rows == 1  # what the old key signed still counts


def test_what_a_backup_contains(desk: Desk, place: str) -> None:
    var = desk.workspace.paths.var
    desk.workspace.landing.batches()
    of_retrim = {"runs/run-1.lock", "prefect/login", "trials/a.jsonl", "serve/requests/.lock"}
    of_retrim |= {"serve/requests/0123456789abcdef.new", "serve/.canary.json.new", "landing/.tmp-1"}
    of_people = {"inbox/rows.new", "inbox/rows.lock", "inbox/.lockers.csv", "jobs/deep/result.lock", "of-tomorrow/file"}
    for name in of_retrim | of_people:
        (var / name).parent.mkdir(parents=True, exist_ok=True)
        (var / name).touch()
    back_up(desk, place)

    places = [file.place for file in record(place).every_file()]

    assert {f"var/{name}" for name in of_people} <= set(places)
    assert not {f"var/{name}" for name in of_retrim} & set(places)
    assert not {name.split("/")[1] for name in places if name.startswith("var/")} & set(NOT_KEPT)
    assert not [name for name in places if "/.index/" in name]


def test_a_second_backup_copies_only_what_is_new(desk: Desk, place: str) -> None:
    back_up(desk, place)
    assert back_up(desk, place).new_files == 0

    desk.land(desk.rows(10, 11), 11)

    assert 0 < back_up(desk, place).new_files < 6


def test_a_file_that_is_damaged_or_missing_is_named_and_nothing_is_restored(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(desk, place)
    assert [verified.damaged for verified in verify_backups(desk.workspace, place)] == [()]
    backup = record(place)
    hurt, lost = landed(backup), backup.databases[0]
    file = next(Path(place).rglob(hurt.digest))
    file.write_bytes(bytes(reversed(file.read_bytes())))
    with pytest.raises(RetrimError, match=rf"parquet .*{hurt.digest} is damaged"):
        restored(desk, place, tmp_path / "into" / "back")
    assert list((tmp_path / "into").iterdir()) == []

    next(Path(place).rglob(lost.digest)).unlink()
    with pytest.raises(RetrimError, match=lost.digest[:16]):  # before anything is written
        restored(desk, place, tmp_path / "other" / "back")
    assert not (tmp_path / "other").exists()

    (verified,) = verify_backups(desk.workspace, place)
    named = {damaged.partition(" ")[0] for damaged in verified.damaged}
    assert named == {file.place for file in backup.every_file() if file.digest in (hurt.digest, lost.digest)}
    monkeypatch.chdir(desk.workspace.paths.root)
    with pytest.raises(RetrimError, match="1 of 1 backups are damaged"):
        command(place, verify=True)


def test_a_file_that_is_damaged_can_be_left_out_but_no_database(desk: Desk, place: str, tmp_path: Path) -> None:
    back_up(desk, place)
    backup = record(place)
    hurt = landed(backup)
    next(Path(place).rglob(hurt.digest)).unlink()

    with pytest.raises(RetrimError, match="--without FILE"):
        restored(desk, place, tmp_path / "back")
    with pytest.raises(BadInputError, match=r"--without .*retrim\.db"):
        restore_backup(place, tmp_path / "back", until=None, env=Env(), without=[backup.databases[0].place])
    places = [file.place for file in backup.files if file.digest == hurt.digest]  # in a run's folder, too
    done = restore_backup(place, tmp_path / "back", until=None, env=Env(), without=places)

    assert [task.partition(" ")[0] for task in done.to_do[: len(places)]] == places
    assert not (tmp_path / "back" / hurt.place).exists()


def test_all_contents_are_read_again_within_a_month_and_a_damaged_one_is_copied_anew(desk: Desk, place: str) -> None:
    back_up(desk, place)
    backup = record(place)
    hurt, gone = landed(backup), b"of an older backup"
    lost = sha256(gone).hexdigest()
    old = Path(place, "objects", lost[:2], lost)
    old.parent.mkdir(exist_ok=True)
    for file in (next(Path(place).rglob(hurt.digest)), old):
        file.write_bytes(b"x" * hurt.size)
    damaged = {one for day in range(12, 40) for one in make_backup(desk.workspace, place, now=desk.day(day)).damaged}

    assert damaged == {f"objects/{lost[:2]}/{lost}"}
    assert BackupStore(place).is_sound(hurt)


def test_folders_keep_their_modes(desk: Desk, place: str, tmp_path: Path) -> None:
    folder = (desk.workspace.paths.root / landed(make_record(desk, place)).place).parent
    folder.chmod(0o750)
    make_backup(desk.workspace, place, now=desk.day(12))

    back = restored(desk, place, tmp_path / "back")

    inside = back.paths.root / folder.relative_to(desk.workspace.paths.root)
    assert inside.stat().st_mode & 0o777 == 0o750


def alter(desk: Desk, place: str, **fields: Any) -> None:
    """Adds a backup with other fields, as one might who can write to the place."""
    BackupStore(place).add(replace(record(place), at=desk.day(12), **fields))


@pytest.mark.parametrize("name", ["out/file", ".git/hooks/post-checkout", "../file"])
def test_a_record_that_leads_out_of_the_workspace_is_refused(desk: Desk, place: str, tmp_path: Path, name: str) -> None:
    root = desk.workspace.paths.root
    (tmp_path / "elsewhere").mkdir()
    (root / "out").symlink_to(tmp_path / "elsewhere")
    git.commit(root, ["out"], "a link")
    back_up(desk, place)
    backup = record(place)
    alter(desk, place, files=(*backup.files, replace(landed(backup), place=name)))

    with pytest.raises(RetrimError, match=re.escape(repr(name))):
        restored(desk, place, tmp_path / "into" / "back")
    assert [*(tmp_path / "elsewhere").iterdir(), *(tmp_path / "into").iterdir()] == []


def test_an_altered_record_writes_nothing_into_git_and_gives_no_rights_to_all(
    desk: Desk, place: str, tmp_path: Path
) -> None:
    back_up(desk, place)
    backup = record(place)
    alter(desk, place, files=(*backup.files, replace(landed(backup), place="var/program", mode=0o6755)))
    restored(desk, place, tmp_path / "back")
    assert (tmp_path / "back" / "var" / "program").stat().st_mode & 0o7777 == 0o755

    refs = {**backup.git.refs, "hooks/post-checkout": backup.git.commit}
    BackupStore(place).add(replace(backup, at=desk.day(13), git=replace(backup.git, refs=refs)))
    with pytest.raises(RetrimError, match="altered"):
        restored(desk, place, tmp_path / "into" / "back")


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


def test_a_folder_that_is_not_empty_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    back_up(desk, place)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()

    with pytest.raises(BadInputError, match=f"^{re.escape(str(tmp_path / 'there'))} ") as refused:
        restored(desk, place, tmp_path / "there")
    assert refused.value.__cause__ is None  # before anything was fetched, not when that could not be put there
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_what_changes_while_the_store_is_copied(
    desk: Desk, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check may have been stored of what landed; a store older than its copies in git would be refused."""
    copied, workspace = module.copy_sqlite, desk.workspace

    def copied_meanwhile(address: str, to: Path) -> bool:
        with pytest.raises(RefusedError, match="`retrim versions gc`"), alone_with_cache(workspace):
            pass
        if to.name == Path(module.STORE).name:
            desk.land(desk.rows(10, 11), 11)
        with using_cache(workspace):  # as a retraining does
            done = copied(address, to)
        git.keep(workspace.paths.root, f"retrim/{workspace.model}/log/2", "HEAD", "retrim: later\n\n{}")
        return done

    monkeypatch.setattr(module, "copy_sqlite", copied_meanwhile)
    back_up(desk, place)
    back = restored(desk, place, tmp_path / "back")

    assert verify_log(back, kept=None).rows == 1
    assert len(back.landing.batches()) == 2


def test_what_cannot_be_backed_up_there_is_refused(desk: Desk, place: str, tmp_path: Path) -> None:
    inside = str(desk.workspace.paths.var / "backups")
    with pytest.raises(BadInputError, match=re.escape(inside)):
        back_up(desk, inside)
    with pytest.raises(BadInputError, match="set RETRIM_BACKUP"):
        back_up_here(desk.workspace, None)
    with held_locks(desk.workspace, "backup"), pytest.raises(BusyError):
        back_up(desk, place)

    back_up(desk, place)
    other = make_desk(tmp_path / "other")
    amend = ("commit", "-q", "--amend", "--allow-empty", "-m", "another start")
    git.git(other.workspace.paths.root, *git.IDENTITY, *amend)
    with pytest.raises(RefusedError, match=r"\bgenerated from a different repository\b"):
        back_up(other, place)


@pytest.mark.parametrize("where", ["s3://key:planted@models/here", "ftp://planted@host/models", "s3://m?token=planted"])
def test_no_password_of_the_models_is_recorded(desk: Desk, place: str, where: str) -> None:
    workspace = Workspace(desk.workspace.paths, desk.workspace.params, Env(mlflow_artifacts=where))

    with pytest.raises(BadInputError, match="RETRIM_MLFLOW_ARTIFACTS contains ") as refused:
        make_backup(workspace, place, now=desk.day(10))
    with pytest.raises(BadInputError, match="RETRIM_MLFLOW_ARTIFACTS contains "):
        _ = workspace.registry

    assert "planted" not in str(refused.value)
    assert holds(place, b"planted") == []


def test_who_backs_up_an_mlflow_behind_a_server_is_said_without_its_password(desk: Desk, place: str) -> None:
    env = Env(mlflow_url="http://me:planted@127.0.0.1:9")
    made = make_backup(Workspace(desk.workspace.paths, desk.workspace.params, env), place, now=desk.day(10))

    (database,) = (left for left in made.left_out if "MLflow" in left.what)
    assert database.what.endswith(" http://127.0.0.1:9")
    assert "RETRIM_MLFLOW_URL" in database.why
    assert holds(place, b"planted") == []


def rewrite(address: str, content: bytes) -> None:
    system, path = open_system(address_of(address))
    with system.open(path, "wb") as file:
        file.write(content)


def test_a_file_at_an_address_that_tells_no_moment_is_read_again(desk: Desk, place: str, tmp_path: Path) -> None:
    where = f"memory://{tmp_path.name}"
    there = replace(desk.workspace, env=Env(predictions=where))
    for day, content in ((11, b"first"), (12, b"other")):
        rewrite(f"{where}/{desk.workspace.model}/file", content)
        make_backup(there, place, now=desk.day(day))

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
        "module.make_backup(open_workspace(Path(sys.argv[3])), place, "
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
    (staged,) = (Path(place) / ".staged").glob("*") if method == "_lay" else (Path(place),)

    back_up(desk, place)

    assert staged.exists()  # for a day
    assert verify_log(restored(desk, place, tmp_path / "back"), kept=None).rows == 1
    if method == "_lay":
        os.utime(staged, (0, 0))
        back_up(desk, place)
        assert not staged.exists()


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_killed_restore_leaves_no_folder_and_the_next_is_whole(
    desk: Desk, place: str, tmp_path: Path, count: int
) -> None:
    back_up(desk, place)
    imported = "from retrim.environment import Env"
    call = f"{imported}\nmodule.restore_backup(place, Path(sys.argv[3]), until=None, env=Env())"
    folder = tmp_path / "into" / "back"
    killed(KILLED.format(module="restore", method="get", call=call), place, str(count), str(folder))
    assert not folder.exists()

    assert verify_log(restored(desk, place, folder), kept=None).rows == 1
    assert [path.name for path in folder.parent.iterdir()] == ["back"]


def test_two_backups_at_once_to_one_place_are_both_whole(desk: Desk, place: str, tmp_path: Path) -> None:
    """As of a copy of the workspace: nothing that one brings is removed by the other."""
    other = copy_of(desk, tmp_path / "other")
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda world: back_up(world, place), (desk, other)))

    assert len({made.name for made in done}) == 2
    assert [verified.damaged for verified in verify_backups(desk.workspace, place)] == [(), ()]
