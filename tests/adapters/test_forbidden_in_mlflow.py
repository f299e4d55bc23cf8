"""What MLflow keeps of a run holds no value of a forbidden column: not the model, its example, tags or figures."""

import os
from pathlib import Path

import pytest

from retrim.adapters.mlflow_registry import ModelRegistry
from retrim.retraining.retrain import _example
from tests.builders.unfair import holds, make_unfair_run_directory, unfair_stream


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of a store with one published version of a room with a forbidden column."""
    groups = [{"column": "group", "cuts": [], "least_rows": 20}]
    limits = {"false_negative_rate": 0.2, "mean_error": 0.2}
    table = unfair_stream(800, measured=1.5)
    run_directory = make_unfair_run_directory(tmp_path_factory.mktemp("room"), table, groups=groups, at_most=limits)
    run_directory.run()
    root, before = tmp_path_factory.mktemp("mlflow"), Path.cwd()
    os.chdir(root)
    try:
        registry = ModelRegistry(f"sqlite:///{root}/var/mlflow.db", str(root / "var" / "mlflow"), "m")
        parent = registry.open_run("run-1", "m as of 2024-02-01", {})
        facts = {"bundle_id": "bundle-1", "lineage": {}, "params": {"mode": "search"}}
        registry.publish(parent, run_directory.paths.candidate, **facts, example=_example(run_directory.paths))
    finally:
        os.chdir(before)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_forbidden_column_is_nowhere_in_mlflow(kept: dict[str, bytes]) -> None:
    assert [name for name, content in kept.items() if holds(content, name)] == []


def test_the_input_example_has_no_forbidden_column(kept: dict[str, bytes]) -> None:
    (name,) = [name for name in kept if name.endswith("model/input_example.json")]

    assert b"level" in kept[name]
    assert b"sex" not in kept[name]


def test_the_figure_of_each_limit_is_a_metric(kept: dict[str, bytes]) -> None:
    (name,) = [name for name in kept if name.endswith("mlflow.db")]

    assert b"gate/fairness_group_false_negative_rate" in kept[name]
