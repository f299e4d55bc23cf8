"""Landed batches to the table: as of the pinned date, checked once more, refused where nothing is mature."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.decision.pins import Pins
from retrim.errors import BadInputError, RefusedError
from retrim.files import write_file
from retrim.profile.leaks import LeakParams
from retrim.stages import validate
from retrim.stats.codec import to_json, to_record
from retrim.table.data import DataParams
from retrim.table.keys import row_keys
from tests.builders.run_directory import START, Room, lay_settings, make_run_directory, stream

pytestmark = pytest.mark.slow  # Great Expectations takes seconds to import

SUITE: dict[str, Any] = {
    "name": "generated",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "_key"}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "level", "min_value": -9, "max_value": 9}},
    ],
}


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(number, "D")


def land(
    run_directory: Room, rows: pd.DataFrame, *, arrived: pd.Timestamp, correction: bool = False, released: str = ""
) -> None:
    own = rows[list(run_directory.data.columns)]
    digest = hashlib.sha256(repr((arrived, released)).encode()).hexdigest()
    keyed = own.assign(_key=row_keys(own, ("number",), digest))
    landing = Landing(run_directory.paths.raw)
    with landing.locked():
        landing.land("rows", keyed, digest=digest, arrived=arrived, correction=correction, released=released)


@pytest.fixture
def run_directory(tmp_path: Path) -> Room:
    """Two days of rows, landed at the end of each."""
    made = make_run_directory(tmp_path, stream(4))
    (made.paths.raw / "batch.parquet").unlink()
    write_file(tmp_path / "expectations" / "generated.json", to_json(SUITE))
    rows = stream(48)
    land(made, rows.iloc[:24], arrived=day(1))
    land(made, rows.iloc[24:], arrived=day(2))
    lay_settings(made.paths, {"data": made.data.model_dump(mode="json")})
    return made


def test_what_a_suite_says_of_one_batch_is_not_asked_of_the_table_of_all(run_directory: Room) -> None:
    one_batch = {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 1, "max_value": 24}}
    suite = {**SUITE, "expectations": [*SUITE["expectations"], one_batch]}
    write_file(run_directory.paths.root / "expectations" / "generated.json", to_json(suite))

    assert len(run(run_directory, as_of=day(3))) == 48


def run(run_directory: Room, *, as_of: pd.Timestamp, **leaks: Any) -> pd.DataFrame:
    write_file(
        run_directory.paths.pins,
        to_json({**json.loads(run_directory.paths.pins.read_bytes()), "as_of": as_of.isoformat()}),
    )
    said = LeakParams.model_validate({"probe": True, "allowed": {}, **leaks})
    validate.run(run_directory.data, said, 12, {}, run_directory.paths, 1)
    return pd.read_parquet(run_directory.paths.table)


def test_the_table_holds_what_was_mature_at_the_pinned_date(run_directory: Room) -> None:
    # The second day had not landed; labels are due two hours after their event and known on arrival.
    assert run(run_directory, as_of=day(1.5))["_key"].tolist() == [str(number) for number in range(24)]


def test_a_label_that_is_not_due_yet_is_left_out_and_counted(run_directory: Room) -> None:
    table = run(run_directory, as_of=day(2))

    assert table["_key"].tolist() == [str(number) for number in range(47)]
    assert run_directory.record("validation/report.json")["mature"] == 47
    assert run_directory.record("validation/report.json")["rows"] == 48


def test_a_correction_that_has_arrived_is_in_the_table(run_directory: Room) -> None:
    land(run_directory, stream(48).iloc[3:4].assign(level=5.0), arrived=day(3), correction=True)

    assert run(run_directory, as_of=day(4)).set_index("_key").loc["3", "level"] == 5.0
    assert run(run_directory, as_of=day(2.5)).set_index("_key").loc["3", "level"] != 5.0


def test_rows_that_break_the_suite_are_refused(run_directory: Room) -> None:
    land(run_directory, stream(60).iloc[48:].assign(level=50.0), arrived=day(3))

    with pytest.raises(BadInputError, match=r"expectations/generated\.json; .*: level"):
        run(run_directory, as_of=day(4))


def test_rows_that_a_person_released_are_let_through_with_the_reason(run_directory: Room) -> None:
    land(run_directory, stream(60).iloc[48:].assign(level=50.0), arrived=day(3), released="the sensor was right")
    table = run(run_directory, as_of=day(4))

    assert len(table) == 60
    assert list(run_directory.record("validation/report.json")["released"].values()) == ["the sensor was right"]


def test_no_landed_batch_is_bad_input_until_one_lands(run_directory: Room) -> None:
    for path in run_directory.paths.raw.rglob("*.parquet"):
        path.unlink()

    with pytest.raises(BadInputError):
        run(run_directory, as_of=day(4))
    land(run_directory, stream(48), arrived=day(2))
    run(run_directory, as_of=day(4))


@pytest.fixture
def leaking(run_directory: Room) -> Room:
    """Two days more, of which a column is the answer in another unit."""
    rows = stream(96)
    rows[leak_of(run_directory)] = 2 * rows[run_directory.data.target]
    for file in run_directory.paths.raw.rglob("*.parquet"):
        file.unlink()
    land(run_directory, rows, arrived=day(5))
    return run_directory


def leak_of(run_directory: Room) -> str:
    """A column of numbers that no suite binds."""
    return next(name for name, kind in run_directory.data.own_features.items() if kind == "number" and name != "level")


def test_a_column_that_gives_the_answer_away_ends_the_run_by_its_name(leaking: Room) -> None:
    with pytest.raises(RefusedError, match=f"leak: {leak_of(leaking)}: .*leaks.allowed"):
        run(leaking, as_of=day(6))


@pytest.fixture
def too_good(run_directory: Room) -> Room:
    """Forty days, whose three columns make up the answer: no two of them do."""
    rows = stream(960)
    rows[run_directory.data.target] = rows["level"].abs() + rows["slope"].abs() + 5.0 * (rows["group"] == "a")
    for file in run_directory.paths.raw.rglob("*.parquet"):
        file.unlink()
    land(run_directory, rows, arrived=day(41))
    return run_directory


def test_a_first_model_that_is_too_good_ends_the_run_by_what_carries_it(too_good: Room) -> None:
    with pytest.raises(RefusedError, match=r"leak: .*level.*too good.*leaks\.allowed"):
        run(too_good, as_of=day(42))


def test_one_column_that_carries_is_allowed_and_the_run_goes_on(too_good: Room) -> None:
    assert len(run(too_good, as_of=day(42), allowed={"level": "read at pick-up"})) == 960


def catches(run_directory: Room, *, waiting: int, labels: str) -> Room:
    """Forty days: in every fifth row nothing was caught, and `level` is blank. The newest wait, and `slope` is."""
    rows = stream(960)
    waits = np.arange(960) >= 960 - waiting
    nothing = (np.arange(960) % 5 == 2) & ~waits
    rows[run_directory.data.target] = rows[run_directory.data.target].mask(nothing | waits)
    rows["level"], rows["slope"] = rows["level"].mask(nothing), rows["slope"].mask(waits)
    for file in run_directory.paths.raw.rglob("*.parquet"):
        file.unlink()
    land(run_directory, rows, arrived=day(41))
    return replace(run_directory, labels=labels)


@pytest.mark.parametrize("labels", ["or_never", "later"])
def test_blank_cells_of_rows_whose_answer_never_comes_are_no_leak(run_directory: Room, labels: str) -> None:
    assert len(run(catches(run_directory, waiting=0, labels=labels), as_of=day(42))) == 768


def test_cells_that_are_blank_while_the_answer_is_to_come_end_the_run(run_directory: Room) -> None:
    with pytest.raises(RefusedError, match=r"leak: slope: .*blank in 100%"):
        run(catches(run_directory, waiting=30, labels="later"), as_of=day(42))


class TestAChangedTable:
    """A column appeared, one went, one was renamed, and a champion knew the old ones."""

    @pytest.fixture
    def changed(self, run_directory: Room) -> DataParams:
        section = run_directory.data.model_dump(mode="json")
        columns = section["columns"]
        height = columns.pop("level") | {"was": "level"}
        columns.pop("slope")
        fresh = {"type": "number", "role": "feature"}
        data = DataParams.model_validate(section | {"columns": columns | {"height": height, "fresh": fresh}})
        rows = stream(72).iloc[48:].rename(columns={"level": "height"}).assign(fresh=1.0)[list(data.columns)]
        landing = Landing(run_directory.paths.raw)
        facts: dict[str, Any] = {"digest": "c" * 64, "arrived": day(3), "correction": False, "released": ""}
        with landing.locked():
            landing.land("rows", rows.assign(_key=row_keys(rows, ("number",), "c")), **facts, data=data)
        return data

    def run(self, run_directory: Room, data: DataParams, champion: dict[str, Any] | None = None) -> pd.DataFrame:
        write_file(run_directory.paths.pins, to_json(to_record(Pins(as_of=day(4), mode="search"))))
        lay_settings(run_directory.paths, {"data": data.model_dump(mode="json")})
        if champion is not None:
            (run_directory.paths.champion / "none.json").unlink()
            write_file(run_directory.paths.champion / "features" / "view.json", to_json(champion))
        validate.run(data, LeakParams(probe=False, allowed={}), 10, {}, run_directory.paths, 1)
        return pd.read_parquet(run_directory.paths.table)

    def test_is_read_as_it_is_declared_now(self, run_directory: Room, changed: DataParams) -> None:
        table = self.run(run_directory, changed)

        assert table["height"].notna().all()
        assert table["fresh"].isna().tolist() == [True] * 48 + [False] * (len(table) - 48)
        assert "slope" not in table

    def test_has_what_the_champion_reads(self, run_directory: Room, changed: DataParams) -> None:
        view = {
            "features": [{"name": name, "type": "number"} for name in ("level", "slope", "lost")],
            "levels": {},
            "target": "outcome",
            "task": "regression",
            "classes": [],
        }
        table = self.run(run_directory, changed, view)

        assert table["level"].tolist() == table["height"].tolist()
        assert table["slope"].isna().tolist() == [False] * 48 + [True] * (len(table) - 48)
        assert table["lost"].isna().all()

    def test_a_column_that_only_the_champion_reads_is_not_asked_of(
        self, run_directory: Room, changed: DataParams
    ) -> None:
        asked = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "slope"}}
        suite = {**SUITE, "expectations": [*SUITE["expectations"], asked]}
        write_file(run_directory.paths.root / "expectations" / "generated.json", to_json(suite))
        features = [{"name": "slope", "type": "number"}]
        view = {"features": features, "levels": {}, "target": "outcome", "task": "regression", "classes": []}
        self.run(run_directory, changed, view)
        (note,) = json.loads((run_directory.paths.validation / "report.json").read_bytes())["not_asked"]

        assert "expectations of 'slope' (1) are not checked" in note

    def test_rows_that_came_before_a_column_are_not_asked_for_it(
        self, run_directory: Room, changed: DataParams
    ) -> None:
        asked = {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "fresh"}}
        suite = {**SUITE, "expectations": [*SUITE["expectations"], asked]}
        write_file(run_directory.paths.root / "expectations" / "generated.json", to_json(suite))

        assert len(self.run(run_directory, changed)) > 48
