"""Settings by command: what counts and where it was set; a value is written where the file stays as it was."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from retrim.errors import BadInputError, RefusedError
from retrim.files import Paths, WorkspacePaths
from retrim.gate.verdict import NonInferiorityParams
from retrim.lineage.settings_file import pin_settings, set_settings
from retrim.lineage.settings_list import effective_settings, settings_within
from retrim.settings import load_params, setting_fields, to_settings_file
from tests.builders.world import REPOSITORY

SHIPPED = (
    (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    + """
gain:                              # what a retraining costs
  rows_per_check: 48               # rows of a usual check: two days of hours
"""
)


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    (tmp_path / "params.yaml").write_text(SHIPPED, encoding="utf-8")
    return WorkspacePaths(tmp_path)


def test_a_value_is_written_and_all_else_stays(workspace: WorkspacePaths) -> None:
    assert set_settings(workspace, {"gain.rows_per_check": 50}) == {"gain.rows_per_check": (48, 50)}
    assert workspace.params.read_text(encoding="utf-8") == SHIPPED.replace("rows_per_check: 48", "rows_per_check: 50")


def test_a_section_that_was_not_stated_is_added_in_the_order_of_the_settings(workspace: WorkspacePaths) -> None:
    set_settings(workspace, {"gate.non_inferiority.most": 0.001})

    head, gain = SHIPPED.split("gain:")
    assert (
        workspace.params.read_text(encoding="utf-8")
        == f"{head}gate:\n  non_inferiority: {{most: 0.001}}\n\ngain:{gain}"
    )
    assert load_params(workspace.params).gate.non_inferiority == NonInferiorityParams(most=0.001)


def test_a_comment_above_a_section_stays_there(workspace: WorkspacePaths) -> None:
    workspace.params.write_text(SHIPPED.replace("gain:", "# asked at each check\ngain:"), encoding="utf-8")
    set_settings(workspace, {"schedule.prove": None, "gate.min_gain": 0.02})

    assert "\ngate:\n  min_gain: 0.02\n\n# asked at each check\ngain:" in workspace.params.read_text(encoding="utf-8")
    assert workspace.params.read_text(encoding="utf-8").endswith("\nschedule:\n  prove: null\n")


def test_part_of_a_mapping_keeps_the_rest_of_it(workspace: WorkspacePaths) -> None:
    before = load_params(workspace.params).drift.tests
    set_settings(workspace, {"drift.tests.psi.threshold": 0.3})

    assert load_params(workspace.params).drift.tests == {**before, "psi": {"cells": 10, "threshold": 0.3}}


def test_lines_end_as_they_did(workspace: WorkspacePaths) -> None:
    workspace.params.write_bytes(SHIPPED.replace("\n", "\r\n").encode())
    set_settings(workspace, {"gain.rows_per_check": 50})

    after = SHIPPED.replace("rows_per_check: 48", "rows_per_check: 50").replace("\n", "\r\n")
    assert workspace.params.read_bytes().decode() == after


def test_a_linked_file_is_changed_where_it_lies_and_stays_closed_to_others(
    workspace: WorkspacePaths, tmp_path: Path
) -> None:
    real = tmp_path / "shared" / "settings.yaml"
    real.parent.mkdir()
    workspace.params.rename(real)
    real.chmod(0o600)
    workspace.params.symlink_to(real)
    set_settings(workspace, {"gain.rows_per_check": 50})

    assert workspace.params.is_symlink()
    assert "rows_per_check: 50" in real.read_text(encoding="utf-8")
    assert real.stat().st_mode & 0o777 == 0o600


def test_what_shares_an_anchor_stays_as_it_was(workspace: WorkspacePaths) -> None:
    space = "tune:\n  space: {num_leaves: &few {low: 15, high: 31}, min_child_samples: *few}\n"
    workspace.params.write_text(f"{SHIPPED}\n{space}", encoding="utf-8")
    set_settings(workspace, {"tune.space.min_child_samples.low": 6})

    found = load_params(workspace.params).tune.space
    assert {name: found[name].low for name in found} == {"num_leaves": 15, "min_child_samples": 6}


def test_of_several_at_once_none_is_lost(workspace: WorkspacePaths) -> None:
    wanted = {
        "gain.rows_per_check": 50,
        "gate.min_gain": 0.02,
        "tune.trials": 8,
        "triggers.every": "30D",
        "gain.cost": 3.0,
    }
    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(lambda one: set_settings(workspace, dict([one])), wanted.items()))

    for key, value in wanted.items():
        assert effective_settings(workspace, key)[0].value == value


def test_what_counts_already_changes_nothing(workspace: WorkspacePaths) -> None:
    assert set_settings(workspace, {"gate.min_gain": 0.01}) == {}
    assert workspace.params.read_text(encoding="utf-8") == SHIPPED


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("gate.min_gian", "gate.min_gain"),
        ("gat.min_gain", "gate"),
        ("gate.non_inferiority.mst", "gate.non_inferiority.most"),
    ],
)
def test_a_key_that_is_no_setting_is_told_with_near_ones(workspace: WorkspacePaths, key: str, near: str) -> None:
    with pytest.raises(BadInputError, match=rf"^{re.escape(key)}: .* {re.escape(near)}\b"):
        set_settings(workspace, {key: 0.5})


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("gate.reuse", r"gate\.reuse is fixed at 2.0 \(exponent by which"),
        ("run_directory.gc_grace", r"run_directory\.gc_grace is fixed at '1h' \("),
        ("backtest.origin_rows", r"backtest\.origin_rows is derived from other settings: split\.judge_rows"),
    ],
)
def test_a_key_that_is_no_setting_any_more_says_why(workspace: WorkspacePaths, key: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        set_settings(workspace, {key: 0.5})


def test_a_value_out_of_bounds_leaves_the_file_as_it_was(workspace: WorkspacePaths) -> None:
    with pytest.raises(RefusedError, match=r"gate\.min_gain=-1: "):
        set_settings(workspace, {"gate.min_gain": -1})

    assert workspace.params.read_text(encoding="utf-8") == SHIPPED


def test_each_setting_is_listed_once_with_what_counts(workspace: WorkspacePaths) -> None:
    found = effective_settings(workspace, None)

    assert len(found) == len({each.key for each in found}) == len(list(setting_fields()))
    assert all(each.description for each in found)


def test_a_stated_one_names_its_line_and_what_else_would_count(workspace: WorkspacePaths) -> None:
    (one,) = effective_settings(workspace, "gain.rows_per_check")

    assert (one.value, one.default) == (48, 336)
    assert SHIPPED.splitlines()[(one.line or 0) - 1].strip().startswith("rows_per_check: 48")


@pytest.mark.parametrize(
    ("key", "first"),
    [
        ("gate.min_gain", []),
        ("data.columns", [("data.columns.NAME.type", "", "number, integer, category, time")]),
        ("fairness.groups", [("fairness.groups[].column", "", "")]),
        ("fairness.at_most", [("fairness.at_most.selection_rate", "null", "at least 0; at most 1")]),
    ],
)
def test_what_a_setting_holds_is_named_by_its_place(key: str, first: list[tuple[str, str, str]]) -> None:
    found = settings_within(key)

    assert [row[:3] for row in found[:1]] == first
    assert all(row[3] for row in found)


def test_one_that_is_not_stated_has_its_default(workspace: WorkspacePaths) -> None:
    for each in effective_settings(workspace, "gate"):
        assert (each.line, each.value) == (None, each.default)


def test_pinning_is_for_run_directories(workspace: WorkspacePaths) -> None:
    with pytest.raises(BadInputError, match=r"data/pins\.json"):
        pin_settings(workspace)


def test_what_is_pinned_is_what_counts(workspace: WorkspacePaths) -> None:
    paths = Paths(workspace.root)
    paths.pins.parent.mkdir()
    paths.pins.write_bytes(b"{}")
    pin_settings(workspace)

    assert json.loads(paths.settings.read_bytes()) == load_params(workspace.params).model_dump(mode="json")


def test_columns_and_search_space_keep_the_order_of_params_yaml() -> None:
    settings = {"tune": {"space": {"z": 1, "a": 2}}, "data": {"columns": {"late": 1, "early": 2}}}
    pinned = json.loads(to_settings_file(settings))

    assert list(pinned["tune"]["space"]) == ["z", "a"]
    assert list(pinned["data"]["columns"]) == ["late", "early"]
