"""The rate of false alarms, verified on what the champion was made from.

The page of a verification: what was asked and achieved, in a sentence, a table and two pictures.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.checking.drift import asked_of
from retrim.decision.policy_page import page
from retrim.drift.profile import TARGET
from retrim.drift.verify import (
    VerifiedRates,
    VerifiedTest,
    alarms_by_column,
    asked_and_achieved,
    verify,
    verify_together,
)
from retrim.errors import BadInputError, RefusedError
from retrim.files import write_file
from retrim.lineage.workspace import Workspace
from retrim.machine import count_cores
from retrim.release.versions import load_champion

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
        together = [test.as_record() for test in self.together]
        return {"version": self.version, "wanted": self.wanted, **self.found.as_record(), "together": together}


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
    usual, asked = workspace.params.account.usual_rows, asked_of(workspace, kept)["together"]
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


COLUMNS = ("what raises alarms", "asked", "achieved", "95 % interval, from", "to", "the history says")


def write_page(workspace: Workspace, done: VerifiedAlarms) -> Path:
    """Writes page and pictures under `var/drift/` and gives the page's place; same figures, same bytes."""
    folder = workspace.paths.var / "drift" / f"v{done.version}"
    found = done.found
    pictures = {"asked_and_achieved.png": asked_and_achieved(found), "by_column.png": alarms_by_column(found)}
    content = page(
        title=f"False alarms of {workspace.model}, version {done.version}",
        sentence=sentence(done),
        facts=facts(done),
        columns=COLUMNS,
        rows=rows(done),
        pictures={
            "The rate asked against the rate achieved": pictures["asked_and_achieved.png"],
            "By column": pictures["by_column.png"],
        },
    )
    for name, picture in pictures.items():
        write_file(folder / name, picture)
    write_file(folder / "verify.html", content)
    return folder / "verify.html"


def sentence(done: VerifiedAlarms) -> str:
    """Whether the rate is kept, as far as the history can tell."""
    found = done.found
    low, high = found.interval
    figures = (
        f"asked for {found.asked:.2%} of checks, achieved {found.achieved:.2%} (95 % interval {low:.2%} to {high:.2%})"
    )
    if found.asked < low:
        return f"More false alarms than asked: {figures}. Parts of this history do not look like the others."
    if found.asked > high:
        return f"Fewer false alarms than asked: {figures}. Alarms err on the quiet side."
    return f"The rate is kept, as far as this history can tell: {figures}."


def facts(done: VerifiedAlarms) -> list[str]:
    """What was looked at, a line each."""
    found = done.found
    looked = (
        f"asked: {done.wanted}; {found.checks} checks of {found.rows} rows, on parts of the champion's own history "
        "that calibration had not seen"
    )
    return [looked, f"the history holds {found.known:.0f} such windows, which is what the interval rests on"]


def rows(done: VerifiedAlarms) -> list[tuple[str, ...]]:
    """The table: columns by themselves, and each joint test."""
    found = done.found
    whole = [("any column", found.asked, found.achieved, found.interval, found.promise)]
    whole += [(f"all together, {t.test}", t.asked, t.achieved, t.interval, t.promise) for t in done.together]
    return [
        (what, f"{asked:.2%}", f"{achieved:.2%}", f"{low:.2%}", f"{high:.2%}", said)
        for what, asked, achieved, (low, high), said in whole
    ]
