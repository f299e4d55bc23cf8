"""When an answer is due, where a column of the table says it and nobody named it."""

import numpy as np
import pandas as pd
import pytest

from retrim.onboarding.desk import MUST, InitRequest
from retrim.onboarding.draft import WorkspaceDraft, draft
from retrim.reading.raw import read_raw
from tests.builders.raw_tables import csv, hours, looked_at, said, table

MANY = 1200
AT = hours(MANY, every="6h")


def lent(*, name: str = "back", early: float = 0.3, late: str = "0h", seed: int = 1) -> pd.DataFrame:
    """Things lent for a day to two months: what became of one is known when it was due, of some sooner.

    Args:
        name: Of the column of due times.
        early: Share of the answers that come before they are due.
        late: How long after it was due an answer comes.
        seed: Of the draws.
    """
    draw = np.random.default_rng(seed)
    span = pd.to_timedelta(draw.integers(24, 24 * 60, MANY), unit="h")
    sooner = np.where(draw.random(MANY) < early, draw.random(MANY), 1.0)
    known = AT + pd.to_timedelta(span.total_seconds() * sooner, unit="s") + pd.Timedelta(late)
    frame = table(MANY, at=AT, **{name: (AT + span).dt.floor("s")}, known=known.dt.floor("s"))
    frame["minutes"] = frame["minutes"].where(known <= AT.iloc[-1])
    return frame.assign(known=frame["known"].where(frame["minutes"].notna()))


class TestAColumnThatTheAnswersFollow:
    @pytest.mark.parametrize("early", [0.0, 0.3])
    def test_is_taken_whatever_it_is_called(self, early: float) -> None:
        drafted = looked_at(csv(lent(early=early).drop(columns="known")))

        assert (drafted.data.time, drafted.data.due, drafted.data.label_horizon) == ("at", "back", None)
        assert MUST in said(drafted, "due time")

    def test_is_taken_where_label_times_say_so_and_it_is_called_so(self) -> None:
        every = lent(name="due date")
        done = every[every["minutes"].notna()]

        assert looked_at(csv(done), event_time="at", label_time="known").data.due == "due date"

    def test_is_proposed_alone_where_only_label_times_say_so(self) -> None:
        every = lent(name="closed")
        done = every[every["minutes"].notna()]
        drafted = looked_at(csv(done), event_time="at", label_time="known")

        assert drafted.data.due is None
        assert "--label-due 'closed'" in said(drafted, "due time")

    def test_is_proposed_alone_where_answers_come_long_after_it(self) -> None:
        drafted = looked_at(csv(lent(late="20D", name="due date").drop(columns="known")))

        assert drafted.data.due is None
        assert "--label-due 'due date'" in said(drafted, "due time")

    def test_is_not_looked_for_where_a_horizon_is_given(self) -> None:
        drafted = looked_at(csv(lent().drop(columns="known")), event_time="at", horizon="60D")

        assert (drafted.data.due, drafted.data.label_horizon) == (None, "60D")

    def test_is_left_where_a_person_says_no(self) -> None:
        wishes = InitRequest(target="minutes", model="own", event_time="at")
        content = csv(lent().drop(columns="known"))
        answers = {"yes": "no"}
        drafted: WorkspaceDraft = draft(
            read_raw(content, "table"), wishes, ask=lambda _, proposal, __: answers.get(proposal, proposal),
            confidence=0.95, seed=7, threads=1,
        )  # fmt: skip

        assert drafted.data.due is None


class TestAColumnThatIsNoDueTime:
    @pytest.mark.parametrize("seed", range(3))
    def test_answers_that_are_missing_at_random_say_nothing(self, seed: int) -> None:
        frame = lent().drop(columns="known")
        gone = np.random.default_rng(seed).random(MANY) < 0.2
        drafted = looked_at(csv(frame.assign(minutes=table(MANY)["minutes"].mask(gone))), event_time="at")

        assert (drafted.data.due, said(drafted, "due time")) == (None, "")

    def test_answers_that_follow_the_event_need_no_other_column(self) -> None:
        frame = lent().drop(columns="known")
        minutes = table(MANY)["minutes"].where(AT.iloc[-1] - pd.Timedelta("40D") >= AT)

        assert looked_at(csv(frame.assign(minutes=minutes)), event_time="at").data.due is None

    @pytest.mark.parametrize("wrong", ["before the event", "often blank", "at the event"])
    def test_rows_could_not_land_with_it(self, wrong: str) -> None:
        frame = lent(name="due").drop(columns="known")
        some = np.arange(MANY) % 20 == 0
        changed = {
            "before the event": frame["due"].mask(some, AT - pd.Timedelta("1D")),
            "often blank": frame["due"].mask(some),
            "at the event": AT,
        }[wrong]
        drafted = looked_at(csv(frame.assign(due=changed)), event_time="at")

        assert (drafted.data.due, said(drafted, "due time")) == (None, "")


def test_what_is_called_due_is_not_the_event_though_it_stands_first() -> None:
    frame = lent(name="due date").drop(columns="known").rename(columns={"at": "lent"})

    assert looked_at(csv(frame[["due date", "lent", "km", "weather", "minutes"]])).data.time == "lent"
