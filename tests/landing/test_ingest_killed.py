"""SIGKILL before or inside any write of ingest loses nothing: run again, it ends as if it had never been killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

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


@pytest.mark.slow
@pytest.mark.parametrize("scenario", WRITES)
def test_killed_at_any_write_and_run_again_it_ends_the_same(scenario: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE.parents[1] / "builders" / "killed_ingest.py"), scenario, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(HERE.parents[2] / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)

    assert told["wrong"] == []
    assert told["writes"] >= WRITES[scenario]
    assert told["inside"] >= 1
