"""Addresses that people are told at, and sending to them through apprise. What stands in an address is never shown.

Each message is sent by a process of its own, this file run as a program: it ends in time whatever a receiver does, and
what apprise and its libraries log of an address ends with it. It imports nothing heavy.
"""

import json
import logging
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import retrim
from retrim.errors import BadInputError

if TYPE_CHECKING:
    from retrim.decision.alerts import Message

PROTOCOL = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]{0,30})://(.+)")
PARTS = re.compile(r"[/?&=:@#,;\s]+")
LEAST_SECRET = 3
"""Signs below which a part of an address is no word of its own, and not looked for in what tools say."""
WAIT_SECONDS = 20.0
"""For how long a receiver is waited for."""
PING_SECONDS = 10.0
HIDDEN = "***"
TYPES = {"critical": "failure", "warning": "warning", "info": "info"}


@dataclass(frozen=True)
class AlertAddress:
    """An address as apprise takes it, such as `mailto://` or `slack://`."""

    text: str = field(repr=False)

    @property
    def protocol(self) -> str:
        """Its protocol; `address` where it has none."""
        match = PROTOCOL.fullmatch(self.text)
        return "address" if match is None else match[1].lower()


def masked(message: object, address: str) -> str:
    """What a tool said, on one line, without any part of an address but its protocol."""
    match = PROTOCOL.fullmatch(address)
    rest = address if match is None else match[2]
    split = {rest, *PARTS.split(rest)}
    parts = split | {unquote(part) for part in split} | set(PARTS.split(unquote(rest)))
    text = " ".join(str(message).split()).replace(address, HIDDEN)
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= LEAST_SECRET:
            text = re.sub(re.escape(part), HIDDEN, text, flags=re.IGNORECASE)
    return text[:300]


def read_addresses(given: str | None, file: Path | None, *, root: Path, var: Path) -> tuple[AlertAddress, ...]:
    """The addresses of the environment, each once.

    Raises:
        BadInputError: The file cannot be read, or lies where git may take it.
    """
    texts = [] if given is None else given.split()
    if file is not None:
        path = file.resolve()
        if path.is_relative_to(root.resolve()) and not path.is_relative_to(var.resolve()):
            raise BadInputError(
                f"RETRIM_ALERTS_FILE is {file}, which lies in the workspace, where git may commit it; move the file "
                "out of the workspace, or into var/"
            )
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = str(getattr(error, "strerror", None) or "it is not a text file").lower()
            raise BadInputError(
                f"RETRIM_ALERTS_FILE is {file}, which cannot be read: {why}; use a text file with one address per line"
            ) from None
        texts += [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return tuple(AlertAddress(text) for text in dict.fromkeys(texts))


def send_messages(addresses: Sequence[AlertAddress], messages: Sequence["Message"]) -> list[str | None]:
    """Sends each address its message, all at once; gives why it failed, without secrets, or None where it was taken.

    A receiver that has not answered after `WAIT_SECONDS` counts as one that failed.
    """
    source = str(Path(retrim.__file__).resolve().parents[1])
    started = [
        subprocess.Popen(
            [sys.executable, "-P", "-m", "retrim.alerting.notify"],
            env={**os.environ, "PYTHONPATH": source},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for _ in addresses
    ]
    ended: list[str | None] = []
    for process, address, message in zip(started, addresses, messages, strict=True):
        task = {"address": address.text, "title": message.title, "body": message.body, "kind": TYPES[message.severity]}
        assert process.stdin is not None
        with suppress(BrokenPipeError), process.stdin as stdin:  # how it ended is read below
            stdin.write(json.dumps(task))
        process.stdin = None
    last = time.monotonic() + WAIT_SECONDS  # for all of them, as they are asked at once
    for process, address in zip(started, addresses, strict=True):
        ended.append(_end_of(process, address, until=last))
    return ended


def _end_of(process: "subprocess.Popen[str]", address: AlertAddress, *, until: float) -> str | None:
    try:
        answer, _ = process.communicate(timeout=max(until - time.monotonic(), 0.1))
        error: str | None = json.loads(answer)
    except subprocess.TimeoutExpired:
        error = f"there was no response within {WAIT_SECONDS:g} s"
    except ValueError:
        error = f"the sending process ended with exit code {process.returncode}"
    finally:
        process.kill()
        process.communicate()
    return None if error is None else masked(error, address.text)


def send_ping(address: str) -> str | None:
    """Asks for an address of a watcher; gives why it failed, without secrets, or None."""
    if not address.lower().startswith(("http://", "https://")):
        return "RETRIM_PING does not begin with http:// or https://; correct the address"
    try:
        with urllib.request.urlopen(address, timeout=PING_SECONDS) as answer:
            answer.read(1)
    except (OSError, ValueError, HTTPException) as error:
        reason = f"{error.code} {error.reason}" if isinstance(error, urllib.error.HTTPError) else str(error)
        return masked(reason, address)
    return None


def _send(address: str, title: str, body: str, kind: str) -> str | None:
    """Sends a message; gives why it was not sent, or None."""
    from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.addHandler(Kept(logging.WARNING))
    sender = Apprise(asset=AppriseAsset(app_id="retrim", app_desc="retrim", service_timeout=WAIT_SECONDS))
    if not sender.add(address):
        why = "; ".join(lines[:-1])
        return f"apprise does not accept the address{': ' if why else ''}{why}; use a format from apprise's wiki"
    if sender.notify(body=body, title=title, notify_type=NotifyType(kind), body_format=NotifyFormat.TEXT):
        return None
    return "; ".join(lines) or "apprise gave no reason"


def _main() -> None:
    try:
        error = _send(**json.load(sys.stdin))
    except Exception as fault:  # noqa: BLE001  whatever a plug-in of apprise does: it was not sent
        error = f"{type(fault).__name__}: {fault}"
    print(json.dumps(error), flush=True)  # noqa: T201  the answer
    os._exit(0)  # threads of apprise may wait for a receiver


if __name__ == "__main__":
    _main()
