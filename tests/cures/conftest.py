"""Sessions for the tests of cures: in a workspace in which nothing has landed, and at a desk."""

from collections.abc import Callable

import pytest

from tests.builders.desk import Desk
from tests.builders.typed import Session, prepared, session, sit_at_desk

__all__ = ["prepared", "session", "sit"]

Sit = Callable[[Desk], Session]


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sit:
    """What begins a session at a desk."""
    return lambda desk: sit_at_desk(desk, monkeypatch, capsys)
