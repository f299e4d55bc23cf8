"""The text that lands with a suspicious batch is read back as its concerns."""

import numpy as np
import pandas as pd
import pytest

from retrim.batches.concern import Concern, suspicion_of
from retrim.batches.units import find_unit
from retrim.table.fault import Fault


def landed_with(*concerns: Concern) -> str:
    """As ingest writes it."""
    faults = [
        Fault(each.column, each.rule, 170, (), releasable=True, cure="withdraw it; or set x") for each in concerns
    ]
    return "; ".join(f"{fault}; {fault.cure}" for fault in faults)


def test_each_concern_stands_with_its_column() -> None:
    unit = Concern("suspicious", "unit", "km", "as if in another unit (times 1.61): median 9, 5.6 before")
    whole = Concern("suspicious", "sent before", "", "90% of the rows were sent before")

    assert suspicion_of(landed_with(unit, whole)) == f"km: {unit.text}; {whole.text}"


@pytest.mark.parametrize(
    ("factor", "offset", "name"),
    [(1.609344, 0.0, "times 1.61"), (1.8, 32.0, "Fahrenheit"), (-1.0, 0.0, "sign"), (1.0, 3.0, None), (1.3, 0.0, None)],
)
def test_a_column_in_another_unit_is_told_by_its_quantiles(factor: float, offset: float, name: str | None) -> None:
    draw = np.random.default_rng(1)
    before, now = (pd.Series(12 + 2 * draw.normal(size=rows)) for rows in (340, 170))
    unit = find_unit(before, factor * now + offset)

    assert (unit is None) if name is None else (unit is not None and name in unit.name)


def test_a_column_that_is_mostly_zero_before_and_now_is_in_no_other_unit() -> None:
    before, now = (pd.Series([0.0] * 95 + [float(last)] * 5) for last in (1, 50))

    assert find_unit(before, now) is None
