"""Kills a check with SIGKILL at each of its writes to the store, and audits after each: for test_killed_for_real.

    python killed_check.py FOLDER PARAMS NOW

Prints as JSON after how many writes it was killed, what was out of balance, and what the check counted in the end.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightgbm  # noqa: F401  once, not in each process
import pandas as pd
import scipy.stats  # noqa: F401
import sklearn.linear_model  # noqa: F401
import sqlalchemy as sa

from retrim.checking.audit import audit
from retrim.checking.check import check
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.settings import Params
from tests.builders.desk import Shelf


def house_at(folder: Path, params: Path) -> Workspace:
    workspace = Workspace(WorkspacePaths(folder), Params.model_validate_json(params.read_bytes()), Env())
    workspace.__dict__["registry"] = Shelf({1: folder / "var" / "bundle-1" / "data" / "candidate"})
    return workspace


def kill_at(write: int) -> None:
    left = [write]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def written(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "PRAGMA")):
            count()

    sa.event.listen(sa.Engine, "before_cursor_execute", written)
    sa.event.listen(sa.Engine, "commit", count)


def apart(job: Callable[[], bool]) -> bool | None:
    """What a job in a process of its own answers; None if it was killed. This one starts no thread before it forks."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            code = 0 if job() else 1
        finally:
            os._exit(code)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return None
    assert os.WEXITSTATUS(status) < 2
    return os.WEXITSTATUS(status) == 0


def main(folder: Path, params: Path, now: pd.Timestamp) -> None:
    def checked(write: int) -> bool:
        kill_at(write)
        workspace = house_at(folder, params)
        check(workspace, by="a test", now=now + pd.Timedelta(write, "s"))
        return True

    def balanced() -> bool:
        return audit(house_at(folder, params), now=now + pd.Timedelta("1h")).holds

    writes, wrong = 0, []
    while apart(partial(checked, writes)) is None:
        if not apart(balanced):
            wrong.append(writes)
        writes += 1
    if not apart(balanced):
        wrong.append(writes)
    print(json.dumps({"writes": writes, "wrong": wrong}))  # noqa: T201  the answer itself


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), pd.Timestamp(sys.argv[3]))
