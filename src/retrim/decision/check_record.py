"""The record of a check: what it found and what it decided, as it is stored and shown."""

from dataclasses import dataclass, field
from functools import cached_property

from retrim.decision.accumulated_gain import AccumulatedGain, LifeTotals
from retrim.decision.band import Band
from retrim.decision.brakes import Paused, RolledBack
from retrim.decision.check_verdict import CheckVerdict, SuspectBatch
from retrim.decision.loss_comparison import LossComparison
from retrim.decision.probation import ProbationCheck
from retrim.decision.probe import GatePreview, ProbeReading
from retrim.decision.probe_watch import ProbeWatch
from retrim.decision.retraining_cost import MoneyParams
from retrim.decision.rows_counted import Kind
from retrim.decision.rules import Decision
from retrim.decision.served_predictions import ServedPredictions
from retrim.decision.stored_rows import DecisionRow
from retrim.drift.findings import DriftFinding
from retrim.drift.performance import EstimateEvidence
from retrim.drift.slices import Slice
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import Moment, read_record
from retrim.table.granularity import RowParams
from retrim.training.mode import ChosenMode
from retrim.training.recipe import ProbeCost


@dataclass(frozen=True)
class LandingCounts:
    """What had landed by the check.

    Args:
        batches: Batches of rows and of labels.
        rows: Rows in the table.
        new: Rows that landed after the previous check.
        since: As-of date of the previous check; None at the first check.
    """

    batches: int
    rows: int
    new: int
    since: Moment | None


@dataclass(frozen=True)
class TableView:
    """Settings that, with the landed files, determine which rows are in the table and when they are mature.

    Args:
        rows: `data.rows`.
        label_horizon: `data.label_horizon`.
    """

    rows: RowParams
    label_horizon: str | None


@dataclass(frozen=True)
class LabelCounts:
    """Labels of the table at the check.

    Args:
        pending: Rows whose labels are not due yet, and that no check has probed.
        overdue: Labels that were due and have not arrived.
        until: When the newest label matured.
    """

    pending: int = 0
    overdue: int = 0
    until: Moment | None = None


@dataclass(frozen=True)
class DriftEvidence:
    """What the drift tests found.

    Args:
        findings: Results of the tests, at most 20, those likely to cost most first.
        drifted: Columns that drifted.
        note: Why drift could not be tested.
    """

    findings: tuple[DriftFinding, ...] = ()
    drifted: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True)
class MeasuredWindow:
    """The mature rows that the loss was measured on.

    Args:
        rows: How many.
        start: Event time from which they lie, but for stragglers: at most 5% of them are older.
        end: Event time of the last.
    """

    rows: int
    start: Moment
    end: Moment


@dataclass(frozen=True)
class MeasuredLoss:
    """The loss of the live version on rows that matured and that no check had measured.

    Args:
        window: The rows.
        loss: Mean loss on them.
        interval: 90% interval of that mean loss.
        metrics: Each of `judge.metrics` on them.
        served: Which versions made the predictions that were measured.
    """

    window: MeasuredWindow
    loss: float
    interval: tuple[float, float]
    metrics: dict[str, float]
    served: ServedPredictions


@dataclass(frozen=True)
class Performance:
    """How the live version does.

    Args:
        measured: Its loss; None if there were too few rows.
        comparison: The loss beside its expected loss and the naive baselines on the same rows; None without a loss.
        band: Range of the mean loss while nothing has changed.
        slices: Slices whose loss changed most.
        suspects: Suspicious batches among these rows, those with most rows first.
    """

    measured: MeasuredLoss | None = None
    comparison: LossComparison | None = None
    band: Band | None = None
    slices: tuple[Slice, ...] = ()
    suspects: tuple[SuspectBatch, ...] = ()

    @property
    def loss(self) -> float | None:
        """The measured mean loss."""
        return None if self.measured is None else self.measured.loss


@dataclass(frozen=True, kw_only=True)
class ProbeLosses(ShownEvidence):
    """Losses of a probe, by block.

    Args:
        of: Digest of the recipe that was refitted.
    """

    of: str

    @property
    def evidence(self) -> ShownEvidence:
        """The blocks alone."""
        return ShownEvidence(self.until, self.champion, self.refits, self.block_rows)


@dataclass(frozen=True)
class ProbeEvidence:
    """What the probe found.

    Args:
        reading: Its result; None if none ran or too few rows were due.
        refits: Mean loss of the refits by training window, and of a previous champion as `version 3`.
        losses: Losses by block, kept for the gate of a later run.
        cost: What it cost.
        preview: The gate's answer for the refits of this probe or, where none ran, of the one before.
        watch: Why the next check probes, or why it need not.
        until: When rows were last probed.
    """

    reading: ProbeReading | None = None
    refits: dict[str, float] | None = None
    losses: ProbeLosses | None = None
    cost: ProbeCost | None = None
    preview: GatePreview | None = None
    watch: ProbeWatch = field(default_factory=ProbeWatch)
    until: Moment | None = None


@dataclass(frozen=True, kw_only=True)
class GainEvidence:
    """The accumulated gain, and the retraining cost that it is held against.

    Args:
        now: After this check.
        before: Before it, after the debits.
        debited: Refused runs whose retraining cost was taken from it at this check.
        retraining_cost: Cost of a retraining, in the same unit.
        money: `gain.money`, from which the cost is computed.
    """

    now: AccumulatedGain
    before: AccumulatedGain | None = None
    debited: tuple[str, ...] = ()
    retraining_cost: float
    money: MoneyParams | None = None


@dataclass(frozen=True, kw_only=True)
class CheckEvidence:
    """What a check found.

    Args:
        as_of: As-of date of the check.
        champion: The live version; None before the first version, and where the check is dated before an earlier one.
        landed: What had landed.
        labels: Labels that are known, and those to come.
        counted: Rows that this check counted, by purpose.
        view: Settings that determine the rows of the table.
        drift: Results of the drift tests.
        performance: The loss of the live version.
        estimate: Its estimated loss on newer rows, whose labels are not known yet.
        probe: What a refit gains.
        gain: The accumulated gain.
        probation: Probation of the live version.
    """

    as_of: Moment
    champion: int | None = None
    landed: LandingCounts | None = None
    labels: LabelCounts = LabelCounts()
    counted: dict[Kind, int] = field(default_factory=dict)
    view: TableView | None = None
    drift: DriftEvidence = DriftEvidence()
    performance: Performance = Performance()
    estimate: EstimateEvidence = field(default_factory=EstimateEvidence)
    probe: ProbeEvidence = field(default_factory=ProbeEvidence)
    gain: GainEvidence
    probation: ProbationCheck | None = None

    @property
    def short(self) -> str | None:
        """Why so few rows do not show what the accumulated gain holds, where it would pay for a run."""
        preview = self.probe.preview
        if preview is None or preview.passes or self.gain.now.balance < self.gain.retraining_cost:
            return None
        return preview.short


@dataclass(frozen=True, kw_only=True)
class CheckRecord(CheckEvidence):
    """The evidence of a check and its decision, as it is stored and shown.

    Args:
        decision: The decision, with the result of each rule.
        mode: Mode of the retraining that was decided, and why.
        rolled_back: The rollback that nobody has answered.
        paused: The pause of automatic retraining and promotion that went on at the check.
        verdict: How the model does, why, whether a retraining would help, and what to do; None if the check looked at
            nothing.
        totals: What the model has cost so far.
    """

    decision: Decision
    mode: ChosenMode | None = None
    rolled_back: RolledBack | None = None
    paused: Paused | None = None
    verdict: CheckVerdict | None = None
    totals: LifeTotals | None = None

    @property
    def sentence(self) -> str:
        """The verdict and the decision with its reason, as people read them."""
        decision = f"{self.decision.outcome}: {self.decision.reason}"
        return decision if self.verdict is None else f"{self.verdict.text} Decision: {decision}"


@dataclass(frozen=True)
class UnreadFinding:
    """A drift finding of which only counts that there is one."""


@dataclass(frozen=True)
class EarlierDrift:
    """Of the drift evidence, whether anything was tested, and what drifted."""

    findings: tuple[UnreadFinding, ...] = ()
    drifted: tuple[str, ...] = ()


@dataclass(frozen=True)
class EarlierPerformance:
    """Of the performance, the comparison."""

    comparison: LossComparison | None = None


@dataclass(frozen=True)
class EarlierProbe:
    """Of the probe, the losses that a later gate counts, and what it cost."""

    losses: ProbeLosses | None = None
    cost: ProbeCost | None = None


@dataclass(frozen=True)
class EarlierDecision:
    """Of the decision, what later checks go by."""

    held: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EarlierCheck:
    """Of a check's record, what all later checks go by: quick to read, of thousands of checks."""

    as_of: Moment
    champion: int | None = None
    drift: EarlierDrift
    performance: EarlierPerformance
    estimate: EstimateEvidence
    probe: EarlierProbe
    gain: GainEvidence
    decision: EarlierDecision


@dataclass(frozen=True)
class StoredCheck:
    """A check as the store has it.

    Args:
        sequence: Its number among the checks; None: an older store did not count them.
        as_of: The moment it was about, ISO 8601 in UTC.
        outcome: `none`, `retrain`, `rollback` or `held`.
        actor: Who or what made it.
        row: Of the store; its evidence is read when it is first asked for, as a life has thousands of checks.
    """

    id: str
    sequence: int | None
    as_of: str
    outcome: str
    actor: str
    reason: str
    row: DecisionRow

    @classmethod
    def of(cls, row: DecisionRow) -> "StoredCheck":
        """A row of the store as the check that it holds."""
        return cls(row.id, row.sequence, row.as_of, row.outcome, row.actor, row.reason, row)

    @cached_property
    def record(self) -> CheckRecord:
        """Its evidence."""
        return read_record(CheckRecord, self.row.text)

    @cached_property
    def earlier(self) -> EarlierCheck:
        """Of it, what later checks go by."""
        return read_record(EarlierCheck, self.row.text)


@dataclass(frozen=True)
class AskedRun:
    """What is stored of a person's request for a run.

    Args:
        as_of: As-of date of the run.
    """

    as_of: Moment


@dataclass(frozen=True)
class FiredRules:
    """Of a check's decision, the rules that started a run."""

    fired: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartedBy:
    """What the record of any decision says of its cause.

    Args:
        mode: Of the run; None where it is chosen when the run begins.
    """

    decision: FiredRules = FiredRules()
    mode: ChosenMode | None = None

    @property
    def rules(self) -> tuple[str, ...]:
        """Rules that started a run; none where a person did."""
        return self.decision.fired


@dataclass(frozen=True)
class HoldAnswer:
    """What is stored of a person's answer to a hold.

    Args:
        as_of: As-of date of the answer.
        rules: Rules whose alarm was acknowledged.
        answers: Id of the check that was answered.
    """

    as_of: Moment
    rules: tuple[str, ...]
    answers: str


@dataclass(frozen=True)
class PauseChange:
    """What is stored of a pause, or of its end.

    Args:
        as_of: From when it holds.
    """

    as_of: Moment


@dataclass(frozen=True)
class AcknowledgedKind:
    """What is stored of a person's acknowledgement of warnings of one kind.

    Args:
        as_of: When it was given.
        kind: Kind of the warnings.
        until: Until when they are neither sent nor counted.
    """

    as_of: Moment
    kind: str
    until: Moment


DecisionEvidence = CheckRecord | HoldAnswer | AskedRun | PauseChange | AcknowledgedKind
"""What a decision keeps: that of a check, of an acknowledgement, of a person's wish for a run, of a pause, of
acknowledged warnings."""
