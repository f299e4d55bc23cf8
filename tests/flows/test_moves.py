"""A move that a check decided and that is refused: on a schedule the next check decides anew."""

from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from retrim.errors import BusyError, RefusedError
from retrim_flows import check
from retrim_flows.context import SCHEDULE

NOW = pd.Timestamp("2024-01-01", tz="UTC")


def checked(outcome: str) -> Any:
    return SimpleNamespace(id="a check", outcome=outcome)


def test_one_that_is_refused_is_told_on_a_schedule_and_fails_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, str]] = []

    def refuse(decision: str, now: pd.Timestamp) -> None:
        raise RefusedError("version 3 is live now")

    monkeypatch.setattr(check, "roll_back", refuse)
    monkeypatch.setattr(check, "actor", lambda: SCHEDULE)
    monkeypatch.setattr(check, "say", lambda *told: said.append(told))

    assert check.move(checked("rollback"), NOW) is None
    assert said == [("refused", "rollback: version 3 is live now")]
    monkeypatch.setattr(check, "actor", lambda: "a person")
    with pytest.raises(RefusedError, match="live now"):
        check.move(checked("rollback"), NOW)


def test_one_that_has_to_wait_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(decision: str, now: pd.Timestamp) -> None:
        raise BusyError("a release is in progress")

    monkeypatch.setattr(check, "roll_back", wait)
    monkeypatch.setattr(check, "actor", lambda: SCHEDULE)

    with pytest.raises(BusyError):
        check.move(checked("rollback"), NOW)
