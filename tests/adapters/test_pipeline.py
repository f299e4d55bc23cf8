"""Run rooms, with real git and DVC and a pipeline of shell commands."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import pandas as pd
import psutil
import pytest

import retrim
from retrim.adapters import dvc, dvc_cache, git
from retrim.adapters.dvc import (
    NotFetchedError,
    close_run_directory,
    executed,
    fetch_inputs,
    has_remote,
    lay_inputs,
    lock_differences,
    open_stage_session,
    reproduce_all,
    without_remote,
)
from retrim.adapters.dvc_cache import object_path
from retrim.adapters.dvc_session import RUN_DIRECTORY_VARIABLE, DvcSession, StageFailedError, end_survivors
from retrim.adapters.processes import StageHungError
from retrim.decision.pins import Pins
from retrim.errors import RetrimError
from retrim.files import Paths, WorkspacePaths, code_digest, folder_digest
from retrim.stats.codec import from_record
from retrim.training.mode import StageLimits
from retrim.yaml_files import dump_yaml, load_yaml

pytestmark = pytest.mark.slow
PINS = Pins(as_of=pd.Timestamp("2024-06-01", tz="UTC"), mode="search")
AMPLE = StageLimits(longest=600, silent=600)
DATE = "2024-01-01T00:00:00+00:00"
STAGES = {
    "gather": {"cmd": "cat data/raw/*/* > gathered", "deps": ["data/raw"], "outs": ["gathered"]},
    "double": {"cmd": "cat gathered gathered > doubled", "deps": ["gathered"], "outs": ["doubled"]},
    "fail": {"cmd": "echo the reason; exit 3", "always_changed": True},
    "refuse": {"cmd": "echo no; exit 1", "always_changed": True},
    "misread": {"cmd": "echo what; exit 2", "always_changed": True},
    "leave": {"cmd": "sleep 600 > /dev/null 2>&1 & echo $! > left.pid", "always_changed": True},
    "babble": {"cmd": "printf '\\377\\376 no text'", "always_changed": True},
    "linger": {"cmd": "echo $$ > linger.pid; echo begun; sleep 100", "always_changed": True},
    "spin": {"cmd": "echo $$ > spin.pid; while :; do :; done", "always_changed": True},
    "speak": {"cmd": "for i in 1 2 3 4 5 6 7 8; do sleep 0.5; echo $i; done", "always_changed": True},
    "surroundings": {"cmd": "env; command -v python", "always_changed": True},
}


def a_workspace(folder: Path) -> WorkspacePaths:
    root = folder / "workspace"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("[core]\n    analytics = false\n    autostage = false\n")
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / ".gitignore").write_text("var/\n/data/raw\n/data/champion\n/data/previous\n/gathered\n/doubled\n")
    (root / "dvc.yaml").write_text(dump_yaml({"stages": STAGES}))
    git.git(root, "init", "-q", "-b", "main")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "start")
    return WorkspacePaths(root)


def a_batch(workspace: WorkspacePaths) -> Path:
    """One batch in the landing zone."""
    batch = workspace.landing / "arrived=2024-01-01" / "rows-1.parquet"
    batch.parent.mkdir(parents=True, exist_ok=True)
    batch.write_bytes(b"rows\n")
    return batch


def a_run_directory(workspace: WorkspacePaths, name: str = "one", champion: Path | None = None) -> Path:
    folder, commit, raw = workspace.runs / name, git.git(workspace.root, "rev-parse", "HEAD"), [a_batch(workspace)]
    open_stage_session(
        workspace,
        folder,
        commit,
        raw=raw,
        champion=champion,
        previous_champion={},
        pins=PINS,
        settings={},
        digest=folder_digest,
    )
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    return a_workspace(tmp_path)


@pytest.mark.parametrize("lay", [lay_inputs, fetch_inputs])
def test_a_workspace_may_lie_in_a_folder_with_any_letters(
    tmp_path: Path, lay: Callable[[WorkspacePaths, Path], None]
) -> None:
    workspace = a_workspace(tmp_path / "Jürgen ☂")
    _, commit, folder = recorded(workspace)
    git.add_worktree(workspace.root, folder, commit)
    lay(workspace, folder)

    assert (Paths(folder).raw / "arrived=2024-01-01" / "rows-1.parquet").read_bytes() == b"rows\n"


def test_batches_on_another_disk_are_copied_into_the_room(workspace: WorkspacePaths) -> None:
    here = workspace.root.stat().st_dev
    places = (Path("/dev/shm"), Path(gettempdir()), Path(__file__).parent)  # noqa: S108  a disk of its own on Linux
    others = [place for place in places if place.is_dir() and place.stat().st_dev != here]
    if not others:
        pytest.skip("there is no other disk here")
    with TemporaryDirectory(dir=others[0]) as disk:
        workspace.landing.parent.mkdir(exist_ok=True)
        workspace.landing.symlink_to(disk)
        run_directory = a_run_directory(workspace)

        assert (Paths(run_directory).raw / "arrived=2024-01-01" / "rows-1.parquet").read_bytes() == b"rows\n"


@pytest.fixture
def run_directory(workspace: WorkspacePaths) -> Path:
    return a_run_directory(workspace)


@pytest.fixture(scope="module")
def worked_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A room for tests of stages that leave nothing that another would see."""
    return a_run_directory(a_workspace(tmp_path_factory.mktemp("worked-in")))


def ended(pid: int) -> bool:
    """Whether a process is gone, within ten seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        os.sched_yield()
    return False


def recorded(workspace: WorkspacePaths) -> tuple[Path, str, Path]:
    """A run directory, the commit of its inputs, and the folder in which it is to be made again."""
    run_directory = a_run_directory(workspace)
    commit = git.commit_files(run_directory, dvc.INPUTS, "done", date=DATE)
    return run_directory, commit, workspace.runs / "fresh"


def set_remote(workspace: WorkspacePaths, remote: Path) -> None:
    (workspace.root / ".dvc" / "config.local").write_text(
        f"[core]\n    remote = store\n['remote \"store\"']\n    url = {remote}\n"
    )


def cached_rows(workspace: WorkspacePaths) -> Path:
    """The batch in the workspace's cache."""
    digest = hashlib.md5(b"rows\n", usedforsecurity=False).hexdigest()
    return object_path(workspace.root / ".dvc" / "cache", digest)


def quiet(_: str) -> None:
    """Says nothing."""


def run(stage: str, run_directory: Path, limits: StageLimits = AMPLE) -> str:
    with DvcSession(run_directory, {}) as session:
        return session.reproduce(stage, quiet, limits)


class TestARoom:
    def test_holds_batches_and_no_champion_and_pins_all_digests(self, workspace: WorkspacePaths) -> None:
        one = a_run_directory(workspace)
        landed = workspace.landing / "arrived=2024-01-01" / "rows-1.parquet"
        noted = load_yaml((one / "data" / "raw.dvc").read_text())["outs"][0]

        assert (one / "data" / "raw" / "arrived=2024-01-01" / "rows-1.parquet").read_bytes() == b"rows\n"
        assert (landed.stat().st_nlink, landed.stat().st_mode & 0o200) == (1, 0o200)  # as it was
        assert json.loads((one / "data" / "previous" / "none.json").read_bytes()) == {"previous": None}
        assert json.loads((one / "data" / "champion" / "none.json").read_bytes()) == {"champion": None}
        assert (noted["path"], noted["nfiles"]) == ("raw", 1)
        assert (one / "data" / "champion.dvc").exists()
        assert git.git(workspace.root, "status", "--porcelain") == ""
        assert f"core.site_cache_dir={one / '.dvc' / 'tmp' / 'site'}" in dvc.run_dvc(one, "config", "--list")
        assert from_record(Pins, json.loads((one / "data" / "pins.json").read_bytes())) == replace(
            PINS,
            raw_digest=folder_digest(one / "data" / "raw"),
            champion_digest=folder_digest(one / "data" / "champion"),
            previous_digest=folder_digest(one / "data" / "previous"),
            code_digest=code_digest(Path(retrim.__file__).parent),
        )

    def test_pins_the_code_of_its_own_that_stages_will_run(self, workspace: WorkspacePaths) -> None:
        (workspace.root / "src" / "retrim").mkdir(parents=True)
        (workspace.root / "src" / "retrim" / "__init__.py").write_text("MINE = 1\n")
        git.commit(workspace.root, ["src/retrim/__init__.py"], "own code")
        run_directory = a_run_directory(workspace)

        pins = json.loads((run_directory / "data" / "pins.json").read_bytes())
        assert pins["code_digest"] == code_digest(workspace.root / "src" / "retrim")

    def test_holds_a_copy_of_the_champion(self, workspace: WorkspacePaths, tmp_path: Path) -> None:
        bundle = tmp_path / "bundle"
        (bundle / "models").mkdir(parents=True)
        (bundle / "models" / "model.txt").write_text("tree\n")
        run_directory = a_run_directory(workspace, champion=bundle)

        assert folder_digest(run_directory / "data" / "champion") == folder_digest(bundle)
        assert (bundle / "models" / "model.txt").stat().st_nlink == 1

    def test_is_made_of_the_commit_alone(self, workspace: WorkspacePaths) -> None:
        (workspace.root / "dvc.yaml").write_text("stages: {}\n")

        assert dvc.stages(a_run_directory(workspace)) == list(STAGES)

    def test_shares_the_cache(self, workspace: WorkspacePaths) -> None:
        run("gather", a_run_directory(workspace, "one"))
        again = run("gather", a_run_directory(workspace, "two"))

        assert "Stage 'gather' is cached" in again
        assert executed(again) == ()
        assert (workspace.runs / "two" / "gathered").read_bytes() == b"rows\n"


class TestTheUsersOwnSettings:
    @pytest.fixture
    def remote(self, workspace: WorkspacePaths, tmp_path: Path) -> Path:
        """A remote that only config.local knows, with a password, at an address relative to it."""
        (workspace.root / ".dvc" / "config.local").write_text(
            "[core]\n    remote = store\n"
            "['remote \"store\"']\n    url = ../../remote\n"
            "['remote \"far\"']\n    url = https://example.invalid/store\n    password = hidden\n"
        )
        return tmp_path / "remote"

    def test_come_along_with_credentials_and_are_never_committed(self, workspace: WorkspacePaths, remote: Path) -> None:
        run_directory = a_run_directory(workspace)
        dvc.run_dvc(run_directory, "push", "-q", "data/raw.dvc")
        run("gather", run_directory)
        commit = git.commit_files(run_directory, dvc.COMMITTED, "done", date=DATE)
        digest = hashlib.md5(b"rows\n", usedforsecurity=False).hexdigest()

        assert has_remote(workspace.root)
        assert "remote.far.password=hidden" in dvc.run_dvc(run_directory, "config", "--list")
        assert (remote / "files" / "md5" / digest[:2] / digest[2:]).read_bytes() == b"rows\n"
        assert "config.local" not in git.git(run_directory, "ls-tree", "-r", "--name-only", commit)

    def test_keep_their_own_cache(self, workspace: WorkspacePaths, tmp_path: Path) -> None:
        (workspace.root / ".dvc" / "config.local").write_text("[cache]\n    dir = ../../elsewhere\n")
        run_directory = a_run_directory(workspace)

        assert (tmp_path / "elsewhere" / "files" / "md5").is_dir()
        assert not (run_directory / ".dvc" / "cache").exists()

    def test_may_name_no_remote(self, workspace: WorkspacePaths) -> None:
        assert not has_remote(workspace.root)


class TestAStage:
    def test_runs_alone_and_gives_what_it_printed(self, worked_in: Path) -> None:
        lines: list[str] = []
        with DvcSession(worked_in, {}) as session:
            printed = session.reproduce("gather", lines.append, AMPLE)

        assert executed(printed) == ("gather",)
        assert not (worked_in / "doubled").exists()
        assert lines == printed.splitlines()

    @pytest.mark.parametrize(
        ("stage", "code", "reason"), [("refuse", 1, "no"), ("misread", 2, "what"), ("fail", 3, "the reason")]
    )
    def test_that_fails_is_named_with_what_it_printed_and_its_exit_code(
        self, worked_in: Path, stage: str, code: int, reason: str
    ) -> None:
        with pytest.raises(StageFailedError, match=reason) as failed:
            run(stage, worked_in)

        assert (failed.value.stage, failed.value.exit_code) == (stage, code)

    def test_sees_nothing_of_the_callers_python_git_or_dvc(
        self, worked_in: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("PYTHONPATH", "VIRTUAL_ENV", "GIT_DIR", "GIT_INDEX_FILE", "DVC_STAGE"):
            monkeypatch.setenv(name, "/nowhere")
        with DvcSession(worked_in, {"RETRIM_CORES": "3"}) as session:
            printed = session.reproduce("surroundings", quiet, AMPLE)

        assert "=/nowhere" not in printed
        assert "RETRIM_CORES=3" in printed
        assert printed.count(f"\n{Path(sys.executable).parent}/python\n") == 1

    def test_may_print_what_is_no_text_and_no_end_of_line(self, worked_in: Path) -> None:
        assert "\\xff\\xfe" in run("babble", worked_in)

    def test_leaves_no_process_behind(self, worked_in: Path) -> None:
        run("leave", worked_in)

        assert ended(int((worked_in / "left.pid").read_text()))

    def test_ends_with_its_processes_when_the_caller_is_interrupted(self, worked_in: Path) -> None:
        def interrupt(line: str) -> None:
            if line == "begun":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), DvcSession(worked_in, {}) as session:
            session.reproduce("linger", interrupt, AMPLE)
        assert ended(int((worked_in / "linger.pid").read_text()))


class TestAStageThatHangs:
    def test_and_was_stopped_is_killed_with_its_group_and_named(self, worked_in: Path) -> None:
        def stop(line: str) -> None:
            if line == "begun":
                os.kill(int((worked_in / "linger.pid").read_text()), signal.SIGSTOP)

        with DvcSession(worked_in, {}) as session:
            with pytest.raises(StageHungError) as hung:
                session.reproduce("linger", stop, StageLimits(longest=600, silent=2))
            stage_has_ended = ended(int((worked_in / "linger.pid").read_text()))

        assert stage_has_ended  # before the session was left, which ends what it began
        assert hung.value.stage == "linger"
        assert "limit: 00:00:02);" in str(hung.value)  # the limit for silence, not the one for the whole

    def test_with_a_busy_processor_is_killed_when_its_time_is_up(self, worked_in: Path) -> None:
        with pytest.raises(StageHungError, match=r"a stage may take 00:00:05"):
            run("spin", worked_in, StageLimits(longest=5, silent=600))
        assert ended(int((worked_in / "spin.pid").read_text()))

    @pytest.mark.parametrize("stage", ["gather", "speak"])
    def test_is_not_one_that_prints_or_works_often_enough(self, worked_in: Path, stage: str) -> None:
        assert run(stage, worked_in, StageLimits(longest=600, silent=3.5))

    def test_is_ended_in_a_rebuild_too(self, run_directory: Path) -> None:
        (run_directory / "dvc.yaml").write_text(dump_yaml({"stages": {"linger": STAGES["linger"]}}))

        with pytest.raises(StageHungError, match="00:00:02"):
            reproduce_all(
                run_directory, python=None, limits=StageLimits(longest=600, silent=2), gently=False, say=quiet
            )
        assert ended(int((run_directory / "linger.pid").read_text()))


def test_survivors_of_a_killed_run_are_ended(run_directory: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from retrim.adapters.dvc_session import DvcSession; "
        "from retrim.training.mode import StageLimits; "
        "DvcSession(Path(sys.argv[1]), {}).reproduce('linger', lambda line: print(line), StageLimits(600, 600))"
    )
    command = [sys.executable, "-c", program, str(run_directory)]
    noted, deadline = run_directory / "linger.pid", time.monotonic() + 60
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as caller:
        while not (noted.exists() and noted.read_text()):
            assert caller.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        caller.send_signal(signal.SIGKILL)
    survivor = int(noted.read_text())
    # The reaper of the killed command may be quicker; of this one it knows nothing.
    unknown = [sys.executable, "-c", "input()"]
    with subprocess.Popen(unknown, stdin=subprocess.PIPE, env={RUN_DIRECTORY_VARIABLE: str(run_directory)}) as other:
        assert end_survivors(run_directory) >= 1
        assert ended(other.pid)
    assert ended(survivor)


class TestAClosedRoom:
    def test_is_gone_and_its_outputs_are_still_in_the_cache(self, workspace: WorkspacePaths) -> None:
        run_directory = a_run_directory(workspace)
        run("gather", run_directory)
        close_run_directory(workspace, run_directory)

        assert not run_directory.exists()
        assert git.git(workspace.root, "worktree", "list", "--porcelain").count("worktree ") == 1
        assert "is cached" in run("gather", a_run_directory(workspace, "two"))
        close_run_directory(workspace, run_directory)  # again


class TestARebuild:
    @pytest.fixture
    def released(self, workspace: WorkspacePaths, run_directory: Path) -> str:
        """A commit of what a run has made."""
        (workspace.root / "dvc.yaml").write_text(
            dump_yaml({"stages": {name: STAGES[name] for name in ("gather", "double")}})
        )
        (run_directory / "dvc.yaml").write_bytes((workspace.root / "dvc.yaml").read_bytes())
        for stage in ("gather", "double"):
            run(stage, run_directory)
        return git.commit_files(run_directory, [*dvc.COMMITTED, "dvc.yaml"], "done", date=DATE)

    @pytest.fixture
    def fresh(self, workspace: WorkspacePaths, released: str) -> Path:
        folder = workspace.runs / "fresh"
        git.add_worktree(workspace.root, folder, released)
        lay_inputs(workspace, folder)
        return folder

    def test_runs_every_stage_though_all_is_cached_and_of_the_same_inputs_differs_in_nothing(self, fresh: Path) -> None:
        printed = reproduce_all(fresh, python=None, limits=AMPLE, gently=True, say=quiet)

        assert executed(printed) == ("gather", "double")
        assert lock_differences(fresh) == []

    def test_of_other_inputs_names_stage_path_and_both_hashes(self, fresh: Path) -> None:
        other = fresh / "data" / "raw" / "arrived=2024-01-01" / "rows-1.parquet"
        other.unlink()
        other.write_bytes(b"other\n")
        reproduce_all(fresh, python=None, limits=AMPLE, gently=False, say=quiet)
        old, new = (hashlib.md5(text, usedforsecurity=False).hexdigest() for text in (b"rows\n", b"other\n"))

        assert f"gather: the hash of gathered was {old} and is now {new}" in lock_differences(fresh)


@pytest.mark.parametrize("lay", [lay_inputs, fetch_inputs])
def test_inputs_that_the_cache_has_lost_come_from_the_remote(
    workspace: WorkspacePaths, tmp_path: Path, lay: Callable[[WorkspacePaths, Path], None]
) -> None:
    set_remote(workspace, tmp_path / "remote")
    run_directory, commit, folder = recorded(workspace)
    dvc.run_dvc(run_directory, "push", "-q")
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    git.add_worktree(workspace.root, folder, commit)
    lay(workspace, folder)

    assert (folder / "data" / "raw" / "arrived=2024-01-01" / "rows-1.parquet").read_bytes() == b"rows\n"


@pytest.mark.parametrize("lay", [lay_inputs, fetch_inputs])
def test_inputs_that_a_remote_does_not_give_are_named(
    workspace: WorkspacePaths, tmp_path: Path, lay: Callable[[WorkspacePaths, Path], None]
) -> None:
    set_remote(workspace, tmp_path / "away")
    _, commit, folder = recorded(workspace)
    cached_rows(workspace).unlink()
    git.add_worktree(workspace.root, folder, commit)

    with pytest.raises(NotFetchedError, match=r"^data/raw could not be fetched from the DVC remote"):
        lay(workspace, folder)


@pytest.mark.parametrize("left", [b"", b"[{", b'[{"md5": 1}]'])
def test_an_altered_listing_of_inputs_is_an_error_of_those(workspace: WorkspacePaths, left: bytes) -> None:
    run_directory, commit, folder = recorded(workspace)
    (noted,) = dvc_cache.named_in_folder(run_directory, ["data/raw.dvc"])
    listing = object_path(workspace.root / ".dvc" / "cache", noted)
    listing.chmod(0o600)
    listing.write_bytes(left)
    git.add_worktree(workspace.root, folder, commit)

    with pytest.raises(RetrimError, match="dvc pull"):
        fetch_inputs(workspace, folder)


def test_an_altered_input_is_an_error_though_the_remote_has_it_whole(workspace: WorkspacePaths, tmp_path: Path) -> None:
    set_remote(workspace, tmp_path / "remote")
    run_directory, commit, folder = recorded(workspace)
    dvc.run_dvc(run_directory, "push")
    cached_rows(workspace).chmod(0o600)
    cached_rows(workspace).write_bytes(b"rowz\n")
    git.add_worktree(workspace.root, folder, commit)

    with pytest.raises(RetrimError, match="data/raw"):
        fetch_inputs(workspace, folder)


def test_a_room_has_no_remote_where_the_workspace_is_to_have_none(
    workspace: WorkspacePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "home" / ".config" / "dvc" / "config"  # a person's own settings
    own.parent.mkdir(parents=True)
    own.write_text(f"[core]\n    remote = store\n['remote \"store\"']\n    url = {tmp_path / 'remote'}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    before = has_remote(workspace.root)
    without_remote(workspace.root)
    run_directory = a_run_directory(workspace)

    assert (before, has_remote(workspace.root), has_remote(run_directory)) == (True, False, False)
    with pytest.raises(RetrimError, match="no remote"):
        dvc.run_dvc(run_directory, "push")


def test_inputs_that_are_nowhere_are_an_error(workspace: WorkspacePaths) -> None:
    _, commit, folder = recorded(workspace)
    shutil.rmtree(workspace.root / ".dvc" / "cache")
    git.add_worktree(workspace.root, folder, commit)

    with pytest.raises(RetrimError, match="data/raw"):
        lay_inputs(workspace, folder)


def test_a_failed_dvc_command_ends_in_dvcs_own_words(run_directory: Path) -> None:
    with pytest.raises(RetrimError, match=r"dvc repro nowhere failed in .*one; .*nowhere"):
        dvc.run_dvc(run_directory, "repro", "nowhere")


def test_a_proof_shares_no_cache_whatever_the_settings_say(workspace: WorkspacePaths, tmp_path: Path) -> None:
    config = workspace.root / ".dvc" / "config"
    config.write_text(f"{config.read_text()}[cache]\n    dir = {tmp_path / 'shared'}\n")
    git.git(workspace.root, *git.IDENTITY, "commit", "-q", "-a", "-m", "a shared cache")
    _, commit, folder = recorded(workspace)
    git.clone_commit(workspace.root, folder, commit)
    fetch_inputs(workspace, folder)
    own, shared = folder / ".dvc" / "cache" / "files", tmp_path / "shared"

    assert (Paths(folder).raw / "arrived=2024-01-01" / "rows-1.parquet").read_bytes() == b"rows\n"
    assert own.is_dir()
    assert not (shared / "runs").exists()


def test_a_fresh_clone_holds_the_commit_and_nothing_of_the_repositorys_settings(workspace: WorkspacePaths) -> None:
    git.git(workspace.root, "config", "core.autocrlf", "true")
    commit, folder = git.git(workspace.root, "rev-parse", "HEAD"), workspace.runs / "fresh"
    git.clone_commit(workspace.root, folder, commit)

    assert git.git(folder, "rev-parse", "HEAD") == commit
    assert "\r" not in (folder / "dvc.yaml").read_bytes().decode()
    assert not git.git(folder, "status", "--porcelain")
