"""The decision of a check: every rule is asked, then one guard after the other may keep it from acting."""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import pandas as pd

from retrim.decision.history import Deferral
from retrim.decision.triggers import RULES, BudgetParams, Evidence, RuleResult, TriggerParams, repeats

RELEASE = "`retrim retrain --reason ...`, or without a run `retrim policy acknowledge --reason ...`"


Outcome = Literal["none", "retrain", "rollback", "held"]
Guard = Literal["hold", "cooldown", "circle", "budget", "gate", "manual", "pause"]
GUARDS: tuple[Guard, ...] = get_args(Guard)
"""What may keep a rule that fires from a run: refusals running, the checks after a run, an alarm that goes round in a
circle, the budget, the gate's preview, a person, a pause."""


@dataclass(frozen=True)
class Decision:
    """The answer.

    Args:
        outcome: `none`, `retrain`, `rollback` (a probation), or `held` for a person.
        reason: Why, in a sentence.
        said: What every rule said.
        change: What would have changed the answer.
        fired: The rules that start the run; empty where none of them did.
        held: Rules whose alarm waits for a person from now on.
        settled: Rules whose alarm a person has settled, and that is still up.
        stopped: What kept a run from being started that a rule had asked for; None where nothing did.
    """

    outcome: Outcome
    reason: str
    said: tuple[RuleResult, ...]
    change: str
    fired: tuple[str, ...]
    held: tuple[str, ...]
    settled: tuple[str, ...] = ()
    stopped: Guard | None = None


def decide(evidence: Evidence, params: TriggerParams) -> Decision:
    """The decision, and what every rule said; all are asked, also when none could act."""
    results = tuple(RULES[name](evidence, params) for name in asked_by_person(evidence, params))
    settled = tuple(result.rule for result in results if result.fires and result.rule in evidence.settled)
    texts = "; ".join(result.text for result in results) or "no rule is set"
    quiet = Decision("none", texts, results, "", (), evidence.held, settled)
    without_rules = _without_rules(quiet, evidence, params)
    if without_rules is not None:
        return without_rules
    firing = [result for result in results if result.fires and result.rule not in settled]
    if firing:
        return _with_alarms(quiet, firing, evidence, params)
    if settled:
        reason = f"{texts}; {' and '.join(settled)} was acknowledged by a person and has not cleared since"
        return replace(quiet, reason=reason, change="the alarm clearing and firing again; `retrim retrain`")
    stopped: Guard | None = "gate" if any(result.stopped for result in results) else None
    return replace(quiet, change=_changes(results), stopped=stopped)


def _without_rules(quiet: Decision, evidence: Evidence, params: TriggerParams) -> Decision | None:
    """The decision if no rule is evaluated: a run is in progress or awaited, or no version exists yet."""
    if evidence.going_on is not None:
        going = f"{evidence.going_on} is in progress; the next decision waits for its result"
        return replace(quiet, reason=going, change="the end of that run")
    if evidence.waiting is not None:
        waits = f"the version of {evidence.waiting} waits for a person's approval; no other run is started meanwhile"
        return replace(
            quiet,
            reason=waits,
            change="an answer: `retrim versions approve` or `retrim versions reject`; or `retrim retrain`",
        )
    if evidence.deferral is not None:
        return _tried_again(quiet, evidence.deferral, evidence, params)
    if evidence.champion is None:
        if (missing := _rows_missing(evidence, params)) > 0:
            reason = f"{_on_hold(evidence)} until {missing} more rows have matured; or {_released()}"
            change = f"{missing} more mature rows; or {_released()}"
            return replace(quiet, outcome="held", reason=reason, change=change, stopped="hold")
        first = replace(quiet, reason="no version is live, so the first is made", change="a live version")
        return _start(first, evidence, params, fired=())
    return None


def _tried_again(quiet: Decision, deferral: Deferral, evidence: Evidence, params: TriggerParams) -> Decision:
    """The decision while a deferred run waits: tried again on its date, or before as soon as anything changed."""
    until = deferral.until
    if deferral.changed:
        what = "rows, labels or settings have changed since a run was deferred"
        again = replace(quiet, reason=what, change="nothing new since then")
    elif until is None:
        waits = "a deferred run waits for new rows, labels or settings"
        return replace(quiet, reason=waits, change="a check after one of them has changed, which tries it again")
    elif evidence.now < until:
        waits = f"a deferred run waits for labels until {until.isoformat()}"
        change = f"a check at or after {until.isoformat()}, or after rows, labels or settings have changed"
        return replace(quiet, reason=waits, change=change)
    else:
        due = f"labels that a deferred run waited for until {until.isoformat()} are due now"
        again = replace(quiet, reason=due, change=f"a check before {until.isoformat()}")
    return _start(again, evidence, params, fired=deferral.rules)


def _with_alarms(quiet: Decision, firing: list[RuleResult], evidence: Evidence, params: TriggerParams) -> Decision:
    """The decision where at least one rule asks for a retraining: each guard in turn lets some of them through."""
    texts = "; ".join(result.text for result in firing)
    if _is_held(evidence, params):
        reason, change = _hold_ends(evidence, params)
        return replace(quiet, outcome="held", reason=f"{texts}; but {reason}", change=change, stopped="hold")
    left = _let_through_cooldown(firing, evidence, params)
    if not left:
        since = evidence.checks_since_run
        assert since is not None
        cooling = f"cooldown, check {since} of {params.cooldown_checks} after the last run"
        change = f"a cooldown of fewer than {since} checks, or {params.cooldown_checks - since + 1} more checks"
        return replace(quiet, reason=f"{cooling} ({texts})", change=change, stopped="cooldown")
    circling = _circling(evidence, left, params)
    held = tuple(sorted({*evidence.held, *circling}))
    free = [result for result in left if result.rule not in held]
    if not free:
        reason = f"{texts}; but {_why_held(evidence, left, circling)}"
        change = f"a person: {RELEASE}; or the accumulated gain, on rows after the live version's last training row"
        return replace(quiet, outcome="held", reason=reason, change=change, held=held, stopped="circle")
    reason = "; ".join(result.text for result in free)
    late = _labels_late(evidence, params)
    if late is not None and any(result.rule not in params.rules for result in free):
        reason = f"{late}: {reason}"
    alarm = replace(quiet, reason=reason, change=_changes(free), held=held)
    return _start(alarm, evidence, params, fired=tuple(result.rule for result in free))


def _is_held(evidence: Evidence, params: TriggerParams) -> bool:
    """Whether refusals in a row hold every rule until the accumulated gain exceeds what was refused, and pays."""
    if evidence.refusals < params.refusals_to_hold:
        return False
    beyond = _beyond(evidence, params)
    if beyond is None or evidence.accumulated_gain.balance <= beyond:
        return True
    return not evidence.accumulated_gain.pays(evidence.retraining_cost, errors=evidence.errors, ahead=evidence.pending)


def _let_through_cooldown(firing: list[RuleResult], evidence: Evidence, params: TriggerParams) -> list[RuleResult]:
    """The alarms that a run just before does not hold: the accumulated gain brings evidence of its own, others may only
    repeat.

    A promotion empties the accumulated gain and a refusal debits it, so what it fires on has come since.
    """
    if evidence.checks_since_run is None or evidence.checks_since_run > params.cooldown_checks:
        return firing
    return [result for result in firing if not repeats(result.rule)]


def _beyond(evidence: Evidence, params: TriggerParams) -> float | None:
    """What the accumulated gain must exceed for a hold to end: its least since the last refusal, and a retraining cost
    for each refusal that is not excused; None where nobody knows.
    """
    return (
        None if evidence.lowest is None else evidence.lowest + _unexcused(evidence, params) * evidence.retraining_cost
    )


def _unexcused(evidence: Evidence, params: TriggerParams) -> int:
    """Refusals running from the one on that held, each of which asks for as much evidence again."""
    return max(1 + evidence.refusals - params.refusals_to_hold, 0)


def _rows_missing(evidence: Evidence, params: TriggerParams) -> int:
    """Rows that have yet to mature before a first version is tried again: as many as judged it, for each refusal that
    is not excused.
    """
    if not _unexcused(evidence, params):
        return 0
    come, judged = evidence.anew or (0, 1)
    return max(_unexcused(evidence, params) * max(judged, 1) - come, 0)


def _hold_ends(evidence: Evidence, params: TriggerParams) -> tuple[str, str]:
    """Why nothing starts while refusals hold, and what would end that."""
    beyond = _beyond(evidence, params)
    if beyond is None:
        return f"{_on_hold(evidence)}; it ends only by {_released()}", _released()
    grown = f"an accumulated gain above {beyond:.4g}, now {evidence.accumulated_gain.balance:.4g}"
    return f"{_on_hold(evidence)}; it ends at {grown}, or by {_released()}", f"{grown}; or {_released()}"


def _on_hold(evidence: Evidence) -> str:
    return f"on hold after {evidence.refusals} refusal{'' if evidence.refusals == 1 else 's'} in a row"


def _released() -> str:
    return f"a person: {RELEASE}"


def _start(alarm: Decision, evidence: Evidence, params: TriggerParams, *, fired: tuple[str, ...]) -> Decision:
    """The decision to retrain; unless all alarms are a person's, or there is no budget left for it."""
    awaited = evidence.deferral is not None  # what was decided before is only taken up again
    if "manual" in params.rules and not awaited:
        reason = f"{alarm.reason}; but manual is set: a person decides ({RELEASE})"
        change = f"a person: {RELEASE}; or rules without manual"
        return replace(alarm, outcome="held", reason=reason, change=change, stopped="manual")
    over = _over_budget(evidence, params.budget)
    if over is not None:
        return replace(alarm, reason=f"{over[0]} ({alarm.reason})", change=over[1], stopped="budget")
    return replace(alarm, outcome="retrain", fired=fired)


def asked_by_person(evidence: Evidence, params: TriggerParams) -> tuple[str, ...]:
    """The rules that are asked: those of params.yaml; while labels stay away schedule and estimate, else drift, too."""
    if _labels_late(evidence, params) is None:
        return params.rules
    instead = "estimate" if evidence.estimate is not None and evidence.band is not None else "drift"
    return (*params.rules, *(name for name in (instead, "schedule") if name not in params.rules))


def _labels_late(evidence: Evidence, params: TriggerParams) -> str | None:
    """A sentence where no label has matured for longer than may be waited; else None."""
    since = evidence.labels_until
    if params.max_wait is None or evidence.champion is None or since is None:
        return None
    waited = evidence.now - since
    if waited <= pd.Timedelta(params.max_wait):
        return None
    return f"no label has matured for {waited.days} days, at most {params.max_wait} are waited for one"


def _circling(evidence: Evidence, firing: list[RuleResult], params: TriggerParams) -> list[str]:
    """Alarms that started the run that was promoted just now, and are up again: another would not end them either."""
    since = evidence.checks_since_run
    if since is None or since > params.loop_checks:
        return []
    again = [result.rule for result in firing if result.rule in evidence.promoted_by]
    return [name for name in again if repeats(name)]


def _why_held(evidence: Evidence, firing: list[RuleResult], circling: list[str]) -> str:
    new = [name for name in circling if name not in evidence.held]
    if new:
        return (
            f"{' and '.join(new)} started the run that was promoted {evidence.checks_since_run} checks ago, and "
            f"another run would only repeat it; a person has to decide: {RELEASE}"
        )
    waiting = " and ".join(sorted({result.rule for result in firing}))
    return f"{waiting} has waited for a person since an earlier check: {RELEASE}"


def _over_budget(evidence: Evidence, budget: BudgetParams | None) -> tuple[str, str] | None:
    """Why no run may be paid for now, and what would change that; None where one may."""
    if budget is None:
        return None
    within = [ago for ago in evidence.spent if ago < budget.checks]
    if len(within) < budget.runs:
        month = evidence.month
        if month is None or not month.is_used_up:
            return None
        least = month.spent + month.money.cost
        return f"budget: {month.text}", f"a budget of {least:.6g} {month.money.currency} or more, or another month"
    more = budget.checks - within[-budget.runs]
    count = f"{more} more check{'' if more == 1 else 's'}"
    used = f"budget: {len(within)} of {budget.runs} retrainings in {budget.checks} checks are used up, for {count}"
    return used, f"a budget of more than {len(within)} runs, or {count}"


def _changes(results: "tuple[RuleResult, ...] | list[RuleResult]") -> str:
    return "; ".join(f"{result.rule}: {result.change}" for result in results) or "a rule under triggers.rules"
