"""Weights that make group and label independent, and thresholds that make a rate alike."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from retrim.stats.codec import from_record, to_record
from retrim.training.groups import GroupParams, Thresholds, group_thresholds, reweighting

SEX = (GroupParams(column="sex", cuts=(), least_rows=20),)


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


def scores(rows: int = 4000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chances, outcomes, groups; those of the second group are told too low."""
    draw = np.random.default_rng(9)
    names = np.array(["sex f", "sex m"], dtype=object)[draw.integers(2, size=rows)]
    chance = draw.beta(1, 2, size=rows)
    actual = (draw.uniform(size=rows) < chance).astype(int)
    return np.where(names == "sex m", chance * 0.6, chance), actual, names


RATES = {
    "selection_rate": lambda actual: np.ones(len(actual), dtype=bool),
    "false_positive_rate": lambda actual: actual == 0,
    "false_negative_rate": lambda actual: actual == 1,
}


@pytest.mark.parametrize("equalise", sorted(RATES))
def test_each_rate_can_be_made_alike(equalise: str) -> None:
    told, actual, names = scores()
    found = group_thresholds(told, actual, names, SEX, default=0.4, equalise=equalise)  # type: ignore[arg-type]
    selected = told >= np.array([found.by_group[name] for name in names])
    counted = RATES[equalise](actual)
    rates = [selected[counted & (names == name)].mean() for name in ("sex f", "sex m")]
    before = [(told >= 0.4)[counted & (names == name)].mean() for name in ("sex f", "sex m")]

    assert abs(before[0] - before[1]) > 0.1
    assert rates[0] == pytest.approx(rates[1], abs=0.005)
    assert selected.mean() == pytest.approx((told >= 0.4).mean(), abs=0.005)


def test_a_group_with_too_few_rows_keeps_the_threshold_of_everyone() -> None:
    told, actual, names = scores()
    names = names.copy()
    names[:10] = "sex x"
    found = group_thresholds(told, actual, names, SEX, default=0.4, equalise="selection_rate")

    assert found.small == {"sex x": 10}
    assert "sex x" not in found.by_group


def test_thresholds_are_kept_as_json() -> None:
    told, actual, names = scores()
    found = group_thresholds(told, actual, names, SEX, default=0.4, equalise="selection_rate")

    assert from_record(Thresholds, json.loads(json.dumps(to_record(found)))) == found
