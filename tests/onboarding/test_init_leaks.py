"""Columns that give the answer away are caught and named; those that only predict well are not."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths
from retrim.yaml_files import load_yaml
from tests.builders.raw_tables import ROWS, csv, empty_workspace, hours, inspected, looked_at, said, set_up, table


def caught(**columns: Any) -> list[tuple[str, ...]]:
    """Columns of the leaks in a table with these beside its own."""
    target = columns.pop("target", "minutes")
    return [leak.columns for leak in looked_at(csv(table(**columns)), target=target).leaks]


MINUTES = table()["minutes"]
CASUAL, REGISTERED = (np.random.default_rng(seed).poisson(mean, ROWS) for seed, mean in ((7, 20), (8, 100)))
A, B, C, NOISE = np.random.default_rng(7).normal(size=(4, ROWS))
LEVEL = np.cumsum(A) + B


@pytest.mark.parametrize(
    ("columns", "target", "leaks"),
    [
        ({}, "minutes", []),
        ({"casual": CASUAL, "registered": REGISTERED, "cnt": CASUAL + REGISTERED}, "cnt", [("registered", "casual")]),
        ({"a": A, "b": B, "c": C, "y": 2 * A - B}, "y", [("a", "b")]),
        ({"seconds": MINUTES * 60}, "minutes", [("seconds",)]),  # another unit
        ({"late": np.where(MINUTES > 25, "yes", "no")}, "late", [("minutes",)]),  # it was cut from that
        ({"km": NOISE.round(3), "before_next": MINUTES.shift(-1)}, "minutes", [("before_next",)]),
        ({"level": LEVEL, "before": np.roll(LEVEL, 1), "km": None, "weather": None}, "level", []),  # a slow series
        ({"last": MINUTES.shift(1)}, "minutes", []),
    ],
)
def test_columns_that_give_the_answer_away_are_named(
    columns: dict[str, Any], target: str, leaks: list[tuple[str, ...]]
) -> None:
    assert caught(**columns, target=target) == leaks


def test_what_the_better_part_tells_alone_is_said() -> None:
    rng = np.random.default_rng(7)
    a, b, noise = rng.normal(size=(3, ROWS))

    (leak,) = looked_at(csv(table(a=a, b=b, y=2 * a + b + 0.1 * noise)), target="y").leaks

    assert re.search(r"explains 99\.\d%.*the better one alone explains (7\d|8\d)\.", leak.seen)  # 4/5


def test_a_column_filled_only_once_the_answer_is_known_is_named() -> None:
    frame = table()
    frame.loc[ROWS - 40 :, "minutes"] = np.nan
    frame["rating"] = np.where(frame["minutes"].isna(), np.nan, np.random.default_rng(7).integers(1, 6, ROWS))
    (leak,) = looked_at(csv(frame)).leaks

    assert (leak.columns, leak.probe) == (("rating",), "known later")


def test_a_row_without_an_answer_for_good_says_nothing_of_when_a_column_is_filled() -> None:
    frame = table()
    nothing_caught = np.arange(ROWS) % 10 == 3
    frame.loc[nothing_caught, "minutes"] = np.nan
    frame["rating"] = np.where(nothing_caught, np.nan, np.random.default_rng(7).integers(1, 6, ROWS))

    assert looked_at(csv(frame)).leaks == []


def test_rows_without_an_answer_for_good_hide_no_column_that_is_filled_only_after_the_event() -> None:
    frame, waits = table(), np.arange(ROWS) >= ROWS - 40
    nothing_caught = (np.arange(ROWS) % 10 == 3) & ~waits
    numbers = np.random.default_rng(7).integers(1, 6, ROWS)
    frame.loc[nothing_caught | waits, "minutes"] = np.nan
    frame["length"], frame["rating"] = np.where(nothing_caught, np.nan, numbers), np.where(waits, np.nan, numbers)

    assert [leak.columns for leak in looked_at(csv(frame)).leaks] == [("rating",)]


def test_a_column_filled_only_with_its_label_time_is_named() -> None:
    known = hours().astype("str").mask(pd.Series(range(ROWS)) >= ROWS - 40, "")
    rating = pd.Series(np.random.default_rng(7).integers(1, 6, ROWS)).where(known != "")
    drafted = looked_at(csv(table(known=known, rating=rating)), event_time="at", label_time="known")

    assert [leak.columns for leak in drafted.leaks] == [("rating",)]


def test_a_forbidden_column_is_asked_nothing() -> None:
    drafted = looked_at(csv(table(seconds=MINUTES * 60)), forbid=("seconds",))

    assert drafted.leaks == []
    assert drafted.data.columns["seconds"].role == "forbidden"


def test_the_target_of_the_same_shops_next_row_is_named_where_the_shop_is() -> None:
    frame = table(shop=np.random.default_rng(7).choice(["north", "south", "east"], ROWS))
    frame["coming"] = frame.groupby("shop")["minutes"].shift(-2)
    (leak,) = looked_at(csv(frame), entity="shop").leaks

    assert (leak.columns, leak.probe) == (("coming",), "future")
    assert re.search(r"\b2 rows later\b.*\bshop\b", leak.seen)


def test_a_value_that_only_open_rows_have_is_named() -> None:
    frame = table()
    waits = (np.arange(ROWS) > ROWS // 2) & (np.random.default_rng(7).random(ROWS) < 0.3)
    frame["state"] = np.where(waits, "open", np.random.default_rng(8).choice(["done", "paid"], ROWS))
    frame.loc[waits, "minutes"] = np.nan
    (leak,) = looked_at(csv(frame)).leaks

    assert (leak.columns, leak.probe) == (("state",), "known later")
    assert "'open' in 100%" in leak.seen


def test_a_value_that_all_rows_of_late_have_is_no_leak() -> None:
    frame = table(system=np.where(np.arange(ROWS) < ROWS - 60, "old", "new"))
    frame.loc[(np.arange(ROWS) > ROWS - 50) & (np.arange(ROWS) % 2 > 0), "minutes"] = np.nan

    assert looked_at(csv(frame)).leaks == []


def test_rows_copied_into_those_that_judge_are_a_leak() -> None:
    frame = table()
    copied = pd.concat([frame.iloc[:-30], frame.iloc[:30].assign(at=frame["at"].iloc[-30:].to_numpy())])
    (leak,) = looked_at(csv(copied)).leaks

    assert (leak.columns, leak.probe) == (("duplicates",), "duplicates")


def test_rows_of_few_values_are_alike_by_chance_and_no_leak() -> None:
    few = np.random.default_rng(7).integers(0, 3, ROWS)
    drafted = looked_at(csv(table(km=few, minutes=few + np.random.default_rng(8).integers(0, 3, ROWS))))

    assert drafted.leaks == []


def test_an_entity_with_one_answer_is_a_leak() -> None:
    patient = np.random.default_rng(7).integers(0, 40, ROWS)
    ill = np.where(patient % 3 == 0, "yes", "no")
    (leak,) = looked_at(csv(table(patient=patient, ill=ill)), target="ill", entity="patient", forbid=("patient",)).leaks

    assert (leak.columns, leak.probe) == (("patient",), "entity")


def flow(rows: int = 1200) -> pd.DataFrame:
    """A table of which two columns are the target's parts: its ratio."""
    rng = np.random.default_rng(7)
    volume, seconds = rng.gamma(3, 50, rows), rng.gamma(4, 20, rows)
    return table(rows, volume=volume, seconds=seconds, minutes=volume / seconds)


def test_a_ratio_of_two_columns_is_named() -> None:
    (leak,) = looked_at(csv(flow())).leaks

    assert set(leak.columns) == {"volume", "seconds"}
    assert leak.probe == "ratio"


def test_a_category_of_one_class_a_level_is_named_though_cells_go_missing() -> None:
    rng, rows = np.random.default_rng(7), 2000
    code = rng.integers(0, 30, rows)
    blank = rng.random(rows) < np.linspace(0, 0.7, rows)
    frame = table(
        rows, code=pd.Series(code).map("c{}".format).mask(blank), paid=np.array(["yes", "late", "no"])[code % 3]
    )
    drafted = looked_at(csv(frame), target="paid")

    assert [leak.columns for leak in drafted.leaks] == [("code",)]
    assert f" {1 - blank.mean():.0%} of rows" in drafted.leaks[0].seen


def after_the_event(rows: int = 2000) -> pd.DataFrame:
    """Deliveries late or not, and three columns that nobody knows before: each tells a part of it."""
    rng = np.random.default_rng(7)
    parts = rng.gamma(2, 5, (3, rows))
    late = np.where(parts.sum(axis=0) > 30, "yes", "no")
    return table(rows, loading=parts[0], driving=parts[1], waiting=parts[2], minutes=None, late=late)


def test_a_first_model_that_is_too_good_names_what_carries_it() -> None:
    (leak,) = looked_at(csv(after_the_event()), target="late").leaks

    assert leak.probe == "too good"
    assert len(leak.columns) > 1
    assert set(leak.columns) <= {"loading", "driving", "waiting"}


def test_what_is_allowed_does_not_hide_what_else_is_too_good() -> None:
    frame = after_the_event().assign(seconds=lambda rows: rows["late"].eq("yes") * 60.0 + 1)
    drafted = looked_at(csv(frame), target="late", allow_leak=("seconds",), reason="timed before")

    assert [leak.columns for leak in drafted.allowed] == [("seconds",)]
    assert [leak.probe for leak in drafted.leaks] == ["too good"]


def test_the_five_columns_leaned_on_most_are_shown_with_what_has_to_hold() -> None:
    noise = {f"other{number}": np.random.default_rng(number).normal(size=1200) for number in range(6)}
    note = said(looked_at(csv(table(1200, **noise))), "leans on")

    assert "km" in note
    assert note.count("%") == 5
    assert "--forbid COL" in note


class TestAllowing:
    leaking = csv(table(seconds=table()["minutes"] * 60))

    @pytest.fixture
    def workspace(self, tmp_path: Path) -> WorkspacePaths:
        return empty_workspace(tmp_path)

    def test_a_leak_stops_the_run_and_says_both_ways_on(self, workspace: WorkspacePaths) -> None:
        cures = r"--forbid 'seconds'.*--allow-leak 'seconds'.*Without the leak: leans on: .*\bkm\b"
        with pytest.raises(RefusedError, match=rf"leak: seconds: .*{cures}"):
            inspected(workspace, self.leaking)

    @pytest.mark.parametrize(
        ("content", "column", "allowed"),
        [(csv(flow()), "volume", ("volume", "seconds")), (leaking, "seconds", ("seconds",))],
    )
    def test_an_allowed_leak_and_all_that_carry_with_it_stand_in_the_settings_with_the_reason(
        self, workspace: WorkspacePaths, content: bytes, column: str, allowed: tuple[str, ...]
    ) -> None:
        set_up(workspace, content, land=False, allow_leak=(column,), reason="timed before, by hand")
        settings = load_yaml(workspace.params.read_text(encoding="utf-8"))

        assert settings["leaks"]["allowed"] == dict.fromkeys(allowed, "timed before, by hand")
        assert settings["data"]["columns"][column]["role"] == "feature"

    def test_a_leak_is_not_allowed_without_a_reason(self) -> None:
        with pytest.raises(BadInputError, match="--reason"):
            looked_at(csv(table()), allow_leak=("km",))

    def test_edits_that_are_not_committed_are_not_overwritten(self, workspace: WorkspacePaths) -> None:
        before = workspace.params.read_bytes()
        with pytest.raises(RefusedError, match=r"params\.yaml: uncommitted"):
            set_up(workspace, self.leaking, land=False, overwrite=False, forbid=("seconds",))

        assert workspace.params.read_bytes() == before
