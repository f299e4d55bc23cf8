"""What the tests for drift saw of a column: its distribution in the reference and at a check."""

from dataclasses import dataclass

from retrim.checking.drift import features_seen
from retrim.checking.history import CHECK
from retrim.checking.score import stored_scores
from retrim.decision.check_record import StoredCheck
from retrim.drift.findings import DriftFinding
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET, WindowBar, compare_windows
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import load_stored_version


@dataclass(frozen=True)
class ColumnDistributions:
    """A column in both windows: what its values are, as shares, and what the tests of the check said of it."""

    check: StoredCheck
    bars: tuple[WindowBar, ...]
    reference_rows: int
    current_rows: int
    findings: tuple[DriftFinding, ...]


def find_distributions(workspace: Workspace, check: str, column: str) -> ColumnDistributions:
    """Both windows of a column at a check: the reference lies in the bundle, the rows are read as they were known.

    Raises:
        BadInputError: There is no such check, or it did not look at that column.
    """
    row = workspace.store.decision(check)
    if row is None or row.source != CHECK or row.model != workspace.model:
        raise BadInputError(f"there is no check {check!r}; choose one from the checks table on the page")
    stored = StoredCheck.of(row)
    record = stored.record
    champion = None if record.champion is None else load_stored_version(workspace, record.champion)
    reference = None if champion is None else champion.reference
    profile = None if reference is None else reference.scores if column in (SCORE, CONFIDENCE) else reference.rows
    known = None if profile is None else profile.columns.get(column)
    if champion is None or known is None:
        raise BadInputError(
            f"check {check} did not test column {column!r}; choose one from the drift table on the page"
        )
    table = read_as_of(workspace, as_of=record.as_of, as_then=True)
    kind, members = "target" if column == TARGET else "tested", table.members
    ledger = workspace.store.counted_rows(workspace.model)
    counted = [(entry.batch, entry.rows) for entry in ledger if (entry.check, entry.kind) == (check, kind)]
    tested = table.only(members.table_rows(members.numbering.unpack(counted))[table.places])
    view = champion.predictor.view
    if column in (SCORE, CONFIDENCE):
        values = stored_scores(workspace, champion.version, tested.times, view)[column]
    elif column == TARGET:
        values = tested.read([view.target])[view.target]
    else:
        values = features_seen(champion.predictor, tested)[column]
    return ColumnDistributions(
        check=stored,
        bars=compare_windows(known, values),
        reference_rows=int(known.counts.sum()),
        current_rows=len(values),
        findings=tuple(finding for finding in record.drift.findings if finding.column == column),
    )
