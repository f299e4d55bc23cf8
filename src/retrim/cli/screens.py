"""A decision with its evidence, and a check that was just made.

The status on one screen.

The balance of the rows as a table, and the rows that are out of it.

What the demo shows at its end: the table, the sentence with the figures, and where to look next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrim.adapters.prefect_server import NextRun
from retrim.alerting.telling import UnsentAlerts
from retrim.batches.concern import suspicion_of
from retrim.checking.audit import Audit
from retrim.checking.check import CheckOutcome
from retrim.checking.history import named_suspects
from retrim.cli import render
from retrim.cli.answers import (
    CanaryFacts,
    DecisionAnswer,
    LastDecision,
    RunFacts,
    StatusAnswer,
    VersionAnswer,
    find_versions,
)
from retrim.cli.render import (
    REASON,
    Screen,
    ShownTable,
    answer_in_words,
    back_in_words,
    estimate_in_words,
    expected_in_words,
    gain_in_words,
    guards_in_words,
    lacks_in_words,
    limit_in_words,
    loss_in_words,
    naive_in_words,
    previous_champions_in_words,
    probation_in_words,
    probe_in_words,
    quality_in_words,
    quarantined_in_words,
    refit_in_words,
    resumed_in_words,
    served_in_words,
    stopped_in_words,
    totals_in_words,
    waits_in_words,
)
from retrim.decision.check_record import AskedRefit, CheckRecord, HoldAnswer
from retrim.decision.check_verdict import CALM
from retrim.decision.history import RunOutcome
from retrim.decision.model_health import LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE, HealthFinding
from retrim.decision.probe import ProbeReading
from retrim.drift.findings import DriftFinding
from retrim.drift.slices import Slice
from retrim.errors import BadInputError
from retrim.gate.verdict import mark_of
from retrim.landing.ingest import quarantined_batch, show_batch
from retrim.landing.quarantine import QuarantinedBatch
from retrim.lineage.workspace import Workspace
from retrim.release.approval import WaitingVersion
from retrim.release.pause import RESUME
from retrim.release.versions import LiveVersion, judged_in_words
from retrim.reports.demo import NO_LOSS, Loss
from retrim.reports.health import ModelPlace
from retrim.stats.codec import Number, from_record, to_record


def show_decision(decision: DecisionAnswer) -> None:
    """A decision: the evidence, the rules, the outcome, the verdict."""
    render.show_screen(decision_screen(decision))


def decision_screen(decision: DecisionAnswer) -> Screen:
    """A decision: the evidence, the rules, the outcome, the verdict."""
    check, run, kept = decision.check, decision.run, decision.record
    mode = kept.mode if isinstance(kept, CheckRecord | AskedRefit) else None
    tables = [] if check is None else _of_rules(check)
    if decision.verdict:
        tables.append(_of_gate("Gate", from_record(GateAnswer, decision.verdict)))
    if decision.release_checks:
        tables.append(_of_gate("Release checks", from_record(GateAnswer, decision.release_checks)))
    return Screen(
        (
            ("decision", decision.id),
            ("verdict", verdict_in_words(check)),
            ("outcome", decision.outcome),
            ("as of", render.moment(decision.as_of)),
            ("by", decision.by),
            ("reason", decision.reason),
            *([] if check is None else _evidence(check)),
            ("mode", None if mode is None else f"{mode.mode}: {mode.reason}"),
            ("run", None if run is None else f"{run.state}: {run.reason}"),
            ("fitted once more", refit_in_words(decision.refit)),
            ("answered", answer_in_words(decision.answered)),
            ("answers", f"retrim why {kept.answers}" if isinstance(kept, HoldAnswer) else None),
            ("otherwise", None if check is None else check.decision.change or None),
            ("stopped by", guards_in_words(decision.guards)),
        ),
        tuple(tables),
    )


def _evidence(check: CheckRecord) -> list[tuple[str, Any]]:
    """The facts of a check, names and values."""
    reading, measured = check.probe.reading, check.performance.measured
    return [
        ("live", check.champion),
        ("loss", loss_in_words(check)),
        ("expected", expected_in_words(check.performance.comparison)),
        ("naive baselines", naive_in_words(check.performance.comparison)),
        ("measured by", served_in_words(None if measured is None else measured.served)),
        ("estimated", estimate_in_words(check)),
        ("probe against it", None if reading is None else _reading_in_words(reading)),
        ("accumulated gain", gain_in_words(check.gain.now.balance, check.gain.retraining_cost, check.gain.money)),
        ("too few rows", check.short),
        ("previous champions", previous_champions_in_words(check.previous_champions)),
        ("probation", probation_in_words(check.probation)),
        ("probe", probe_in_words(check)),
        ("cost so far", totals_in_words(check.totals)),
    ]


WHAT_NOW = "docs/how-to/when-a-check-is-red.md"


def verdict_in_words(check: CheckRecord | None) -> str | None:
    """The verdict of a check, and the page that says what now where something is wrong."""
    if check is None or check.verdict is None:
        return None
    text, code = check.verdict.text, check.verdict.code
    return text if code in CALM else f"{text} ({code}: {WHAT_NOW})"


def _of_rules(check: CheckRecord) -> list[ShownTable]:
    """What the rules said, what drifted, and where the loss is."""
    tables = []
    if check.decision.said:
        said = tuple((each.rule, "yes" if each.fires else "no", each.text, each.change) for each in check.decision.said)
        tables.append(ShownTable("Rules", ("rule", "fires", "because", "what would have changed that"), said))
    if check.drift.findings:
        found = tuple(
            (each.column, each.test, f"{each.effect:.3g}", limit_in_words(each), _cost_in_words(each))
            for each in check.drift.findings[:10]
        )
        tables.append(ShownTable("Drift, costliest first", ("column", "test", "effect", "limit", ""), found))
    if worse := [each for each in check.performance.slices if each.clear and each.added > 0]:
        slices = tuple(_slice_in_words(each) for each in worse[:5])
        heads = ("column", "slice", "rows", "loss", "loss when judged", "added to the mean")
        tables.append(ShownTable("Slices with a higher loss", heads, slices))
    return tables


@dataclass(frozen=True)
class ShownCheck:
    """One check of a verdict as the screen shows it; without a threshold it is only reported."""

    name: str
    passed: bool
    threshold: Number | None
    text: str


@dataclass(frozen=True)
class Remark:
    """A sentence of a verdict that holds nothing back."""

    text: str


@dataclass(frozen=True)
class GateAnswer:
    """What the screen shows of a verdict: its checks, and how many rows would have shown how much."""

    checks: tuple[ShownCheck, ...]
    detectable: Remark | None = None
    size: Remark | None = None


def _of_gate(title: str, gate: GateAnswer) -> ShownTable:
    rows = [(mark_of(check), check.name, check.text) for check in gate.checks]
    remarks = (("detectable", gate.detectable), ("size", gate.size))  # older versions do not have them
    rows += [("", name, remark.text) for name, remark in remarks if remark is not None]
    return ShownTable(title, ("", "check", "figures"), tuple(rows))


def version_screen(workspace: Workspace, version: int) -> Screen:
    """A version: where it came from, what the gate and the checks before its release said.

    Raises:
        BadInputError: There is none.
    """
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    (record,) = (each for each in find_versions(workspace) if each.version == version)
    run = workspace.store.run(row.run)
    released = [
        f"{each.action} on {render.moment(each.as_of)} by {each.actor}"
        for each in workspace.store.releases(workspace.model)
        if each.version == version
    ]
    tables = [_of_gate("Gate", from_record(GateAnswer, row.verdict))]
    if record.release_checks:
        tables.append(_of_gate("Release checks", from_record(GateAnswer, record.release_checks)))
    return Screen(
        (
            ("version", version),
            ("now", ", ".join(record.aliases) or None),
            ("released", "; ".join(released) or "never"),
            ("outcome", record.outcome),
            ("loss", _judged_in_words(record)),
            ("verdict", record.verdict),
            ("as of", render.moment(record.as_of)),
            ("made", render.moment(record.made)),
            ("run", row.run),
            ("decision", None if run is None else run.decision),
            ("tag", record.tag),
            ("SHA-256", record.model_sha256),
            ("probation", record.probation),
            ("proved", render.moment(record.last_proved)),
            ("differed", render.moment(record.last_differed)),
            ("withdrawn batches", ", ".join(record.withdrawn) or None),
        ),
        tuple(tables),
    )


def _judged_in_words(record: VersionAnswer) -> str:
    """The loss of a version, and whose it is."""
    whose = "" if record.judged_version is None else f", as version {record.judged_version}, before it was refitted"
    return judged_in_words(record.loss) + whose


def batch_screen(workspace: Workspace, name: str) -> Screen:
    """A batch that landed, with what was suspicious about it, or one that is in quarantine.

    Raises:
        BadInputError: There is none, or several.
    """
    entry = quarantined_batch(workspace, name)
    if entry is not None:
        return quarantined_screen(entry)
    batch = show_batch(workspace, name)
    back = batch.withdrawn
    named = suspicion_of(batch.suspicious) if batch.suspicious else named_suspects(workspace).get(batch.batch)
    facts = (
        ("batch", batch.batch),
        ("kind", batch.kind + (", correction" if batch.correction else "")),
        ("rows", str(batch.rows)),
        ("arrived", render.moment(batch.arrived.isoformat())),
        ("suspicious", named),
        ("released", batch.released or None),
        ("columns", ", ".join(f"{name} ({kind})" for name, kind in batch.columns.items())),
        ("versions", ", ".join(map(str, batch.versions)) or "no version was made with it"),
        ("withdrawn", None if back is None else f"{render.moment(back.at.isoformat())} by {back.by}"),
        ("because", None if back is None else back.reason),
    )
    return Screen(facts, ())


def quarantined_screen(entry: QuarantinedBatch) -> Screen:
    """What is wrong with a batch, and the cure of each fault."""
    tables = []
    for fault in entry.faults:
        rows = tuple((example.row, example.key, example.value) for example in fault.examples if example.row is not None)
        cure = f"cure: {fault.cure}"
        if rows:
            title = f"{fault.column}: {fault.rule} ({fault.count} rows)"
            tables.append(ShownTable(title, ("row", "key", "value"), rows, cure))
        else:  # it is about the file as a whole
            values = tuple((each.value,) for each in fault.examples)
            tables.append(ShownTable("", (f"{fault.column or 'the file'}: {fault.rule}",), values, cure))
    facts = (
        ("batch", entry.batch),
        ("file", entry.file),
        ("state", entry.state),
        ("by", entry.by or None),
        ("reason", entry.reason or None),
    )
    return Screen(facts, tuple(tables))


def _reading_in_words(reading: ProbeReading) -> str:
    return (
        f"champion {reading.champion_loss:.4g}, probe {reading.probe_loss:.4g} on {reading.rows} rows"
        f"{_late_in_words(reading)}, a gain of {reading.gain:.4g} with a standard error of {reading.error:.4g}"
    )


def _cost_in_words(finding: DriftFinding) -> str:
    """Whether a finding is over, and what the column's shift alone does to the loss, where that is known."""
    said = ["over"] if finding.over else []
    if finding.loss_change:
        said.append(f"loss {finding.loss_change:+.3g}")
    return ", ".join(said)


def _slice_in_words(each: Slice) -> tuple[str, ...]:
    return each.column, each.name, str(each.rows), f"{each.loss:.4g}", f"{each.before:.4g}", f"{each.added:.3g}"


def show_resumed(runs: Sequence[RunFacts]) -> None:
    """What a command finished before it did what was asked."""
    for run in runs:
        render.OUT.print(resumed_in_words(run), highlight=False, markup=False)


def show_refit(outcome: RunOutcome) -> None:
    """What came of fitting once more what a run promoted, where that was done."""
    if outcome.refit is not None:
        render.OUT.print(f"fitted once more: {outcome.refit.sentence}", highlight=False, markup=False)


def show_check(checked: CheckOutcome, run: RunOutcome | None, resumed: Sequence[RunFacts]) -> None:
    """A check that was just made, and the run it started."""
    show_resumed(resumed)
    landed = checked.record.landed
    if landed is not None and landed.since is not None and not landed.new:
        said = f"no row has landed since the check of {render.moment(landed.since)}: retrim ingest FILE"
        render.OUT.print(said, highlight=False, markup=False)
    if checked.record.verdict is not None:
        render.OUT.print(checked.record.verdict.text, highlight=False, markup=False)
    render.OUT.print(f"{checked.outcome}: {checked.reason}", highlight=False, markup=False)
    if run is not None:
        render.OUT.print(f"run {run.state}: {run.reason}", highlight=False, markup=False)
        show_refit(run)
    render.OUT.print(f"evidence: retrim why {checked.id}", highlight=False)


def show_dry_check(checked: CheckOutcome) -> None:
    """A check that decided without acting, with its evidence: there is no record that `retrim why` could show."""
    record = checked.record
    said = "dry run: nothing is stored, sent or started" if checked.fresh else "this check was made before"
    render.OUT.print(said, highlight=False, markup=False)
    render.OUT.print(f"{checked.outcome}: {checked.reason}", highlight=False, markup=False)
    facts = (*_evidence(record), ("otherwise", record.decision.change or None))
    render.show_screen(Screen(facts, tuple(_of_rules(record))))


def _late_in_words(reading: ProbeReading) -> str:
    counts = ((reading.apart, "came late"), (reading.waited, "waited for this probe"))
    said = [f"{rows} of them {what} and were not judged" for rows, what in counts if rows]
    return f" ({', '.join(said)})" if said else ""


FIRST_STEPS = "land rows: retrim ingest FILE; then train version 1: retrim retrain"
NEXT_STEP = "train version 1: retrim retrain"

AGAIN = "version 1 was not trained: the line `all of it` says why; a check tries again when new rows land"


def first_steps(
    *,
    champion: LiveVersion | None = None,
    waiting: Sequence[WaitingVersion] = (),
    running: Sequence[RunFacts] = (),
    unpushed: Sequence[RunFacts] = (),
    last: LastDecision | None = None,
    landed: bool = False,
) -> str | None:
    """What leads to a first version; None where there is one, or one is under way or waits for a person."""
    if champion or waiting or running or unpushed:
        return None
    return AGAIN if last is not None and last.outcome == "retrain" else NEXT_STEP if landed else FIRST_STEPS


HELD = "waits for a person: retrim retrain, or if no run is needed: retrim policy acknowledge --reason WHY"


def canary_in_words(found: CanaryFacts | None) -> str | None:
    """How a canary stands or ended."""
    if found is None:
        return None
    canary, beside = found.canary, found.beside
    if canary.ended is not None:
        return f"version {canary.version}, {canary.outcome} on {render.moment(canary.ended)}: {canary.said}"
    stands = "" if beside is None else f"; {beside.outcome}: {beside.said}"
    return (
        f"version {canary.version} has served {canary.share:.0%} of the rows since {render.moment(canary.began)}"
        f"{stands}; it ends after {found.rows:,} rows"
    )


def _verdict_level(status: StatusAnswer) -> str:
    """The name of the verdict's line, which says how grave it is."""
    levels = [each.level for each in status.health if each.kind in (LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE)]
    return f"{levels[0]}" if levels else "verdict"


def _beside_verdict(status: StatusAnswer) -> list[HealthFinding]:
    """What is wrong beside what the verdict says already."""
    return [each for each in status.health if each.kind not in (LOSS_ABOVE_EXPECTED, WORSE_THAN_NAIVE)]


def status_facts(status: StatusAnswer) -> list[tuple[str, Any]]:
    """The status as names and values; None: left out."""
    champion, last = status.champion, status.last_decision
    to_do = first_steps(
        champion=champion,
        waiting=status.waiting,
        running=status.running,
        unpushed=status.unpushed,
        last=last,
        landed=status.landed > 0,
    )
    accumulated_gain = None
    if status.accumulated_gain is not None and status.retraining_cost is not None:
        reached = status.accumulated_gain / status.retraining_cost if status.retraining_cost else None
        share = "" if reached is None else f" ({reached:.0%})"  # version 1 may be perfect
        accumulated_gain = gain_in_words(status.accumulated_gain, status.retraining_cost, status.money) + share
    return [
        ("model", status.model),
        ("live", live_in_words(champion)),
        ("loss", judged_in_words(champion.loss) if champion else None),
        ("because", render.brief(champion.reason, REASON) if champion else None),
        ("lacks", lacks_in_words(status.lacks)),
        ("probation", probation_in_words(status.probation)),
        ("shadow", "; ".join(f"{each.outcome}: {each.said}" for each in status.shadows) or None),
        ("canary", canary_in_words(status.canary)),
        ("paused", None if status.paused is None else f"{status.paused.text}; to end that: {RESUME}"),
        ("to do", to_do),
        (_verdict_level(status), newest_verdict_in_words(status)),
        *((finding.level, f"{finding.text.rstrip('.')}. Do: {finding.do}") for finding in _beside_verdict(status)),
        ("acknowledged", ", ".join(finding.kind for finding in status.acknowledged) or None),
        ("last check", render.moment(status.last_check) or "none yet: retrim check"),
        ("accumulated gain", accumulated_gain),
        ("too few rows", status.short),
        ("cost so far", totals_in_words(status.totals)),
        ("this month", status.month.line if status.month.retrainings or status.month.checks else None),
        ("measured by", served_in_words(status.served)),
        ("estimates", quality_in_words(status.estimates)),
        ("last decision", f"{last.outcome} on {render.moment(last.as_of)}" if last else None),
        ("because", render.brief(last.reason, REASON) if last else None),
        ("all of it", f"retrim why {last.id}" if last else None),
        ("waits", waits_in_words(status.waiting)),
        (
            "held",
            HELD if status.held else None,
        ),
        ("ends by", status.hold_ends if status.held else None),
        ("because", back_in_words(status.rolled_back)),
        ("settled", answer_in_words(status.settled)),
        ("stopped by", guards_in_words(status.guards)),
        ("running", ", ".join(run.id for run in status.running) or None),
        ("unpushed", "; ".join(f"{run.id}: {run.reason}" for run in status.unpushed) or None),
        ("stopped", stopped_in_words(status.stopped)),
        ("next", next_in_words(status.next_run)),
        ("quarantine", quarantined_in_words(status.quarantined)),
        ("unsent", unsent_in_words(status.unsent)),
    ]


def newest_verdict_in_words(status: StatusAnswer) -> str | None:
    """The verdict of the last check; on a version that is live no longer, that is said."""
    if status.verdict is None:
        return None
    live = None if status.champion is None else status.champion.version
    if status.checked_version in (None, live):
        return status.verdict.text
    return f"Of version {status.checked_version}, before version {live}: {status.verdict.text}"


def show_status(status: StatusAnswer) -> None:
    """The status on one screen."""
    render.show_facts(status_facts(status))
    rows = [(render.moment(each.at), f"{each.kind}: {each.text}") for each in status.alerts]
    if rows:
        render.show_table(("at", "what"), rows, title="Alerts", brief_last=True)


def unsent_in_words(unsent: Sequence[UnsentAlerts]) -> str | None:
    """Alerts that could not be sent; None: there are none."""
    said = []
    for each in unsent:
        again = f"next try {render.moment(each.next_try)}" if each.next_try else "given up"
        tries = "1 try" if each.attempts == 1 else f"{each.attempts} tries"
        counted = "1 alert" if each.alerts == 1 else f"{each.alerts} alerts"
        said.append(
            f"{counted} to {each.address} after {tries}: {each.error or 'the attempt was interrupted'}; {again}"
        )
    return "; ".join(said) or None


def show_places(places: Sequence[ModelPlace]) -> None:
    """A line a model: where it is, what is live, the last check, and what is the matter."""
    rows = [
        (
            place.model or "?",
            place.workspace or place.store,
            f"version {place.live} since {render.moment(place.since)}" if place.live else "nothing yet",
            render.moment(place.last_check) or "none yet",
            "; ".join(place.faults) or "nothing",
        )
        for place in places
    ]
    render.show_table(("model", "where", "live", "last check", "to look at"), rows)


def live_in_words(champion: LiveVersion | None) -> str:
    if champion is None:
        return "nothing yet"
    back = " (after a rollback)" if "rollback" in champion.action else ""
    same_day = champion.since[:10] == champion.as_of[:10]
    pretended = "" if same_day else f", as of {render.moment(champion.as_of)}"
    return f"version {champion.version}{back} since {render.moment(champion.since)}{pretended}"


def next_in_words(following: NextRun | None) -> str:
    if following is None:
        return "nothing is scheduled: retrim schedule"
    return f"{following.flow} at {render.moment(following.at)}"


NAMES = {
    "tested": ("landed", "tested for drift"),
    "target": ("matured", "label tested for drift"),
    "measured": ("matured", "measured"),
    "deposited": ("matured", "in the accumulated gain"),
}
REASONS = {
    "used": "used to train or judge a version",
    "left_out": "left out by data.rows",
    "replaces": "replaces an earlier row",
    "withdrawn": "its batch was withdrawn",
}


def show_audit(audit: Audit) -> None:
    """Prints it."""
    rows = []
    for each in audit.balances:
        base, name = NAMES[each.kind]
        exempt = sum(each.exempt.values())
        rows.append([f"{base} {each.rows}", f"{name} {each.counted}", f"waiting {each.waiting}", f"exempt {exempt}"])
    render.show_table(("rows", "= counted", "+ waiting", "+ exempt"), rows)
    reasons = {name: audit.balances[0].exempt[reason] for reason, name in REASONS.items()}
    shown = ", ".join(f"{name}: {count}" for name, count in reasons.items() if count)
    if shown:
        render.OUT.print(f"exempt from drift tests: {shown}", highlight=False, markup=False)
    if audit.found:
        found = [(NAMES[each.kind][1], each.fault, each.batch, each.row, each.key) for each in audit.found]
        render.show_table(("for", "fault", "batch", "row", "key"), found, title="rows missing or counted twice")
    for batch in audit.lost:
        render.OUT.print(
            f"batch {batch} was counted but is no longer in the landing zone", highlight=False, markup=False
        )
    for check in audit.disagree:
        text = f"check {check} records a different number of rows from what it counted"
        render.OUT.print(text, highlight=False, markup=False)
    render.OUT.print("all counts agree" if audit.holds else "the counts do not agree", highlight=False)


if TYPE_CHECKING:
    from retrim_flows.demo import Beat


def show_demo(workspace: Workspace, beats: "Sequence[Beat]", *, as_json: bool) -> None:
    """The demo's result, as a table, a sentence and a picture, or as JSON."""
    summary = summarise(workspace, beats, picture=_draw(workspace, beats))
    if as_json:
        render.show_json({"beats": [_record(beat) for beat in beats], "summary": to_record(summary)})
        return
    render.show_table(
        ("date", "rows", "loss", "gain", "live", "decision and its reason"),
        [_demo_line(beat) for beat in beats],
        brief_last=True,
    )
    render.OUT.print()
    render.OUT.print("Evidence for a line, in var/demo: retrim why DATE", highlight=False)
    render.OUT.print()
    render.OUT.print(_sentence(summary), highlight=False)
    render.OUT.print()
    render.OUT.print("Chart of the loss with each decision marked: var/demo/var/loss.png", highlight=False)
    render.OUT.print()
    render.OUT.print("To explore the result from this folder:", highlight=False)
    newest = beats[-1].live
    for command in (
        "make ui WORKSPACE=var/demo",
        "cd var/demo",
        "../../.venv/bin/retrim status",
        "../../.venv/bin/retrim versions",
        f"../../.venv/bin/retrim versions reproduce {newest}",
        f"../../.venv/bin/retrim versions reproduce {newest} --prove",
    ):
        render.OUT.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)


def _draw(workspace: Workspace, beats: "Sequence[Beat]") -> Path:
    import pandas as pd

    from retrim.reports.demo import draw_loss

    checks, decisions = [], []
    for beat in beats:
        at = pd.Timestamp(beat.date, tz="UTC")
        means = {"live version": beat.system.mean, "first model alone": beat.frozen.mean}
        checks.append((at, {name: mean for name, mean in means.items() if mean is not None}))
        if beat.run is not None:
            released = beat.run.state in ("promoted", "restored", "rolled back")
            decisions.append((at, f"v{beat.live}" if released else beat.run.state))
    return draw_loss(workspace, checks, decisions)


@dataclass(frozen=True)
class DemoTotals:
    """Total cost in mean loss x checks: the system without and with its probes, version 1 kept, always retraining."""

    retraining_cost: float
    system: float
    system_with_probes: float
    frozen: float
    always: float


@dataclass(frozen=True)
class DemoSummary:
    """The whole of a demo.

    Args:
        loss: Name of the loss.
        rows: Rows that matured.
        system: Mean loss of what was live; None without rows.
        frozen: That of the first model, had it stayed.
        always: That of retraining at every check.
        totals: What each cost.
        retrainings: Runs after the first.
        promoted: Of these, how many were promoted.
        refused: How many were refused.
        restored: Previous champions that came back.
        rolled_back: Rollbacks of a probation.
        checks: Checks that probed.
        picture: File of the picture.
    """

    loss: str
    rows: int
    system: float | None
    frozen: float | None
    always: float | None
    totals: DemoTotals | None
    retrainings: int
    promoted: int
    refused: int
    restored: int
    rolled_back: int
    checks: int
    picture: str


def summarise(workspace: Workspace, beats: "Sequence[Beat]", *, picture: Path) -> DemoSummary:
    """Losses over the replayed time of the system, the frozen first model, and retraining at every check."""
    system, frozen, always = NO_LOSS, NO_LOSS, NO_LOSS
    for beat in beats:
        system, frozen, always = system + beat.system, frozen + beat.frozen, always + beat.always
    ended = [beat.run.state for beat in beats if beat.run is not None]
    states = [state for state in ended if state not in ("restored", "rolled back")]
    checks = sum(beat.check is not None and beat.check.record.probe.reading is not None for beat in beats)
    return DemoSummary(
        loss=workspace.params.judge.loss,
        rows=system.rows,
        system=system.mean,
        frozen=frozen.mean,
        always=always.mean,
        totals=_totals(workspace, beats, frozen=frozen, always=always, checks=checks),
        retrainings=len(states) - 1,
        promoted=states.count("promoted") + states.count("waiting") - 1,
        refused=states.count("refused"),
        restored=ended.count("restored"),
        rolled_back=ended.count("rolled back"),
        checks=checks,
        picture=str(picture),
    )


def _sentence(summary: DemoSummary) -> str:
    totals = summary.totals
    if not summary.rows or totals is None:
        return "No rows matured in the replayed time, so there is no loss to compare."
    places = _places(totals.retraining_cost)
    return (
        f"Over {summary.rows:,} replayed rows, {summary.loss.upper()} was {summary.system:.{places}f} with "
        f"{_counted(summary.retrainings)} ({summary.promoted} promoted, {summary.refused} refused). "
        f"It would have been {summary.frozen:.{places}f} with the first model alone, and "
        f"{summary.always:.{places}f} with a retraining at every check "
        f"({_counted(summary.checks)}, measured on the probe's fits). "
        f"At {totals.retraining_cost:.{places}f} per retraining, the total cost in mean loss x checks was "
        f"{totals.system:.{places - 1}f} ({totals.system_with_probes:.{places - 1}f} with the probes). "
        f"The first model alone would have cost {totals.frozen:.{places - 1}f}, and "
        f"retraining at every check {totals.always:.{places - 1}f}."
    )


def _places(retraining_cost: float) -> int:
    """Decimals that tell losses apart where a retraining costs so much."""
    return 1 if retraining_cost >= 1 else 3


def _totals(
    workspace: Workspace, beats: "Sequence[Beat]", *, frozen: Loss, always: Loss, checks: int
) -> DemoTotals | None:
    """What each cost; None before a check."""
    last = next((beat.check.record for beat in reversed(beats) if beat.check is not None), None)
    if last is None or last.totals is None:
        return None
    usual, totals = workspace.params.gain.rows_per_check, last.totals
    # The price follows the live version, so that of the system is the mean of what it paid.
    retraining_cost = totals.retrainings_cost / totals.retrainings if totals.retrainings else last.gain.retraining_cost
    return DemoTotals(
        retraining_cost=retraining_cost,
        system=totals.without_probes,
        system_with_probes=totals.with_probes,
        frozen=frozen.total / usual,
        always=always.total / usual + retraining_cost * checks,
    )


def _counted(retrainings: int) -> str:
    return f"{retrainings} retraining{'' if retrainings == 1 else 's'}"


def _demo_line(beat: "Beat") -> tuple[Any, ...]:
    check, run = beat.check, beat.run
    came = "" if run is None else f"{run.state}: {run.reason}"
    if check is None:
        return beat.date, beat.rows, None, None, beat.live, f"version 1 {came}"
    record = check.record
    places = _places(record.gain.retraining_cost)
    loss = None if record.probe.reading is None else f"{record.probe.reading.champion_loss:.{places}f}"
    accumulated_gain = f"{record.gain.now.balance:.{places}f} of {record.gain.retraining_cost:.{places}f}"
    said = f"{check.outcome}, {came}" if came else f"{check.outcome}: {check.reason}"
    return beat.date, beat.rows, loss, accumulated_gain, beat.live, said


def _record(beat: "Beat") -> dict[str, Any]:
    return {
        "date": beat.date,
        "rows": beat.rows,
        "check": None if beat.check is None else beat.check.as_record(),
        "run": None if beat.run is None else to_record(beat.run),
        "live": beat.live,
        "system": beat.system.mean,
        "frozen": beat.frozen.mean,
        "always": beat.always.mean,
    }
