"""Decisions that a person takes: to retrain now, whatever the rules say."""

import pandas as pd

from retrim.adapters.store import iso
from retrim.errors import RefusedError
from retrim.ops.house import House

PERSON = "person"


def ask_for_run(house: House, *, as_of: pd.Timestamp, reason: str, now: pd.Timestamp) -> str:
    """Records a person's decision to retrain as of a date, and gives its id.

    Raises:
        RefusedError: A person has decided the same for the same moment already.
    """
    identity = f"{house.model}-{as_of:%Y%m%dT%H%M%SZ}-person"
    row = {
        "id": identity,
        "model": house.model,
        "source": PERSON,
        "as_of": iso(as_of),
        "at": iso(now),
        "outcome": "retrain",
        "reason": reason,
        "record": {"as_of": iso(as_of)},
    }
    run = house.store.run(f"run-{identity}")
    if not house.store.add_decision(row) and run is not None and run.state not in ("crashed", "failed"):
        raise RefusedError(f"a run as of {iso(as_of)} was asked for before and ended {run.state}; take another date")
    return identity
