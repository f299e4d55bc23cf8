"""What checks have shown counts in a run: as pinned, for refits alone, and on rows before those that judge."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.files import write_file
from retrim.gate.size import Size
from retrim.gate.support import ShownEvidence
from retrim.stats.codec import to_json, to_record
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return make_run_directory(tmp_path_factory.mktemp("first"), stream(ROWS)).run()


def shown(until: pd.Timestamp) -> dict[str, Any]:
    """Forty blocks that end by then, on which refits were better."""
    events = list(pd.date_range(end=until, periods=40, freq="1h"))
    saved = 0.2 + np.random.default_rng(1).normal(0, 0.1, 40)
    refits = {"all": 1 - saved, "sliding": 1 - saved}
    return to_record(ShownEvidence.of_rows(events, np.ones(40), refits, block_rows=1))


def pinned_run_directory(folder: Path, first: Room, *, mode: str = "refit", **pinned: Any) -> Room:
    run_directory = make_run_directory(folder, stream(ROWS + 80), mode=mode, champion=first.bundle)
    write_file(run_directory.paths.pins, to_json({**json.loads(run_directory.paths.pins.read_bytes()), **pinned}))
    return run_directory.run()


def judged(folder: Path, first: Room, pinned: list[dict[str, Any]] | None, *, mode: str = "refit") -> dict[str, Any]:
    return dict(pinned_run_directory(folder, first, mode=mode, shown=pinned).record("verdict/verdict.json"))


def checks(verdict: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in verdict["checks"]}


def test_a_refit_is_asked_for_less_after_checks_that_showed_a_gain(first: Room, tmp_path: Path) -> None:
    table = stream(ROWS + 80)
    early, late = shown(table["_event"].iloc[ROWS - 1]), shown(table["_event"].iloc[-1])
    alone, counted, overlapping = (
        checks(judged(tmp_path / name, first, pinned))
        for name, pinned in (("alone", None), ("counted", [early]), ("overlapping", [late]))
    )

    assert "evidence" not in alone
    assert counted["evidence"]["figure"] > 1000
    assert overlapping["evidence"]["figure"] == 1.0  # all its rows judge
    assert overlapping["gain"]["interval"][0] < alone["gain"]["interval"][0] < counted["gain"]["interval"][0]


def test_what_a_search_found_was_shown_by_no_check(first: Room, tmp_path: Path) -> None:
    pinned = [shown(stream(ROWS)["_event"].iloc[-1])]
    verdict = judged(tmp_path / "search", first, pinned, mode="search")
    evidence = checks(verdict)["evidence"]["figure"]

    assert (evidence > 1) == verdict["winner"].startswith("refit-")


def test_as_many_rows_judge_as_the_pins_say_and_without_them_as_the_setting_says(first: Room, tmp_path: Path) -> None:
    size = to_record(Size(50))
    verdicts = {
        name: pinned_run_directory(tmp_path / name, first, **pinned).record("verdict/verdict.json")
        for name, pinned in (("pinned", {"size": size}), ("none", {"size": None}), ("old", {}))
    }

    assert {name: each["rows"] for name, each in verdicts.items()} == {"pinned": 50, "none": 80, "old": 80}
    assert [each["size"] for each in verdicts.values()] == [size, None, None]
