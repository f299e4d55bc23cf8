"""Alarms verified on a champion's own bundle."""

from pathlib import Path

import pytest

from retrim.cli import explain
from retrim.errors import BadInputError, RefusedError
from retrim.reports.distributions import verify_alarms
from tests.builders.desk import Desk, make_desk, with_params

JOINT = {"joint": {"tests": {"correlation": {}}, "windows": 20, "seed": 7}}
pytestmark = pytest.mark.slow  # makes champions with the stages


def of_days(folder: Path, days: float) -> Desk:
    """A desk with a version of that many days of one row an hour; a check has two days of rows."""
    desk = make_desk(folder, changes={"gain": {"rows_per_check": 48}})
    desk.land(desk.rows(0, days), days)
    desk.make_version(days)
    return desk


def test_a_stream_without_drift_has_the_rate_that_is_asked_in_its_interval(tmp_path: Path) -> None:
    found = verify_alarms(of_days(tmp_path / "workspace", 80).workspace, splits=10, checks=50).found

    assert found.asked == pytest.approx(7 / 365.25)
    assert found.interval[0] <= found.asked <= found.interval[1]


def test_joint_tests_are_verified_on_the_same_history(tmp_path: Path) -> None:
    desk = with_params(of_days(tmp_path / "workspace", 80), drift=JOINT)
    (found,) = verify_alarms(desk.workspace, splits=2, checks=5).together

    assert (found.test, found.windows) == ("correlation", 40)
    assert found.asked < 7 / 365.25
    assert found.interval[0] <= found.asked <= found.interval[1]


def test_a_champion_made_from_few_blocks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="longer history"):
        verify_alarms(of_days(tmp_path / "workspace", 10).workspace, splits=2, checks=5)


def test_without_a_champion_there_is_nothing_to_verify_on(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no version is live"):
        verify_alarms(make_desk(tmp_path / "workspace").workspace, splits=2, checks=5)


def test_without_a_rate_there_is_nothing_to_verify(tmp_path: Path) -> None:
    desk = with_params(make_desk(tmp_path / "workspace"), drift={"alarms": None})

    with pytest.raises(BadInputError, match=r"drift\.alarms is null"):
        verify_alarms(desk.workspace, splits=2, checks=5)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_the_rate_that_was_achieved(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk = of_days(tmp_path / "workspace", 80)
    monkeypatch.setattr(explain, "workspace_here", lambda: desk.workspace)
    explain.verify(splits=2, as_json=as_json)

    assert ("achieved" if as_json else "measured") in capsys.readouterr().out
