"""Runs `python WORDS` in a fork of the warm process, and ends as the fork does.

A script: `python -I -S warm_run.py WORDS`. It hands over the words, the folder, the environment and the open output. A
signal to it reaches the fork. Where nothing is warm, it becomes `python WORDS` itself.
"""

import json
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

VARIABLE = "RETRIM_WARM"
"""Where the socket of the warm process is, in a folder that its user alone can enter."""
FORKED = (sys.executable, "-I", "-S", __file__)
"""What stands before the words."""
NUMBER = struct.Struct("!q")
"""Of bytes that follow; of the fork; how it ended, as `os.waitstatus_to_exitcode` has it."""
PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def run() -> NoReturn:
    """Does so."""
    with suppress(OSError, KeyError), socket.socket(socket.AF_UNIX) as connection:
        folder, name = os.path.split(os.environ[VARIABLE])
        connection.connect(f"/proc/self/fd/{os.open(folder, os.O_RDONLY)}/{name}")  # an address has 107 bytes at most
        ignored = [number for number in PASSED_ON if signal.getsignal(number) is signal.SIG_IGN]
        asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ), ignored]).encode()  # noqa: PTH109  pathlib takes longer to import
        socket.send_fds(connection, [NUMBER.pack(len(asked))], [0, 1, 2])
        connection.sendall(asked)
        fork = read_number(connection)
        if fork is not None:
            _end_as(fork, connection, ignored)
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606  no shell is wanted


def read_number(connection: socket.socket) -> int | None:
    """A number; None: the other side is gone."""
    with suppress(OSError):
        read = connection.recv(NUMBER.size, socket.MSG_WAITALL)
        if len(read) == NUMBER.size:
            return int(NUMBER.unpack(read)[0])
    return None


def _end_as(fork: int, connection: socket.socket, ignored: list[signal.Signals]) -> NoReturn:
    def pass_on(number: int, frame: FrameType | None) -> None:
        with suppress(ProcessLookupError):
            os.kill(fork, number)

    for number in PASSED_ON:
        if number not in ignored:
            signal.signal(number, pass_on)
    status = read_number(connection)
    if status is None:  # the warm process was killed
        pass_on(signal.SIGKILL, None)
        os._exit(1)
    if status < 0:  # a signal ended the fork
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


if __name__ == "__main__":
    run()
