"""Errors a person can act on: what was found, what is allowed, what to do.

Every class carries the exit code that the command line ends with:
1 the answer is no, 2 wrong use or bad input, 3 failed.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class RetrimError(Exception):
    """Something failed that is not the caller's mistake."""

    exit_code = 3


class BadInputError(RetrimError):
    """A file, a setting or an argument is invalid."""

    exit_code = 2


class RefusedError(RetrimError):
    """The question was understood and the answer is no."""

    exit_code = 1


class BusyError(RefusedError):
    """Something else goes on that this has to wait for; asked later, the answer may be another."""


class MachineFaultError(RetrimError):
    """A fault of the machine, such as a time-out: it says nothing of what was asked, and another try may succeed."""


def is_machine_fault(error: BaseException | None) -> bool:
    """Whether an error is a fault of the machine, or a time-out of a library caused it."""
    while error is not None:
        is_time_out = "Timeout" in type(error).__name__  # libraries share no class for it, but this part of the name
        if is_time_out or isinstance(error, MachineFaultError):
            return True
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
            return True
        error = error.__cause__
    return False


class UnknownNameError(BadInputError):
    """A name that no table knows; says which names there are.

    Args:
        kind: Of what, such as `metric`.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.known = tuple(sorted(known))
        near = get_close_matches(name, self.known, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(self.known)}.{hint}")


class EmptyWindowError(BadInputError):
    """A window has no rows, so nothing can be said of it."""

    def __init__(self, window: str) -> None:
        super().__init__(f"the {window} window has no rows, but needs at least 1; wait for more rows")
