"""The trigger rules: each says whether it asks for a retraining, why, and what would have changed its answer."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import pandas as pd
from pydantic import Field, field_validator

from retrim.decision.accumulated_gain import NEWEST, AccumulatedGain
from retrim.decision.band import Band, BandParams
from retrim.decision.history import HistorySummary
from retrim.decision.probe import GatePreview
from retrim.decision.retraining_cost import MonthSpent
from retrim.decision.run_params import Timetable
from retrim.errors import UnknownNameError
from retrim.stats.plugins import FOLLOWS, PluginRegistry, SettingsSection, Span
from retrim.stats.timetable import next_due

FAR = 1000  # checks: what takes longer is not worth a number


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
        default=BudgetParams(), description="limit on the number of retrainings; null: no limit"
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
        champion: The live version; None before the first.
        accumulated_gain: After this check's deposit.
        deposited: What this check put in: balance and variance, the balance possibly below zero; None if nothing.
        retraining_cost: Of a retraining, in units of the loss.
        errors: Standard errors of itself that the accumulated gain must exceed.
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


@RULES.register("gain", starts=True, repeats=False)
def gain_rule(evidence: Evidence, params: TriggerParams) -> RuleResult:
    """Fires when the accumulated gain pays for a retraining and exceeds the noise, and the newest refit would pass
    the gate.

    What the accumulated gain is held to the retraining cost with is its balance, and what the rows without labels
    would add if they are like the newest.
    """
    accumulated_gain, retraining_cost, errors = evidence.accumulated_gain, evidence.retraining_cost, evidence.errors
    pays = accumulated_gain.pays(retraining_cost, errors=errors, ahead=evidence.pending)
    refuses = pays and evidence.preview is not None and not evidence.preview.passes
    more = accumulated_gain.expected(evidence.pending) - accumulated_gain.balance
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
    expected = accumulated_gain.expected(evidence.pending)
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
    text = f"it would have fired {' and '.join(wanted)}"
    more = checks_until(
        accumulated_gain, evidence.deposited, retraining_cost=retraining_cost, errors=errors, ahead=evidence.pending
    )
    if more is not None:
        text += f", or after about {more} more check{'' if more == 1 else 's'} like this"
    return text


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


def repeats(rule: str) -> bool:
    """Whether a rule may fire again on what started the run before."""
    return bool(RULES.entry(rule).facts["repeats"])
