"""The wheel of this checkout in an empty environment; `.ci/e2e.py` says what is done there."""

import os
import subprocess
import sys

import pytest

from tests.builders.world import REPOSITORY

pytestmark = [pytest.mark.e2e(minutes=7), pytest.mark.server, pytest.mark.slow]

OURS = ("PYTEST_", "RETRIM_", "PREFECT_", "MLFLOW_TRACKING", "MLFLOW_REGISTRY")
"""Variables that tests before this one may have set in this process."""


def test_it_runs_from_new_to_reproduce_and_its_model_runs_without_it() -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    done = subprocess.run(
        [sys.executable, REPOSITORY / ".ci" / "e2e.py"], env=kept, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
