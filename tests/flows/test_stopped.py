"""The worker ends where it waits, wherever in its code the signal comes."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# SIGTERM comes in the midst of a step of the worker, before the step can note that it is done.
STOPPED = """
import asyncio, os, signal, sys
from retrim_flows import deploy

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
            raise

signal.signal(signal.SIGTERM, signal.default_int_handler)
deploy.ProcessWorker = Worker
try:
    asyncio.run(deploy._work("a pool"))
except asyncio.CancelledError:
    print("ended")
print(signal.getsignal(signal.SIGTERM) is signal.default_int_handler)
"""


def test_at_a_signal_the_worker_is_cancelled_where_it_waits() -> None:
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True, check=False, timeout=120)

    assert done.stdout.splitlines() == ["step done", "CancelledError", "ended", "True"], done.stderr
