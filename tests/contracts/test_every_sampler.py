"""The resume law, for every registered sampler and some of Optuna's: a killed search comes to the same answer."""

from collections.abc import Sequence
from typing import Any

import pytest

from retrim.errors import BadInputError
from retrim.training.tuning import SAMPLERS, Dimension, Score, Trial, TuneParams, search

TRIALS = 10
BATCH = 3
CHOICES = {"leaves": {"choices": [3, 7, 15, 31]}, "rate": {"choices": [0.1, 0.2, 0.3]}, "kind": {"choices": ["a", "b"]}}
RANGES = {
    "leaves": {"low": 2, "high": 64, "log": True},
    "rate": {"low": 0.01, "high": 1.0},
    "kind": {"choices": ["a", "b"]},
}
SETTINGS: dict[str, dict[str, Any]] = {
    "tpe": {"options": {"multivariate": True, "n_startup_trials": 3}, "space": RANGES},
    "random": {"options": {}, "space": RANGES},
    "grid": {"options": {}, "space": CHOICES},
    "TPESampler": {"options": {"n_startup_trials": 3}, "space": RANGES},
    "QMCSampler": {"options": {"scramble": True}, "space": RANGES},
}
NAMES = [*(entry.name for entry in SAMPLERS), *(name for name in SETTINGS if name not in SAMPLERS)]


def tune_params(sampler: str, *, options: dict[str, Any], space: dict[str, Any], seed: int = 7) -> TuneParams:
    return TuneParams.model_validate(
        {
            "sampler": {sampler: options},
            "trials": TRIALS,
            "batch": BATCH,
            "folds": 1,
            "fold_rows": 2,
            "stop_share": 0.1,
            "max_rounds": 1,
            "patience": 1,
            "seed": seed,
            "space": space,
        }
    )


def bowl(hyperparameters: dict[str, Any]) -> Score:
    """A toy loss with its least value inside the space."""
    loss = (hyperparameters["leaves"] - 20) ** 2 / 100 + (hyperparameters["rate"] - 0.3) ** 2
    return Score((loss + (hyperparameters["kind"] == "a"),), (1,))


def run(params: TuneParams, *, done: Sequence[Trial] = (), workers: int = 1, trials: int = TRIALS) -> list[Trial]:
    return search(bowl, params, trials=trials, done=done, workers=workers, told=lambda batch: None)


@pytest.mark.parametrize("name", NAMES)
class TestEverySampler:
    def test_goes_on_to_the_very_same_trials_from_wherever_it_was_stopped(self, name: str) -> None:
        params = tune_params(name, **SETTINGS[name])
        whole = run(params)

        assert [run(params, done=whole[:stopped]) for stopped in range(TRIALS + 1)] == [whole] * (TRIALS + 1)

    def test_evaluates_again_only_the_batch_that_was_not_finished(self, name: str) -> None:
        params = tune_params(name, **SETTINGS[name])
        told: list[int] = []
        done = run(params)[: BATCH + 1]

        def note(batch: Sequence[Trial]) -> None:
            told.extend(trial.number for trial in batch)

        search(bowl, params, trials=TRIALS, done=done, workers=1, told=note)

        assert told == list(range(BATCH, TRIALS))

    def test_finds_with_two_workers_what_it_finds_with_one(self, name: str) -> None:
        params = tune_params(name, **SETTINGS[name])

        assert run(params, workers=2) == run(params, workers=1)

    def test_asks_other_trials_under_another_seed(self, name: str) -> None:
        seven, eight = (run(tune_params(name, seed=seed, **SETTINGS[name])) for seed in (7, 8))

        assert [trial.hyperparameters for trial in seven] != [trial.hyperparameters for trial in eight]

    def test_does_not_ask_in_a_batch_what_the_batch_before_asked(self, name: str) -> None:
        found = [str(sorted(trial.hyperparameters.items())) for trial in run(tune_params(name, **SETTINGS[name]))]

        assert set(found[:BATCH]).isdisjoint(found[BATCH : 2 * BATCH])

    def test_stays_in_the_space(self, name: str) -> None:
        params = tune_params(name, **SETTINGS[name])

        assert all(
            _holds(params.space[key], value) for trial in run(params) for key, value in trial.hyperparameters.items()
        )


def _holds(dimension: Dimension, value: Any) -> bool:
    if dimension.low is None or dimension.high is None:
        return value in (dimension.choices or ())
    return isinstance(value, int | float) and dimension.low <= value <= dimension.high


@pytest.mark.parametrize(
    ("name", "options"),
    [("QMCSampler", {}), ("NSGAIISampler", {"population_size": 2}), ("NSGAIIISampler", {"population_size": 2})],
)
def test_a_class_that_keeps_more_than_its_trials_is_refused_before_the_search(name: str, options: dict) -> None:
    def never(hyperparameters: dict[str, Any]) -> Score:
        raise AssertionError("the search began")

    params = tune_params(name, options=options, space=RANGES)

    with pytest.raises(BadInputError, match=rf"'{name}' .*: grid, random"):
        search(never, params, trials=TRIALS, done=[], workers=1, told=lambda batch: None)


def test_a_class_that_draws_without_its_seed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import optuna

    class UnseededSampler(optuna.samplers.RandomSampler):
        def __init__(self, seed: int) -> None:
            super().__init__()

    monkeypatch.setattr(optuna.samplers, "UnseededSampler", UnseededSampler, raising=False)

    with pytest.raises(BadInputError, match=r"tune\.sampler: 'UnseededSampler'"):
        run(tune_params("UnseededSampler", options={}, space=RANGES))
