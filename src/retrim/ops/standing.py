"""Where things stand: the store's rows as the records that the decision rests on."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from retrim.adapters.store import Row
from retrim.core.history import UNFINISHED, Past, PastCheck, PastRun, Settlement, standing
from retrim.core.modes import FINAL
from retrim.core.rolled_back import RolledBack
from retrim.ops.deferral import what_is_known
from retrim.ops.house import House
from retrim.ops.person import PERSON, REFIT, SETTLEMENT

PROBATION_ROLLBACK = "probation rollback"
ROLLBACKS = ("rollback", PROBATION_ROLLBACK)
"""What the release log calls a move back: a person's, and that of a probation."""


def past_of_store(house: House, checks: Sequence[Row]) -> Past:
    """What went before a check.

    Args:
        house: The house.
        checks: The stored checks before it, oldest first.
    """
    decisions = {row.id: row for row in house.store.decisions(house.model)}
    runs = [row for row in house.store.runs(house.model) if not _is_sequel(row)]
    known = what_is_known(house) if any(row.state == "deferred" for row in runs) else {}
    return Past(
        runs=[_run(row, decisions, known) for row in runs],
        checks=[past_check(row.as_of, row.record) for row in checks],
        asked=[pd.Timestamp(row.as_of) for row in decisions.values() if row.source == PERSON],
        settled=[
            Settlement(pd.Timestamp(row.as_of), tuple(row.record["rules"]))
            for row in decisions.values()
            if row.source == SETTLEMENT
        ],
    )


def new_rows(house: House, table: pd.DataFrame) -> tuple[int, int] | None:
    """Rows that have matured since the newest refusal, and those that judged it; None where nothing was refused.

    Args:
        house: The house.
        table: As assembled now.
    """
    refused = [run for run in house.store.runs(house.model, state="refused") if run.mode != FINAL]
    version = None if not refused else house.store.version(house.model, refused[-1].version)
    if version is None:
        return None
    since = pd.Timestamp(refused[-1].ended if "answer" in refused[-1].detail else refused[-1].as_of)
    return int((table["_matured"] > since).sum()), int(version.verdict["rows"])


def waiting_rules(house: House, checks: Sequence[Row]) -> tuple[str, ...]:
    """Rules whose alarm waits for a person now: what the newest check held, if no person has answered since."""
    past = past_of_store(house, checks)
    held: tuple[str, ...] = standing(past, champion=None, drifted=None)["held"]
    return held


def rolled_back(house: House, decisions: Sequence[Row], table: pd.DataFrame | None) -> RolledBack | None:
    """The rollback that made live what is live, while no person has said anything since; else None.

    Args:
        house: The house.
        decisions: All of the model, oldest first.
        table: As assembled now; None to go by what the newest check has counted.
    """
    releases = house.store.releases(house.model)
    if not releases or releases[-1].action not in ROLLBACKS:
        return None
    newest = releases[-1]
    if any(row.source in (PERSON, SETTLEMENT) and row.as_of > newest.as_of for row in decisions):
        return None
    at = pd.Timestamp(newest.as_of)
    rows = _counted(decisions, at) if table is None else int((table["_matured"] > at).sum())
    return RolledBack(newest.version, newest.previous, at, rows, house.params.gate.min_rows)


def _counted(decisions: Sequence[Row], at: pd.Timestamp) -> int:
    """Rows that the newest check found matured since the rollback at this moment; 0 where none was made since."""
    kept = [row.record.get("rolled_back") for row in decisions]
    return next((each["rows"] for each in reversed(kept) if each and pd.Timestamp(each["at"]) == at), 0)


def is_held(house: House, decisions: Sequence[Row]) -> bool:
    """Whether something waits for a person, and nobody answered.

    The newest check was held, or left an alarm to one; or a rollback holds all that would start by itself.

    Args:
        house: The house.
        decisions: All of the model, oldest first.
    """
    rollback = rolled_back(house, decisions, None)
    if rollback is not None and rollback.holds:
        return True
    checks = [row for row in decisions if row.source not in (PERSON, SETTLEMENT, REFIT)]
    if not checks:
        return False
    newest = checks[-1]
    answered = any(row.source in (PERSON, SETTLEMENT) and row.as_of >= newest.as_of for row in decisions)
    return not answered and (newest.outcome == "held" or bool(waiting_rules(house, checks)))


def past_check(as_of: str, record: dict[str, Any]) -> PastCheck:
    """A stored check. One that looked at drift has findings, whether or not any is over its threshold."""
    drifted = tuple(record["drifted"]) if record["findings"] else None
    held, settled = (tuple(record.get(name, ())) for name in ("held", "settled"))
    balance = record["account"]["balance"]
    return PastCheck(pd.Timestamp(as_of), record["champion"], drifted, held, settled, balance, record["price"])


def _is_sequel(row: Row) -> bool:
    """Whether a run that is over only fitted a promoted recipe once more: no rule asked for it, and none counts it."""
    return bool(row.mode == FINAL and row.state not in UNFINISHED)


def _run(row: Row, decisions: dict[str, Row], known: dict[str, str]) -> PastRun:
    asked = decisions.get(row.decision)
    rules = () if asked is None else tuple(asked.record.get("fired", ()))
    state = "restored" if row.detail.get("restored") is not None else row.state
    until, changed = None, False
    if row.state == "deferred":
        until, changed = row.detail.get("until"), row.detail.get("known") != known
    return PastRun(
        row.id,
        pd.Timestamp(row.as_of),
        state,
        rules,
        None if until is None else pd.Timestamp(until),
        changed,
        pd.Timestamp(row.ended) if "answer" in row.detail else None,
    )
