"""`retrim profile` of what has landed and of raw files: whose rows it looks at, and which it writes."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.onboarding import profile as ops
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.profile import landed_table, profile, raw_table, write_rows
from retrim.profile.findings import findings
from retrim.profile.whole import TableProfile
from retrim.reading.landed_rows import LandedRows
from retrim.reading.raw import read_raw
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.raw_tables import csv, table


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 is live; rows of 16 days have landed in two batches."""
    made = make_desk(tmp_path_factory.mktemp("profile"), task="binary")
    made.land(made.rows(0, 12), 12)
    made.make_version(12)
    made.land(made.rows(12, 16), 16)
    return made


@pytest.fixture(scope="module")
def look(desk: Desk) -> TableProfile:
    return profile(desk.workspace, as_of=desk.day(17), rows=50_000)


def test_the_rows_are_those_of_the_table_that_had_landed_by_then(desk: Desk, look: TableProfile) -> None:
    before = landed_table(desk.workspace, as_of=desk.day(13))
    rows = pd.concat([desk.rows(0, 12), desk.rows(12, 16)], ignore_index=True)

    assert (before.rows, look.table.rows) == (12 * 24, 16 * 24)
    assert look.table.column("level").tolist() == rows["level"].tolist()
    assert look.columns["number"].hidden == "forbidden to the model"
    with pytest.raises(BadInputError, match="2020"):
        profile(desk.workspace, as_of=pd.Timestamp("2020-01-01", tz="UTC"), rows=10)


def test_a_feature_from_the_past_is_looked_at_too(desk: Desk) -> None:
    past = {"entity": [], "ahead": None, "known_ahead": [], "features": [{"of": "level", "lag": 1}]}
    with_past = with_params(desk, data={"history": past})
    made = landed_table(with_past.workspace, as_of=desk.day(17))

    assert made.column("level lag 1").tolist()[1:] == made.column("level").tolist()[:-1]


def test_a_label_that_came_later_is_looked_at(tmp_path: Path) -> None:
    desk = make_desk(tmp_path, labels="later")
    rows = desk.rows(0, 4)
    desk.land(rows.assign(outcome=float("nan")), 4)
    desk.land(rows.head(50), 5, kind="labels")
    known = [landed_table(desk.workspace, as_of=desk.day(day)) for day in (4.5, 6)]

    assert [int(made.column("outcome").notna().sum()) for made in known] == [0, 50]
    assert [made.mature for made in known] == [0, 50]


def test_columns_are_read_a_few_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[list[str]] = []
    inner = LandedRows.narrow
    monkeypatch.setattr(ops, "CELLS", 2 * 16 * 24)
    monkeypatch.setattr(LandedRows, "narrow", lambda rows, names: (read.append(list(names)), inner(rows, names))[1])
    made = landed_table(desk.workspace, as_of=desk.day(17))
    for name in desk.workspace.params.data.columns:
        made.column(name)

    assert max(map(len, read[1:])) == 2


def test_rows_are_written_without_the_columns_whose_values_are_not_shown(look: TableProfile, tmp_path: Path) -> None:
    dropped = write_rows(look, tmp_path / "rows.parquet")
    rows = pd.read_parquet(tmp_path / "rows.parquet")

    assert "number" in dropped
    assert set(rows) == set(look.columns) - set(dropped)
    assert rows["level"].tolist() == look.table.column("level").tolist()
    with pytest.raises(BadInputError, match=re.escape(str(tmp_path / "gone" / "a.parquet"))):
        write_rows(look, tmp_path / "gone" / "a.parquet")


def raw(frame: pd.DataFrame, target: str = "minutes", **wishes: object) -> TableProfile:
    made, notes = raw_table(read_raw(csv(frame), "table"), InitRequest(target=target, model="own", **wishes))  # type: ignore[arg-type]
    return ops.profile_table(made, rows=1000, seed=7, threads=1, given=notes)


def test_a_raw_file_is_read_as_init_reads_it_and_put_in_order_of_time() -> None:
    frame = table().iloc[::-1]
    commas = {name: [f"{value:.2f}".replace(".", ",") for value in frame[name]] for name in ("km", "minutes")}
    look = raw(frame.assign(**commas))

    assert (look.table.data.task, look.columns["km"].type) == ("regression", "number")
    assert "decimal comma" in {note.about for note in look.given}
    assert look.table.event.is_monotonic_increasing
    assert look.table.column("km").tolist() == frame["km"].tolist()[::-1]


def test_a_raw_file_without_times_is_taken_in_its_order() -> None:
    look = raw(table(at=None))

    assert (look.table.timed, look.period_rows) == (False, 20)


def test_a_key_of_a_raw_file_that_was_forbidden_is_shown_nowhere() -> None:
    # Labels that km tells, ten of them turned: they are suspects, which are named by their key.
    frame = table()
    frame["ticket"] = [f"zzqx-{row}" for row in range(400)]
    frame["far"] = np.where((frame["km"] > 3.4) ^ (np.arange(400) % 40 == 0), "yes", "no")
    looks = (raw(frame, "far", forbid=forbid) for forbid in ((), ("ticket",)))
    open_, barred = (look.as_record()["label_noise"]["keys"] for look in looks)

    assert {name[:5] for name in open_} == {"zzqx-"}
    assert {name[:4] for name in barred} == {"row "}


def test_a_personal_column_of_a_raw_file_is_named_and_neither_shown_nor_written(tmp_path: Path) -> None:
    frame = table(mail=[f"zzqx{number}@example.org" for number in range(400)])
    look, kept = raw(frame), raw(frame, keep=("mail",))
    dropped = write_rows(kept, tmp_path / "rows.parquet")

    assert look.table.left_out == {"mail": "looks like an email address"}
    assert "zzqx" not in "\n".join(map(str, findings(look)))
    assert "mail" in dropped
    assert b"zzqx" not in (tmp_path / "rows.parquet").read_bytes()
