"""Lands and checks batch after batch in one process, as `bench/soak.py` asks for them, line by line.

A first process imports all that a batch needs, then forks the one that works. When that is killed, it forks another,
which is ready at once. Each says its number before anything else, so that it can be killed.
"""

import json
import os
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pandas as pd
import psutil

from retrim.checking.check import check
from retrim.cli.base import flows_of
from retrim.landing.inbox import take_from_inbox
from retrim.lineage.workspace import open_workspace
from retrim.retraining.retrain import ACTS
from retrim.retraining.tidy import tidy

ACTOR = "schedule"
TIDIES = 10
"""Batches between two looks at what a kill left; the first batch of a process has one."""


def lines() -> Iterator[str]:
    """What is asked, read byte by byte: nothing that was not worked on is lost with a process."""
    line = b""
    while byte := os.read(0, 1):
        line += byte
        if byte == b"\n":
            yield line.decode()
            line = b""


def say(**record: object) -> None:
    os.write(1, f"{json.dumps(record)}\n".encode())


def do(way: str, now: str, *, tidies: bool) -> str:
    """Lands what lies in the inbox, checks, and does what was decided; gives the outcome.

    Args:
        way: `functions`, those that the flows call, or `flows`; what a check decides is done by its flow.
        now: The moment.
        tidies: Whether what a kill left is put right before.
    """
    from retrim_flows.ingest import ingest
    from retrim_flows.maintain import put_right
    from retrim_flows.monitor import monitor

    at = pd.Timestamp(now)
    if way == "tidy":
        return f"{tidy(open_workspace(Path.cwd()), now=at).pieces} pieces"
    if way == "flows":
        ingest(now=now)
    else:
        workspace = open_workspace(Path.cwd())
        list(take_from_inbox(workspace, now=at))
        if tidies:
            put_right(workspace, at)
        checked = check(workspace, by=ACTOR, now=at)
        workspace.store.close()
        if checked.outcome not in ACTS:
            return checked.outcome
    done = monitor(now)
    assert done is not None
    return done.check.outcome


def work(noted: Path) -> None:
    """Does what is asked until nobody asks any more."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    say(pid=os.getpid())
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):  # costs a flow most of a second at its end
        work_on(noted)


def work_on(noted: Path) -> None:
    for number, line in enumerate(lines()):
        asked = json.loads(line)
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        try:
            outcome = do(asked["way"], asked["now"], tidies=number % TIDIES == 0)
        except Exception:  # noqa: BLE001  whatever it is, the one who asks is told
            say(id=asked["id"], failed=traceback.format_exc())
            continue
        after = resource.getrusage(resource.RUSAGE_SELF)
        own = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        memory = psutil.Process().memory_info().rss / 2**20
        if not noted.exists():
            noted.write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
        say(id=asked["id"], outcome=outcome, wall=time.monotonic() - began, cpu=own, memory=memory)


def main() -> None:
    noted = Path(sys.argv[1])
    with flows_of(open_workspace(Path.cwd())):
        import retrim_flows.ingest
        import retrim_flows.monitor  # noqa: F401

        while True:
            if noted.exists():
                for name in json.loads(noted.read_text(encoding="utf-8")):
                    with suppress(Exception):
                        import_module(name)
            process = os.fork()
            if process == 0:
                os.setpgid(0, 0)
                work(noted)
                os._exit(0)
            _, status = os.waitpid(process, 0)
            if status == 0:
                return
            say(died=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
