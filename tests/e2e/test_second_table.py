"""A second table by configuration alone: a shipped classifier runs the loop through its params.yaml and its suite."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.landing.ingest import land_batch
from retrim.reading.shipped import DATASETS
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.world import REPOSITORY, World, make_world
from tests.e2e.flows_here import check_at, retrain_at

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server]

QUICKER: dict[str, dict[str, Any]] = {
    "tune": {"trials": 2, "max_rounds": 60},
}
"""All that a test has other than the shipped settings: fewer and shorter fits."""
CHECKS = {
    "rows",
    "gain",
    "non-inferiority",
    "worst fold",
    "re-use",
    "worst slice",
    "churn",
    "calibration",
    "calibration kept",
}


def make_shipped(folder: Path, server: str, name: str, **changed: dict[str, Any]) -> World:
    """A world whose params.yaml and suite are those that ship with a table."""
    world = make_world(folder, server=server)
    document = load_yaml((REPOSITORY / DATASETS[name].data).read_text(encoding="utf-8"))
    for part in (QUICKER, changed):
        for section, values in part.items():
            document[section] = document.get(section, {}) | values
    (world.root / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")
    return replace(world)


def test_bank_runs_from_landing_to_a_judged_second_version(server: str, tmp_path: Path) -> None:
    world = make_shipped(tmp_path, server, "bank")
    pieces = DATASETS["bank"].pieces(REPOSITORY, start=DATASETS["bank"].start, every="90D")
    first = _land(world, tmp_path, next(pieces))
    made = retrain_at(world, first, "version 1")
    checks = []
    for piece in pieces:
        checks.append(check_at(world, _land(world, tmp_path, piece)))
        if checks[-1]["run"]:
            break
    workspace, run = world.workspace, checks[-1]["run"]
    versions = workspace.store.versions("bank")

    assert made["state"] == "promoted", made
    assert [check["check"]["outcome"] for check in checks[:-1]] == ["none"] * (len(checks) - 1)
    assert run["state"] in ("promoted", "refused")
    assert run["reason"]
    judged = versions[run["version"] - 1]

    assert [version.tag for version in versions] == ["retrim/bank/v1", "retrim/bank/v2"]
    assert (made["version"], versions[0].judged.final.used) == (1, True)
    assert set(judged.verdict["losses"]) >= {"champion", "mean", judged.verdict["winner"]}
    assert all(
        0 <= value <= 1 for value in workspace.predictions.since(None, most=10**9).query("version == 1")["prediction"]
    )
    assert {check["name"] for check in judged.verdict["checks"]} >= CHECKS


@pytest.mark.slow
def test_rodents_of_twelve_classes_go_through_every_check_of_the_gate(server: str, tmp_path: Path) -> None:
    world = make_shipped(
        tmp_path, server, "rodents", tune={"max_rounds": 20}, backtest={"origins": 1}, retrain={"refit_after": False}
    )
    pieces = DATASETS["rodents"].pieces(REPOSITORY, start=120, every="1080D")
    made = [retrain_at(world, _land(world, tmp_path, next(pieces)), f"version {number}") for number in (1, 2)]
    versions = world.workspace.store.versions("rodents")
    checks = {check["name"]: check for check in versions[made[1]["version"] - 1].verdict["checks"]}

    assert made[0]["state"] == "promoted", made
    assert made[1]["state"] in ("promoted", "refused"), made
    assert set(checks) >= CHECKS
    assert "expected calibration error" in checks["calibration"]["text"]
    assert "of rows get a different class than from the champion" in checks["churn"]["text"]


def _land(world: World, folder: Path, piece: Any) -> str:
    file = folder / f"{piece.arrives:%Y-%m-%d}.csv"
    file.write_bytes(piece.content)
    workspace = world.workspace
    landed = land_batch(
        file, workspace=workspace.paths, data=workspace.params.data, now=piece.arrives, correction=False
    )

    assert landed.outcome == "landed", landed.faults
    return str(piece.arrives.isoformat())
