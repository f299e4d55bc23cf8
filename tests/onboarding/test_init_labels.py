"""A history with label times lands as it was lived: rows without labels, labels when they became known."""

import re

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths
from retrim.landing.as_of_view import known_table, labels_came
from retrim.lineage.workspace import open_workspace
from retrim.settings import load_params
from retrim.table.data import assemble, mature
from tests.builders.churn import churn
from tests.builders.landed import read_landed
from tests.builders.raw_tables import ROWS, csv, empty_workspace, hours, looked_at, said, set_up, table


def slowing(*, rows: int, late: np.ndarray, more: float) -> pd.DataFrame:
    """Deliveries every 6 hours, each kilometre taking longer and longer, and when each was known.

    Args:
        rows: How many.
        late: Days until the answer of each is known, shape (rows,).
        more: Minutes that a kilometre takes at the end beyond those at the beginning.
    """
    frame, at = table(rows), hours(rows, every="6h")
    minutes = (frame["minutes"] + more * np.arange(rows) / rows * frame["km"]).round(2)
    return frame.assign(at=at, minutes=minutes, known=at + pd.to_timedelta(late, unit="D"))


def still_to_come() -> pd.DataFrame:
    """One answer in twenty takes 45 days of a history of 50: of 382 that are known 2 are slow, fewer than 1%."""
    at = hours(every="3h")
    known = at + pd.to_timedelta(np.where(np.arange(ROWS) % 20 == 0, 45 * 24, 24), unit="h")
    minutes = table()["minutes"].where((known <= at.iloc[-1]).to_numpy())
    return table(at=at, minutes=minutes, known=known.where(minutes.notna().to_numpy()))


def slow_class() -> pd.DataFrame:
    """A rare class whose answers take longest."""
    fraud, at = np.where(np.arange(ROWS) % 200 == 7, "fraud", "none"), hours(every="1D")
    return table(at=at, known=at + pd.to_timedelta(np.where(fraud == "fraud", 90, 30), unit="D"), fraud=fraud)


def slow_answers() -> pd.DataFrame:
    """Answers that take long because of what they are."""
    frame = slowing(rows=2000, late=np.full(2000, 2), more=0.5)
    return frame.assign(known=frame["at"] + pd.to_timedelta(np.where(frame["minutes"] > 26, 60, 2), unit="D"))


def three_in_ten(rows: int) -> np.ndarray:
    return np.where(np.random.default_rng(7).random(rows) < 0.3, 60, 2)


@pytest.mark.parametrize(
    ("frame", "target", "horizon", "told"),
    [
        (still_to_come(), "minutes", "45D", "counting those still to come"),
        (slow_class(), "fraud", "90D", r"\b99% of .*\beach class\b"),
        # Where the world moves and slow answers are like the others a short wait is best; where they differ a long one.
        (slowing(rows=2000, late=three_in_ten(2000), more=9), "minutes", "2D", "the lowest loss"),
        (slow_answers(), "minutes", "60D", "the lowest loss"),
        (slowing(rows=400, late=three_in_ten(400), more=9), "minutes", "60D", "99% of the labels"),  # too short to try
    ],
)
def test_the_horizon_waits_for_as_many_answers_as_pay(
    frame: pd.DataFrame, target: str, horizon: str, told: str
) -> None:
    drafted = looked_at(csv(frame), target=target, event_time="at", label_time="known")

    assert drafted.data.label_horizon == horizon
    assert re.search(told, said(drafted, "horizon"))
    assert re.search(told, drafted.choices["data", "label_horizon"].why)


def test_a_label_time_needs_an_event_to_count_from() -> None:
    with pytest.raises(BadInputError, match="--event-time"):
        looked_at(csv(table(at=None, known=hours())), label_time="known")


def test_odd_label_times_are_counted_and_said() -> None:
    at = hours()
    known = at + pd.Timedelta("2h")
    known.iloc[[3, 4]] = at.iloc[[3, 4]] - pd.Timedelta("5h")
    known.iloc[5] = pd.NaT
    drafted = looked_at(csv(table(known=known)), event_time="at", label_time="known")

    odd = [note.seen for note in drafted.notes if (note.about, note.weight) == ("label time", "warn")]
    assert [each.split()[0] for each in odd] == ["2", "1"]


@pytest.fixture(scope="module", params=["keyed", "without a key"])
def lived(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[WorkspacePaths, pd.DataFrame]:
    """A workspace into which a year of churn has landed by its label times, and what really was."""
    paths = empty_workspace(tmp_path_factory.mktemp("churn"))
    frame = churn(3000, seed=7).drop(columns="number" if request.param == "without a key" else [])
    content = csv(frame, date_format="%d.%m.%Y %H:%M")
    set_up(paths, content, target="left", model="churn", event_time="at", label_time="closed at")
    return paths, frame


@pytest.mark.slow  # lands by a suite
class TestAHistoryThatLanded:
    def test_labels_land_beside_the_rows_when_they_were_known_and_in_that_order(
        self, lived: tuple[WorkspacePaths, pd.DataFrame]
    ) -> None:
        rows, labels = read_landed(lived[0].landing)

        assert rows["left"].isna().all()
        assert labels is not None
        assert (len(rows), len(labels)) == (3000, 3000)
        assert (labels["_arrived"] >= labels["label_time"]).all()
        assert labels.groupby("_arrived")["label_time"].max().is_monotonic_increasing
        assert sum(batch.kind == "labels" for batch in Landing(lived[0].landing).batches()) > 10

    def test_a_label_counts_in_a_backtest_from_when_it_was_known_however_many_landed_at_once(
        self, lived: tuple[WorkspacePaths, pd.DataFrame]
    ) -> None:
        paths, frame = lived
        workspace = open_workspace(paths.root)
        now = pd.Timestamp("2030-01-01", tz="UTC")
        table = mature(known_table(workspace, as_of=now))
        came = labels_came(workspace, table, as_of=now)
        closed = frame.sort_values("at", kind="stable")["closed at"].reset_index(drop=True)

        assert (came == closed).all()
        assert (came < table["_matured"]).mean() > 0.3

    def test_every_label_found_its_row(self, lived: tuple[WorkspacePaths, pd.DataFrame]) -> None:
        workspace, frame = lived
        table = assemble(
            *read_landed(workspace.landing),
            load_params(workspace.params).data,
            as_of=pd.Timestamp("2030-01-01", tz="UTC"),
        )
        wanted = frame.sort_values("at", kind="stable")

        assert table["left"].to_list() == wanted["left"].to_list()
        assert table["months"].to_list() == wanted["months"].to_list()

    def test_rows_that_are_due_are_a_fair_sample_and_those_that_came_are_not(
        self, lived: tuple[WorkspacePaths, pd.DataFrame]
    ) -> None:
        workspace, frame = lived
        data = load_params(workspace.params).data
        now = Landing(workspace.landing).batches()[0].arrived
        table = assemble(*read_landed(workspace.landing), data, as_of=now)
        recent = table["_event"] > now - 2 * pd.Timedelta(str(data.label_horizon))
        true = float((frame["left"] == "yes").mean())
        came = float((table.loc[recent & table["_known"].notna(), "left"] == "yes").mean())
        due = float((mature(table)["left"] == "yes").mean())

        assert abs(due - true) < 0.03
        assert came - true > 0.1
