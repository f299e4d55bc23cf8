"""How healthy a workspace is, for cron and Nagios: one line with what is wrong and what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from textwrap import shorten

import pandas as pd

from retrim.adapters.landing_zone import Quarantine
from retrim.checking.history import CHECK, is_held
from retrim.checking.mode import missed_times
from retrim.checking.score import columns_gone
from retrim.landing.inbox import overdue
from retrim.lineage.locks import is_alive
from retrim.lineage.telling import unsent_alerts
from retrim.lineage.workspace import Workspace
from retrim.release.approval import waiting
from retrim.release.versions import find_live_version
from retrim.retraining.recover import stopped_runs
from retrim.retraining.run_directory import UNPUSHED

LONGEST = 200
"""Letters of a failed run's reason."""
GRACE = pd.Timedelta("1h")
"""How late a scheduled check may be."""


class HealthLevel(StrEnum):
    """How things are, in the order of the exit codes of a Nagios plug-in."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"

    @property
    def exit_code(self) -> int:
        return list(HealthLevel).index(self)


@dataclass(frozen=True)
class HealthFault:
    """Something that is wrong.

    Args:
        level: How grave it is.
        said: What it is.
        command: Of retrim, that answers it.
    """

    level: HealthLevel
    said: str
    command: str


@dataclass(frozen=True)
class Health:
    """How a workspace is.

    Args:
        level: `ok`, `warning`, `critical` or `unknown`.
        said: What is wrong, each with what to do, the gravest first; or that nothing is.
        model: Name of the model.
    """

    level: HealthLevel
    said: tuple[str, ...]
    model: str

    @property
    def line(self) -> str:
        """All of it on one line."""
        whose = f" {self.model}" if self.model else ""
        return f"{self.level.name}{whose}: {' '.join('; '.join(self.said).split())}"


def find_health(workspace: Workspace, *, now: pd.Timestamp) -> Health:
    """How a workspace is at a moment by the clock."""
    faults = sorted(_faults(workspace, now), key=lambda fault: -fault.level.exit_code)
    if faults:
        said = tuple(f"{fault.said}: retrim {fault.command}" for fault in faults)
        return Health(faults[0].level, said, workspace.model)
    live = find_live_version(workspace)
    assert live is not None
    checks = workspace.store.decisions(workspace.model, source=CHECK, newest=1)
    last = f"last check {pd.Timestamp(checks[-1].as_of):%Y-%m-%d %H:%M}" if checks else "no check yet"
    return Health(HealthLevel.OK, (f"version {live.version} is live, {last}",), workspace.model)


def _faults(workspace: Workspace, now: pd.Timestamp) -> Iterator[HealthFault]:
    """What is wrong, in this order where levels are the same."""
    store, model = workspace.store, workspace.model
    live, runs, missed = find_live_version(workspace), store.runs(model), _missed_check(workspace, now)
    critical, warning = partial(HealthFault, HealthLevel.CRITICAL), partial(HealthFault, HealthLevel.WARNING)
    if missed is not None:
        why = "the schedule is late" if is_alive(workspace, "schedule") else "no schedule runs here"
        yield critical(f"the check of {missed:%Y-%m-%d %H:%M} was not made, {why}", "schedule")
    if runs and runs[-1].state == "failed":
        reason = shorten(runs[-1].detail.reason or "", LONGEST, placeholder=" ...")
        yield critical(f"{runs[-1].id} failed, {reason}; mend that", "retrain")
    if live is None and not waiting(workspace):
        yield warning("nothing is live", "retrain")
    if live is not None and (gone := columns_gone(workspace, live.version)):
        yield warning(f"version {live.version} reads columns that are gone, {', '.join(gone)}", "retrain")
    for each in waiting(workspace):
        yield warning(f"version {each.version} waits", f"versions approve {each.version} --reason WHY")
    if is_held(workspace, store.decisions(model)):
        yield warning("a decision waits", "retrain, or retrim policy acknowledge --reason WHY")
    for entry in Quarantine(workspace.paths.quarantine).entries():
        if entry.state == "held":
            yield warning(f"batch {entry.batch} is in quarantine", f"batch show {entry.batch}")
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    if late is not None and not late.quarantined:
        yield warning(late.text, "ingest FILE")
    for run in [*stopped_runs(workspace), *store.runs(model, state=UNPUSHED)]:
        yield warning(f"{run.id} did not end", "check")
    for unsent in unsent_alerts(workspace, now=now):
        counted = "1 alert" if unsent.alerts == 1 else f"{unsent.alerts} alerts"
        yield warning(f"{counted} could not be sent to {unsent.address}", "alerts test")


def _missed_check(workspace: Workspace, now: pd.Timestamp) -> pd.Timestamp | None:
    """The newest check that the schedule should have made by now, and nobody has; None while a run goes on."""
    missed = missed_times(workspace, "monitor", until=now - GRACE)
    checks = workspace.store.decisions(workspace.model, source=CHECK, newest=1)
    made = checks and pd.Timestamp(checks[-1].as_of) >= missed[-1] if missed else True
    stopped = stopped_runs(workspace)
    going = [run for run in workspace.store.runs(workspace.model, state="running") if run not in stopped]
    return None if made or going else missed[-1]
