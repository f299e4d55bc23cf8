"""The champion on probation: at each check it is scored beside the one before, and rolled back where it is worse."""

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.bundle import Predictor
from retrim.core.metrics import row_losses
from retrim.core.probation import Judged, Watch, in_words, roll_back_instead
from retrim.core.triggers import Decision
from retrim.errors import BadInputError, RefusedError
from retrim.ops.alerts import alert
from retrim.ops.champion import stored
from retrim.ops.group_checks import forbidden_in
from retrim.ops.house import House
from retrim.ops.known import KnownTable
from retrim.ops.live import replaced
from retrim.ops.release import live, make_live
from retrim.ops.standing import PROBATION_ROLLBACK

PROBATION = "probation"
WATCHED = ("promote", "restore", "import")
"""Moves of the champion that begin a probation; a rollback is a person's word, or this one's."""


@dataclass(frozen=True)
class Found:
    """A probation at a check.

    Args:
        release: Number of the move in the release log that began it.
        watch: What it has seen, this check's rows included.
        judged: What that has come to.
        said: In words.
        until: Until when rows have been taken.
        ended: When it ended; None while it goes on.
        loss: The loss it is taken in.
    """

    release: int
    watch: Watch
    judged: Judged
    said: str
    until: str
    ended: str | None
    loss: str

    def as_record(self) -> dict[str, Any]:
        return {
            "release": self.release,
            "version": self.watch.version,
            "against": self.watch.against,
            **self.judged.as_record(),
            "said": self.said,
            "until": self.until,
            "ended": self.ended,
            "loss": self.loss,
            "watch": self.watch.as_record(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Found":
        margin = record["margin"]
        judged = Judged(
            outcome=record["outcome"],
            effect=record["effect"],
            worse=record["evidence_worse"],
            fine=record["evidence_fine"],
            margin=-float("inf") if margin is None else margin,
        )
        plain = {name: record[name] for name in ("release", "said", "until", "ended", "loss")}
        return cls(watch=Watch.from_record(record["watch"]), judged=judged, **plain)


def begun(house: House) -> Row | None:
    """The move of the champion whose probation goes on or has ended; None where what is live never had one."""
    releases = house.store.releases(house.model)
    if not releases or not house.params.probation.checks:
        return None
    newest = releases[-1]
    return newest if newest.action in WATCHED and replaced(house, releases) is not None else None


def look_at_probation(
    house: House, table: KnownTable, champion: Predictor, *, previous: Row | None, now: pd.Timestamp
) -> Found | None:
    """The probation of the champion after the rows that matured since the check before; None where there is none.

    One that has ended stays as it was. Its end is kept in the version's envelope, once.

    Args:
        house: The house.
        table: As of now.
        champion: The live version.
        previous: The check before; None at the first.
        now: The moment of the check.
    """
    move, before = begun(house), _before(previous)
    if before is not None and before.ended is None and (move is None or move.sequence != before.release):
        _keep_end(house, _replaced(house, before, now))
    if move is None:
        return None
    if before is None or before.release != move.sequence or before.loss != house.params.judge.loss:
        before = _begin(house, move)
    if before.ended is not None:
        _keep_end(house, before)
        return before
    found = _after(house, table, champion, before, now=now)
    if found.ended is not None:
        _keep_end(house, found)
        if found.judged.outcome != "worse" or "manual" in house.params.triggers.rules:
            alert(house, f"probation {found.judged.outcome}", found.said, now=now)
    return found


def rolled_back_instead(house: House, decision: Decision, found: Found | None, previous: Row | None) -> Decision:
    """The decision to roll back where a probation asks for that now, else what was decided."""
    if found is None or not _is_to_act(found, previous):
        return decision
    manual, against = "manual" in house.params.triggers.rules, found.watch.against
    return roll_back_instead(decision, found.judged, against=against, said=found.said, manual=manual)


def _is_to_act(found: Found, previous: Row | None) -> bool:
    """Whether a probation that ended worse is to be acted on now.

    It ended at this check, or a kill or a refusal came between the check before and its rollback. What was
    held for a person is that person's.
    """
    if found.judged.outcome != "worse":
        return False
    before = _before(previous)
    if before is None or before.release != found.release or before.ended is None:
        return True
    assert previous is not None
    return bool(previous.outcome == "rollback")


def carry_out(house: House, decision: str, *, now: pd.Timestamp) -> dict[str, Any]:
    """Carries out a decision to roll back: the champion before goes live, if what it was held against still is.

    Raises:
        RefusedError: Something else is live by now, or the champion before cannot go live; that is told, too.
    """
    row = house.store.decision(decision)
    assert row is not None, decision
    facts = row.record[PROBATION]
    version, against = facts["version"], facts["against"]
    done = {"state": "rolled back", "version": against, "reason": row.reason, "run": None}
    now_live = live(house)
    assert now_live is not None
    if now_live.version == against and now_live.reason == row.reason:
        return done
    if now_live.version != version:
        raise RefusedError(f"version {version} was on probation, and by now {now_live.version} is live; check again")
    try:
        make_live(house, against, action=PROBATION_ROLLBACK, expected=version, by=row.actor, reason=row.reason, now=now)
    except RefusedError as error:
        alert(house, "rollback refused", f"version {version} is worse on probation and stays: {error}", now=now)
        raise
    alert(house, PROBATION_ROLLBACK, f"version {against} is live again: {row.reason}", now=now)
    return done


def probation_now(house: House) -> dict[str, Any] | None:
    """The probation of what is live, as the newest check left it, `said` in words; None where it has none."""
    move = begun(house)
    if move is None:
        return None
    checks = house.store.decisions(house.model, source="check")
    found = _before(checks[-1] if checks else None)
    if found is None or found.release != move.sequence:
        found = _begin(house, move)
    record = found.as_record()
    return {name: value for name, value in record.items() if name != "watch"} | {"checks": found.watch.checks}


def probation_ends(house: House) -> dict[int, str]:
    """How the probation of each version ended, in a word; `going on` for the one that has not."""
    ends = {
        row.version: kept[-1].record["outcome"]
        for row in house.store.versions(house.model)
        if (kept := house.store.envelope(house.model, row.version, kind=PROBATION))
    }
    found = probation_now(house)
    return ends if found is None else {**ends, found["version"]: found["outcome"]}


def _before(previous: Row | None) -> Found | None:
    kept = None if previous is None else previous.record.get(PROBATION)
    return None if not kept else Found.from_record(kept)


def _begin(house: House, move: Row) -> Found:
    """A probation without a row: those that matured when the version was made, or brought back, have judged it."""
    made = house.store.version(house.model, move.version)
    assert made is not None, move.version
    since = made.as_of if move.action == "promote" else move.as_of
    against = replaced(house, [row for row in house.store.releases(house.model) if row.sequence <= move.sequence])
    assert against is not None, move.version
    watch, params = Watch.begin(move.version, against), house.params.probation
    judged = watch.judge(params)
    return Found(move.sequence, watch, judged, in_words(watch, judged, params), since, None, house.params.judge.loss)


def _after(house: House, table: KnownTable, champion: Predictor, before: Found, *, now: pd.Timestamp) -> Found:
    params, watch = house.params, before.watch
    try:
        former = stored(house, watch.against).predictor
        forbidden = forbidden_in(house, list(former.view.features))
        if forbidden:  # then it must not go live by itself, however good it is
            raise RefusedError(f"it uses {', '.join(forbidden)}, which fairness.forbidden forbids by now")
        unseen = table.times["_event"] > max(champion.judged_until, former.judged_until)
        rows = table.only(unseen & (table.times["_matured"] > pd.Timestamp(before.until))).read()
        new, old = (row_losses(before.loss, one.view.actual(rows), one.predict(rows)) for one in (champion, former))
    except (RefusedError, BadInputError) as error:
        said = f"version {watch.version} cannot be held against {watch.against}, the champion before: {error}"
        return replace(before, judged=replace(before.judged, outcome="over"), said=said, until=iso(now), ended=iso(now))
    if not len(rows):
        return replace(before, until=iso(now))
    watch = watch.after(new, old, params.probation, block_rows=params.probation.block_rows(params.account.usual_rows))
    judged = watch.judge(params.probation)
    return Found(
        release=before.release,
        watch=watch,
        judged=judged,
        said=in_words(watch, judged, params.probation),
        until=iso(now),
        ended=None if judged.outcome == "going on" else iso(now),
        loss=before.loss,
    )


def _replaced(house: House, before: Found, now: pd.Timestamp) -> Found:
    newest = house.store.releases(house.model)[-1]
    said = f"{before.said}; then version {newest.version} went live ({newest.action})"
    return replace(before, judged=replace(before.judged, outcome="replaced"), said=said, ended=iso(now))


def _keep_end(house: House, found: Found) -> None:
    """Keeps how a probation ended in the version's envelope; asked again, nothing is added."""
    assert found.ended is not None
    record = {name: value for name, value in found.as_record().items() if name != "watch"}
    house.store.add_to_envelope(
        house.model,
        found.watch.version,
        kind=PROBATION,
        name=f"release {found.release}",
        at=found.ended,
        record=record,
    )
