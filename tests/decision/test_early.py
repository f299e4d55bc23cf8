"""Rows that are not due in a probe and in a policy backtest."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from retrim.decision.policy_backtest import EarlyLabels, FitJob, cut, equal_rows, score_job
from retrim.decision.policy_play import known_from
from retrim.decision.probe import ProbeParams, refit_losses
from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.training.early import early_rows
from retrim.training.recipe import fit_recipe
from tests.builders.late_labels import DATA, TREES, late_table, taken_at


def test_a_probe_takes_in_what_waited_before_its_block() -> None:
    rows, newest = late_table(), np.arange(300, 340)
    params = ProbeParams(blocks=1, min_rows=2, sample_rows=None, when="every")
    fixed: dict[str, Any] = {"window": "all", "sliding_rows": 50, "cores": 1}
    found, waits = (
        refit_losses(rows, newest, TREES, DATA, params, came=came, **fixed) for came in (rows["came"], None)
    )
    view, past, early = taken_at(rows, 300 // 4)
    model = fit_recipe(TREES, view, rows, take=past, threads=1, early=early)
    judged = rows.iloc[newest]

    assert found == pytest.approx(row_losses("log_loss", view.actual(judged), model.predict(view.matrix(judged))))
    assert found != pytest.approx(waits)


def test_a_backtest_holds_a_fit_to_the_rows_that_it_did_not_take_in() -> None:
    """Before the moment at which a fit is made the rows that it took in stand for nothing, the others for them."""
    rows = late_table(600)
    whole = cut(equal_rows(len(rows), first=200, windows=10), blocks=1, block_rows=20)
    job, delay = FitJob("all", 2), 3
    known = known_from(rows["_event"], rows["came"].clip(lower=rows["_due"]), whole, delay=delay)
    fixed: dict[str, Any] = {"sliding_rows": 50, "threads": 1, "at_event": True, "known": known}
    found = score_job(job, rows, whole, TREES, DATA, early=EarlyLabels(rows["came"], delay), **fixed)
    start, at = int(whole.starts[2]), int(whole.starts[2 + delay])
    past = np.flatnonzero(known[:start] <= 2)
    view = FeatureView.learn(rows.iloc[past], DATA)
    early = early_rows(rows, rows["came"], view.actual(rows), past, moment=rows["_event"].iloc[at], classes=2)
    model = fit_recipe(TREES, view, rows, take=past, past=past, threads=1, early=early)
    losses = row_losses("log_loss", view.actual(rows), model.predict(view.matrix(rows)))
    seen = np.isin(np.arange(len(rows)), early.places)
    cells = whole.cells[whole.first_cell(2) :]
    expected = [losses[a:b][~seen[a:b]].mean() * (b - a) for a, b in pairwise(cells)]

    assert seen[start:at].any()
    assert not seen[at:].any()
    assert found.sums == pytest.approx(expected)


def test_the_first_model_of_a_backtest_waits() -> None:
    """It serves from its block on, before the moment at which labels would have come."""
    rows = late_table(600)
    whole = cut(equal_rows(len(rows), first=200, windows=10), blocks=1, block_rows=20)
    fixed: dict[str, Any] = {"sliding_rows": 50, "threads": 1, "at_event": True}
    found, waits = (
        score_job(FitJob("all", 0), rows, whole, TREES, DATA, early=early, **fixed)
        for early in (EarlyLabels(rows["came"], 3), None)
    )
    assert found.sums.tolist() == waits.sums.tolist()
