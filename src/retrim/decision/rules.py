"""The trigger rules, and the decision of a check.

1. Settings: when things run, what may start a retraining, which moves wait for a person.
2. `Evidence`, which a decision rests on.
3. The rules: each says whether it asks for a retraining, why, and what would have changed its answer.
4. `decide`: it asks every rule, then looks in turn at what may keep them from acting. Every answer has its reason.

After a rollback nothing starts by itself until a person says so or enough new rows have matured. The rules still see
the evidence that let the bad version pass, so a retraining or restore that they start would go round in a circle.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Literal, get_args

import pandas as pd
from pydantic import AfterValidator, Field, field_validator

from retrim.decision.accumulated_gain import NEWEST, AccumulatedGain, Band, BandParams, MonthSpent
from retrim.decision.history import Deferral, HistorySummary
from retrim.decision.probe import GatePreview
from retrim.errors import UnknownNameError
from retrim.stats.codec import Moment, written
from retrim.stats.plugins import FOLLOWS, PluginRegistry, SettingsSection, SomeSpan, Span, check_span
from retrim.stats.timetable import CRON, next_due
from retrim.training.mode import Mode


class RetrainParams(SettingsSection):
    """How a version is made."""

    first_mode: Mode = Field(
        exclude=True, default="search", description="mode of version 1, which has no earlier version to start from"
    )
    mode: Mode | Literal["auto"] = Field(
        default="refit",
        description="mode of every version after the first; auto: a search if the gain of earlier "
        "searches covers their cost, else a refit",
    )
    refit_after: bool = Field(
        default=True,
        description="whether the recipe of a promoted version is refitted on all mature rows, including the "
        "holdout rows",
    )
    attempts: int = Field(
        exclude=True,
        default=3,
        ge=1,
        description="maximum number of times that a run is started, including restarts; after three failed "
        "starts, a fourth would most likely fail too",
    )
    stage_heartbeat: SomeSpan = Field(
        exclude=True,
        default="30min",
        description=(
            "maximum time for which a stage may neither print nor use the processor, and for which the process of "
            "a run may be silent; a working stage does at least one of the two"
        ),
    )


class RunDirectoryParams(SettingsSection):
    """What a run directory takes from the workspace."""

    max_file_mb: float = Field(
        exclude=True,
        default=5.0,
        gt=0,
        description=(
            "maximum size of an untracked file, in megabytes; larger files are refused, because git is "
            "meant for code and a pushed tag would publish the files"
        ),
    )
    gc_grace: Span = Field(
        exclude=True,
        default="1h",
        description="files that were added to the DVC cache within this span are not removed, because they may "
        "be in use",
    )


def _is_timetable(text: str) -> str:
    """A cron expression, or a span: "15 0 * * *" or "6h"."""
    if CRON.fullmatch(text):
        next_due(text, pd.Timestamp("2000-01-01", tz="UTC"))
        return text
    try:
        span = check_span(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a cron expression of five fields nor a span; write, for example, '15 0 * * *' or '6h'"
        ) from error
    if pd.Timedelta(span) < pd.Timedelta("1s"):
        raise ValueError(f"{text!r} is shorter than a second; write a longer span, such as '1h'")
    return text


Timetable = Annotated[str, AfterValidator(_is_timetable)]


class ScheduleParams(SettingsSection):
    """When each deployment runs: a cron expression in UTC, or a span counted from 1970."""

    ingest: Timetable = Field(default="0 * * * *", description="when files in the inbox are ingested")
    check: Timetable = Field(default="15 0 * * *", description="when the champion is checked")
    score: Timetable = Field(default="30 * * * *", description="when rows without a prediction are predicted")
    maintain: Timetable = Field(
        exclude=True,
        default="45 0 * * *",
        description="when files that nothing refers to are removed; fixed, because nothing depends on the hour",
    )
    prove: Timetable | None = Field(
        default="0 3 * * 0",
        description="when a random version is rebuilt and proved; null: never; default: Sundays at 03:00 UTC",
    )
    backup: Timetable | None = Field(
        default=None, description="when a backup is written to the model's folder in RETRIM_BACKUP; null: never"
    )
    keep_predictions: SomeSpan | None = Field(
        default="1100D",
        description=(
            "age above which stored predictions are deleted, in whole months of event time; null: never; the "
            "default keeps three years, because an audit may cover that long"
        ),
    )

    @classmethod
    def flows(cls) -> tuple[str, ...]:
        """Names of the flows that have a timetable."""
        return tuple(name for name in cls.model_fields if not name.startswith("keep_"))


class BudgetParams(SettingsSection):
    """How many retrainings may be started: a limit for a runaway loop, which a healthy one never reaches."""

    runs: int = Field(default=13, ge=1, description="maximum number of retrainings in 26 consecutive checks")
    checks: int = Field(
        exclude=True,
        default=26,
        ge=1,
        description=(
            "length of the window to which triggers.budget.runs applies, in consecutive checks including "
            "the current one; fixed, because triggers.budget.runs alone sets the rate"
        ),
    )
    money: float | None = Field(
        default=None,
        gt=0,
        description="maximum cost of retrainings per calendar month (UTC), in the currency of gain.money; "
        "null: no limit",
    )


class TriggerParams(SettingsSection):
    """Rules that may start a retraining, and limits on them."""

    rules: tuple[str, ...] = Field(
        default=("gain",),
        description="rules that may start a retraining; any one suffices; manual: a person decides on every alarm",
    )
    drift_checks: tuple[int, int] = Field(
        exclude=True, default=(2, 3), description="m and n: the drift rule fires if m of the last n checks found drift"
    )
    every: Timetable = Field(
        default="90D",
        description="when the rule schedule fires: a span since the last run, or a cron expression in UTC",
    )
    band: BandParams = Field(
        exclude=True,
        default=BandParams(),
        description=(
            "range of the mean loss while nothing has changed; the rules performance and estimate fire if "
            "the loss is above this range"
        ),
    )
    cooldown_checks: Annotated[int, FOLLOWS] = Field(
        default=2,
        ge=0,
        description="number of checks after a run during which only the rule gain may start another run",
    )
    loop_checks: Annotated[int, FOLLOWS] = Field(
        default=5,
        ge=0,
        description=(
            "number of checks after a promotion during which the alarm that led to the promotion starts no "
            "run, but waits for a person"
        ),
    )
    refusals_to_hold: int = Field(
        exclude=True,
        default=2,
        ge=1,
        description=(
            "number of consecutive refusals after which only new evidence starts the next run; the benchmark costs "
            "were measured with the default"
        ),
    )
    budget: BudgetParams | None = Field(
        default=BudgetParams(), description="limits on the number and the cost of retrainings; null: no limit"
    )
    max_wait: Span | None = Field(
        exclude=True,
        default="60D",
        description=(
            "time without a new label after which the rules schedule and estimate may also fire; if the "
            "loss cannot be estimated, drift takes the place of estimate"
        ),
    )

    @field_validator("rules")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                RULES.entry(name)
            except UnknownNameError as wrong:
                raise ValueError(str(wrong)) from wrong
        return names


@dataclass(frozen=True, kw_only=True)
class Evidence(HistorySummary):
    """All that a decision rests on.

    Args:
        now: When it is taken.
        champion: The live version; None before the first.
        accumulated_gain: After this check's deposit.
        deposited: What this check put in: balance and variance, the balance possibly below zero; None if nothing.
        retraining_cost: Of a retraining, in units of the loss.
        errors: Standard errors of itself that the accumulated gain must exceed.
        ahead: Checks like the newest ones that are added before it is held to the retraining cost.
        pending: Usual checks that the rows count for whose labels are not due yet.
        preview: What the gate would say of the newest refits; None where that is not known.
        loss: The champion's mean loss on the rows that matured for this check; None if too few did.
        estimate: What its loss on rows without labels is estimated at; None if that cannot be said.
        band: What its loss does while nothing changes; None if that is not known.
        labels_until: When the newest label matured; None if none has.
        anew: Without a live version: rows that have matured since the last of them, and those that judged it; else
            None.
        month: What the retrainings of this month cost; None where no money is set.
        live_since: When the live version went live; None where none is live or nobody says.
    """

    now: pd.Timestamp
    champion: int | None
    accumulated_gain: AccumulatedGain
    deposited: AccumulatedGain | None
    retraining_cost: float
    errors: float
    ahead: float
    pending: float
    preview: GatePreview | None
    loss: float | None
    estimate: float | None
    band: Band | None
    labels_until: pd.Timestamp | None
    anew: tuple[int, int] | None = None
    month: MonthSpent | None = None
    live_since: pd.Timestamp | None = None


@dataclass(frozen=True)
class RuleResult:
    """The result of one rule.

    Args:
        rule: Name of the rule.
        fires: Whether the rule asks for a retraining.
        text: The figures that the rule used.
        change: What would have changed its answer.
        stopped: Whether it would have fired, and the gate's preview kept it from that.
    """

    rule: str
    fires: bool
    text: str
    change: str
    stopped: Annotated[bool, Field(exclude=True)] = False


Rule = Callable[[Evidence, TriggerParams], RuleResult]

# A rule is registered with two facts: `starts`, whether it can ask for a retraining at all; `repeats`, whether its
# alarm can be up again right after a run although nothing new happened. One that cannot is let through the cooldown.
RULES: PluginRegistry[Rule] = PluginRegistry("trigger rule")

FAR = 1000  # checks: what takes longer is not worth a number


@RULES.register("gain", starts=True, repeats=False)
def gain_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when the accumulated gain pays for a retraining and exceeds the noise, and the newest refit would pass
    the gate.

    What the accumulated gain is held to the retraining cost with is its balance, and what the rows without labels
    and a few more checks would add if they are like the newest.
    """
    accumulated_gain, retraining_cost, errors = evidence.accumulated_gain, evidence.retraining_cost, evidence.errors
    ahead = evidence.ahead + evidence.pending
    pays = accumulated_gain.pays(retraining_cost, errors=errors, ahead=ahead)
    refuses = pays and evidence.preview is not None and not evidence.preview.passes
    more = accumulated_gain.expected(ahead) - accumulated_gain.balance
    text = (
        f"accumulated gain {accumulated_gain.balance:.4g}{f' plus {more:.4g} expected' if more > 0 else ''} against "
        f"retraining cost {retraining_cost:.4g} "
        f"and {errors:g} standard errors ({errors * accumulated_gain.error:.4g})"
    )
    if refuses and evidence.preview is not None:
        text += f"; but the gate would refuse it: {evidence.preview.reason}"
    change = _gain_change(evidence, pays=pays, refuses=refuses)
    return RuleResult("gain", pays and not refuses, text, change, stopped=refuses)


def _gain_change(evidence: Evidence, *, pays: bool, refuses: bool) -> str:
    accumulated_gain, retraining_cost, errors = evidence.accumulated_gain, evidence.retraining_cost, evidence.errors
    ahead = evidence.ahead + evidence.pending
    expected = accumulated_gain.expected(ahead)
    if refuses:
        return "it would have fired if a refit had passed the gate on the newest rows"
    if pays:
        clear = (
            f", or at {accumulated_gain.balance / accumulated_gain.error:.3g} standard errors or more"
            if accumulated_gain.error > 0
            else ""
        )
        return f"it would not have fired at a retraining cost of {expected:.4g} or more{clear}"
    if accumulated_gain.balance <= 0:
        if evidence.deposited is None:
            return "a probe: this check refitted nothing, so nobody knows what a retraining would gain"
        return "the accumulated gain is zero: no retraining cost is low enough while a refit gains nothing"
    wanted = []
    if expected <= retraining_cost:
        wanted.append(f"at a retraining cost below {expected:.4g}")
    if accumulated_gain.balance <= errors * accumulated_gain.error:
        wanted.append(f"at fewer than {accumulated_gain.balance / accumulated_gain.error:.3g} standard errors")
    said = f"it would have fired {' and '.join(wanted)}"
    more = checks_until(
        accumulated_gain, evidence.deposited, retraining_cost=retraining_cost, errors=errors, ahead=ahead
    )
    if more is not None:
        said += f", or after about {more} more check{'' if more == 1 else 's'} like this"
    return said


def checks_until(
    accumulated_gain: AccumulatedGain,
    deposited: AccumulatedGain | None,
    *,
    retraining_cost: float,
    errors: float,
    ahead: float,
) -> int | None:
    """After how many more checks that put in the same the accumulated gain would pay; None if that is far or never."""
    if deposited is None or deposited.balance <= 0:
        return None
    for more in range(1, FAR + 1):
        grown = AccumulatedGain(
            accumulated_gain.balance + more * deposited.balance,
            accumulated_gain.variance + more * max(deposited.variance, 0.0),
            (*accumulated_gain.recent, *(deposited.balance for _ in range(min(more, NEWEST))))[-NEWEST:],
        )
        if grown.pays(retraining_cost, errors=errors, ahead=ahead):
            return more
    return None


@RULES.register("drift", starts=True, repeats=True)
def drift_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when m of the last n checks with new rows found drift."""
    m, n = params.drift_checks
    if not evidence.looked:  # old findings start nothing a second time
        return RuleResult(
            "drift", False, "too few new rows to test", "more new rows: half of gain.rows_per_check, 20 to 100"
        )
    seen = evidence.drifted[-n:]
    count = sum(bool(columns) for columns in seen)
    named = ", ".join(sorted({column for columns in seen for column in columns})) or "no column"
    text = f"drift in {count} of the last {len(seen)} checks, {m} of {n} needed: {named}"
    if count >= m:
        return RuleResult("drift", True, text, f"it would not have fired with drift in fewer than {m} of them")
    missing = m - count
    change = f"it would have fired with drift in any column at {missing} more of the last {n} checks"
    if count:
        change += f", or with {count} of {n} needed"
    return RuleResult("drift", False, text, change)


@RULES.register("schedule", starts=True, repeats=True)
def schedule_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when `triggers.every` is due, counted from the last promotion, refusal or acknowledgement of this rule.

    Without a run, as where the live version was imported, it is counted from when that went live.
    """
    last = evidence.live_since if evidence.last_run is None else evidence.last_run
    if last is None:
        return RuleResult("schedule", False, "no run has been made yet", "a first run, from which the timetable counts")
    start = max(last, evidence.timetable_settled or last)
    due = next_due(params.every, start)
    what = "the last run was as of" if evidence.last_run is not None else "the live version went live at"
    what = what if start == last else "a person acknowledged it at"
    since = f"{what} {start.isoformat()}, the next run is due at {due.isoformat()}"
    fires = evidence.now >= due
    moment = "at any check before" if fires else "at the first check at or after"
    not_ = " not" if fires else ""
    return RuleResult("schedule", fires, since, f"it would{not_} have fired {moment} {due.isoformat()}")


@RULES.register("performance", starts=True, repeats=True)
def performance_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when the champion's measured loss is above its reference band."""
    return _outside("performance", "loss", evidence.loss, "too few rows matured to measure the loss", evidence, params)


@RULES.register("estimate", starts=True, repeats=True)
def estimate_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when the loss estimated without labels is above the champion's reference band."""
    unknown = "no loss could be estimated without labels"
    return _outside("estimate", "estimated loss", evidence.estimate, unknown, evidence, params)


def _outside(
    rule: str, what: str, loss: float | None, unknown: str, evidence: Evidence, params: TriggerParams
) -> RuleResult:
    band = evidence.band
    if loss is None:
        return RuleResult(rule, False, unknown, "enough rows")
    if band is None:
        return RuleResult(rule, False, f"{what} {loss:.4g}, with no band to compare it with", "more holdout rows")
    top, unit = band.top(params.band), band.iqr if params.band.unit == "iqr" else band.sd
    reach = (loss - band.centre) / unit if unit > 0 else 0.0
    fires = loss > top
    text = (
        f"{what} {loss:.4g} against {top:.4g}, the top of the band "
        f"({band.centre:.4g} plus {params.band.reach:g} {params.band.unit} of {unit:.4g})"
    )
    if fires:
        change = f"it would not have fired at {what} {top:.4g} or less"
        return RuleResult(rule, True, text, change + (f", or with a reach of {reach:.3g} or more" if reach > 0 else ""))
    change = f"it would have fired at {what} above {top:.4g}"
    return RuleResult(rule, False, text, change + (f", or with a reach below {reach:.3g}" if reach > 0 else ""))


@RULES.register("manual", starts=False, repeats=False)
def manual_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Never fires itself. If it is set, a person decides on every alarm of the other rules."""
    text = "nothing starts by itself: a person decides on every alarm"
    return RuleResult("manual", False, text, "a person: `retrim retrain --reason ...`; or another rule in its place")


RELEASE = "`retrim retrain --reason ...`, or without a run `retrim policy acknowledge --reason ...`"


Outcome = Literal["none", "retrain", "restore", "rollback", "held"]
Guard = Literal["hold", "cooldown", "circle", "budget", "gate", "manual", "pause"]
GUARDS: tuple[Guard, ...] = get_args(Guard)
"""What may keep a rule that fires from a run: refusals running, the checks after a run, an alarm that goes round in a
circle, the budget, the gate's preview, a person, a pause."""


@dataclass(frozen=True)
class Decision:
    """The answer.

    Args:
        outcome: `none`, `retrain`, `restore` (a previous champion), `rollback` (a probation), or `held` for a person.
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
    said = tuple(RULES[name](evidence, params) for name in asked_by_person(evidence, params))
    settled = tuple(each.rule for each in said if each.fires and each.rule in evidence.settled)
    texts = "; ".join(each.text for each in said) or "no rule is set"
    quiet = Decision("none", texts, said, "", (), evidence.held, settled)
    found = _without_rules(quiet, evidence, params)
    if found is not None:
        return found
    firing = [each for each in said if each.fires and each.rule not in settled]
    if firing:
        return _with_alarms(quiet, firing, evidence, params)
    if settled:
        reason = f"{texts}; {' and '.join(settled)} was acknowledged by a person and has not cleared since"
        return replace(quiet, reason=reason, change="the alarm clearing and firing again; `retrim retrain`")
    return replace(quiet, change=_changes(said), stopped="gate" if any(each.stopped for each in said) else None)


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
    texts = "; ".join(each.text for each in firing)
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
    free = [each for each in left if each.rule not in held]
    if not free:
        reason = f"{texts}; but {_why_held(evidence, left, circling)}"
        change = f"a person: {RELEASE}; or the accumulated gain, on rows after the live version's last training row"
        return replace(quiet, outcome="held", reason=reason, change=change, held=held, stopped="circle")
    reason = "; ".join(each.text for each in free)
    late = _labels_late(evidence, params)
    if late is not None and any(each.rule not in params.rules for each in free):
        reason = f"{late}: {reason}"
    alarm = replace(quiet, reason=reason, change=_changes(free), held=held)
    return _start(alarm, evidence, params, fired=tuple(each.rule for each in free))


def _is_held(evidence: Evidence, params: TriggerParams) -> bool:
    """Whether refusals in a row hold every rule until the accumulated gain exceeds what was refused, and pays."""
    if evidence.refusals < params.refusals_to_hold:
        return False
    beyond, ahead = _beyond(evidence, params), evidence.ahead + evidence.pending
    if beyond is None or evidence.accumulated_gain.balance <= beyond:
        return True
    return not evidence.accumulated_gain.pays(evidence.retraining_cost, errors=evidence.errors, ahead=ahead)


def repeats(rule: str) -> bool:
    """Whether a rule may fire again on what started the run before."""
    return bool(RULES.entry(rule).facts["repeats"])


def _let_through_cooldown(firing: list[RuleResult], evidence: Evidence, params: TriggerParams) -> list[RuleResult]:
    """The alarms that a run just before does not hold: the accumulated gain brings evidence of its own, others may only
    repeat.

    A promotion empties the accumulated gain and a refusal debits it, so what it fires on has come since.
    """
    if evidence.checks_since_run is None or evidence.checks_since_run > params.cooldown_checks:
        return firing
    return [each for each in firing if not repeats(each.rule)]


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
    again = [each.rule for each in firing if each.rule in evidence.promoted_by]
    return [name for name in again if repeats(name)]


def _why_held(evidence: Evidence, firing: list[RuleResult], circling: list[str]) -> str:
    new = [name for name in circling if name not in evidence.held]
    if new:
        return (
            f"{' and '.join(new)} started the run that was promoted {evidence.checks_since_run} checks ago, and "
            f"another run would only repeat it; a person has to decide: {RELEASE}"
        )
    waiting = " and ".join(sorted({each.rule for each in firing}))
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


def _changes(said: "tuple[RuleResult, ...] | list[RuleResult]") -> str:
    return "; ".join(f"{each.rule}: {each.change}" for each in said) or "a rule under triggers.rules"


@dataclass(frozen=True)
class RolledBack:
    """A rollback that nobody has answered since.

    Args:
        version: The version that went live again.
        left: The version that it replaced.
        at: When the rollback happened.
        rows: Rows that have matured since.
        needed: Rows that count as new evidence: `gate.min_rows`.
    """

    version: int
    left: int | None
    at: Moment
    rows: int
    needed: int

    @written
    def holds(self) -> bool:
        """Whether the rollback still prevents retrainings from starting automatically."""
        return self.rows < self.needed

    @property
    def text(self) -> str:
        """Why nothing starts by itself, in a sentence."""
        return (
            f"version {self.left} was rolled back to version {self.version} at {self.at.isoformat()}; "
            f"{self.rows} rows have matured since, {self.needed} needed before anything starts by itself"
        )


def after_rollback(decision: Decision, rolled_back: RolledBack | None) -> Decision:
    """The decision, held where it would start something and a rollback was answered by nobody yet.

    Args:
        rolled_back: The rollback that was answered by no person; None where there is none.
    """
    if rolled_back is None or not rolled_back.holds or decision.outcome not in ("retrain", "restore"):
        return decision
    more = rolled_back.needed - rolled_back.rows
    return replace(
        decision,
        outcome="held",
        reason=f"{rolled_back.text} ({decision.reason})",
        change=f"a person: {RELEASE}; or {more} more mature rows",
        fired=(),
    )


@dataclass(frozen=True)
class Paused:
    """A pause of automatic retraining and promotion.

    Args:
        by: Who paused.
        since: Since when.
        why: The reason that was given.
    """

    by: str
    since: Moment
    why: str

    @property
    def text(self) -> str:
        """The pause, in words."""
        return f"paused by {self.by} since {self.since:%Y-%m-%d %H:%M}: {self.why}"


def while_paused(decision: Decision, paused: Paused | None, *, version: int | None) -> Decision:
    """The decision, which says during a pause what it would have been, and starts or moves nothing.

    Args:
        paused: The pause that goes on; None: there is none.
    """
    if paused is None:
        return decision
    reason = f"{paused.text}; it would have decided {decision.outcome}: {decision.reason}"
    if decision.outcome in ("none", "held"):
        return replace(decision, reason=reason)
    command = "retrain" if decision.outcome == "retrain" else f"versions rollback --to {version}"
    change = f"`retrim policy pause --end --reason ...`; or a person: `retrim {command} --reason ...`"
    return replace(decision, outcome="none", reason=reason, change=change, fired=(), stopped="pause")


Move = Literal["first", "promote", "restore"]


class ApprovalParams(SettingsSection):
    """What a person is asked."""

    moves: tuple[Move, ...] = Field(
        default=(),
        description="releases that a person has to approve: the first version (first), a challenger (promote), "
        "a previous champion (restore)",
    )

    def asks(self, judged_against: int | None) -> bool:
        """Whether a version that the gate promotes waits for a person; judged against none it is the first."""
        return ("first" if judged_against is None else "promote") in self.moves

    def asked_to_restore(self, reason: str, version: int) -> str | None:
        """A reason for which a previous champion would come back, and what a person types; None if nobody is asked."""
        if "restore" not in self.moves:
            return None
        return f"{reason}; but release.approval asks a person: `retrim versions rollback --to {version} --reason ...`"


RESTORE_ASKED = "release.approval.moves without restore"
"""What would have changed a decision that is held because a person approves restores."""


def ask_to_restore(decision: Decision, version: int, params: ApprovalParams) -> Decision:
    """A decision to restore a previous champion, held where that is a person's to approve."""
    reason = params.asked_to_restore(decision.reason, version)
    if decision.outcome != "restore" or reason is None:
        return decision
    return replace(decision, outcome="held", reason=reason, change=RESTORE_ASKED)
