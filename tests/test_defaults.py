"""What a params.yaml does not state: defaults of fields, and those that other settings say."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from retrim.errors import BadInputError
from retrim.settings import DERIVED, Params, load_params, nested_sections, parse_params, setting_fields
from retrim.training.tuning import SPACES
from retrim.yaml_files import load_yaml

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT: dict[str, Any] = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
SPAN = re.compile(r"\d+d")  # read as 1D where a file says 1d


def stated(document: Any, effective: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values of a document, each with what the loaded settings say in its place."""
    if isinstance(document, Mapping) and isinstance(effective, Mapping):
        for key, value in document.items():
            yield from stated(value, effective.get(key, "nothing"), f"{place}{key}.")
    else:
        yield place, document, effective


@pytest.mark.parametrize("name", ["params.yaml", "data/samples/bank.params.yaml", "data/samples/rodents.params.yaml"])
def test_what_a_file_states_is_what_counts(name: str) -> None:
    document = load_yaml((ROOT / name).read_text(encoding="utf-8"))
    effective = load_params(ROOT / name).model_dump(mode="json")

    differing = [each for each in stated(document, effective) if each[1] != each[2]]

    assert [each for each in differing if not SPAN.fullmatch(str(each[1]))] == []


def test_a_table_alone_is_enough() -> None:
    table = {name: DOCUMENT["data"][name] for name in ("model", "columns", "task", "batch_every", "label_horizon")}

    params = Params.model_validate({"data": table})

    assert Params.model_validate(params.model_dump(mode="json")) == params


def test_a_setting_that_is_newer_than_a_workspace_does_not_break_it() -> None:
    document = load_params(ROOT / "data/samples/bank.params.yaml").model_dump(mode="json")
    table = ("model", "columns", "task", "batch_every", "label_horizon", "positive")
    lacking = [
        {**document, section: {each: value for each, value in stated.items() if each != name}}
        for section, stated in document.items()
        if isinstance(stated, dict)
        for name in stated
        if section != "data" or name not in table
    ]

    assert len(lacking) > 60
    assert [Params.model_validate(each).data.model for each in lacking] == ["bank"] * len(lacking)


CLASSES = {
    "model": "m",
    "columns": {
        "at": {"type": "time", "role": "time"},
        "x": {"type": "number", "role": "feature"},
        "y": {"type": "category", "role": "target"},
    },
    "label_horizon": "1D",
    "batch_every": "1D",
}


@pytest.mark.parametrize(("task", "positive", "rounds"), [("binary", "yes", 400), ("multiclass", None, 150)])
def test_defaults_of_classes_fit_them(task: str, positive: str | None, rounds: int) -> None:
    params = Params.model_validate({"data": {**CLASSES, "task": task, "positive": positive}})

    assert (params.judge.loss, params.gate.baselines) == ("log_loss", ("mean",))
    assert params.tune.max_rounds == rounds


@pytest.mark.parametrize("model", ["gbm", "logistic"])
def test_the_default_space_is_that_of_the_model(model: str) -> None:
    table = {**CLASSES, "task": "multiclass"}

    params = Params.model_validate({"data": table, "train": {"model": model}})

    assert params.tune.space == SPACES[model]


def test_sizes_follow_the_rows_that_judge() -> None:
    table = {**CLASSES, "task": "multiclass"}

    params = Params.model_validate({"data": table, "split": {"judge_rows": 100}})

    assert (params.gate.min_rows, params.backtest.origin_rows, params.tune.fold_rows) == (50, 100, 100)
    assert (params.gain.rows_per_check, params.probe.min_rows, params.drift.min_rows) == (100, 25, 50)


@pytest.mark.parametrize(("season", "cells"), [("1D", 24), ("7D", 168), ("30D", 30), ("365D", 52), ("1h", 1)])
def test_a_season_is_cut_into_hours_days_or_weeks(season: str, cells: int) -> None:
    assert parse_params(table_with(gate={"season": season}), "params.yaml").gate.season_cells == cells


def test_what_is_stated_is_never_derived() -> None:
    stated = {"split": {"judge_rows": 100}, "tune": {"fold_rows": 99}, "judge": {"loss": "brier"}}

    params = Params.model_validate({"data": {**CLASSES, "task": "binary", "positive": "yes"}, **stated})

    assert (params.tune.fold_rows, params.judge.loss) == (99, "brier")


def test_a_key_that_is_no_setting_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInputError, match=r"gate\.min_gian: .*\bmin_gain"):
        parse_params({"data": {**CLASSES, "task": "multiclass"}, "gate": {"min_gian": 0.1}}, "params.yaml")


def test_a_derived_default_is_that_of_a_field() -> None:
    names = [key.split(".") for key in DERIVED]
    sections = {section: nested_sections(Params.model_fields[section].annotation)[0] for section, _ in names}
    assert [f"{section}.{name}" for section, name in names if name not in sections[section].model_fields] == []


def table_with(**sections: Any) -> dict[str, Any]:
    return {"data": DOCUMENT["data"], **sections}


@pytest.mark.parametrize("stated", [{"seed": 8}, {"gate": {"seed": 8}}, {"drift": {"alarms": {"seed": 8}}}])
def test_seeds_are_fixed(stated: dict[str, Any]) -> None:
    with pytest.raises(BadInputError, match=r"seed is fixed at 7 \(seed of .*8 is set"):
        parse_params(table_with(**stated), "params.yaml")


def test_a_fixed_value_is_no_setting_and_not_pinned() -> None:
    with pytest.raises(BadInputError, match=r"^params\.yaml: gate\.reuse .* 2\.0 \(.*\), .*\b5\b"):
        parse_params(table_with(gate={"reuse": 5}), "params.yaml")

    assert parse_params(table_with(gate={"reuse": 2}), "params.yaml").gate.reuse == 2
    assert "reuse" not in Params.model_validate(table_with()).model_dump(mode="json")["gate"]
    assert "gate.reuse" not in [key for key, _ in setting_fields()]


def test_a_section_whose_values_are_all_fixed_is_no_setting() -> None:
    with pytest.raises(BadInputError, match=r"run_directory\.gc_grace .*'1h' \(.*'0s'"):
        parse_params(table_with(run_directory={"gc_grace": "0s"}), "params.yaml")

    assert "run_directory" not in parse_params(table_with(run_directory={"gc_grace": "1h"}), "params.yaml").model_dump(
        mode="json"
    )


def test_a_value_that_follows_others_is_no_setting() -> None:
    with pytest.raises(BadInputError, match=r"backtest\.origin_rows .*\b100 \(.*\b5 is"):
        parse_params(table_with(split={"judge_rows": 100}, backtest={"origin_rows": 5}), "params.yaml")

    kept = parse_params(table_with(split={"judge_rows": 100}, backtest={"origin_rows": 100}), "params.yaml")
    assert kept.backtest.origin_rows == 100
    assert "backtest.origin_rows" not in [key for key, _ in setting_fields()]
