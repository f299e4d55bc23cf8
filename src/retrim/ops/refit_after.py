"""After a promotion, where the settings say so: the same recipe once more, on all mature rows, as a run of its own.

Its version is judged for agreement with the one that was promoted, and goes live only then.
"""

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.modes import FINAL
from retrim.ops.house import House
from retrim.ops.live import live
from retrim.ops.person import REFIT


def sequel_of(decision: str) -> str:
    """Id of the decision to fit once more what the run of another decision promoted."""
    return f"{decision}-{REFIT}"


def ask_for_refit(house: House, run: Row, version: int, *, now: pd.Timestamp) -> str | None:
    """Records the decision to fit a promoted recipe once more; gives its id, or None where that is not wanted.

    It is recorded before the run that promoted is ended, so a kill in between loses
    neither. Of two runs as of one moment the first alone is followed by one.

    Args:
        house: The house.
        run: That promoted.
        version: Its version.
        now: The moment.
    """
    if not house.params.retrain.refit_after or run.mode == FINAL:
        return None
    identity = sequel_of(run.decision)
    asked = house.store.decision(run.decision)
    assert asked is not None, run.decision
    row = {
        "id": identity,
        "model": house.model,
        "source": REFIT,
        "as_of": run.as_of,
        "at": iso(now),
        "outcome": "retrain",
        "actor": asked.actor,
        "reason": f"retrain.refit_after: version {version} was promoted, and its recipe is fitted on all mature rows",
        "record": {
            "as_of": run.as_of,
            "of": version,
            "mode": {"mode": FINAL, "reason": "retrain.refit_after"},
            "fired": asked.record.get("fired", []),
        },
    }
    house.store.add_decision(row)
    return identity if house.store.decision(identity) is not None else None


def refit_waiting(house: House) -> str | None:
    """The decision to fit the live version's recipe once more that has had no run yet, as after a kill; else None."""
    now_live = live(house)
    for row in reversed(house.store.decisions(house.model, source=REFIT)):
        if house.store.run(f"run-{row.id}") is None:
            return str(row.id) if now_live is not None and row.record["of"] == now_live.version else None
    return None
