from pathlib import Path
from typing import Any

import pytest

from retrim.errors import BadInputError
from retrim.settings import load_params
from retrim.yaml_files import dump_yaml
from tests.builders.shipped import whole

WORKSPACE = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        ({"loss": "log_loss"}, "judge: metric 'log_loss' does not fit a regression task; choose one of: mae, mse"),
        ({"metrics": ["mae", "auc"]}, "judge: metric 'auc' does not fit a regression task; choose one of: mae, mse"),
    ],
)
def test_a_metric_that_does_not_fit_the_task_is_refused_where_it_is_set(
    tmp_path: Path, judge: dict[str, Any], message: str
):
    document = whole()
    document["judge"] |= judge
    (tmp_path / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")

    with pytest.raises(BadInputError, match=message):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("name", ["last_value", "seasonal"])
def test_a_floor_that_is_no_baseline_of_the_task_is_refused_where_it_is_set(tmp_path: Path, name: str):
    document = whole()
    document["data"] |= {"task": "binary", "positive": "7"}
    document["data"]["columns"]["trips"]["type"] = "category"
    document["judge"] |= {"loss": "brier", "metrics": ["brier"]}
    document["gate"]["baselines"] = [name]
    (tmp_path / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")

    with pytest.raises(BadInputError, match=rf"'{name}' .* binary task; .*: mean, seasonal"):
        load_params(tmp_path / "params.yaml")


def test_alarms_wanted_at_every_second_check_are_refused(tmp_path: Path):
    document = whole()
    document["drift"]["alarms"] |= {"at_most": 36}
    (tmp_path / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")

    with pytest.raises(BadInputError, match=r"36 per year; .*14 days .*1\.4 false alarms"):
        load_params(tmp_path / "params.yaml")
