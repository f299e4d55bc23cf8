"""The site's reference is written from what the commands print: each record has at run time the keys that it names."""

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest

from retrim import errors
from retrim.cli.answers import find_versions
from retrim.decision.alerts import AlertKind
from retrim.decision.stored_rows import DecisionRow, VersionRow
from retrim.landing.ingest import Landed
from retrim.landing.withdraw import listed_batches, show_batch
from retrim.lineage.workspace import Workspace
from retrim.stats.codec import to_record
from tests.builders.answers import decision_record, status_record
from tests.builders.world import World, make_world

HOOK = Path(__file__).parents[2] / ".ci" / "site.py"
NOW = pd.Timestamp("2024-02-01", tz="UTC")


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("site_hook", HOOK)
    assert spec
    assert spec.loader
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    writers: Mapping[str, Callable[[], str]] = hook.PAGES
    return {name.removeprefix("reference/").removesuffix(".md"): page() for name, page in writers.items()}


def keys(pages: dict[str, str], record: str) -> set[str]:
    """Keys that the page of records names for a command."""
    section = re.split(rf"^## retrim {record}$", pages["records"], flags=re.MULTILINE)[1].split("\n##")[0]
    return set(re.findall(r"^\| `(\w+)`", section, re.MULTILINE))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with one version, one decision and one batch."""
    world: World = make_world(tmp_path_factory.mktemp("documented"), server="http://127.0.0.1:9/api")
    world.land(world.day(2))
    store, model = world.workspace.store, world.workspace.model
    times = {"as_of": NOW.isoformat(), "made": NOW.isoformat()}
    hashes = {"tag": "", "bundle": "", "model_sha256": "", "lineage": {}}
    verdict = {"promote": True, "reason": "", "winner": "all", "losses": {"all": 1.0}, "rows": 0}
    store.add_version(VersionRow(model=model, version=1, run="run-1", verdict=verdict, **times, **hashes))
    decision = {
        "source": "person",
        "actor": "a test",
        "outcome": "none",
        "reason": "",
        "text": json.dumps({"as_of": NOW.isoformat()}),
    }
    store.add_decision(DecisionRow(id="one", model=model, as_of=NOW.isoformat(), at=NOW.isoformat(), **decision))
    return world.workspace


def test_each_command_that_prints_json_links_to_its_record(pages: dict[str, str]) -> None:
    assert re.findall(r"^`--json` prints: \.$", pages["command-line"], re.MULTILINE) == []


def test_each_record_is_of_a_command(pages: dict[str, str]) -> None:
    titles = re.findall(r"^## retrim (.+)$", pages["records"], re.MULTILINE)
    commands = set(re.findall(r"^## retrim (.+)$", pages["command-line"], re.MULTILINE))

    assert [title for title in titles if re.split(r" --| [A-Z]", title)[0] not in commands] == []


def test_names_every_exit_code_and_alert(pages: dict[str, str]) -> None:
    codes = {0} | {kind.exit_code for kind in (errors.RetrimError, errors.BadInputError, errors.RefusedError)}

    assert {int(code) for code in re.findall(r"^\| (\d) \|", pages["alerts"], re.MULTILINE)} == codes
    assert all(f"| {kind} |" in pages["alerts"] for kind in AlertKind)


def test_records_have_the_keys_that_the_page_names(pages: dict[str, str], workspace: Workspace) -> None:
    (batch,) = listed_batches(workspace)
    landed = Landed("landed", "rows", "", 0, Path(), (), None)

    assert keys(pages, "versions") == to_record(find_versions(workspace)[0]).keys()
    assert keys(pages, "status") == status_record(workspace, now=NOW).keys()
    assert keys(pages, "why") == decision_record(workspace, None).keys()
    assert keys(pages, "batch show") == to_record(batch).keys() | {"suspicious"}
    assert keys(pages, "batch show BATCH") == to_record(show_batch(workspace, batch.batch)).keys() | {"suspicious"}
    assert keys(pages, "ingest") == landed.as_record().keys() | {"of", "piece", "pieces", "first_row"}


def test_every_record_is_json(workspace: Workspace) -> None:
    records = [
        [to_record(version) for version in find_versions(workspace)],
        status_record(workspace, now=NOW),
        decision_record(workspace, None),
    ]

    assert json.loads(json.dumps(records)) == records
