"""The listener understands supervisord, whose lengths are in characters, and keeps what parts print."""

import subprocess
import sys
from pathlib import Path

from retrim.operations import listener


def event(text: str) -> str:
    payload = f"processname:serve groupname:serve pid:1 channel:stdout\n{text}"
    return (  # as supervisor.process.Subprocess makes it
        "ver:3.0 server:supervisor serial:1 pool:log poolserial:1 "
        f"eventname:PROCESS_LOG_STDOUT len:{len(payload)}\n{payload}"
    )


def test_lines_with_other_letters_are_kept_and_what_follows_too(tmp_path: Path) -> None:
    said = "".join(event(f"{line}\n") for line in ("größer │ ─", "next", "日本", "last"))
    done = subprocess.run(
        [sys.executable, listener.__file__, str(tmp_path)], input=said.encode(), capture_output=True, check=False
    )
    kept = [line.split("serve", 1)[1].strip() for line in (tmp_path / listener.LOG).read_text("utf-8").splitlines()]

    assert (done.returncode, kept) == (0, ["größer │ ─", "next", "日本", "last"])
