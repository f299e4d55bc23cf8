"""Waits for what another process or thread does."""

import time
from collections.abc import Callable
from typing import Any

SECONDS = 60.0
PAUSE_SECONDS = 0.02


def until(claim: Callable[[], Any], *, seconds: float = SECONDS, pause: float = PAUSE_SECONDS) -> None:
    """Asks a claim until it holds, after each pause; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(pause)
