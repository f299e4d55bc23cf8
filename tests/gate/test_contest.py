"""Previous champions beside the challengers of a run: who competes, and when one comes back instead."""

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from retrim.decision.previous_champions import may_compete, settle, shortlist
from retrim.features.view import FeatureView
from retrim.gate.verdict import Check, Verdict
from retrim.training.bundle import Predictor

VIEW = FeatureView({"x": "number"}, {}, "y", "regression", ())
START = pd.Timestamp("2024-01-01", tz="UTC")
ROWS = pd.DataFrame({"_event": pd.date_range(START, periods=20, freq="1h"), "x": 0.0, "y": np.arange(20.0)})


@dataclass(frozen=True)
class Constant:
    """A model that says one number."""

    value: float

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.full(len(matrix), self.value)


def previous_champion(value: float, *, used: int = 0, view: FeatureView = VIEW) -> Predictor:
    """One that says `value`, and was made with rows until hour `used`."""
    at = START + pd.Timedelta(used, "h")
    return Predictor(view, lambda: cast("Any", Constant(value)), cast("Any", None), "all", at, at, at, 1.0)


def compete(
    *previous_champions: Predictor, columns: tuple[str, ...] = ("x", "y"), judged_from: int = 10
) -> tuple[list, dict]:
    named = dict(enumerate(previous_champions, 1))
    able, unable = may_compete(named, columns=columns, judged_from=START + pd.Timedelta(judged_from, "h"))
    return list(able), unable


def verdict(loss: float, *, passed: bool, winner: str = "all") -> Verdict:
    return Verdict(winner, (Check("gain", passed, 0.1, 0.0, "a gain", None),), {winner: loss}, 20, None)


def settled(new: Verdict, old: float | None, *, passed: bool = True) -> tuple[Verdict, Any]:
    of_previous = None if old is None else verdict(old, passed=passed, winner="3")
    return settle(new, of_previous, {} if old is None else {3: np.full(20, old)}, {})


class TestWhoCompetes:
    def test_is_who_was_made_with_rows_before_those_that_judge(self) -> None:
        able, unable = compete(
            previous_champion(1, used=9), previous_champion(1, used=10), previous_champion(1, used=11)
        )

        assert able == [1]
        assert unable[2].startswith("it was trained on rows until 2024-01-01T10:00:00+00:00,")
        assert set(unable) == {2, 3}

    def test_is_who_finds_its_columns(self) -> None:
        other = previous_champion(1, view=replace(VIEW, features={"x": "number", "gone": "number"}))

        assert compete(previous_champion(1), other) == ([1], {2: "it needs gone, which the table no longer has"})


class TestTheShortlist:
    def test_holds_who_did_best_on_the_newest_rows_before(self) -> None:
        # The newest five rows hold 15 to 19.
        kept, left_out = shortlist(
            {1: previous_champion(17), 2: previous_champion(2), 3: previous_champion(0)},
            ROWS,
            loss="mae",
            most=1,
            rows=5,
        )

        assert list(kept) == [1]
        assert set(left_out) == {2, 3}

    def test_looks_only_at_rows_that_none_of_them_was_made_with(self) -> None:
        # Until hour 18 the second has seen them; what is left is the row that holds 19.
        kept, _ = shortlist(
            {1: previous_champion(17), 2: previous_champion(19, used=18)}, ROWS, loss="mae", most=1, rows=5
        )

        assert list(kept) == [2]

    def test_holds_the_newest_where_no_row_is_left_to_look_at(self) -> None:
        kept, left_out = shortlist(
            {1: previous_champion(17), 2: previous_champion(0, used=30)}, ROWS, loss="mae", most=1, rows=5
        )

        assert list(kept) == [2]
        assert left_out == {1: "only 1 of 2 are judged, and others are newer"}

    def test_holds_all_where_there_are_few(self) -> None:
        assert shortlist({1: previous_champion(17), 2: previous_champion(0)}, ROWS, loss="mae", most=2, rows=5)[1] == {}


class TestAFormerChampionComesBack:
    def test_where_it_passes_and_loses_less_than_a_new_one_that_passes(self) -> None:
        new, contest = settled(verdict(2.0, passed=True), 1.0)

        assert (new.promote, contest.restore) == (False, 3)
        assert new.reason.startswith("version 3, a previous champion, goes live again instead")

    def test_where_it_passes_and_no_new_one_does(self) -> None:
        assert settled(verdict(1.0, passed=False), 2.0)[1].restore == 3

    @pytest.mark.parametrize(("old", "passed"), [(3.0, True), (1.0, False), (2.0, True)])
    def test_and_in_no_other_case(self, old: float, passed: bool) -> None:  # noqa: FBT001  one of two columns
        new, contest = settled(verdict(2.0, passed=True), old, passed=passed)

        assert (new.promote, contest.restore) == (True, None)
        assert [check.name for check in new.checks] == ["gain", "previous champion"]

    def test_never_where_there_is_none(self) -> None:
        new, contest = settled(verdict(2.0, passed=True), None)

        assert [check.name for check in new.checks] == ["gain"]
        assert contest.restore is None
