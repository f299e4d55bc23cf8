"""The machine we run on: cores, and the tag that promises equal bytes."""

import os
import platform
import sysconfig

from retrim.errors import BadInputError

CORES_VARIABLE = "RETRIM_CORES"


def cores() -> int:
    """Cores this process may use: `RETRIM_CORES`, else what the system gives it. Changes time, never a result.

    Raises:
        BadInputError: `RETRIM_CORES` is no whole number of 1 or more.
    """
    given = os.environ.get(CORES_VARIABLE)
    if not given:
        return len(os.sched_getaffinity(0))
    if not given.isdecimal() or int(given) < 1:
        raise BadInputError(f"{CORES_VARIABLE} is {given!r}; give a whole number of 1 or more, or none for every core")
    return int(given)


def platform_tag() -> str:
    """What the same bytes are promised for: system, machine and Python."""
    return f"{sysconfig.get_platform()}-python{platform.python_version()}"
