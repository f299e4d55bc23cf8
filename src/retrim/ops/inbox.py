"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`."""

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
        land_it = land_labels if path.name.startswith("labels") else land
        landed.append(land_it(path, workspace=house.workspace, data=house.params.data, now=now, correction=False))
        (inbox / TAKEN).mkdir(exist_ok=True)
        path.replace(inbox / TAKEN / path.name)
    return landed
