"""Proxies of a forbidden column: a planted one is found, and what is unrelated is not."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest

from retrim.features.view import FeatureView
from retrim.gate.proxies import Proxy, proxies, proxy_warnings, turns_of
from retrim.stats.codec import from_record, to_record
from tests.builders.fairness import make_fairness

PARAMS = make_fairness(proxies={"rows": 400}).proxies
FEATURES = ("a", "b", "c")


def view(features: Iterable[str] = FEATURES) -> FeatureView:
    return FeatureView(dict.fromkeys(features, "number"), {}, "y", "regression", ())


def rows(seed: int, n: int = 400, features: Iterable[str] = FEATURES) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    sex = np.array(["f", "m"])[draw.integers(2, size=n)]
    return pd.DataFrame({name: draw.normal(size=n) for name in features} | {"sex": pd.Series(sex, dtype="str")})


def look(frame: pd.DataFrame) -> list[Proxy]:
    features = [name for name in frame if name != "sex"]
    return proxies("sex", frame["sex"], frame, view(features), PARAMS, confidence=0.95)


def test_a_planted_proxy_is_found_and_told_first() -> None:
    frame = rows(1)
    found = look(frame.assign(b=frame["b"] + 2.0 * (frame["sex"] == "m")))
    together, best, *others = found

    assert together.feature is None
    assert best.feature == "b"
    assert [proxy.feature for proxy in proxy_warnings(found, PARAMS, confidence=0.95)] == [None, "b"]
    # Two unit normals two apart: the area is Phi(2 / sqrt 2).
    assert best.auc == pytest.approx(0.921, abs=0.03)
    assert best.interval[0] <= 0.921 <= best.interval[1]
    assert all(proxy.auc < 0.6 for proxy in others)


@pytest.mark.parametrize(("confidence", "turns"), [(0.95, 39), (0.99, 99), (0.999, 999)])
def test_the_column_is_turned_as_often_as_the_confidence_needs(confidence: float, turns: int) -> None:
    assert turns_of(confidence) == turns
    assert Proxy("sex", "b", 0.9, (0.9, 0.9), 0.6, p_value=1 / (1 + turns)).is_found(confidence)


def test_features_that_tell_only_together_are_found_together() -> None:
    frame = rows(2, 2000)
    odd = (frame["a"] > 0) ^ (frame["b"] > 0)
    found = proxies(
        "sex",
        pd.Series(np.where(odd, "m", "f"), dtype="str"),
        frame,
        view(),
        PARAMS.model_copy(update={"rows": 2000, "rounds": 20}),
        confidence=0.95,
    )

    assert found[0].auc > 0.9
    assert all(proxy.auc < 0.6 for proxy in found[1:])


@pytest.mark.slow
def test_unrelated_features_are_found_no_more_often_than_asked() -> None:
    worlds = [look(rows(seed, features="abcdefgh")) for seed in range(100, 140)]
    found = [any(proxy.is_found(0.95) for proxy in each[1:]) for each in worlds]

    assert sum(found) <= 5  # 40 worlds at 5%: 2 expected, more than 5 in 1 of 70


@pytest.mark.slow
def test_columns_that_merely_drift_slowly_are_no_proxies_of_one_another() -> None:
    wrong = 0
    for seed in range(20):
        draw = np.random.default_rng(seed)
        walk = np.cumsum(draw.normal(size=(400, 2)), axis=0)
        frame = rows(seed).assign(a=walk[:, 0], sex=pd.Series(np.where(walk[:, 1] > np.median(walk[:, 1]), "m", "f")))
        wrong += look(frame)[1].is_found(0.95)

    assert wrong <= 4


@pytest.mark.slow
def test_a_number_and_many_categories_are_guessed_by_cells() -> None:
    frame = rows(3)
    number = frame["a"] + 0.1 * frame["b"]
    names = pd.Series([f"c{int(value)}" for value in np.clip(frame["a"] * 4, -20, 20)], dtype="str")
    for column in (number, names):
        found = proxies("sex", column, frame, view(), PARAMS, confidence=0.95)

        assert found[1].feature == "a"
        assert found[1].is_found(0.95)


def test_a_column_of_one_value_has_no_proxies() -> None:
    assert look(rows(4).assign(sex="f")) == []


def test_the_same_rows_give_the_same_proxies() -> None:
    assert look(rows(5)) == look(rows(5))


def test_a_proxy_is_kept_as_json() -> None:
    found = look(rows(6))

    assert [from_record(Proxy, to_record(proxy)) for proxy in found] == found
