"""A stage proves where it is before it runs: its code, its Python, its raw data, its champion, its settings."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

import retrim
from retrim.errors import BadInputError
from retrim.files import Paths, WorkspacePaths, write_file, write_folder
from retrim.gate.verdict import GateParams
from retrim.lineage.settings_file import pin_settings
from retrim.settings import DERIVED, Derived, Params, effective, stated_digest
from retrim.stages import backtest, compare, features, train, tune
from retrim.stages._common import check_pins, check_settings, main, read_settings
from retrim.stats.codec import to_json
from retrim.stats.plugins import SettingsSection
from retrim.yaml_files import dump_yaml
from tests.builders.run_directory import Room, lay_settings, make_run_directory, stream

PACKAGE = Path(retrim.__file__).parent
STAGES = [backtest, compare, features, train, tune]


@pytest.fixture
def run_directory(tmp_path: Path) -> Room:
    """A room whose pins name the very code that runs."""
    made = make_run_directory(tmp_path, stream(480))
    document = {
        **made.settings,
        "data": made.data.model_dump(mode="json"),
        "fairness": made.fairness.model_dump(mode="json"),
    }
    lay_settings(made.paths, document)
    return made


def pin(run_directory: Room, **changed: Any) -> None:
    write_file(run_directory.paths.pins, to_json({**json.loads(run_directory.paths.pins.read_bytes()), **changed}))


def refusal(run_directory: Room) -> str:
    with pytest.raises(BadInputError) as caught:
        check_pins(run_directory.paths)
    return str(caught.value)


def test_a_room_as_it_was_pinned_passes(run_directory: Room) -> None:
    check_pins(run_directory.paths)


def test_other_raw_data_is_refused_with_the_cure(run_directory: Room) -> None:
    (run_directory.paths.raw / "batch.parquet").write_bytes(b"another")

    assert refusal(run_directory).startswith("data/raw differs from the one pinned in data/pins.json")
    assert "dvc checkout" in refusal(run_directory)


def test_another_champion_is_refused(run_directory: Room) -> None:
    write_folder(run_directory.paths.champion, {"tuning/hyperparameters.json": b"{}"})

    assert refusal(run_directory).startswith("data/champion differs from the one pinned")


def test_another_python_is_refused(run_directory: Room) -> None:
    pin(run_directory, python="3.9.1")

    assert "pinned to Python 3.9.1" in refusal(run_directory)


@pytest.mark.parametrize("pinned", ["0" * 64, ""])
def test_code_other_than_the_pinned_is_refused_with_the_cure(run_directory: Room, pinned: str) -> None:
    pin(run_directory, code_digest=pinned)

    assert f"{PACKAGE} differs" in refusal(run_directory)
    assert "`git checkout -- src`" in refusal(run_directory)


@pytest.mark.parametrize(("file", "code"), [(None, 0), ("cli/main.py", 2), ("templates/card.md.j2", 2)])
def test_a_stage_runs_only_from_the_package_that_is_pinned(run_directory: Room, file: str | None, code: int) -> None:
    """Of the same code that lies elsewhere; of code that differs in one byte of a file, whatever the stage imports."""
    package = run_directory.paths.root / "src" / "retrim"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if file is not None:
        (package / file).write_bytes((package / file).read_bytes() + b"\n")
    ended = subprocess.run(
        [sys.executable, "-m", "retrim.stages.features"],
        cwd=run_directory.paths.root,
        env={**os.environ, "PYTHONPATH": "src"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, f"in {package} differs" in ended.stderr) == (code, file is not None), ended.stderr


def test_a_folder_without_pins_is_no_room(run_directory: Room) -> None:
    run_directory.paths.pins.unlink()

    assert "`retrim retrain --by-hand --as-of DATE`" in refusal(run_directory)


# --- a stage as a process


def run_here(run_directory: Room, run: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of one stage in the room."""
    monkeypatch.chdir(run_directory.paths.root)
    try:
        main(run)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_fault_of_a_stage_ends_with_3_and_its_traceback(
    run_directory: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run() -> None:
        raise KeyError("a fault of ours")

    code = run_here(run_directory, run, monkeypatch)

    assert code == 3
    assert "KeyError: 'a fault of ours'" in capsys.readouterr().err


def test_stages_run_from_the_settings_of_their_room(run_directory: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [run_here(run_directory, stage.run, monkeypatch) for stage in (features, tune, train, backtest, compare)]

    assert codes == [0] * 5
    assert (run_directory.paths.verdict / "verdict.json").exists()
    assert run_directory.log.exists()


def test_the_trial_log_lies_where_the_environment_says(
    run_directory: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RETRIM_TRIALS", str(tmp_path / "shared"))
    run_here(run_directory, features.run, monkeypatch)
    run_here(run_directory, tune.run, monkeypatch)

    assert len(list((tmp_path / "shared").glob("*.jsonl"))) == 1
    assert not run_directory.trials.exists()


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.__name__.rpartition(".")[2])
def test_no_stage_runs_with_a_champion_other_than_the_pinned_one(
    stage: Any, run_directory: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_folder(run_directory.paths.champion, {"other.json": b"{}"})

    assert run_here(run_directory, stage.run, monkeypatch) == 2
    assert capsys.readouterr().err.startswith("error: data/champion differs from the one pinned")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda document: document.pop("split"), "section 'split' is missing"),
        (lambda document: document["split"].update(judge_rows=0), r"data/settings.json: split.judge_rows: .*\(got 0\)"),
        (lambda document: document["split"].update(judged=3), r"data/settings.json: split.judged: extra inputs"),
    ],
    ids=["no section", "out of bounds", "unknown key"],
)
def test_a_fault_in_the_settings_ends_with_2(
    change: Callable[[dict], Any],
    message: str,
    run_directory: Room,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    document = json.loads(run_directory.paths.settings.read_bytes())
    change(document)
    lay_settings(run_directory.paths, document)

    assert run_here(run_directory, features.run, monkeypatch) == 2
    assert re.search(message, capsys.readouterr().err)


# --- params.yaml beside the settings that are pinned


TABLE = {
    "data": {
        "model": "m",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "x": {"type": "number", "role": "feature"},
            "y": {"type": "number", "role": "target"},
        },
        "task": "regression",
        "label_horizon": "1D",
        "batch_every": "1D",
        "suite": "expectations/m.json",
    }
}


@pytest.fixture
def pinned(tmp_path: Path) -> Paths:
    """A room whose params.yaml states a table alone."""
    state(tmp_path, TABLE)
    paths = Paths(tmp_path)
    settings = to_json(effective(tmp_path, TABLE, "params.yaml"))
    write_file(paths.settings, settings)
    digests = {"params_digest": stated_digest(TABLE), "settings_digest": sha256(settings).hexdigest()}
    write_file(paths.pins, to_json({"as_of": "2024-06-01T00:00:00+00:00", "mode": "search", **digests}))
    return paths


def state(root: Path, document: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")


def test_a_setting_that_is_another_than_the_pinned_one_is_refused(pinned: Paths) -> None:
    state(pinned.root, {**TABLE, "gate": {"min_gain": 0.02}})

    with pytest.raises(BadInputError, match=r"gate\.min_gain = 0\.02, .*0\.01 .*`git checkout -- params\.yaml"):
        check_settings(pinned)


def test_settings_that_are_pinned_anew_are_run_by(pinned: Paths) -> None:
    state(pinned.root, {**TABLE, "gate": {"min_gain": 0.02}})
    with pytest.raises(BadInputError):
        check_settings(pinned)
    pin_settings(WorkspacePaths(pinned.root))
    check_settings(pinned)


def test_pinned_settings_that_were_edited_are_refused(pinned: Paths) -> None:
    settings = json.loads(pinned.settings.read_bytes())
    write_file(pinned.settings, to_json({**settings, "gate": {**settings["gate"], "min_gain": 0.02}}))

    with pytest.raises(BadInputError, match=r"sets gate\.min_gain = 0\.01, but 0\.02 is pinned"):
        check_settings(pinned)


def test_no_stage_runs_where_params_yaml_means_something_else(
    pinned: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    state(pinned.root, {**TABLE, "gate": {"min_gain": 0.02}})
    monkeypatch.setattr("retrim.stages._common.check_pins", lambda paths: None)
    monkeypatch.chdir(pinned.root)

    def run() -> None:
        raise AssertionError

    with pytest.raises(SystemExit) as ended:
        main(run)

    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("error: params.yaml sets gate.min_gain = 0.02, but 0.01 is pinned")


class FreshParams(SettingsSection):
    """A section that a later retrim has."""

    most: int = Field(default=3, ge=1, description="of what is new")


class LaterParams(Params):
    """The settings of a later retrim."""

    fresh: FreshParams = FreshParams()


def test_a_new_setting_breaks_no_workspace(pinned: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """The params.yaml and the pinned settings of before are read as they are, and nothing has to be stated."""
    before = read_settings(pinned)
    monkeypatch.setattr("retrim.settings.Params", LaterParams)

    check_settings(pinned)
    assert effective(pinned.root, TABLE, "params.yaml") == {**before, "fresh": {"most": 3}}


def test_another_default_changes_no_old_version(pinned: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    later = Derived("the gate of a later retrim", lambda document: 0.05)
    monkeypatch.setattr("retrim.settings.DERIVED", {**DERIVED, "gate.min_gain": later})
    assert Params.model_validate(TABLE).gate.min_gain == 0.05
    seen: list[GateParams] = []
    monkeypatch.setattr("retrim.stages._common.check_pins", lambda paths: None)
    monkeypatch.chdir(pinned.root)

    def run(gate: GateParams) -> None:
        seen.append(gate)

    main(run)

    assert seen[0].min_gain == 0.01
