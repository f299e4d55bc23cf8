"""The program that `dvc_session` starts: it imports DVC once, and runs a command for each line of its input.

A line is the arguments of a command, as a JSON list. Printed is what the command prints, then a line with the token
and the command's exit code.
"""

import json
import os
import sys

from dvc.cli import main


def serve(token: str) -> None:
    with os.fdopen(os.dup(sys.stdin.fileno()), encoding="utf-8") as commands:
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # a stage must not read what is not for it
        for line in commands:
            code = main(json.loads(line))
            sys.stdout.write(f"{token} {code}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
