"""Versions are rebuilt byte for byte: with plain tools, with `retrim versions reproduce`, and against tampering.

One world for all: version 1 (searched, no champion), version 2 (with version 1 as its champion),
then a batch that no version has seen. Its DVC remote is a folder, to which the runs push.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.adapters.dvc import executed
from retrim.files import folder_digest
from retrim.landing.ingest import land_batch
from retrim.lineage.locks import held_locks
from retrim.yaml_files import load_yaml
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e(minutes=6), pytest.mark.server, pytest.mark.slow]
ALL = ("validate", "features", "tune", "train", "backtest", "compare")
FIRST, SECOND, LATER = 25, 35, 38
SAME = {"identical": True, "differences": [], "executed": list(ALL)}
PULL = ("dvc", "pull", "-q", "data/raw.dvc", "data/champion.dvc", "data/previous.dvc")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    folder = tmp_path_factory.mktemp("rebuild")
    made = make_world(folder, server=server)
    made.run("dvc", "remote", "add", "-q", "-d", "store", str(folder / "remote"))
    made.run("git", *git.IDENTITY, "commit", "-q", "-a", "-m", "a remote")
    made.land(made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(FIRST))
    made.land(made.day(SECOND), since=made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(SECOND), code=(0, 1))
    made.land(made.day(LATER), since=made.day(SECOND))
    return made


def bundle(folder: Path) -> str:
    return folder_digest(folder / "data" / "candidate")


def recorded(world: World, version: int) -> str:
    row = world.workspace.store.version("generated", version)
    assert row is not None
    return str(row.bundle)


def clone(world: World, folder: Path, version: int) -> Path:
    """A fresh clone at a version's tag: git and the DVC remote are all it has of the workspace."""
    world.run("git", "clone", "-q", str(world.root), str(folder))
    world.run("git", "-c", "advice.detachedHead=false", "checkout", "-q", f"retrim/generated/v{version}", folder=folder)
    return folder


def unchanged(folder: Path) -> bool:
    """Whether git sees no file other than at the tag."""
    return not git.git(folder, "status", "--porcelain")


class altered:  # noqa: N801  reads as a clause: with altered(file)
    """Flips one bit of a read-only file, and puts it back."""

    def __init__(self, file: Path) -> None:
        self.file, self.whole, self.mode = file, file.read_bytes(), file.stat().st_mode

    def __enter__(self) -> None:
        self._write(bytes([self.whole[0] ^ 1]) + self.whole[1:])

    def __exit__(self, *_: object) -> None:
        self._write(self.whole)

    def _write(self, content: bytes) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.unlink(missing_ok=True)
        self.file.write_bytes(content)
        self.file.chmod(self.mode)


def cached(world: World, note: str) -> Path:
    """The cache's copy of the first file in the folder that a `.dvc` file at a commit notes."""
    cache = world.root / ".dvc" / "cache" / "files" / "md5"
    digest = load_yaml(git.git(world.root, "show", note))["outs"][0]["md5"]
    listed = json.loads((cache / digest[:2] / digest[2:]).read_bytes())
    return cache / listed[0]["md5"][:2] / listed[0]["md5"][2:]


@pytest.fixture(scope="class")
def at_tag(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    world.run("git", "checkout", "-q", "retrim/generated/v1")
    world.run("dvc", "checkout", "-q")
    plain = world.run("dvc", "repro")
    trials = {"RETRIM_TRIALS": str(tmp_path_factory.mktemp("trials"))}
    forced = world.run("dvc", "repro", "--force", "--no-run-cache", environment=trials)
    yield plain, forced
    world.run("git", "checkout", "-q", "main")


class TestPlainToolsInTheWorkspace:
    """`git checkout <tag> && dvc checkout && dvc repro`, after a version and a batch that came later."""

    def test_find_everything_as_it_was(self, at_tag: tuple[str, str]) -> None:
        assert "Data and pipelines are up to date." in at_tag[0]

    def test_run_all_six_stages_when_forced(self, at_tag: tuple[str, str]) -> None:
        assert executed(at_tag[1]) == ALL

    def test_leave_the_lock_and_all_that_git_sees_unchanged(self, world: World, at_tag: tuple[str, str]) -> None:
        assert unchanged(world.root)

    def test_give_the_bytes_of_version_1(self, world: World, at_tag: tuple[str, str]) -> None:
        assert bundle(world.root) == recorded(world, 1)


def test_after_a_rebuild_by_hand_the_next_snapshot_is_clean(world: World) -> None:
    world.run("git", "checkout", "-q", "retrim/generated/v2")
    world.run("dvc", "checkout", "-q")
    world.run("git", "checkout", "-q", "main")
    taken = git.snapshot(world.root, max_file_mb=5)

    assert taken.untracked == ()


@pytest.fixture(scope="class")
def rebuilt(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = clone(world, tmp_path_factory.mktemp("clone") / "fresh", 1)
    world.run(*PULL, folder=folder)
    return folder, world.run("dvc", "repro", folder=folder)


class TestAFreshClone:
    """`dvc pull` of the three inputs `&& dvc repro` with nothing but git and the DVC remote."""

    def test_runs_all_six_stages(self, rebuilt: tuple[Path, str]) -> None:
        assert executed(rebuilt[1]) == ALL

    def test_leaves_the_lock_unchanged(self, rebuilt: tuple[Path, str]) -> None:
        assert unchanged(rebuilt[0])

    def test_gives_the_same_bytes(self, world: World, rebuilt: tuple[Path, str]) -> None:
        assert bundle(rebuilt[0]) == recorded(world, 1)


@pytest.fixture(scope="module")
def refused(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = clone(world, tmp_path_factory.mktemp("clone") / "forgetful", 2)
    world.run(*PULL, folder=folder)
    world.run("git", "checkout", "-q", "retrim/generated/v1", folder=folder)
    return folder, world.run("dvc", "repro", folder=folder, code=255)


class TestForgettingDvcCheckout:
    """At version 1, with the raw data of version 2 still lying there."""

    def test_is_refused_with_the_cure(self, refused: tuple[Path, str]) -> None:
        assert "error: data/raw " in refused[1]
        assert "git checkout -- data/raw.dvc data/champion.dvc data/previous.dvc" in refused[1]

    def test_leaves_the_lock_alone_and_makes_no_model(self, refused: tuple[Path, str]) -> None:
        folder, _ = refused

        assert git.git(folder, "status", "--porcelain", "--", "dvc.lock") == ""
        assert not (folder / "data" / "candidate" / "models").exists()

    def test_is_cured_by_what_it_says(self, world: World, refused: tuple[Path, str]) -> None:
        folder, _ = refused
        world.run(
            "git", "checkout", "-q", "--", "data/raw.dvc", "data/champion.dvc", "data/previous.dvc", folder=folder
        )
        world.run(*PULL, folder=folder)
        world.run("dvc", "repro", "--single-item", "validate", folder=folder)

        assert unchanged(folder)


def test_a_room_made_by_hand_gives_the_bytes_of_the_run_of_that_date(world: World) -> None:
    run_directory = Path(world.retrim("retrain", "--by-hand", "--as-of", world.day(SECOND)).stdout.strip())
    world.run("dvc", "repro", folder=run_directory)

    assert bundle(run_directory) == recorded(world, 2)


def test_a_room_of_an_earlier_date_has_the_champion_and_the_mode_of_then(world: World) -> None:
    run_directory = Path(world.ask("retrain", "--by-hand", "--as-of", world.day(FIRST))["folder"])
    pins = json.loads((run_directory / "data" / "pins.json").read_bytes())

    assert (pins["champion"], pins["mode"]) == (None, "search")


@pytest.fixture(scope="module")
def reproduced(world: World) -> dict[str, object]:
    record = world.ask("versions", "reproduce", "1", environment={"RETRIM_CORES": "1"})
    assert isinstance(record, dict)
    return record


class TestReproduce:
    def test_says_identical_also_on_one_core(self, reproduced: dict[str, object]) -> None:
        assert reproduced == {**SAME, "version": 1, "proved": False}

    def test_makes_again_what_the_card_says_can_be(self, world: World, reproduced: dict[str, object]) -> None:
        card = world.retrim("versions", "card", "1").stdout

        assert "retrim versions reproduce 1." in card
        assert reproduced["identical"]

    def test_leaves_nothing_behind(self, world: World, reproduced: dict[str, object]) -> None:
        assert list(world.workspace.paths.runs.glob("reproduce-*")) == []

    def test_is_refused_by_the_stage_when_one_raw_byte_was_altered(self, world: World) -> None:
        with altered(cached(world, "retrim/generated/v1:data/raw.dvc")):
            record = world.ask("versions", "reproduce", "1", code=1)

        assert (record["identical"], record["executed"]) == (False, ["validate"])
        assert "data/raw " in record["differences"][0]

    def test_of_an_unknown_version_is_wrong_use(self, world: World) -> None:
        refused = world.retrim("versions", "reproduce", "9", code=2)

        assert "version 9" in refused.stderr

    def test_waits_for_nobody_who_rebuilds_the_same(self, world: World) -> None:
        with held_locks(world.workspace, "reproduce-v1"):
            refused = world.retrim("versions", "reproduce", "1", code=1)

        assert "reproduce-v1" in refused.stderr


@pytest.fixture(scope="module")
def proved(world: World) -> dict[str, object]:
    lock = world.root / "requirements.lock"
    whole = lock.read_bytes()
    lock.write_bytes(b"no-such-package==1.0 --hash=sha256:" + b"0" * 64 + b"\n")
    try:
        record = world.ask("versions", "reproduce", "2", "--prove", environment={"RETRIM_CORES": "4"})
    finally:
        lock.write_bytes(whole)
    assert isinstance(record, dict)
    return record


class TestProof:
    """`retrim versions reproduce --prove`: from raw data, in an environment built from the recorded lock."""

    def test_sees_all_six_stages_run_and_finds_the_same_bytes_on_four_cores(self, proved: dict[str, object]) -> None:
        assert proved | {**SAME, "version": 2, "proved": True, "largest_difference": 0.0} == proved

    def test_builds_the_environment_from_the_recorded_lock_not_from_the_one_here(
        self, world: World, proved: dict[str, object]
    ) -> None:
        row = world.workspace.store.version("generated", 2)
        assert row is not None
        built = [folder.name for folder in world.workspace.paths.environments.iterdir() if folder.is_dir()]

        assert [name.partition("-")[0] for name in built] == [row.lineage["requirements_lock"][:16]]

    @pytest.mark.parametrize("part", ["raw", "champion"])
    def test_fails_when_one_recorded_byte_was_altered(self, world: World, proved: dict[str, object], part: str) -> None:
        with altered(cached(world, f"retrim/generated/v2:data/{part}.dvc")):
            record = world.ask("versions", "reproduce", "2", "--prove", code=1)

        assert (record["identical"], record["proved"], record["executed"]) == (False, False, [])
        assert f"data/{part}" in record["differences"][0]

    def test_does_not_use_a_lock_that_the_tag_was_moved_to(self, world: World, proved: dict[str, object]) -> None:
        commit = git.git(world.root, "rev-parse", "retrim/generated/v2^{commit}")
        run_directory = world.root.parent / "tampered"
        git.add_worktree(world.root, run_directory, commit)
        with (run_directory / "requirements.lock").open("a", encoding="utf-8") as lock:
            lock.write("# tampered\n")
        other = git.commit_files(run_directory, ["requirements.lock"], "tampered", date=world.day(SECOND))
        git.git(world.root, "tag", "-f", "retrim/generated/v2", other)
        try:
            record = world.ask("versions", "reproduce", "2", "--prove", code=1)
        finally:
            git.git(world.root, "tag", "-f", "retrim/generated/v2", commit)
            git.remove_worktree(world.root, run_directory)

        assert record["executed"] == list(ALL)
        assert len(record["differences"]) == 1
        assert "requirements.lock" in record["differences"][0]


def test_an_altered_champion_in_the_registry_reaches_no_room(world: World) -> None:
    stored = world.workspace.registry.bundle_folder(1) / "models" / "all" / "model.txt"
    with altered(stored):
        refused = world.retrim("retrain", "--by-hand", "--as-of", world.day(LATER), code=1)

    assert "version 1 was altered" in refused.stderr


class TestEveryStageIsStale:
    @pytest.fixture
    def rebuilt(self, world: World, tmp_path: Path) -> Path:
        """Version 1 with all outputs, up to date."""
        folder = clone(world, tmp_path / "fresh", 1)
        world.run("dvc", "pull", "-q", folder=folder)
        assert json.loads(world.run("dvc", "status", "--json", folder=folder)) == {}
        return folder

    def stale(self, world: World, folder: Path) -> set[str]:
        return {name for name in json.loads(world.run("dvc", "status", "--json", folder=folder)) if name in ALL}

    def test_after_a_change_of_the_lock(self, world: World, rebuilt: Path) -> None:
        with (rebuilt / "requirements.lock").open("a", encoding="utf-8") as lock:
            lock.write("# another\n")

        assert self.stale(world, rebuilt) == set(ALL)

    def test_after_a_change_of_python_and_refuses_to_run(self, world: World, rebuilt: Path) -> None:
        pins = json.loads((rebuilt / "data" / "pins.json").read_bytes())
        (rebuilt / "data" / "pins.json").write_text(json.dumps({**pins, "python": "3.12.1"}))
        refused = world.run("dvc", "repro", folder=rebuilt, code=255)

        assert self.stale(world, rebuilt) == set(ALL)
        assert "pinned to Python 3.12.1" in refused

    def test_after_a_change_of_the_code_digest_and_refuses_to_run(self, world: World, rebuilt: Path) -> None:
        pins = json.loads((rebuilt / "data" / "pins.json").read_bytes())
        (rebuilt / "data" / "pins.json").write_text(json.dumps({**pins, "code_digest": "0" * 64}))
        refused = world.run("dvc", "repro", folder=rebuilt, code=255)

        assert self.stale(world, rebuilt) == set(ALL)
        assert "data/pins.json" in refused

    def test_code_that_was_edited_at_a_tag_is_refused_with_the_cure(self, world: World, rebuilt: Path) -> None:
        edited = rebuilt / "src" / "retrim" / "training" / "trees.py"
        edited.write_text(edited.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        refused = world.run("dvc", "repro", "--force", "--single-item", "train", folder=rebuilt, code=255)

        assert f" {edited.parents[1]} differs" in refused
        world.run("git", "checkout", "-q", "--", "src", folder=rebuilt)
        world.run("dvc", "repro", "--force", "--single-item", "train", folder=rebuilt)


def test_a_run_uses_its_snapshot_while_the_main_tree_is_edited(world: World) -> None:
    """A stage that has not run yet is broken in the main tree as soon as the first stage has ended."""
    stage = world.root / "src" / "retrim" / "stages" / "compare.py"
    model = world.root / "src" / "retrim" / "training" / "trees.py"
    whole = {path: path.read_bytes() for path in (stage, model)}
    process = world.start("retrain", "--as-of", world.day(LATER))
    try:
        run_directories = world.workspace.paths.runs
        while process.poll() is None and not list(run_directories.glob("run-*/data/candidate/validation")):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        for path in whole:
            path.write_text("raise RuntimeError('edited while a run is under way')\n")
        _, err = process.communicate()
    finally:
        for path, content in whole.items():
            path.write_bytes(content)

    assert process.returncode in {0, 1}, err
    shown = git.git(world.root, "show", "retrim/generated/v3:src/retrim/stages/compare.py")
    assert shown.encode() == whole[stage].strip()


def test_a_batch_that_is_released_as_of_before_a_version_changes_none_of_it(world: World) -> None:
    params = world.workspace.params
    rows = world.rows(None, world.day(2)).assign(outcome=float("nan"))  # a blank target is a fault that may be released
    rows["number"] += 1_000_000
    file = world.root / "var" / "late.csv"
    rows.to_csv(file, index=False)
    late = land_batch(
        file, workspace=world.workspace.paths, data=params.data, now=pd.Timestamp(world.day(LATER)), correction=False
    )
    world.retrim("batch", "release", late.batch, "--reason", "true", "--arrived", world.day(FIRST - 1))

    assert late.outcome == "quarantined"
    assert world.ask("versions", "reproduce", "1") == {"version": 1, **SAME, "proved": False}
