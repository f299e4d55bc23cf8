"""Threads of numpy's matrices: one, as more of them spin while they wait for a core that another process has."""

import os
import subprocess
import sys


def printed(program: str, **given: str) -> str:
    """What a Python program prints, started without any number of threads but those given."""
    plain = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env={**plain, **given}, capture_output=True, text=True, check=True).stdout.strip()


def test_a_matrix_is_multiplied_by_one_thread() -> None:
    shown = (
        "import retrim, numpy, threadpoolctl; print([one['num_threads'] for one in threadpoolctl.threadpool_info()])"
    )

    assert printed(shown) == "[1]"


def test_another_number_of_threads_that_is_asked_for_stays() -> None:
    shown = "import retrim, os; print(os.environ['OPENBLAS_NUM_THREADS'])"

    assert printed(shown, OPENBLAS_NUM_THREADS="2") == "2"
