"""A sample of stored predictions is made again each day: a bit that differs is an alert."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrim.checking import score as score_module
from retrim.checking.score import recompute, recompute_daily, score
from retrim.files import folder_digest
from retrim.landing.quarantine import Quarantine, QuarantinedBatch
from retrim.lineage.workspace import Workspace
from tests.builders.desk import Desk, copy_of, make_desk

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)
    desk.land(desk.rows(10, 12), 12)
    score(desk.workspace, now=desk.day(12))
    return desk


def alerts(desk: Desk, kind: str = "predictions differ") -> list[str]:
    return [row.text for row in desk.workspace.store.alerts("generated") if row.kind == kind]


def test_what_nobody_touched_agrees_to_the_bit(made: Desk) -> None:
    sample = recompute(made.workspace, seed=1)

    assert (sample.version, sample.rows, sample.differing) == (1, 96, ())


def test_a_row_that_was_corrected_since_is_made_again_as_it_was(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    desk.land(desk.rows(10, 11).assign(level=9.0), 13, correction=True)

    assert recompute(desk.workspace, seed=1).differing == ()


def test_a_bit_that_differs_is_an_alert(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    (path,) = (desk.workspace.paths.var / "predictions").rglob("*.parquet")
    rows, backup = pq.read_table(path), path.read_bytes()
    values = rows["prediction"].to_numpy().copy()
    values[3] = np.nextafter(values[3], np.inf)
    place = rows.column_names.index("prediction")
    pq.write_table(rows.set_column(place, "prediction", pa.array(values)), path)
    recompute_daily(desk.workspace, now=desk.day(13))

    (text,) = alerts(desk)
    path.write_bytes(backup)
    after = recompute_daily(desk.workspace, now=desk.day(14))

    assert f"{rows['key'][3]}@1" in text
    assert after is not None
    assert (after.rows, after.differing) == (96, ())


def test_a_version_that_was_altered_is_an_alert_and_the_day_is_done(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    for path in desk.workspace.registry.bundle_folder(1).rglob("model.txt"):
        path.chmod(0o600)
        path.write_bytes(path.read_bytes() + b"\n")
    sample, again = (recompute_daily(desk.workspace, now=desk.day(day)) for day in (13, 13.5))

    assert (sample is not None and sample.rows, again) == (0, None)
    found = folder_digest(desk.workspace.registry.bundle_folder(1))
    assert [found[:12] in text for text in alerts(desk, "flow failed")] == [True]


def test_a_version_that_fails_in_a_way_of_its_own_is_an_alert_and_the_day_is_done(
    made: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(workspace: Workspace, version: int) -> None:
        raise ZeroDivisionError("of a custom model")

    desk = copy_of(made, tmp_path / "workspace")
    monkeypatch.setattr(score_module, "load_stored_version", failing)
    sample, again = (recompute_daily(desk.workspace, now=desk.day(day)) for day in (13, 13.5))

    assert (sample is not None and sample.rows, again) == (0, None)
    assert alerts(desk) == []
    assert alerts(desk, "flow failed") == [
        "stored predictions could not be recomputed, so none were compared: ZeroDivisionError: of a custom model"
    ]


def test_predictions_whose_rows_are_not_there_any_more_are_left_out(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    (path,) = (desk.workspace.paths.var / "predictions").rglob("*.parquet")
    rows = pq.read_table(path)
    keys = pa.array([f"{key} of another table" for key in rows["key"].to_pylist()])
    pq.write_table(rows.set_column(rows.column_names.index("key"), "key", keys), path)
    sample = recompute_daily(desk.workspace, now=desk.day(13))

    assert (sample is not None and sample.rows, alerts(desk)) == (0, [])


def test_there_is_one_sample_a_day(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    samples = [recompute_daily(desk.workspace, now=desk.day(day)) for day in (13, 13.5, 14)]

    assert [sample is None for sample in samples] == [False, True, False]


def test_a_batch_that_was_released_since_is_no_past_of_a_prediction(tmp_path: Path) -> None:
    features = [{"of": "level", "lag": 1}, {"of": "level", "over": "6h", "stat": "mean"}]
    desk = make_desk(tmp_path / "workspace", data={"history": {"features": features}}, version_at=10)
    desk.land(desk.rows(10.5, 12), 12)
    score(desk.workspace, now=desk.day(12))
    desk.land(desk.rows(10, 10.5).assign(level=99.0), 11)
    (late,) = (file for file in desk.workspace.landing.batches() if file.arrived == desk.day(11))
    held = QuarantinedBatch(
        digest=late.digest,
        kind="rows",
        correction=False,
        file="late.csv",
        size=1,
        arrived=late.arrived,
        state="held",
        by="",
        reason="",
        closed=None,
        faults=(),
    )
    quarantine = Quarantine(desk.workspace.paths.quarantine)
    quarantine.put(held, b"1")
    quarantine.close(held, state="released", by="a test", reason="true", now=desk.day(13))
    sample = recompute(desk.workspace, seed=1)

    assert (sample.rows, sample.differing) == (84, ())


def test_without_predictions_nothing_is_made_again(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")

    assert recompute(desk.workspace, seed=1).rows == 0
