"""The record of a check: what it found and what it decided, as it is stored and shown."""

from dataclasses import dataclass, field
from functools import cached_property

from retrim.decision.accumulated_gain import AccumulatedGain, Band, LifeTotals, MoneyParams
from retrim.decision.previous_champions import PreviousChampions
from retrim.decision.probation import ProbationCheck, ServedPredictions
from retrim.decision.probe import GatePreview, Outlook, ProbeReading
from retrim.decision.rows_counted import Kind
from retrim.decision.rules import RolledBack, RuleResult
from retrim.decision.stored_rows import DecisionRow
from retrim.drift.findings import DriftFinding
from retrim.drift.performance import DatedEstimate, EstimateQuality, ScoredEstimate
from retrim.drift.slices import Slice
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import Moment, read_record
from retrim.table.granularity import RowParams
from retrim.training.mode import ChosenMode, RunMode
from retrim.training.recipe import ProbeCost, WindowKind


@dataclass(frozen=True)
class MeasuredWindow:
    """The matured rows that the loss was measured on: how many."""

    rows: int


@dataclass(frozen=True)
class LandingCounts:
    """What had landed.

    Args:
        batches: Batches of rows and labels.
        rows: Rows of the table.
        new: Those since the check before.
        since: Its moment; None at the first check.
    """

    batches: int
    rows: int
    new: int
    since: Moment | None


@dataclass(frozen=True)
class TableView:
    """What decides, beside the files, which rows are in the table and when they are mature.

    Args:
        rows: `data.rows`.
        label_horizon: `data.label_horizon`.
    """

    rows: RowParams
    label_horizon: str | None


@dataclass(frozen=True, kw_only=True)
class ShownProbe(ShownEvidence):
    """The blocks of the newest probe.

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
    """The evidence of a check, and what was decided on it.

    Args:
        as_of: The moment it was about.
        champion: The live version; None: none yet.
        window: The rows that the loss was measured on; None: too few.
        reading: What the probe found; None: it was not asked, or too few rows wait.
        metrics: Of the predictions of the measured rows, each of `judge.metrics`.
        loss: Mean loss on them.
        interval: What that mean lies between with 90 % confidence.
        served: Which predictions they were measured by.
        estimate: The loss of newer rows, estimated without their labels.
        scored: Estimates whose labels have come.
        estimates: How good all estimates scored so far were.
        previous_champions: Previous champions on the newest rows.
        probation: The probation of the live version.
        refits: Mean loss of the refits of the probe, by training window.
        refit_counts: The training window that `reading` is of.
        best_window: The training window whose refit lost least at the newest probe.
        outlook: What the rows that wait for a probe may add to the accumulated gain.
        preview: What the gate would say of the refits.
        shown: Blocks of the probe, for the gate of a run to come.
        pending: Rows whose labels are not due yet.
        probe: What the probe cost.
        band: What the mean loss does while nothing has changed.
        findings: Of the drift tests, the costliest first, at most 20.
        drifted: Columns that are over.
        drift_note: Why drift could not be tested.
        slices: Where the loss changed most.
        landed: What had landed.
        labels_overdue: Labels that were due and have not come.
        counted_until: When rows were last probed.
        labels_until: When the newest label matured.
        debited: Refused runs whose cost the accumulated gain paid at this check.
        accumulated_gain_before: The accumulated gain before this check.
        counted: Rows that this check counted, by what for.
        view: What made the table.
        rolled_back: The rollback that nobody has answered.
        accumulated_gain: The accumulated gain after this check.
        retraining_cost: Of a retraining, in the same unit.
        money: What the retraining cost was worked out from.
        said: The answer of each rule.
        totals: What the model has cost so far.
        mode: How the retraining that was decided makes its version.
        change: What would have changed the decision.
        fired: Rules that started a run.
        held: Rules whose alarm waits for a person.
        settled: Rules whose alarm a person has answered, and that is still up.
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
    estimate: DatedEstimate | None = None
    scored: tuple[ScoredEstimate, ...] = ()
    estimates: EstimateQuality | None = None
    previous_champions: PreviousChampions | None = None
    probation: ProbationCheck | None = None
    refits: dict[WindowKind, float] | None = None
    refit_counts: WindowKind | None = None
    best_window: WindowKind | None = None
    outlook: Outlook | None = None
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
class EstimatedCheck:
    """Of a check's evidence, what its estimates are scored from: quick to read too."""

    as_of: Moment
    champion: int | None = None
    estimate: DatedEstimate | None = None
    scored: tuple[ScoredEstimate, ...] = ()


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

    @cached_property
    def record(self) -> CheckRecord:
        """Its evidence."""
        return read_record(CheckRecord, self.row.text)

    @property
    def estimated(self) -> EstimatedCheck:
        """Of it, what its estimates are scored from."""
        return read_record(EstimatedCheck, self.row.text)


@dataclass(frozen=True)
class AskedRun:
    """What a person's wish for a run keeps.

    Args:
        as_of: The moment that the run takes for now.
    """

    as_of: Moment


@dataclass(frozen=True)
class FixedMode:
    """The mode of a run that nobody chose."""

    mode: RunMode
    reason: str


@dataclass(frozen=True)
class AskedRefit:
    """What the decision to fit a promoted recipe once more keeps.

    Args:
        as_of: The moment that the run takes for now.
        of: The version that was promoted.
        mode: Of the run.
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
    """What a person's answer to a hold keeps.

    Args:
        as_of: When.
        rules: Rules whose alarm it answers.
        answers: Id of the check.
    """

    as_of: Moment
    rules: tuple[str, ...]
    answers: str


DecisionEvidence = CheckRecord | HoldAnswer | AskedRefit | AskedRun
"""What a decision keeps: that of a check, of an acknowledgement, of a second fit, of a person's wish for a run."""
