"""The rate of false alarms, verified on what the champion was made from."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from retrim.checking.drift import asked_of
from retrim.drift.profile import TARGET
from retrim.drift.verify import VerifiedRates, VerifiedTest, verify, verify_together
from retrim.errors import BadInputError, RefusedError
from retrim.files import count_cores
from retrim.lineage.workspace import Workspace
from retrim.release.versions import load_champion
from retrim.stats.codec import to_record

DRAWS = 1000  # for each split; a check draws as many as drift.alarms.draws says


@dataclass(frozen=True)
class VerifiedAlarms:
    """What was verified, and of which version."""

    version: int
    wanted: str
    found: VerifiedRates
    together: list[VerifiedTest]

    def as_record(self) -> dict[str, Any]:
        """Plain JSON types."""
        together = [to_record(test) for test in self.together]
        return {"version": self.version, "wanted": self.wanted, **to_record(self.found), "together": together}


def verify_alarms(workspace: Workspace, *, splits: int, checks: int) -> VerifiedAlarms:
    """How often checks without drift would raise an alarm, on the champion's own reference; nothing is written.

    Args:
        workspace: The workspace.
        splits: How often a part of the reference is held out.
        checks: Windows looked at for each.

    Raises:
        RefusedError: No version is live, its bundle has no profile, or that is too short.
        BadInputError: No rate is asked for.
    """
    alarms = workspace.params.drift.alarms
    if alarms is None:
        raise BadInputError("drift.alarms is null, so no rate is asked for; set such as {at_most: 1}")
    now_live = load_champion(workspace)
    kept = None if now_live is None else now_live.reference
    if now_live is None or kept is None:
        what = "no version is live" if now_live is None else f"version {now_live.version} holds no profile"
        raise RefusedError(f"{what}, so there is no history to verify on; make one: `retrim retrain`")
    features = {name: column for name, column in kept.rows.columns.items() if name != TARGET}
    usual, asked = workspace.params.gain.rows_per_check, asked_of(workspace, kept)["together"]
    found = verify(
        replace(kept.rows, columns=features),
        rows=usual,
        rate=alarms.rate(pd.Timedelta(workspace.params.data.batch_every)),
        draws=DRAWS,
        splits=splits,
        checks=checks,
        seed=alarms.seed,
    )
    rate = 0.0 if asked is None else asked.rate * asked.share
    joint = workspace.params.drift.joint
    tests = verify_together(kept.rows, tuple(features), joint, rows=usual, rate=rate, cores=count_cores())
    return VerifiedAlarms(now_live.version, f"{alarms.at_most:g} per {alarms.per}", found, tests)
