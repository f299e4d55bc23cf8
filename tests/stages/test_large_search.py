"""The search on a table that memory holds once: one fit at a time, each with all cores, and the same trials."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retrim.stages import tune
from tests.builders.run_directory import Room, make_run_directory, stream


@pytest.fixture
def searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[Room, list[tuple[int, int]]]]:
    """A search on two cores: its run directory, and for each fit how many ran by then and its threads."""
    fit = tune.fit_balanced

    def search(name: str) -> tuple[Room, list[tuple[int, int]]]:
        running: list[None] = []
        seen: list[tuple[int, int]] = []

        def watched(*arguments: Any) -> Any:
            running.append(None)
            seen.append((len(running), arguments[-1].threads))
            try:
                return fit(*arguments)
            finally:
                running.pop()

        monkeypatch.setattr(tune, "fit_balanced", watched)
        run_directory = make_run_directory(tmp_path / name, stream(480))
        run_directory.features()
        run_directory.tune(cores=2)
        return run_directory, seen

    return search


def test_a_large_table_is_searched_one_fit_at_a_time_with_all_cores(
    searched: Callable[[str], tuple[Room, list[tuple[int, int]]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    small, fits = searched("small")
    monkeypatch.setattr(tune, "WHOLE_CELLS", 0)
    large, fits_of_large = searched("large")

    assert {threads for _, threads in fits} == {1}
    assert set(fits_of_large) == {(1, 2)}
    assert large.record("tuning/trials.json") == small.record("tuning/trials.json")
