"""What the retrainings of a month cost: counted from the runs, warned of, and a stop for those that start alone."""

import pytest

from retrim.checking.history import month_spent
from retrim.decision.alerts import AlertKind
from tests.builders.desk import Desk, make_desk, with_params


def with_budget(desk: Desk, budget: float | None) -> Desk:
    money = {"cost": 40.0, "per_unit": 0.5, "currency": "EUR", "budget": budget}
    return with_params(desk, gain={"money": money, "cost": 80.0, "cost_unit": "loss"})


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A version made in January, and rows since."""
    made = make_desk(tmp_path_factory.mktemp("month") / "workspace", version_at=10)
    made.land(made.rows(10, 14), 14)
    return made


def alerts(desk: Desk) -> list[str]:
    return [row.kind for row in desk.workspace.store.alerts(desk.workspace.model)]


def test_a_retraining_is_paid_in_the_month_that_it_is_about(desk: Desk) -> None:
    workspace = with_budget(desk, 100.0).workspace
    now, later = (month_spent(workspace, now=desk.day(day)) for day in (14, 45))

    assert now is not None
    assert later is not None
    assert (now.runs, now.spent, later.runs) == (1, 40.0, 0)


def test_without_a_limit_in_money_nothing_is_counted(desk: Desk) -> None:
    assert month_spent(with_budget(desk, None).workspace, now=desk.day(14)) is None


def test_the_last_retraining_that_fits_is_told(desk: Desk) -> None:
    with_budget(desk, 100.0).check(14)

    assert AlertKind.BUDGET_NEAR in alerts(desk)
