"""Prefect's database stays bounded: its server removes flow runs that ended long ago, and keeps those of lately."""

import sqlite3
import time
import urllib.error
from contextlib import closing
from http import HTTPStatus
from pathlib import Path

import pandas as pd
import pytest
from prefect.settings import Settings

from retrim.adapters import prefect_server
from retrim.adapters.prefect_server import KEEP_RUNS_DAYS, PrefectApi
from retrim.files import shorten_log
from tests.builders.world import ask_when_free

NOW = pd.Timestamp.now("UTC")
SECONDS = 60


def add_run(api: PrefectApi, flow: str, database: Path, *, ended: pd.Timestamp) -> str:
    """A flow run that ended at a moment, which Prefect's API takes from nobody."""
    run = str(ask_when_free(api, "flow_runs/", {"flow_id": flow, "state": {"type": "PENDING"}})["id"])
    ask_when_free(api, f"flow_runs/{run}/set_state", {"state": {"type": "COMPLETED"}, "force": True})
    with closing(sqlite3.connect(database, timeout=SECONDS)) as connection, connection:
        text = ended.strftime("%Y-%m-%d %H:%M:%S.%f")
        connection.execute("update flow_run set end_time = ? where id = ?", (text, run))
    return run


def is_there(api: PrefectApi, run: str) -> bool:
    try:
        return bool(api.ask(f"flow_runs/{run}"))
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return False


@pytest.mark.server
@pytest.mark.slow
def test_old_flow_runs_go_and_young_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_SERVICES_DB_VACUUM_LOOP_SECONDS", "2")
    with prefect_server.own(tmp_path / "prefect", pages=False) as server:
        flow = ask_when_free(server.api, "flows/", {"name": "check"})["id"]
        keep = pd.Timedelta(KEEP_RUNS_DAYS, "D")
        ends = (NOW - keep + pd.Timedelta(days, "D") for days in (-1, 1))
        old, young = (add_run(server.api, flow, tmp_path / "prefect" / "prefect.db", ended=end) for end in ends)
        deadline = time.monotonic() + SECONDS
        while is_there(server.api, old):
            assert time.monotonic() < deadline
            time.sleep(0.25)

        assert is_there(server.api, young)


def test_a_log_that_grew_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    log.write_bytes(b"x" * 11)
    shorten_log(log, 20)
    before = log.stat().st_size
    shorten_log(log, 10)

    assert (before, log.stat().st_size, (tmp_path / "server.log.1").stat().st_size) == (11, 0, 11)
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", prefect_server.BOUNDS)
def test_prefect_knows_each_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, prefect_server.BOUNDS[name])

    assert name in Settings().to_environment_variables(exclude_unset=True)
