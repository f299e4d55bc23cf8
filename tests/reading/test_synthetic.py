"""The generated stream drifts as it is told to, and only then."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import UnknownNameError
from retrim.table.data import DataParams
from tests.builders.synthetic import DRIFTS, data_section, generate

START = pd.Timestamp("2024-01-01", tz="UTC")
SINCE = START + pd.Timedelta(1000, "h")


def stream(**changes: Any) -> pd.DataFrame:
    arguments: dict[str, Any] = {
        "task": "regression", "kind": "none", "size": 2.0, "since": SINCE, "start": START, "every": "1h", "rows": 4000,
        "seed": 7,
    }  # fmt: skip
    return generate(**{**arguments, **changes})


@pytest.mark.parametrize("kind", [entry.name for entry in DRIFTS])
class TestEveryKindOfDrift:
    def test_gives_the_same_rows_again(self, kind: str) -> None:
        pd.testing.assert_frame_equal(stream(kind=kind), stream(kind=kind))

    def test_changes_nothing_before_its_date(self, kind: str) -> None:
        pd.testing.assert_frame_equal(stream(kind=kind).head(1000), stream().head(1000))

    def test_of_size_zero_is_none(self, kind: str) -> None:
        pd.testing.assert_frame_equal(stream(kind=kind, size=0.0), stream())


def test_another_seed_gives_other_rows() -> None:
    assert not stream(seed=8)["level"].equals(stream()["level"])


def test_a_shift_moves_the_mean_by_its_size() -> None:
    moved = stream(kind="shift")["level"] - stream()["level"]

    assert moved.iloc[:1000].abs().max() == 0
    assert moved.iloc[1000:].to_numpy() == pytest.approx(2.0)


def test_a_concept_drift_leaves_the_features_alone() -> None:
    before, after = stream(), stream(kind="concept")

    pd.testing.assert_frame_equal(after.drop(columns="outcome"), before.drop(columns="outcome"))


def test_a_concept_drift_of_size_two_takes_the_whole_weight() -> None:
    # The weight of level is 2; its square is even, so what is left does not correlate.
    after = stream(kind="concept").iloc[1000:]

    assert abs(np.corrcoef(after["level"], after["outcome"])[0, 1]) < 0.05


def test_a_binary_outcome_is_yes_or_no() -> None:
    assert set(stream(task="binary")["outcome"]) == {"yes", "no"}


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(UnknownNameError, match="'shfit'") as refused:
        stream(kind="shfit")
    assert refused.value.known == ("concept", "none", "shift")


@pytest.mark.parametrize("task", ["regression", "binary"])
def test_its_section_is_a_table(task: Any) -> None:
    data = DataParams.model_validate(data_section(task, labels="later", horizon="1d", suite="x.json"))

    assert list(data.columns) == stream(task=task).columns.tolist()
