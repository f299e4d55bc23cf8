"""Laws of every registered joint drift test: with the arguments of params.yaml, or usual ones if it has none."""

import inspect
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.drift.joint import JOINT_TESTS, JointResult, judge_joint
from retrim.drift.params import DriftParams
from retrim.drift.profile import Profile, ProfileParams, make_profile
from retrim.stats.plugins import Plugin
from retrim.table.data import ColumnType
from tests.builders.shipped import whole

PARAMS = DriftParams(**whole()["drift"])
USUAL = {"rounds": 10, "leaves": 4, "folds": 2, "rows": 500}  # arguments of a test that params.yaml does not name
KEPT = ProfileParams(
    cells=40, levels=20, buckets=8, block="1D", most_blocks=200, block_rows=20, sample_rows=4000, seed=7
)
COLUMNS: dict[str, ColumnType] = {"x": "number", "y": "number", "z": "number", "kind": "category"}


def stream(rows: int, seed: int, *, shift: float = 0.0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 3)) + shift
    frame = pd.DataFrame(numbers, columns=["x", "y", "z"])
    frame["kind"] = pd.Series(random.choice(list("abc"), size=rows), dtype="str")
    return frame.assign(_event=pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC"))


REFERENCE = make_profile(stream(4000, 1), COLUMNS, KEPT, time="_event")


def judged(
    entry: Plugin, window: pd.DataFrame, *, profile: Profile = REFERENCE, windows: int = 10, cores: int = 1
) -> JointResult | None:
    named = [p.name for p in inspect.signature(entry.value).parameters.values() if p.kind is p.KEYWORD_ONLY]
    arguments: dict[str, Any] = PARAMS.joint.tests.get(
        entry.name, {name: USUAL[name] for name in set(named) - {"seed"}}
    )
    test = partial(entry.value, **arguments, seed=7)
    return judge_joint(test, profile, window, tuple(COLUMNS), windows=windows, seed=7, cores=cores)


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.name) for entry in JOINT_TESTS])
class TestEveryJointDriftTest:
    def test_a_window_of_the_same_kind_is_not_far(self, entry: Plugin) -> None:
        found = judged(entry, stream(300, 2))

        assert found is not None
        assert found.p_value is not None
        assert found.p_value > 0.01
        assert found.effect < 0.25

    def test_another_world_is_far(self, entry: Plugin) -> None:
        # another mean, and every column now follows the first
        window = stream(300, 2, shift=1.0)
        found = judged(entry, window.assign(y=window["x"], z=-window["x"]))

        assert found is not None
        assert found.p_value is not None
        assert found.p_value < 0.005
        assert found.effect > 0.1

    @pytest.mark.parametrize(
        "changed",
        [
            {"x": np.nan},
            {"x": np.inf, "y": -np.inf},
            {"x": 1.0, "y": 1.0, "z": 1.0},
            {"kind": None},
            {"kind": "new"},
        ],
        ids=["missing", "infinite", "constant", "no category", "new category"],
    )
    def test_it_is_finite_on_strange_windows(self, entry: Plugin, changed: dict[str, Any]) -> None:
        found = judged(entry, stream(200, 3).assign(**changed))

        assert found is not None
        assert np.isfinite([found.statistic, found.effect]).all()
        assert found.effect >= 0
        assert found.p_value is not None
        assert 0 <= found.p_value <= 1

    def test_a_strange_reference_leaves_it_finite(self, entry: Plugin) -> None:
        rows = stream(2000, 4).assign(x=np.nan, y=3.0)
        found = judged(entry, stream(150, 5), profile=make_profile(rows, COLUMNS, KEPT, time="_event"))

        assert found is not None
        assert np.isfinite([found.statistic, found.effect]).all()

    def test_the_cores_change_no_result(self, entry: Plugin) -> None:
        assert judged(entry, stream(200, 2), cores=2) == judged(entry, stream(200, 2), cores=1)

    def test_a_history_of_few_windows_gives_no_p_value(self, entry: Plugin) -> None:
        found = judged(entry, stream(600, 2))

        assert found is not None
        assert (found.windows, found.p_value, found.beyond) == (6, None, False)

    def test_a_window_of_few_rows_is_not_looked_at(self, entry: Plugin) -> None:
        assert judged(entry, stream(19, 2)) is None
