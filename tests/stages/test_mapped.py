"""Very many rows stay on the disk: the frames and the bundle are those of rows in memory."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.features import view
from retrim.reading.frames import read_frame, read_mapped
from retrim.stages import _common
from retrim.stats.codec import to_parquet
from tests.builders.run_directory import make_run_directory, stream

ROWS = 480


def test_a_mapped_frame_is_the_one_in_memory(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    numbers = np.where(draw.random(1000) < 0.1, np.nan, draw.normal(size=1000))
    made = pd.DataFrame({"a": numbers, "k": draw.choice(["x", "y"], 1000), "n": np.arange(1000), "b": numbers * 2})
    path = tmp_path / "view.parquet"
    path.write_bytes(to_parquet(made))

    pd.testing.assert_frame_equal(read_mapped(path, coded=["k"]), read_frame(path, coded=["k"]))
    assert [each.name for each in tmp_path.iterdir()] == ["view.parquet"]


def test_its_numbers_are_no_copy_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "view.parquet"
    path.write_bytes(to_parquet(pd.DataFrame({"a": np.arange(9.0), "b": np.arange(9.0)})))
    column = read_mapped(path, coded=[])["b"].iloc[2:5].to_numpy()
    base = column
    while base.base is not None and not isinstance(base, np.memmap):
        base = base.base

    assert isinstance(base, np.memmap)


def test_a_retraining_on_mapped_rows_makes_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = make_run_directory(tmp_path / "memory", stream(ROWS)).run().bundle
    for module in (view, _common):
        monkeypatch.setattr(module, "WHOLE_CELLS", 0)

    assert make_run_directory(tmp_path / "mapped", stream(ROWS)).run(cores=2).bundle == in_memory
