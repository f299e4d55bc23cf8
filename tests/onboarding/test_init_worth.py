"""It is said when a model is the wrong tool, and what the table's own rhythm makes of the settings."""

import numpy as np
import pandas as pd
import pytest

from retrim.settings import parse_params
from tests.builders.raw_tables import ROWS, csv, hours, looked_at, said, table
from tests.builders.shipped import whole


def test_a_model_that_is_worth_making_is_called_so_and_noise_has_no_signal_beyond_chance() -> None:
    noise = np.random.default_rng(9).normal(size=1200)

    assert said(looked_at(csv(table(1200))), "worth a model").startswith("worth a model: only if km is known")
    assert "no signal beyond chance" in said(looked_at(csv(table(1200, minutes=noise))), "worth a model")


def test_a_series_that_only_repeats_its_week_needs_no_model() -> None:
    rows = 24 * 7 * 12
    at = hours(rows)
    week = np.random.default_rng(7).normal(50, 20, 168)
    trips = week[(at.dt.day_of_week * 24 + at.dt.hour).to_numpy()] + np.random.default_rng(8).normal(0, 1, rows)
    drafted = looked_at(csv(table(rows, minutes=trips)))

    assert drafted.season is not None
    assert drafted.season.span == "7D"
    assert "seasonal mean" in said(drafted, "worth a model")


class TestASeriesThatWanders:
    wanders = np.cumsum(np.random.default_rng(7).normal(size=1200))

    def test_it_is_said_how_a_model_comes_to_see_its_last_value(self) -> None:
        told = said(looked_at(csv(table(1200, minutes=self.wanders))), "worth a model")

        assert "lowest loss: last value" in told
        assert "--ahead SPAN" in told

    def test_a_model_that_sees_it_is_not_sent_there(self) -> None:
        assert "--ahead" not in said(looked_at(csv(table(1200, minutes=self.wanders)), ahead="1h"), "worth a model")

    def test_rows_without_a_time_have_no_span_to_look_back(self) -> None:
        assert "--ahead" not in said(looked_at(csv(table(1200, at=None, minutes=self.wanders))), "worth a model")


def test_one_rule_that_does_as_well_is_named() -> None:
    late = np.where((table(1200)["weather"] == "rain") & (np.random.default_rng(7).random(1200) < 0.9), "yes", "no")
    drafted = looked_at(
        csv(table(1200, late=late, minutes=None, km=np.random.default_rng(3).normal(size=1200))), target="late"
    )

    assert "8 cases" in said(drafted, "worth a model")


@pytest.mark.parametrize(
    ("every", "rows", "batch"), [("1h", 24 * 365, "7D"), ("1D", 1500, "90D"), ("1min", 60 * 24 * 14, "6h")]
)
def test_batches_follow_the_rhythm_of_the_table(every: str, rows: int, batch: str) -> None:
    drafted = looked_at(csv(table(rows, at=hours(rows, every=every))))

    assert drafted.rhythm.batch_every == batch


@pytest.mark.parametrize("rows", [130, 300, 1200])
def test_what_is_drafted_suffices_for_a_first_version(rows: int) -> None:
    from retrim.training.enough import cut_first

    drafted = looked_at(csv(table(rows)))
    document = {**whole(), "data": drafted.data.model_dump(exclude_unset=True), "reading": drafted.reading.model_dump()}
    for (section, name, *deeper), choice in drafted.choices.items():
        if not deeper:
            document[section] = {**document[section], name: choice.value}
    params = parse_params(document, "params.yaml")
    event = hours(rows)

    cut_first(event, event + pd.Timedelta("1h"), params.split, params.tune, params.backtest)


def test_no_expectation_of_the_draft_blocks_a_past_batch() -> None:
    frame = table(2000)
    frame.loc[1900, "km"] = -1.0
    drafted = looked_at(csv(frame.rename(columns={"km": "distance"})))
    dropped = [draft.expectation.kwargs for draft in drafted.suite if not draft.kept]
    later = hours(2000).iloc[1000:]
    batches = later.sub(later.iloc[0]).floordiv(pd.Timedelta(drafted.rhythm.batch_every)).nunique()

    assert dropped == [{"column": "distance", "min_value": 0}]
    assert {draft.batches for draft in drafted.suite} == {batches}


def test_errors_that_stay_alike_make_longer_blocks() -> None:
    slow = np.repeat(np.random.default_rng(7).normal(size=ROWS * 5 // 20), 20)
    drafted = looked_at(csv(table(ROWS * 5, minutes=table(ROWS * 5)["minutes"] + 10 * slow)))

    assert drafted.choices["judge", "block_rows"].value > 8
