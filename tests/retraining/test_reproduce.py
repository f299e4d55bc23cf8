"""How far a rebuilt model's predictions lie from those of the recorded one."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrim.retraining import reproduce
from retrim.training.bundle import load_predictor
from tests.builders.run_directory import make_run_directory, stream


def test_what_was_fitted_once_more_is_compared_on_the_rows_that_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_run_directory(tmp_path / "1", stream(480)).run()
    made = make_run_directory(tmp_path / "2", stream(480), mode="final", champion=first.bundle).run()
    stored = SimpleNamespace(predictor=load_predictor(made.bundle))
    monkeypatch.setattr(reproduce, "load_stored_version", lambda *_: stored)
    version: Any = SimpleNamespace(version=2)
    found = reproduce._compare(version, version, made.paths)

    assert (found.rows, found.largest, found.why) == (80, 0.0, "")
