"""How much a feature tells of the target, and how columns hang together: figures of theory."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.findings import findings
from retrim.profile.pairs import related, uncertainty
from tests.builders.look_tables import answers, looked

ROWS = 20_000


def test_a_feature_that_is_the_target_tells_all() -> None:
    codes = np.repeat([0, 1, 2], 1000)

    assert uncertainty(codes, codes) == pytest.approx(1, abs=0.002)


def test_a_feature_of_chance_tells_nothing() -> None:
    draw = np.random.default_rng(1)

    assert uncertainty(draw.integers(10, size=ROWS), draw.integers(2, size=ROWS)) < 0.001


def test_what_a_noisy_channel_tells_is_its_capacity() -> None:
    # A fair bit that is turned in 1 of 10: 1 + 0.1 log2 0.1 + 0.9 log2 0.9 = 0.531 bits of 1.
    draw = np.random.default_rng(1)
    bit = draw.integers(2, size=ROWS)
    turned = np.where(draw.uniform(size=ROWS) < 0.1, 1 - bit, bit)

    assert uncertainty(turned, bit) == pytest.approx(0.531, abs=0.02)


def test_spearman_of_normals_is_that_of_theory() -> None:
    # 6 / pi * arcsin(r / 2) for a bivariate normal: 0.786 of r = 0.8 (Kruskal 1958).
    draw = np.random.default_rng(1)
    one = draw.normal(size=ROWS)
    other = 0.8 * one + 0.6 * draw.normal(size=ROWS)
    found = related(pd.DataFrame({"a": one, "b": np.exp(other)}), {"a": "number", "b": "number"})

    assert found.strength[0, 1] == pytest.approx(0.786, abs=0.012)


def test_cramer_of_a_noisy_channel_is_its_correlation() -> None:
    # Of a table of two by two V is the correlation: 1 - 2 * 0.1 for a fair bit turned in 1 of 10.
    draw = np.random.default_rng(1)
    bit = draw.integers(2, size=ROWS)
    turned = np.where(draw.uniform(size=ROWS) < 0.1, 1 - bit, bit)
    frame = pd.DataFrame({"a": bit.astype("str"), "b": turned.astype("str")}, dtype="str")

    assert related(frame, {"a": "category", "b": "category"}).strength[0, 1] == pytest.approx(0.8, abs=0.02)


def test_the_correlation_ratio_of_two_groups_is_that_of_theory() -> None:
    # The lower half of the ranks in one group, the upper in the other: means -a and a of a uniform of variance 1,
    # a = sqrt(3) / 2, so the root of the share between groups is 0.866.
    frame = pd.DataFrame({"n": np.arange(ROWS, dtype="float64")})
    frame["c"] = pd.Series(np.where(frame["n"] < ROWS / 2, "low", "high"), dtype="str")

    assert related(frame, {"n": "number", "c": "category"}).strength[0, 1] == pytest.approx(0.866, abs=0.001)


def test_columns_of_chance_do_not_hang_together() -> None:
    draw = np.random.default_rng(1)
    frame = pd.DataFrame({"n": draw.normal(size=ROWS), "m": draw.normal(size=ROWS)})
    frame["c"] = pd.Series(draw.choice(list("abcdefgh"), ROWS), dtype="str")
    frame["d"] = pd.Series(draw.choice(list("abcdefgh"), ROWS), dtype="str")
    found = related(frame, {"n": "number", "m": "number", "c": "category", "d": "category"})

    assert np.abs(found.strength - np.eye(4)).max() < 0.03


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_hardly_any_rows_say_nothing(rows: int) -> None:
    frame = pd.DataFrame({"n": np.arange(rows, dtype="float64"), "c": pd.Series(["x"] * rows, dtype="str")})

    assert np.isfinite(related(frame, {"n": "number", "c": "category"}).strength).all()


def test_a_number_that_is_a_sum_of_others_is_a_finding() -> None:
    draw = np.random.default_rng(1)
    one, two = draw.normal(size=2000), draw.normal(size=2000)
    look = looked({"a": one, "b": two, "sum": one + two}, answers(2000))

    assert {note.column for note in findings(look) if note.about == "collinear"} == {"a", "b", "sum"}
