"""What the reading commands answer, from the store alone: versions, a decision, the status."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from retrim.adapters.database import iso
from retrim.adapters.landing_zone import Quarantine
from retrim.adapters.prefect_server import known_server
from retrim.checking.check import CHECK, answer_to, balance, money_of, price_now, settlement_now
from retrim.checking.history import is_held, rolled_back, stopped_since
from retrim.checking.probation import probation_ends, probation_now
from retrim.checking.score import columns_gone
from retrim.decision.probe import too_few_rows
from retrim.decision.release_checks import RELEASE_CHECKS
from retrim.decision.stored_rows import RunRow, VersionRow
from retrim.errors import BadInputError
from retrim.landing.ingest import withdrawn_of_versions
from retrim.landing.overdue import overdue
from retrim.lineage.workspace import REFIT, Workspace
from retrim.release.approval import WAITING, answer_of, sequel_of, waiting
from retrim.release.release import FIRST
from retrim.release.versions import find_live_version, last_proofs
from retrim.retraining.recover import KILLED, stopped_runs
from retrim.retraining.run_directory import UNPUSHED


def version_records(workspace: Workspace) -> list[dict[str, Any]]:
    """Every version, oldest first.

    Returns:
        version: Its number.
        aliases: `champion` for the live one, `previous` for the one before.
        tag: Its tag in git.
        as_of: As-of date of its run.
        model_sha256: Hash of the bundle.
        made: When it was made.
        promote: Whether the gate passed it.
        verdict: The gate's reason.
        probation: `going on`, `worse`, `confirmed`, `over` or `replaced`; null: it had none.
        withdrawn: Batches it was made with that were withdrawn since.
        approval: What a person said; `waiting` while nobody has; null: nobody was asked.
        release_checks: `passed`, `reason` and `checks` before it went live; null where the gate refused it.
        last_proved: When a proof last found it identical.
        last_differed: When a proof last found a difference.
    """
    proofs = last_proofs(workspace)
    now_live, ends, withdrawn = (
        find_live_version(workspace),
        probation_ends(workspace),
        withdrawn_of_versions(workspace),
    )
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
            "approval": _approval(workspace, row),
            "release_checks": _release_checks(workspace, row.version),
            "last_proved": proofs.get(row.version, {}).get("proved"),
            "last_differed": proofs.get(row.version, {}).get("differed"),
        }
        for row in workspace.store.versions(workspace.model)
    ]


def decision_record(workspace: Workspace, which: str | None) -> dict[str, Any]:
    """One decision with its evidence and what came of it.

    Args:
        workspace: The workspace.
        which: A decision's id, a date (its last decision), or None for the newest.

    Returns:
        id: The decision.
        source: What took it: a check, a person, an acknowledgement.
        as_of: The moment it was about.
        outcome: `none`, `retrain`, `restore`, `rollback`, `held` or `settled`.
        by: Who.
        reason: Why, in a sentence.
        record: The evidence.
        run: The [run](#run) it started; null: none.
        refit: The run that fitted its recipe once more; null: none.
        verdict: What the gate said of the run's version; null: no version.
        release_checks: What that version showed before it went live.
        answered: How a person answered what was on hold; null: nobody has.
        guards: How often each guard stopped a run, up to this decision.

    Raises:
        BadInputError: There is none.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not decisions:
        raise BadInputError("nothing was decided yet; run `retrim check` or `retrim retrain`")
    found = [row for row in decisions if row.id == which] or [
        row for row in decisions if row.source != REFIT and (which is None or row.as_of.startswith(which))
    ]
    if not found:
        raise BadInputError(f"no decision {which!r}; the newest is {decisions[-1].id}")
    row, checks = found[-1], [each for each in decisions if each.source == CHECK]
    run, sequel = workspace.store.run(f"run-{row.id}"), workspace.store.run(f"run-{sequel_of(row.id)}")
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
        "verdict": None if run is None or run.version is None else _verdict(workspace, run.version),
        "release_checks": None if run is None or run.version is None else _release_checks(workspace, run.version),
        "answered": answer_to(workspace, row),
        "guards": stopped_since(workspace, [each for each in checks if each.as_of <= row.as_of]),
    }


def status_record(workspace: Workspace, *, now: pd.Timestamp) -> dict[str, Any]:
    """What is live, the accumulated gain against the retraining cost, the last check, and what comes next.

    Returns:
        model: Its name.
        champion: The [live version](#retrim-versions-live); null: none yet.
        lacks: Columns that the live version reads and that are gone.
        account: Accumulated gain, in mean loss times checks; null before the first version.
        price: Retraining cost in the same unit; null before the first version.
        money: `account.money` of params.yaml; null: the price is stated in losses.
        short: Why too few rows judge to show the accumulated gain; null: enough do.
        totals: What the model has cost up to the last check.
        served: Loss of what was served, as of the last check.
        estimates: How good estimated losses were.
        last_check: As of when.
        last_decision: `id`, `as_of`, `outcome` and `reason`.
        held: Whether a decision waits for a person.
        hold_ends: What ends a hold after refusals; null: there is none.
        guards: How often each guard stopped a run since the release: `checks`, `since`, `guards`, `refused`.
        rolled_back: The rollback that nobody has answered; null: none.
        settled: The acknowledgement that still holds; null: none.
        probation: Probation of what is live; null: it has none.
        waiting: Versions that wait for a person: `version`, `run`, `since`, `expires`, `reason`.
        running: [Runs](#run) that go on.
        unpushed: Runs whose files the DVC remote has not taken.
        stopped: Runs that ended by a kill, with `why` and `attempts`.
        next_run: When the schedule runs next; null: it does not run.
        quarantined: Batches in quarantine: `batch`, `file`, `arrived`, `faults`.
        overdue: The batch that has not come; null: none is late.
        alerts: The last five: `at`, `kind`, `text`.
        now: The moment that this is about.
    """
    now_live = find_live_version(workspace)
    decisions = workspace.store.decisions(workspace.model)
    checks = [row for row in decisions if row.source == CHECK]
    stopped = stopped_runs(workspace)
    running = [run for run in workspace.store.runs(workspace.model, state="running") if run not in stopped]
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    last = next((row for row in reversed(decisions) if row.source != REFIT), None)
    back = rolled_back(workspace, decisions, None)
    server = known_server(workspace.paths.prefect, workspace.env.prefect_url)
    return {
        "model": workspace.model,
        "champion": None if now_live is None else now_live.as_record(),
        "lacks": [] if now_live is None else list(columns_gone(workspace, now_live.version)),
        "account": None if now_live is None else balance(workspace, now_live.version).balance,
        "price": None if now_live is None else price_now(workspace),
        "money": money_of(workspace),
        "short": too_few_rows(checks[-1].record) if checks else None,
        "totals": checks[-1].record.get("totals") if checks else None,
        "served": checks[-1].record.get("served") if checks else None,
        "estimates": checks[-1].record.get("estimates") if checks else None,
        "last_check": checks[-1].as_of if checks else None,
        "last_decision": None
        if last is None
        else {"id": last.id, "as_of": last.as_of, "outcome": last.outcome, "reason": last.reason},
        "held": is_held(workspace, decisions),
        "hold_ends": checks[-1].record["change"] if checks and checks[-1].record.get("stopped") == "hold" else None,
        "guards": stopped_since(workspace, checks),
        "rolled_back": None if back is None else back.as_record(),
        "settled": settlement_now(workspace),
        "probation": probation_now(workspace),
        "waiting": waiting(workspace),
        "running": [_run_record(run) for run in running],
        "unpushed": [_run_record(run) for run in workspace.store.runs(workspace.model, state=UNPUSHED)],
        "stopped": [_stopped_record(workspace, run) for run in stopped],
        "next_run": None if server is None else server.next_run(workspace.model),
        "quarantined": [
            {
                "batch": entry.batch,
                "file": entry.file,
                "arrived": iso(entry.arrived),
                "faults": [str(fault) for fault in entry.faults],
            }
            for entry in Quarantine(workspace.paths.quarantine).entries()
            if entry.state == "held"
        ],
        "overdue": None if late is None else late.as_record(),
        "alerts": [
            {"at": row.at, "kind": row.kind, "text": row.text} for row in workspace.store.alerts(workspace.model)[-5:]
        ],
        "now": iso(now),
    }


def resumed_records(workspace: Workspace, decisions: Iterable[str]) -> list[dict[str, Any]]:
    """The runs that were killed and of which a command made another attempt, as they are now."""
    runs = [workspace.store.run(f"run-{decision}") for decision in decisions]
    return [_run_record(run) for run in runs if run is not None]


def _approval(workspace: Workspace, version: VersionRow) -> dict[str, Any] | None:
    """What a person said to a version, or that it waits for that; None where nobody was asked."""
    answer, run = answer_of(workspace, version.version), workspace.store.run(version.run)
    if answer is not None:
        return answer.as_record()
    return {"answer": WAITING} if run is not None and run.state == WAITING else None


def _run_record(run: RunRow) -> dict[str, Any]:
    """A run.

    Returns:
        id: Its id.
        state: `running`, `promoted`, `refused`, `deferred`, `waiting`, `unpushed`, `restored`, `rolled back`,
            `crashed` or `failed`.
        as_of: Its as-of date.
        mode: `search`, `warm` or `refit`.
        attempt: 1, and one more after each kill.
        version: The version it made; null: none.
        reason: How it ended, in a sentence.
    """
    return {
        "id": run.id,
        "state": run.state,
        "as_of": run.as_of,
        "mode": run.mode,
        "attempt": run.attempt,
        "version": run.version,
        "reason": run.detail.get("reason", ""),
    }


def _stopped_record(workspace: Workspace, run: RunRow) -> dict[str, Any]:
    return {
        **_run_record(run),
        "why": run.detail.get("why", KILLED),
        "attempts": workspace.params.retrain.attempts,
    }


def _release_checks(workspace: Workspace, version: int) -> dict[str, Any] | None:
    """What a version showed before it went live; None where the gate refused it, or it is older than these checks."""
    rows = workspace.store.envelope(workspace.model, version, kind=RELEASE_CHECKS)
    return next((row.record for row in rows if row.id == FIRST), None)


def _verdict(workspace: Workspace, version: int) -> dict[str, Any] | None:
    row = workspace.store.version(workspace.model, version)
    return None if row is None else dict(row.verdict)
