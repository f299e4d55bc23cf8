"""The trial log: a killed search goes on from it to the same answer, and other inputs have a log of their own."""

import json
from pathlib import Path

import pytest

from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A search that was never stopped."""
    run_directory = make_run_directory(tmp_path_factory.mktemp("first"), stream(ROWS))
    run_directory.features()
    run_directory.tune()
    return run_directory


@pytest.fixture
def tuned(tmp_path: Path) -> Room:
    run_directory = make_run_directory(tmp_path, stream(ROWS))
    run_directory.features()
    run_directory.tune()
    return run_directory


def numbers(run_directory: Room) -> list[int]:
    """The trials whose lines stand whole in the log."""
    lines = run_directory.log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["number"] for line in lines if line.startswith("{") and '"rounds"' in line]


@pytest.mark.parametrize("kept", [0, 1, 2, 3, 4, 5])
def test_a_search_goes_on_from_its_log_to_the_same_answer(first: Room, tuned: Room, kept: int) -> None:
    lines = tuned.log.read_text(encoding="utf-8").splitlines(keepends=True)
    tuned.log.write_text("".join(lines[:kept]), encoding="utf-8")
    tuned.tune()

    assert tuned.record("tuning/trials.json") == first.record("tuning/trials.json")
    assert tuned.record("tuning/hyperparameters.json") == first.record("tuning/hyperparameters.json")


def test_a_search_that_is_done_evaluates_nothing_again(tuned: Room, capsys: pytest.CaptureFixture) -> None:
    capsys.readouterr()
    tuned.tune()

    assert "loss" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "torn", ['{"hyperparameters": {"num_l', '{"number": 2}', "\x00\x00\x00", "[1, 2]", '{"number": 3, "hy']
)
def test_a_line_that_a_kill_tore_does_not_stop_the_log_for_ever(tuned: Room, torn: str) -> None:
    whole = tuned.record("tuning/trials.json")
    lines = tuned.log.read_text(encoding="utf-8").splitlines(keepends=True)
    tuned.log.write_text("".join(lines[:2]) + torn, encoding="utf-8")
    tuned.tune()
    once = numbers(tuned)
    tuned.tune()

    assert tuned.record("tuning/trials.json") == whole
    assert once == numbers(tuned) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "changed",
    [{"judge": {"loss": "mse"}}, {"tune": {"max_rounds": 19}}],
    ids=["judge.loss", "tune.max_rounds"],
)
def test_a_search_under_other_settings_has_a_log_of_its_own(tuned: Room, changed: dict) -> None:
    table = stream(ROWS)
    make_run_directory(tuned.paths.root, table, **changed).tune()

    assert len(list(tuned.trials.glob("*.jsonl"))) == 2


def test_a_search_on_other_rows_has_a_log_of_its_own(tuned: Room) -> None:
    other = make_run_directory(tuned.paths.root, stream(ROWS + 1))
    other.features()
    other.tune()

    assert len(list(tuned.trials.glob("*.jsonl"))) == 2
