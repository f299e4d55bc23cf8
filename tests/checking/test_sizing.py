"""How many rows judge: in the preview of a check, and in the pins of a run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.checking.sizing import shown_before
from retrim.decision.check_record import CheckRecord
from retrim.decision.pins import Pins
from retrim.retraining import run_directory
from retrim.stats.bootstrap import error_parts
from retrim.stats.codec import from_record
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow  # every test makes a champion with the stages

PinsOf = Callable[..., Pins]
CONCEPT: dict[str, Any] = {"kind": "concept", "size": 2.0, "since": START + pd.Timedelta(10, "D")}
DEAR = {"gain": {"cost": 1000.0}}
EASY = {"gate": {"confidence": 0.7, "non_inferiority": None, "baselines": ["last_value"]}}
DAYS = (14, 16, 18)


def checked(folder: Path, *, changes: dict[str, Any], drift: dict[str, Any] | None = CONCEPT) -> Desk:
    """A desk with a version as of day 10, and three checks of two days each."""
    desk = make_desk(folder / "workspace", drift=drift, changes=changes, version_at=10)
    for day in DAYS:
        desk.pass_days(day - 2, day)
    return desk


@pytest.fixture
def pins(monkeypatch: pytest.MonkeyPatch) -> PinsOf:
    """The pins of a room that is opened."""

    def opened(desk: Desk, *, mode: str = "refit", by_gain: bool = True) -> Pins:
        kept: list[Pins] = []
        monkeypatch.setattr(run_directory.dvc, "open_stage_session", lambda *_, **given: kept.append(given["pins"]))
        monkeypatch.setattr(run_directory, "pinned_code", lambda *_: None)
        monkeypatch.setattr(run_directory.git, "file_at", lambda *_: b"")
        monkeypatch.setattr(run_directory, "stated_at", lambda *_: desk.workspace.params.as_stated())
        taken = git.Snapshot("a" * 40, ())
        run_directory.open_run_directory(
            desk.workspace, "one", as_of=desk.day(18), mode=mode, taken=taken, by_gain=by_gain
        )
        return kept[0]

    return opened


def newest(desk: Desk) -> dict[str, Any]:
    return desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].record


def test_a_clear_gain_is_judged_on_fewer_rows_and_the_preview_takes_as_many(tmp_path: Path, pins: PinsOf) -> None:
    desk = checked(tmp_path, changes={**DEAR, **EASY})
    size, record = pins(desk).size, newest(desk)
    assert size is not None
    assert size.power is not None
    (life,) = shown_before(desk.workspace, 1, record["probe"]["losses"]["of"])[-1:]
    blocks = size.rows // len(error_parts(48, block_rows=6)[0])
    gains = [1 - each[-blocks:].mean() / life.champion[-blocks:].mean() for each in life.refits.values()]

    assert 24 <= size.rows < 48
    assert size.power >= 0.8
    assert f"{max(gains):.1%}" in record["probe"]["preview"]["reason"]


def test_a_run_that_the_account_did_not_start_is_asked_for_more(tmp_path: Path, pins: PinsOf) -> None:
    desk = checked(tmp_path, changes=DEAR)
    own, others = (pins(desk, by_gain=each) for each in (True, False))

    assert others.shown is None
    assert others.size is not None
    assert own.size is not None
    assert others.size.effect == own.size.effect


def test_before_any_probe_the_setting_says_how_many_judge(tmp_path: Path, pins: PinsOf) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 18), 18)
    first = pins(desk, mode="search", by_gain=False)
    desk.make_version(18)

    assert first.size is None
    assert pins(desk).size is None


@pytest.mark.parametrize("kept", [{"gate": {"min_rows": 48}}])
def test_rows_that_a_setting_counts_on_all_judge(tmp_path: Path, pins: PinsOf, kept: dict[str, Any]) -> None:
    size = pins(checked(tmp_path, changes={**DEAR, **kept})).size
    assert size is not None
    assert size.rows == 48


def test_where_no_size_shows_what_the_account_holds_it_is_said_with_the_setting_that_would(tmp_path: Path) -> None:
    cheap = {"gain": {"cost": 1e-6, "errors": 0.0}, "gate": {**EASY["gate"], "min_gain": 0.9}}
    desk = checked(tmp_path, changes=cheap)
    record = from_record(CheckRecord, newest(desk))
    said = record.short

    assert said is not None
    assert "48 holdout rows" in said
    assert "gate.min_gain: 0." in said
    assert replace(record, gain=replace(record.gain, retraining_cost=1e6)).short is None
