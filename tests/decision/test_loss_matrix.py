"""The loss matrix: what it reads off is what the live probe reads from the rows themselves."""

import numpy as np
import pytest

from retrim.decision.policy_backtest import FitInputs, LossMatrix, PolicyDelays, cut, equal_rows, jobs, known_from
from retrim.decision.policy_gate import LiveModel, Setting
from retrim.decision.probe import ProbeParams, refit_losses
from retrim.errors import RefusedError
from retrim.features.fitted import PrepareParams
from tests.builders.turning import (
    BLOCKS,
    DATA,
    KINDS,
    SLIDING,
    START,
    TREES,
    USUAL,
    WINDOWS,
    live_reading,
    losses_of,
    matrix,
    rows_of,
    table,
    whole,
)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize(("model", "window"), [(0, 0), (0, 4), (1, 3), (5, 6)])
def test_it_reads_what_the_live_probe_reads(kind: int, model: int, window: int) -> None:
    setting = Setting(matrix(), (kind,), PolicyDelays(0, 0), BLOCKS, [START] * (WINDOWS + 1), None)
    found = setting.read(LiveModel(model, kind, model), window)
    live = live_reading(losses_of(model, KINDS[kind], rows_of(window)), KINDS[kind], window)

    assert found.rows == live.rows
    assert (found.champion_loss, found.probe_loss, found.error) == pytest.approx(
        (live.champion_loss, live.probe_loss, live.error), rel=1e-9
    )


def test_its_totals_are_mean_losses_by_the_share_of_a_usual_check() -> None:
    rows = rows_of(5)
    by_hand = losses_of(1, "sliding", rows).mean() * len(rows) / USUAL

    assert matrix().totals[1, 1, 5] == pytest.approx(by_hand, rel=1e-9)


def test_a_window_before_its_model_has_no_loss() -> None:
    before = np.arange(WINDOWS)[:, None] > np.arange(WINDOWS)

    assert np.array_equal(np.isnan(matrix().totals[0]), before)


def test_late_labels_make_the_probe_as_old() -> None:
    # With labels one window late the first block of window 3 is judged by the model made before window 2.
    late, older = matrix().probe_sums(3, 0, labels=1, blocks=1), matrix().model_sums(3, 0, 2)

    np.testing.assert_array_equal(late, older)


def test_a_missing_fit_is_noticed() -> None:
    with pytest.raises(ValueError, match="missing"):
        LossMatrix.of(KINDS, whole(), [], rows_per_check=40, back=0)


def test_a_window_too_short_for_its_blocks_is_refused() -> None:
    with pytest.raises(RefusedError, match="2 blocks"):
        cut(equal_rows(93, first=90, windows=3), blocks=2, block_rows=5)


def test_steps_learn_from_all_the_past_as_those_of_the_live_probe_do() -> None:
    # Fences of all the past are others than those of a sliding window of it.
    steps = PrepareParams.model_validate(
        {"steps": [{"step": "clip", "columns": ["x"], "by": "zscore", "reach": 0.5, "at_most": 1.0}]}
    ).steps
    job = next(job for job in jobs(whole(), KINDS) if job.kind == "sliding" and job.origin == 8)
    found = FitInputs(table(), whole(), TREES, DATA, SLIDING, steps).score(job)
    params = ProbeParams(blocks=1, min_rows=2, when="every")
    newest = np.arange(int(whole().starts[job.origin]), len(table()))
    live = refit_losses(table(), newest, TREES, DATA, params, steps, window="sliding", sliding_rows=SLIDING, cores=1)

    assert found.sums.sum() == pytest.approx(live.sum(), rel=1e-9)


def test_where_a_delay_keeps_the_fits_back_every_earlier_row_is_fitted_on() -> None:
    job = next(job for job in jobs(whole(), KINDS) if job.kind == "all" and job.origin == 8)
    rows = [
        FitInputs(table(), whole(), TREES, DATA, SLIDING, at_event=said).score(job).fitted_rows
        for said in (False, True)
    ]

    # Labels are due after three hours: the two rows before are not known yet.
    assert rows == [whole().starts[8] - 2, whole().starts[8]]


def test_a_fit_knows_no_label_that_came_after_it_was_made() -> None:
    # Every label is due at once; those of rows 10 to 19 come as block 12 begins. With labels one window late a fit
    # before block 12 - BLOCKS is made at that moment.
    rows = table().assign(_due=table()["_event"])
    begins = rows["_event"].iloc[whole().starts].reset_index(drop=True)
    late = np.isin(np.arange(len(rows)), np.arange(10, 20))
    known = known_from(rows["_event"], rows["_event"].mask(late, begins[12]), whole(), delay=1)
    missing = {
        job.origin: whole().starts[job.origin]
        - FitInputs(rows, whole(), TREES, DATA, SLIDING, known=known).score(job).fitted_rows
        for job in jobs(whole(), KINDS)
        if job.kind == "all" and job.origin in (11 - BLOCKS, 12 - BLOCKS)
    }

    assert missing == {11 - BLOCKS: 10, 12 - BLOCKS: 0}
