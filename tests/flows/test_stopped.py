"""The worker ends where it waits, wherever in its code the signal comes; further ones change nothing."""

import os
import subprocess
import sys

import pytest

from retrim_flows.worker import HOME

pytestmark = pytest.mark.slow

# SIGTERM comes in the midst of a step of the worker, before the step can note that it is done.
STOPPED = """
import asyncio, os, signal, sys
from retrim_flows import worker as deploy

class Worker:
    def __init__(self, work_pool_name):
        pass

    async def start(self, printer):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            print("step done")
            await asyncio.sleep(60)
        except BaseException as error:
            print(type(error).__name__)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(0.1)
            print("all put away")
            raise

signal.signal(signal.SIGTERM, signal.default_int_handler)
deploy.ProcessWorker = Worker
try:
    asyncio.run(deploy._work("a pool"))
except asyncio.CancelledError:
    print("ended")
os.kill(os.getpid(), signal.SIGTERM)
print("to the end")
"""


def test_at_a_signal_the_worker_is_cancelled_where_it_waits() -> None:
    path = os.pathsep.join([str(HOME), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", STOPPED], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        check=False, timeout=120,
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        "step done",
        "CancelledError",
        "all put away",
        "ended",
        "to the end",
    ], done.stderr
