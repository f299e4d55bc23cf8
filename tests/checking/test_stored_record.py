"""The stored JSON of a check: what version 0.1.0 wrote is read, and written again to the letter."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from retrim.decision.check_record import CheckRecord
from retrim.errors import RetrimError
from retrim.stats.codec import from_record, to_record
from tests.builders.desk import START, make_desk

KEPT = Path(__file__).parents[1] / "fixtures" / "checks"
"""Records as the store had them before they were typed; `probed` is the second check of the workspace below."""


def kept(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    return record


def spelled(record: Any) -> str:
    return json.dumps(record, sort_keys=True)


def keys_of(value: Any, place: str = "") -> Iterator[str]:
    """Every key by its path, and what kind of value it has."""
    if isinstance(value, dict):
        for name, held in value.items():
            yield from keys_of(held, f"{place}.{name}")
    elif isinstance(value, list) and value:
        yield from keys_of(value[0], f"{place}[]")
    else:
        yield f"{place}: {type(value).__name__}"


@pytest.mark.parametrize("name", sorted(path.stem for path in KEPT.glob("*.json")))
def test_a_record_of_an_earlier_store_is_written_again_to_the_letter(name: str) -> None:
    assert spelled(to_record(from_record(CheckRecord, kept(name)))) == spelled(kept(name))


@pytest.mark.slow
def test_a_check_keeps_every_key_that_it_kept_before(tmp_path: Path) -> None:
    changes = {"train": {"windows": ["all", "sliding"]}, "split": {"sliding_rows": 48}, "gain": {"cost": 1000.0}}
    drift = {"kind": "concept", "size": 2.0, "since": START.replace(day=11)}
    desk = make_desk(tmp_path / "workspace", drift=drift, changes=changes)
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    for day in (13, 16):
        desk.land(desk.rows(day - 3, day), day)
        desk.check(day)
    stored = desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].record

    assert set(keys_of(stored)) == set(keys_of(kept("probed")))


@pytest.mark.parametrize("lost", ["as_of", "accumulated_gain", "retraining_cost"])
def test_a_record_without_what_every_check_has_is_damaged(lost: str) -> None:
    record = kept("probed")
    del record[lost]

    with pytest.raises(RetrimError, match=rf"CheckRecord .*{lost}: "):
        from_record(CheckRecord, record)


def test_a_record_of_before_there_were_approvals_and_previous_champions_is_read() -> None:
    record = kept("probed")
    for later in ("previous_champions", "probation", "rolled_back", "held", "settled", "stopped", "outlook", "served"):
        del record[later]

    assert from_record(CheckRecord, record).previous_champions is None
