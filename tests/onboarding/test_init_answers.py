"""Rows without an answer, and how often files come."""

import re

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.onboarding.history import pieces
from retrim.table.data import overdue_labels
from tests.builders.raw_tables import ROWS, csv, hours, looked_at, said, table

NOW = pd.Timestamp("2030-01-01", tz="UTC")


def without(*places: int) -> pd.DataFrame:
    frame = table()
    frame.loc[list(places), "minutes"] = np.nan
    return frame


class TestAnAnswerThatIsMissing:
    def test_never_comes_where_later_rows_have_theirs(self) -> None:
        drafted = looked_at(csv(without(*range(20, ROWS, 37))))

        assert drafted.data.labels == "or_never"
        assert re.search(r"\b11 rows\b", said(drafted, "labels"))

    def test_is_still_to_come_where_most_of_the_newest_rows_have_none(self) -> None:
        drafted = looked_at(csv(without(*range(ROWS - 30, ROWS))))

        assert drafted.data.labels == "later"
        assert re.search(r"\b30 of .*\blabels: later\b", said(drafted, "labels"))

    def test_may_be_of_either_kind_in_one_table(self) -> None:
        told = said(looked_at(csv(without(5, 50, *range(ROWS - 30, ROWS)))), "labels")

        assert "2 rows have" in told
        assert re.search(r"\b30 of .*\blabels: later\b", told)

    def test_in_the_very_last_rows_alone_says_nothing_of_answers_to_come(self) -> None:
        assert looked_at(csv(without(50, ROWS - 1))).data.labels == "or_never"

    def test_is_told_by_the_order_of_events_and_not_of_rows(self) -> None:
        frame = without(*range(ROWS - 30, ROWS)).iloc[::-1]

        assert looked_at(csv(frame)).data.labels == "later"

    def test_is_waited_for_only_where_it_comes(self) -> None:
        rows = pd.DataFrame({"_due": hours(3), "_known": [NOW, pd.NaT, pd.NaT]})
        counted = {
            labels: overdue_labels(rows, looked_at(csv(frame)).data, as_of=NOW)
            for labels, frame in {"never": without(50), "later": without(*range(ROWS - 30, ROWS))}.items()
        }

        assert counted == {"never": 0, "later": 2}


class TestHowOftenFilesCome:
    def test_is_what_is_said(self) -> None:
        drafted = looked_at(csv(table(2400, at=hours(2400))), every="1D")

        assert (drafted.data.batch_every, drafted.rhythm.batch_rows) == ("1D", 24)

    def test_shows_in_the_last_batches_of_the_history(self) -> None:
        drafted = looked_at(csv(table(2400, at=hours(2400))), every="6h")
        arrived = [piece.arrives for piece in pieces(drafted, now=NOW)]

        assert len(arrived) < 40
        assert [after - before for before, after in zip(arrived[-3:], arrived[-2:], strict=False)] == [
            pd.Timedelta("6h")
        ] * 2
        assert sum(len(piece.rows) for piece in pieces(drafted, now=NOW)) == 2400

    def test_holds_before_1970_too(self) -> None:
        drafted = looked_at(csv(table(at=hours(start="1895-01-01"))), every="1D")
        times = drafted.frame.set_index("_row")["at"]
        batches = list(pieces(drafted, now=NOW))

        assert len({batch.arrives for batch in batches}) == len(batches) > 2
        for batch in batches:
            assert pd.Timedelta(0) <= batch.arrives - times[batch.rows].max() <= pd.Timedelta("1D")

    def test_holds_without_times_too(self) -> None:
        drafted = looked_at(csv(table(at=None)), every="7D")
        arrived = [piece.arrives for piece in pieces(drafted, now=NOW)]

        assert drafted.data.batch_every == "7D"
        assert arrived[-1] - arrived[-2] == pd.Timedelta("7D")

    @pytest.mark.parametrize("every", ["often", "0h"])
    def test_is_a_span(self, every: str) -> None:
        with pytest.raises(BadInputError, match="--every"):
            looked_at(csv(table()), every=every)
