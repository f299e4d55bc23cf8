"""Rows without an answer, and how often files come."""

import re
from collections.abc import Sequence

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
    @pytest.mark.parametrize(
        ("places", "labels", "told"),
        [
            (range(20, ROWS, 37), "or_never", r"\b11 rows\b"),  # later rows have theirs
            (range(ROWS - 30, ROWS), "later", r"\b30 of .*\blabels: later\b"),
            ([5, 50, *range(ROWS - 30, ROWS)], "later", r"(?s)\b2 rows have.*\b30 of .*\blabels: later\b"),
            ([50, ROWS - 1], "or_never", r"\b2 rows\b"),  # the very last row says nothing of answers to come
        ],
    )
    def test_never_comes_or_is_still_to_come(self, places: Sequence[int], labels: str, told: str) -> None:
        drafted = looked_at(csv(without(*places)))

        assert drafted.data.labels == labels
        assert re.search(told, said(drafted, "labels"))

    def test_is_told_by_the_order_of_events_and_not_of_rows(self) -> None:
        assert looked_at(csv(without(*range(ROWS - 30, ROWS)).iloc[::-1])).data.labels == "later"

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
