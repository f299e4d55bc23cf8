"""A batch that was due and has not landed is told."""

from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from retrim.adapters.landing_zone import Landing
from retrim.decision.alerts import AlertKind
from retrim.files import WorkspacePaths
from retrim.landing.quarantine import Quarantine
from retrim.lineage.workspace import Workspace, record_alert
from retrim.stats.codec import Duration, Instant, written
from retrim.table.data import DataParams

RECENT, OFTEN = 3, 2
"""Newest gaps between batches that are looked at, and how many of them show another rhythm than the declared one."""


@dataclass(frozen=True)
class Overdue:
    """An overdue batch.

    Args:
        last: When the newest regular batch arrived.
        due: When the next one was due.
        late: Time since it was due.
        quarantined: Regular batches that arrived after the newest one and are in quarantine.
    """

    last: Instant
    due: Instant
    late: Duration
    quarantined: tuple[str, ...]

    @written
    def text(self) -> str:
        """The same in one sentence, with the command to type."""
        due = f"a batch was due on {self.due:%Y-%m-%d %H:%M} UTC"
        if not self.quarantined:
            return f"{due} and has not arrived"
        return f"{due}; the batch that arrived is in quarantine: retrim batch show {self.quarantined[0]}"


def overdue(*, workspace: WorkspacePaths, data: DataParams, now: pd.Timestamp) -> Overdue | None:
    """The batch that is due and has not landed; None while nothing is late or nothing has ever landed.

    The next batch is due `batch_every` after the newest one arrived and late after `batch_grace` more; or, where files
    have come in a longer rhythm, when they used to. Corrections, labels and what lies in quarantine do not count.
    """
    regular = Landing(workspace.landing).arrivals()
    if not regular:
        return None
    every, grace = pd.Timedelta(data.batch_every), pd.Timedelta(data.batch_grace)
    last = regular[-1]
    due = last + _usual_gap(regular, every, grace)
    if now <= due + grace:
        return None
    aside = [
        entry.batch
        for entry in Quarantine(workspace.quarantine).entries()
        if (entry.state, entry.kind, entry.correction) == ("held", "rows", False) and last < entry.arrived <= now
    ]
    return Overdue(last, due, now - due, tuple(aside))


def _usual_gap(arrived: list[pd.Timestamp], every: pd.Timedelta, grace: pd.Timedelta) -> pd.Timedelta:
    """The span between batches as they come: the declared one, or the longest of late where that was longer, twice."""
    gaps = [after - before for before, after in pairwise(arrived[-RECENT - 1 :])]
    return max(gaps) if sum(gap > every + grace for gap in gaps) >= OFTEN else every


def tell_overdue(workspace: Workspace, *, now: pd.Timestamp) -> None:
    """An alert for a batch that is due and has not landed, once."""
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    if late is not None:
        kind = AlertKind.BATCH_QUARANTINED if late.quarantined else AlertKind.BATCH_OVERDUE
        record_alert(workspace, kind, late.text, now=now, about=late.quarantined[0] if late.quarantined else "")
