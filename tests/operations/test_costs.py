"""What a model took by month, as the store recorded it, and what lies on the disk."""

import os

import pytest

from retrim.adapters.database import iso
from retrim.checking.history import CHECK
from retrim.decision.stored_rows import RunClaim, RunDetail
from retrim.lineage.workspace import Workspace, ask_for_run
from retrim.operations.costs import cost_of_month, priced_gb
from tests.builders.desk import Desk, make_desk, with_params


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, one a month, a check, and a run that was deferred."""
    made = make_desk(tmp_path_factory.mktemp("costs") / "workspace", version_at=10)
    made.pass_days(10, 40)
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


def test_a_month_has_its_runs_checks_and_hours(desk: Desk) -> None:
    checks = desk.workspace.store.decisions(desk.workspace.model, source=CHECK)
    months = [cost_of_month(desk.workspace, checks, month=f"{desk.day(day):%Y-%m}") for day in (10, 41)]

    assert [(month.retrainings, month.checks, month.hours) for month in months] == [(1, 0, 1.0), (1, 1, 1.0)]


def test_money_is_said_where_a_retraining_has_a_cost(desk: Desk) -> None:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR"}
    priced = with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace
    checks = desk.workspace.store.decisions(desk.workspace.model, source=CHECK)
    month = f"{desk.day(41):%Y-%m}"

    assert cost_of_month(desk.workspace, checks, month=month).money is None
    assert cost_of_month(priced, checks, month=month).line == f"{month}: 1 retraining in 1 h, 1 check; 40 EUR"


def priced(desk: Desk) -> Workspace:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR", "gb_month": 1000.0}
    return with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace


def test_what_is_kept_is_priced(desk: Desk) -> None:
    workspace = priced(desk)
    gb = priced_gb(workspace)
    assert gb is not None

    month = cost_of_month(workspace, [], month=f"{desk.day(41):%Y-%m}", kept_gb=gb)

    assert month.storage_money == pytest.approx(1000.0 * gb)
    assert month.line.endswith(f"; 40 EUR; {gb:.3g} GB kept: {month.storage_money:.3g} EUR")


def test_nothing_is_counted_where_storage_has_no_price(desk: Desk) -> None:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR"}

    assert priced_gb(desk.workspace) is None
    assert priced_gb(with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"}).workspace) is None


def test_a_file_with_two_names_lies_on_the_disk_once(desk: Desk) -> None:
    workspace = priced(desk)
    var, before = workspace.paths.var, priced_gb(workspace)
    assert before is not None
    (var / "twice").mkdir()
    (var / "twice" / "a").write_bytes(b"0" * (1 << 20))
    os.link(var / "twice" / "a", var / "twice" / "b")

    assert priced_gb(workspace) == pytest.approx(before + (1 << 20) / 1e9)
