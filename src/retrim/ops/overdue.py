"""A batch that was due and has not come."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.core.table import DataParams
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.paths import Workspace


@dataclass(frozen=True)
class Overdue:
    """A batch that was due and has not come.

    Args:
        last: Arrival of the newest regular batch.
        due: When the next one was due.
        late: How late it is now.
    """

    last: pd.Timestamp
    due: pd.Timestamp
    late: pd.Timedelta

    def as_record(self) -> dict[str, Any]:
        return {"last": self.last.isoformat(), "due": self.due.isoformat(), "late": str(self.late)}


def overdue(*, workspace: Workspace, data: DataParams, now: pd.Timestamp) -> Overdue | None:
    """The batch that is due and has not come; None while nothing is late or nothing has ever landed.

    The next batch is due `batch_every` after the newest one arrived and late after
    `batch_grace` more. Corrections, labels and what lies in quarantine do not count.
    """
    regular = [
        file.arrived for file in Landing(workspace.landing).batches() if file.kind == "rows" and not file.correction
    ]
    if not regular:
        return None
    due = max(regular) + pd.Timedelta(data.batch_every)
    return Overdue(max(regular), due, now - due) if now > due + pd.Timedelta(data.batch_grace) else None


def tell_overdue(house: House, *, now: pd.Timestamp) -> None:
    """An alert for a batch that is due and has not come, once."""
    late = overdue(workspace=house.workspace, data=house.params.data, now=now)
    if late is not None:
        alert(house, "batch overdue", f"a batch was due on {late.due.isoformat()} and has not come", now=now)
