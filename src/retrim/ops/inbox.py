"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from retrim.errors import RetrimError
from retrim.ops.house import House
from retrim.ops.ingest import Landed, land, land_labels

LABELS, TAKEN = "labels", "taken"


def take(house: House, *, now: pd.Timestamp) -> Iterator[Landed]:
    """Lands every file of the inbox and moves it to `taken/`: rows in order of name, then labels, which need rows.

    A name begun with `.` is left alone. A file that can be neither landed nor quarantined stays, and the others land.

    Raises:
        RetrimError: Once all others were taken: why the first of those that stay could not be.
    """
    inbox = house.workspace.inbox
    inbox.mkdir(parents=True, exist_ok=True)
    files = [path for path in inbox.iterdir() if path.is_file() and not path.name.startswith(".")]
    # A person may have landed something since this was due; arrivals go forward.
    now = max([now, *(file.arrived for file in house.landing.batches())])
    stay: list[RetrimError] = []
    for path in sorted(files, key=lambda path: (path.name.startswith(LABELS), path.name)):
        try:
            landed = take_in(house, path, now=now, labels=path.name.startswith(LABELS), correction=False)
        except RetrimError as error:
            stay.append(error)
            continue
        (inbox / TAKEN).mkdir(exist_ok=True)
        path.replace(inbox / TAKEN / path.name)
        yield landed
    if stay:
        raise stay[0]


def take_in(house: House, path: Path, *, now: pd.Timestamp | None, labels: bool, correction: bool) -> Landed:
    """Lands one file as rows or as labels, looked at as params.yaml says; `now` as for `land`."""
    workspace, params = house.workspace, house.params
    if labels:
        return land_labels(
            path, workspace=workspace, data=params.data, now=now, correction=correction, reading=params.reading
        )
    return land(
        path,
        workspace=workspace,
        data=params.data,
        now=now,
        correction=correction,
        batches=params.batches,
        reading=params.reading,
    )
