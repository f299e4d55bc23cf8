"""Columns of which a fault is no more than a warning: the batch lands as suspicious, and what follows goes on."""

import json
from dataclasses import replace

import numpy as np
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.serving.request_rows import WrongRequestError, typed_rows
from retrim.table.data import DataParams
from retrim.table.reading import ReadingParams
from tests.builders.counter import GOOD, HEAVY, NEXT, Counter
from tests.builders.desk import make_desk
from tests.builders.http_client import ROW, served_version


def warn(data: DataParams, name: str) -> DataParams:
    document = data.model_dump()
    document["columns"][name]["faults"] = "warn"
    return DataParams.model_validate(document)


@pytest.fixture
def warned(counter: Counter) -> Counter:
    counter.data = warn(counter.data, "weight")
    return counter


def test_a_broken_bound_or_type_there_lands_as_suspicious(warned: Counter) -> None:
    bound, spelled = warned.land(HEAVY), warned.land(GOOD.replace("0.5", "half"))

    assert [(landed.outcome, landed.verdict) for landed in (bound, spelled)] == [("landed", "suspicious")] * 2
    assert [fault.column for fault in (*bound.faults, *spelled.faults)] == ["weight", "weight"]
    assert all("batch withdraw" in fault.cure for fault in bound.faults)
    assert all("weight" in batch.suspicious for batch in Landing(warned.workspace.landing).batches())
    assert warned.table()["weight"].to_dict() == {"1": pytest.approx(np.nan, nan_ok=True), "2": 1.5, "3": 0.5, "4": -1}


def test_a_fault_elsewhere_holds_the_batch_back_and_both_are_said(warned: Counter) -> None:
    held = warned.land(NEXT.replace("0.5,2", "half,many"))

    assert (held.outcome, {fault.column for fault in held.faults}) == ("quarantined", {"items", "weight"})


def test_no_row_can_do_without_its_key_its_time_or_its_label(counter: Counter) -> None:
    for name in ("order", "at", "price"):
        with pytest.raises(ValueError, match="cannot be warn"):
            warn(counter.data, name)
    assert "faults" not in json.dumps(counter.data.model_dump(mode="json"))


@pytest.mark.slow
def test_a_request_is_answered_without_the_cell(tmp_path_factory: pytest.TempPathFactory) -> None:
    needs = served_version(make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)).needs
    rows = [{**ROW, "level": "high"}]
    with pytest.raises(WrongRequestError):
        typed_rows(rows, needs, ReadingParams())

    assert np.isnan(typed_rows(rows, replace(needs, warned=frozenset({"level"})), ReadingParams())["level"].iloc[0])
