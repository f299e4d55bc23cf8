"""The search: spaces, the resume law, the best trial and what explains the loss."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from retrim.training.tuning import Dimension, Trial, TuneParams, importance, search

SPACE = {"leaves": {"low": 2, "high": 64, "log": True}, "rate": {"low": 0.01, "high": 1.0}}


def tune_params(**changed: Any) -> TuneParams:
    settings = {
        "trials": 6,
        "batch": 2,
        "folds": 1,
        "fold_rows": 2,
        "stop_share": 0.1,
        "max_rounds": 1,
        "patience": 1,
        "seed": 7,
        "space": SPACE,
    }
    return TuneParams.model_validate({**settings, **changed})


def by_rate(hyperparameters: dict[str, Any]) -> list[tuple[float, int]]:
    return [(hyperparameters["rate"], 1)]


def run(params: TuneParams, *, trials: int = 6) -> list[Trial]:
    return search(by_rate, params, trials=trials, done=[], workers=1, on_batch=lambda batch: None)


# --- the space


@pytest.mark.parametrize("form", [{}, {"low": 1}, {"low": 1, "high": 2, "choices": [1]}])
def test_a_dimension_is_a_range_or_choices(form: dict) -> None:
    with pytest.raises(ValidationError, match="set low and high, or choices"):
        Dimension.model_validate(form)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"low": 0.0, "high": 10.0, "log": True}, "log: true needs a low above 0, but low is 0.0"),
        ({"low": 0, "high": 10, "log": True}, "log: true needs a low above 0"),
        ({"choices": [1, 2], "log": True}, "log: true needs a low above 0"),
        ({"low": 0.1, "high": float("inf")}, "one of them is not finite"),
        ({"low": float("nan"), "high": 1.0}, "one of them is not finite"),
        ({"choices": []}, "at least 1 item"),
    ],
)
def test_a_dimension_that_nothing_can_be_drawn_from_is_refused(form: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Dimension.model_validate(form)


def test_whole_bounds_give_whole_numbers() -> None:
    found = run(tune_params())

    assert all(isinstance(trial.hyperparameters["leaves"], int) for trial in found)


# --- the resume law


def stopped_after(done: int, whole: list[Trial], *, workers: int = 1) -> tuple[list[Trial], list[int]]:
    """The search that goes on from its first `done` trials, and the numbers of those that it told."""
    told: list[int] = []
    found = search(
        by_rate,
        tune_params(batch=3),
        trials=len(whole),
        done=whole[:done],
        workers=workers,
        on_batch=lambda batch: told.extend(trial.number for trial in batch),
    )
    return found, told


def test_a_search_goes_on_to_the_very_same_trials_from_wherever_it_was_stopped() -> None:
    whole = run(tune_params(batch=3), trials=13)

    assert [stopped_after(done, whole)[0] for done in range(14)] == [whole] * 14
    assert stopped_after(4, whole, workers=2) == (whole, list(range(3, 13)))


def test_batches_and_seeds_ask_for_other_trials() -> None:
    seven, eight = (
        [str(sorted(trial.hyperparameters.items())) for trial in run(tune_params(seed=seed), trials=12)]
        for seed in (7, 8)
    )

    assert len({*seven, *eight}) == 24


def test_trials_stay_in_the_space() -> None:
    found = [trial.hyperparameters for trial in run(tune_params(), trials=12)]

    assert all(2 <= each["leaves"] <= 64 and 0.01 <= each["rate"] <= 1.0 for each in found)


# --- what was found


def test_the_loss_of_a_trial_is_the_mean_over_its_folds() -> None:
    assert Trial(0, {}, (1.0, 2.0, 6.0), (1, 1, 1)).loss == 3.0


def test_what_the_loss_depends_on_explains_it() -> None:
    shares = importance(tune_params(), run(tune_params(), trials=40))

    assert next(iter(shares)) == "rate"
    assert shares["rate"] > 0.8
    assert sum(shares.values()) == pytest.approx(1)


def test_trials_are_told_batch_by_batch() -> None:
    sizes: list[int] = []
    losses: Iterator[float] = iter(range(5))

    search(
        lambda hyperparameters: [(next(losses), 1)],
        tune_params(),
        trials=5,
        done=[],
        workers=1,
        on_batch=lambda batch: sizes.append(len(batch)),
    )

    assert sizes == [2, 2, 1]


def test_nothing_to_search_is_one_trial() -> None:
    params = tune_params(space={})
    found = search(lambda _: [(0.5, 1)], params, trials=6, done=[], workers=1, on_batch=lambda batch: None)

    assert [(trial.hyperparameters, trial.loss) for trial in found] == [({}, 0.5)]
    assert importance(params, found) == {}
