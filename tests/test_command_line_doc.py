"""docs/command-line.md says what the code does: every command with its options, every record with its keys."""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer

from retrim import cli, errors
from retrim.answers import decision_record, status_record, version_records
from retrim.core.drift.verify import Verified
from retrim.core.price import MoneyParams, Price
from retrim.ops.clock_repair import Repair
from retrim.ops.export import Exported
from retrim.ops.gc import Pruned
from retrim.ops.house import House
from retrim.ops.imports import Imported
from retrim.ops.ingest import Landed
from retrim.ops.ingest import quarantine_list as set_aside
from retrim.ops.receipts import ValidReceipt
from retrim.ops.release import Live
from retrim.ops.release_log import Verified as VerifiedLog
from retrim.ops.release_log import release_log
from retrim.ops.reproduce import Rebuilt
from retrim.ops.retrain import Outcome
from retrim.ops.rooms import Room
from retrim.ops.score import Scored
from retrim.ops.settle import Settled
from retrim.ops.verify import VerifiedAlarms
from retrim.ops.withdraw import Withdrawn, batch_record, batch_records
from tests.core.look_tables import looked
from tests.proved import move, pass_checks
from tests.world import World, make_world

DOCUMENT = (Path(__file__).parents[1] / "docs" / "command-line.md").read_text(encoding="utf-8")
RECEIPT = {"model": "", "version": 1, "identical": True, "predictions": {"largest_difference": 0}, "proved_at": ""}
NOW = pd.Timestamp("2024-02-01", tz="UTC")
VERIFIED = Verified(0.1, 0.1, (0.0, 0.2), 1, 1, "promised", 9.0, {}, (), 1.0, 0.9, False)


def rows(heading: str) -> list[list[str]]:
    """Cells of the table whose first column is headed so."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    assert table is not None, heading
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def documented() -> dict[str, set[str]]:
    """Commands of the document with their options."""
    found = {}
    for command, options, *_ in rows("command"):
        words = re.findall(r"[a-z]+", re.sub(r"[A-Z\[].*", "", command.strip("`").removeprefix("retrim ")))
        found[" ".join(words)] = set(re.findall(r"--[a-z-]+", options))
    return found


def built() -> dict[str, set[str]]:
    """Commands of the code with their options."""
    found: dict[str, set[str]] = {}

    def walk(command: Any, name: str) -> None:
        if not hasattr(command, "commands"):
            options = {option for taken in command.params for option in taken.opts if option.startswith("--")}
            found[name] = options - {"--help"}
        for own, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(cli.app), "")
    return found


def keys(record: str) -> set[str]:
    """Keys that the document names for a record."""
    named = next(cells for cells in rows("record") if f"`{record}`" in cells[0])
    return set(re.findall(r"`(\w+)`", named[1]))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house with one version, one decision and one batch that was set aside."""
    world: World = make_world(tmp_path_factory.mktemp("documented"), server="http://127.0.0.1:9/api")
    world.land(world.day(2))
    (world.root / "broken.csv").write_text("at\n2024-02-01\n", encoding="utf-8")
    world.retrim("ingest", "broken.csv", code=2)
    store, model = world.house.store, world.house.model
    times = {"as_of": NOW.isoformat(), "made": NOW.isoformat()}
    hashes = {"tag": "", "bundle": "", "model_sha256": "", "lineage": {}}
    verdict = {"promote": True, "reason": "", "winner": "all", "losses": {"all": 1.0}}
    store.add_version({"model": model, "version": 1, "run": "run-1", "verdict": verdict, **times, **hashes})
    said = {"source": "person", "actor": "a test", "outcome": "none", "reason": "", "record": {}}
    store.add_decision({"id": "one", "model": model, "as_of": NOW.isoformat(), "at": NOW.isoformat(), **said})
    return world.house


def test_names_every_command_with_its_options() -> None:
    assert documented() == built()


def test_names_every_exit_code() -> None:
    codes = {0} | {kind.exit_code for kind in (errors.RetrimError, errors.BadInputError, errors.RefusedError)}

    assert {int(code) for code, _ in rows("exit code")} == codes


def test_names_the_keys_of_versions(house: House) -> None:
    assert keys("versions") == version_records(house)[0].keys()


def test_names_the_keys_of_status(house: House) -> None:
    assert keys("status") == status_record(house, now=NOW).keys()


def test_names_the_keys_of_why(house: House) -> None:
    assert keys("why") == decision_record(house, None).keys()


def test_names_the_keys_of_the_release_log(house: House) -> None:
    at = NOW.isoformat()
    pass_checks(house.store, house.model, 1, at=at)
    house.store.add_release(move(house.model, 1, at=at), expected=None, keys=house.keys)

    assert keys("log show") == release_log(house)[0].keys()


def test_names_the_keys_of_a_landed_batch(house: House) -> None:
    (landed,) = batch_records(house)

    assert keys("batch list") == landed.keys()
    assert keys("batch list") | keys("batch show") == batch_record(house, landed["batch"]).keys()


def test_names_the_keys_of_a_batch_set_aside(house: House) -> None:
    assert keys("quarantine list") == set_aside(house.workspace)[0].as_record().keys()


@pytest.mark.parametrize(
    ("record", "example"),
    [
        ("reproduce", Rebuilt(1, identical=True, differences=(), executed=(), proved=True)),
        ("gc", Pruned(dry=True, pieces=())),
        ("batch withdraw", Withdrawn(fresh=True, withdrawals=(), rows=0, versions=())),
        ("batch redate", Repair(done=False, moves=(), stays=())),
        ("export", Exported(1, Path(), "", 0, proved=False)),
        ("import", Imported("deferred", None, "", {}, (), "")),
        ("receipt verify", ValidReceipt(RECEIPT, "", "ours")),
        ("retrain", Outcome("", "", "", None)),
        ("score", Scored(None, 0, 0, None)),
        ("settle", Settled("", "", "", "", (), "")),
        ("price", Price(MoneyParams(cost=1, per_unit=1, currency="EUR"), "mae", None)),
        ("drift verify", VerifiedAlarms(1, "", VERIFIED, [])),
        ("log verify", VerifiedLog(0, 0, None)),
        ("rollback", Live(1, "", "", "", "", "", None)),
        ("room", Room(Path(), "", (), None)),
        ("ingest", Landed("landed", "rows", "", 0, Path(), (), None)),
    ],
)
def test_names_the_keys_of_the_record(record: str, example: Any) -> None:
    assert keys(record) == example.as_record().keys()


def test_names_the_keys_of_a_look() -> None:
    look = looked({"n": [1.0, 2.0, 3.0]}, ["yes", "no", "yes"])

    assert keys("profile") == look.as_record().keys() | {"findings", "page"}


def test_every_record_is_json(house: House) -> None:
    records = [version_records(house), status_record(house, now=NOW), decision_record(house, None)]

    assert json.loads(json.dumps(records)) == records
