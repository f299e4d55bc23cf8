"""SIGKILL at any write of a check leaves nothing half counted, and the next check counts what it was to count."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.checking.audit import audit
from tests.builders.desk import make_desk

HERE = Path(__file__).resolve()


@pytest.mark.slow
def test_a_check_killed_at_any_write_counts_each_row_once_in_the_end(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace", version_at=10)
    desk.land(desk.rows(10, 12), 12)
    params = tmp_path / "params.json"
    params.write_text(desk.workspace.params.model_dump_json(), encoding="utf-8")
    script = [sys.executable, str(HERE.with_name("killed_check.py")), str(desk.workspace.paths.root), str(params)]
    done = subprocess.run(
        [*script, desk.day(12).isoformat()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parents[2] / "src"), str(HERE.parents[2])])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    found = audit(desk.workspace, now=desk.day(12.1))

    assert told["wrong"] == []
    assert told["writes"] >= 20  # 35 were seen: alerts, predictions, the decision, what was counted, and commits
    assert [each.counted for each in found.balances] == [48] * 4
