"""The server that commands share: one a workspace, there for as long as any of them needs it."""

import threading
from pathlib import Path

import pytest

from retrim.adapters.prefect_server import answers, reachable
from retrim.errors import RetrimError

pytestmark = pytest.mark.server


def test_a_server_stays_until_its_last_guest_is_done(tmp_path: Path) -> None:
    came, leave = threading.Event(), threading.Event()
    urls: list[tuple[str, bool]] = []

    def guest() -> None:
        with reachable(tmp_path, None) as url:
            came.set()
            leave.wait(60)
            urls.append((url, answers(url)))

    visit = threading.Thread(target=guest)
    with reachable(tmp_path, None) as own:
        visit.start()
        came.wait(60)
        threading.Timer(1, leave.set).start()
    visit.join()

    assert urls == [(own, True)]
    assert not answers(own)


def test_an_address_where_nothing_answers_is_named() -> None:
    with (
        pytest.raises(RetrimError, match=r"no Prefect server answers at .*; start it"),
        reachable(Path(), "http://127.0.0.1:9/api"),
    ):
        pass
