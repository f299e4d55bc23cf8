"""Missing cells: figures by hand, and a tree that tells a cell from its neighbours."""

import numpy as np
import pytest

from tests.builders.one import learn, made, numbers, past, words


@pytest.mark.parametrize(("name", "value"), [("fill_mean", 4.0), ("fill_median", 2.0), ("fill_mode", 2.0)])
def test_a_missing_number_is_filled_with_what_training_has_in_the_middle(name: str, value: float) -> None:
    assert made(name, past({"km": numbers(2, None, 2, 8)}))["km"] == [2, value, 2, 8]


def test_of_levels_as_frequent_as_one_another_the_first_in_order_fills() -> None:
    assert made("fill_mode", past({"weather": words("rain", "dry", None)}))["weather"] == ["rain", "dry", "dry"]


def test_the_indicator_says_which_cells_are_missing_and_leaves_them() -> None:
    assert made("missing_indicator", past({"km": numbers(1, None)})) == {"km:missing": [0.0, 1.0]}


def test_a_tree_fills_a_number_from_the_column_that_goes_with_it() -> None:
    size = np.repeat([1.0, 5.0], 50)
    weight = np.where(size == 1, 10.0, 70.0)
    weight[[3, 60]] = np.nan
    filled = made("fill_model", past({"size": size, "weight": weight}), leaves=4)

    assert [filled["weight"][place] for place in (3, 60)] == pytest.approx([10, 70])
    assert list(filled) == ["weight"]


def test_a_tree_fills_a_level_from_a_number() -> None:
    size = np.repeat([1.0, 5.0], 50)
    kind = words(*np.where(size == 1, "box", "crate").tolist())
    kind[[3, 60]] = None

    assert [made("fill_model", past({"size": size, "kind": kind}), leaves=4)["kind"][place] for place in (3, 60)] == [
        "box",
        "crate",
    ]


def test_a_tree_says_what_scikit_learn_says() -> None:
    from sklearn.tree import DecisionTreeRegressor

    draw = np.random.default_rng(3)
    size = draw.normal(size=400)
    weight = size**2 + draw.normal(size=400) / 5
    gone = np.arange(0, 400, 9)
    hidden = weight.copy()
    hidden[gone] = np.nan
    there = ~np.isnan(hidden)
    scale = np.abs(hidden[there]).max()
    tree = DecisionTreeRegressor(max_leaf_nodes=12, min_samples_leaf=20, random_state=0)
    tree.fit(size[there, None], hidden[there] / scale)

    filled = np.array(made("fill_model", past({"size": size, "weight": hidden}), leaves=12)["weight"])

    assert filled[gone] == pytest.approx(tree.predict(size[gone, None]) * scale, rel=1e-12)


def test_a_column_that_misses_nothing_in_training_is_left_alone() -> None:
    learned = learn("fill_model", past({"a": numbers(1, 2), "b": numbers(1, 2)}), leaves=4)

    assert learned.makes == {}
