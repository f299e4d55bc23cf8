"""A move that a check decided and that is refused: on a schedule the next check decides anew."""

from types import SimpleNamespace
from typing import Any

import pytest

from retrim.errors import BusyError, RefusedError
from retrim_flows import monitor
from retrim_flows.moment import SCHEDULE


def checked(outcome: str) -> Any:
    return SimpleNamespace(id="a check", outcome=outcome)


@pytest.mark.parametrize("outcome", monitor.MOVES)
def test_one_that_is_refused_is_told_on_a_schedule_and_fails_a_command(
    outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, str]] = []

    def refuse(decision: str, now: str) -> None:
        raise RefusedError("version 3 is live now")

    monkeypatch.setattr(monitor, "bring_back", refuse)
    monkeypatch.setattr(monitor, "roll_back", refuse)
    monkeypatch.setattr(monitor, "actor", lambda: SCHEDULE)
    monkeypatch.setattr(monitor, "say", lambda *told: said.append(told))

    assert monitor.move(checked(outcome), "2024-01-01") is None
    assert said == [("refused", f"{outcome}: version 3 is live now")]
    monkeypatch.setattr(monitor, "actor", lambda: "a person")
    with pytest.raises(RefusedError, match="live now"):
        monitor.move(checked(outcome), "2024-01-01")


def test_one_that_has_to_wait_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(decision: str, now: str) -> None:
        raise BusyError("a release is in progress")

    monkeypatch.setattr(monitor, "roll_back", wait)
    monkeypatch.setattr(monitor, "actor", lambda: SCHEDULE)

    with pytest.raises(BusyError):
        monitor.move(checked("rollback"), "2024-01-01")
