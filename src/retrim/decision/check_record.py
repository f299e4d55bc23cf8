"""The record of a check: what it found and what it decided, as it is stored and shown."""

from dataclasses import dataclass, field
from functools import cached_property

from retrim.decision.accumulated_gain import AccumulatedGain, Band, LifeTotals, MoneyParams
from retrim.decision.check_verdict import CheckVerdict, SuspectBatch
from retrim.decision.loss_comparison import LossComparison
from retrim.decision.previous_champions import PreviousChampions
from retrim.decision.probation import ProbationCheck, ServedPredictions
from retrim.decision.probe import GatePreview, ProbeReading, ProbeWatch
from retrim.decision.rows_counted import Kind
from retrim.decision.rules import Paused, RolledBack, RuleResult
from retrim.decision.stored_rows import DecisionRow
from retrim.drift.findings import DriftFinding
from retrim.drift.performance import DatedEstimate, EstimateQuality, ScoredEstimate
from retrim.drift.slices import Slice
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import Moment, read_record
from retrim.table.granularity import RowParams
from retrim.training.mode import ChosenMode, RunMode
from retrim.training.recipe import ProbeCost


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


@dataclass(frozen=True, kw_only=True)
class ShownProbe(ShownEvidence):
    """Losses of the newest probe, by block.

    Args:
        of: Digest of the recipe that was refitted.
    """

    of: str

    @property
    def evidence(self) -> ShownEvidence:
        """The blocks alone."""
        return ShownEvidence(self.until, self.champion, self.refits, self.block_rows)


@dataclass(frozen=True, kw_only=True)
class CheckRecord:
    """The evidence of a check and its decision.

    Args:
        as_of: As-of date of the check.
        champion: The live version; None before the first version.
        window: The rows that the loss was measured on; None if there were too few.
        reading: Result of the probe; None if none ran or too few rows were due.
        metrics: Each of `judge.metrics`, on the measured rows.
        loss: Mean loss on the measured rows.
        interval: 90% interval of that mean loss.
        served: Which versions made the predictions that were measured.
        comparison: The loss beside its expected loss and the naive baselines on the same rows; None without a loss.
        suspects: Suspicious batches among these rows, those with most rows first.
        verdict: How the model does, why, whether a retraining would help, and what to do; None if the check looked at
            nothing.
        estimate: Estimated loss of newer rows, whose labels are not known yet.
        scored: Earlier estimates whose labels have arrived.
        estimates: Accuracy of all estimates scored so far.
        previous_champions: Comparison of previous champions with the live version on the newest rows.
        probation: Probation of the live version.
        refits: Mean loss of the probe's refits, by training window.
        watch: Why the next check probes, or why it need not.
        preview: The gate's answer for the probe's refits.
        shown: Losses of the probe by block, kept for the gate of a later run.
        pending: Rows whose labels are not due yet.
        probe: Cost of the probe.
        band: Range of the mean loss while nothing has changed.
        findings: Results of the drift tests, at most 20, those likely to cost most first.
        drifted: Columns that drifted.
        drift_note: Why drift could not be tested.
        slices: Slices whose loss changed most.
        landed: What had landed by the check.
        labels_overdue: Labels that were due and have not arrived.
        counted_until: When rows were last probed.
        labels_until: When the newest label matured.
        debited: Refused runs whose retraining cost was taken from the accumulated gain at this check.
        accumulated_gain_before: Accumulated gain before this check.
        counted: Rows that this check counted, by purpose.
        view: Settings that determine the rows of the table.
        rolled_back: The rollback that nobody has answered.
        paused: The pause of automatic retraining and promotion that went on at the check.
        accumulated_gain: Accumulated gain after this check.
        retraining_cost: Cost of a retraining, in the unit of the accumulated gain.
        money: `gain.money`, from which the retraining cost is computed.
        said: The result of each rule.
        totals: What the model has cost so far.
        mode: Mode of the retraining that was decided, and why.
        change: What would have changed the decision.
        fired: Rules that started a run.
        held: Rules whose alarm waits for a person.
        settled: Rules whose alarm was acknowledged by a person and has not cleared since.
        stopped: The guard that stopped a run.
    """

    as_of: Moment
    champion: int | None = None
    window: MeasuredWindow | None = None
    reading: ProbeReading | None = None
    metrics: dict[str, float] | None = None
    loss: float | None = None
    interval: tuple[float, float] | None = None
    served: ServedPredictions | None = None
    comparison: LossComparison | None = None
    suspects: tuple[SuspectBatch, ...] = ()
    verdict: CheckVerdict | None = None
    estimate: DatedEstimate | None = None
    scored: tuple[ScoredEstimate, ...] = ()
    estimates: EstimateQuality | None = None
    previous_champions: PreviousChampions | None = None
    probation: ProbationCheck | None = None
    refits: dict[str, float] | None = None
    watch: ProbeWatch = field(default_factory=ProbeWatch)
    preview: GatePreview | None = None
    shown: ShownProbe | None = None
    pending: int = 0
    probe: ProbeCost | None = None
    band: Band | None = None
    findings: tuple[DriftFinding, ...] = ()
    drifted: tuple[str, ...] = ()
    drift_note: str | None = None
    slices: tuple[Slice, ...] = ()
    landed: LandingCounts | None = None
    labels_overdue: int = 0
    counted_until: Moment | None = None
    labels_until: Moment | None = None
    debited: tuple[str, ...] = ()
    accumulated_gain_before: AccumulatedGain | None = None
    counted: dict[Kind, int] = field(default_factory=dict)
    view: TableView | None = None
    rolled_back: RolledBack | None = None
    paused: Paused | None = None
    accumulated_gain: AccumulatedGain
    retraining_cost: float
    money: MoneyParams | None = None
    said: tuple[RuleResult, ...] = ()
    totals: LifeTotals | None = None
    mode: ChosenMode | None = None
    change: str = ""
    fired: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()
    stopped: str | None = None

    @property
    def short(self) -> str | None:
        """Why so few rows do not show what the accumulated gain holds, where it would pay for a run."""
        if self.preview is None or self.preview.passes or self.accumulated_gain.balance < self.retraining_cost:
            return None
        return self.preview.short


@dataclass(frozen=True)
class ProbedCheck:
    """Of a check's evidence, what its probe cost: quick to read, of thousands of checks."""

    probe: ProbeCost | None = None


@dataclass(frozen=True)
class UnreadFinding:
    """A drift finding of which only counts that there is one."""


@dataclass(frozen=True, kw_only=True)
class EarlierCheck:
    """Of a check's evidence, what all later checks go by: quick to read too."""

    as_of: Moment
    champion: int | None = None
    comparison: LossComparison | None = None
    estimate: DatedEstimate | None = None
    scored: tuple[ScoredEstimate, ...] = ()
    shown: ShownProbe | None = None
    findings: tuple[UnreadFinding, ...] = ()
    drifted: tuple[str, ...] = ()
    debited: tuple[str, ...] = ()
    accumulated_gain: AccumulatedGain
    retraining_cost: float
    held: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoredCheck:
    """A check as the store has it.

    Args:
        id: Of its decision.
        sequence: Its number among the checks; None: an older store did not count them.
        as_of: The moment it was about, ISO 8601 in UTC.
        outcome: `none`, `retrain`, `restore`, `rollback` or `held`.
        actor: Who or what made it.
        reason: Why, in a sentence.
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
class FixedMode:
    """A mode that is fixed rather than chosen, and the reason."""

    mode: RunMode
    reason: str


@dataclass(frozen=True)
class AskedRefit:
    """What is stored of a decision to fit a promoted recipe again.

    Args:
        as_of: As-of date of the run.
        of: The version that was promoted.
        mode: Mode of the run.
        fired: Rules that started the run that was promoted.
    """

    as_of: Moment
    of: int
    mode: FixedMode
    fired: tuple[str, ...] = ()


@dataclass(frozen=True)
class StartedBy:
    """What the record of any decision says of its cause.

    Args:
        fired: Rules that started a run; none where a person did.
        mode: Of the run; None where it is chosen when the run begins.
    """

    fired: tuple[str, ...] = ()
    mode: FixedMode | None = None


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


DecisionEvidence = CheckRecord | HoldAnswer | AskedRefit | AskedRun | PauseChange | AcknowledgedKind
"""What a decision keeps: that of a check, of an acknowledgement, of a second fit, of a person's wish for a run, of a
pause, of acknowledged warnings."""
