"""Who competes in a run: recipes times training windows, each pair once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrim.core.training import Recipe, RecipeKind, TrainParams, WindowKind, distinct

REFITTED = "refit-"  # before the training window, in the name of the champion's recipe beside another


@dataclass(frozen=True)
class Challenger:
    """One recipe on one training window.

    Args:
        recipe: What it is fitted with.
        kind: Where that came from: found by this run's mode, or the champion's own, refitted.
        window: Rows it is fitted on.
    """

    recipe: Recipe
    kind: RecipeKind
    window: WindowKind

    @property
    def name(self) -> str:
        """Its folder in the bundle, and its name in the verdict: `all`, or `refit-all` with the champion's recipe."""
        return self.window if self.kind == "found" else f"{REFITTED}{self.window}"


def recipes_of(tuned: Mapping[str, Any], train: TrainParams, *, loss: str, reweight: bool) -> dict[RecipeKind, Recipe]:
    """The recipes that compete, from what `tune` wrote; two that are the same are one.

    Args:
        tuned: Record of tuning/hyperparameters.json. `champion` in it is the champion's recipe, where it competes.
            A record that names its `model` was copied: it may be another than that of params.yaml.
        train: Kind of model, seed, and whether classes count alike.
        loss: That a model is fitted for.
        reweight: Whether training rows are weighted, so that group and label are independent.
    """
    own = tuned.get("champion")
    given: dict[RecipeKind, Any] = {"found": tuned} | ({} if own is None else {"champion": own})
    made = {
        kind: Recipe(
            record.get("model", train.model),
            loss,
            record["hyperparameters"],
            record["rounds"],
            train.seed,
            reweight,
            train.balance,
        )
        for kind, record in given.items()
    }
    if made.get("champion") == made["found"]:
        del made["champion"]
    return made


def windows_of(tuned: Mapping[str, Any], train: TrainParams) -> tuple[WindowKind, ...]:
    """The training windows that compete: the one that `tune` names where a recipe is fitted once more, else the set."""
    return (tuned["window"],) if "window" in tuned else train.windows


def challengers_of(
    recipes: Mapping[RecipeKind, Recipe], windows: Sequence[WindowKind], rows: int, *, sliding_rows: int
) -> list[Challenger]:
    """Every recipe on every window that differs on a past of `rows` rows."""
    kept = distinct(windows, rows, sliding_rows=sliding_rows)
    return [Challenger(recipe, kind, window) for kind, recipe in recipes.items() for window in kept]
