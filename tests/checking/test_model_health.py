"""What is wrong with a live model: said in the health of the workspace, told once, and muted by a person."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrim.adapters.database import iso
from retrim.checking.history import checks_of, stopped_since
from retrim.decision.model_health import HealthLevel
from retrim.errors import BadInputError
from retrim.landing.withdraw import withdraw
from retrim.release.acknowledged import acknowledge_kind
from retrim.reports.health import Health, find_health
from retrim.table.keys import row_keys
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # every test makes a champion with the stages
WHO = {"by": "a person", "reason": "a test"}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Ten days of rows and a version of them; no retraining pays."""
    return make_desk(tmp_path / "workspace", changes={"gain": {"cost": 1000.0}}, version_at=10)


def land(desk: Desk, day: float, *, off: float = 0.0) -> None:
    """Two days of rows whose target is off by so much, and a check."""
    desk.land(desk.rows(day - 2, day).assign(outcome=lambda rows: rows["outcome"] + off), day)
    desk.check(day)


def health(desk: Desk, day: float) -> Health:
    return find_health(desk.workspace, now=desk.day(day))


def kinds(desk: Desk, day: float) -> list[str]:
    """Kinds of what is wrong with the model."""
    of_model = ("loss_above_expected", "worse_than_naive", "segment_worse", "suspicious_batch", "holds_withdrawn_batch")
    return [each.kind for each in health(desk, day).health if each.kind in of_model]


def told(desk: Desk) -> list[tuple[str, str]]:
    rows = desk.workspace.store.alerts(desk.workspace.model)
    return [(row.kind, row.about) for row in rows if row.kind.startswith("model")]


def test_a_fault_stands_while_fewer_than_sixty_checks_measured_nothing(desk: Desk) -> None:
    land(desk, 12, off=8.0)
    desk.check(12.1)
    store, model = desk.workspace.store, desk.workspace.model
    silent = store.decisions(model)[-1]
    stands = []
    for number in range(1, 60):
        row = replace(silent, id=f"silent-{number}", sequence=2 + number, as_of=iso(desk.day(12.1 + number)))
        assert store.add_decision(row)
        stands.append("loss_above_expected" in kinds(desk, 80))

    assert stands == [True] * 58 + [False]


def test_stops_are_counted_over_fifty_checks(desk: Desk) -> None:
    land(desk, 12)
    checks = checks_of(desk.workspace)
    counts = stopped_since(desk.workspace, checks * 51)

    assert counts is not None
    assert counts.checks == 50


def test_a_loss_far_above_expected_is_critical_and_told_once(desk: Desk) -> None:
    land(desk, 12, off=8.0)
    found = health(desk, 12.1)
    of_loss = next(each for each in found.health if each.kind == "loss_above_expected")
    land(desk, 14, off=8.0)
    begun = told(desk)
    land(desk, 16, off=8.0)
    naive = kinds(desk, 16.1)
    for day in (18, 20, 22):
        land(desk, day)

    assert (of_loss.level, found.level) == (HealthLevel.CRITICAL, HealthLevel.CRITICAL)
    assert "expected" in of_loss.text
    assert of_loss.do
    assert found.said[0].startswith(found.health[0].text.rstrip("."))
    assert "worse_than_naive" in naive
    assert begun.count(("model critical", "loss_above_expected")) == 1
    assert told(desk).count(("model critical", "loss_above_expected")) == 1
    assert told(desk).count(("model cleared", "loss_above_expected")) == 1


def test_a_loss_as_expected_is_no_fault_nor_what_was_not_known_then(desk: Desk) -> None:
    land(desk, 12)
    before = kinds(desk, 12.1)
    land(desk, 14, off=8.0)

    assert (before, kinds(desk, 13)) == ([], [])
    assert "loss_above_expected" in kinds(desk, 14.1)


class TestAcknowledged:
    def acknowledge(self, desk: Desk, day: float, kind: str = "loss_above_expected", *, days: float = 7) -> None:
        until = desk.day(day + days)
        acknowledge_kind(desk.workspace, kind, until=until, now=desk.day(day), **WHO)

    def test_is_neither_counted_nor_told_until_its_time_ends(self, desk: Desk) -> None:
        self.acknowledge(desk, 11, days=2)
        land(desk, 12, off=8.0)
        found = health(desk, 12.1)

        assert "loss_above_expected" not in [each.kind for each in found.health]
        assert "loss_above_expected" in [each.kind for each in found.acknowledged]
        assert ("model critical", "loss_above_expected") not in told(desk)
        assert "loss_above_expected" in kinds(desk, 13.1)

    def test_is_refused_for_an_unknown_kind_or_a_time_that_is_past(self, desk: Desk) -> None:
        with pytest.raises(BadInputError, match="kind 'loss'; name one of: loss_above_expected"):
            self.acknowledge(desk, 11, "loss")
        with pytest.raises(BadInputError, match="is not after"):
            self.acknowledge(desk, 11, days=-1)


class TestBatches:
    def test_a_live_version_that_holds_a_withdrawn_batch_is_a_warning(self, desk: Desk) -> None:
        land(desk, 12)
        (first, *_) = desk.workspace.landing.batches()
        withdraw(desk.workspace, first.batch, now=desk.day(13), **WHO)

        assert "holds_withdrawn_batch" in kinds(desk, 13.1)

    def test_a_suspicious_batch_warns_until_it_is_answered(self, desk: Desk) -> None:
        land_suspicious(desk, 12)
        before = kinds(desk, 12.1)
        acknowledge_kind(desk.workspace, "suspicious_batch", until=desk.day(13), now=desk.day(12.2), **WHO)

        assert before == ["suspicious_batch"]
        assert kinds(desk, 30) == []


def land_suspicious(desk: Desk, day: float) -> None:
    """Two days of rows that looked suspicious when they landed."""
    data, landing, rows = desk.workspace.params.data, desk.workspace.landing, desk.rows(day - 2, day)
    keyed = rows.assign(_key=row_keys(rows, data.key, "b"))
    facts = {"digest": "5" * 64, "arrived": desk.day(day), "correction": False, "released": "", "data": data}
    with landing.locked():
        landing.land("rows", keyed, **facts, suspicious="level: 48 rows break the rule level: as if in another unit")
