"""One retraining, from a decision to a verdict: claim, room, stages, publish, conclude."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters import git
from retrim.adapters.store import Row, iso
from retrim.core.models import MODELS
from retrim.core.modes import FINAL, Mode
from retrim.errors import RefusedError
from retrim.ops.alerts import alert
from retrim.ops.approval import let_wait
from retrim.ops.card import keep_card
from retrim.ops.deferral import rows_to_wait_for
from retrim.ops.former import restore_after_run
from retrim.ops.house import House
from retrim.ops.live import live
from retrim.ops.mode import mode_now
from retrim.ops.person import PERSON
from retrim.ops.recover import clear_room, clear_rooms, rooms_of
from retrim.ops.refit_after import ask_for_refit
from retrim.ops.release import promote, show_challenger
from retrim.ops.release_checks import release_checks
from retrim.ops.rooms import Room, open_room
from retrim.ops.unpushed import UNPUSHED


@dataclass(frozen=True)
class Outcome:
    """How a run ended: promoted, refused, deferred or waiting for a person, with the reason in a sentence."""

    run: str
    state: str
    reason: str
    version: int | None

    def as_record(self) -> dict[str, Any]:
        return {"run": self.run, "state": self.state, "reason": self.reason, "version": self.version}


def outcome_of(house: House, decision: str) -> Outcome | None:
    """How the run of a decision ended; None if it has not, or did not end well."""
    run = house.store.run(f"run-{decision}")
    if run is None or run.state not in ("promoted", "refused", "deferred", "waiting", UNPUSHED):
        return None
    return Outcome(run.id, run.state, run.detail["reason"], run.version)


def claim(house: House, decision: str, *, now: pd.Timestamp, mode: Mode | None = None) -> Row:
    """Starts the run of a decision; one decision has one run, and one model one run at a time.

    Raises:
        RefusedError: The decision has had its run, or another run is going on.
    """
    row = house.store.decision(decision)
    assert row is not None, decision
    decided = (row.record.get("mode") or {}).get("mode")
    return house.store.claim_run(
        {
            "id": f"run-{decision}",
            "model": house.model,
            "decision": decision,
            "as_of": row.as_of,
            "mode": mode or decided or mode_now(house).mode,
            "started": iso(now),
        },
        mode=mode,
    )


def defer(house: House, run: Row, *, now: pd.Timestamp) -> Outcome | None:
    """Ends the run *deferred*, naming a date, if too few rows are mature to judge; else None.

    A run that a check decided on needs rows that matured since the champion was judged, or
    it would make the same model again; one that a person asked for may be judged on the
    same rows, as long as the champion has not used them: the settings may be new.

    Raises:
        BadInputError: No rows had landed by the run's date.
    """
    if run.mode == FINAL:
        return _over(house, run, now=now)
    asked = house.store.decision(run.decision)
    by_person = asked is not None and asked.source == PERSON
    wait = rows_to_wait_for(house, as_of=pd.Timestamp(run.as_of), by_person=by_person)
    if wait is None:
        return None
    house.store.end_run(run.id, state="deferred", ended=iso(now), version=None, detail=wait.as_record())
    return Outcome(run.id, "deferred", wait.reason, None)


def _over(house: House, run: Row, *, now: pd.Timestamp) -> Outcome | None:
    """Ends a run that was to fit a recipe once more, if its version is no longer live; it needs no new rows."""
    asked, now_live = house.store.decision(run.decision), live(house)
    assert asked is not None
    if now_live is not None and now_live.version == asked.record["of"]:
        return None
    reason = f"version {asked.record['of']} is no longer live: its recipe is not fitted once more"
    house.store.end_run(run.id, state="deferred", ended=iso(now), version=None, detail={"reason": reason})
    return Outcome(run.id, "deferred", reason, None)


def make_room(house: House, run: Row) -> Room:
    """The room of this attempt, from the snapshot of a killed one; a crashed room itself is never used again.

    One that fits a recipe once more is made from the snapshot of the version that was judged: with settings or
    code that were edited since it would be another recipe, which nobody has judged.
    """
    for left in rooms_of(house, run.id):
        clear_room(house, left)
    if run.mode in ("warm", "search"):  # said at once, not after the stages before the search
        kind = MODELS[house.params.train.model]
        kind.check_aim(house.params.data.task, house.params.judge.loss)
        kind.check_space(house.params.tune.space)
    kept = run.detail.get("snapshot") or _snapshot_of_judged(house, run)
    taken = None
    if kept is not None and git.has_commit(house.workspace.root, kept["commit"]):
        taken = git.Snapshot(kept["commit"], tuple(kept["untracked"]))
    name = f"{run.id}-{run.attempt}"
    asked = house.store.decision(run.decision)
    by_account = asked is not None and "account" in asked.record.get("fired", [])
    room = open_room(house, name, as_of=pd.Timestamp(run.as_of), mode=run.mode, taken=taken, by_account=by_account)
    house.store.note_run(run.id, {"snapshot": {"commit": room.snapshot, "untracked": list(room.untracked)}})
    return room


def _snapshot_of_judged(house: House, run: Row) -> dict[str, Any] | None:
    """The snapshot of the version whose recipe a run fits once more; None for any other run."""
    asked = house.store.decision(run.decision) if run.mode == FINAL else None
    judged = None if asked is None else house.store.version(house.model, asked.record["of"])
    if judged is None:
        return None
    return {"commit": judged.lineage["snapshot"], "untracked": judged.lineage["untracked"]}


def made_before(house: House, run: Row) -> int | None:
    """The version that a killed attempt of this run has published already; only its conclusion is missing."""
    found = house.store.version_of_run(run.id)
    return None if found is None else int(found.version)


def conclude(house: House, run: Row, version: int, parent: str, *, now: pd.Timestamp) -> Outcome:
    """Acts on the verdict and the release checks: the alias moves, or it does not and the reason is kept.

    Where a former champion won, that one goes live again and the new version is refused: nothing is registered twice.
    """
    row = house.store.version(house.model, version)
    assert row is not None
    keep_card(house, version, now=now)
    asked = house.store.decision(run.decision)
    assert asked is not None, run.decision
    promotes, reason = bool(row.verdict["promote"]), str(row.verdict["reason"])
    if promotes:
        checks = release_checks(house, version, now=now).record
        house.registry.add_to_note(parent, version, row.verdict, checks)
        promotes, reason = checks["passed"], reason if checks["passed"] else str(checks["reason"])
    against = row.lineage["champion"]
    if promotes and run.mode != FINAL and house.params.release.approval.asks(against):  # a word holds for both fits
        house.registry.finish(parent, "FINISHED")
        said = let_wait(house, run, version, reason=reason, now=now)
        clear_rooms(house)
        return Outcome(run.id, "waiting", said, version)
    if promotes:
        promote(house, version, judged_against=against, by=asked.actor, reason=reason, now=now)
        ask_for_refit(house, run, version, now=now)
    back, reason = _brought_back(house, row, reason, by=asked.actor, now=now)
    show_challenger(house, None)
    house.registry.finish(parent, "FINISHED")
    state = "promoted" if promotes else "refused"
    detail = {"reason": reason} | ({} if back is None else {"restored": back})
    house.store.end_run(run.id, state=state, ended=iso(now), version=version, detail=detail)
    clear_rooms(house)
    return Outcome(run.id, state, reason, version)


def _brought_back(house: House, row: Row, reason: str, *, by: str, now: pd.Timestamp) -> tuple[int | None, str]:
    """The former champion that won a run and is live again, and the reason: why not too, where it cannot or may not."""
    restored = (row.verdict.get("formers") or {}).get("restore")
    asked = None if restored is None else house.params.release.approval.asked_to_restore(reason, int(restored))
    if asked is not None:
        alert(house, "approval needed", f"version {restored}: {asked}", now=now)
        return None, asked
    try:
        return restore_after_run(house, row, by=by, now=now), reason
    except RefusedError as error:  # the new version is refused all the same
        return None, f"{reason}; but {error}"
