"""What a server answers about one model: who may ask, predictions, explanations, labels, jobs."""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from http import HTTPStatus
from secrets import token_hex
from time import thread_time, time_ns
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import JsonValue

from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.lineage.prediction_log import Role
from retrim.lineage.tokens import Doorkeeper, Scope
from retrim.serving.canary import CanaryAnswers
from retrim.serving.checked_rows import LONGEST
from retrim.serving.jobs import Jobs
from retrim.serving.metrics import Metrics
from retrim.serving.request_log import Line
from retrim.serving.request_rows import (
    WrongRequestError,
    lines_of_json,
    rows_of_json,
    wrong,
)
from retrim.serving.served import RowAnswer, ServedVersion
from retrim.stats.codec import to_record

if TYPE_CHECKING:  # what lands is needed once labels come
    from retrim.landing.ingest import Landed

MOST_VERSIONS = 4
"""Versions other than the live one that are held ready; the one that was not asked for longest goes."""
VERSION_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
DEGRADED = "degraded"
"""In an answer: why another version than the live one gave it."""
LOGGER = logging.getLogger("retrim.serve")
PORT = re.compile(r":\d+$", re.ASCII)
X_FORWARDED, FORWARDED = b"x-forwarded-", (b"forwarded", b"x-real-ip", b"via")
"""Headers that a proxy adds."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class RefusedRequestError(Exception):
    """A request that gets no answer.

    Args:
        status: Of HTTP.
        reason: Why, and what to do.
    """

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class RequestAnswer:
    """What is answered to a request.

    Args:
        served: Who answers, but for the rows of a canary.
        rows: Of each row, who answers and what it says.
        request: Id of the request.
        degraded: Why the live version does not answer; None: it does.
    """

    served: ServedVersion
    rows: list[tuple[ServedVersion, RowAnswer]]
    request: str
    degraded: str | None

    def as_json(self) -> bytes:
        """A prediction by another version than the others of the answer names it."""
        numbers = {by.version for by, _ in self.rows}
        version = self.served.version if len(numbers) > 1 else numbers.pop()
        predictions = [
            by.as_record(answer) | ({} if by.version == version else {"version": by.version})
            for by, answer in self.rows
        ]
        record: dict[str, JsonValue] = {"version": version, "request_id": self.request}
        if self.degraded is not None:
            record[DEGRADED] = self.degraded
        return orjson.dumps({**record, "predictions": predictions})


class Serving:
    """What a server answers with about one model, and how.

    Args:
        keep: Keeps what was answered, before it is sent.
        land: Lands labels: lines of JSON.
        load: Loads another version for who names it.
        shadow: Is given each request that the live version answered; returns at once, and never fails.
        is_local: Whether only this machine can connect.
    """

    def __init__(
        self,
        served: ServedVersion,
        door: Doorkeeper,
        keep: Callable[[Line], None],
        land: "Callable[[bytes], Landed]",
        metrics: Metrics,
        *,
        load: Callable[[int], ServedVersion],
        jobs: Jobs,
        shadow: Callable[[bytes, str], None] | None = None,
        is_local: bool = True,
    ) -> None:
        self.served, self.door, self.keep, self.is_local = served, door, keep, is_local
        self.land, self.metrics, self.jobs, self.shadow = land, metrics, jobs, shadow
        self.before: ServedVersion | None = None
        self.behind: str | None = None
        self.canary: CanaryAnswers | None = None
        self.load = lru_cache(MOST_VERSIONS)(load)
        # A thread each: a custom model may bear only one, and labels that land keep no prediction waiting.
        self.answers, self.labels = (ThreadPoolExecutor(1, name) for name in ("answers", "labels"))

    def swap(self, fresh: ServedVersion, *, rolled_back: Collection[int] = ()) -> None:
        """Lets another version answer from the next request on.

        Where that fails, the one that answered until now steps in, or the one before it.
        """
        unfit = {fresh.version, *rolled_back}
        former = (version for version in (self.served, self.before) if version is not None)
        before = next((version for version in former if version.version not in unfit), None)
        self.before, self.served, self.behind = before, fresh, None

    def pick(self, named: str | None) -> ServedVersion | None:
        """The version that a request names, loaded when it is first asked for; None: it names none.

        Raises:
            WrongRequestError: It is not a number.
            RefusedRequestError: There is no such version, or it cannot be loaded.
        """
        if named is None:
            return None
        if VERSION_NUMBER.fullmatch(named) is None:
            raise wrong("has a version number as version, such as ?version=7", named[:LONGEST])
        number = int(named)
        if number == self.served.version:
            return self.served
        return self._loaded(number)

    def _loaded(self, number: int) -> ServedVersion:
        try:
            return self.load(number)
        except RefusedError as error:
            raise RefusedRequestError(HTTPStatus.CONFLICT, str(error)) from error
        except BadInputError as error:
            raise RefusedRequestError(HTTPStatus.NOT_FOUND, str(error)) from error
        except Exception as error:
            LOGGER.exception("version %s cannot be loaded", number)
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"version {number} cannot be loaded; see the server's log for the reason",
            ) from error

    def check(self, headers: list[tuple[bytes, bytes]], scope: Scope) -> None:
        """Refuses who may not ask: without a known token, or where none is needed, from elsewhere or from a page.

        Every page in a browser reaches loopback. A browser names the page's origin, and programs name none. A proxy on
        this machine reaches it too, for whomever it serves. Jobs read and write files, so they always need a token.

        Raises:
            RefusedRequestError: Says what to do.
        """
        given = dict(headers)
        try:
            is_open = self.is_local and scope != "operate" and self.door.is_open()
        except BadInputError as error:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the server cannot read its token file; ask its operator to repair it",
            ) from error
        if not is_open:
            allows = self.door.allows(given.get(b"authorization", b""), scope)
            if allows is None:
                raise RefusedRequestError(
                    HTTPStatus.UNAUTHORIZED,
                    "the request has no valid token; send the header Authorization: Bearer TOKEN (the operator creates "
                    f"one with retrim token NAME --scope {scope})",
                )
            if not allows:
                raise RefusedRequestError(
                    HTTPStatus.FORBIDDEN, f"the token lacks the scope {scope}; send a token that has this scope"
                )
        elif proxied := next((name for name in given if name in FORWARDED or name.startswith(X_FORWARDED)), None):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"the request came through a proxy (header {proxied.decode('latin-1')!r}), and the server has no "
                "tokens; add a token (retrim token NAME --scope predict), and send it with each request",
            )
        elif b"origin" in given:
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                "web pages may not call a server without tokens; add a token, and send it with each request",
            )
        elif PORT.sub("", given.get(b"host", b"").decode("latin-1")) not in LOOPBACK:
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"the request names a host other than {', '.join(LOOPBACK)}; use one of these names",
            )

    def is_quick(self, body: bytes) -> bool:
        """Whether a request takes a millisecond, and so no other thread: a single row that can go the short way."""
        return self.served.one is not None and body[:1] == b"{"

    def answer(self, body: bytes, *, version: str | None = None) -> bytes:
        """The answer to a request.

        Raises:
            WrongRequestError: Something in it cannot be used.
            RefusedRequestError: No version can answer, or it cannot be kept.
        """
        request, named, began = token_hex(8), self.pick(version), thread_time()
        rows = rows_of_json(body)
        answer, canary = self._answered(rows, request, named), self.canary
        if canary is not None and named is None and answer.served.version == canary.canary.against:
            others = canary.answer(rows, [live for _, live in answer.rows], thread_time() - began, request)
            pairs = [(canary.served, others[row]) if row in others else live for row, live in enumerate(answer.rows)]
            answer = replace(answer, rows=pairs)
        is_live = named is None or named is self.served
        self._keep(answer, "request" if is_live else "named")
        if self.shadow is not None and is_live:
            self.shadow(body, request)
        return answer.as_json()

    def take_job(self, body: bytes) -> bytes:
        """Keeps a job for later.

        Raises:
            WrongRequestError: It is none, or an address is not allowed.
            RefusedRequestError: Too many wait, or it cannot be kept.
        """
        try:
            return orjson.dumps(to_record(self.jobs.submit(body)))
        except BusyError as error:
            raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        except OSError as error:
            LOGGER.error("jobs cannot be stored: %s", error)  # noqa: TRY400  as of answers
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the job cannot be stored; see the server's log for the reason"
            ) from error

    def show_job(self, name: str) -> bytes:
        """A job.

        Raises:
            RefusedRequestError: There is none of that id.
        """
        job = self.jobs.find(name)
        if job is None:
            raise RefusedRequestError(HTTPStatus.NOT_FOUND, f"there is no job {name[:100]!r}; check its id")
        return orjson.dumps(to_record(job))

    def explain(self, body: bytes, *, version: str | None = None) -> bytes:
        """What each feature adds to the raw score of rows of JSON.

        Raises:
            WrongRequestError: Something in it cannot be used.
            RefusedRequestError: The model has no exact contributions.
        """
        served = self.pick(version) or self.served
        try:
            contributions = served.explain(rows_of_json(body))
        except RefusedError as error:
            raise RefusedRequestError(HTTPStatus.CONFLICT, str(error)) from error
        return orjson.dumps({"version": served.version, "contributions": contributions})

    def take_labels(self, body: bytes) -> bytes:
        """Lands labels, and says which batch they are.

        Raises:
            WrongRequestError: They are quarantined, or no labels of this table.
            RefusedRequestError: Something else lands, or the table's labels come with its rows.
        """
        try:
            landed = self.land(lines_of_json(body))
        except RefusedError as error:
            raise RefusedRequestError(HTTPStatus.CONFLICT, str(error)) from error
        except BadInputError as error:
            raise wrong(str(error)) from error
        if landed.outcome == "quarantined":
            raise wrong("; ".join(map(str, landed.faults)), f"batch {landed.batch}, which is in quarantine")
        return orjson.dumps({"batch": landed.batch, "outcome": landed.outcome, "rows": landed.rows})

    def _answered(self, rows: Sequence[Mapping[str, Any]], request: str, named: ServedVersion | None) -> RequestAnswer:
        """What is said, by whom, and why not by the live version: by the one before, where that fails."""
        versions = (self.served, self.before) if named is None else (named,)
        degraded = self.behind if named is None else None
        for version in versions:
            if version is None:
                break
            try:
                answers = [(version, answer) for answer in version.answer(rows, request)]
                return RequestAnswer(version, answers, request, degraded)
            except WrongRequestError:
                raise
            except BadInputError as error:
                raise wrong(str(error)) from error
            except Exception:
                LOGGER.exception("version %s cannot answer request %s", version.version, request)
                degraded = f"version {version.version} cannot answer"
        raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, f"{degraded}; see the server's log for the reason")

    def _keep(self, answer: RequestAnswer, role: Role = "request") -> None:
        by_version: dict[int, list[RowAnswer]] = {}
        for by, row in answer.rows:
            by_version.setdefault(by.version, []).append(row)
            for column in row.unseen or ():
                self.metrics.unseen.labels(column).inc()
        at = time_ns() // 1000
        try:
            for version, rows in by_version.items():
                self.keep((version, answer.request, at, rows, role if version == answer.served.version else "canary"))
        except OSError as error:
            LOGGER.error("predictions cannot be stored: %s", error)  # noqa: TRY400  one line for each request is enough
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the prediction cannot be stored; see the server's log for the reason"
            ) from error
