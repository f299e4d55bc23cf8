"""Receivers of alerts on free ports of this machine: a mail server, and one that takes what is posted."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Mailbox:
    """What a mail server was handed: of each mail its subject and its text."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, str]] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  aiosmtpd's name
        mail = message_from_bytes(envelope.content)
        texts = [part for part in mail.walk() if part.get_content_type() == "text/plain"]
        self.mails.append((str(mail["Subject"]), texts[0].get_payload(decode=True).decode()))
        return "250 OK"


@contextmanager
def mail_server(port: int | None = None) -> Iterator[tuple[str, Mailbox]]:
    """A mail server: its address as alerts take it, and its mailbox."""
    at, box = port or free_port(), Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=at)
    controller.start()
    try:
        yield mail_address(at), box
    finally:
        controller.stop()


def mail_address(port: int) -> str:
    return f"mailto://127.0.0.1:{port}?from=retrim@example.org&to=you@example.org&mode=insecure"


@contextmanager
def webhook(
    port: int | None = None, *, path: str = "hook", before: Callable[[], None] = lambda: None, status: int = 200
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A receiver of posted JSON: its address as alerts take it, and what it was sent.

    Args:
        port: A free one by default.
        path: Of its address, as a service's secret is.
        before: Called before it answers.
        status: That it answers with.
    """
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            before()
            taken.append(json.loads(body))
            self.send_response(status)
            self.end_headers()

        def do_GET(self) -> None:
            taken.append({"path": self.path})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *said: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port or 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_address[1]}/{path}", taken
    finally:
        server.shutdown()
        server.server_close()
