"""What flows log goes to Prefect before its server is stopped."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging.handlers import APILogHandler


@contextmanager
def flushed() -> Iterator[None]:
    """Sends what is still to be sent at the end, while the server is there to take it."""
    try:
        yield
    finally:
        APILogHandler().flush()
