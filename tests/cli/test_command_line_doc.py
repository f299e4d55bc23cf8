"""docs/reference/command-line.md says what the code does: each command with its options, each record with its keys."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from retrim import errors
from retrim.adapters.signing import Attestation, PublicKey
from retrim.checking.check import AcknowledgedHold
from retrim.checking.score import ScoringResult
from retrim.cli.answers import decision_record, status_record, version_records
from retrim.cli.main import app
from retrim.decision.account import MoneyParams, RetrainingCost
from retrim.drift.verify import VerifiedRates
from retrim.landing.clock_repair import Repair
from retrim.landing.ingest import Landed, WithdrawalResult, batch_record, batch_records
from retrim.landing.ingest import quarantine_list as set_aside
from retrim.lineage.workspace import Workspace
from retrim.release.versions import LiveVersion, ValidAttestation, VerifiedLog, release_log
from retrim.reports.verify import VerifiedAlarms
from retrim.retraining.exchange import ExportedVersion, ImportedVersion
from retrim.retraining.gc import Pruned
from retrim.retraining.reproduce import RebuildResult
from retrim.retraining.retrain import RunOutcome
from retrim.retraining.run_directory import RunDirectory
from tests.builders.look_tables import looked
from tests.builders.proved import move, pass_checks
from tests.builders.world import World, make_world

DOCUMENT = (Path(__file__).parents[2] / "docs" / "reference" / "command-line.md").read_text(encoding="utf-8")
REBUILT = {"model": "", "version": 1, "identical": True, "predictions": {"largest_difference": 0}, "proved_at": ""}
NOW = pd.Timestamp("2024-02-01", tz="UTC")
VERIFIED = VerifiedRates(0.1, 0.1, (0.0, 0.2), 1, 1, "promised", 9.0, {}, (), 1.0, 0.9, False)


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first column is headed so."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    assert table is not None, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def documented() -> dict[str, set[str]]:
    """Commands of the document with their options."""
    found = {}
    for command, options, *_ in rows("command"):
        words = re.findall(r"[a-z][a-z-]*", re.sub(r"[A-Z\[].*", "", command.strip("`").removeprefix("retrim ")))
        found[" ".join(words)] = set(re.findall(r"--[a-z-]+", options))
    return found


def built() -> dict[str, set[str]]:
    """Commands of the code with their options."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:
        if name and (not hasattr(command, "commands") or command.invoke_without_command):
            options = {option for taken in command.params for option in taken.opts if option.startswith("--")}
            found[name] = options - {"--help"}
        for own, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(app), "")
    return found


def keys(record: str) -> set[str]:
    """Keys that the document names for a record."""
    named = next(cells for cells in rows("record") if f"`{record}`" in cells[0])
    return set(re.findall(r"`(\w+)`", named[1]))


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
    verdict = {"promote": True, "reason": "", "winner": "all", "losses": {"all": 1.0}}
    store.add_version({"model": model, "version": 1, "run": "run-1", "verdict": verdict, **times, **hashes})
    said = {"source": "person", "actor": "a test", "outcome": "none", "reason": "", "record": {}}
    store.add_decision({"id": "one", "model": model, "as_of": NOW.isoformat(), "at": NOW.isoformat(), **said})
    return world.workspace


def test_names_every_command_with_its_options() -> None:
    assert documented() == built()


def test_names_every_exit_code() -> None:
    codes = {0} | {kind.exit_code for kind in (errors.RetrimError, errors.BadInputError, errors.RefusedError)}

    assert {int(code) for code, _ in rows("exit code")} == codes


def test_names_the_keys_of_versions(workspace: Workspace) -> None:
    assert keys("versions") == version_records(workspace)[0].keys()


def test_names_the_keys_of_status(workspace: Workspace) -> None:
    assert keys("status") == status_record(workspace, now=NOW).keys()


def test_names_the_keys_of_why(workspace: Workspace) -> None:
    assert keys("why") == decision_record(workspace, None).keys()


def test_names_the_keys_of_the_release_log(workspace: Workspace) -> None:
    at = NOW.isoformat()
    pass_checks(workspace.store, workspace.model, 1, at=at)
    workspace.store.add_release(move(workspace.model, 1, at=at), expected=None, keys=workspace.keys)

    assert keys("log show") == release_log(workspace)[0].keys()


def test_names_the_keys_of_a_landed_batch(workspace: Workspace) -> None:
    (landed,) = batch_records(workspace)

    assert keys("batch list") == landed.keys()
    assert keys("batch list") | keys("batch show") == batch_record(workspace, landed["batch"]).keys()


def test_names_the_keys_of_a_batch_set_aside(workspace: Workspace) -> None:
    assert keys("quarantine list") == set_aside(workspace.paths)[0].as_record().keys()


@pytest.mark.parametrize(
    ("record", "example"),
    [
        ("reproduce", RebuildResult(1, identical=True, differences=(), executed=(), proved=True)),
        ("gc", Pruned(dry=True, pieces=())),
        ("batch withdraw", WithdrawalResult(fresh=True, withdrawals=(), rows=0, versions=())),
        ("batch redate", Repair(done=False, moves=(), stays=())),
        ("export", ExportedVersion(1, Path(), "", 0, proved=False)),
        ("import", ImportedVersion("deferred", None, "", {}, (), "")),
        ("versions verify-attestation", ValidAttestation(Attestation("", {}, REBUILT, PublicKey(b"")), "ours")),
        ("retrain", RunOutcome("", "", "", None)),
        ("score", ScoringResult(None, 0, 0, None)),
        ("settle", AcknowledgedHold("", "", "", "", (), "")),
        ("price", RetrainingCost(MoneyParams(cost=1, per_unit=1, currency="EUR"), "mae", None)),
        ("drift verify", VerifiedAlarms(1, "", VERIFIED, [])),
        ("log verify", VerifiedLog(0, 0, None)),
        ("rollback", LiveVersion(1, "", "", "", "", "", None)),
        ("room", RunDirectory(Path(), "", (), None)),
        ("ingest", Landed("landed", "rows", "", 0, Path(), (), None)),
    ],
)
def test_names_the_keys_of_the_record(record: str, example: Any) -> None:
    assert keys(record) == example.as_record().keys()


def test_names_the_keys_of_a_look() -> None:
    look = looked({"n": [1.0, 2.0, 3.0]}, ["yes", "no", "yes"])

    assert keys("profile") == look.as_record().keys() | {"findings", "page"}


def test_every_record_is_json(workspace: Workspace) -> None:
    records = [version_records(workspace), status_record(workspace, now=NOW), decision_record(workspace, None)]

    assert json.loads(json.dumps(records)) == records
