"""How long the state machines run: `--minutes` draws anew for so long; without it a few fixed sequences are played."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, default=None, help="how long each state machine draws anew")


@pytest.fixture(scope="session")
def minutes(pytestconfig: pytest.Config) -> float | None:
    found: float | None = pytestconfig.getoption("--minutes", default=None)
    return found
