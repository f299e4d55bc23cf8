"""What the commands show of a decision, of a check and of a version's checks, as reports."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from retrim.card.report import Facts, Report, Table, brief, counted, figure, moment
from retrim.cli.answers import RunFacts, find_versions
from retrim.decision.check_record import CheckRecord, HoldAnswer
from retrim.decision.check_verdict import CALM
from retrim.decision.release_checks import ReleaseCheck, ReleaseChecks
from retrim.errors import BadInputError
from retrim.gate.verdict import Check, VerdictRecord, mark_of
from retrim.release.versions import judged_in_words
from retrim.stats.codec import from_record

if TYPE_CHECKING:
    from retrim.checking.check import CheckOutcome
    from retrim.checking.history import StopCounts
    from retrim.checking.holds import GivenAnswer
    from retrim.cli.answers import DecisionAnswer
    from retrim.decision.accumulated_gain import LifeTotals
    from retrim.decision.history import RunOutcome
    from retrim.decision.loss_comparison import LossComparison
    from retrim.decision.probation import ProbationFacts
    from retrim.decision.probe import ProbeReading
    from retrim.decision.retraining_cost import MoneyParams
    from retrim.decision.served_predictions import ServedPredictions
    from retrim.drift.findings import DriftFinding
    from retrim.drift.performance import EstimateQuality
    from retrim.lineage.workspace import Workspace

REASON = 150  # characters of a reason on the screen of the status: two lines of it
WHAT_NOW = "docs/how-to/when-a-check-is-red.md"
GUARDS = {
    "hold": "the hold after refusals",
    "cooldown": "the cooldown",
    "circle": "the loop breaker",
    "budget": "the budget",
    "gate": "the gate preview",
    "manual": "manual",
    "pause": "a pause",
}


def decision_report(decision: "DecisionAnswer") -> Report:
    """A decision: the evidence, the rules, the outcome, the verdict."""
    check, run, evidence = decision.check, decision.run, decision.record
    mode = None if check is None else check.mode
    facts = Facts(
        (
            ("decision", decision.id),
            ("verdict", _verdict_of(check)),
            ("outcome", decision.outcome),
            ("as of", moment(decision.as_of)),
            ("by", decision.by),
            ("reason", decision.reason),
            *([] if check is None else _evidence(check)),
            ("mode", None if mode is None else f"{mode.mode}: {mode.reason}"),
            ("run", None if run is None else f"{run.state}: {run.reason}"),
            ("answered", answered(decision.answered)),
            ("answers", f"retrim why {evidence.answers}" if isinstance(evidence, HoldAnswer) else None),
            ("otherwise", None if check is None else check.decision.change or None),
            ("stopped by", stopped_by(decision.guards)),
        )
    )
    return (
        facts,
        *([] if check is None else _findings(check)),
        *_judgements(decision.verdict, decision.release_checks),
    )


def _evidence(check: CheckRecord) -> list[tuple[str, Any]]:
    """The facts of a check, names and values."""
    measured, comparison = check.performance.measured, check.performance.comparison
    loss = None
    if measured is not None:
        low, high = map(figure, measured.interval)
        loss = f"{figure(measured.loss)} on {measured.window.rows} rows, between {low} and {high} with 90% confidence"
    estimated = quality = estimate_quality(check.estimate.quality)
    if (newest := check.estimate.newest) is not None:
        estimated = f"{figure(newest.loss)} on {newest.rows} rows without labels, by the {newest.by}"
        estimated += "" if quality is None else f"; {quality}"
    return [
        ("live", check.champion),
        ("loss", loss),
        ("expected", _expected(comparison)),
        ("naive baselines", _naive(comparison)),
        ("measured by", served_by(None if measured is None else measured.served)),
        ("estimated", estimated),
        ("probe against it", None if check.probe.reading is None else _reading(check.probe.reading)),
        ("accumulated gain", gain_of(check.gain.now.balance, check.gain.retraining_cost, check.gain.money)),
        ("too few rows", check.short),
        ("probation", probation_of(check.probation)),
        ("probe", _probe(check)),
        ("cost so far", cost_so_far(check.totals)),
    ]


def _verdict_of(check: CheckRecord | None) -> str | None:
    """The verdict of a check, and the page that says what now where something is wrong."""
    if check is None or check.verdict is None:
        return None
    text, code = check.verdict.text, check.verdict.code
    return text if code in CALM else f"{text} ({code}: {WHAT_NOW})"


def _expected(comparison: "LossComparison | None") -> str | None:
    if comparison is None or comparison.expected is None:
        return None
    expected = comparison.expected
    text = figure(expected.loss)
    if expected.low is not None and expected.high is not None:
        text += f", between {figure(expected.low)} and {figure(expected.high)} if nothing has changed"
    text += f"; {figure(expected.judged)} on the holdout rows"
    return f"{text}, and these rows are {expected.harder:.2f} times harder" if expected.harder > 1 else text


def _naive(comparison: "LossComparison | None") -> str | None:
    """The naive baselines on the same rows, the best first."""
    if comparison is None or not comparison.naive:
        return None
    ranked = sorted(comparison.naive.items(), key=lambda item: item[1].loss)
    text = ", ".join(f"{name.replace('_', ' ')} {figure(naive.loss)}" for name, naive in ranked)
    worse = comparison.worse_than
    return text if worse is None else f"{text}; the live version is worse than {worse.replace('_', ' ')}"


def _reading(reading: "ProbeReading") -> str:
    counts = ((reading.apart, "came late"), (reading.waited, "waited for this probe"))
    late = ", ".join(f"{rows} of them {what} and were not judged" for rows, what in counts if rows)
    return (
        f"champion {figure(reading.champion_loss)}, probe {figure(reading.probe_loss)} on {reading.rows} rows"
        f"{f' ({late})' if late else ''}, a gain of {figure(reading.gain)} with a standard error of "
        f"{figure(reading.error)}"
    )


def _probe(check: CheckRecord) -> str | None:
    """What a probe cost, or why a check with new rows did not probe; None where it had none."""
    cost, watch = check.probe.cost, check.probe.watch
    if cost is not None:
        share = cost.work / cost.retraining if cost.retraining else None
        return None if share is None else f"cost {figure(cost.cost)}, {share:.1%} of a retraining"
    if check.champion is None or not watch.checks:
        return None
    why = (
        "too few rows to judge a refit, or none that the champion does not know"
        if watch.asks
        else "nothing is up, or a refit has answered it"
    )
    return f"not probed: {why}; the rows of {counted(watch.checks, 'check')} wait for the next probe"


def served_by(served: "ServedPredictions | None") -> str | None:
    """Which predictions the measured rows were measured by, and how far those are from what their versions say now."""
    if served is None:
        return None
    versions = ", ".join(f"version {version}: {rows}" for version, rows in served.by_version.items())
    parts = [f"{served.rows} rows by their served predictions{f' ({versions})' if versions else ''}"]
    if served.predicted_again:
        parts.append(f"{served.predicted_again} rows predicted now, because none was stored before the label was known")
    if served.unreadable:
        parts.append(f"{served.unreadable} rows whose stored prediction is not a number")
    text, skew = ", ".join(parts if served.rows or len(parts) == 1 else parts[1:]), served.skew
    if skew is None:
        return text
    if skew.worst is None:
        return f"{text}; they match what their versions predict now"
    is_served = skew.worst.request is not None
    who = "they or answers to requests with other features" if is_served else "they"
    request = f", request {skew.worst.request}" if is_served else ""
    return (
        f"{text}; {who} differ from what their versions predict now by up to {skew.largest:.2g} of the mean prediction "
        f"(row {skew.worst.key}, version {skew.worst.version}{request}); {skew.over} of {skew.rows} differ by more "
        f"than {skew.bound:g}"
    )


def gain_of(balance: float, retraining_cost: float, money: "MoneyParams | None") -> str:
    """The accumulated gain against the retraining cost, in the loss, and in money where that is said."""
    text = f"{figure(balance)} of {figure(retraining_cost)}"
    if money is None:
        return text
    return f"{text} ({money.worth(balance):.2f} of {money.cost:.2f} {money.currency})"


def estimate_quality(quality: "EstimateQuality | None") -> str | None:
    """How far off the estimates were that labels have come for."""
    if quality is None:
        return None
    return (
        f"{quality.scored} estimate{' was' if quality.scored == 1 else 's were'} off by {quality.off:.0%} of the loss "
        f"on average; assuming an unchanged loss was off by {quality.naive_off:.0%}"
    )


def cost_so_far(totals: "LifeTotals | None") -> str | None:
    """What the model has cost up to a check, with its probes and without."""
    if totals is None or not totals.checks:
        return None
    return (
        f"{figure(totals.without_probes)} in {counted(totals.checks, 'check')} (loss: {figure(totals.loss)}, "
        f"{counted(totals.retrainings, 'retraining')}: {figure(totals.retrainings_cost)}); "
        f"{figure(totals.with_probes)} with the probes ({figure(totals.probes_cost)})"
    )


def stopped_by(counts: "StopCounts | None") -> str | None:
    """How often each guard kept a rule from a run since the live version's release; None where none did."""
    if counts is None or not (counts.guards or counts.refused):
        return None
    parts = [f"{GUARDS[guard]} {count}" for guard, count in sorted(counts.guards.items())]
    if counts.refused:
        parts.append(f"the gate refused {counted(counts.refused, 'run')}")
    return f"{', '.join(parts)}, in {counted(counts.checks, 'check')} since {moment(counts.since)}"


def answered(answer: "GivenAnswer | None") -> str | None:
    """What a person said to what was held."""
    if answer is None:
        return None
    what = "acknowledged" if answer.outcome == "settled" else "a run started"
    return f"{what} by {answer.by} on {moment(answer.as_of)}: {brief(answer.reason, REASON)}"


def probation_of(probation: "ProbationFacts | None") -> str | None:
    """How a champion's probation stands or ended."""
    if probation is None:
        return None
    ended = "" if probation.ended is None else f" on {moment(probation.ended)}"
    return f"{probation.outcome}{ended}: {probation.said}"


def limit_of(finding: "DriftFinding") -> str:
    """What makes a finding over: how rarely a window without drift strays as far, or the threshold on its effect."""
    if finding.promise is None or finding.p_value is None:
        return f"threshold {finding.threshold:.3g}"
    seen = "" if finding.seen is None else f"; a shift of {finding.seen:.2g} {finding.unit} would be detected"
    return f"p {finding.p_value:.2g} across all columns, {finding.promise}{seen}"


def _findings(check: CheckRecord) -> list[Table]:
    """What the rules said, what drifted, and where the loss is."""
    tables = []
    rows: tuple[tuple[str, ...], ...]
    if rules := check.decision.said:
        rows = tuple((rule.rule, "yes" if rule.fires else "no", rule.text, rule.change) for rule in rules)
        tables.append(Table("Rules", ("rule", "fires", "because", "what would have changed that"), rows))
    if check.drift.findings:
        rows = tuple(
            (finding.column, finding.test, f"{finding.effect:.3g}", limit_of(finding), _cost_of(finding))
            for finding in check.drift.findings[:10]
        )
        tables.append(Table("Drift, costliest first", ("column", "test", "effect", "limit", ""), rows))
    if worse := [one for one in check.performance.slices if one.clear and one.added > 0]:
        rows = tuple(
            (one.column, one.name, str(one.rows), figure(one.loss), figure(one.before), f"{one.added:.3g}")
            for one in worse[:5]
        )
        heads = ("column", "slice", "rows", "loss", "loss when judged", "added to the mean")
        tables.append(Table("Slices with a higher loss", heads, rows))
    return tables


def _cost_of(finding: "DriftFinding") -> str:
    """Whether a finding is over, and what the column's shift alone does to the loss, where that is known."""
    parts = ["over"] if finding.over else []
    return ", ".join([*parts, f"loss {finding.loss_change:+.3g}"] if finding.loss_change else parts)


def _judgements(verdict: Any, release_checks: Any) -> list[Table]:
    """The checks of the gate and those before a release, of which there may be none."""
    tables = []
    heads = ("", "check", "figures")
    if verdict:
        gate = from_record(VerdictRecord, verdict)
        remarks = [] if gate.detectable is None else [("", "detectable", gate.detectable.text)]
        tables.append(Table("Gate", heads, (*_checked(gate.checks), *remarks)))
    if release_checks:
        checks = from_record(ReleaseChecks, release_checks).checks
        tables.append(Table("Release checks", heads, tuple(_checked(checks))))
    return tables


def _checked(checks: Sequence[Check | ReleaseCheck]) -> list[tuple[str, ...]]:
    return [(mark_of(check), check.name, check.text) for check in checks]


def version_report(workspace: "Workspace", version: int) -> Report:
    """A version: where it came from, what the gate and the checks before its release said.

    Raises:
        BadInputError: There is none.
    """
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    (record,) = (one for one in find_versions(workspace) if one.version == version)
    run = workspace.store.run(row.run)
    released = [
        f"{move.action} on {moment(move.as_of)} by {move.actor}"
        for move in workspace.store.releases(workspace.model)
        if move.version == version
    ]
    facts = Facts(
        (
            ("version", version),
            ("now", ", ".join(record.aliases) or None),
            ("released", "; ".join(released) or "never"),
            ("outcome", record.outcome),
            ("loss", judged_in_words(record.loss)),
            ("verdict", record.verdict),
            ("final fit", None if row.judged.final is None else row.judged.final.reason),
            ("as of", moment(record.as_of)),
            ("made", moment(record.made)),
            ("run", row.run),
            ("decision", None if run is None else run.decision),
            ("tag", record.tag),
            ("SHA-256", record.model_sha256),
            ("probation", record.probation),
            ("proved", moment(record.last_proved)),
            ("differed", moment(record.last_differed)),
            ("withdrawn batches", ", ".join(record.withdrawn) or None),
        )
    )
    return (facts, *_judgements(row.verdict, record.release_checks))


def resumed_report(runs: Sequence[RunFacts]) -> Report:
    """What a command finished before it did what was asked."""
    return tuple(f"resumed {run.id}, as of {moment(run.as_of)}: {run.state}: {run.reason}" for run in runs)


def check_report(checked: "CheckOutcome", run: "RunOutcome | None", resumed: Sequence[RunFacts]) -> Report:
    """A check that was just made, and the run it started."""
    landed, verdict = checked.record.landed, checked.record.verdict
    lines: list[str] = []
    if landed is not None and landed.since is not None and not landed.new:
        lines.append(f"no row has landed since the check of {moment(landed.since)}: retrim ingest FILE")
    if verdict is not None:
        lines.append(verdict.text)
    lines.append(f"{checked.outcome}: {checked.reason}")
    ended = () if run is None else (f"run {run.state}: {run.reason}",)
    return (*resumed_report(resumed), *lines, *ended, f"evidence: retrim why {checked.id}")


def dry_check_report(checked: "CheckOutcome") -> Report:
    """A check that decided without acting, with its evidence: there is no record that `retrim why` could show."""
    record = checked.record
    first = "dry run: nothing is stored, sent or started" if checked.fresh else "this check was made before"
    facts = Facts((*_evidence(record), ("otherwise", record.decision.change or None)))
    return (first, f"{checked.outcome}: {checked.reason}", facts, *_findings(record))
