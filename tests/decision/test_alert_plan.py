"""When an alert is told: laws of dedup, rate and back-off."""

import pandas as pd
import pytest

from retrim.decision.alerts import (
    KIND_FACTS,
    LAST_RETRY,
    Alert,
    AlertKind,
    Severity,
    WaitingAlert,
    alerts_due,
    is_to_be_told,
    retry_after,
    what_to_do,
    without_figures,
)

NOW = pd.Timestamp("2026-03-02 12:00", tz="UTC")
MINUTE = pd.Timedelta("1min")
WAITS = {"attempts": 0, "due": None, "claimed": False}


def alert(name: str, kind: AlertKind = AlertKind.BATCH_OVERDUE) -> Alert:
    return Alert(name, kind, "", "a test", NOW)


def due(*waiting: WaitingAlert, last: pd.Timestamp | None = None) -> list[str]:
    return [each.alert.id for each in alerts_due(waiting, last_sent=last, now=NOW)]


def test_every_kind_says_how_grave_it_is_and_what_to_do() -> None:
    assert set(KIND_FACTS) == set(AlertKind)
    assert all(what_to_do(kind, "x") for kind in AlertKind)


def test_an_event_is_told_once() -> None:
    told = {"same_matter": NOW - pd.Timedelta("99D"), "now": NOW}

    assert is_to_be_told(AlertKind.PROMOTED, same_words=None, **told)
    assert not is_to_be_told(AlertKind.PROMOTED, same_words=NOW - pd.Timedelta("99D"), **told)


@pytest.mark.parametrize(("before", "again"), [("0s", False), ("2D 23h", False), ("3D", True), ("9D", True)])
def test_what_lasts_is_told_again_as_a_reminder(before: str, *, again: bool) -> None:
    at = NOW - pd.Timedelta(before)

    assert is_to_be_told(AlertKind.SKEW, same_words=None, same_matter=at, now=NOW) is again
    assert is_to_be_told(AlertKind.SKEW, same_words=at, same_matter=None, now=NOW) is again


def test_a_clock_that_was_ahead_silences_nothing() -> None:
    ahead = NOW + pd.Timedelta("400D")

    assert is_to_be_told(AlertKind.SKEW, same_words=ahead, same_matter=ahead, now=NOW)
    assert due(WaitingAlert(alert("a"), **WAITS), last=ahead) == ["a"]


def test_several_go_in_one_message_the_gravest_first() -> None:
    kinds = {"a": AlertKind.PROMOTED, "b": AlertKind.RUN_FAILED, "c": AlertKind.BATCH_OVERDUE}

    assert due(*(WaitingAlert(alert(name, kind), **WAITS) for name, kind in kinds.items())) == ["b", "c", "a"]


@pytest.mark.parametrize(("ago", "sent"), [("9min", []), ("10min", ["a"])])
def test_an_address_gets_a_message_at_most_every_so_often(ago: str, sent: list[str]) -> None:
    assert due(WaitingAlert(alert("a"), **WAITS), last=NOW - pd.Timedelta(ago)) == sent


def test_what_failed_waits_for_its_next_try_or_for_another_alert() -> None:
    failed = WaitingAlert(alert("a"), 2, NOW + MINUTE, claimed=False)

    assert due(failed) == []
    assert due(failed, WaitingAlert(alert("b"), **WAITS)) == ["a", "b"]


def test_what_another_process_sends_is_left_to_it_until_that_is_dead() -> None:
    fresh = WaitingAlert(alert("b"), **WAITS)

    assert due(WaitingAlert(alert("a"), 1, NOW + MINUTE, claimed=True), fresh) == ["b"]
    assert due(WaitingAlert(alert("a"), 1, NOW - MINUTE, claimed=True)) == ["a"]


def test_retries_back_off_up_to_an_hour() -> None:
    waits = [retry_after(attempts) for attempts in range(1, 40)]

    assert waits[:3] == [MINUTE, 2 * MINUTE, 4 * MINUTE]
    assert waits == sorted(waits)
    assert waits[-1] == LAST_RETRY


def test_severities_go_from_grave_to_light() -> None:
    assert list(Severity) == ["critical", "warning", "info"]


def test_another_failure_of_a_flow_is_another_matter_and_another_figure_is_not() -> None:
    full = without_figures("check: disk full, 123 bytes left")

    assert without_figures("check: disk full, 9 bytes left") == full
    assert without_figures("check: version 3 was altered") != full


def test_a_try_that_a_clock_ahead_put_off_is_made_now() -> None:
    ahead = NOW + pd.Timedelta("400D")

    assert due(WaitingAlert(alert("a"), 2, ahead, claimed=False)) == ["a"]
    assert due(WaitingAlert(alert("a"), 1, ahead, claimed=True)) == ["a"]


def test_what_was_over_and_comes_again_is_told_again_an_hour_later() -> None:
    def is_told(ago: str, ended: str) -> bool:
        told, over = NOW - pd.Timedelta(ago), NOW - pd.Timedelta(ended)
        return is_to_be_told(AlertKind.FLOW_FAILED, same_words=told, same_matter=told, now=NOW, ended=over)

    assert is_told("1D", "10h")
    assert not is_told("1D", "2D")  # over before it was told: it has lasted since
    assert not is_told("30min", "10min")  # it comes and goes
