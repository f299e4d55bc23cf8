"""What bounds the database and the log of Prefect's server; a server with it: tests/adapters/test_prefect_server.py."""

from pathlib import Path

import pytest
from prefect.settings import Settings

from retrim.adapters import prefect_server
from retrim.files import shorten_log


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
