"""Runs a `retrim` command that is killed at a place, its whole process group with it: a script for the drills.

    python killed.py SIGNAL PLACE ARGUMENTS...

A place is `module:attribute:before` or `module:attribute:after`, and behind a third colon
a pattern that the arguments of the call must hold. The product knows nothing of this: the
function is wrapped where it is defined, before anybody imports it from there.
"""

import functools
import importlib
import os
import re
import signal
import sys
from typing import Any


def arm(sign: int, place: str) -> None:
    """Wraps the function at `place` in one that ends this process group."""
    module, attribute, when, *pattern = place.split(":", 3)
    owner: Any = importlib.import_module(module)
    *path, name = attribute.split(".")
    for part in path:
        owner = getattr(owner, part)
    real = getattr(owner, name)

    @functools.wraps(real)
    def armed(*args: Any, **kwargs: Any) -> Any:
        here = not pattern or re.search(pattern[0], " ".join(map(str, (*args, *kwargs.values()))))
        if here and when == "before":
            os.killpg(0, sign)
        found = real(*args, **kwargs)
        if here and when == "after":
            os.killpg(0, sign)
        return found

    setattr(owner, name, armed)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it aside has it ignored
    arm(signal.Signals[sys.argv[1]], sys.argv[2])
    sys.argv = ["retrim", *sys.argv[3:]]
    from retrim.cli.main import main

    main()
