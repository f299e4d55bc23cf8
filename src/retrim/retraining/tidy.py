"""What the schedule removes each day, so that the disk stays bounded: a little at a time, and nothing that is needed.

Old predictions, what `retrim versions gc` would remove and has lain there for a week, and git's loose objects. Prefect
removes old flow runs and events itself, as its server is set.
"""

from contextlib import suppress
from dataclasses import dataclass

import pandas as pd

from retrim.adapters import git
from retrim.checking.score import kept_since
from retrim.errors import RefusedError
from retrim.lineage.prediction_log import month_of
from retrim.lineage.workspace import Workspace
from retrim.retraining.gc import prune

GRACE = pd.Timedelta("7D")
"""For how long the directory of a run that ended may be looked at."""
MOST = 200
"""Pieces and files that go in one day: a retraining waits while they do."""


@dataclass(frozen=True)
class Tidied:
    """What was removed.

    Args:
        pieces: Of what `retrim versions gc` looks at.
        prediction_files: With predictions of months long past.
    """

    pieces: int
    prediction_files: int
    bytes: int


def tidy(workspace: Workspace, *, now: pd.Timestamp, most: int = MOST) -> Tidied:
    """Removes a day's share; what is left over goes another day. While a run goes on its pieces are left alone."""
    files, freed = _drop_predictions(workspace, now=now, most=most)
    pieces = 0
    with suppress(RefusedError):
        pruned = prune(workspace, dry=False, now=now, grace=GRACE, most=most)
        pieces, freed = len(pruned.removed), freed + pruned.freed
    git.collect_loose(workspace.paths.root)
    return Tidied(pieces, files, freed)


def _drop_predictions(workspace: Workspace, *, now: pd.Timestamp, most: int) -> tuple[int, int]:
    """Files of predictions that went, and their bytes. A request may name an event in a far future: it ages nothing."""
    found = []
    for log in (workspace.predictions, *workspace.predictions.of_every_role()):
        files = log.files()
        newest = max(map(month_of, files), default=None)
        since = kept_since(workspace, newest=min(pd.Timestamp(newest, tz="UTC"), now)) if newest else None
        if since is not None:
            found += [(log, name) for name in files if month_of(name) < f"{since:%Y-%m}"]
    sizes = [log.drop_file(name) for log, name in found[:most]]
    return len(sizes), sum(sizes)
