"""Rows of the store, as they lie there: a field is a column, and a column of JSON is what was written into it."""

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

from retrim.gate.verdict import VerdictRecord
from retrim.stats.codec import from_record
from retrim.training.mode import RunMode


@dataclass(frozen=True)
class DecisionRow:
    """A decision: of a check, a person, an acknowledgement, or to fit a recipe once more.

    Args:
        text: The evidence as it lies there; read when it is first asked for, as a life has thousands of checks.
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
    sequence: int | None

    @cached_property
    def record(self) -> dict[str, Any]:
        """The evidence."""
        read: dict[str, Any] = json.loads(self.text)
        return read


@dataclass(frozen=True)
class RunRow:
    """A run of a decision: how it stands, and what is kept of it under `detail`."""

    id: str
    model: str
    decision: str
    as_of: str
    mode: RunMode
    state: str
    attempt: int
    pid: int
    started: str
    ended: str | None
    version: int | None
    detail: dict[str, Any]

    @property
    def answered(self) -> str | None:
        """When it ended, where that was by a person's word on its version; None where nobody was asked."""
        return self.ended if "answer" in self.detail else None

    @property
    def made(self) -> int:
        """The version that it made, of a run that is known to have made one."""
        assert self.version is not None, self.id
        return self.version


@dataclass(frozen=True)
class OriginProof:
    """What the attestation of a rebuild said that came with an imported version."""

    identical: bool
    proved_at: str


@dataclass(frozen=True)
class Origin:
    """Where an imported version was made: its number and commit there, and the fingerprint of the key that signed."""

    model: str
    version: int
    tag: str
    run: str
    commit: str
    champion: int | None
    signer: str
    proof: OriginProof | None


@dataclass(frozen=True)
class Lineage:
    """What a version was made from; None for what an older one does not say.

    Args:
        decision: That asked for its run.
        commit: Of the run.
        snapshot: Commit of the workspace that the run was made from.
        untracked: Files in that which git does not know.
        champion: The version that it was judged against; None: nothing was live.
        champion_digest: Of its bundle.
        raw_digest: Of the raw batches.
        mode: Of the run.
        allowed_leaks: Columns that are features in spite of a suspicion, and why.
        repository: First commit of the repository.
        mlflow_run: MLflow's id of the run that has the bundle here.
        origin: Where it was imported from; None: it was made here.
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
    mode: RunMode | None = None
    allowed_leaks: dict[str, str] = field(default_factory=dict)
    repository: str | None = None
    mlflow_run: str | None = None
    origin: Origin | None = None


@dataclass(frozen=True)
class VersionRow:
    """A version: its bundle by hash, what it was made from, and the verdict that it was given."""

    model: str
    version: int
    run: str
    tag: str
    as_of: str
    bundle: str
    model_sha256: str
    made: str
    lineage: dict[str, Any]
    verdict: dict[str, Any]

    @cached_property
    def made_from(self) -> Lineage:
        """The lineage, read."""
        return from_record(Lineage, self.lineage)

    @cached_property
    def judged(self) -> VerdictRecord:
        """The verdict, read."""
        return from_record(VerdictRecord, self.verdict)


@dataclass(frozen=True)
class ReleaseRow:
    """A move of the champion, signed over the one before."""

    model: str
    sequence: int
    version: int
    previous: int | None
    action: str
    actor: str
    reason: str
    as_of: str
    at: str
    follows: str
    signer: str
    signature: str


@dataclass(frozen=True)
class ReleaseHeadRow:
    """How many moves there are, and the digest of the last, signed."""

    model: str
    sequence: int
    digest: str
    signer: str
    signature: str


@dataclass(frozen=True)
class EnvelopeRow:
    """What became known of a version after it was made."""

    model: str
    version: int
    kind: str
    id: str
    at: str
    record: dict[str, Any]


@dataclass(frozen=True)
class AlertRow:
    """An alert.

    Args:
        about: What it happened to; empty: the text says it.
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
    """What an address was sent of an alert, or is to be.

    Args:
        attempts: How often it was tried.
        tried: When it was tried last.
        due: When it is tried next.
        claim: Of the process that is sending it now.
        sent: When it was taken.
        error: Why it was not, without secrets.
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


StoredRow = DecisionRow | RunRow | VersionRow | ReleaseRow | ReleaseHeadRow | EnvelopeRow | AlertRow


def columns_of(row: StoredRow) -> dict[str, Any]:
    """A row by column, as it is inserted."""
    names = ("record" if column.name == "text" else column.name for column in fields(row))
    return {name: getattr(row, name) for name in names}
