"""SIGKILL before or inside any write of ingest loses nothing: run again, it ends as if it had never been killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve()
# Seen, per scenario: fewer would mean that the script no longer sees what is written.
WRITES = {
    "land": 7,
    "pieces": 25,
    "quarantine": 11,
    "release": 8,
    "drop": 5,
    "quarantine again": 8,
    "correct": 8,
    "land at an address": 23,
    "withdraw at an address": 12,
}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each scenario, all played by one process that forks those it kills."""
    script, folder = HERE.parents[1] / "builders" / "killed_ingest.py", tmp_path_factory.mktemp("killed")
    done = subprocess.run(
        [sys.executable, str(script), str(folder), *WRITES],
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.slow
@pytest.mark.parametrize("scenario", WRITES)
def test_killed_at_any_write_and_run_again_it_ends_the_same(killed: dict[str, Any], scenario: str) -> None:
    outcome = killed[scenario]

    assert outcome["wrong"] == []
    assert outcome["writes"] >= WRITES[scenario]
    assert outcome["inside"] >= 1
