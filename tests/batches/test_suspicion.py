"""The text that lands with a suspicious batch is read back as its concerns."""

from retrim.batches.concern import Concern, suspicion_of
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
