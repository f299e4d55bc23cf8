"""The drift part of a check: rows that came, and labels that matured, against the profiles in the champion's bundle."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.drift.alarms import Asked
from retrim.core.drift.finding import Finding
from retrim.core.drift.findings import findings, ranked
from retrim.core.drift.reference import Reference
from retrim.core.drift.scores import TARGET
from retrim.core.drift.together import together
from retrim.core.row_ledger import Kind, RowCounts
from retrim.machine import cores
from retrim.ops.champion import Stored
from retrim.ops.house import House
from retrim.ops.known import KnownTable
from retrim.ops.score import stored_scores

SHOWN = 20


@dataclass(frozen=True)
class Looked:
    """What the drift tests said.

    Args:
        findings: Of all columns, as `ranked` orders them; empty where there were too few rows.
        taken: By kind, the rows of the table that were looked at, shape (rows,): their features, and their labels.
        note: Why nothing could be looked at; None where it could.
    """

    findings: list[Finding]
    taken: dict[Kind, np.ndarray]
    note: str | None

    def with_losses(self, shifted: Mapping[str, float]) -> "Looked":
        """The same with the change of the loss that goes with each column's shift, ranked by it."""
        return replace(
            self,
            findings=ranked(replace(each, loss_change=shifted.get(each.column)) for each in self.findings),
        )

    def as_record(self) -> dict[str, Any]:
        """The fields of a check's record that stand for it."""
        return {
            "findings": [finding.as_record() for finding in self.findings[:SHOWN]],
            "drifted": sorted({finding.column for finding in self.findings if finding.over}),
            "drift_note": self.note,
        }


def look(house: House, table: KnownTable, champion: Stored, counts: RowCounts) -> Looked:
    """Findings on rows that no check has looked at; the reference is read from the champion's bundle alone.

    Features and predictions are looked at when rows come, the target when its labels have matured. With
    too few of either nothing is said of them, and they are looked at with the next ones.

    Args:
        house: The house.
        table: All rows that had landed by `now`.
        champion: The live version.
        counts: What checks have done with its rows so far.
    """
    kept, version, predictor = champion.reference, champion.version, champion.predictor
    if kept is None:
        text = (
            f"version {version} was made before profiles were kept in the bundle, so drift has nothing to be held "
            "against; the next retraining makes one: `retrim retrain --reason ...`"
        )
        return Looked([], {}, text)
    untested = counts.waiting("tested")[table.places]
    newest = predictor.view.seen(table.only(untested).read())
    importances = importances_of(predictor) if len(newest) >= house.params.drift.min_rows else {}
    drift, asked = house.params.drift, asked_of(house, kept)
    came = findings(kept.rows, newest, drift, time="_event", importances=importances, alarms=asked["rows"])
    came += together(kept.rows, newest, drift, time="_event", alarms=asked["together"], cores=cores())
    if kept.scores is not None:
        scored = stored_scores(house, version, newest["_key"], predictor.view)
        scored = scored.assign(_event=newest["_event"])[scored.notna().all(axis=1)]
        came += findings(kept.scores, scored, drift, time="_event", importances={}, alarms=asked["scores"])
    matured = counts.waiting("target")[table.places] & table.times["_matured"].notna().to_numpy()
    ripe = table.only(matured).read([predictor.view.target])
    labels = ripe[["_event"]].assign(**{TARGET: ripe[predictor.view.target]})
    of_target = findings(kept.rows, labels, drift, time="_event", importances={}, alarms=asked["target"])
    taken: dict[Kind, np.ndarray] = {"tested": untested} if came else {}
    taken |= {"target": matured} if of_target else {}
    return Looked(ranked([*came, *of_target]), {kind: table.in_whole(rows) for kind, rows in taken.items()}, None)


def asked_of(house: House, kept: Reference) -> dict[str, Asked | None]:
    """What features, joint tests, predictions and target may use of the wanted false alarms: an equal part each."""
    alarms = house.params.drift.alarms
    scores = 0 if kept.scores is None else len(kept.scores.columns)
    tests = len(house.params.drift.joint.tests)
    many = {"rows": len(kept.rows.columns) - 1, "together": tests, "scores": scores, "target": 1}
    if alarms is None:
        return dict.fromkeys(many)
    rate = alarms.rate(pd.Timedelta(house.params.data.batch_every))
    total = sum(many.values())
    return {name: Asked(rate, max(n, 1) / total, alarms.draws, alarms.seed) for name, n in many.items()}


def importances_of(predictor: Predictor) -> dict[str, float]:
    """Each feature's share of the gain of the model's splits, 0 to 1; all alike for a model without a split."""
    view = predictor.view
    names, gains = list(view.needs), view.by_feature(predictor.model.gains())
    total = float(gains.sum())
    shares = {name: float(gain) / total if total else 1 / len(names) for name, gain in zip(names, gains, strict=True)}
    return {name: shares[name] for name in view.features}  # the time of an event does not drift
