"""Alarms verified on a champion's own bundle."""

from pathlib import Path

import pytest

from retrim.cli import explain
from retrim.drift.verify import VerifiedRates
from retrim.errors import BadInputError, RefusedError
from retrim.reports.verify import VerifiedAlarms, sentence, verify_alarms, write_page
from tests.builders.desk import Desk, make_desk, with_params

JOINT = {"joint": {"tests": {"correlation": {}}, "windows": 20, "seed": 7}}
pytestmark = pytest.mark.slow  # makes champions with the stages


def of_days(folder: Path, days: float) -> Desk:
    """A desk with a version of that many days of one row an hour; a check has two days of rows."""
    desk = make_desk(folder, changes={"account": {"usual_rows": 48}})
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
    with pytest.raises(RefusedError, match="train on a longer history"):
        verify_alarms(of_days(tmp_path / "workspace", 10).workspace, splits=2, checks=5)


def test_without_a_champion_there_is_nothing_to_verify_on(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no version is live"):
        verify_alarms(make_desk(tmp_path / "workspace").workspace, splits=2, checks=5)


def test_without_a_rate_there_is_nothing_to_verify(tmp_path: Path) -> None:
    desk = with_params(make_desk(tmp_path / "workspace"), drift={"alarms": None})

    with pytest.raises(BadInputError, match="no rate is asked for"):
        verify_alarms(desk.workspace, splits=2, checks=5)


def test_the_page_has_the_answer_its_pictures_and_nothing_of_another_place(tmp_path: Path) -> None:
    desk = of_days(tmp_path / "workspace", 80)
    done = verify_alarms(desk.workspace, splits=3, checks=20)
    page = write_page(desk.workspace, done)
    text = page.read_text(encoding="utf-8")

    assert page.relative_to(desk.workspace.paths.root) == Path("var/drift/v1/verify.html")
    assert f"achieved {done.found.achieved:.2%}" in text
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text
    assert write_page(desk.workspace, done).read_bytes() == page.read_bytes()


@pytest.mark.parametrize("as_json", [False, True])
def test_what_was_found_is_printed_also_where_no_page_can_be_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    as_json: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    desk = of_days(tmp_path / "workspace", 80)
    (desk.workspace.paths.var / "drift").write_text("a file where the folder of the pages belongs", encoding="utf-8")
    monkeypatch.setattr(explain, "workspace_here", lambda: desk.workspace)

    with pytest.raises(OSError, match="drift"):
        explain.verify(splits=2, as_json=as_json)
    assert "achieved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("interval", "begins"),
    [((0.0, 0.05), "The rate is kept"), ((0.03, 0.05), "More false alarms"), ((0.0, 0.01), "Fewer false alarms")],
)
def test_the_sentence_says_on_which_side_of_the_interval_the_rate_lies(
    interval: tuple[float, float], begins: str
) -> None:
    found = VerifiedRates(0.02, 0.02, interval, 10, 48, "promised", 99.0, {}, (), 20.0, 1.0, False)

    assert sentence(VerifiedAlarms(1, "1 per year", found, [])).startswith(begins)
