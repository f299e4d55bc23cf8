"""What a rebuild says of inputs that are away, and how far its predictions lie from those of the recorded model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from retrim.adapters import dvc
from retrim.adapters.dvc import NotFetchedError
from retrim.retraining import reproduce
from retrim.training.bundle import load_predictor
from tests.builders.run_directory import make_run_directory, stream


@pytest.mark.parametrize("error", [NotFetchedError("away"), dvc.StageHungError("train", "", "")])
def test_what_could_not_be_compared_is_no_difference(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def lay(*_: object) -> None:
        raise error

    monkeypatch.setattr(reproduce, "limits_of_rebuild", lambda *_, **__: None)
    monkeypatch.setattr(dvc, "stages", lambda _: [])
    monkeypatch.setattr(dvc, "lay_inputs", lay)
    given: Any = SimpleNamespace(paths=None, version=1, made_from=SimpleNamespace(mode="search"))

    with pytest.raises(type(error)):
        reproduce._rebuild(given, given, Path(), prove=False, gently=False, say=str)


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
