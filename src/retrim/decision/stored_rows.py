"""Rows of the store, as they lie there: a field is a column. Times are ISO 8601 in UTC, so they sort as text."""

import json
from dataclasses import Field, dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

from pydantic import JsonValue

from retrim.gate.verdict import VerdictRecord
from retrim.stats.codec import Absent, from_record, to_record
from retrim.table.data import ColumnType
from retrim.training.mode import Mode

Said = Literal["approved", "rejected", "expired", "outdated"]
PROOF = "proof"  # kind of row of a release envelope


def as_text(evidence: object) -> str:
    """What a decision rests on, as its row keeps it."""
    return json.dumps(to_record(evidence))


@dataclass(frozen=True)
class DecisionRow:
    """A decision: of a check, a person, an acknowledgement, or a pause.

    Args:
        source: `check`, `person`, `settlement`, `pause` or `mute`.
        outcome: `none`, `retrain`, `restore`, `held` or `settled`.
        actor: Who took it: a person, or `schedule`.
        text: The evidence as JSON; read when it is first asked for, as a life has thousands of checks.
        sequence: Of checks alone, from 1.
    """

    id: str
    model: str
    source: str
    as_of: str
    at: str
    outcome: str
    actor: str
    reason: str
    text: str
    sequence: int | None = None

    @cached_property
    def record(self) -> dict[str, Any]:
        """The evidence."""
        return dict(json.loads(self.text))


@dataclass(frozen=True)
class RunSnapshot:
    """The commit of a workspace that run directories are made from, and the files in it that git does not know."""

    commit: str
    untracked: tuple[str, ...]


@dataclass(frozen=True)
class KeptRunDirectory:
    """A run directory that is kept: where it lies, the snapshot it was made from, and the untracked files in that."""

    folder: str
    snapshot: str
    untracked: tuple[str, ...]
    champion: int | None


@dataclass(frozen=True)
class ApprovalAnswer:
    """The answer to a version that waited for approval.

    Args:
        version: Number of the version.
        answer: `approved`; `rejected`; `expired`: nobody answered; `outdated`: another version went live.
        by: Who answered; None if nobody did.
        reason: The reason that was given.
        at: When the answer was given.
        signature: By the SSH key of who approved; None where none is asked for.
    """

    version: int
    answer: Said
    by: str | None
    reason: str
    at: str
    signature: Absent[str] = None

    @property
    def words(self) -> str:
        """What was said, by whom and why."""
        return f"{self.answer} by {self.by}: {self.reason}" if self.by is not None else self.reason


@dataclass(frozen=True)
class RunDetail:
    """Stored details of a run; each run has only those that apply to it.

    Args:
        why: What killed or stopped it.
        snapshot: Snapshot from which its run directories are made.
        run_directory: Run directory in which all stages have run.
        restored: The previous champion that went live instead of its version.
        until: When it may be tried again.
        missing: Mature rows that it waits for.
        known: What was known when it was deferred.
        verdict: The gate's verdict, while its version waits for a person.
        expires: Time until which it waits.
        answer: The answer that its version was given.
    """

    reason: Absent[str] = None
    why: Absent[str] = None
    snapshot: Absent[RunSnapshot] = None
    run_directory: Absent[KeptRunDirectory] = None
    restored: Absent[int] = None
    until: Absent[str] = None
    missing: Absent[int] = None
    known: Absent[dict[str, str]] = None
    verdict: Absent[str] = None
    expires: Absent[str] = None
    answer: Absent[ApprovalAnswer] = None


@dataclass(frozen=True)
class RunClaim:
    """A run that a decision asks for."""

    id: str
    model: str
    decision: str
    as_of: str
    mode: Mode
    started: str


@dataclass(frozen=True)
class RunRow(RunClaim):
    """A run of a decision: its state, and its details as JSON text."""

    state: str
    attempt: int
    pid: int
    ended: str | None
    version: int | None
    text: str

    @cached_property
    def detail(self) -> RunDetail:
        return from_record(RunDetail, json.loads(self.text))

    @property
    def answered(self) -> str | None:
        """When it ended, where that was by a person's word on its version; None where nobody was asked."""
        return None if self.detail.answer is None else self.ended

    @property
    def made(self) -> int:
        """The version that it made, of a run that is known to have made one."""
        assert self.version is not None, self.id
        return self.version


@dataclass(frozen=True)
class Origin:
    """Where an imported version was made.

    Args:
        version: Its number there.
        commit: The commit of its run there.
        signer: Fingerprint of the key that signed the export.
        proved_at: When a proof there last found its rebuild identical; None if none did.
    """

    model: str
    version: int
    commit: str
    signer: str
    proved_at: str | None


@dataclass(frozen=True)
class Lineage:
    """What a version was made from; None for facts that an older version did not record.

    Args:
        decision: Id of the decision that asked for its run.
        snapshot: Commit of the workspace from which the run was made.
        untracked: Files in that snapshot that git does not track.
        champion: The version that it was compared with; None if none was live.
        champion_digest: Digest of that version's bundle.
        raw_digest: Digest of the raw batches.
        allowed_leaks: Columns that are used as features although they look like leaks, with the reasons.
        repository: First commit of the repository.
        needs: Columns of landed rows that it reads, with their types at that time.
        history: Its features from the past; None if it has none.
        mlflow_run: Id of the MLflow run that holds the bundle here.
        origin: Where it was imported from; None if it was made here.
    """

    decision: str | None = None
    commit: str | None = None
    snapshot: str | None = None
    untracked: tuple[str, ...] = ()
    champion: int | None = None
    champion_digest: str | None = None
    raw_digest: str | None = None
    dvc_lock: str | None = None
    requirements_lock: str | None = None
    row_order: str | None = None
    python: str | None = None
    platform: str | None = None
    mode: Mode | None = None
    allowed_leaks: dict[str, str] = field(default_factory=dict)
    repository: str | None = None
    needs: dict[str, ColumnType] = field(default_factory=dict)
    history: dict[str, JsonValue] | None = None
    mlflow_run: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class VersionRow:
    """A version: its bundle by hash, its lineage, and its verdict."""

    model: str
    version: int
    run: str
    tag: str
    as_of: str
    bundle: str
    model_sha256: str
    made: str
    lineage: dict[str, JsonValue]
    verdict: dict[str, JsonValue]

    @cached_property
    def made_from(self) -> Lineage:
        """The lineage, read."""
        return from_record(Lineage, self.lineage)

    @cached_property
    def judged(self) -> VerdictRecord:
        """The verdict, read."""
        return from_record(VerdictRecord, self.verdict)

    @property
    def is_baseline(self) -> bool:
        """Whether it is the best constant, which a person makes live whatever the gate says."""
        return self.made_from.mode == "baseline"


@dataclass(frozen=True, kw_only=True)
class ReleaseMove:
    """A release: who made or decided it, its as-of date, and its time by the clock."""

    model: str
    version: int
    action: str
    actor: str
    reason: str
    as_of: str
    at: str


@dataclass(frozen=True, kw_only=True)
class ReleaseRow(ReleaseMove):
    """A release in the log, signed together with the previous one.

    Args:
        follows: Digest of the row before (`decision/release_log.py`).
        signer: Public key of the workspace that moved it.
    """

    sequence: int
    previous: int | None
    follows: str
    signer: str
    signature: str = ""


@dataclass(frozen=True)
class ReleaseHeadRow:
    """Number of releases and the digest of the last one, signed."""

    model: str
    sequence: int
    digest: str
    signer: str
    signature: str = ""


@dataclass(frozen=True)
class Proof:
    """What came out when a version was rebuilt with nothing taken on trust.

    Args:
        reason: Who or what asked for it; a scheduled proof names its moment.
        platform: Tag of the platform of the rebuild.
        bundle: Recorded digest of the version's bundle.
        first_difference: The first difference; None if identical.
        largest_difference: Of predictions on the holdout rows, in the target's unit or as a probability; None if
            unknown.
    """

    reason: str
    proved_at: str
    platform: str
    bundle: str
    identical: bool
    first_difference: str | None
    largest_difference: float | None


@dataclass(frozen=True)
class EnvelopeRow:
    """A fact about a version that became known after it was made."""

    model: str
    version: int
    kind: str
    id: str
    at: str
    record: dict[str, JsonValue]

    @cached_property
    def proof(self) -> Proof:
        """The record, of a row of kind `PROOF`."""
        return from_record(Proof, self.record)


@dataclass(frozen=True)
class AlertRow:
    """An alert.

    Args:
        about: What the alert is about; empty if the text says it.
        queued: When it was last to be told, by the clock; None: the same was told in other words.
    """

    id: str
    model: str
    kind: str
    at: str
    text: str
    about: str
    queued: str | None


@dataclass(frozen=True)
class DeliveryRow:
    """Delivery of an alert to an address.

    Args:
        tried: Time of the last attempt.
        due: Time of the next attempt.
        claim: Mark of the process that is sending it now.
        error: Why it was not accepted, without secrets.
    """

    alert: str
    address: str
    model: str
    attempts: int
    tried: str
    due: str | None
    claim: str | None
    sent: str | None
    error: str | None


@dataclass(frozen=True)
class CountedRow:
    """What a check did with rows of a batch (`decision/rows_counted.py`): a bit a row of the file, the lowest first."""

    model: str
    decision: str
    kind: str
    batch: str
    rows: bytes


@dataclass(frozen=True)
class UsedRow:
    """Rows of a batch that a version was made or evaluated with, one bit per row."""

    model: str
    version: int
    batch: str
    rows: bytes


@dataclass(frozen=True)
class StageTime:
    """Duration of a stage in an attempt of a run."""

    run: str
    attempt: int
    model: str
    mode: str
    stage: str
    seconds: float


@dataclass(frozen=True)
class DueTime:
    """Time up to which all due times of a scheduled flow are done."""

    model: str
    flow: str
    done_until: str


class StoredRow(Protocol):
    """A row of the store: a data class with a field for each column."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def columns_of(row: StoredRow) -> dict[str, Any]:
    """The values of a row by column."""
    return {column.name: getattr(row, column.name) for column in fields(row)}
