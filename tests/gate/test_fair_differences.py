"""Differences between groups: refused where they are certain, and hardly ever where groups are equal."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from retrim.gate.fairness import (
    GroupedModel,
    MeasuredModel,
    by_group,
    draw_groups,
    fairness_checks,
    furthest,
    measure_groups,
)
from retrim.stats.bootstrap import Resampling
from retrim.stats.codec import from_record, to_json, to_record
from retrim.training.groups import Outcomes
from tests.builders.fairness import make_fairness

HOW = Resampling(block_rows=10, draws=300, seed=7)
GROUPS = [{"column": "sex", "cuts": [], "least_rows": 30}]
MISSES = "false_negative_rate"


def world(seed: int, *, rows: int = 600, non_inferiority: float = 0.0, groups: int = 2) -> tuple[Outcomes, np.ndarray]:
    """Binary outcomes of a calibrated model; chances of the last group are told too low by `harm`."""
    draw = np.random.default_rng(seed)
    names = np.array([f"g{place}" for place in range(groups)], dtype=object)[draw.integers(groups, size=rows)]
    chance = draw.beta(1.0, 1.5, size=rows)
    actual = (draw.uniform(size=rows) < chance).astype(int)
    told = np.clip(chance - non_inferiority * (names == f"g{groups - 1}"), 0, 1)
    return Outcomes.of("binary", actual, told, threshold=0.4), names


def refused(seed: int, *, limit: float, **how: Any) -> bool:
    outcomes, names = world(seed, **how)
    known = tuple(sorted(set(names)))
    found = draw_groups(outcomes, names, known, MISSES, HOW)
    apart = furthest(found, found.counts >= 30, confidence=0.95)
    return apart is not None and apart.interval[0] > limit


def checks_of(outcomes: Outcomes, names: np.ndarray, **changed: Any) -> list[Any]:
    params = make_fairness(**{"groups": GROUPS, "at_most": {MISSES: 0.1}, **changed})
    rows = pd.DataFrame({"sex": pd.Series(names, dtype="str")})
    model = GroupedModel("challenger", outcomes, np.zeros(len(names)))
    standing = measure_groups(model, rows, params, HOW, confidence=0.95)
    return fairness_checks(standing, params)


@pytest.mark.slow
@pytest.mark.parametrize("groups", [2, 5])
def test_equal_groups_pass_in_95_of_100_worlds_even_where_no_difference_is_allowed(groups: int) -> None:
    wrong = sum(refused(seed, limit=0.0, groups=groups) for seed in range(200))

    assert wrong <= 200 * 0.05 + 4  # 4: one standard error and a third of 200 draws at 5%


def test_a_harmed_group_is_refused_in_nine_of_ten_worlds() -> None:
    found = sum(refused(seed, limit=0.1, non_inferiority=0.2, rows=1200) for seed in range(60))

    assert found >= 54


def test_the_refusal_names_group_and_figure() -> None:
    outcomes, names = world(1, non_inferiority=0.3, rows=1200)
    (check,) = checks_of(outcomes, names)
    top, bottom = (outcomes.parts(MISSES)[part][names == "g1"].sum() for part in (0, 1))

    assert not check.passed
    assert check.name == "fairness: sex false negative rate"
    assert check.text.startswith(f"false negative rate of sex g1 {top / bottom:.3g} against")


def test_a_difference_within_its_limit_passes() -> None:
    outcomes, names = world(1, non_inferiority=0.3, rows=1200)
    (check,) = checks_of(outcomes, names, at_most={MISSES: 0.9})

    assert check.passed


def test_a_small_group_is_named_and_not_judged() -> None:
    outcomes, names = world(2)
    few = names.copy()
    few[:40] = "rare"  # far fewer than 30 of these are positive
    (check,) = checks_of(outcomes, few)

    assert "30 rows: rare (" in check.text


def test_one_group_alone_has_nothing_to_differ_from() -> None:
    outcomes, names = world(3)
    (check,) = checks_of(outcomes, np.full(len(names), "one", dtype=object))

    assert check.passed
    assert check.interval is None
    assert "fewer than two groups" in check.text


def test_misses_that_come_as_often_as_the_blocks_are_not_certain() -> None:
    # 5 of 30 against 0 of 30, one miss in every block of 12: the draws have no spread at all. Fisher's test: p = 0.052.
    names = np.tile(np.array(["a", "b"], dtype=object), 30)
    selected = np.ones(60)
    selected[1::12] = 0
    how = Resampling(500, 12, 7)
    found = draw_groups(Outcomes("binary", np.ones(60), selected, selected), names, ("a", "b"), MISSES, how)
    apart = furthest(found, np.array([True, True]), confidence=0.95)

    assert apart is not None
    assert apart.figure == pytest.approx(5 / 30)
    assert apart.interval[0] < 0


@pytest.mark.slow
def test_many_limits_refuse_equal_groups_no_more_often_than_one() -> None:
    limits = dict.fromkeys((MISSES, "false_positive_rate", "selection_rate", "error_rate"), 0.0)
    wrong = 0
    for seed in range(20):
        outcomes, names = world(seed, rows=300)
        wrong += not all(check.passed for check in checks_of(outcomes, names, at_most=limits))

    assert wrong <= 3


def test_figures_are_those_of_fairlearn() -> None:
    # By hand: group a has outcomes 1 1 0 0, selected 1 0 1 0; group b has 1 0 0 0, selected 0 0 0 1.
    actual = np.array([1, 1, 0, 0, 1, 0, 0, 0])
    told = np.array([0.9, 0.1, 0.8, 0.2, 0.3, 0.1, 0.2, 0.7])
    names = np.array(["a"] * 4 + ["b"] * 4, dtype=object)
    found = by_group(Outcomes.of("binary", actual, told, threshold=0.5), names, ("a", "b"))

    assert found["selection_rate"] == {"a": 0.5, "b": 0.25}
    assert found["false_positive_rate"] == {"a": 0.5, "b": pytest.approx(1 / 3)}
    assert found[MISSES] == {"a": 0.5, "b": 1.0}
    assert found["error_rate"] == {"a": 0.5, "b": 0.5}
    assert found["mean_error"] == {"a": pytest.approx(0.0), "b": pytest.approx(0.075)}


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(some.integers(0, 10_000), some.sampled_from(["binary", "regression"]), some.integers(20, 80))
def test_the_figures_of_the_draws_are_fairlearns(seed: int, task: str, rows: int) -> None:
    draw = np.random.default_rng(seed)
    names = np.array(["a", "b", "c"], dtype=object)[draw.integers(3, size=rows)]
    actual = draw.integers(2, size=rows) if task == "binary" else draw.normal(size=rows)
    outcomes = Outcomes.of(task, actual, draw.uniform(size=rows), threshold=0.5)
    known = tuple(sorted(set(names)))
    shown = by_group(outcomes, names, known)
    for measure in outcomes.measures:
        own = draw_groups(outcomes, names, known, measure, Resampling(10, 5, 7))

        assert own.values.tolist() == pytest.approx(
            [np.nan if value is None else value for value in shown[measure].values()], nan_ok=True
        )


def test_a_regression_is_judged_by_its_mean_error() -> None:
    draw = np.random.default_rng(4)
    actual, names = draw.normal(size=600), np.array(["a", "b"], dtype=object)[draw.integers(2, size=600)]
    told = actual + draw.normal(scale=0.5, size=600) - 0.5 * (names == "b")
    outcomes = Outcomes.of("regression", actual, told, threshold=0.5)
    (check,) = checks_of(outcomes, names, at_most={MISSES: None, "mean_error": 0.2})

    assert not check.passed
    assert check.text.startswith("mean error of sex a ")


def test_several_classes_are_judged_by_the_share_that_is_wrong() -> None:
    draw = np.random.default_rng(5)
    actual = draw.integers(3, size=600)
    names = np.array(["a", "b"], dtype=object)[draw.integers(2, size=600)]
    right = draw.uniform(size=600) < np.where(names == "b", 0.4, 0.8)
    told = np.eye(3)[np.where(right, actual, (actual + 1) % 3)] * 0.7 + 0.1
    outcomes = Outcomes.of("multiclass", actual, told, threshold=0.5)
    (check,) = checks_of(outcomes, names, at_most={MISSES: None, "error_rate": 0.1})

    assert not check.passed
    assert check.text.startswith("error rate of sex b ")


def test_a_group_whose_mean_error_is_near_0_has_a_record() -> None:
    names = np.array(["a", "b"] * 100, dtype=object)
    errors = np.random.default_rng(0).normal(size=200)
    for name, mean in (("a", 1e-4), ("b", 0.3)):
        errors[names == name] += mean - errors[names == name].mean()
    outcomes = Outcomes.of("regression", np.zeros(200), errors, threshold=0.5)
    rows = pd.DataFrame({"sex": pd.Series(names, dtype="str")})
    standing = measure_groups(
        GroupedModel("challenger", outcomes, np.abs(errors)), rows, make_fairness(groups=GROUPS), HOW, confidence=0.95
    )
    found = from_record(MeasuredModel, json.loads(to_json(to_record(standing))))
    apart = found.columns[0].differences["mean_error"]

    assert apart is not None
    assert apart.ratio == pytest.approx(1e-4 / 0.3)
    assert apart.ratio_interval is None
