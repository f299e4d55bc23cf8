"""Batches that land after params.yaml was changed: what lands, what is refused, and that the cures cure."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.batches.concern import BatchParams
from retrim.errors import BadInputError
from retrim.landing.ingest import land_batch
from retrim.settings import load_params
from retrim.table.data import DataParams
from tests.builders.counter import GOOD, NEXT, Counter

ROOT = Path(__file__).parents[2]
NUMBER: dict[str, Any] = {"type": "number", "role": "feature"}
BATCHES: BatchParams = load_params(ROOT / "params.yaml").batches


def change(counter: Counter, **columns: dict[str, Any] | None) -> None:
    """Edits data.columns; None takes a column out."""
    document = counter.data.model_dump(mode="json")
    own = document["columns"] | columns
    document["columns"] = {name: one for name, one in own.items() if one is not None}
    counter.data = DataParams.model_validate(document)


def without(content: str, column: str) -> str:
    """A CSV without a column."""
    lines = [line.split(",") for line in content.strip().split("\n")]
    place = lines[0].index(column)
    return "".join(",".join(line[:place] + line[place + 1 :]) + "\n" for line in lines)


@pytest.mark.slow
def test_a_type_that_may_not_change_is_refused_before_anything_lands(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, weight={"type": "category", "role": "feature"})

    with pytest.raises(BadInputError, match=r"'weight' .*number .*category"):
        counter.land(NEXT)
    assert len(counter.landed) == 1
    assert not counter.workspace.quarantine.exists()


def test_the_first_cure_of_that_refusal_is_one(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, weight={"type": "category", "role": "feature"})
    with pytest.raises(BadInputError, match=r"'weight' .*\bcategory\b.*\. Declare .*\bnumber\b"):
        counter.land(NEXT)
    change(counter, weight=NUMBER)

    assert counter.land(NEXT).outcome == "landed"


def test_the_second_cure_of_that_refusal_is_one(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, weight={"type": "category", "role": "feature"})
    with pytest.raises(BadInputError, match=r"'weight' .*\bcategory\b.*\. .*, or .*\bname"):
        counter.land(NEXT)
    change(counter, weight=None, weighed={"type": "category", "role": "feature"})
    lines = NEXT.replace("weight", "weighed", 1)

    assert counter.land(lines).outcome == "landed"


def test_a_rename_of_what_never_landed_is_refused_and_its_cure_is_one(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, weight=None, mass=NUMBER | {"was": "weigth"})
    renamed = NEXT.replace("weight", "mass", 1)
    with pytest.raises(BadInputError, match=r"'weigth'.*\(at, country, .*weight\)"):
        counter.land(renamed)
    change(counter, mass=NUMBER | {"was": "weight"})

    assert counter.land(renamed).outcome == "landed"


def test_a_file_that_still_has_a_column_that_is_gone_is_set_aside_with_the_cure(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, items=None)
    landed = counter.land(NEXT)

    assert landed.outcome == "quarantined"
    assert "reading.skip" in landed.faults[0].cure


@pytest.fixture
def suite(counter: Counter) -> Path:
    """A suite about `weight`, `items` and a column that never was."""
    path = counter.workspace.root / counter.data.suite
    document = json.loads(path.read_text(encoding="utf-8"))
    document["expectations"] = [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": name, "min_value": 0}}
        for name in ("weight", "items")
    ]
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


@pytest.mark.usefixtures("suite")
def test_a_suite_that_names_a_column_that_is_gone_lets_batches_land(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, items=None)
    landed = counter.land(without(NEXT, "items"))

    assert landed.outcome == "landed"
    (note,) = landed.notes
    assert "'items' (1)" in note


@pytest.mark.usefixtures("suite")
def test_an_expectation_is_asked_of_a_column_that_was_renamed(counter: Counter) -> None:
    counter.land(GOOD)
    change(counter, weight=None, mass=NUMBER | {"was": "weight"})
    landed = counter.land(NEXT.replace("weight", "mass", 1).replace("0.5", "-0.5"))

    assert (landed.outcome, landed.faults[0].column) == ("quarantined", "mass")


def test_a_suite_that_names_a_column_that_never_was_is_an_error(counter: Counter, suite: Path) -> None:
    counter.land(GOOD)
    suite.write_text(suite.read_text(encoding="utf-8").replace("items", "itmes"), encoding="utf-8")

    with pytest.raises(BadInputError, match="itmes"):
        counter.land(NEXT)


def orders(week: int, *, mood: str | None = None) -> pd.DataFrame:
    """A week of orders, as the shop's table has them, with a mood where there is one."""
    random = np.random.default_rng(week)
    times = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(60) + 60 * week, "h")
    frame = pd.DataFrame(
        {
            "at": times.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "order": np.arange(60) + 60 * week,
            "weight": random.gamma(4, size=60).round(3),
            "items": random.integers(1, 9, 60),
            "country": random.choice(["NL", "DE"], 60),
            "price": random.gamma(3, size=60).round(3),
        }
    )
    return frame if mood is None else frame.assign(mood=[f"{mood}{n % 3}" for n in range(60)], load=frame["weight"] * 2)


@pytest.mark.slow
def test_a_column_that_has_just_appeared_is_not_strange(counter: Counter) -> None:
    def hand_in(frame: pd.DataFrame) -> str:
        counter.now += pd.Timedelta("7D")
        file = counter.file(frame.to_csv(index=False))
        how: dict[str, Any] = {"workspace": counter.workspace, "data": counter.data, "batches": BATCHES}
        return land_batch(file, now=counter.now, correction=False, **how).outcome

    said = [hand_in(orders(week)) for week in range(8)]
    change(counter, mood={"type": "category", "role": "feature"}, load=NUMBER)
    said += [hand_in(orders(week, mood="calm")) for week in range(8, 14)]

    assert said == ["landed"] * 14
    assert hand_in(orders(14, mood="wild")) == "quarantined"
