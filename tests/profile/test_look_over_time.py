"""Drift over a table's own history."""

import numpy as np
import pytest
from scipy.stats import norm

from retrim.profile.findings import findings
from tests.builders.look_tables import answers, looked

ROWS = 4000


def test_a_column_that_moved_by_one_deviation_lies_off_by_what_theory_says() -> None:
    # The distance of two unit normals one apart: 2 Phi(1/2) - 1 = 0.383.
    draw = np.random.default_rng(1)
    values = draw.normal(size=ROWS) + np.where(np.arange(ROWS) >= ROWS // 2, 1.0, 0.0)
    effects = looked({"a": values, "b": draw.normal(size=ROWS)}, answers(ROWS)).moved["a"].effects

    assert np.nanmean(effects[-5:]) == pytest.approx(2 * norm.cdf(0.5) - 1, abs=0.06)


def test_a_column_that_did_not_move_has_no_finding() -> None:
    draw = np.random.default_rng(1)
    columns = {"a": draw.normal(size=ROWS), "c": draw.choice(list("abc"), ROWS)}
    found = findings(looked(columns, answers(ROWS)))

    assert [note.column for note in found if note.about in ("drift", "target moves")] == []


def test_small_parts_are_not_taken_for_drift() -> None:
    # 50 rows a part: ks exceeds 0.23 by chance in 1 of 100, and ten categories differ by as much.
    draw = np.random.default_rng(2)
    columns = {f"n{number}": draw.normal(size=1000) for number in range(10)}
    columns |= {f"c{number}": draw.choice(list("abcdefghij"), 1000) for number in range(10)}
    found = looked(columns, answers(1000), every="12h").moved

    assert sum(int(moved.beyond.sum()) for moved in found.values()) <= 8  # of some 280, 1 in 100 by chance


def test_a_category_that_came_later_counts_as_moved() -> None:
    draw = np.random.default_rng(1)
    values = draw.choice(["a", "b"], ROWS)
    values[ROWS // 2 :][draw.uniform(size=ROWS - ROWS // 2) < 0.4] = "c"
    effects = looked({"c": values, "n": draw.normal(size=ROWS)}, answers(ROWS)).moved["c"].effects

    assert np.nanmean(effects[-5:]) == pytest.approx(0.4, abs=0.06)


def test_a_target_that_moves_is_a_warning() -> None:
    draw = np.random.default_rng(1)
    target = list(np.where(draw.uniform(size=ROWS) < np.where(np.arange(ROWS) < ROWS // 2, 0.2, 0.6), "yes", "no"))
    found = findings(looked({"n": draw.normal(size=ROWS)}, target))

    assert [note.weight for note in found if note.about == "target moves"] == ["warn"]


def test_answers_that_are_still_to_come_are_no_drift_of_the_target() -> None:
    draw = np.random.default_rng(1)
    target: list[str | None] = list(np.where(draw.uniform(size=ROWS) < 0.1, "yes", "no"))
    target[-ROWS // 8 :] = [None] * (ROWS // 8)
    look = looked({"n": draw.normal(size=ROWS)}, target)

    assert [note.column for note in findings(look) if note.about == "target moves"] == []
    assert np.nanmax(look.moved["y"].effects) < 0.15
