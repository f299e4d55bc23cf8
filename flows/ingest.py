"""Landing what has come: one file, or all that lie in the inbox."""

from pathlib import Path
from typing import Any

from prefect import flow

from flows.due import due_once
from flows.lines import say_landed
from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import SIGNED
from retrim.ops.alerts import alert
from retrim.ops.inbox import take
from retrim.ops.ingest import Landed
from retrim.ops.take_in import large_file, take_in


@flow(name="ingest", **SIGNED)
def ingest(file: str | None = None, now: str | None = None) -> list[dict[str, Any]]:
    """Lands `file`, or every file of the inbox; tells of each batch that was quarantined.

    What lands arrives at `now`, else by the clock: a run that starts late may find rows of after its scheduled start.
    """
    house, records = open_house(), []
    with due_once("ingest", now) as at:
        if at is None:
            return []
        arrives = None if now is None else at
        landed = take(house, now=arrives)
        if file is not None:
            path = Path(file)
            landed = take_in(house, path, now=arrives, labels=False, correction=False, large=large_file(house, path))
        for each in landed:
            say_landed(each)
            tell_quarantined(each, at.isoformat())
            records.append(each.as_record())
    return records


def tell_quarantined(landed: Landed, now: str) -> None:
    """An alert for a batch that was set aside."""
    if landed.outcome == "quarantined":
        faults = "; ".join(str(fault) for fault in landed.faults[:3])
        alert(open_house(), "batch quarantined", f"batch {landed.batch}: {faults}", now=moment(now))
