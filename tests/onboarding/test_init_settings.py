"""`retrim init` states the table and what differs from the defaults, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.files import WorkspacePaths
from retrim.lineage.settings_file import slim
from retrim.settings import load_params, parse_params
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.raw_tables import csv, empty_workspace, set_up
from tests.builders.shipped import whole
from tests.builders.world import REPOSITORY

ROWS = 900


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> WorkspacePaths:
    """A workspace set up for a table of ten columns."""
    paths = empty_workspace(tmp_path_factory.mktemp("ten"))
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({f"x{place}": rng.normal(size=ROWS).round(3) for place in range(7)})
    frame.insert(0, "at", pd.date_range("2024-01-01", periods=ROWS, freq="h", tz="UTC").astype(str))
    frame["shop"] = rng.choice(["north", "south"], size=ROWS)
    frame["sales"] = (10 + frame["x0"] * 3 + frame["x1"] + rng.normal(size=ROWS)).round(2)
    set_up(paths, csv(frame), land=False, target="sales", model="sales")
    return paths


def test_ten_columns_take_fifty_lines_at_most_and_nothing_that_is_the_default(workspace: WorkspacePaths) -> None:
    text = workspace.params.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 50
    assert load_yaml(slim(text, "params.yaml")) == load_yaml(text)


def test_what_is_left_out_means_the_same(tmp_path: Path) -> None:
    text = dump_yaml(whole())
    short = slim(text, "params.yaml")

    assert len(short.splitlines()) < len(text.splitlines()) / 3
    assert parse_params(load_yaml(short), "short") == parse_params(load_yaml(text), "whole")


def test_a_default_that_stands_in_no_section_is_left_out(workspace: WorkspacePaths) -> None:
    text = workspace.params.read_text(encoding="utf-8")

    assert "seed" not in load_yaml(slim(f"{text}seed: 7\n", "params.yaml"))


def test_the_demo_states_sixty_lines_at_most() -> None:
    text = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 60
    assert slim(text, "params.yaml").strip() == text.strip()
    assert load_params(REPOSITORY / "params.yaml").gate.min_gain == 0.01
