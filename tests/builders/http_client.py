"""`retrim serve` for tests: the real one, on a free port, in a thread of the test; and who asks it."""

import http.client
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from retrim.adapters.mlflow_server import HOST
from retrim.lineage.tokens import Doorkeeper
from retrim.serving.jobs import AllowedPlaces, Jobs
from retrim.serving.metrics import LoopFigures, Metrics
from retrim.serving.models import land_labels
from retrim.serving.needed_columns import version_to_ask
from retrim.serving.request_log import Line, RequestLog
from retrim.serving.routes import make_app
from retrim.serving.served import ServedVersion, serve_version
from retrim.serving.server import Serving
from tests.builders.desk import Desk
from tests.builders.served import SECONDS
from tests.builders.served import serving as serving_app

ROW = {"at": "2024-01-16T00:00", "number": 7, "level": 1.5, "slope": 1.0, "noise": 0.1, "group": "a"}
"""A row to be predicted."""


@dataclass
class Client:
    """Asks a server."""

    port: int
    serving: Serving
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, self.headers | given)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def json(self, path: str, given: Any = None, **headers: str) -> tuple[int, Any]:
        """GET without a body, POST with one."""
        if given is None:
            status, answer = self.ask("GET", path, **headers)
        else:
            status, answer = self.ask(
                "POST", path, json.dumps(given).encode(), content_type="application/json", **headers
            )
        return status, json.loads(answer)


def log_of(desk: Desk) -> RequestLog:
    return RequestLog(desk.workspace.paths.requests, desk.workspace.predictions, is_durable=False)


def served_version(desk: Desk, version: int | None = None) -> ServedVersion:
    return serve_version(desk.workspace, version_to_ask(desk.workspace, version))


def serving_of(desk: Desk, version: int | None = None, *, keep: Callable[[Line], None] = lambda _: None) -> Serving:
    figures = LoopFigures(desk.workspace, lambda: serving.served.version, lambda: desk.day(15))
    land = partial(land_labels, lambda: desk.workspace)
    paths = desk.workspace.paths
    jobs = Jobs(paths.root, paths.jobs, AllowedPlaces(paths.root, ["var/jobs"]), lambda: desk.day(15))
    serving = Serving(
        served_version(desk, version),
        Doorkeeper(desk.workspace.paths.tokens),
        keep,
        land,
        Metrics(figures),
        load=partial(served_version, desk),
        jobs=jobs,
    )
    return serving


@contextmanager
def running(serving: Serving) -> Iterator[Client]:
    """A server that answers, until the end of the block."""
    with running_all({"bike": serving}) as client:
        yield client


@contextmanager
def running_all(models: Mapping[str, Serving]) -> Iterator[Client]:
    """The same of several models, by name."""
    with serving_app(make_app(models)) as port:
        yield Client(port, next(iter(models.values())))
