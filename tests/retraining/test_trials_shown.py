"""The trials of a search that is under way, as MLflow is told of them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrim.retraining.retrain import watching_trials
from retrim.stats.codec import to_json, to_record
from retrim.training.tuning import Trial

LINES = [to_json(to_record(Trial(number, {"a": 1}, (0.5,), (9,)))).replace(b"\n", b"") for number in range(2)]


@pytest.mark.parametrize("torn", [b'{"number": 1, "hy', b"\x00\x00", b'{"kind": "\xc3', b'{"number": 1}'])
def test_a_line_that_a_kill_tore_is_passed_over(tmp_path: Path, torn: bytes) -> None:
    told: list[int] = []

    def log_trials(_parent: str, trials: list[Trial], _known: object) -> set[int]:
        told[:] = [trial.number for trial in trials]
        return set(told)

    (tmp_path / "a.jsonl").write_bytes(b"\n".join([LINES[0], torn, LINES[1], b""]))
    workspace: Any = SimpleNamespace(
        registry=SimpleNamespace(log_trials=log_trials), paths=SimpleNamespace(trials=tmp_path)
    )
    with watching_trials(workspace, "parent", "tune") as wrap:
        wrap(str)("trial log a.jsonl")

    assert told == [0, 1]
