"""It is said when a model is the wrong tool, and what the table's own rhythm makes of the settings."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.errors import UnknownNameError
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

    def test_its_past_becomes_features_as_it_is_known_by_then(self) -> None:
        drafted = looked_at(csv(table(1200, minutes=self.wanders)))

        assert "minutes lag 1" in drafted.data.history.columns
        assert "naive last value loses" in said(drafted, "past")

    def test_a_past_that_is_known_too_late_to_help_is_not_taken(self) -> None:
        drafted = looked_at(csv(table(1200, minutes=self.wanders)), horizon="30D")

        assert drafted.data.history.features == ()
        assert "lowest loss" in said(drafted, "worth a model")


class TestAColumnThatSaysWhatARowIsAbout:
    def test_an_identifier_that_repeats_is_the_entity_and_no_number(self) -> None:
        drafted = looked_at(csv(self.meters()))

        assert (drafted.data.columns["licence_no"].type, drafted.data.history.entity) == ("category", ("licence_no",))
        assert "minutes lag 1 by licence_no" in drafted.data.history.columns
        assert "each in about 20 rows" in said(drafted, "entity")
        assert said(drafted, "known before?") == ""

    def test_a_person_may_say_that_nothing_does(self) -> None:
        answers = lambda question, proposal, _: "none" if "about" in question else proposal  # noqa: E731

        assert looked_at(csv(self.meters()), ask=answers).data.history.entity == ()

    @staticmethod
    def meters() -> pd.DataFrame:
        """60 meters that are read in turn, each with a level of its own that wanders."""
        random = np.random.default_rng(7)
        level = 50 + random.normal(0, 20, 60) + np.cumsum(random.normal(0, 2, (20, 60)), axis=0)
        return table(1200, minutes=level.ravel(), licence_no=np.tile(random.permutation(9000)[:60] + 1000, 20))


class TestOneClassAgainstTheRest:
    late = np.random.default_rng(7).choice(["late", "early", "in time"], 1200, p=[0.2, 0.3, 0.5])

    def test_is_asked_for_by_its_name(self) -> None:
        drafted = looked_at(csv(table(1200, state=self.late)), target="state", positive="late")

        assert (drafted.data.task, drafted.data.positive) == ("binary", "late")
        assert drafted.data.columns["state"].rest == ("early", "in time")
        assert "of the rows are 'late'" in drafted.aim.why

    def test_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="'never'"):
            looked_at(csv(table(1200, state=self.late)), target="state", positive="never")


def test_one_rule_that_does_as_well_is_named() -> None:
    late = np.where((table(1200)["weather"] == "rain") & (np.random.default_rng(7).random(1200) < 0.9), "yes", "no")
    drafted = looked_at(
        csv(table(1200, late=late, minutes=None, km=np.random.default_rng(3).normal(size=1200))), target="late"
    )

    assert "8 cases" in said(drafted, "worth a model")


def test_a_file_per_month_is_a_cadence_and_files_that_overlap_are_none(tmp_path: Path) -> None:
    days = table(540, at=hours(540, every="8h"))
    for month, rows in days.groupby(days["at"].dt.strftime("%Y-%m")):
        (tmp_path / f"{month}.csv").write_bytes(csv(rows))
    monthly = looked_at(tmp_path)
    (tmp_path / "late.csv").write_bytes(csv(days.iloc[::90]))

    assert monthly.rhythm.batch_every == "30D"
    assert "6 files, each with the rows of a month" in said(monthly, "cadence")
    assert said(looked_at(tmp_path), "cadence") == ""


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
    drafted = looked_at(csv(table(ROWS * 5, minutes=table(ROWS * 5)["minutes"] + 10 * slow)), horizon="90D")

    assert drafted.choices["judge", "block_rows"].value > 8
