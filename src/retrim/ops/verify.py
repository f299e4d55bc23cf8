"""The rate of false alarms, verified on what the champion was made from."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.core.drift.profile import Profile
from retrim.core.drift.scores import TARGET
from retrim.core.drift.verify import Verified, verify
from retrim.errors import BadInputError, RefusedError
from retrim.ops.champion import champion
from retrim.ops.house import House

DRAWS = 1000  # for each split; a check draws as many as drift.alarms.draws says


@dataclass(frozen=True)
class VerifiedAlarms:
    """What was verified, and of which version."""

    version: int
    wanted: str
    found: Verified

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"version": self.version, "wanted": self.wanted, **self.found.as_record()}


def verify_alarms(house: House, *, splits: int, checks: int) -> VerifiedAlarms:
    """How often checks without drift would raise an alarm, on the champion's own reference; nothing is written.

    Args:
        house: The house.
        splits: How often a part of the reference is held out.
        checks: Windows looked at for each.

    Raises:
        RefusedError: No version is live, its bundle has no profile, or that is too short.
        BadInputError: No rate is asked for.
    """
    alarms = house.params.drift.alarms
    if alarms is None:
        raise BadInputError("drift.alarms is null, so no rate is asked for; set such as {at_most: 1, per: year}")
    now_live = champion(house)
    kept = None if now_live is None else now_live.reference
    if now_live is None or kept is None:
        what = "no version is live" if now_live is None else f"version {now_live.version} holds no profile"
        raise RefusedError(f"{what}, so there is no history to verify on; make one: `retrim retrain`")
    found = verify(
        Profile(
            {name: column for name, column in kept.rows.columns.items() if name != TARGET},
            kept.rows.blocks,
            kept.rows.sample,
        ),
        rows=house.params.account.usual_rows,
        rate=alarms.rate(pd.Timedelta(house.params.data.batch_every)),
        draws=DRAWS,
        splits=splits,
        checks=checks,
        seed=alarms.seed,
    )
    return VerifiedAlarms(now_live.version, f"{alarms.at_most:g} per {alarms.per}", found)
