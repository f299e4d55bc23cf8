"""`retrim predict IN OUT`: what it writes is what the version says, once, wherever rows come from and go."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from retrim.errors import BadInputError, BusyError, RefusedError, UnknownNameError
from retrim.landing.as_of_view import read_as_of
from retrim.reading.table import RULES
from retrim.release.versions import load_stored_version
from retrim.serving import predict as module
from retrim.serving import rows_in, rows_out
from retrim.serving.predict import PredictedRows, UnseenValues, predict
from tests.builders.desk import Desk, copy_of, make_desk, with_params
from tests.builders.workbooks import workbook

pytestmark = pytest.mark.slow

LATER = {"label_horizon": "3D"}
FEATURES = ["at", "number", "level", "slope", "noise", "group"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 is live on day 10; rows of later days have not landed."""
    return make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)


def run(desk: Desk, where: object, to: object, **options: Any) -> PredictedRows:
    given: dict[str, Any] = {"version": None, "explained": 0, "query": None, "table": None, "into": "predictions"}
    return predict(desk.workspace, str(where), str(to), now=desk.day(12), **given | options)


def new_rows(desk: Desk) -> pd.DataFrame:
    return desk.rows(10, 12)[FEATURES]


def said(desk: Desk, rows: pd.DataFrame) -> np.ndarray:
    return load_stored_version(desk.workspace, 1).predictor.predict(rows)


def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few rows, so that 48 rows make several."""
    monkeypatch.setattr(rows_in, "ROWS", 10)
    monkeypatch.setattr(rows_in, "TEXT", 700)
    monkeypatch.setattr(rows_in, "SPOOLED", 10)


def in_form(rows: pd.DataFrame, form: str, folder: Path) -> str:
    """Rows as IN of a form."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "csv":
        rows.to_csv(folder / "in.csv", index=False)
        return str(folder / "in.csv")
    if form == "jsonl":
        rows.assign(at=rows["at"].astype(str)).to_json(folder / "in.jsonl", orient="records", lines=True)
        return str(folder / "in.jsonl")
    if form == "parquet":
        rows.to_parquet(folder / "in.parquet", index=False)
        return str(folder / "in.parquet")
    if form == "excel":
        cells = rows.assign(at=rows["at"].astype(str)).astype(object)
        (folder / "in.xlsx").write_bytes(workbook(new=[list(cells.columns), *cells.to_numpy().tolist()]))
        return str(folder / "in.xlsx")
    if form == "arrow":
        with pa.ipc.new_file(folder / "in.arrow", (table := pa.Table.from_pandas(rows)).schema) as file:
            file.write_table(table)
        return str(folder / "in.arrow")
    if form == "folder":
        for group, part in rows.groupby("group"):
            (folder / "in" / f"group={group}").mkdir(parents=True)
            part.drop(columns="group").to_parquet(folder / "in" / f"group={group}" / "rows.parquet", index=False)
        return str(folder / "in")
    if form == "address":
        rows.to_parquet(folder / "in.parquet", index=False)
        return f"file://{folder}/in.parquet"
    engine = sa.create_engine(f"sqlite:///{folder}/in.db")
    rows.assign(at=rows["at"].astype(str)).to_sql("new", engine, index=False)
    return f"sqlite:///{folder}/in.db"


def test_columns_of_in_are_kept_and_the_highest_prediction_comes_first(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk).assign(name=[f"person {number}" for number in range(48)], floor=0.5)
    where = in_form(rows, "csv", tmp_path)
    run(desk, where, tmp_path / "plain.parquet")
    run(desk, where, tmp_path / "out.parquet", keep=("name", "level"), by_risk=True)
    plain, found = (pd.read_parquet(tmp_path / file) for file in ("plain.parquet", "out.parquet"))

    assert "name" not in plain
    assert found["prediction"].tolist() == sorted(plain["prediction"], reverse=True)
    assert found["name"].tolist() == [f"person {row}" for row in found["row"]]
    assert found["level"].astype(float).tolist() == rows["level"].iloc[found["row"]].tolist()
    with pytest.raises(UnknownNameError, match="'nme'"):
        run(desk, where, tmp_path / "other.parquet", keep=("nme",))


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "excel", "arrow", "folder", "address", "database"])
def test_rows_of_every_form_get_what_the_version_says(
    form: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk)
    done = run(desk, in_form(rows, form, tmp_path), tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")

    assert (done.rows, done.rejected, done.rejected_in) == (len(rows), 0, None)
    assert found["row"].tolist() == list(range(len(rows)))
    by_key = found.set_index("number").loc[rows["number"]]
    np.testing.assert_allclose(by_key["prediction"], said(desk, rows), rtol=1e-6 if form == "jsonl" else 0)
    assert set(found["version"]) == {1}


@pytest.mark.parametrize("to", ["out.csv", "out.parquet", "out.arrow", "out", "file", "database"])
def test_predictions_go_to_every_form(to: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk)
    where = in_form(rows, "csv", tmp_path)
    address = {"file": f"file://{tmp_path}/there/out.csv", "database": f"sqlite:///{tmp_path}/out.db"}
    run(desk, where, address.get(to, tmp_path / to))
    if to == "database":
        found = pd.read_sql("select * from predictions", sa.create_engine(address[to]))
    elif to == "out.arrow":
        found = pa.ipc.open_file(tmp_path / to).read_pandas()
    elif to == "out":
        found = pd.read_parquet(tmp_path / to)
        assert len(list((tmp_path / to).iterdir())) > 1
    else:
        path = tmp_path / ("there/out.csv" if to == "file" else to)
        found = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)

    np.testing.assert_array_equal(found.sort_values("row")["prediction"], said(desk, rows))


def test_bad_cells_go_beside_with_row_column_value_and_reason_and_the_rest_is_predicted(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk).astype({"level": object, "group": object})
    rows.loc[3, "level"] = "much"
    rows.loc[30, "slope"] = np.inf
    lines = rows.to_csv(index=False).encode().splitlines(keepends=True)
    lines[8] = lines[8].replace(b"\n", b",one too many\n")  # row 7
    lines[21] = lines[21][:-2] + b"\xff\n"  # row 20: its group is no UTF-8
    (tmp_path / "in.csv").write_bytes(b"".join(lines))
    done = run(desk, tmp_path / "in.csv", tmp_path / "out.csv")
    found, rejected = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "out.rejected.csv")

    assert (done.rows, done.rejected, done.rejected_in) == (44, 4, str(tmp_path / "out.rejected.csv"))
    assert rejected["row"].tolist() == [3, 7, 20, 30]
    assert rejected["column"].fillna("").tolist() == ["level", "", "group", "slope"]
    assert rejected["value"][0] == "much"
    assert rejected["reason"][0] == f"breaks the rule: {RULES['number']}"
    good = sorted(set(range(48)) - {3, 7, 20, 30})
    assert found["row"].tolist() == good
    np.testing.assert_array_equal(found["prediction"], said(desk, new_rows(desk).iloc[good]))


def test_rejected_cells_of_a_database_name_it(desk: Desk, tmp_path: Path) -> None:
    where = in_form(new_rows(desk), "database", tmp_path)
    with sa.create_engine(where).begin() as connection:
        connection.execute(sa.text("update new set level = 'much' where number = 241"))
    run(desk, where, tmp_path / "out.csv")

    assert pd.read_csv(tmp_path / "out.rejected.csv")["file"].tolist() == [where]


def test_whatever_a_suite_asks_of_a_row_keeps_it_out(desk: Desk, tmp_path: Path) -> None:
    asked = with_params(copy_of(desk, tmp_path / "workspace"), data={"suite": "expectations/rows.json"})
    expectations = [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "level", "max_value": 5}},
        {"type": "expect_column_value_lengths_to_be_between", "kwargs": {"column": "group", "max_value": 3}},
        {
            "type": "expect_column_pair_values_a_to_be_greater_than_b",
            "kwargs": {"column_A": "level", "column_B": "slope"},
        },
        {"type": "expect_table_row_count_to_be_between", "kwargs": {"min_value": 10_000}},
        {"type": "expect_column_values_to_be_of_type", "kwargs": {"column": "level", "type_": "int64"}},
    ]
    suite = asked.workspace.paths.root / "expectations" / "rows.json"
    suite.write_text(json.dumps({"name": "s", "expectations": expectations}))
    rows = new_rows(asked)
    rows["level"], rows["slope"] = 2.0, 1.0
    rows.loc[3, "group"], rows.loc[[5, 7], "level"] = "long", [0.5, 7.0]
    run(asked, in_form(rows, "parquet", tmp_path), tmp_path / "out.csv")
    rejected = pd.read_csv(tmp_path / "out.rejected.csv")

    assert rejected[["row", "column", "value"]].values.tolist() == [
        [3, "group", "long"], [5, "level, slope", "0.5"], [7, "level", "7.0"],
    ]  # fmt: skip
    assert rejected["reason"].iloc[-1] == "breaks the rule: is at most 5"


def test_values_that_training_did_not_know_are_counted_with_an_example(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk)
    rows.loc[[3, 15, 30], "group"], rows.loc[4, "group"] = ["new", "fresh", "new"], None
    where = in_form(rows, "parquet", tmp_path)
    done, again = (run(desk, where, tmp_path / "out.parquet") for _ in range(2))

    assert (done.unseen, again.unseen) == ({"group": UnseenValues(3, "fresh")},) * 2


def test_a_missing_column_is_an_error_that_names_it(desk: Desk, tmp_path: Path) -> None:
    where = in_form(new_rows(desk).drop(columns=["slope", "group"]), "parquet", tmp_path)

    with pytest.raises(BadInputError, match=f"{re.escape(str(where))} .* slope, group,"):
        run(desk, where, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("spelt", "said"),
    [
        ((",", ";"), "separate the columns with commas; the header is 'at;number"),
        ((",level", ", level"), "column names must match exactly, .*: ' level' is not 'level'"),
    ],
)
def test_columns_that_are_spelt_otherwise_are_told(
    spelt: tuple[str, str], said: str, desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(new_rows(desk).to_csv(index=False).replace(*spelt), encoding="utf-8")

    with pytest.raises(BadInputError, match=said):
        run(desk, tmp_path / "in.csv", tmp_path / "out.csv")


def test_what_lies_at_out_is_not_written_over(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, predicted = in_form(new_rows(desk), "csv", tmp_path), []
    (tmp_path / "out.csv").write_text("mine")
    while_predicting(monkeypatch, lambda: predicted.append(where))

    with pytest.raises(BadInputError, match="already exists; specify a different OUT"):
        run(desk, where, tmp_path / "out.csv")
    assert ((tmp_path / "out.csv").read_text(), predicted) == ("mine", [])  # refused before a row is predicted


def test_asked_again_it_says_that_it_was_done(desk: Desk, tmp_path: Path) -> None:
    where = in_form(new_rows(desk), "csv", tmp_path)
    first, again = (run(desk, where, tmp_path / "out.csv") for _ in range(2))

    assert (first.already, again.already) == (False, True)
    assert again.request == first.request


def test_other_rows_for_the_same_out_are_refused(desk: Desk, tmp_path: Path) -> None:
    where = in_form(new_rows(desk), "csv", tmp_path)
    run(desk, where, tmp_path / "out.csv")
    in_form(new_rows(desk).iloc[:5], "csv", tmp_path)

    with pytest.raises(BadInputError, match="different OUT"):
        run(desk, where, tmp_path / "out.csv")


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.builders.desk import Desk, Shelf
from tests.serving.test_predict import reopened, run
from retrim.serving import rows_in, rows_out
rows_in.TEXT = 700
desk, left = reopened(Path({folder!r})), [{writes}]
whole = os.replace, Path.replace
def counted(real):
    def replace(*args):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)
    return replace
os.replace, Path.replace = counted(whole[0]), counted(whole[1])
run(desk, {where!r}, {to!r})
"""


def reopened(folder: Path) -> Desk:
    from retrim.environment import Env
    from retrim.files import WorkspacePaths
    from retrim.lineage.workspace import Workspace
    from retrim.settings import parse_params
    from tests.builders.desk import Shelf
    from tests.builders.shipped import whole
    from tests.builders.synthetic import data_section

    document = whole()
    document["data"] = data_section("regression", labels="with_rows", horizon="1h")
    workspace = Workspace(WorkspacePaths(folder), parse_params(document, "params.yaml"), Env())
    shelf = Shelf({1: folder / "var" / "bundle-1" / "data" / "candidate"})
    workspace.__dict__["registry"] = shelf
    return Desk(workspace, {"task": "regression", "seed": 3, "kind": "none", "size": 0.0, "since": None}, shelf)


def test_killed_before_any_of_its_writes_it_ends_with_the_same_bytes(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows_in, "TEXT", 700)
    root, to = copy_of(desk, tmp_path / "workspace").workspace.paths.root, tmp_path / "out.csv"
    rows = new_rows(desk).astype({"level": object})
    rows.loc[3, "level"] = "much"
    where = in_form(rows, "csv", tmp_path)

    def written() -> tuple[bytes, bytes]:
        run(reopened(root), where, to)
        files = to, tmp_path / "out.rejected.csv"
        content = files[0].read_bytes(), files[1].read_bytes()
        for file in files:
            file.unlink()
        return content

    expected = written()
    for writes in range(4):
        words = {"folder": str(root), "writes": writes, "where": where, "to": str(to)}
        code = KILLED.format(root=str(Path(__file__).parents[2]), **words)
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, (writes, done.stderr)

        assert written() == expected, writes


def test_a_database_has_each_row_once_however_often_it_is_written(desk: Desk, tmp_path: Path) -> None:
    own = copy_of(desk, tmp_path / "workspace")
    where, to = in_form(new_rows(desk), "csv", tmp_path), f"sqlite:///{tmp_path}/out.db"
    done = run(own, where, to)
    (own.workspace.paths.var / "predict" / f"{done.request}.json").unlink()  # killed after the transaction
    run(own, where, to)
    run(own, where, to, explained=0, into="others")
    found = pd.read_sql("select * from predictions", sa.create_engine(to))

    assert sorted(found["row"]) == list(range(48))


def test_the_largest_contributions_stand_beside(desk: Desk, tmp_path: Path) -> None:
    rows = new_rows(desk)
    run(desk, in_form(rows, "csv", tmp_path), tmp_path / "out.parquet", explained=2)
    found = pd.read_parquet(tmp_path / "out.parquet")
    predictor = load_stored_version(desk.workspace, 1).predictor
    added = predictor.model.contributions(predictor.view.matrix(rows))[:, 0, :-1]

    assert (found["contribution 1"].abs() >= found["contribution 2"].abs()).all()
    np.testing.assert_array_equal(found["contribution 1"].abs(), np.abs(added).max(axis=1))
    assert found["feature 1"].tolist() == [list(predictor.view.needs)[at] for at in np.abs(added).argmax(axis=1)]


def test_a_damaged_file_ends_with_its_name_and_keeps_nothing_at_out(desk: Desk, tmp_path: Path) -> None:
    where = Path(in_form(new_rows(desk), "parquet", tmp_path))
    where.write_bytes(where.read_bytes()[:-30])

    with pytest.raises(BadInputError, match=r"in\.parquet .*to the end"):
        run(desk, where, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_no_live_version_says_how_to_make_one(tmp_path: Path) -> None:
    empty = make_desk(tmp_path / "workspace")
    (tmp_path / "in.csv").write_text("level\n1\n")

    with pytest.raises(BadInputError, match=r"--version N, .*retrim retrain"):
        run(empty, tmp_path / "in.csv", tmp_path / "out.csv")
    with pytest.raises((BadInputError, RefusedError), match="version 7"):
        run(empty, tmp_path / "in.csv", tmp_path / "out.csv", version=7)


@pytest.mark.parametrize("of", ["outcome", "level"])
def test_features_from_the_past_are_those_that_landing_gives(of: str, tmp_path: Path) -> None:
    """Of a column that is known with its row, rows of IN see one another, as landed rows do."""
    history = {"features": [{"of": of, "lag": 1}, {"of": of, "over": "6h", "stat": "mean"}]}
    desk = make_desk(tmp_path / "a", data={"history": history}, version_at=10)
    run(desk, in_form(new_rows(desk), "csv", tmp_path), tmp_path / "out.parquet")
    ahead = desk.rows(10, 12).assign(outcome=np.nan)
    data = desk.workspace.params.data.model_copy(update={"labels": "later"})
    desk.workspace.__dict__["params"] = desk.workspace.params.model_copy(update={"data": data})
    desk.land(ahead, 12)
    table = read_as_of(desk.workspace, as_of=desk.day(12))
    rows = table.only(table.times["_event"] >= desk.day(10)).read()

    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "out.parquet")["prediction"], said(desk, rows))


def test_features_from_the_past_that_rows_bring_are_taken(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "a", data={"history": {"features": [{"of": "outcome", "lag": 1}]}}, version_at=10)
    rows = new_rows(desk).assign(**{"outcome lag 1": 3.0})
    run(desk, in_form(rows, "csv", tmp_path), tmp_path / "out.parquet")

    np.testing.assert_array_equal(pd.read_parquet(tmp_path / "out.parquet")["prediction"], said(desk, rows))


def test_memory_does_not_grow_with_the_rows(desk: Desk, tmp_path: Path) -> None:
    rows = pd.concat([new_rows(desk)] * 2000, ignore_index=True)
    sizes = []
    for times in (16, 32):  # parts in flight are many with either
        with pq.ParquetWriter(tmp_path / "in.parquet", (table := pa.Table.from_pandas(rows)).schema) as file:
            for _ in range(times):
                file.write_table(table)
        code = (
            f"import sys, resource; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
            "from pathlib import Path\nfrom tests.serving.test_predict import reopened, run\n"
            f"desk = reopened(Path({str(desk.workspace.paths.root)!r}))\n"
            f"run(desk, {str(tmp_path / 'in.parquet')!r}, {str(tmp_path / f'out{times}')!r})\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        sizes.append(int(done.stdout) / 1024)

    assert sizes[1] < sizes[0] + 60, sizes


def test_rows_of_one_file_see_one_another_across_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = make_desk(tmp_path / "a", data={"history": {"features": [{"of": "level", "lag": 1}]}}, version_at=10)
    where = in_form(new_rows(desk), "csv", tmp_path)
    run(desk, where, tmp_path / "whole.csv")
    small_parts(monkeypatch)
    run(desk, where, tmp_path / "parts.csv")
    whole, parts = (pd.read_csv(tmp_path / f"{name}.csv")["prediction"] for name in ("whole", "parts"))

    np.testing.assert_array_equal(whole, parts)


def with_suite(desk: Desk, folder: Path, most: float) -> Desk:
    """A copy of the desk whose suite has `level` at most that."""
    own = copy_of(desk, folder)
    bound_by(own, most)
    return own


def bound_by(desk: Desk, most: float) -> None:
    expectation = {"type": "expect_column_values_to_be_between", "kwargs": {"column": "level", "max_value": most}}
    suite = {"name": "s", "expectations": [expectation]}
    (desk.workspace.paths.root / "expectations" / "generated.json").write_text(json.dumps(suite))


def test_what_is_gone_from_out_is_predicted_again(desk: Desk, tmp_path: Path) -> None:
    where, database = in_form(new_rows(desk), "csv", tmp_path), f"sqlite:///{tmp_path}/out.db"
    run(desk, where, database)
    engine = sa.create_engine(database)
    with engine.begin() as connection:
        connection.execute(sa.text("drop table predictions"))
    again = run(desk, where, database)

    assert not again.already
    assert len(pd.read_sql("select * from predictions", engine)) == 48
    assert run(desk, where, database).already


def test_a_suite_that_changed_makes_another_request(desk: Desk, tmp_path: Path) -> None:
    own = with_suite(desk, tmp_path / "workspace", 1e9)
    rows, to = new_rows(own), tmp_path / "out.csv"
    where = in_form(rows, "parquet", tmp_path)
    first = run(own, where, to)
    to.unlink()
    bound_by(own, float(rows["level"].median()))
    again = run(own, where, to)

    assert again.request != first.request
    assert pd.read_csv(to)["row"].tolist() == rows.index[rows["level"] <= rows["level"].median()].tolist()


@pytest.mark.parametrize("form", ["parquet", "folder", "address"])
def test_rows_that_change_while_they_are_read_are_not_published(
    form: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    own, real = copy_of(desk, tmp_path / "workspace"), module._predictions
    where = in_form(new_rows(desk), form, tmp_path)
    file = min((path for path in tmp_path.glob("in*/**/*.parquet")), default=tmp_path / "in.parquet")

    def changed(*given: Any) -> pa.Table:
        os.utime(file, (1, 1))
        return real(*given)

    monkeypatch.setattr(module, "_predictions", changed)
    with pytest.raises(BadInputError, match=rf"{re.escape(str(where))} changed\b"):
        run(own, where, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    os.utime(file, (2, 2))
    monkeypatch.setattr(module, "_predictions", real)
    assert run(own, where, tmp_path / "out.csv").rows == 48


def while_predicting(monkeypatch: pytest.MonkeyPatch, do: Any) -> None:
    """Does something once, when the first part is being predicted."""
    real, left = module._predictions, [do]

    def called(*given: Any) -> pa.Table:
        while left:
            left.pop()()
        return real(*given)

    monkeypatch.setattr(module, "_predictions", called)


def test_two_requests_for_one_out_do_not_go_on_at_once(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of(desk, tmp_path / "workspace")
    one, other = in_form(new_rows(desk), "csv", tmp_path / "a"), in_form(new_rows(desk)[:5], "csv", tmp_path / "b")

    def second() -> None:
        with pytest.raises(BusyError):
            run(own, other, tmp_path / "out.csv")

    while_predicting(monkeypatch, second)
    run(own, one, tmp_path / "out.csv")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 48


def test_what_came_to_out_meanwhile_is_not_written_over(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, to = copy_of(desk, tmp_path / "workspace"), tmp_path / "out.csv"
    where = in_form(new_rows(desk), "csv", tmp_path)
    while_predicting(monkeypatch, lambda: to.write_text("mine"))
    with pytest.raises(BadInputError, match="different OUT"):
        run(own, where, to)

    assert to.read_text() == "mine"


@pytest.mark.parametrize("to", ["out.csv", "out"])
def test_what_came_to_out_after_a_kill_is_not_written_over(
    to: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, out = copy_of(desk, tmp_path / "workspace"), tmp_path / to
    where = in_form(new_rows(desk), "csv", tmp_path)

    def killed(*_given: object, **_more: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rows_out, "_lay", killed)
        with pytest.raises(KeyboardInterrupt):
            run(own, where, out)
    mine = out if to == "out.csv" else out / "mine.csv"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(BadInputError, match="different OUT"):
        run(own, where, out)

    assert mine.read_text() == "mine"
    mine.unlink()
    assert run(own, where, out).rows == 48


def test_without_its_suite_nothing_is_predicted(desk: Desk, tmp_path: Path) -> None:
    own = copy_of(desk, tmp_path / "workspace")
    suite = own.workspace.paths.root / "expectations" / "generated.json"
    suite.unlink()

    with pytest.raises(BadInputError, match=f"git checkout {suite}"):
        run(own, in_form(new_rows(own), "csv", tmp_path), tmp_path / "out.csv")


def test_a_key_that_a_whole_part_of_json_lacks_is_missing_there(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_parts(monkeypatch)
    rows = new_rows(desk)
    rows.loc[:30, "noise"] = np.nan
    lines = [row.dropna().to_json(date_format="iso") for _, row in rows.iterrows()]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    assert run(desk, tmp_path / "in.jsonl", tmp_path / "out.parquet").rejected == 0
    expected = said(desk, rows)

    np.testing.assert_allclose(pd.read_parquet(tmp_path / "out.parquet")["prediction"], expected, rtol=1e-6)
    (tmp_path / "in.jsonl").write_text("\n".join(lines[:30]) + "\n")
    with pytest.raises(BadInputError, match="lacks noise"):
        run(desk, tmp_path / "in.jsonl", tmp_path / "other.parquet")


def test_local_times_of_the_hour_that_comes_twice_are_rejected(desk: Desk, tmp_path: Path) -> None:
    own = with_params(copy_of(desk, tmp_path / "workspace"), reading={"zone": "Europe/Berlin"})
    rows = new_rows(own)[:6].astype({"at": object})
    rows["at"] = [f"2024-10-27 {hour}" for hour in ("01:30", "02:00", "02:30", "02:00", "02:30+01:00", "03:00")]
    run(own, in_form(rows, "csv", tmp_path), tmp_path / "out.csv")
    found, rejected = pd.read_csv(tmp_path / "out.csv"), pd.read_csv(tmp_path / "out.rejected.csv")

    assert (found["row"].tolist(), rejected["row"].tolist()) == ([0, 4, 5], [1, 2, 3])
    assert pd.to_datetime(found["at"], utc=True)[1] == pd.Timestamp("2024-10-27T01:30Z")
    assert set(rejected["reason"]) == {
        "breaks the rule: is a time that occurs only once in Europe/Berlin, or has a UTC offset"
    }


@pytest.mark.parametrize("name", ["out.csv.gz", "out.json"])
def test_an_ending_that_is_not_known_is_refused(name: str, desk: Desk, tmp_path: Path) -> None:
    where = in_form(new_rows(desk), "csv", tmp_path)

    with pytest.raises(BadInputError, match=r"\.csv, \.parquet, \.arrow"):
        run(desk, where, tmp_path / name)
    run(desk, where, f"{tmp_path / name}/")
    assert (tmp_path / name).is_dir()


@pytest.mark.parametrize("to", ["", " ", "-"])
def test_an_out_that_is_no_place_is_refused(
    to: str, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = in_form(new_rows(desk), "csv", tmp_path / "in")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    with pytest.raises(BadInputError, match="OUT is"):
        run(desk, where, to)
    assert list(Path().iterdir()) == []


def test_an_empty_in_is_not_all_that_lies_here(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_form(new_rows(desk), "csv", tmp_path / "in")
    monkeypatch.chdir(tmp_path / "in")

    with pytest.raises(BadInputError, match="IN is empty"):
        run(desk, "", tmp_path / "out.csv")


def test_no_rejected_cell_is_a_formula(desk: Desk, tmp_path: Path) -> None:
    rows = new_rows(desk).astype({"level": object})
    rows.loc[:3, "level"] = ['=HYPERLINK("x")', "+cmd|x", "-1,5", "much"]
    run(desk, in_form(rows, "csv", tmp_path), tmp_path / "out.csv")

    values = pd.read_csv(tmp_path / "out.rejected.csv")["value"].tolist()
    assert values == ['\'=HYPERLINK("x")', "'+cmd|x", "-1,5", "much"]
