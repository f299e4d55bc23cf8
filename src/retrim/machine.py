"""The machine we run on: cores, and the tag that promises equal bytes."""

import os
import platform
import sysconfig

CORES_VARIABLE = "RETRIM_CORES"


def cores() -> int:
    """Cores this process may use: `RETRIM_CORES`, else what the system gives it. Changes time, never a result."""
    return int(os.environ.get(CORES_VARIABLE) or len(os.sched_getaffinity(0)))


def platform_tag() -> str:
    """What the same bytes are promised for: system, machine and Python."""
    return f"{sysconfig.get_platform()}-python{platform.python_version()}"
