"""Classes that training never saw, that vanish, or that are alone: a verdict in finite figures, or a clear refusal.

What is defined: a model gives a class that it never saw probability 0, so a row of it
costs the most that its loss has (27.6 nats of log loss, 1 added to the Brier score); training rows of one class
alone are refused; a window or a batch of one class is fitted and judged like any other.
"""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from retrim.errors import RefusedError, RetrimError
from tests.builders.run_directory import Room, make_run_directory, stream
from tests.builders.whole import DEAREST, assert_whole

SMALL: dict[str, dict[str, Any]] = {
    "split": {"judge_rows": 30, "sliding_rows": 40},
    "judge": {"loss": "log_loss", "metrics": ["log_loss", "brier", "accuracy", "f1", "recall"], "draws": 50},
    "gate": {"baselines": ["mean", "seasonal_mean"], "min_rows": 20},
    "tune": {"trials": 1, "folds": 2, "fold_rows": 15, "max_rounds": 4},
    "backtest": {"origins": 1, "origin_rows": 15},
}


def made(
    folder: Path, outcomes: Sequence[str], *, task: str, champion: Room | None = None, mode: str = "search"
) -> Room:
    """A run on a table of these outcomes, oldest first."""
    table = stream(len(outcomes)).assign(outcome=pd.Series(outcomes, dtype="str"))
    before = None if champion is None else champion.bundle
    return make_run_directory(folder, table, mode=mode, champion=before, task=task, **SMALL).run()


SEGMENT = st.tuples(st.sampled_from(["a", "b", "c", "ab", "abc", "cd"]), st.integers(10, 60))
STREAM = st.lists(SEGMENT, min_size=2, max_size=4)
"""A stretch of rows that holds these classes in turn, after another: classes come, vanish, and stand alone."""


@settings(max_examples=4, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(first=STREAM, later=STREAM)
@example(first=[("ab", 90), ("c", 40)], later=[("c", 40)])  # a new class is all that judges, then all of a window
@example(first=[("abc", 60), ("a", 60)], later=[("a", 60)])  # two vanish, and one is left in window and judging block
@example(first=[("a", 120)], later=[("ab", 40)])  # one alone
@example(first=[("a", 60), ("ab", 60)], later=[("b", 30)])  # the backtest and a fold know one class
def test_any_coming_and_going_of_classes_ends_in_a_verdict_or_a_refusal(first: list, later: list) -> None:
    outcomes = [names[place % len(names)] for names, rows in first for place in range(rows)]
    more = [names[place % len(names)] for names, rows in later for place in range(rows)]
    with tempfile.TemporaryDirectory() as folder, suppress(RefusedError):
        champion = made(Path(folder) / "1", outcomes, task="multiclass")
        assert_whole(champion)
        assert_whole(made(Path(folder) / "2", outcomes + more, task="multiclass", champion=champion, mode="search"))


class TestAClassThatTrainingNeverSaw:
    @pytest.fixture(scope="class")
    def first(self, tmp_path_factory: pytest.TempPathFactory) -> Room:
        return made(tmp_path_factory.mktemp("first"), [*"ab" * 60, *"abc" * 10], task="multiclass")

    def test_is_coded_apart_in_what_is_judged(self, first: Room) -> None:
        judged = pd.read_parquet(first.paths.verdict / "judged.parquet")

        assert sorted(judged["actual"].unique()) == [-1, 0, 1]

    def test_costs_the_dearest_loss_on_each_of_its_rows(self, first: Room) -> None:
        judged = pd.read_parquet(first.paths.verdict / "judged.parquet")
        verdict = first.record("verdict/verdict.json")
        winner = verdict["winner"]
        known = judged[judged["actual"] >= 0]
        own = known[[f"{winner}_0", f"{winner}_1"]].to_numpy()[np.arange(len(known)), known["actual"]]
        expected = (-np.log(own).sum() + DEAREST * (len(judged) - len(known))) / len(judged)

        assert verdict["losses"][winner] == pytest.approx(expected)

    def test_is_known_to_the_next_version_which_gains_by_it(self, first: Room, tmp_path: Path) -> None:
        outcomes = [*"ab" * 60, *"abc" * 40]
        second = made(tmp_path, outcomes, task="multiclass", champion=first, mode="refit")
        verdict = second.record("verdict/verdict.json")

        assert second.record("features/view.json")["classes"] == ["a", "b", "c"]
        assert verdict["losses"]["champion"] > 0.9 * DEAREST / 3 > verdict["losses"][verdict["winner"]]


class TestTwoClasses:
    def test_of_which_one_vanishes_from_window_and_judging_block_are_judged(self, tmp_path: Path) -> None:
        run_directory = made(tmp_path, [*["yes", "no"] * 40, *["no"] * 75], task="binary")

        assert_whole(run_directory)
        assert set(run_directory.record("verdict/verdict.json")["losses"]) >= {"all", "sliding"}

    @pytest.mark.parametrize("alone", ["yes", "no"])
    def test_of_which_training_holds_one_alone_are_refused(self, tmp_path: Path, alone: str) -> None:
        other = {"yes": "no", "no": "yes"}[alone]

        with pytest.raises(RetrimError, match="training rows have only 1 "):
            made(tmp_path, [*[alone] * 100, *[other] * 30], task="binary")

    def test_of_which_the_judging_block_holds_one_alone_are_judged(self, tmp_path: Path) -> None:
        assert_whole(made(tmp_path, [*["yes", "no"] * 45, *["yes"] * 32], task="binary"))
