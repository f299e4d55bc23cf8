"""The search for hyperparameters: asked and told in fixed batches, so that a killed search resumes to the same answer.

Each batch builds the study anew from the trials already told and seeds the sampler from (seed, batch number). A run
that goes on from a log therefore walks the very path of a run that was never stopped, and workers change nothing.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from inspect import isabstract
from math import inf, prod
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, simplefilter

import numpy as np
from pydantic import Field, JsonValue, field_validator, model_validator

from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.stats.codec import from_record, written
from retrim.stats.plugins import PluginRegistry, Seed, SettingsForm, SettingsSection
from retrim.training.estimators import Hyperparameters

if TYPE_CHECKING:
    import optuna

SAMPLERS: PluginRegistry[Callable[..., Any]] = PluginRegistry("sampler")


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

    sampler: str | dict[str, dict[str, JsonValue]] = Field(
        default="tpe",
        description=(
            "sampler of the search: tpe, random, grid, or the name of a class in optuna.samplers; to pass "
            "arguments, write {name: arguments}"
        ),
    )
    trials: int = Field(default=20, ge=1, description="number of trials in a search")
    batch: int = Field(
        exclude=True,
        default=4,
        ge=1,
        description=(
            "number of trials that the sampler proposes before it sees their results; this number is "
            "fixed, so that a search is the same with any number of workers"
        ),
    )
    folds: int = Field(default=3, ge=1, description="number of folds, in time order, that score a trial")
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

    @field_validator("sampler")
    @classmethod
    def _one(cls, sampler: str | dict[str, dict[str, JsonValue]]) -> str | dict[str, dict[str, JsonValue]]:
        if not isinstance(sampler, str) and len(sampler) != 1:
            raise ValueError(
                f"{len(sampler)} samplers are set, but exactly 1 is needed; write, for example, {{tpe: {{}}}}"
            )
        return sampler

    @property
    def sampler_name(self) -> str:
        """The name of the sampler."""
        return self.sampler if isinstance(self.sampler, str) else next(iter(self.sampler))

    @property
    def options(self) -> dict[str, JsonValue]:
        """Its arguments."""
        if isinstance(self.sampler, str):
            return {"multivariate": True, "n_startup_trials": 8} if self.sampler == "tpe" else {}
        return self.sampler[self.sampler_name]


@dataclass(frozen=True)
class Score:
    """What one set of hyperparameters gave: loss and rounds a fold."""

    losses: tuple[float, ...]
    rounds: tuple[int, ...]

    @property
    def loss(self) -> float:
        return float(np.mean(self.losses))


@dataclass(frozen=True)
class Trial:
    """One told trial."""

    number: int
    hyperparameters: Hyperparameters
    losses: tuple[float, ...]
    rounds: tuple[int, ...]

    @property
    def score(self) -> Score:
        return Score(self.losses, self.rounds)

    @written
    def loss(self) -> float:
        return self.score.loss


def read_trials(log: bytes) -> list[Trial]:
    """The trials of a log. A line that a kill tore is passed over: the run after it wrote that trial anew."""
    found: list[Trial] = []
    for line in log.splitlines():
        try:
            trial = from_record(Trial, json.loads(line))
        except (ValueError, RetrimError):
            continue
        if trial.number == len(found):
            found.append(trial)
    return found


def search(
    evaluate: Callable[[Hyperparameters], Score],
    params: TuneParams,
    *,
    trials: int,
    done: Sequence[Trial],
    workers: int,
    told: Callable[[Sequence[Trial]], None],
) -> list[Trial]:
    """Trials `0 .. trials - 1`, those in `done` taken as they are.

    Args:
        trials: How many in all, 1 or more.

    Returns:
        All trials, in order of their number. A grid ends when it is used up.

    Raises:
        BadInputError: No such sampler, it cannot search this space, or would not resume to the same trials.
    """
    if not params.space:  # there is one model
        trials = 1
    if params.sampler_name not in SAMPLERS:
        require_resumable(params, trials=trials)
    if params.sampler_name == "grid":
        trials = min(trials, prod(len(choices) for choices in _grid(params).values()))
    history = list(done[: len(done) - len(done) % params.batch]) if len(done) < trials else list(done[:trials])
    with ThreadPoolExecutor(workers) as pool:
        while len(history) < trials:
            proposals = _ask(params, history, min(params.batch, trials - len(history)))
            scores = list(pool.map(evaluate, proposals))
            batch = [
                Trial(len(history) + place, hyperparameters, score.losses, score.rounds)
                for place, (hyperparameters, score) in enumerate(zip(proposals, scores, strict=True))
            ]
            history.extend(batch)
            told(batch)
    return history


def best(trials: Sequence[Trial]) -> Trial:
    """The trial with the least loss; of equals the earliest."""
    return min(trials, key=lambda trial: (trial.score.loss, trial.number))


def importance(params: TuneParams, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of the loss's variation that each hyperparameter explains, largest first; empty below 2 trials.

    Source:
        Watanabe, Bansal and Hutter (2023), PED-ANOVA, IJCAI; Optuna's default evaluator.
    """
    if len({trial.score.loss for trial in trials}) < 2:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(_study(params, trials), evaluator=PedAnovaImportanceEvaluator())
    return {name: float(share) for name, share in sorted(found.items(), key=lambda item: (-item[1], item[0]))}


def _ask(params: TuneParams, history: Sequence[Trial], count: int) -> list[Hyperparameters]:
    study, space = _study(params, history), _distributions(params)
    return [dict(study.ask(space).params) for _ in range(count)]


def _study(params: TuneParams, history: Sequence[Trial]) -> "optuna.Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=make_sampler(params, batch=len(history) // params.batch))
    space = _distributions(params)
    for trial in history:
        study.add_trial(
            optuna.trial.create_trial(params=dict(trial.hyperparameters), distributions=space, value=trial.score.loss)
        )
    return study


def _distributions(params: TuneParams) -> dict[str, "optuna.distributions.BaseDistribution"]:
    return {name: dimension.distribution() for name, dimension in params.space.items()}


def require_resumable(params: TuneParams, *, trials: int) -> None:
    """Refuses a sampler with which a killed search would not resume to the same trials.

    It is tried on a toy loss: a study that lived through all trials has to ask the same as one built anew from the
    trials told before each batch. A sampler that draws without its seed fails, and so does one that keeps more in the
    study than its trials (QMC its place in the sequence, NSGA-II its generations).

    Raises:
        BadInputError: It fails, or cannot search this space at all.
    """
    space, lived = _distributions(params), _study(params, [])
    history: list[Trial] = []
    try:
        while len(history) < trials:
            count = min(params.batch, trials - len(history))
            lived.sampler = make_sampler(params, batch=len(history) // params.batch)
            asked = [lived.ask(space) for _ in range(count)]
            if [dict(trial.params) for trial in asked] != _ask(params, history, count):
                raise BadInputError(
                    f"tune.sampler: {params.sampler_name!r} does not propose the same trials when a search "
                    f"resumes; use a sampler that does: {', '.join(entry.name for entry in SAMPLERS)}"
                )
            for trial in asked:
                toy = int.from_bytes(sha256(repr(trial.params).encode()).digest()[:4]) / 2**32
                lived.tell(trial, toy)
                history.append(Trial(len(history), dict(trial.params), (toy,), (1,)))
    except (ImportError, ValueError, RuntimeError) as error:
        raise BadInputError(
            f"tune.sampler: {params.sampler_name!r} cannot search tune.space ({error}); choose a different sampler, "
            "or change the space"
        ) from error


def make_sampler(params: TuneParams, *, batch: int) -> "optuna.samplers.BaseSampler":
    """The sampler of one batch, seeded from (seed, batch).

    Raises:
        UnknownNameError: No such sampler.
        BadInputError: It does not take these options, or takes no seed.
    """
    import optuna

    seed = int(np.random.SeedSequence([params.seed, batch]).generate_state(1)[0])
    if params.sampler_name in SAMPLERS:
        build = SAMPLERS[params.sampler_name]
    else:
        known = vars(optuna.samplers).items()
        classes = {name: kind for name, kind in known if name.endswith("Sampler") and not isabstract(kind)}
        if params.sampler_name not in classes:
            raise UnknownNameError("sampler", params.sampler_name, [*(entry.name for entry in SAMPLERS), *classes])
        build = _by_class(classes[params.sampler_name])
    try:
        with catch_warnings():
            simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # whoever names a sampler has chosen it
            sampler = build(params, seed)
    except (TypeError, ValueError) as error:
        raise BadInputError(
            f"tune.sampler: the sampler {params.sampler_name!r} refuses its arguments ({error}); correct the arguments"
        ) from error
    assert isinstance(sampler, optuna.samplers.BaseSampler)
    return sampler


def _by_class(sampler: Callable[..., Any]) -> Callable[[TuneParams, int], Any]:
    return lambda params, seed: sampler(seed=seed, **params.options)


@SAMPLERS.register("tpe")
def _tpe(params: TuneParams, seed: int) -> Any:
    from optuna.samplers import TPESampler

    return _by_class(TPESampler)(params, seed)


@SAMPLERS.register("random")
def _random(params: TuneParams, seed: int) -> Any:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed, **params.options)


@SAMPLERS.register("grid")
def _grid_sampler(params: TuneParams, seed: int) -> Any:
    from optuna.samplers import GridSampler

    # Trial n takes place n of a grid shuffled once, so here the seed is the same in each batch.
    return GridSampler(_grid(params), seed=params.seed, **params.options)


def _grid(params: TuneParams) -> dict[str, list[Any]]:
    ranges = [name for name, span in params.space.items() if span.choices is None]
    if ranges:
        raise BadInputError(
            f"tune.space: a grid needs choices for every hyperparameter; set choices for {', '.join(ranges)}"
        )
    return {name: list(span.choices or ()) for name, span in params.space.items()}
