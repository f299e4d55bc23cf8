"""A check or a retraining that has nothing to do is answered at once: no server has to start for that."""

import pandas as pd

from retrim.adapters.store import iso
from retrim.core.history import UNFINISHED
from retrim.core.modes import Mode
from retrim.errors import BadInputError
from retrim.ops.alerts import tell_suspicious
from retrim.ops.check import CHECK, Checked, check
from retrim.ops.deferral import rows_to_wait_for
from retrim.ops.house import House
from retrim.ops.hung import end_hung_runs
from retrim.ops.overdue import tell_overdue
from retrim.ops.person import REFIT, ask_for_run, decision_of
from retrim.ops.refit_after import refit_waiting
from retrim.ops.retrain import Outcome, claim, defer
from retrim.ops.signs import held, is_alive, left_behind

ACTS = ("retrain", "restore", "rollback")


def check_at_once(house: House, *, by: str, now: pd.Timestamp) -> Checked | None:
    """The check of a moment where nothing came since the one before; None where the flow has to make it.

    That is so where rows came, where a kill left something to finish, and where the check decides that something
    has to be done: its flow finds it made, and does that.

    Raises:
        BadInputError: No rows had landed by then.
    """
    _require_rows(house, as_of=now)
    tell_suspicious(house, now=now)
    past = house.store.decisions(house.model, source=CHECK)
    seen = past[-1].record.get("landed", {}).get("batches") if past else None
    is_newest = not past or pd.Timestamp(past[-1].as_of) <= now  # one before the newest has nothing to look at
    came = is_newest and len(house.landing.batches(now)) != seen  # counted: a released batch keeps its arrival
    made = house.store.decision(f"{house.model}-{now:%Y%m%dT%H%M%SZ}") is not None
    if (came and not made) or not _is_settled(house):
        return None
    tell_overdue(house, now=now)
    checked = check(house, by=by, now=now)
    return None if checked.outcome in ACTS else checked


def retrain_at_once(
    house: House, *, as_of: pd.Timestamp, mode: Mode | None, by: str, reason: str, now: pd.Timestamp
) -> Outcome | None:
    """A person's retraining that cannot be: deferred, as too few rows are mature; None where the flow has to run.

    Raises:
        BadInputError: No rows had landed by `as_of`.
        RefusedError: A run is going on, or the same was asked for before and has ended.
    """
    _require_rows(house, as_of=as_of)
    end_hung_runs(house, now=now)
    run = house.store.run(f"run-{decision_of(house, as_of)}")
    going_on = any(is_alive(house, run.id) for run in house.store.runs(house.model, state="running"))
    ended = run is not None and run.state not in (*UNFINISHED, "failed")
    if going_on or (ended and not left_behind(house, "")):  # what was killed once it had ended is open in Prefect still
        ask_for_run(house, as_of=as_of, by=by, reason=reason, now=now)  # says why not
    if run is not None or not _is_settled(house) or rows_to_wait_for(house, as_of=as_of, by_person=True) is None:
        return None
    decision = ask_for_run(house, as_of=as_of, by=by, reason=reason, now=now)
    with held(house, f"run-{decision}"):
        return defer(house, claim(house, decision, now=as_of, mode=mode), now=as_of)


def _require_rows(house: House, *, as_of: pd.Timestamp) -> None:
    if not any(file.kind == "rows" for file in house.landing.batches(as_of)):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")


def _is_settled(house: House) -> bool:
    """Whether nothing waits to be finished: no run that was killed, and no decision without its run."""
    if any(house.store.runs(house.model, state=state) for state in UNFINISHED):
        return False
    if left_behind(house, "") or refit_waiting(house) is not None:
        return False
    decisions = [row for row in house.store.decisions(house.model) if row.source != REFIT]
    newest = decisions[-1] if decisions else None
    return newest is None or newest.outcome not in ACTS or house.store.run(f"run-{newest.id}") is not None
