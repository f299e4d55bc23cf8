"""The generated pages of docs/reference are up to date, and the records have at run time the keys that they name."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim import errors
from retrim.checking.holds import AcknowledgedHold
from retrim.checking.score import ScoringResult
from retrim.cli.answers import find_versions
from retrim.decision.accumulated_gain import MoneyParams, RetrainingCost
from retrim.decision.policy_backtest import PolicyParams
from retrim.decision.stored_rows import DecisionRow, Origin, VersionRow
from retrim.landing.clock_repair import Repair
from retrim.landing.ingest import Landed, WithdrawalResult, listed_batches, show_batch
from retrim.landing.ingest import quarantine_list as set_aside
from retrim.lineage.workspace import Workspace
from retrim.release.versions import LiveVersion, VerifiedLog, release_log
from retrim.retraining.exchange import ExportedVersion, ImportedVersion
from retrim.retraining.gc import Pruned
from retrim.retraining.reproduce import RebuildResult
from retrim.retraining.retrain import RunOutcome
from retrim.retraining.run_directory import RunDirectory
from retrim.stats.codec import to_record
from tests.builders.answers import decision_record, status_record
from tests.builders.look_tables import looked
from tests.builders.proved import move, pass_checks
from tests.builders.world import World, make_world

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCRIPT = Path(__file__).parents[2] / ".ci" / "reference.py"
NOW = pd.Timestamp("2024-02-01", tz="UTC")


def section(record: str) -> str:
    """What the page of records says of a command, or of a record within a record."""
    text = (REFERENCE / "records.md").read_text(encoding="utf-8")
    return re.split(rf"^##+ (?:retrim )?{record}$", text, flags=re.MULTILINE)[1].split("\n##")[0]


def keys(record: str) -> set[str]:
    """Keys that the page names for a command; one that prints another's record has that one's."""
    other = re.search(r"The keys of \[retrim ([\w -]+)\]", section(record))
    return keys(other[1]) if other else set(re.findall(r"^\| `(\w+)`", section(record), re.MULTILINE))


def keys_within(record: str, key: str) -> set[str]:
    """Keys that the page names for the objects at a key of a record."""
    row = next(line for line in section(record).splitlines() if line.startswith(f"| `{key}` |"))
    return set(re.findall(r"`(\w+)`", row)) - {key}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one version, one decision and one batch that was set aside."""
    world: World = make_world(tmp_path_factory.mktemp("documented"), server="http://127.0.0.1:9/api")
    world.land(world.day(2))
    (world.root / "broken.csv").write_text("at\n2024-02-01\n", encoding="utf-8")
    world.retrim("ingest", "broken.csv", code=2)
    store, model = world.workspace.store, world.workspace.model
    times = {"as_of": NOW.isoformat(), "made": NOW.isoformat()}
    hashes = {"tag": "", "bundle": "", "model_sha256": "", "lineage": {}}
    verdict = {"promote": True, "reason": "", "winner": "all", "losses": {"all": 1.0}, "rows": 0}
    store.add_version(VersionRow(model=model, version=1, run="run-1", verdict=verdict, **times, **hashes))
    said = {
        "source": "person",
        "actor": "a test",
        "outcome": "none",
        "reason": "",
        "text": json.dumps({"as_of": NOW.isoformat()}),
    }
    store.add_decision(DecisionRow(id="one", model=model, as_of=NOW.isoformat(), at=NOW.isoformat(), **said))
    return world.workspace


def test_the_pages_are_what_the_code_says() -> None:
    checked = subprocess.run([sys.executable, SCRIPT, "--check"], check=False, capture_output=True, text=True)

    assert checked.stderr == ""


def test_the_help_names_the_defaults_of_a_policy_backtest() -> None:
    said, policy = (REFERENCE / "command-line.md").read_text(encoding="utf-8"), PolicyParams()
    *first, last = (f"{factor:g}" for factor in policy.retraining_costs)
    (windows,) = (line for line in said.splitlines() if line.startswith("| `--windows N`"))
    assert f"Default: {policy.windows}." in windows
    assert f"Default: {', '.join(first)} and {last} times gain.cost." in said


def test_names_every_exit_code() -> None:
    text = (REFERENCE / "command-line.md").read_text(encoding="utf-8")
    codes = {0} | {kind.exit_code for kind in (errors.RetrimError, errors.BadInputError, errors.RefusedError)}

    assert {int(code) for code in re.findall(r"^\| (\d) \|", text, re.MULTILINE)} == codes


def test_names_the_keys_of_versions(workspace: Workspace) -> None:
    assert keys("versions") == to_record(find_versions(workspace)[0]).keys()


def test_names_the_keys_of_status(workspace: Workspace) -> None:
    assert keys("status") == status_record(workspace, now=NOW).keys()


def test_names_the_keys_of_why(workspace: Workspace) -> None:
    assert keys("why") == decision_record(workspace, None).keys()


def test_names_the_keys_of_the_release_log(workspace: Workspace) -> None:
    at = NOW.isoformat()
    pass_checks(workspace.store, workspace.model, 1, at=at)
    workspace.store.add_release(move(workspace.model, 1, at=at), expected=None, keys=workspace.keys)

    assert keys("versions log") == to_record(release_log(workspace)[0]).keys()


def test_names_the_keys_of_a_landed_batch(workspace: Workspace) -> None:
    (landed,) = listed_batches(workspace)

    assert keys("batch list") == to_record(landed).keys() | {"suspicious"}
    assert keys("batch show") == to_record(show_batch(workspace, landed.batch)).keys() | {"suspicious"}


def test_names_the_keys_of_a_batch_set_aside(workspace: Workspace) -> None:
    assert keys("batch list --quarantined") == to_record(set_aside(workspace.paths)[0]).keys()


@pytest.mark.parametrize(
    ("record", "example"),
    [
        ("versions reproduce", RebuildResult(1, identical=True, differences=(), executed=(), proved=True)),
        ("versions gc", Pruned(dry=True, pieces=())),
        ("batch withdraw", WithdrawalResult(fresh=True, withdrawals=(), rows=0, versions=())),
        ("batch redate", Repair(done=False, moves=(), stays=())),
        ("versions export", ExportedVersion(1, Path(), "", 0)),
        ("versions import", ImportedVersion("deferred", None, "", Origin("", 1, "", "", None), ())),
        ("retrain", RunOutcome("", "", "", None)),
        ("predict", ScoringResult(None, 0, 0, None)),
        ("policy acknowledge", AcknowledgedHold("", NOW, "", "", (), "")),
        ("policy cost", RetrainingCost(MoneyParams(cost=1, per_unit=1, currency="EUR"), "mae", 1, 1.0, None, None)),
        ("versions log --verify", VerifiedLog(0, 0, None)),
        ("versions rollback", LiveVersion(1, "", "", "", "", "", None)),
        ("versions run-directory", RunDirectory(Path(), "", (), None)),
        ("ingest", Landed("landed", "rows", "", 0, Path(), (), None)),
    ],
)
def test_names_the_keys_of_the_record(record: str, example: Any) -> None:
    added = {"retrain": {"refit", "resumed"}, "ingest": {"of", "piece", "pieces", "first_row"}}

    printed = example.as_record() if hasattr(example, "as_record") else to_record(example)

    assert keys(record) == printed.keys() | added.get(record, set())


def test_names_the_keys_of_a_look() -> None:
    look = looked({"n": [1.0, 2.0, 3.0]}, ["yes", "no", "yes"])

    assert keys("profile") == look.as_record().keys() | {"findings"}


def test_every_record_is_json(workspace: Workspace) -> None:
    records = [
        [to_record(each) for each in find_versions(workspace)],
        status_record(workspace, now=NOW),
        decision_record(workspace, None),
    ]

    assert json.loads(json.dumps(records)) == records
