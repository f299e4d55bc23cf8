"""What the schedule removes each day: what is old and not needed, a share at a time, and nothing else."""

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow.entities import ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.checking.score import score
from retrim.decision.stored_rows import DecisionRow, RunClaim, RunDetail, VersionRow
from retrim.lineage.locks import using_cache
from retrim.lineage.prediction_log import month_of
from retrim.retraining.gc import prune
from retrim.retraining.tidy import GRACE, tidy
from tests.builders.desk import Desk, make_desk
from tests.builders.predicted import predicted_rows

NOW = pd.Timestamp("2024-06-15", tz="UTC")
MONTHS = pd.date_range("2024-01-10", "2024-06-10", freq="MS", tz="UTC")
DAY = pd.Timedelta("1D")


def plain_desk(folder: Path, **schedule: Any) -> Desk:
    """A desk with MLflow itself in the place of the shelf."""
    desk = make_desk(folder / "workspace", changes={"schedule": schedule})
    del desk.workspace.__dict__["registry"]
    return desk


def desk_with(folder: Path, **schedule: Any) -> Desk:
    desk = plain_desk(folder, **schedule)
    for number, month in enumerate(MONTHS):
        rows = predicted_rows([f"k{number}"], [1.0], event=month, at=month, batch="b")
        desk.workspace.predictions.add(1, rows)
    return desk


def months(desk: Desk) -> list[str]:
    return sorted({month_of(name) for name in desk.workspace.predictions.files()})


def test_predictions_of_months_past_go(tmp_path: Path) -> None:
    desk = desk_with(tmp_path, keep_predictions="60D")
    done = tidy(desk.workspace, now=NOW)

    assert months(desk) == ["2024-04", "2024-05", "2024-06"]
    assert (done.prediction_files, done.bytes > 0) == (2, True)


def test_nothing_goes_where_predictions_are_kept_for_ever(tmp_path: Path) -> None:
    desk = desk_with(tmp_path, keep_predictions=None)

    assert tidy(desk.workspace, now=NOW).prediction_files == 0
    assert len(months(desk)) == len(MONTHS)


def test_age_is_counted_from_the_newest_row_not_by_the_clock(tmp_path: Path) -> None:
    desk = desk_with(tmp_path, keep_predictions="1100D")

    assert tidy(desk.workspace, now=NOW + 9000 * DAY).prediction_files == 0


def test_a_row_of_a_far_future_ages_no_other(tmp_path: Path) -> None:
    desk = desk_with(tmp_path, keep_predictions="1100D")
    far = pd.Timestamp("2199-01-01", tz="UTC")
    desk.workspace.predictions.add(1, predicted_rows(["far"], [1.0], event=far, at=NOW, batch="b"))

    assert tidy(desk.workspace, now=NOW).prediction_files == 0


def test_a_share_goes_at_a_time_the_oldest_first(tmp_path: Path) -> None:
    desk = desk_with(tmp_path, keep_predictions="30D")
    left = []
    for _ in range(3):
        tidy(desk.workspace, now=NOW, most=2)
        left.append(months(desk)[0])

    assert left == ["2024-04", "2024-05", "2024-05"]


@pytest.mark.slow
def test_what_went_is_not_predicted_again(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", changes={"schedule": {"keep_predictions": "30D"}})
    desk.land(desk.rows(0, 20), at=20)
    desk.make_version(20)
    desk.land(desk.rows(20, 100), at=100)
    score(desk.workspace, now=desk.day(100))
    tidy(desk.workspace, now=desk.day(100))
    kept = months(desk)

    assert score(desk.workspace, now=desk.day(100)).written == 0
    assert months(desk) == kept == ["2024-03", "2024-04"]


def run_directory(desk: Desk, name: str, *, age: pd.Timedelta) -> Path:
    folder = desk.workspace.paths.runs / name
    folder.mkdir(parents=True)
    moment = (NOW - age).timestamp()
    os.utime(folder, (moment, moment))
    return folder


def test_a_killed_rebuild_may_be_looked_at_for_days(tmp_path: Path) -> None:
    desk = plain_desk(tmp_path)
    young = run_directory(desk, "reproduce-v1", age=GRACE - DAY)
    old = run_directory(desk, "reproduce-v2", age=GRACE + DAY)
    tidy(desk.workspace, now=NOW)

    assert (young.exists(), old.exists()) == (True, False)


def test_by_hand_it_goes_at_once(tmp_path: Path) -> None:
    desk = plain_desk(tmp_path)
    young = run_directory(desk, "reproduce-v1", age=DAY)
    prune(desk.workspace, dry=False, now=NOW)

    assert not young.exists()


def test_nothing_is_pruned_while_a_run_goes_on(tmp_path: Path) -> None:
    desk = plain_desk(tmp_path)
    old = run_directory(desk, "reproduce-v1", age=GRACE + DAY)
    with using_cache(desk.workspace):
        assert tidy(desk.workspace, now=NOW).pieces == 0

    assert old.exists()


def test_a_taken_file_goes_after_its_time_counted_from_when_it_was_taken(tmp_path: Path) -> None:
    desk = plain_desk(tmp_path)
    file = desk.workspace.paths.inbox / "taken" / "trips.csv"
    file.parent.mkdir(parents=True)
    file.write_text("at,level")
    os.utime(file, (0, 0))  # as its producer wrote it
    taken = pd.Timestamp(file.stat().st_ctime, unit="s", tz="UTC")
    left = []
    for days in (89, 91):
        tidy(desk.workspace, now=taken + days * DAY)
        left.append(file.exists())

    assert left == [True, False]


def refuse_run(desk: Desk, number: int, *, made: pd.Timestamp, state: str) -> tuple[str, str]:
    """A retraining with its version, its run of MLflow and a trial of that; gives both ids."""
    workspace, run, at = desk.workspace, f"run-{number}", iso(made)
    store, registry = workspace.store, workspace.registry
    asked = {"id": str(number), "model": workspace.model, "source": "person", "as_of": at, "at": at, "actor": "a test"}
    store.add_decision(DecisionRow(**asked, outcome="retrain", reason="a test", text=json.dumps({"as_of": at})))
    store.claim_run(RunClaim(id=run, model=workspace.model, decision=str(number), as_of=at, mode="search", started=at))
    store.end_run(run, state=state, ended=at, version=number, detail=RunDetail())
    digests = {"bundle": "b" * 64, "model_sha256": "c" * 64, "tag": f"retrim/{workspace.model}/v{number}"}
    lineage = {"commit": git.commit_of(workspace.paths.root, "HEAD")}
    store.add_version(
        VersionRow(
            model=workspace.model, version=number, run=run, as_of=at, made=at, **digests, lineage=lineage, verdict={}
        )
    )
    parent = registry.open_run(run, f"version {number}", {})
    trial = registry.client.create_run(registry.experiment, tags={MLFLOW_PARENT_RUN_ID: parent})
    return parent, trial.info.run_id


@pytest.mark.slow
def test_trials_of_versions_that_were_refused_long_ago_go(tmp_path: Path) -> None:
    desk = plain_desk(tmp_path)
    root = desk.workspace.paths.root
    git.git(root, "init", "--quiet")
    git.git(root, *git.IDENTITY, "commit", "--quiet", "--allow-empty", "-m", "first")
    old, promoted, young = (
        refuse_run(desk, number, made=NOW - days * DAY, state=state)
        for number, days, state in ((1, 91, "refused"), (2, 91, "promoted"), (3, 89, "refused"))
    )
    tidy(desk.workspace, now=NOW)
    registry = desk.workspace.registry
    left = {run.info.run_id for run in registry.client.search_runs([registry.experiment], "", ViewType.ALL)}

    assert left == {old[0], *promoted, *young}
