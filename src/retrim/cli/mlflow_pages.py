"""MLflow's pages of many workspaces, each below an address of the page that lists them.

Each takes a process of 230 MB. So it starts when somebody looks, and ends when nobody has looked for a while.
"""

import base64
import http.client
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from retrim.adapters.mlflow_server import HOST, USER
from retrim.adapters.prefect_server import free_port
from retrim.adapters.processes import start_reaper
from retrim.errors import RetrimError
from retrim.files import RETRIM, keep_password
from retrim.lineage.workspace import open_workspace

IDLE_SECONDS = 600.0
MOST = 4
"""Processes at a time: one more ends the one that has been looked at least lately."""
START_SECONDS = 60.0
ANSWER_SECONDS = 120.0
STOP_SECONDS = 10.0
PAUSE_SECONDS = 0.1
PIECE_BYTES = 65_536
MOST_BYTES = 10_000_000
"""Of a request: MLflow's own programs send at most 1 MB at once."""
OF_A_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
NOT_PASSED_ON = OF_A_CONNECTION | {"host", "origin", "authorization", "content-length"}


@dataclass
class _Pages:
    """A process with the pages of one workspace.

    Args:
        process: The process.
        port: Where it listens.
        password: Which it asks for.
        used: When a piece of an answer was passed on last, by the monotonic clock.
        asked: Requests that wait for an answer to begin.
    """

    process: "subprocess.Popen[bytes]"
    port: int
    password: str
    used: float
    asked: int = 0

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None


class MlflowPages:
    """The processes that run; call `close` in the end.

    Args:
        idle: Seconds after its last answer until a process is ended.
    """

    def __init__(self, *, idle: float = IDLE_SECONDS) -> None:
        self._idle = idle
        self._running: dict[Path, _Pages] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._watch: threading.Thread | None = None

    async def answer(self, root: Path, request: Request) -> Response:
        """Passes a request on to the pages of a workspace; starts them if they do not run."""
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > MOST_BYTES:
                return PlainTextResponse("the request has more than 10 MB; send less at once", 413)
        return await run_in_threadpool(self._passed_on, root, request, body)

    def close(self) -> None:
        """Ends all processes."""
        self._closed.set()
        with self._lock:
            for root in list(self._running):
                self._end(root)

    def _passed_on(self, root: Path, request: Request, body: bytes) -> Response:
        try:
            pages = self._take(root)
        except (RetrimError, OSError) as error:
            return PlainTextResponse(str(error), 503)
        connection = http.client.HTTPConnection(HOST, pages.port, timeout=ANSWER_SECONDS)
        try:
            _connect(connection, pages)
            headers = {name: value for name, value in request.headers.items() if name not in NOT_PASSED_ON}
            login = base64.b64encode(f"{USER}:{pages.password}".encode()).decode()
            target = f"/{request.scope['raw_path'].decode('latin-1').split('/mlflow/', 1)[1]}"
            query = f"?{request.url.query}" if request.url.query else ""
            connection.request(
                request.method, target + query, body or None, {**headers, "authorization": f"Basic {login}"}
            )
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException):
            connection.close()
            return PlainTextResponse(
                f"MLflow's pages of {root} do not answer; to see why, run `retrim ui --port 0` there",
                502,
            )
        finally:
            self._give_back(pages)
        passed = StreamingResponse(_pieces(connection, answer, pages), answer.status)
        passed.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.getheaders()
            if name.lower() not in OF_A_CONNECTION
        ]
        return passed

    def _take(self, root: Path) -> _Pages:
        with self._lock:
            pages = self._running.get(root)
            if pages is None or not pages.is_alive:
                others = [each for each in self._running if each != root]
                if len(others) >= MOST:
                    self._end(min(others, key=lambda each: (self._running[each].asked, self._running[each].used)))
                pages = self._running[root] = self._start(root)
            pages.asked += 1
            return pages

    def _give_back(self, pages: _Pages) -> None:
        with self._lock:
            pages.asked -= 1
            pages.used = time.monotonic()

    def _start(self, root: Path) -> _Pages:
        password = keep_password(open_workspace(root).paths.ui_password)
        start_reaper()
        if self._watch is None:
            self._watch = threading.Thread(target=self._end_unused, name="unused MLflow pages", daemon=True)
            self._watch.start()
        port = free_port()
        process = subprocess.Popen(
            [*RETRIM, "ui", "--port", str(port)], cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        return _Pages(process, port, password, time.monotonic())

    def _end_unused(self) -> None:
        while not self._closed.wait(self._idle / 10):
            with self._lock:
                for root, pages in list(self._running.items()):
                    if not pages.asked and time.monotonic() - pages.used > self._idle:
                        self._end(root)

    def _end(self, root: Path) -> None:
        pages = self._running.pop(root)
        pages.process.terminate()
        try:
            pages.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pages.process.kill()
            pages.process.wait()


def _pieces(connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, pages: _Pages) -> Iterator[bytes]:
    try:
        while piece := answer.read(PIECE_BYTES):
            pages.used = time.monotonic()
            yield piece
    finally:
        connection.close()


def _connect(connection: http.client.HTTPConnection, pages: _Pages) -> None:
    """Waits until the process listens; whoever connects by then waits until it has imported MLflow.

    Raises:
        OSError: It has ended, or takes too long.
    """
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            connection.connect()
        except ConnectionRefusedError:
            if not pages.is_alive or time.monotonic() > until:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return
