"""A copy of the stored predictions in a table: each row once, whatever is killed, corrected, removed or away."""

import os
import re
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import sqlalchemy as sa

from retrim.adapters import sql_table
from retrim.environment import Env
from retrim.errors import BadInputError
from retrim.lineage.prediction_copy import REQUESTS, TABLE, copy_or_tell, copy_predictions
from retrim.lineage.prediction_log import SCHEMA, probabilities_of
from retrim.lineage.workspace import Workspace
from tests.builders.desk import make_desk
from tests.builders.predicted import predicted_rows

START = pd.Timestamp("2024-01-01", tz="UTC")
DAY = pd.Timedelta("1D")


def rows(keys: str, value: float = 1.0, *, day: float = 0, at: float = 1) -> pa.Table:
    return predicted_rows(list(keys), [value] * len(keys), event=START + day * DAY, at=START + at * DAY, batch="b")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shared" / "warehouse.db"


@pytest.fixture
def workspace(tmp_path: Path, file: Path) -> Workspace:
    """With a table named; the folder that it lies in is there."""
    file.parent.mkdir()
    own = make_desk(tmp_path / "workspace").workspace
    return replace(own, env=Env(predictions_table=f"sqlite:///{file}"))


def ask(file: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(file)) as opened:
        return opened.execute(query).fetchall()


def keys_in(file: Path) -> list[str]:
    return [f"{version}{key}" for version, key in ask(file, f"select version, key from {TABLE} order by 1, 2")]


def test_the_table_has_each_row_of_the_files_once(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("ab"))
    workspace.predictions.add(1, rows("c", day=40))
    workspace.predictions.add(2, rows("b", 2.0, at=3))

    assert copy_predictions(workspace) == 4
    assert ask(file, f"select model, version, key, prediction, event_time, at, batch from {TABLE} where key = 'b'") == [
        (workspace.model, 1, "b", 1.0, "2024-01-01 00:00:00.000000", "2024-01-02 00:00:00.000000", "b"),
        (workspace.model, 2, "b", 2.0, "2024-01-01 00:00:00.000000", "2024-01-04 00:00:00.000000", "b"),
    ]
    assert keys_in(file) == ["1a", "1b", "1c", "2b"]


def test_its_columns_are_those_of_the_files_after_model_and_version(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("a"))
    copy_predictions(workspace)

    assert [each[1] for each in ask(file, f"pragma table_info({TABLE})")] == ["model", "version", *SCHEMA.names]


def test_probabilities_of_several_classes_are_json(workspace: Workspace, file: Path) -> None:
    table = rows("a")
    place = table.schema.get_field_index("probabilities")
    given = probabilities_of(pd.DataFrame([[0.25, 0.75]]).to_numpy(), ("né", "yes"))
    workspace.predictions.add(1, table.set_column(place, SCHEMA.field(place), given))
    copy_predictions(workspace)

    assert ask(file, f"select probabilities ->> '$.né', probabilities ->> '$.yes' from {TABLE}") == [(0.25, 0.75)]


def test_what_is_new_is_added_though_it_was_made_earlier(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("ab", at=5))
    copy_predictions(workspace)
    workspace.predictions.add(1, rows("c", at=2))

    assert copy_predictions(workspace) == 1
    assert keys_in(file) == ["1a", "1b", "1c"]


def test_files_that_are_as_they_were_are_not_read(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("ab"))
    copy_predictions(workspace)
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute(f"delete from {TABLE} where key = 'a'")

    assert copy_predictions(workspace) == 0
    assert keys_in(file) == ["1b"]


def test_a_damaged_file_keeps_no_other_from_being_copied(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("a"))
    (damaged,) = Path(workspace.predictions.where).rglob("*.parquet")
    workspace.predictions.add(1, rows("c", day=40))
    damaged.write_bytes(damaged.read_bytes()[:-9])
    with pytest.raises(BadInputError, match="restore"):
        copy_predictions(workspace)

    assert keys_in(file) == ["1c"]


def test_an_emptied_database_is_filled_anew(workspace: Workspace, file: Path) -> None:
    workspace.predictions.add(1, rows("ab"))
    copy_predictions(workspace)
    file.unlink()

    assert copy_predictions(workspace) == 2


def test_answers_to_requests_have_a_table_of_their_own_with_each_request(workspace: Workspace, file: Path) -> None:
    for request in "qr":
        answers = predicted_rows(["a"], [7.0], event=START, at=START, request=request, features="f")
        workspace.predictions.of_role("request").add(1, answers)
    unheard = predicted_rows(["a", "c"], [1.0, 1.0], event=START, at=START, features="f")
    workspace.predictions.of_role("shadow").add(1, unheard)
    workspace.predictions.add(1, rows("ab"))
    counts = [copy_predictions(workspace) for _ in range(2)]

    assert counts == [6, 0]
    assert keys_in(file) == ["1a", "1b"]
    assert ask(file, f"select model, key, request_id from {REQUESTS} order by 1, 2, 3") == [
        *((f"{workspace.model}~request", "a", request) for request in "qr"),
        *((f"{workspace.model}~shadow", key, "r") for key in "ac"),
    ]


@pytest.mark.parametrize("commits", range(11))
def test_killed_before_any_commit_it_has_each_row_once_in_the_end(
    workspace: Workspace, file: Path, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """The tables, what is known, three batches and a note, one batch and a note, and twice of requests: 10 commits."""
    monkeypatch.setattr(sql_table, "AT_ONCE", 2)
    workspace.predictions.add(1, rows("abcde"))
    workspace.predictions.add(1, rows("f", day=40))
    child = os.fork()
    if not child:
        _die_before(commits)
        copy_predictions(workspace)
        os._exit(0)
    killed = os.waitpid(child, 0)[1] == signal.SIGKILL
    before = keys_in(file) if commits else []
    copy_predictions(workspace)

    assert killed == (commits < 10)
    assert before == [f"1{key}" for key in "abcdef"[: len(before)]]
    assert (len(before) > 0) == (commits > 2)
    assert keys_in(file) == [f"1{key}" for key in "abcdef"]


def _die_before(commits: int) -> None:
    """Has this process killed before that many transactions and one are committed."""
    left = [commits]

    @sa.event.listens_for(sa.Engine, "commit")
    def _count(_: sa.Connection) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_two_at_once_add_each_row_once(workspace: Workspace, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_table, "AT_ONCE", 50)
    keys = [f"k{number:04d}" for number in range(1000)]
    workspace.predictions.add(1, predicted_rows(keys, [1.0] * len(keys), event=START, at=START, batch="b"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(copy_predictions, [workspace] * 2))

    assert keys_in(file) == [f"1{key}" for key in keys]


def test_a_row_that_another_added_meanwhile_stays_as_it_is(
    workspace: Workspace, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the question which keys are there and the insert."""
    real: Callable[..., Any] = sql_table._or_nothing

    def after_another(connection: Any, target: Any) -> Any:
        if target.name == TABLE:
            first = {"model": workspace.model, "version": 1, "key": "a", "prediction": 9.0}
            connection.execute(sa.insert(target), first)
        return real(connection, target)

    monkeypatch.setattr(sql_table, "_or_nothing", after_another)
    workspace.predictions.add(1, rows("ab"))
    copy_predictions(workspace)

    assert ask(file, f"select key, prediction from {TABLE} order by 1") == [("a", 9.0), ("b", 1.0)]


class TestWhatIsRemoved:
    """From the files, by age."""

    def test_stays_in_the_table(self, workspace: Workspace, file: Path) -> None:
        self.drop_first_month(workspace)

        assert copy_predictions(workspace) == 0
        assert keys_in(file) == ["1a", "1b", "1c"]

    def test_does_not_keep_a_row_of_the_same_month_away_that_comes_later(
        self, workspace: Workspace, file: Path
    ) -> None:
        self.drop_first_month(workspace)
        workspace.predictions.add(1, rows("z"))

        assert [copy_predictions(workspace) for _ in range(2)] == [1, 0]
        assert keys_in(file) == ["1a", "1b", "1c", "1z"]

    def drop_first_month(self, workspace: Workspace) -> None:
        workspace.predictions.add(1, rows("ab"))
        workspace.predictions.add(1, rows("c", day=40))
        copy_predictions(workspace)
        (name,) = (name for name in workspace.predictions.files() if "month=2024-01" in name)
        workspace.predictions.drop_file(name)


class TestDatabaseThatIsAway:
    @pytest.fixture
    def away(self, workspace: Workspace, file: Path) -> Workspace:
        workspace.predictions.add(1, rows("ab"))
        file.parent.rmdir()
        return workspace

    def alerts(self, workspace: Workspace) -> list[str]:
        return [row.text for row in workspace.store.alerts(workspace.model) if row.kind == "table away"]

    def test_is_told_once_with_the_reason(self, away: Workspace) -> None:
        first, _ = (copy_or_tell(away, now=START) for _ in range(2))

        assert (first.rows, self.alerts(away)) == (0, [first.failed])
        assert f" {TABLE}: " in str(first.failed)

    def test_is_caught_up_with(self, away: Workspace, file: Path) -> None:
        copy_or_tell(away, now=START)
        file.parent.mkdir()

        assert (copy_or_tell(away, now=START).rows, keys_in(file)) == (2, ["1a", "1b"])

    def test_does_not_have_its_password_shown(self, away: Workspace) -> None:
        secret = Env(predictions_table="postgresql+psycopg://me:swordfish@127.0.0.1:9/x")
        copy_or_tell(replace(away, env=secret), now=START)
        (text,) = self.alerts(away)

        assert "127.0.0.1:9/x" in text
        assert "swordfish" not in text


@pytest.mark.parametrize("where", ["mysql://host/shop", "s3://bucket/predictions", "predictions.db"])
def test_what_is_no_such_database_is_refused(workspace: Workspace, where: str) -> None:
    with pytest.raises(BadInputError, match=rf"{re.escape(where)} .* sqlite:///.* postgresql://"):
        copy_predictions(replace(workspace, env=Env(predictions_table=where)))
