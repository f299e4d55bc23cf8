"""Each fault planted once, and the line in which doctor tells of it."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.adapters.mlflow_server import bind
from retrim.adapters.signing import Keys
from retrim.checking.due import begin_due_times
from retrim.environment import IN_FILES, Env
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths, write_private
from retrim.lineage.locks import held_locks
from retrim.lineage.prediction_copy import copy_predictions
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.operations import doctor
from retrim.operations.doctor import EXAMINATIONS, Examined, Finding, examine
from retrim.operations.parts import Ports, installation_at, plan_installation, write_installation
from retrim.operations.supervise import refuse_other_schedules
from retrim.reports.health import HealthLevel
from tests.builders.desk import make_desk
from tests.builders.predicted import predicted_rows
from tests.builders.typed import set_key

REPOSITORY = Path(__file__).parents[2]
NOW = pd.Timestamp.now("UTC").floor("s")
DAY = pd.Timedelta("1D")
OTHER_WHEEL = "./data/code/retrim-0.0.9-py3-none-any.whl --hash=sha256:" + "0" * 64 + "\n"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace in which nothing is wrong but that nothing has happened."""
    for name in [name for name in os.environ if name.startswith("RETRIM_")]:
        monkeypatch.delenv(name)
    root = tmp_path / "workspace"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, root / name)
    shutil.copytree(REPOSITORY / "expectations", root / "expectations")
    (root / "requirements.lock").touch()
    (root / ".gitignore").write_text("var/\n", encoding="utf-8")
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")
    monkeypatch.chdir(root)
    return open_workspace(root)


def findings(workspace: Workspace, *only: str, now: pd.Timestamp = NOW) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for each in examine(workspace.paths, workspace.paths.root, now=now, only=only or None).findings:
        found.setdefault(each.check, []).append(each)
    return found


def worst(workspace: Workspace, check: str, *, now: pd.Timestamp = NOW) -> Finding:
    return max(findings(workspace, check, now=now)[check], key=lambda each: each.level.exit_code)


def spoil_settings(workspace: Workspace) -> None:
    set_key(workspace.paths.params, "split", "seven")


def lose_suite(workspace: Workspace) -> None:
    (workspace.paths.root / workspace.params.data.suite).unlink()


def name_other_code(workspace: Workspace) -> None:
    workspace.paths.lock.write_text(OTHER_WHEEL, encoding="utf-8")


def lock_other_packages(workspace: Workspace) -> None:
    workspace.paths.lock.write_text("pandas==0.1 --hash=sha256:00\n", encoding="utf-8")


def drop_repository(workspace: Workspace) -> None:
    shutil.rmtree(workspace.paths.root / ".git")


def leave_git_lock(workspace: Workspace) -> None:
    lock = workspace.paths.root / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (NOW.timestamp() - 2 * DAY.total_seconds(),) * 2)


def begin_merge(workspace: Workspace) -> None:
    (workspace.paths.root / ".git" / "MERGE_HEAD").touch()


def spoil_hook(workspace: Workspace) -> None:
    hook = workspace.paths.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n", encoding="utf-8")
    hook.chmod(0o644)


def open_password(workspace: Workspace) -> None:
    write_private(workspace.paths.ui_password, b"word\n")
    workspace.paths.ui_password.chmod(0o644)


def spoil_store(workspace: Workspace) -> None:
    (workspace.paths.var / "retrim.db").write_bytes(b"no database" * 1000)


def fall_behind(workspace: Workspace) -> None:
    begin_due_times(workspace, "check", now=NOW - 3 * DAY)


def rest(workspace: Workspace) -> None:
    for name in ("ingest", "check", "score", "maintain", "prove"):
        begin_due_times(workspace, name, now=NOW)


def stop_parts(workspace: Workspace) -> None:
    root = workspace.paths.root
    planned = plan_installation([workspace.paths], root, ports=Ports(0, 0, 0), prefect_url=None)
    write_installation(planned)


@pytest.mark.parametrize(
    ("plant", "check", "level", "said", "cure"),
    [
        (spoil_settings, "settings", "critical", "split", "correct what the message describes"),
        (lose_suite, "settings", "critical", "is missing", "git"),
        (name_other_code, "versions", "critical", "pinned to retrim 0.0.9", "correct what the message describes"),
        (lock_other_packages, "packages", "warning", "requirements.lock has 0.1", "pip install"),
        (drop_repository, "git", "critical", "not a git repository", "correct what the message describes"),
        (leave_git_lock, "git", "critical", "index.lock", "rm "),
        (begin_merge, "git", "warning", "a merge or rebase", "finish or abort"),
        (spoil_hook, "git", "warning", "pre-commit", "chmod +x"),
        (open_password, "permissions", "critical", "var/ui/password", "chmod go="),
        (spoil_store, "store", "critical", "file is not a database", "correct what the message describes"),
        (fall_behind, "schedule", "critical", "overdue: check; no worker is running", "retrim up"),
        (rest, "schedule", "warning", "no worker is running", "retrim up"),
        (stop_parts, "parts", "warning", "no part of `retrim up` is running", "retrim up"),
    ],
)
def test_a_planted_fault_has_its_line(
    workspace: Workspace, plant: Callable[[Workspace], None], check: str, level: str, said: str, cure: str
) -> None:
    before = worst(workspace, check)
    plant(workspace)
    after = worst(workspace, check)

    assert said not in before.said
    assert (str(after.level), said in after.said, cure in after.cure) == (level, True, True), after


def test_keys_as_they_are_made_are_in_order_until_others_may_read_the_private_one(workspace: Workspace) -> None:
    keys = Keys(workspace.paths.keys)
    keys.know(keys.public)
    before = worst(workspace, "permissions")
    keys.file.chmod(0o640)

    assert before.level is HealthLevel.OK
    assert "signing.key" in worst(workspace, "permissions").said


@pytest.mark.parametrize(
    ("name", "value", "check", "level", "said"),
    [
        (
            "RETRIM_STOREURL",
            "sqlite:///x.db",
            "variables",
            "warning",
            "the environment variable RETRIM_STOREURL is set, but nothing reads it",
        ),
        ("RETRIM_CORES", "many", "variables", "critical", "RETRIM_CORES is 'many'"),
        ("RETRIM_PREFECT_URL", "http://127.0.0.1:9/api", "Prefect", "critical", "no Prefect server responds"),
        ("RETRIM_STORE_URL", "postgresql+psycopg://u@127.0.0.1:9/x", "store", "critical", "store"),
        ("RETRIM_ALERTS_FILE", "nowhere.txt", "alerts", "critical", "nowhere.txt"),
        ("RETRIM_BACKUP", "nosuch://bucket", "backups", "critical", "nosuch"),
        ("RETRIM_PREDICTIONS", "nosuch://bucket/predictions", "predictions", "critical", "nosuch"),
        (
            "RETRIM_PREDICTIONS_TABLE",
            "postgresql+psycopg://u@127.0.0.1:9/x",
            "predictions",
            "critical",
            "127.0.0.1:9/x",
        ),
        ("RETRIM_LANDING", "nosuch://bucket/landing", "landing zone", "critical", "nosuch"),
        ("RETRIM_LANDING", "http://127.0.0.1:9/landing", "landing zone", "critical", "cannot be reached"),
    ],
)
def test_a_wrong_variable_has_its_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, name: str, value: str, check: str, level: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    found = worst(workspace, check)

    assert (str(found.level), said in found.said, bool(found.cure)) == (level, True, True), found


def test_a_table_of_predictions_is_reached_and_counted(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETRIM_PREDICTIONS_TABLE", f"sqlite:///{tmp_path / 'warehouse.db'}")
    workspace.predictions.add(1, predicted_rows(["a", "b"], [1.0, 1.0], event=NOW, at=NOW))
    copy_predictions(replace(workspace, env=Env()))
    said = findings(workspace, "predictions")["predictions"][-1].said

    assert said == f"sqlite:///{tmp_path / 'warehouse.db'} can be reached; predictions in retrim_predictions: 2"


def test_an_address_in_a_file_is_no_strange_variable(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in IN_FILES:
        monkeypatch.setenv(f"RETRIM_{name.upper()}_FILE", "/run/secrets/address")

    assert "nothing reads" not in worst(workspace, "variables").said


def test_a_schedule_that_runs_keeps_another_installation_away(workspace: Workspace) -> None:
    with held_locks(workspace, "schedule"), pytest.raises(RefusedError):
        refuse_other_schedules([workspace])
    refuse_other_schedules([workspace])  # it was stopped


def test_that_nobody_is_told_of_alerts_is_a_warning(workspace: Workspace) -> None:
    assert worst(workspace, "alerts").level is HealthLevel.WARNING


def test_backups_that_lack_or_are_old_are_a_warning(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worst(workspace, "backups").level is HealthLevel.WARNING
    monkeypatch.setenv("RETRIM_BACKUP", str(tmp_path / "backups"))
    assert "no backup" in worst(workspace, "backups").said
    folder = tmp_path / "backups" / workspace.model / "backups"
    folder.mkdir(parents=True)
    levels = []
    for days in (8, 1):
        (folder / f"{NOW - days * DAY:%Y%m%dT%H%M%SZ}-{'0' * 16}.json").touch()
        levels.append(str(worst(workspace, "backups").level))

    assert levels == ["warning", "ok"]


def test_little_room_is_a_warning_and_none_is_critical(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    free = shutil.disk_usage(workspace.paths.root).free
    levels = []
    for least, little in ((0, 0), (0, free * 2), (free * 2, free * 4)):
        monkeypatch.setattr(doctor, "LEAST_FREE", least)
        monkeypatch.setattr(doctor, "LITTLE_FREE", little)
        levels.append(str(worst(workspace, "disk").level))

    assert levels == ["ok", "warning", "critical"]


def test_what_arrived_after_now_says_that_the_clock_was_ahead(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 5), at=5)
    paths, look = desk.workspace.paths, dict(EXAMINATIONS)["clock"]
    (before, *_), (after, *_) = (list(look(Examined(paths, paths.root, desk.day(day)))) for day in (4, 6))

    assert (str(before[0]), "clock" in before[1], ".sha256" in before[2]) == ("critical", True, True)
    assert str(after[0]) == "ok"


def test_a_port_that_somebody_else_took_is_a_warning(workspace: Workspace) -> None:
    stop_parts(workspace)
    listener = bind(installation_at(workspace.paths.root).ports.ui)
    try:
        found = worst(workspace, "ports")
    finally:
        listener.close()

    assert (str(found.level), "--port 0" in found.cure) == ("warning", True)
    assert "ports" not in findings(workspace, "ports")


def test_a_worker_that_keeps_up_is_in_order(workspace: Workspace) -> None:
    rest(workspace)
    with held_locks(workspace, "schedule"):
        assert worst(workspace, "schedule").level is HealthLevel.OK


def test_every_examination_is_made(workspace: Workspace) -> None:
    silent = {"ports", "deployments"}  # nothing was started here

    assert {name for name, _ in EXAMINATIONS} - findings(workspace).keys() == silent


def test_settings_that_do_not_load_hide_no_other_fault(workspace: Workspace) -> None:
    spoil_settings(workspace)
    begin_merge(workspace)

    assert worst(workspace, "git").level is HealthLevel.WARNING


def test_the_installation_of_the_folder_above_is_looked_at(workspace: Workspace, tmp_path: Path) -> None:
    roots = [WorkspacePaths(workspace.paths.root)]
    write_installation(plan_installation(roots, tmp_path, ports=Ports(0, 0, 0), prefect_url=None))

    assert "no part of `retrim up` is running" in worst(workspace, "parts").said
