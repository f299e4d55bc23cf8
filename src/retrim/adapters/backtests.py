"""Policy backtests in MLflow: a run each, found again by its key, so that writing twice writes once."""

from collections.abc import Mapping
from pathlib import Path

from retrim.adapters.tracking import Tracking

KIND = "retrim.kind"


def record_backtest(
    tracking: Tracking, *, key: str, settings: Mapping[str, str], metrics: Mapping[str, float], folder: Path
) -> str:
    """MLflow's id of the run of a backtest, with its settings as tags, its figures and its files.

    Settings are tags, because MLflow never changes a parameter and a backtest may be made again with others.

    Args:
        tracking: The model's experiment.
        key: Our own id of the backtest.
        settings: What it was made with.
        metrics: Figures by name.
        folder: Files to keep with the run.

    Raises:
        RetrimError: MLflow failed.
    """
    run = tracking.open_run(key, key, {KIND: "policy backtest", **settings})
    with tracking.wrapped(f"record the backtest {key}"):
        from mlflow.entities import Metric

        at = tracking.client.get_run(run).info.start_time
        tracking.client.log_batch(run, [Metric(name, float(value), at, 0) for name, value in metrics.items()])
        tracking.client.log_artifacts(run, str(folder))
    tracking.finish(run, "FINISHED")
    return run
