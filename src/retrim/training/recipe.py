"""A recipe, the rows it is fitted on, and the challengers that it makes: what train, backtest and the probe share.

The work of a fit counts rows times rounds, the same on every machine: seconds would differ from run to run, and a
check's record has to be the same bytes when it is replayed.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from retrim.errors import BadInputError, UnknownNameError
from retrim.features.view import FeatureView
from retrim.stats.codec import Absent, rows_at
from retrim.stats.plugins import FOLLOWS, Seed, SettingsSection
from retrim.training.classes import Balance, ChosenThreshold, fit_balanced
from retrim.training.estimators import MODELS, FitTask, Hyperparameters, Model, is_own, parts_of
from retrim.training.groups import GROUP, reweighting
from retrim.training.mode import Mode
from retrim.training.tuning import TuneParams

WindowKind = Literal["all", "sliding", "recent"]
RecipeKind = Literal["found", "champion"]
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")
FEWEST_RECENT = 48  # rows since a change that are worth a fit
SHORTER: tuple[WindowKind, ...] = ("sliding", "recent")
BASELINE: Final = "baseline"
LINEAR, CONSTANT = "linear", {"l2": 1e6}  # so penalised, a linear model is the best constant for its loss
REFITTED = "refit-"  # before the training window, in the name of the champion's recipe beside another


class TrainParams(SettingsSection):
    """How challengers are trained."""

    model: str = Field(default="gbm", description="estimator: gbm, linear, logistic, or a custom model as own:PATH")
    windows: tuple[Literal["all", "sliding"], ...] = Field(
        default=("all", "sliding"),
        min_length=1,
        description="training windows that compete: all rows, or only the newest split.sliding_rows; after a change "
        "of the table, the rows since that change compete too",
    )
    recipes: tuple[RecipeKind, ...] = Field(
        exclude=True,
        default=("found", "champion"),
        min_length=1,
        description=(
            "recipes that compete in a search; the champion's recipe is included to show what the search itself adds"
        ),
    )
    balance: Balance | Literal["groups"] | None = Field(
        default=None,
        description=(
            "how a fit balances classes; weights: all classes have the same total weight; sample: each class has as "
            "many rows as the rarest class; groups: weights give every group in fairness.groups the same share of each "
            "class; null: classes are not balanced"
        ),
    )
    seed: Seed = Field(default=7, description="seed of the fits and of their random draws")

    @field_validator("model")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            if is_own(name):
                parts_of(name)
            else:
                MODELS.entry(name)
        except (BadInputError, UnknownNameError) as wrong:
            raise ValueError(str(wrong)) from wrong
        return name

    @property
    def class_balance(self) -> Balance | None:
        """How a fit balances classes, whatever their group."""
        return None if self.balance == "groups" else self.balance


@dataclass(frozen=True)
class Recipe:
    """All that a fit needs but the rows.

    `reweight` says whether these are weighted by group and label, `balance` whether and how classes count alike.
    """

    model: str
    loss: str
    hyperparameters: Hyperparameters
    rounds: int
    seed: int
    reweight: bool = False
    balance: Balance | None = None

    @property
    def kind(self) -> str:
        """The kind of its model, or `baseline`."""
        return BASELINE if (self.model, dict(self.hyperparameters)) == (LINEAR, CONSTANT) else self.model


@dataclass(frozen=True)
class WindowLengths:
    """How many of the newest rows the training windows hold.

    Args:
        sliding: Rows of the sliding window.
        recent: Rows since the table changed; None where no change is known, or too few rows have come since.
    """

    sliding: int
    recent: int | None = None

    def since(self, changed: pd.Timestamp | None, events: "pd.Series[pd.Timestamp]", *, least: int) -> "WindowLengths":
        """The lengths where the recent window holds the rows from `changed` on, if those are at least `least`.

        Args:
            changed: Event time from which the table is another one; None: no change is known.
            events: Event times of the rows to fit on, shape (n,).
        """
        rows = 0 if changed is None else int((events >= changed).sum())
        return replace(self, recent=rows if rows >= least else None)

    def competing(self, windows: Sequence[WindowKind], rows: int) -> list[WindowKind]:
        """The windows that hold different rows of a past of `rows` rows; the recent one is added where there is one."""
        wanted = windows if self.recent is None else dict.fromkeys((*windows, "recent"))
        held: dict[int, WindowKind] = {}
        for kind in sorted(wanted, key=["all", "sliding", "recent"].index):
            if kind != "recent" or self.recent is not None:
                held.setdefault(rows if kind == "all" else min(self._length(kind), rows), kind)
        return [kind for kind in wanted if kind in held.values()]

    def rows(self, past: np.ndarray, kind: WindowKind) -> np.ndarray:
        """Row numbers of a training window, the newest of `past`."""
        return past if kind == "all" else past[-self._length(kind) :]

    def _length(self, kind: WindowKind) -> int:
        length = self.sliding if kind == "sliding" else self.recent
        assert length is not None, kind
        return length


def fit_recipe(
    recipe: Recipe,
    view: FeatureView,
    rows: pd.DataFrame,
    *,
    threads: int,
    take: np.ndarray | None = None,
    past: np.ndarray | None = None,
) -> Model:
    """The recipe's model, fitted for all of its rounds.

    Args:
        threads: Changes no result.
        take: Row numbers that are fitted on, ascending; None: all.
        past: Row numbers that steps see which look back from these, ascending, those among them; None: all.
    """
    if take is not None and not view.steps:
        rows, take = rows_at(rows, take), None
    elif past is not None and view.steps:
        rows, take = rows.iloc[past], None if take is None else np.searchsorted(past, take)
    matrix = view.training(rows)
    if take is not None:
        matrix, rows = np.asarray(matrix)[take], rows.iloc[take]
    actual = view.actual(rows)
    weights = reweighting(rows[GROUP].to_numpy(), actual) if recipe.reweight else None
    task = FitTask(recipe.loss, recipe.hyperparameters, recipe.rounds, recipe.seed, threads, weights)
    return fit_balanced(recipe.model, recipe.balance, view, matrix, actual, task).model


def in_parallel(work: Callable[[Item, int], Result], items: Sequence[Item], *, cores: int) -> list[Result]:
    """`work(item, threads)` for each item, as many at once as there are cores; results in order of the items.

    Fits times threads never exceed the cores. Neither number changes a result.
    """
    if not items:
        return []
    workers = min(cores, len(items))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: work(item, cores // workers), items))


@dataclass(frozen=True)
class Challenger:
    """One recipe on one training window."""

    recipe: Recipe
    kind: RecipeKind
    window: WindowKind

    @property
    def name(self) -> str:
        """Its folder in the bundle, and its name in the verdict: `all`, or `refit-all` with the champion's recipe."""
        return self.window if self.kind == "found" else f"{REFITTED}{self.window}"


@dataclass(frozen=True)
class FoundRecord:
    """hyperparameters.json: what the search found, or what was copied from the champion.

    Args:
        model: Kind of the champion's model, where it was copied.
        importance: What moved the loss of the search, by hyperparameter.
        champion: The champion's recipe, where it competes.
    """

    hyperparameters: Hyperparameters
    rounds: int
    model: str | None = None
    importance: dict[str, float] | None = None
    champion: "FoundRecord | None" = None


@dataclass(frozen=True)
class OriginRecord:
    """One origin of the backtest: the events of the first and the last row scored, and each challenger's mean loss."""

    start: str
    end: str
    rows: int
    losses: dict[str, float]


@dataclass(frozen=True)
class ErrorInterval:
    """What a regression promises of its errors.

    Args:
        level: Share of the rows that it is to hold, as many left out below as above.
        residuals: What actual minus predicted lay between, in units of the target, by challenger.
    """

    level: float
    residuals: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class StatedErrors:
    """Of backtest.json, what a regression promised."""

    interval: ErrorInterval | None = None


@dataclass(frozen=True, kw_only=True)
class BacktestRecord(StatedErrors):
    """backtest.json: losses at earlier origins, and what was chosen from them."""

    loss: str
    origins: tuple[OriginRecord, ...]
    decide: Absent[dict[str, ChosenThreshold]] = None


def competed_as(challenger: str, names: Collection[str]) -> str:
    """The name under which a challenger competed: a window that held the same rows as another did so as the other."""
    window = next((kind for kind in (*SHORTER, "all") if challenger.endswith(kind)), "")
    prefix = challenger.removesuffix(window)
    others = (f"{prefix}{kind}" for kind in ("all", *SHORTER))
    return challenger if challenger in names else next((name for name in others if name in names), challenger)


def recipes_of(tuned: FoundRecord, train: TrainParams, *, loss: str, reweight: bool) -> dict[RecipeKind, Recipe]:
    """The recipes that compete, from what `tune` wrote; two that are the same are one."""

    def made(record: FoundRecord) -> Recipe:
        model = record.model or train.model
        return Recipe(model, loss, record.hyperparameters, record.rounds, train.seed, reweight, train.class_balance)

    searched, champion = made(tuned), None if tuned.champion is None else made(tuned.champion)
    return {"found": searched} if champion in (None, searched) else {"found": searched, "champion": champion}


def challengers_of(
    recipes: Mapping[RecipeKind, Recipe], windows: Sequence[WindowKind], rows: int, *, lengths: WindowLengths
) -> list[Challenger]:
    """Every recipe on every window that differs on a past of `rows` rows."""
    differing = lengths.competing(windows, rows)
    return [Challenger(recipe, kind, window) for kind, recipe in recipes.items() for window in differing]


class BacktestParams(SettingsSection):
    """The recipe, refitted as of earlier dates (origins) and scored on the rows after them."""

    origins: int = Field(
        default=3, ge=1, description="number of earlier dates (origins) at which the recipe is refitted"
    )
    origin_rows: Annotated[int, FOLLOWS] = Field(default=336, ge=2, description="number of rows scored at each origin")


@dataclass(frozen=True)
class ProbeCost:
    """Cost of a check's probe.

    Args:
        work: Training rows times boosting rounds, over all fits of the probe.
        retraining: Training rows times boosting rounds of the retraining that the probe may start.
        cost: The retraining cost times `work` over `retraining`, in mean loss times checks.
    """

    work: int
    retraining: int
    cost: float

    @classmethod
    def of(cls, work: int, retraining: int, *, retraining_cost: float) -> "ProbeCost":
        """That of so much work beside a retraining's, at its cost."""
        return cls(work, retraining, retraining_cost * work / retraining if retraining else 0.0)


def retraining_work(
    rows: int,
    rounds: int,
    *,
    mode: Mode,
    windows: Sequence[WindowKind],
    recipes: Sequence[RecipeKind],
    sliding_rows: int,
    backtest: BacktestParams,
    tune: TuneParams,
) -> int:
    """Rows times rounds of all fits of a retraining: challengers, the backtest's origins, the trials of its mode."""
    pasts = [rows] + [max(rows - number * backtest.origin_rows, 0) for number in range(1, backtest.origins + 1)]
    fitted = sum(min(past, sliding_rows) if kind == "sliding" else past for past in pasts for kind in windows)
    trials = tune.trials if mode == "search" else 0
    folds = sum(max(rows - number * tune.fold_rows, 0) for number in range(1, tune.folds + 1))
    return rounds * (fitted * (len(recipes) if trials else 1) + trials * folds)
