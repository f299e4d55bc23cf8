"""What a model took by month, as the store recorded it, and what lies on the disk."""

import os
from pathlib import Path

import pytest

from retrim.adapters.database import iso
from retrim.checking.history import CHECK
from retrim.decision.stored_rows import RunClaim, RunDetail
from retrim.lineage.workspace import ask_for_run
from retrim.operations.costs import cost_of_month, costs_by_month, priced_gb, stored_parts
from tests.builders.desk import Desk, make_desk, with_params


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, one a month, a check, and a run that was deferred."""
    made = make_desk(tmp_path_factory.mktemp("costs") / "workspace")
    made.land(made.rows(0, 10), 10)
    made.make_version(10)
    made.land(made.rows(10, 40), 40)
    made.check(40)
    made.make_version(41)
    store, asked = made.workspace.store, made.day(41.5)
    decision = ask_for_run(made.workspace, as_of=asked, by="a person", reason="a test", now=asked)
    claimed = store.claim_run(
        RunClaim(f"run-{decision}", made.workspace.model, decision, iso(asked), "refit", iso(asked)), mode="refit"
    )
    store.end_run(claimed.id, state="deferred", ended=iso(asked), version=None, detail=RunDetail(reason="too few"))
    for run in store.runs(made.workspace.model):
        store.add_stage_times(run, {"tune": 1800.0, "train": 1800.0})
    return made


def test_each_month_has_its_runs_checks_and_hours(desk: Desk) -> None:
    months = costs_by_month(desk.workspace, now=desk.day(41), months=12)

    assert [(each.month, each.retrainings, each.checks, each.hours) for each in months] == [
        (f"{desk.day(10):%Y-%m}", 1, 0, 1.0),
        (f"{desk.day(41):%Y-%m}", 1, 1, 1.0),
    ]


def test_money_is_said_where_a_retraining_has_a_cost(desk: Desk) -> None:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR"}
    priced = with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace
    checks = desk.workspace.store.decisions(desk.workspace.model, source=CHECK)
    month = f"{desk.day(41):%Y-%m}"

    assert cost_of_month(desk.workspace, checks, month=month).money is None
    assert cost_of_month(priced, checks, month=month).line == f"{month}: 1 retraining in 1 h, 1 check; 40 EUR"


def test_what_is_kept_is_priced_in_the_month_that_is_not_over(desk: Desk) -> None:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR", "gb_month": 1000.0}
    priced = with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace
    gb = sum(part.mb for part in stored_parts(priced)) * 2**20 / 1e9

    past, current = costs_by_month(priced, now=desk.day(41), months=12)

    assert (past.kept_gb, past.storage_money) == (None, None)
    assert current.kept_gb == pytest.approx(gb, rel=0.01)
    assert current.storage_money == pytest.approx(1000.0 * gb, rel=0.01)
    assert current.line.endswith(f"; 40 EUR; {current.kept_gb:.3g} GB kept: {current.storage_money:.3g} EUR")


def test_nothing_is_counted_where_storage_has_no_price(desk: Desk) -> None:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR"}

    assert priced_gb(desk.workspace) is None
    assert priced_gb(with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace) is None


def test_a_file_with_two_names_lies_on_the_disk_once(desk: Desk) -> None:
    var = desk.workspace.paths.var
    (var / "twice").mkdir()
    (var / "twice" / "a").write_bytes(b"0" * (1 << 20))
    os.link(var / "twice" / "a", var / "twice" / "b")

    assert {part.folder: part.mb for part in stored_parts(desk.workspace)}[str(Path("var/twice"))] == 1.0
