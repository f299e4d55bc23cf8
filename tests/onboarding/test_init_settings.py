"""`retrim init` states the table and what differs from the defaults, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.files import WorkspacePaths, dump_yaml, load_yaml
from retrim.lineage.settings_file import slim
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.init import inspect_table, settle_request
from retrim.settings import load_params, parse_params
from tests.builders.shipped import whole
from tests.builders.world import REPOSITORY

ROWS = 900


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> WorkspacePaths:
    """A workspace set up for a table of ten columns."""
    folder = tmp_path_factory.mktemp("ten")
    for name in ("params.yaml", "dvc.yaml"):
        (folder / name).write_bytes((REPOSITORY / name).read_bytes())
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({f"x{place}": rng.normal(size=ROWS).round(3) for place in range(7)})
    frame.insert(0, "at", pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="UTC").astype(str))
    frame["shop"] = rng.choice(["north", "south"], size=ROWS)
    frame["sales"] = (10 + frame["x0"] * 3 + frame["x1"] + rng.normal(size=ROWS)).round(2)
    frame.to_csv(folder / "sales.csv", index=False)
    made = WorkspacePaths(folder)
    asked = InitRequest(target="sales", model="sales")
    looked = inspect_table(made, str(folder / "sales.csv"), asked, ask=lambda _, proposal, __: proposal)
    settle_request(made, looked, reason="", land_history=False, overwrite=True, commit=False)
    return made


def test_ten_columns_take_fifty_lines_at_most(workspace: WorkspacePaths) -> None:
    assert len(workspace.params.read_text(encoding="utf-8").splitlines()) <= 50


def test_nothing_that_is_the_default_is_stated(workspace: WorkspacePaths) -> None:
    text = workspace.params.read_text(encoding="utf-8")

    assert load_yaml(slim(text, "params.yaml")) == load_yaml(text)


def test_what_is_left_out_means_the_same(tmp_path: Path) -> None:
    text = dump_yaml(whole())
    short = slim(text, "params.yaml")

    assert len(short.splitlines()) < len(text.splitlines()) / 3
    assert parse_params(load_yaml(short), "short") == parse_params(load_yaml(text), "whole")


def test_the_demo_states_sixty_lines_at_most() -> None:
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 60
    assert slim(text, "params.yaml").strip() == text.strip()
    assert load_params(REPOSITORY / "params.yaml").gate.min_gain == 0.01
