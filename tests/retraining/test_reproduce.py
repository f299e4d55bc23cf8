"""What a rebuild says of inputs that are away, and how far its predictions lie from those of the recorded model."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from retrim.adapters import dvc
from retrim.adapters.dvc import NotFetchedError
from retrim.adapters.processes import StageHungError
from retrim.gate.agreement import AgreementParams
from retrim.retraining import reproduce
from retrim.retraining.reproduce import largest_difference, pick
from retrim.training.bundle import load_predictor
from tests.builders.run_directory import make_run_directory, stream


@pytest.mark.parametrize("error", [NotFetchedError("away"), StageHungError("train", "", "")])
def test_what_could_not_be_compared_is_no_difference(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def lay(*_: object) -> None:
        raise error

    monkeypatch.setattr(reproduce, "limits_of_rebuild", lambda *_, **__: None)
    monkeypatch.setattr(dvc, "stages", lambda _: [])
    monkeypatch.setattr(dvc, "lay_inputs", lay)
    given: Any = SimpleNamespace(paths=None, version=1, made_from=SimpleNamespace(mode="search"))

    with pytest.raises(type(error)):
        reproduce._rebuild(given, given, Path(), prove=False, gently=False, say=str)


def test_a_final_fit_is_compared_on_the_rows_that_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrim.stages.compare.AgreementParams", lambda: AgreementParams(difference=1.0, loss=0.5))
    made = make_run_directory(tmp_path, stream(480), retrain={"refit_after": True}).run()
    stored = SimpleNamespace(predictor=load_predictor(made.bundle))
    monkeypatch.setattr(reproduce, "load_stored_version", lambda *_: stored)
    version: Any = SimpleNamespace(version=2)

    assert made.record("verdict/verdict.json")["final"]["used"]
    assert reproduce._largest_difference(version, version, made.paths) == 0.0


def test_predictions_of_another_shape_are_no_figure() -> None:
    assert largest_difference(np.zeros(3), np.array([0.0, 0.5, -0.25])) == 0.5
    assert largest_difference(np.zeros((3, 2)), np.zeros((3, 4))) is None
    assert largest_difference(np.array([np.nan]), np.zeros(1)) is None


def test_chance_picks_the_same_version_for_the_same_moment_and_every_one_in_time() -> None:
    weeks = [f"2024-{week:03d}" for week in range(200)]
    picked = [pick([1, 2, 3, 4, 5], model="bike", moment=week) for week in weeks]

    assert picked == [pick([5, 4, 3, 2, 1], model="bike", moment=week) for week in weeks]
    assert all(20 <= picked.count(version) <= 60 for version in (1, 2, 3, 4, 5))
