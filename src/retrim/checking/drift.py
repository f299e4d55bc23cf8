"""The drift part of a check: rows that came, and labels that matured, against the profiles in the champion's bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.checking.score import stored_scores
from retrim.decision.check_record import DriftEvidence
from retrim.decision.rows_counted import Kind, RowCounts
from retrim.drift.alarms import AlarmRequest
from retrim.drift.findings import DriftFinding, findings, ranked, together
from retrim.drift.profile import TARGET, Profile, drift_name
from retrim.drift.reference import Reference
from retrim.files import count_cores
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored
from retrim.training.bundle import Predictor

SHOWN = 20
COVERED = 0.98  # of the part of a day that the reference's blocks cover: an hour less shows


@dataclass(frozen=True)
class DriftLook:
    """What the drift tests said.

    Args:
        findings: Of all columns, as `ranked` orders them; empty where there were too few rows.
        taken: By kind, the rows of the table that were looked at, shape (rows,): their features, and their labels.
        note: Why nothing could be looked at; None where it could.
    """

    findings: list[DriftFinding]
    taken: dict[Kind, np.ndarray]
    note: str | None

    def with_losses(self, shifted: Mapping[str, float]) -> "DriftLook":
        """The same with the change of the loss that goes with each column's shift, ranked by it."""
        changes = {drift_name(feature): change for feature, change in shifted.items()}
        return replace(
            self,
            findings=ranked(replace(finding, loss_change=changes.get(finding.column)) for finding in self.findings),
        )

    @property
    def evidence(self) -> DriftEvidence:
        """What of it a check keeps."""
        over = {finding.column for finding in self.findings if finding.over}
        return DriftEvidence(tuple(self.findings[:SHOWN]), tuple(sorted(over)), self.note)


def find_drift(workspace: Workspace, table: AsOfTable, champion: Stored, counts: RowCounts) -> DriftLook:
    """Findings on rows that no check has looked at; the reference is read from the champion's bundle alone.

    Features and predictions are looked at when rows come, the target when its labels have matured. With too few of
    either, or of too short a time, nothing is said of them, and they are looked at with the next ones.
    """
    reference, version, predictor = champion.reference, champion.version, champion.predictor
    if reference is None:
        text = (
            f"version {version} was made before profiles were kept in the bundle, so drift has no "
            "reference; the next retraining makes one: `retrim retrain --reason ...`"
        )
        return DriftLook([], {}, text)
    untested = counts.waiting("tested")[table.places]
    newest = enough_time(reference.rows, features_seen(predictor, table.only(untested)))
    importances = importances_of(predictor) if len(newest) >= workspace.params.drift.min_rows else {}
    drift = workspace.params.drift
    for_rows, for_together, for_scores, for_target = alarm_requests(workspace, reference)
    of_features = findings(reference.rows, newest, drift, time="_event", importances=importances, alarms=for_rows)
    of_features += together(reference.rows, newest, drift, time="_event", alarms=for_together, cores=count_cores())
    if reference.scores is not None:
        scored = stored_scores(workspace, version, newest, predictor.view)
        scored = scored.assign(_event=newest["_event"])[scored.notna().all(axis=1)]
        of_features += findings(reference.scores, scored, drift, time="_event", importances={}, alarms=for_scores)
    matured = counts.waiting("target")[table.places] & table.times["_matured"].notna().to_numpy()
    labelled = table.only(matured).read([predictor.view.target])
    labels = enough_time(reference.rows, labelled[["_event"]].assign(**{TARGET: labelled[predictor.view.target]}))
    of_target = findings(reference.rows, labels, drift, time="_event", importances={}, alarms=for_target)
    taken: dict[Kind, np.ndarray] = {"tested": untested} if of_features else {}
    taken |= {"target": matured} if of_target else {}
    return DriftLook(
        ranked([*of_features, *of_target]), {kind: table.in_whole(rows) for kind, rows in taken.items()}, None
    )


def features_seen(predictor: Predictor, rows: AsOfTable) -> pd.DataFrame:
    """The rows as the champion sees them, with its features under the names that they have in drift findings."""
    named = predictor.view.seen(rows.read()).rename(
        columns={name: drift_name(name) for name in predictor.view.features}
    )
    return named.drop(columns=TARGET, errors="ignore")  # a target of that name is tested once its labels have matured


def enough_time(reference: Profile, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, or none while they cover too little time: nights alone differ from a reference of whole days."""
    spans = reference.blocks["last"] - reference.blocks["first"]
    covered = pd.Timedelta((spans - spans.dt.floor("1D")).median())  # 0 of dates, in blocks of any number of days
    return rows if rows["_event"].max() - rows["_event"].min() >= COVERED * covered else rows.iloc[:0]


def alarm_requests(workspace: Workspace, reference: Reference) -> tuple[AlarmRequest | None, ...]:
    """What features, joint tests, predictions and target may use of the wanted false alarms: an equal part each.

    Returns:
        Four; None where thresholds decide instead.
    """
    alarms = workspace.params.drift.alarms
    if alarms is None:
        return (None,) * 4
    scores = 0 if reference.scores is None else len(reference.scores.columns)
    many = (len(reference.rows.columns) - 1, len(workspace.params.drift.joint.tests), scores, 1)
    rate = alarms.rate(pd.Timedelta(workspace.params.data.batch_every))
    return tuple(AlarmRequest(rate, max(n, 1) / sum(many), alarms.draws, alarms.seed) for n in many)


def importances_of(predictor: Predictor) -> dict[str, float]:
    """Each feature's share of the gain of the model's splits, 0 to 1; all alike for a model without a split."""
    view = predictor.view
    names, gains = list(view.needs), view.by_feature(predictor.model.gains())
    total = float(gains.sum())
    shares = {name: float(gain) / total if total else 1 / len(names) for name, gain in zip(names, gains, strict=True)}
    return {drift_name(name): shares[name] for name in view.features}  # the time of an event does not drift
