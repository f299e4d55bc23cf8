"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`."""

from pathlib import Path

import pandas as pd

from retrim.ops.house import House
from retrim.ops.ingest import Landed, land, land_labels

TAKEN = "taken"


def take(house: House, *, now: pd.Timestamp) -> list[Landed]:
    """Lands every file of the inbox in order of name and moves it to `taken/`; a name begun with `.` is left alone.

    Raises:
        RetrimError: A file could be neither landed nor quarantined; those before it were, it stays.
    """
    inbox = house.workspace.inbox
    inbox.mkdir(parents=True, exist_ok=True)
    landed = []
    for path in sorted(inbox.iterdir()):
        if not path.is_file() or path.name.startswith("."):
            continue
        landed.append(take_in(house, path, now=now, labels=path.name.startswith("labels"), correction=False))
        (inbox / TAKEN).mkdir(exist_ok=True)
        path.replace(inbox / TAKEN / path.name)
    return landed


def take_in(house: House, path: Path, *, now: pd.Timestamp, labels: bool, correction: bool) -> Landed:
    """Lands one file as rows or as labels, looked at as params.yaml says."""
    workspace, params = house.workspace, house.params
    if labels:
        return land_labels(path, workspace=workspace, data=params.data, now=now, correction=correction)
    return land(path, workspace=workspace, data=params.data, now=now, correction=correction, batches=params.batches)
