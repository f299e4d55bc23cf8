"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`."""

from collections.abc import Iterator

import pandas as pd

from retrim.errors import RetrimError
from retrim.ops.house import House
from retrim.ops.ingest import Landed
from retrim.ops.take_in import large_file, take_in

LABELS, TAKEN = "labels", "taken"


def take(house: House, *, now: pd.Timestamp) -> Iterator[Landed]:
    """Lands every file of the inbox and moves it to `taken/`: rows in order of name, then labels, which need rows.

    A large file gives a batch a piece, and is moved after the last. A name begun with `.` is left alone. A file that
    can be neither landed nor quarantined stays, and the others land.

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
            large, labels = large_file(house, path), path.name.startswith(LABELS)
            yield from take_in(house, path, now=now, labels=labels, correction=False, large=large)
        except RetrimError as error:
            stay.append(error)
            continue
        (inbox / TAKEN).mkdir(exist_ok=True)
        path.replace(inbox / TAKEN / path.name)
    if stay:
        raise stay[0]
