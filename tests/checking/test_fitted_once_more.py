"""A promoted recipe that was fitted once more is one move of the champion, for whoever asks what was before."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.history import new_rows, past_of_store
from retrim.checking.previous_champions import files_for_run, score_previous_champions
from retrim.checking.totals import share_of_refit
from retrim.cli.answers import find_status
from retrim.cli.page import forms
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.release.approval import sequel_of
from retrim.release.release import rollback
from retrim.release.versions import find_live_version, find_rollback_target, load_stored_version
from retrim.reports.demo import first_live
from retrim.training.mode import FINAL
from tests.builders.answers import decision_record, status_record
from tests.builders.desk import Desk, copy_of, make_desk, with_params
from tests.builders.shipped import drift_tests

pytestmark = pytest.mark.slow  # makes champions with the stages

CHANGES: dict[str, dict[str, Any]] = {"drift": {"min_rows": 24, "tests": drift_tests()}}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1, fitted once more as 2; then 3 against 2, fitted once more as 4."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", changes=CHANGES, version_at=12)
    desk.make_version(12, judged=1)
    desk.land(desk.rows(12, 18), 18)
    desk.make_version(18)
    desk.make_version(18, judged=3)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def test_a_rollback_goes_to_the_champion_before_both(desk: Desk) -> None:
    assert rollback(desk.workspace, None, by="a test", reason="a test", now=desk.day(19)).version == 2


def assert_button_and_command_agree(desk: Desk, at: float) -> None:
    """The page's button names the version, and the loss, to which the command then goes back."""
    status = find_status(desk.workspace, now=desk.day(at))
    (form,) = (each for each in forms(status, find_rollback_target(desk.workspace)) if each.about.endswith("is live"))
    moved = rollback(desk.workspace, None, by="a test", reason="a test", now=desk.day(at))
    loss = desk.workspace.store.version(desk.workspace.model, moved.version).judged.loss  # type: ignore[union-attr]

    assert form.value == str(moved.version)
    assert form.buttons[0][1] == f"Roll back to version {moved.version} (mean loss {loss:.4g} when judged)"
    assert moved.loss == loss


def test_the_pages_button_goes_where_the_command_goes(desk: Desk) -> None:
    assert_button_and_command_agree(desk, 19)
    assert_button_and_command_agree(desk, 19.5)  # back from the rollback


def test_where_nothing_was_live_before_a_rollback_asks_for_a_number_and_has_no_button(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", changes=CHANGES, version_at=12)
    desk.make_version(12, judged=1)
    shown = forms(find_status(desk.workspace, now=desk.day(13)), find_rollback_target(desk.workspace))

    assert not [each for each in shown if each.about.endswith("is live")]
    with pytest.raises(BadInputError, match=r"version 2; .*--to N"):
        rollback(desk.workspace, None, by="a test", reason="a test", now=desk.day(13))


def test_the_judged_one_can_be_named(desk: Desk) -> None:
    assert rollback(desk.workspace, 3, by="a test", reason="a test", now=desk.day(19)).version == 3


def test_the_first_model_has_none_before_it_and_no_rule_counts_its_run(desk: Desk) -> None:
    first, workspace = find_live_version(desk.workspace, before=desk.day(18)), desk.workspace
    runs, decisions = workspace.store.runs(workspace.model), workspace.store.decisions(workspace.model)

    assert first is not None
    assert (first.version, first.previous, first_live(workspace)) == (2, None, 2)
    assert [run.mode for run in runs].count(FINAL) == 2
    assert len(past_of_store(workspace, [], decisions, now=desk.day(20)).runs) == 2


def test_its_probation_is_against_the_champion_before_both_and_it_costs_its_share(desk: Desk) -> None:
    record, share = desk.pass_days(18, 20).record, share_of_refit(desk.workspace)
    totals = record["totals"]

    assert record["probation"]["against"] == 2
    assert status_record(desk.workspace, now=desk.day(20))["probation"]["against"] == 2
    assert share == 1 / (1 + desk.workspace.params.backtest.origins)  # one window, no search
    assert (totals["retrainings"], totals["refits"]) == (1, 1)
    assert totals["retrainings_cost"] == pytest.approx(1.0 + share)  # the price of this desk is 1
    assert share_of_refit(with_params(desk, retrain={"refit_after": False}).workspace) == 0


def test_the_judged_one_is_no_former_champion(desk: Desk) -> None:
    desk.land(desk.rows(18, 22), 22)
    now_live, table = find_live_version(desk.workspace), read_as_of(desk.workspace, as_of=desk.day(22))
    scored = score_previous_champions(
        desk.workspace, table, load_stored_version(desk.workspace, 4).predictor, 4, previous=None
    )

    assert scored is not None
    assert list(scored.losses) == [2]
    assert {name.split("/")[0] for name in files_for_run(desk.workspace, now_live, before=None)} == {"v2"}


def test_a_second_fit_that_disagrees_is_no_refusal(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", changes=CHANGES, version_at=12)
    desk.make_version(12, judged=1, promote=False)

    assert new_rows(desk.workspace, read_as_of(desk.workspace, as_of=desk.day(13)).times) is None
    assert find_live_version(desk.workspace).version == 1  # type: ignore[union-attr]


def test_why_shows_what_was_decided_and_its_second_fit_beside_it(desk: Desk) -> None:
    run = next(run for run in desk.workspace.store.runs(desk.workspace.model) if run.version == 3)
    found = decision_record(desk.workspace, None)

    assert (found["id"], found["refit"]["version"]) == (run.decision, 4)
    assert decision_record(desk.workspace, sequel_of(run.decision))["source"] == "refit"
    assert status_record(desk.workspace, now=desk.day(19))["last_decision"]["id"] == run.decision
