"""What the reading commands answer, from the store alone: versions, a decision, the alerts."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import JsonValue

from retrim.checking.history import StopCounts, checks_in, evidence_of, stopped_since
from retrim.checking.holds import GivenAnswer, answer_to
from retrim.checking.probation import probation_ends
from retrim.decision.alerts import KIND_FACTS, AlertKind, what_to_do
from retrim.decision.check_record import CheckRecord, DecisionEvidence
from retrim.decision.release_checks import RELEASE_CHECKS, ReleaseChecks
from retrim.decision.stored_rows import ApprovalAnswer, RunRow, VersionRow
from retrim.errors import BadInputError
from retrim.landing.as_of_view import withdrawn_of_versions
from retrim.lineage.workspace import Workspace
from retrim.release.approval import WAITING, answer_of
from retrim.release.outcome import version_outcome
from retrim.release.release import FIRST
from retrim.release.versions import LastProof, find_live_version, judged_loss, last_proofs
from retrim.stats.codec import Absent, from_record


@dataclass(frozen=True)
class AwaitedAnswer:
    """The mark of a version that waits for a person."""

    answer: str = WAITING


@dataclass(frozen=True)
class VersionAnswer:
    """A version.

    Args:
        version: Number of the version.
        aliases: `champion` for the live one, `previous` for the one before.
        tag: Git tag of the version.
        as_of: As-of date of the run that made it.
        model_sha256: SHA-256 of the model.
        made: When the version was made.
        loss: Mean loss on the holdout rows, as judged; None if there were none.
        final: Whether its final fit, on all mature rows, makes the predictions; None if there is no final fit.
        outcome: What became of it: `passed the gate` (its run has not ended), `refused by the gate`, `refused at
            release`, `waiting for approval`, `rejected`, `expired`, `outdated`, `promoted` or `rolled back`.
        promote: Whether the gate promoted it.
        verdict: The gate's reason.
        probation: `going on`, `worse`, `confirmed`, `over` or `replaced`; None if it had none.
        withdrawn: Batches in the version that have been withdrawn since.
        approval: A person's answer, or `waiting` until there is one; None if nobody was asked.
        release_checks: `passed`, `reason` and `checks` before it went live; None if the gate refused it.
        last_proved: When a proof last showed that a rebuild is identical.
        last_differed: When a proof last found a difference.
    """

    version: int
    aliases: list[str]
    tag: str
    as_of: str
    model_sha256: str
    made: str
    loss: float | None
    final: bool | None
    outcome: str
    promote: bool
    verdict: str
    probation: str | None
    withdrawn: list[str]
    approval: ApprovalAnswer | AwaitedAnswer | None
    release_checks: dict[str, JsonValue] | None
    last_proved: str | None
    last_differed: str | None

    @property
    def word(self) -> str:
        """The gate's word; that of the release checks, or of a person, where they refused what the gate let pass."""
        if isinstance(self.approval, AwaitedAnswer):
            return f"{WAITING}: for a person to approve or reject"
        if self.approval is not None and self.approval.answer != "approved":
            return f"{self.approval.answer}: {self.approval.reason}"
        if self.release_checks is None:
            return self.verdict
        checks = from_record(ReleaseChecks, self.release_checks)
        return self.verdict if checks.passed else checks.reason


def find_versions(workspace: Workspace) -> list[VersionAnswer]:
    """Every version, oldest first."""
    proofs = last_proofs(workspace)
    now_live, ends, withdrawn = (
        find_live_version(workspace),
        probation_ends(workspace),
        withdrawn_of_versions(workspace),
    )
    releases = workspace.store.releases(workspace.model)
    aliases: dict[int | None, list[str]] = {}
    if now_live is not None:
        aliases.setdefault(now_live.version, []).append("champion")
        aliases.setdefault(now_live.previous, []).append("previous")
    return [
        VersionAnswer(
            version=row.version,
            aliases=aliases.get(row.version, []),
            tag=row.tag,
            as_of=row.as_of,
            model_sha256=row.model_sha256,
            made=row.made,
            loss=judged_loss(row),
            final=None if row.judged.final is None else row.judged.final.used,
            outcome=version_outcome(workspace, row, releases),
            promote=row.judged.promote,
            verdict=row.judged.reason,
            probation=ends.get(row.version),
            withdrawn=withdrawn.get(row.version, []),
            approval=_approval(workspace, row),
            release_checks=_release_checks(workspace, row.version),
            last_proved=proofs.get(row.version, LastProof()).proved,
            last_differed=proofs.get(row.version, LastProof()).differed,
        )
        for row in workspace.store.versions(workspace.model)
    ]


@dataclass(frozen=True)
class RunFacts:
    """A run.

    Args:
        id: Id of the run.
        state: `running`, `promoted`, `refused`, `deferred`, `waiting`, `unpushed`, `restored`, `rolled back`, `crashed`
            or `failed`.
        as_of: As-of date of the run.
        mode: `search` or `refit`.
        attempt: 1 for the first attempt, and one more after each kill.
        version: The version that the run made; None if there is none.
        reason: How the run ended, in one sentence.
        why: What is known about the kill; only of a run that was killed.
        attempts: Maximum number of attempts of a run; only of a run that was killed.
    """

    id: str
    state: str
    as_of: str
    mode: str
    attempt: int
    version: int | None
    reason: str
    why: Absent[str] = None
    attempts: Absent[int] = None


@dataclass(frozen=True)
class DecisionAnswer:
    """A decision, its evidence and its consequences.

    Args:
        id: Id of the decision.
        source: What made the decision: a check, a person, an acknowledgement, or a pause.
        as_of: As-of date of the decision.
        outcome: `none`, `retrain`, `restore`, `rollback`, `held`, `settled`, `paused` or `resumed`.
        by: Who made it.
        reason: The reason, in one sentence.
        record: The evidence.
        run: The [run](#run) that it started; None if there was none.
        verdict: The gate's verdict on the version that the run made; None if there is no version.
        release_checks: Results of that version's release checks before it went live.
        answered: A person's answer to the hold; None if nobody has answered.
        guards: How often each guard stopped a run, up to this decision.
    """

    id: str
    source: str
    as_of: str
    outcome: str
    by: str
    reason: str
    record: DecisionEvidence
    run: RunFacts | None
    verdict: dict[str, JsonValue] | None
    release_checks: dict[str, JsonValue] | None
    answered: GivenAnswer | None
    guards: StopCounts | None

    @property
    def check(self) -> CheckRecord | None:
        """The evidence of a check; None where something else decided."""
        return self.record if isinstance(self.record, CheckRecord) else None


def find_decision(workspace: Workspace, which: str | None) -> DecisionAnswer:
    """One decision with its evidence and what came of it.

    Args:
        which: A decision's id, a date (its last decision), or None for the newest.

    Raises:
        BadInputError: There is none.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not decisions:
        raise BadInputError("no decision has been made yet; run `retrim check` or `retrim retrain`")
    matching = [row for row in decisions if row.id == which] or [
        row for row in decisions if which is None or row.as_of.startswith(which)
    ]
    if not matching:
        raise BadInputError(
            f"there is no decision {which!r}; pass a date or an id, such as {decisions[-1].id} (the newest)"
        )
    row = matching[-1]
    checks = checks_in(decision for decision in decisions if decision.as_of <= row.as_of)
    run = workspace.store.run(f"run-{row.id}")
    version = None if run is None or run.version is None else workspace.store.version(workspace.model, run.version)
    return DecisionAnswer(
        id=row.id,
        source=row.source,
        as_of=row.as_of,
        outcome=row.outcome,
        by=row.actor,
        reason=row.reason,
        record=evidence_of(row),
        run=None if run is None else run_facts(run),
        verdict=None if version is None else dict(version.verdict),
        release_checks=None if version is None else _release_checks(workspace, version.version),
        answered=answer_to(workspace, row),
        guards=stopped_since(workspace, checks),
    )


@dataclass(frozen=True)
class ToldAlert:
    """An alert, and the addresses that it was sent to.

    Args:
        at: When it was raised.
        severity: `critical`, `warning` or `info`.
        kind: Kind of the alert, such as `run failed`.
        about: What the alert is about; empty if the text says it.
        text: What happened.
        to_do: What to do.
        sent_to: Addresses that accepted it: protocol and a keyed digest of each.
        waits_for: Addresses that have not accepted it yet.
    """

    at: str
    severity: str
    kind: str
    about: str
    text: str
    to_do: str
    sent_to: tuple[str, ...]
    waits_for: tuple[str, ...]


def find_alerts(workspace: Workspace) -> list[ToldAlert]:
    """Every alert, oldest first."""
    sent = workspace.store.deliveries(workspace.model)
    shown = []
    for row in workspace.store.alerts(workspace.model):
        kind, mine = AlertKind(row.kind), [delivery for delivery in sent if delivery.alert == row.id]
        taken = tuple(sorted(delivery.address for delivery in mine if delivery.sent is not None))
        waits = tuple(sorted(delivery.address for delivery in mine if delivery.sent is None))
        to_do = what_to_do(kind, row.about)
        severity = KIND_FACTS[kind].severity
        shown.append(ToldAlert(row.at, severity, row.kind, row.about, row.text, to_do, taken, waits))
    return shown


def resumed_runs(workspace: Workspace, decisions: Iterable[str]) -> list[RunFacts]:
    """The runs that were killed and of which a command made another attempt, as they are now."""
    runs = [workspace.store.run(f"run-{decision}") for decision in decisions]
    return [run_facts(run) for run in runs if run is not None]


def _approval(workspace: Workspace, version: VersionRow) -> ApprovalAnswer | AwaitedAnswer | None:
    """What a person said to a version, or that it waits for that; None where nobody was asked."""
    answer, run = answer_of(workspace, version.version), workspace.store.run(version.run)
    if answer is not None:
        return answer
    return AwaitedAnswer() if run is not None and run.state == WAITING else None


def run_facts(run: RunRow) -> RunFacts:
    """A run as it is stored."""
    return RunFacts(run.id, run.state, run.as_of, run.mode, run.attempt, run.version, run.detail.reason or "")


def _release_checks(workspace: Workspace, version: int) -> dict[str, JsonValue] | None:
    """What a version showed before it went live; None where the gate refused it, or it is older than these checks."""
    rows = workspace.store.envelope(workspace.model, version, kind=RELEASE_CHECKS)
    return next((row.record for row in rows if row.id == FIRST), None)
