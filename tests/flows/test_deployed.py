"""What a deployment says of its runs: where they take place, in which Python, and when they begin."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from retrim.stats.timetable import start_offset
from retrim_flows.context import OFFSET_VARIABLE
from retrim_flows.worker import ANCHOR, HOME, LONG_QUEUE, WorkerSchedule, _deployment, python_of, schedule_of

REPOSITORY = Path(__file__).resolve().parents[2]
Make = Callable[[str], Workspace]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes a workspace of a model of a name, whose check is due every hour and whose scoring by cron."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")

    def made(model: str) -> Workspace:
        params = load_params(REPOSITORY / "params.yaml")
        schedule = params.schedule.model_copy(update={"check": "1h"})
        data = params.data.model_copy(update={"model": model})
        root = tmp_path / model
        root.mkdir()
        return Workspace(WorkspacePaths(root), params.model_copy(update={"data": data, "schedule": schedule}), Env())

    return made


def shared(*workspaces: Workspace) -> WorkerSchedule:
    return WorkerSchedule(workspaces, "retrim", workspaces[0].paths.root.parent, spread=True)


def lay_environment(workspace: Workspace) -> Path:
    python = workspace.paths.root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    return python


def test_runs_take_place_in_the_folder_of_their_workspace(make: Make) -> None:
    north, south = make("north"), make("south")
    both = shared(north, south)
    folders = [_deployment(both, each, "check").job_variables["working_dir"] for each in (north, south)]

    assert folders == [str(north.paths.root), str(south.paths.root)]


def test_a_workspace_with_an_environment_runs_in_it(make: Make) -> None:
    north, south = make("north"), make("south")
    python = lay_environment(south)

    assert (python_of(north), python_of(south)) == (Path(sys.executable), python)
    assert _deployment(shared(north, south), south, "check").job_variables["command"].startswith(str(python))


def test_packages_of_the_worker_are_not_laid_over_those_of_an_environment(make: Make) -> None:
    north, south = make("north"), make("south")
    lay_environment(south)
    paths = [
        _deployment(shared(north, south), each, "check").job_variables["env"]["PYTHONPATH"] for each in (north, south)
    ]

    assert [str(HOME) in path for path in paths] == [True, False]


def test_a_retraining_and_a_proof_keep_no_check_waiting(make: Make) -> None:
    north = make("north")
    queues = {name: _deployment(shared(north), north, name).work_queue_name for name in ("check", "prove", "retrain")}

    assert queues == {"check": None, "prove": LONG_QUEUE, "retrain": LONG_QUEUE}


def test_runs_of_a_shared_worker_begin_an_offset_after_they_are_due(make: Make) -> None:
    north = make("north")
    offset = start_offset("north", "1h")
    by_span, by_cron = (_deployment(shared(north), north, name) for name in ("check", "score"))
    (span,), (cron,) = ([each.schedule for each in made.schedules or []] for made in (by_span, by_cron))

    assert isinstance(span, IntervalSchedule)
    assert (span.anchor_date - ANCHOR).total_seconds() == offset > 0
    assert isinstance(cron, CronSchedule)
    assert cron.cron.split()[5:] == [str(offset)]
    assert by_span.job_variables["env"][OFFSET_VARIABLE] == str(offset)


def test_the_schedule_of_one_workspace_begins_when_it_is_due(make: Make) -> None:
    north = make("north")
    made = _deployment(schedule_of(north), north, "score")
    (cron,) = [each.schedule for each in made.schedules or []]

    assert isinstance(cron, CronSchedule)
    assert len(cron.cron.split()) == 5
    assert OFFSET_VARIABLE not in made.job_variables["env"]


def test_what_changed_is_another_version(make: Make) -> None:
    north = make("north")
    later = north.params.schedule.model_copy(update={"check": "2h"})
    changed = replace(north, params=north.params.model_copy(update={"schedule": later}))
    versions = [_deployment(shared(each), each, "check").version for each in (north, north, changed)]

    assert versions[0] == versions[1] != versions[2]
