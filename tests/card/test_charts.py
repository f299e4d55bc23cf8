import hashlib
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from retrim.card import charts
from retrim.card.charts import curve_of
from retrim.drift.slices import SliceLoss

RANDOM = np.random.default_rng(1)
VALUES = RANDOM.gamma(2, 100, 2000)
CHANCE = RANDOM.random(300)
SHARES = RANDOM.dirichlet(np.ones(4), 300)
TIMES = pd.date_range("2012-01-01", periods=6, freq="14D", tz="UTC")
POINTS = [(at, {"all": 50.0 + n, "sliding": 45.0 - n}) for n, at in enumerate(TIMES)]

HOURS = pd.date_range("2012-01-01", periods=2000, freq="1h", tz="UTC")
SLICED = [SliceLoss("hour", f"{n}", 10 + n, 2.0 + n, (1.0 + n, 3.5 + n), 3.0, None) for n in range(4)]


def lines(points: list[tuple[pd.Timestamp, dict[str, float]]]) -> bytes:
    return charts.lines_over_time(points, title="Loss", label="mae")


PICTURES: dict[str, Callable[[], bytes]] = {
    "importance": lambda: charts.importance(["hour", "weather"], [5.0, 2.0]),
    "hyperparameters": lambda: charts.hyperparameter_importance({"num_leaves": 0.7, "learning_rate": 0.3}),
    "contributions": lambda: charts.importance_by_contributions(
        {"hour": 5.0, "weather": 2.0}, {"hour": 1.0, "weather": 2.0}, rows=100
    ),
    "few rows": lambda: charts.predicted_against_actual(VALUES[:200], VALUES[:200] * 1.1),
    "many rows": lambda: charts.predicted_against_actual(VALUES, VALUES * 1.1),
    "two classes": lambda: charts.confusion((CHANCE > 0.5).astype(int), CHANCE, ["not yes", "yes"]),
    "four classes": lambda: charts.confusion(SHARES.argmax(axis=1), SHARES, list("abcd")),
    "calibration of two": lambda: charts.calibration((CHANCE > 0.5).astype(int), CHANCE, "binary", loss="log_loss"),
    "calibration of four": lambda: charts.calibration(SHARES.argmax(axis=1), SHARES, "multiclass", loss="log_loss"),
    "coverage": lambda: charts.calibration(VALUES, VALUES * 1.1 - 9, "regression", loss="pinball@0.9"),
    "mean residual": lambda: charts.calibration(VALUES, VALUES * 1.1 - 9, "regression", loss="mse"),
    "residuals": lambda: charts.residuals(list(HOURS), VALUES, VALUES[::-1]),
    "slices": lambda: charts.slices(SLICED, loss="mae", mean=3.0),
    "blocks": lambda: charts.lines_over_time(POINTS, title="Loss", label="mae", time="block"),
    "folds": lambda: lines(POINTS),
    "time": lambda: charts.lines_over_time(POINTS, title="Loss", label="mae", events=[(TIMES[2], "v2")]),
}
STRANGE: dict[str, Callable[[], bytes]] = {
    "no features": lambda: charts.importance([], []),
    "no gain": lambda: charts.importance(["hour", "weather"], [0.0, 0.0]),
    "200 features": lambda: charts.importance([f"feature {n}" for n in range(200)], list(range(200))),
    "a very long name": lambda: charts.importance(["n" * 300], [1.0]),
    "letters that the font lacks": lambda: charts.importance(["温度"], [1.0]),
    "markup in a name": lambda: charts.importance(["price_$_and_$", "<b>"], [1.0, 2.0]),
    "no weight": lambda: charts.importance_by_contributions({"a": 0.0}, {"a": 0.0}, rows=1),
    "200 weights": lambda: charts.importance_by_contributions(
        {f"feature {n}": float(n) for n in range(200)}, {f"feature {n}": float(n % 7) for n in range(200)}, rows=9
    ),
    "one row": lambda: charts.predicted_against_actual(np.array([3.0]), np.array([3.0])),
    "constant": lambda: charts.predicted_against_actual(np.full(2000, 3.0), np.full(2000, 3.0)),
    "one positive": lambda: charts.calibration(np.array([1]), np.array([0.2]), "binary", loss="log_loss"),
    "one class": lambda: charts.confusion(np.zeros(3, int), np.ones((3, 1)), ["only"]),
    "all unseen": lambda: charts.confusion(np.full(300, 9), SHARES, list("abcd")),
    "40 classes": lambda: charts.confusion(np.arange(40), np.eye(40), [f"class {n}" for n in range(40)]),
    "long names of classes": lambda: charts.confusion(CHANCE.astype(int), CHANCE, ["n" * 60, "$" * 60]),
    "one residual": lambda: charts.residuals([TIMES[0]], np.array([3.0]), np.array([1.0])),
    "residuals of a constant": lambda: charts.residuals([TIMES[0]] * 9, np.full(9, 3.0), np.full(9, 3.0)),
    "calibration of a constant": lambda: charts.calibration(np.ones(9), np.ones(9), "regression", loss="mae"),
    "90 slices": lambda: charts.slices(
        [
            replace(SLICED[0], column="c" * 50, name=f"{n}" * 9, loss=float(n), interval=(n - 1.0, n + 2.0))
            for n in range(90)
        ],
        loss="mae",
        mean=3.0,
    ),
    "no slices": lambda: charts.slices([], loss="mae", mean=0.0),
    "slices without a champion": lambda: charts.slices([replace(SLICED[0], other=None)], loss="mae", mean=3.0),
    "one block": lambda: charts.lines_over_time(POINTS[:1], title="Loss", label="mae", time="block"),
    "no folds": lambda: lines([]),
    "one fold": lambda: lines(POINTS[:1]),
    "a model absent": lambda: lines([*POINTS, (TIMES[0], {"floor": 90.0})]),
    "9 models": lambda: charts.lines_over_time(
        [(TIMES[0], {f"model {n}": n for n in range(9)})], title="Loss", label="mae"
    ),
    "no time zone": lambda: charts.lines_over_time(
        [(pd.Timestamp("2012-01-01"), {"all": 1.0})], title="Loss", label="mae"
    ),
}


@cache
def drawn(name: str) -> bytes:
    """The picture as drawn first; what is drawn again is compared with it."""
    return {**PICTURES, **STRANGE}[name]()


def size(png: bytes) -> tuple[int, int]:
    return struct.unpack(">II", png[16:24])


def chunks(png: bytes) -> set[bytes]:
    kinds, at = set(), 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kinds.add(png[at + 4 : at + 8])
        at += length + 12
    return kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", [*PICTURES, *STRANGE])
@pytest.mark.filterwarnings("error")
def test_every_picture_is_a_png_of_readable_size(name: str):
    png = drawn(name)

    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert all(200 <= side <= 2000 for side in size(png))


def test_two_releases_at_one_moment_are_marked_beside_each_other():
    def marked(*words: str) -> bytes:
        return charts.lines_over_time(POINTS, title="Loss", label="mae", events=[(TIMES[2], word) for word in words])

    assert marked("v2", "v3") == marked("v2, v3")


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_figures_give_the_same_bytes(name: str):
    assert PICTURES[name]() == drawn(name)


@pytest.mark.slow
def test_another_process_gives_the_same_bytes():
    script = (
        "import hashlib, sys; from retrim.card import charts;"
        "print(hashlib.sha256(charts.importance(['hour', 'weather'], [5.0, 2.0])).hexdigest());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.split() == [hashlib.sha256(drawn("importance")).hexdigest(), "False"]


def test_unlike_figures_give_unlike_pictures():
    assert drawn("importance") != charts.importance(["hour", "weather"], [5.0, 3.0])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_holds_no_version_and_no_date(name: str):
    assert chunks(drawn(name)) & {b"tEXt", b"iTXt", b"zTXt", b"tIME"} == set()


def test_a_persons_own_settings_do_not_change_the_bytes():
    usual = drawn("folds")
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "axes.facecolor": "black", "savefig.dpi": 20}):
        assert PICTURES["folds"]() == usual


def test_drawing_leaves_a_persons_settings_as_they_were():
    before = dict(mpl.rcParams)
    PICTURES["many rows"]()

    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("span", ["165s", "2.7h", "2.7D", "1000D"])
def test_dates_of_any_span_have_marks(span: str) -> None:
    # Of some spans matplotlib finds no marks among few, and warns; a warning of ours is an error here.
    events = list(pd.date_range("2024-01-01 05:07", pd.Timestamp("2024-01-01 05:07") + pd.Timedelta(span), periods=30))

    assert charts.residuals(events, np.arange(30.0), np.zeros(30))


def test_the_order_of_features_does_not_matter():
    assert charts.importance(["weather", "hour"], [2.0, 5.0]) == drawn("importance")


def test_the_order_of_folds_does_not_matter():
    assert lines(POINTS[::-1]) == drawn("folds")


def test_every_feature_needs_its_gain():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        charts.importance(["hour", "weather"], [1.0])


# --- what the calibration curve is ------------------------------------------------------------------


def test_a_median_that_is_one_lies_above_half_of_the_rows() -> None:
    noise = np.random.default_rng(5).normal(size=20_000)
    curve = curve_of(noise, np.zeros(20_000) + np.linspace(-1e-9, 1e-9, 20_000), "regression", loss="mae")

    assert curve.ideal == 0.5
    assert curve.came == pytest.approx(np.full(10, 0.5), abs=0.04)  # sd of a share of 2,000: 0.011
    assert (curve.low < 0.5).all() or ((curve.low > 0.5) | (curve.high < 0.5)).sum() <= 2


def test_a_probability_that_is_one_lies_within_the_interval_of_what_came() -> None:
    draw = np.random.default_rng(6)
    chance = draw.random(20_000)
    curve = curve_of((draw.random(20_000) < chance).astype(int), chance, "binary", loss="log_loss")

    assert (np.abs(curve.came - curve.said) < 0.05).all()
    assert ((curve.low <= curve.said) & (curve.said <= curve.high)).sum() >= 8  # of 10, each with 95%


def test_a_share_of_all_rows_still_has_a_width() -> None:
    curve = curve_of(np.ones(40, int), np.full(40, 0.9), "binary", loss="log_loss")

    assert (curve.came == 1).all()
    assert (curve.low < 0.7).all()
    assert (curve.high >= 1).all()


def test_counts_as_expected_are_calibrated() -> None:
    draw = np.random.default_rng(7)
    means = draw.uniform(0.2, 3.0, 20_000)
    curve = curve_of(draw.poisson(means).astype(float), means, "regression", loss="poisson")

    assert curve.ideal == 0.0
    assert ((curve.low <= 0) & (curve.high >= 0)).sum() >= 8  # of 10, each with 95%


def test_the_mean_residual_is_that_of_the_tenth() -> None:
    curve = curve_of(np.arange(100.0) + 3, np.arange(100.0), "regression", loss="mse")

    assert curve.came == pytest.approx(np.full(10, 3.0))
    assert curve.said == pytest.approx(np.arange(10) * 10 + 4.5)
