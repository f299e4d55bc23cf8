"""The search for hyperparameters: asked and told in fixed batches, so that a killed search resumes to the same answer.

Each batch builds the study anew from the trials already told and seeds the sampler from (seed, batch number). A run
that goes on from a log therefore walks the very path of a run that was never stopped, and workers change nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING
from warnings import catch_warnings, simplefilter

import numpy as np
from pydantic import Field, model_validator

from retrim.errors import RetrimError
from retrim.stats.codec import from_record, written
from retrim.stats.plugins import Seed, SettingsForm, SettingsSection
from retrim.training.estimators import Hyperparameters

if TYPE_CHECKING:
    import optuna

STARTUP = 8  # trials that are drawn at random before TPE proposes any


class Dimension(SettingsForm):
    """One dimension of the search space: a range, or choices."""

    low: int | float | None = Field(
        default=None, description="lowest value; if both bounds are whole numbers, only whole numbers are drawn"
    )
    high: int | float | None = Field(default=None, description="highest value")
    log: bool = Field(default=False, description="whether values are drawn on a log scale")
    choices: tuple[int | float | str | bool | None, ...] | None = Field(
        default=None, min_length=1, description="list of allowed values, instead of a range"
    )

    @model_validator(mode="after")
    def _one_form(self) -> "Dimension":
        if (self.choices is None) == (self.low is None or self.high is None):
            raise ValueError("a hyperparameter needs either bounds or choices; set low and high, or choices")
        if self.low is not None and self.high is not None and not -inf < self.low <= self.high < inf:
            raise ValueError(
                f"low {self.low} is above high {self.high}, or one of them is not finite; set two finite bounds, "
                "with the smaller one as low"
            )
        if self.log and (self.low is None or self.low <= 0):
            raise ValueError(f"log: true needs a low above 0, but low is {self.low}; raise low, or remove log")
        return self

    def distribution(self) -> "optuna.distributions.BaseDistribution":
        """The same in Optuna's terms; whole bounds give whole numbers."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices is not None:
            return CategoricalDistribution(self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        return FloatDistribution(float(self.low or 0), float(self.high or 0), log=self.log)


def _log(low: float, high: float) -> Dimension:
    return Dimension(low=low, high=high, log=True)


SPACES: Mapping[str, dict[str, Dimension]] = {
    "gbm": {
        "num_leaves": _log(15, 127),
        "max_depth": Dimension(low=4, high=12),
        "learning_rate": _log(0.03, 0.2),
        "min_child_samples": _log(5, 80),
        "feature_fraction": Dimension(low=0.5, high=1.0),
        "bagging_fraction": Dimension(low=0.5, high=1.0),
        "lambda_l1": _log(0.001, 10.0),
        "lambda_l2": _log(0.001, 10.0),
    },
    "linear": {"l2": _log(0.00001, 10.0)},
    "logistic": {"l2": _log(0.00001, 10.0)},
}
"""What is searched for a kind of model where tune.space does not say; a model of one's own has to."""


class TuneParams(SettingsSection):
    """The search for hyperparameters."""

    trials: int = Field(default=20, ge=1, description="number of trials in a search")
    batch: int = Field(
        exclude=True,
        default=4,
        ge=1,
        description=(
            "number of trials that are proposed before their results are known; this number is "
            "fixed, so that a search is the same with any number of workers"
        ),
    )
    folds: int = Field(
        exclude=True,
        default=3,
        ge=1,
        description=(
            "number of folds, in time order, that score a trial; the benchmark losses were measured with the default"
        ),
    )
    fold_rows: int = Field(default=336, ge=2, description="number of rows that each fold scores")
    stop_share: float = Field(
        exclude=True,
        default=0.1,
        gt=0,
        lt=0.5,
        description=(
            "share of a fold's training rows that is kept for early stopping, spread over the fold; the "
            "default is a common value"
        ),
    )
    max_rounds: int = Field(default=800, ge=1, description="maximum number of boosting rounds")
    patience: int = Field(
        exclude=True,
        default=30,
        ge=1,
        description="number of rounds without improvement before a fit stops; the default is a common value",
    )
    seed: Seed = Field(default=7, description="seed of the sampler and of the fits in a search")
    space: dict[str, Dimension] = Field(
        default=SPACES["gbm"],
        description="search space of the hyperparameters; empty for a custom model without hyperparameters",
    )


@dataclass(frozen=True)
class Trial:
    """One told trial: loss and rounds a fold."""

    number: int
    hyperparameters: Hyperparameters
    losses: tuple[float, ...]
    rounds: tuple[int, ...]

    @written
    def loss(self) -> float:
        return float(np.mean(self.losses))


def read_trials(log: bytes) -> list[Trial]:
    """The trials of a log. A line that a kill tore is passed over: the run after it wrote that trial anew."""
    trials: list[Trial] = []
    for line in log.splitlines():
        try:
            trial = from_record(Trial, json.loads(line))
        except (ValueError, RetrimError):
            continue
        if trial.number == len(trials):
            trials.append(trial)
    return trials


def search(
    evaluate: Callable[[Hyperparameters], Sequence[tuple[float, int]]],
    params: TuneParams,
    *,
    trials: int,
    done: Sequence[Trial],
    workers: int,
    on_batch: Callable[[Sequence[Trial]], None],
) -> list[Trial]:
    """Trials `0 .. trials - 1` in order, those in `done` taken as they are; `evaluate` gives loss and rounds a fold."""
    if not params.space:  # there is one model
        trials = 1
    history = list(done[: len(done) - len(done) % params.batch]) if len(done) < trials else list(done[:trials])
    with ThreadPoolExecutor(workers) as pool:
        while len(history) < trials:
            proposals = _ask(params, history, min(params.batch, trials - len(history)))
            scores = list(pool.map(evaluate, proposals))
            batch = [
                Trial(number, hyperparameters, *zip(*score, strict=True))
                for number, (hyperparameters, score) in enumerate(zip(proposals, scores, strict=True), len(history))
            ]
            history.extend(batch)
            on_batch(batch)
    return history


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the least loss; of equals the earliest."""
    return min(trials, key=lambda trial: (trial.loss, trial.number))


def importance(params: TuneParams, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of the loss's variation that each hyperparameter explains, largest first; empty below 2 trials.

    Source:
        Watanabe, Bansal and Hutter (2023), PED-ANOVA, IJCAI; Optuna's default evaluator.
    """
    if len({trial.loss for trial in trials}) < 2:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    shares = get_param_importances(_study(params, trials), evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))}


def _ask(params: TuneParams, history: Sequence[Trial], count: int) -> list[Hyperparameters]:
    study, space = _study(params, history), _distributions(params)
    return [dict(study.ask(space).params) for _ in range(count)]


def _study(params: TuneParams, history: Sequence[Trial]) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = int(np.random.SeedSequence([params.seed, len(history) // params.batch]).generate_state(1)[0])
    with catch_warnings():
        simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # of multivariate
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=STARTUP)
    study = optuna.create_study(sampler=sampler)
    space = _distributions(params)
    for trial in history:
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.hyperparameters), distributions=space, value=trial.loss)
        )
    return study


def _distributions(params: TuneParams) -> dict[str, "optuna.distributions.BaseDistribution"]:
    return {name: dimension.distribution() for name, dimension in params.space.items()}
