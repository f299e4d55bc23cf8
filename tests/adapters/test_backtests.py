"""A policy backtest in MLflow, met for real: written twice, it is one run with its figures and files."""

from pathlib import Path

import pytest

from retrim.adapters.mlflow_tracking import KIND, Experiment, record_backtest

pytestmark = pytest.mark.slow


def test_a_backtest_is_one_run_however_often_it_is_written(tmp_path: Path) -> None:
    tracking = Experiment(f"sqlite:///{tmp_path / 'mlflow.db'}", str(tmp_path / "mlflow"), "bike")
    folder = tmp_path / "made"
    folder.mkdir()
    (folder / "policies.html").write_text("<p>", encoding="utf-8")
    runs = {
        record_backtest(tracking, key="policy-1", settings={"price": "2"}, metrics={"never/cost": cost}, folder=folder)
        for cost in (3.0, 4.0)
    }
    (run,) = runs
    found = tracking.client.get_run(run)

    assert found.info.status == "FINISHED"
    assert (found.data.tags[KIND], found.data.tags["price"]) == ("policy backtest", "2")
    assert found.data.metrics == {"never/cost": 4.0}
    assert [file.path for file in tracking.client.list_artifacts(run)] == ["policies.html"]
