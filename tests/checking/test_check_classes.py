"""A check where classes are alone, vanish or are new: figures that are finite, and a decision."""

import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.builders.desk import Desk, make_desk
from tests.builders.synthetic import data_section

NARROW = {"split": {"judge_rows": 48, "sliding_rows": 30}, "train": {"windows": ["sliding", "all"]}}


def desk_of(folder: Path, task: str) -> Desk:
    section = data_section("binary", labels="with_rows", horizon="1h")
    of_many = {"task": "multiclass", "columns": section["columns"], "positive": None}
    return make_desk(
        folder / "workspace", task="binary", data=of_many if task == "multiclass" else None, changes=NARROW
    )


def rows(desk: Desk, since: float, until: float, *, of: str) -> pd.DataFrame:
    """Rows whose classes are these in turn, told by their first letter."""
    frame = desk.rows(since, until)
    names = {"y": "yes", "n": "no", "m": "maybe"}
    turns = [names[of[place % len(of)]] for place in range(len(frame))]
    return frame.assign(outcome=pd.Series(turns, index=frame.index, dtype="str"))


def numbers(record: Any) -> list[float]:
    """Every number in a record."""
    if isinstance(record, dict):
        return [number for value in record.values() for number in numbers(value)]
    if isinstance(record, list | tuple):
        return [number for value in record for number in numbers(value)]
    return [float(record)] if isinstance(record, int | float) else []


@pytest.mark.parametrize(
    ("task", "then", "last"),
    [
        ("binary", "n", "n"),  # the positive class vanishes, also from the probe's sliding window
        ("binary", "y", "n"),  # one alone, then the other alone
        ("multiclass", "n", "n"),  # the probe's sliding window holds one class
        ("multiclass", "m", "ynm"),  # a class that the champion never saw is alone, then is one of three
    ],
)
def test_checks_go_on_whatever_classes_come(tmp_path: Path, task: str, then: str, last: str) -> None:
    desk = desk_of(tmp_path, task)
    desk.land(rows(desk, 0, 10, of="yn"), 10)
    desk.make_version(10)
    for day, of in ((12, then), (14, last)):
        desk.land(rows(desk, day - 2, day, of=of), day)
        checked = desk.check(day)

        assert checked.outcome in ("none", "retrain", "held")
        assert checked.record["probe"]["cost"] is not None
        assert "target" in {finding["column"] for finding in checked.record["drift"]["findings"]}
        assert all(map(math.isfinite, numbers(checked.record)))


@pytest.mark.parametrize("of", ["ynm", "m"])
def test_a_class_that_the_champion_never_saw_costs_it_dearly(tmp_path: Path, of: str) -> None:
    desk = desk_of(tmp_path, "multiclass")
    desk.land(rows(desk, 0, 10, of="yn"), 10)
    desk.make_version(10)
    desk.land(rows(desk, 10, 12, of=of), 12)
    record = desk.check(12).record

    assert record["probe"]["reading"]["champion_loss"] > 5  # 27.6 nats for each row of the unseen class
    assert record["performance"]["measured"]["metrics"]["accuracy"] < 0.9
