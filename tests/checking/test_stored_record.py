"""The stored JSON of a check: what every check has must be there, all else may be missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from retrim.decision.check_record import CheckRecord
from retrim.errors import RetrimError
from retrim.stats.codec import from_record

KEPT = Path(__file__).parents[1] / "fixtures" / "checks"
"""Records as the store had them before they were typed; `probed` is the second check of the workspace below."""


def kept(name: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((KEPT / f"{name}.json").read_text(encoding="utf-8"))
    return record


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
