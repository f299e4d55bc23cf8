"""A tried setting beside what is there: which losses count, which rows judge, and what the interval allows to say."""

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.gate.change import (
    ChangeVerdict,
    changed,
    counted,
    judge_change,
    judged_keys,
    refuse_facts,
    refuse_other_facts,
    value_at,
)
from retrim.gate.losses import RelativeGain
from retrim.stats.bootstrap import Resampling
from tests.builders.gates import make_gate

START = pd.Timestamp("2024-01-01", tz="UTC")
RESAMPLING = Resampling(draws=200, block_rows=1, seed=7)


def table(rows: int) -> pd.DataFrame:
    event = pd.Series(START + pd.to_timedelta(np.arange(rows), unit="h"))
    return pd.DataFrame({"_key": [f"{row:03d}" for row in range(rows)], "_event": event, "_due": event})


def compared(before: np.ndarray, after: np.ndarray, *, confidence: float = 0.95) -> ChangeVerdict:
    gate = make_gate(min_rows=2).model_copy(update={"confidence": confidence})
    return judge_change(before, after, gate, RESAMPLING)


class TestTheWindowThatCounts:
    one, other = np.array([1.0, 1.0]), np.array([9.0, 9.0])

    def test_is_the_first_where_nothing_was_judged_before(self) -> None:
        assert counted([{"sliding": self.other, "all": self.one}]).tolist() == [9.0, 9.0]

    def test_is_then_the_one_that_lost_least_before(self) -> None:
        first = {"all": self.other, "sliding": self.one}
        then = {"all": self.one, "sliding": self.other}

        assert counted([first, then]).tolist() == [9.0, 9.0, 9.0, 9.0]


class TestTheRowsThatJudge:
    def test_are_those_of_both_sides(self) -> None:
        whole = table(40)
        found = judged_keys(whole, [whole.drop(index=[38, 39])], origins=2, rows=5)

        assert [keys.tolist()[-1] for keys in found] == ["034", "037"]

    def test_are_refused_where_there_are_none(self) -> None:
        other = table(40).assign(_key="else")

        with pytest.raises(ValueError, match="none of the rows"):
            judged_keys(table(40), [other], origins=2, rows=5)


class TestTheVerdict:
    noise = np.random.default_rng(7).normal(scale=0.01, size=200)

    @pytest.mark.parametrize(
        ("before", "after", "outcome"),
        [
            (1 + noise, 0.5 + noise, "better"),
            (0.5 + noise, 1 + noise, "worse"),
            (1 + noise, 1 + 40 * (noise - noise.mean()), "unclear"),
            (1 + noise, 1 + noise, "same"),
            (noise[:0], noise[:0], "failed"),
        ],
    )
    def test_is_what_the_interval_shows(self, before: np.ndarray, after: np.ndarray, outcome: str) -> None:
        assert compared(before, after).outcome == outcome

    @pytest.mark.parametrize(("confidence", "text"), [(0.95, "95.0%"), (0.999, "99.9%"), (0.99999, "99.999%")])
    def test_says_no_higher_confidence_than_there_is(self, confidence: float, text: str) -> None:
        verdict = compared(1 + self.noise, 0.5 + self.noise, confidence=confidence)

        assert verdict.sentence.endswith(f" with {text} confidence")

    def test_gives_no_share_of_a_loss_of_nothing(self) -> None:
        verdict = compared(np.zeros(200), np.ones(200))

        assert (verdict.outcome, "beyond" in verdict.sentence) == ("worse", True)

    def test_has_the_gain_of_the_gate(self) -> None:
        verdict = compared(np.full(100, 2.0), np.full(100, 1.5))

        assert verdict.gain == RelativeGain(0.25, 0.25, 0.25, 0.95)


class TestSettingsSetOtherwise:
    document: ClassVar[dict[str, Any]] = {
        "data": {"columns": {"a.b": {"role": "feature"}}, "model": "x"},
        "train": {"windows": ["all"]},
    }

    def test_change_that_value_alone(self) -> None:
        made = changed(self.document, {"train.windows": ["sliding"]})

        assert made == {**self.document, "train": {"windows": ["sliding"]}}
        assert self.document["train"] == {"windows": ["all"]}

    def test_are_found_below_a_name_with_a_dot(self) -> None:
        made = changed(self.document, {"data.columns.a.b.role": "forbidden"})

        assert made["data"]["columns"] == {"a.b": {"role": "forbidden"}}

    @pytest.mark.parametrize(
        ("key", "value"),
        [("data.columns.a.b.role", "feature"), ("data.columns.a.b", {"role": "feature"}), ("data.x", None)],
    )
    def test_stood_at_the_same_place_before(self, key: str, value: Any) -> None:
        assert value_at(self.document, key) == value

    def test_are_refused_where_a_whole_section_brings_another_fact(self) -> None:
        other = {**self.document, "data": {**self.document["data"], "label_horizon": "2h"}}

        with pytest.raises(BadInputError, match=r"data\.label_horizon"):
            refuse_other_facts(self.document, other)

    def test_are_refused_below_what_holds_no_keys(self) -> None:
        with pytest.raises(BadInputError, match=r"data\.model is 'x'"):
            changed(self.document, {"data.model.name": "y"})

    @pytest.mark.parametrize("key", ["reading", "reading.missing", "data.task"])
    def test_are_refused_where_landed_rows_cannot_show_them(self, key: str) -> None:
        with pytest.raises(BadInputError, match=rf"^{key} .*: (it determines|both|rows of)"):
            refuse_facts({key: None})
