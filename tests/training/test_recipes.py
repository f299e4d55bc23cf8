"""Who competes: recipes from what was tuned, each on every window that differs."""

from dataclasses import replace

import pytest

from retrim.training.recipe import FoundRecord, TrainParams, WindowLengths, challengers_of, recipes_of

TRAIN = TrainParams(model="gbm", windows=("all", "sliding"), recipes=("found", "champion"), balance=None, seed=7)
FOUND = FoundRecord({"num_leaves": 4}, 9)


@pytest.mark.parametrize(
    ("champion", "kinds"),
    [
        (None, ["found"]),
        (FoundRecord({"num_leaves": 4}, 8), ["found", "champion"]),
        (FoundRecord({"num_leaves": 5}, 9), ["found", "champion"]),
        (FoundRecord({"num_leaves": 4}, 9), ["found"]),
    ],
)
def test_the_champions_recipe_competes_if_it_is_another(champion: FoundRecord | None, kinds: list[str]) -> None:
    assert list(recipes_of(replace(FOUND, champion=champion), TRAIN, loss="mae", reweight=False)) == kinds


@pytest.mark.parametrize(
    ("rows", "names"), [(11, ["all", "sliding", "refit-all", "refit-sliding"]), (10, ["all", "refit-all"])]
)
def test_every_recipe_is_fitted_on_every_window_that_differs(rows: int, names: list[str]) -> None:
    recipes = recipes_of(replace(FOUND, champion=replace(FOUND, rounds=3)), TRAIN, loss="mae", reweight=False)
    found = challengers_of(recipes, TRAIN.windows, rows, lengths=WindowLengths(10))

    assert [each.name for each in found] == names


def test_a_champion_of_another_kind_competes_as_what_it_is() -> None:
    champion = FoundRecord({"l2": 0.1}, 1, "linear")
    made = recipes_of(replace(FOUND, champion=champion), TRAIN, loss="mae", reweight=False)

    assert {kind: recipe.model for kind, recipe in made.items()} == {"found": "gbm", "champion": "linear"}
