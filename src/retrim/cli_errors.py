"""How a command ends: its exit code, and what it says on standard error when it did not get there."""

import os
import re
import signal
import sys
import traceback
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from retrim.errors import RetrimError

INTERRUPTED = 130  # what the CLI library makes of Ctrl-C
STOPPED = "stopped; a retraining that was under way is finished by the next `retrim check` or `retrim retrain`"
UNKNOWN_COMMAND = re.compile(r"No such command '([^']*)'")


def run(app: typer.Typer) -> NoReturn:
    """Runs a command and ends with its exit code: 0 done, 1 the answer is no, 2 wrong use or bad input, 3 failed."""
    from retrim.errors import RetrimError

    for stream in (sys.stdout, sys.stderr):  # a name of a file or a column may hold what the terminal cannot show
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: what was started is stopped
    try:
        # It gives back the code of a typer.Exit, and does not raise it.
        ended = app(prog_name="retrim", standalone_mode=False)
        sys.stdout.flush()
        if ended == INTERRUPTED:
            _fail(STOPPED, 3)
    except RetrimError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(STOPPED, 3)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(3)
    except Exception as error:  # noqa: BLE001  the last one to see it: every end has its code
        name = type(error).__name__
        if name == "NoArgsIsHelpError":  # the help was asked for by giving nothing, and was printed
            sys.exit(0)
        if name == "Abort":
            _fail(STOPPED, 3)
        if hasattr(error, "format_message"):
            told = _wrong_use(error)
            _fail(str(told), told.exit_code)
        if isinstance(error, OSError) and error.errno is not None:
            where = "" if error.filename is None else f" at {error.filename}"
            _fail(f"{str(error.strerror).lower()}{where}; look at the disk and its permissions, then try again", 3)
        traceback.print_exc()
        _fail(f"{name}: {error}; this is a fault of retrim, not of yours: report it with the lines above", 3)
    sys.exit(ended if isinstance(ended, int) else 0)


def _wrong_use(error: Any) -> "RetrimError":
    """What the CLI library says of a call it cannot read, in our form: what was found, what is known, what to do."""
    from retrim.errors import BadInputError, UnknownNameError

    context, message = getattr(error, "ctx", None), str(error.format_message()).strip()
    if context is not None and (found := UNKNOWN_COMMAND.match(message)):
        return UnknownNameError("command", found[1], context.command.commands)
    said = message[:1].lower() + message[1:].rstrip(".")
    return BadInputError(f"{said}; see `{context.command_path} --help`" if context is not None else said)


def _fail(message: str, code: int) -> NoReturn:
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)
