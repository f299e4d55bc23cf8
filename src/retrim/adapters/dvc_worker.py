"""The program that `dvc_session` starts: DVC is imported once, and runs one command after the other.

A line in is the list of a command's arguments as JSON. Out comes all that the command prints, and then the token
that this program was started with, and the command's exit code.
"""

import json
import os
import sys

from dvc.cli import main


def serve(token: str) -> None:
    """Runs commands until there are no more lines."""
    with os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8") as commands:
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # a stage must not read what is not for it
        for line in commands:
            code = main(json.loads(line))
            sys.stdout.write(f"{token} {code}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
