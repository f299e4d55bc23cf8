"""Approval by a person: a version that the gate promotes waits, is answered once, and goes live or ends refused."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.errors import BadInputError, RefusedError
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.person import require_who_and_why
from retrim.ops.refit_after import ask_for_refit
from retrim.ops.release import live, promote, show_challenger

APPROVAL, WAITING = "approval", "waiting"
ANSWER = "answer"  # the one entry of its kind in an envelope: a second answer has no place
Said = Literal["approved", "rejected", "expired", "outdated"]


@dataclass(frozen=True)
class Answer:
    """What was said to a version that waited.

    Args:
        version: Its number.
        answer: `approved`, `rejected`; `expired` where nobody said anything, `outdated` where another champion came.
        by: Who; None for nobody.
        reason: Why.
        at: When.
    """

    version: int
    answer: Said
    by: str | None
    reason: str
    at: str

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "answer": self.answer,
            "by": self.by,
            "reason": self.reason,
            "at": self.at,
        }

    @property
    def words(self) -> str:
        """What was said, by whom and why."""
        return f"{self.answer} by {self.by}: {self.reason}" if self.by is not None else self.reason


def let_wait(house: House, run: Row, version: int, *, reason: str, now: pd.Timestamp) -> str:
    """Ends a run *waiting* and tells it; gives what is said of it. The alias stays where it is."""
    expires = iso(now + pd.Timedelta(house.params.release.approval.expires))
    said = (
        f"{reason}; waits until {expires} for a person: `retrim approve {version} --reason ...`, "
        f"or `retrim reject {version} --reason ...`"
    )
    detail = {"reason": said, "verdict": reason, "expires": expires}
    alert(house, "approval needed", f"version {version}: {said}", now=now)  # first: a kill between tells it twice
    house.store.end_run(run.id, state=WAITING, ended=iso(now), version=version, detail=detail)
    return said


def waiting(house: House) -> list[dict[str, Any]]:
    """The versions that wait, oldest first: `version`, `run`, `since`, `expires`, `reason`."""
    return [
        {
            "version": run.version,
            "run": run.id,
            "since": run.ended,
            "expires": run.detail["expires"],
            "reason": run.detail["verdict"],
        }
        for run in house.store.runs(house.model, state=WAITING)
    ]


def answer_of(house: House, version: int) -> Answer | None:
    """What was said to a version; None while nothing was."""
    rows = house.store.envelope(house.model, version, kind=APPROVAL)
    return Answer(version=version, **rows[0].record) if rows else None


def approve(house: House, version: int, *, by: str, reason: str, now: pd.Timestamp) -> Answer:
    """Lets a version that waits go live; asked again after a kill, it finishes what was begun.

    Raises:
        BadInputError: There is no such version, or nobody or no reason is named.
        RefusedError: It does not wait, was answered otherwise, has expired, or cannot go live: the champion is
            another than the one it was judged against, a release check failed, its bundle was altered.
    """
    run = _to_answer(house, version, "approved", by=by, reason=reason, now=now)
    answer = _keep(house, version, "approved", by=by, reason=reason, now=now)
    _finish(house, run, answer, now=now)
    return answer


def reject(house: House, version: int, *, by: str, reason: str, now: pd.Timestamp) -> Answer:
    """Refuses a version that waits: the account is debited, as for one that the gate refuses.

    Raises:
        As `approve`, but for what only going live can run into.
    """
    run = _to_answer(house, version, "rejected", by=by, reason=reason, now=now)
    answer = _keep(house, version, "rejected", by=by, reason=reason, now=now)
    _finish(house, run, answer, now=now)
    return answer


def end_waiting(house: House, *, now: pd.Timestamp) -> list[Answer]:
    """Ends what has waited long enough, or for nothing; finishes answers that a kill interrupted; gives them all."""
    ended = []
    for run in house.store.runs(house.model, state=WAITING):
        with suppress(RefusedError):  # a person was faster; or its run has ended refused, with the reason
            answer = answer_of(house, run.version) or _unanswered(house, run, now=now)
            if answer is not None:
                ended.append(answer)
                _finish(house, run, answer, now=now)
    return ended


def approve_all(house: House, *, by: str, reason: str, now: pd.Timestamp) -> None:
    """Approves what waits, where history is replayed and there is nobody to ask."""
    for each in waiting(house):
        with suppress(RefusedError):
            approve(house, each["version"], by=by, reason=reason, now=now)


def _to_answer(house: House, version: int, answer: Said, *, by: str, reason: str, now: pd.Timestamp) -> Row:
    """The run of a version that may be answered so."""
    require_who_and_why(by=by, reason=reason)
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    run, before = house.store.run(row.run), answer_of(house, version)
    waits = run if run is not None and run.state == WAITING else None
    if waits is not None and before is None:
        before = _unanswered(house, waits, now=now)
        if before is not None:
            _finish(house, waits, before, now=now)
    if before is not None and (before.answer != answer or waits is None):
        cure = "; that is not finished, say it again" if before.by is not None and waits is not None else ""
        raise RefusedError(
            f"version {version} was answered at {before.at}, {before.words}{cure}. An answer is given once; for "
            "another model: retrim retrain --reason WHY"
        )
    if waits is None:
        state = "was not made here" if run is None else f"is {run.state}"
        raise RefusedError(f"version {version} does not wait for an answer: its run {state}; see `retrim status`")
    return waits


def _unanswered(house: House, run: Row, *, now: pd.Timestamp) -> Answer | None:
    """What ends a version that nobody has answered: its time, or another champion; None while it may wait."""
    row, now_live = house.store.version(house.model, run.version), live(house)
    assert row is not None, run.version
    champion, against = (None if now_live is None else now_live.version), row.lineage.get("champion")
    if champion != against:
        reason = (
            f"it was judged against champion {against or 'none'}, and by now {champion or 'none'} is live; "
            "retrain to judge against that"
        )
        return _keep(house, run.version, "outdated", by=None, reason=reason, now=now)
    if now > pd.Timestamp(run.detail["expires"]):
        reason = f"nobody approved it by {run.detail['expires']}"
        return _keep(house, run.version, "expired", by=None, reason=reason, now=now)
    return None


def _keep(house: House, version: int, answer: Said, *, by: str | None, reason: str, now: pd.Timestamp) -> Answer:
    """Adds an answer to the envelope; gives what stands there.

    Raises:
        RefusedError: Another answer was faster.
    """
    record = {"answer": answer, "by": by, "reason": reason, "at": iso(now)}
    house.store.add_to_envelope(house.model, version, kind=APPROVAL, name=ANSWER, at=iso(now), record=record)
    kept = answer_of(house, version)
    assert kept is not None
    if kept.answer != answer:
        raise RefusedError(f"version {version} was answered in the meantime, {kept.words}; an answer is given once")
    return kept


def _finish(house: House, run: Row, answer: Answer, *, now: pd.Timestamp) -> None:
    """Does what an answer says and ends the run; done twice, it is done once."""
    row = house.store.version(house.model, run.version)
    assert row is not None, run.version
    state, reason = "refused", answer.words
    if answer.answer == "approved":
        reason = f"{run.detail['verdict']}; {answer.words}"
        assert answer.by is not None
        against = row.lineage.get("champion")
        try:
            promote(house, run.version, judged_against=against, by=answer.by, reason=reason, now=now)
            ask_for_refit(house, run, run.version, now=now)
        except RefusedError as error:
            _end(house, run, "refused", f"{answer.words}; but {error}", answer, now=now)
            raise
        state = "promoted"
    if answer.by is None:  # told first: a run that has ended is not looked at again
        alert(house, f"approval {answer.answer}", f"version {run.version} ends refused: {reason}", now=now)
    _end(house, run, state, reason, answer, now=now)


def _end(house: House, run: Row, state: str, reason: str, answer: Answer, *, now: pd.Timestamp) -> None:
    show_challenger(house, None)
    detail = {"reason": reason, "answer": answer.as_record()}
    house.store.end_run(run.id, state=state, ended=iso(now), version=run.version, detail=detail)
