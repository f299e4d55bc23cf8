"""Weights that make group and label independent."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from retrim.training.groups import reweighting


@settings(deadline=None, max_examples=60)
@given(some.integers(0, 10_000), some.integers(2, 5), some.integers(2, 3), some.integers(30, 200))
def test_weighted_group_and_label_are_independent(seed: int, groups: int, classes: int, rows: int) -> None:
    draw = np.random.default_rng(seed)
    names = draw.integers(groups, size=rows).astype(str).astype(object)
    labels = draw.integers(classes, size=rows)
    weights = reweighting(names, labels)
    for name in set(names):
        for label in set(labels.tolist()):
            cell = weights[(names == name) & (labels == label)].sum()
            if cell:  # a pair that no row has cannot be given weight
                assert cell == pytest.approx((names == name).sum() * (labels == label).sum() / rows)


def test_weights_are_those_worked_by_hand() -> None:
    # 4 of 6 are women, 3 of 6 are positive; 1 woman is: 4 x 3 / (6 x 1) = 2. Kamiran and Calders' formula.
    names = np.array(["f", "f", "f", "f", "m", "m"], dtype=object)
    labels = np.array([1, 0, 0, 0, 1, 1])

    assert reweighting(names, labels) == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3, 0.5, 0.5])


def test_weights_are_one_where_groups_have_their_labels_in_the_same_shares() -> None:
    assert reweighting(np.array(["f", "f", "m", "m"], dtype=object), np.array([0, 1, 0, 1])).tolist() == [1.0] * 4
