"""MLflow keeps the path of an experiment's files: a workspace that was moved writes none where nobody reads them."""

from pathlib import Path

import pytest

from retrim.adapters.mlflow_tracking import Experiment
from retrim.errors import RetrimError

pytestmark = pytest.mark.slow


def at(place: Path) -> Experiment:
    return Experiment(f"sqlite:///{place / 'mlflow.db'}", str(place / "mlflow"), "bike")


def moved(folder: Path) -> tuple[Path, Path]:
    """Where a workspace with a run lay, and where it lies now."""
    first, second = folder / "first", folder / "second"
    first.mkdir()
    made = at(first)
    run = made.open_run("run-1", "bike as of 2024-02-01", {})
    made.client.log_text(run, "whole", "bundle/format.txt")
    first.rename(second)
    return first, second


def test_a_run_does_not_begin_where_its_files_would_be_lost(tmp_path: Path) -> None:
    first, second = moved(tmp_path)
    with pytest.raises(RetrimError, match=f"{first}/mlflow/bike, which does not exist"):
        at(second).open_run("run-2", "bike as of 2024-02-02", {})

    assert not first.exists()


def test_a_link_to_where_the_files_are_lets_runs_begin(tmp_path: Path) -> None:
    first, second = moved(tmp_path)
    first.symlink_to(second)
    here = at(second)
    here.client.log_text(here.open_run("run-2", "bike as of 2024-02-02", {}), "whole", "bundle/format.txt")

    assert len(list((second / "mlflow" / "bike").iterdir())) == 2
