"""The machine we run on: cores, and the tag that promises equal bytes."""

import getpass
import os
import platform
import sys
import sysconfig
from typing import Any

from retrim.errors import BadInputError

CORES_VARIABLE = "RETRIM_CORES"


def count_cores() -> int:
    """Cores this process may use: `RETRIM_CORES`, else what the system gives it. Changes time, never a result.

    Raises:
        BadInputError: `RETRIM_CORES` is not a whole number of 1 or more.
    """
    given = os.environ.get(CORES_VARIABLE)
    if not given:
        return len(os.sched_getaffinity(0))
    if not given.isdecimal() or int(given) < 1:
        raise BadInputError(f"{CORES_VARIABLE} is {given!r}; give a whole number of 1 or more, or none for every core")
    return int(given)


def login() -> str:
    """The login name of whoever runs this.

    Raises:
        BadInputError: The system knows none.
    """
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise BadInputError("this system knows no login name; say who you are: --by NAME") from error


def platform_tag() -> str:
    """What the same bytes are promised for: system, machine and Python."""
    return f"{sysconfig.get_platform()}-python{platform.python_version()}"


def lightgbm_alone() -> None:
    """Imports LightGBM without its scikit-learn wrappers, for processes that fit or load models and do little else.

    Nothing here uses the wrappers, and with them the import takes twice as long: 1.6 to 2.3 s against 0.6 to 0.8 s,
    in every one. Where scikit-learn is there already, LightGBM takes it along as ever.
    """
    if "sklearn" in sys.modules:
        return
    hidden: dict[str, Any] = sys.modules
    hidden["sklearn"] = None  # how Python spells that a module is not there
    try:
        import lightgbm  # noqa: F401  for its effect
    finally:
        del hidden["sklearn"]
