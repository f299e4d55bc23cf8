"""A recipe and the rows it is fitted on: what train, backtest and the probe share."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from retrim.core.balance import Balance, fit_balanced
from retrim.core.fairness.reweight import GROUP, reweighting
from retrim.core.frames import rows_at
from retrim.core.models import MODELS, Model
from retrim.core.own_code import is_own, parts_of
from retrim.core.section import Section
from retrim.core.view import FeatureView
from retrim.errors import BadInputError, UnknownNameError

WindowKind = Literal["all", "sliding"]
RecipeKind = Literal["found", "champion"]
Item = TypeVar("Item")
Result = TypeVar("Result")


class TrainParams(Section):
    """The challengers."""

    model: str = Field(description="kind of model")
    windows: tuple[WindowKind, ...] = Field(min_length=1, description="training windows that compete")
    recipes: tuple[RecipeKind, ...] = Field(min_length=1, description="recipes that compete in a search or warm start")
    balance: Balance | None = Field(description="weights, sample or null: whether classes count alike in a fit")
    seed: int = Field(ge=0)

    @field_validator("recipes")
    @classmethod
    def _with_what_was_found(cls, kinds: tuple[RecipeKind, ...]) -> tuple[RecipeKind, ...]:
        if "found" not in kinds:
            raise ValueError("found is missing: a search whose result does not compete is for nothing; add it")
        return kinds

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


@dataclass(frozen=True)
class Recipe:
    """All that a fit needs but the rows.

    `reweight` says whether these are weighted by group and label, `balance` whether and how classes count alike.
    """

    model: str
    loss: str
    hyperparameters: dict[str, Any]
    rounds: int
    seed: int
    reweight: bool = False
    balance: Balance | None = None

    def as_record(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "loss": self.loss,
            "hyperparameters": self.hyperparameters,
            "rounds": self.rounds,
            "seed": self.seed,
            "reweight": self.reweight,
            "balance": self.balance,
        }


def training_rows(past: np.ndarray, kind: WindowKind, *, sliding_rows: int) -> np.ndarray:
    """Row numbers of a training window: all the past, or its newest `sliding_rows`."""
    return past[-sliding_rows:] if kind == "sliding" else past


def distinct(windows: Sequence[WindowKind], rows: int, *, sliding_rows: int) -> list[WindowKind]:
    """The windows that differ on a past of `rows` rows: a sliding one that holds all of it is left out."""
    if "all" in windows and rows <= sliding_rows:
        return ["all"]
    return list(windows)


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
        recipe: What is fitted. One that reweights finds the group of each row in the column `GROUP`.
        view: Learned on the past.
        rows: In total order.
        threads: Changes no result.
        take: Row numbers that are fitted on, ascending; None: all.
        past: Row numbers that steps see which look back from these, ascending, those among them; None: all.
    """
    if take is not None and not view.steps:
        rows, take = rows_at(rows, take), None
    elif past is not None and view.steps:
        rows, take = rows.iloc[past], None if take is None else np.searchsorted(past, take)
    made = view.training(rows, take)
    wanted = np.ones(len(made.places), dtype=bool) if take is None else np.isin(made.places, take)
    whole = bool(wanted.all())
    matrix = made.matrix if whole else np.asarray(made.matrix)[wanted]
    rows = rows if whole and len(made.places) == len(rows) else rows.iloc[made.places[wanted]]
    actual = view.actual(rows)
    return fit_balanced(
        recipe.model,
        recipe.balance,
        view,
        matrix,
        actual,
        loss=recipe.loss,
        hyperparameters=recipe.hyperparameters,
        rounds=recipe.rounds,
        weights=reweighting(rows[GROUP].to_numpy(), actual) if recipe.reweight else None,
        stop=None,
        patience=0,
        seed=recipe.seed,
        threads=threads,
    ).model


def in_parallel(work: Callable[[Item, int], Result], items: Sequence[Item], *, cores: int) -> list[Result]:
    """`work(item, threads)` for each item, as many at once as there are cores; results in order of the items.

    Fits times threads never exceed the cores. Neither number changes a result.
    """
    if not items:
        return []
    workers = min(cores, len(items))
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(lambda item: work(item, cores // workers), items))
