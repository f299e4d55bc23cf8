import hashlib
import struct
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from retrim.core import report

RANDOM = np.random.default_rng(1)
VALUES = RANDOM.gamma(2, 100, 2000)
CHANCE = RANDOM.random(300)
SHARES = RANDOM.dirichlet(np.ones(4), 300)
TIMES = pd.date_range("2012-01-01", periods=6, freq="14D", tz="UTC")
POINTS = [(at, {"all": 50.0 + n, "sliding": 45.0 - n}) for n, at in enumerate(TIMES)]

PICTURES: dict[str, Callable[[], bytes]] = {
    "importance": lambda: report.importance(["hour", "weather"], [5.0, 2.0]),
    "hyperparameters": lambda: report.hyperparameter_importance({"num_leaves": 0.7, "learning_rate": 0.3}),
    "few rows": lambda: report.predicted_against_actual(VALUES[:200], VALUES[:200] * 1.1, "regression"),
    "many rows": lambda: report.predicted_against_actual(VALUES, VALUES * 1.1, "regression"),
    "binary": lambda: report.predicted_against_actual((CHANCE > 0.5).astype(int), CHANCE, "binary"),
    "multiclass": lambda: report.predicted_against_actual(SHARES.argmax(axis=1), SHARES, "multiclass"),
    "folds": lambda: report.loss_over_folds(POINTS, loss="mae"),
    "time": lambda: report.loss_over_time(POINTS, loss="mae", events=[(TIMES[2], "v2")]),
}
STRANGE: dict[str, Callable[[], bytes]] = {
    "no features": lambda: report.importance([], []),
    "no gain": lambda: report.importance(["hour", "weather"], [0.0, 0.0]),
    "200 features": lambda: report.importance([f"feature {n}" for n in range(200)], list(range(200))),
    "a very long name": lambda: report.importance(["n" * 300], [1.0]),
    "letters that the font lacks": lambda: report.importance(["温度"], [1.0]),
    "markup in a name": lambda: report.importance(["price_$_and_$", "<b>"], [1.0, 2.0]),
    "one row": lambda: report.predicted_against_actual(np.array([3.0]), np.array([3.0]), "regression"),
    "constant": lambda: report.predicted_against_actual(np.full(2000, 3.0), np.full(2000, 3.0), "regression"),
    "one positive": lambda: report.predicted_against_actual(np.array([1]), np.array([0.2]), "binary"),
    "one class": lambda: report.predicted_against_actual(np.zeros(3, int), np.ones((3, 1)), "multiclass"),
    "all unseen": lambda: report.predicted_against_actual(np.full(300, 9), SHARES, "multiclass"),
    "40 classes": lambda: report.predicted_against_actual(np.arange(40), np.eye(40), "multiclass"),
    "no folds": lambda: report.loss_over_folds([], loss="mae"),
    "one fold": lambda: report.loss_over_folds(POINTS[:1], loss="mae"),
    "a model absent": lambda: report.loss_over_folds([*POINTS, (TIMES[0], {"floor": 90.0})], loss="mae"),
    "9 models": lambda: report.loss_over_folds([(TIMES[0], {f"model {n}": n for n in range(9)})], loss="mae"),
    "no time zone": lambda: report.loss_over_folds([(pd.Timestamp("2012-01-01"), {"all": 1.0})], loss="mae"),
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


@pytest.mark.parametrize("name", [*PICTURES, *STRANGE])
@pytest.mark.filterwarnings("error")
def test_every_picture_is_a_png_of_readable_size(name: str):
    png = drawn(name)

    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert all(200 <= side <= 2000 for side in size(png))


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_figures_give_the_same_bytes(name: str):
    assert PICTURES[name]() == drawn(name)


def test_another_process_gives_the_same_bytes():
    script = (
        "import hashlib, sys; from retrim.core import report;"
        "print(hashlib.sha256(report.importance(['hour', 'weather'], [5.0, 2.0])).hexdigest());"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.split() == [hashlib.sha256(drawn("importance")).hexdigest(), "False"]


def test_unlike_figures_give_unlike_pictures():
    assert drawn("importance") != report.importance(["hour", "weather"], [5.0, 3.0])


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


def test_the_order_of_features_does_not_matter():
    assert report.importance(["weather", "hour"], [2.0, 5.0]) == drawn("importance")


def test_the_order_of_folds_does_not_matter():
    assert report.loss_over_folds(POINTS[::-1], loss="mae") == drawn("folds")


def test_every_feature_needs_its_gain():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        report.importance(["hour", "weather"], [1.0])
