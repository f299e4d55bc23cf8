"""A producer that replaces `latest.csv` in an inbox: for test_inbox.

    python producer.py INBOX ROWS

Each row of the CSV file ROWS becomes a file of its own. It is exchanged for `latest.csv` where one lies there, so that
it is known which files the producer itself took back. Each third time it waits until the file is gone.
Prints as JSON the numbers of the rows that it took back.
"""

import ctypes
import errno
import json
import os
import sys
import time
from pathlib import Path

AT_FDCWD, NOREPLACE, EXCHANGE = -100, 1, 2
LIBC = ctypes.CDLL(None, use_errno=True)
SECONDS = 300


def move(source: Path, to: Path, flag: int) -> bool:
    """Whether the file was moved; not, where `to` is not there to be exchanged, or is there and may not be replaced."""
    if LIBC.renameat2(AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(to), flag) == 0:
        return True
    if ctypes.get_errno() in (errno.ENOENT, errno.EEXIST):
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def main(inbox: Path, rows: Path) -> None:
    header, *lines = rows.read_text(encoding="utf-8").splitlines()
    new, latest = inbox / ".new", inbox / "latest.csv"
    taken_back: list[int] = []
    before = -1
    for number, line in enumerate(lines):
        new.write_text(f"{header}\n{line}\n", encoding="utf-8")
        while True:
            if move(new, latest, EXCHANGE):
                taken_back.append(before)
                break
            if move(new, latest, NOREPLACE):
                break
        before = number
        until = time.monotonic() + SECONDS
        while number % 3 == 0 and latest.exists() and time.monotonic() < until:
            time.sleep(0.0005)
    new.unlink(missing_ok=True)
    print(json.dumps(taken_back))  # noqa: T201 (the test reads it)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
