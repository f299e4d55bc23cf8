"""Drift of a window against what a model was made from, from counts alone."""

import numpy as np
import pandas as pd

from retrim.core.drift.cells import Counts
from retrim.core.drift.profile import ColumnProfile, ProfileParams
from retrim.core.policy.counted import Counted, count_windows
from retrim.core.policy.named import _usual_ks, _usual_psi

FIRST, ROWS, WINDOWS, CHUNKS = 1000, 200, 8, 5
EDGES = FIRST + ROWS * np.arange(WINDOWS + 1)
PARAMS = ProfileParams(
    cells=64, levels=20, buckets=16, block="1D", most_blocks=50, block_rows=20, sample_rows=100, seed=7
)


def counted(shift_from: int) -> Counted:
    """A number and a category; both change for good from a window on."""
    draw = np.random.default_rng(4)
    n = int(EDGES[-1])
    late = np.arange(n) >= EDGES[shift_from]
    rows = pd.DataFrame(
        {
            "x": draw.normal(size=n) + 2.0 * late,
            "kind": pd.Series(np.where(late, draw.choice(["a", "c"], n), draw.choice(["a", "b"], n)), dtype="str"),
            "calm": draw.normal(size=n),
            "at": pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC"),
        }
    )
    features = {"x": "number", "kind": "category", "calm": "number", "at": "time"}
    return count_windows(rows, features, EDGES, PARAMS, chunks=CHUNKS)  # type: ignore[arg-type]


def test_a_window_that_changed_is_seen_against_all_the_past() -> None:
    history = counted(shift_from=3)

    assert history.drifted(_usual_psi, model=3, window=2, sliding_rows=None) == ()
    assert history.drifted(_usual_psi, model=3, window=3, sliding_rows=None) == ("x", "kind")


def test_a_model_made_after_the_change_on_a_sliding_window_sees_none() -> None:
    history = counted(shift_from=3)

    assert history.drifted(_usual_psi, model=7, window=7, sliding_rows=4 * ROWS) == ()
    assert history.drifted(_usual_psi, model=7, window=7, sliding_rows=None) == ("x", "kind")


def test_a_sliding_reference_holds_whole_chunks_of_at_least_its_rows() -> None:
    seen: list[int] = []

    def over(name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
        seen.append(int(reference.rows.sum()))
        return False

    history = counted(shift_from=3)
    for sliding in (1, ROWS, ROWS + 1, 10 * FIRST):
        history.drifted(over, model=2, window=2, sliding_rows=sliding)

    assert seen[::3] == [ROWS, ROWS, 2 * ROWS, FIRST + 2 * ROWS]


def test_ks_is_asked_of_numbers_alone() -> None:
    assert counted(shift_from=3).drifted(_usual_ks, model=3, window=4, sliding_rows=None) == ("x",)


def test_every_row_is_counted_once() -> None:
    history = counted(shift_from=3)
    column = history.columns["x"]

    assert int(column.counts.sum()) == int(EDGES[-1])
    assert history.rows.tolist() == column.counts.sum(axis=1).tolist() == [200] * 5 + [ROWS] * WINDOWS
