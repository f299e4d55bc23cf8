"""What the reading commands answer, from the store alone: versions, a decision, the status."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from retrim.adapters.prefect_server import known_server
from retrim.adapters.quarantine import Quarantine
from retrim.adapters.store import Row, iso
from retrim.core.preview import too_few_rows
from retrim.core.release_checks import RELEASE_CHECKS
from retrim.errors import BadInputError
from retrim.ops.approval import WAITING, answer_of, waiting
from retrim.ops.check import CHECK, balance, money_of, price_now
from retrim.ops.columns_gone import columns_gone
from retrim.ops.guards import stopped_since
from retrim.ops.house import House
from retrim.ops.overdue import overdue
from retrim.ops.person import REFIT
from retrim.ops.probation import probation_ends, probation_now
from retrim.ops.receipts import last_proofs
from retrim.ops.recover import KILLED, stopped_runs
from retrim.ops.refit_after import sequel_of
from retrim.ops.release import live
from retrim.ops.release_checks import FIRST
from retrim.ops.settle import answer_to, settlement_now
from retrim.ops.standing import is_held, rolled_back
from retrim.ops.unpushed import UNPUSHED
from retrim.ops.withdraw import withdrawn_of_versions


def version_records(house: House) -> list[dict[str, Any]]:
    """Every version: what it is, what points at it, its last proof, what gate, checks and probation said."""
    proofs = last_proofs(house)
    now_live, ends, withdrawn = live(house), probation_ends(house), withdrawn_of_versions(house)
    aliases: dict[int | None, list[str]] = {}
    if now_live is not None:
        aliases.setdefault(now_live.version, []).append("champion")
        aliases.setdefault(now_live.previous, []).append("previous")
    return [
        {
            "version": row.version,
            "aliases": aliases.get(row.version, []),
            "tag": row.tag,
            "as_of": row.as_of,
            "model_sha256": row.model_sha256,
            "made": row.made,
            "promote": row.verdict["promote"],
            "verdict": row.verdict["reason"],
            "probation": ends.get(row.version),
            "withdrawn": withdrawn.get(row.version, []),
            "approval": _approval(house, row),
            "release_checks": _release_checks(house, row.version),
            "last_proved": proofs.get(row.version, {}).get("proved"),
            "last_differed": proofs.get(row.version, {}).get("differed"),
        }
        for row in house.store.versions(house.model)
    ]


def decision_record(house: House, which: str | None) -> dict[str, Any]:
    """One decision with its evidence and what came of it.

    Args:
        house: The house.
        which: A decision's id, a date (its last decision), or None for the newest.

    Raises:
        BadInputError: There is none.
    """
    decisions = house.store.decisions(house.model)
    if not decisions:
        raise BadInputError("nothing was decided yet; run `retrim check` or `retrim retrain`")
    found = [row for row in decisions if row.id == which] or [
        row for row in decisions if row.source != REFIT and (which is None or row.as_of.startswith(which))
    ]
    if not found:
        raise BadInputError(f"no decision {which!r}; the newest is {decisions[-1].id}")
    row, checks = found[-1], [each for each in decisions if each.source == CHECK]
    run, sequel = house.store.run(f"run-{row.id}"), house.store.run(f"run-{sequel_of(row.id)}")
    return {
        "id": row.id,
        "source": row.source,
        "as_of": row.as_of,
        "outcome": row.outcome,
        "by": row.actor,
        "reason": row.reason,
        "record": row.record,
        "run": None if run is None else _run_record(run),
        "refit": None if sequel is None else _run_record(sequel),
        "verdict": None if run is None or run.version is None else _verdict(house, run.version),
        "release_checks": None if run is None or run.version is None else _release_checks(house, run.version),
        "answered": answer_to(house, row),
        "guards": stopped_since(house, [each for each in checks if each.as_of <= row.as_of]),
    }


def status_record(house: House, *, now: pd.Timestamp) -> dict[str, Any]:
    """What is live, the account against the price, the last check and decision, and what comes next."""
    now_live = live(house)
    decisions = house.store.decisions(house.model)
    checks = [row for row in decisions if row.source == CHECK]
    stopped = stopped_runs(house)
    running = [run for run in house.store.runs(house.model, state="running") if run not in stopped]
    late = overdue(workspace=house.workspace, data=house.params.data, now=now)
    last = next((row for row in reversed(decisions) if row.source != REFIT), None)
    back = rolled_back(house, decisions, None)
    server = known_server(house.workspace.prefect, house.env.prefect_url)
    return {
        "model": house.model,
        "champion": None if now_live is None else now_live.as_record(),
        "lacks": [] if now_live is None else list(columns_gone(house, now_live.version)),
        "account": None if now_live is None else balance(house, now_live.version).balance,
        "price": None if now_live is None else price_now(house),
        "money": money_of(house),
        "short": too_few_rows(checks[-1].record) if checks else None,
        "totals": checks[-1].record.get("totals") if checks else None,
        "served": checks[-1].record.get("served") if checks else None,
        "estimates": checks[-1].record.get("estimates") if checks else None,
        "last_check": checks[-1].as_of if checks else None,
        "last_decision": None
        if last is None
        else {"id": last.id, "as_of": last.as_of, "outcome": last.outcome, "reason": last.reason},
        "held": is_held(house, decisions),
        "hold_ends": checks[-1].record["change"] if checks and checks[-1].record.get("stopped") == "hold" else None,
        "guards": stopped_since(house, checks),
        "rolled_back": None if back is None else back.as_record(),
        "settled": settlement_now(house),
        "probation": probation_now(house),
        "waiting": waiting(house),
        "running": [_run_record(run) for run in running],
        "unpushed": [_run_record(run) for run in house.store.runs(house.model, state=UNPUSHED)],
        "stopped": [_stopped_record(house, run) for run in stopped],
        "next_run": None if server is None else server.next_run(house.model),
        "quarantined": [
            {
                "batch": entry.batch,
                "file": entry.file,
                "arrived": iso(entry.arrived),
                "faults": [str(fault) for fault in entry.faults],
            }
            for entry in Quarantine(house.workspace.quarantine).entries()
            if entry.state == "held"
        ],
        "overdue": None if late is None else late.as_record(),
        "alerts": [{"at": row.at, "kind": row.kind, "text": row.text} for row in house.store.alerts(house.model)[-5:]],
        "now": iso(now),
    }


def resumed_records(house: House, decisions: Iterable[str]) -> list[dict[str, Any]]:
    """The runs that were killed and of which a command made another attempt, as they are now."""
    runs = [house.store.run(f"run-{decision}") for decision in decisions]
    return [_run_record(run) for run in runs if run is not None]


def _approval(house: House, version: Row) -> dict[str, Any] | None:
    """What a person said to a version, or that it waits for that; None where nobody was asked."""
    answer, run = answer_of(house, version.version), house.store.run(version.run)
    if answer is not None:
        return answer.as_record()
    return {"answer": WAITING} if run is not None and run.state == WAITING else None


def _run_record(run: Row) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "as_of": run.as_of,
        "mode": run.mode,
        "attempt": run.attempt,
        "version": run.version,
        "reason": run.detail.get("reason", ""),
    }


def _stopped_record(house: House, run: Row) -> dict[str, Any]:
    return {
        **_run_record(run),
        "why": run.detail.get("why", KILLED),
        "attempts": house.params.retrain.attempts,
    }


def _release_checks(house: House, version: int) -> dict[str, Any] | None:
    """What a version showed before it went live; None where the gate refused it, or it is older than these checks."""
    rows = house.store.envelope(house.model, version, kind=RELEASE_CHECKS)
    return next((row.record for row in rows if row.id == FIRST), None)


def _verdict(house: House, version: int) -> dict[str, Any] | None:
    row = house.store.version(house.model, version)
    return None if row is None else dict(row.verdict)
