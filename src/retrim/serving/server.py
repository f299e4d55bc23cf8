"""What a server answers about one model: who may ask, predictions, explanations, labels, jobs."""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from http import HTTPStatus
from secrets import token_hex
from time import thread_time, time_ns
from typing import TYPE_CHECKING, Any

import orjson
from fastapi import HTTPException

from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.lineage.prediction_log import Role
from retrim.lineage.tokens import Doorkeeper, Scope
from retrim.serving.canary import CanaryAnswers
from retrim.serving.checked_rows import LONGEST
from retrim.serving.jobs import Jobs
from retrim.serving.metrics import Metrics
from retrim.serving.request_log import Line
from retrim.serving.request_rows import rows_of_json, wrong
from retrim.serving.served import RowAnswer, ServedVersion
from retrim.stats.codec import to_record

if TYPE_CHECKING:  # what lands is needed once labels come
    from retrim.landing.ingest import Landed

MOST_VERSIONS = 4
"""Versions other than the live one that are held ready; the one that was not asked for longest goes."""
VERSION_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
CANNOT = "no version can answer; see the server's log for the reason"
DEGRADED = "degraded"
"""In an answer: why another version than the live one gave it."""
LOGGER = logging.getLogger("retrim.serve")
PORT = re.compile(r":\d+$", re.ASCII)
X_FORWARDED, FORWARDED = b"x-forwarded-", (b"forwarded", b"x-real-ip", b"via")
"""Headers that a proxy adds."""
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


def refusal(status: HTTPStatus, reason: str) -> HTTPException:
    """The error of a request that gets no answer; the reason says what to do."""
    headers = {"www-authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else None
    return HTTPException(int(status), [{"allowed": reason}], headers)


@contextmanager
def _stored(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        LOGGER.error("%ss cannot be stored: %s", what, error)  # noqa: TRY400  one line for each request is enough
        raise refusal(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the {what} cannot be stored; see the server's log for the reason"
        ) from error


class Serving:
    """What a server answers with about one model, and how.

    What cannot be answered is an error, of which the routes make the status: 422 for bad input, 409 for a refusal.

    Args:
        keep: Keeps what was answered, before it is sent.
        land: Lands labels: the objects that were sent.
        shadow: Is given each request that the live version answered; returns at once, and never fails.
        is_local: Whether only this machine can connect.
        default: What is answered, marked, where no version can; None: nothing.
    """

    def __init__(
        self,
        served: ServedVersion,
        door: Doorkeeper,
        keep: Callable[[Line], None],
        land: "Callable[[Sequence[Mapping[str, Any]]], Landed]",
        metrics: Metrics,
        *,
        load: Callable[[int], ServedVersion],
        jobs: Jobs,
        shadow: Callable[[bytes, str, str | None], None] | None = None,
        is_local: bool = True,
        default: float | str | None = None,
    ) -> None:
        self.served, self.door, self.keep, self.is_local = served, door, keep, is_local
        self.default = None if default is None else served.checked_default(default)
        self.land, self.metrics, self.jobs, self.shadow = land, metrics, jobs, shadow
        self.before: ServedVersion | None = None
        self.behind: str | None = None
        self.canary: CanaryAnswers | None = None
        self.load = lru_cache(MOST_VERSIONS)(load)
        # A thread each: a custom model may bear only one, and labels that land keep no prediction waiting.
        self.answers, self.labels = (ThreadPoolExecutor(1, name) for name in ("answers", "labels"))

    def swap(self, fresh: ServedVersion, *, rolled_back: Collection[int] = ()) -> None:
        """Lets another version answer from the next request on; where it fails, one that answered before steps in."""
        unfit = {fresh.version, *rolled_back}
        former = (version for version in (self.served, self.before) if version is not None)
        before = next((version for version in former if version.version not in unfit), None)
        self.before, self.served, self.behind = before, fresh, None

    def pick(self, named: str | None) -> ServedVersion | None:
        """The version that a request names, loaded when it is first asked for; None: it names none."""
        if named is None:
            return None
        if VERSION_NUMBER.fullmatch(named) is None:
            raise wrong("has a version number as version, such as ?version=7", named[:LONGEST])
        number = int(named)
        try:
            return self.served if number == self.served.version else self.load(number)
        except RefusedError:
            raise
        except BadInputError as error:
            raise refusal(HTTPStatus.NOT_FOUND, str(error)) from error
        except Exception as error:
            LOGGER.exception("version %s cannot be loaded", number)
            raise refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                f"version {number} cannot be loaded; see the server's log for the reason",
            ) from error

    def check(self, headers: list[tuple[bytes, bytes]], scope: Scope) -> str | None:
        """The name of the token that asks, None where none is needed; who may not ask is refused.

        That is who has no known token, or where none is needed, who asks from elsewhere or from a page.
        Every page in a browser reaches loopback. A browser names the page's origin, and programs name none. A proxy on
        this machine reaches it too, for whomever it serves. Jobs read and write files, so they always need a token.
        """
        given = dict(headers)
        try:
            is_open = self.is_local and scope != "operate" and self.door.is_open()
            token = None if is_open else self.door.token_of(given.get(b"authorization", b""))
        except BadInputError as error:
            raise refusal(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the server cannot read its token file; ask its operator to repair it",
            ) from error
        forbidden = None
        if not is_open:
            if token is None:
                raise refusal(
                    HTTPStatus.UNAUTHORIZED,
                    "the request has no valid token; send the header Authorization: Bearer TOKEN (the operator creates "
                    f"one with retrim token NAME --scope {scope})",
                )
            if scope not in token.scopes:
                forbidden = f"the token lacks the scope {scope}; send a token that has this scope"
        elif proxied := next((name for name in given if name in FORWARDED or name.startswith(X_FORWARDED)), None):
            forbidden = (
                f"the request came through a proxy (header {proxied.decode('latin-1')!r}), and the server has no "
                "tokens; add a token (retrim token NAME --scope predict), and send it with each request"
            )
        elif b"origin" in given:
            forbidden = "web pages may not call a server without tokens; add a token, and send it with each request"
        elif PORT.sub("", given.get(b"host", b"").decode("latin-1")) not in LOOPBACK:
            forbidden = f"the request names a host other than {', '.join(LOOPBACK)}; use one of these names"
        if forbidden is not None:
            raise refusal(HTTPStatus.FORBIDDEN, forbidden)
        return None if token is None else token.name

    def is_quick(self, body: bytes) -> bool:
        """Whether a request takes a millisecond, and so no other thread: a single row that can go the short way."""
        return self.served.one is not None and body[:1] == b"{"

    def answer(self, body: bytes, *, version: str | None = None, facts: dict[str, Any] | None = None) -> bytes:
        """The answer to a request; a prediction by another version than the others of the answer names it.

        Args:
            facts: Says which `token` asks; is given the request's id and rows, for the access log.
        """
        request, named, at, began = token_hex(8), self.pick(version), time_ns() // 1000, thread_time()
        rows = rows_of_json(body)
        if facts is not None:
            facts |= {"request_id": request, "rows": len(rows)}
        token = None if facts is None else facts.get("token")
        try:
            served, answers, degraded = self._answered(rows, request, named)
        except HTTPException:
            if self.default is None or named is not None:
                raise
            return self._default_for(rows, request, CANNOT)
        canary, by_canary = self.canary, dict[int, RowAnswer]()
        if canary is not None and named is None and served.version == canary.canary.against:
            by_canary = canary.answer(rows, answers, thread_time() - began, request)
        is_live = named is None or named is self.served
        by_served = [answer for row, answer in enumerate(answers) if row not in by_canary]
        self._keep(served.version, request, at, by_served, "request" if is_live else "named", token)
        predictions, version_number = [served.as_record(answer) for answer in answers], served.version
        if canary is not None and by_canary:
            self._keep(canary.served.version, request, at, [*by_canary.values()], "canary", token)
            beside = {"version": canary.served.version} if by_served else {}
            version_number = served.version if by_served else canary.served.version
            for row, answer in by_canary.items():
                predictions[row] = canary.served.as_record(answer) | beside
        if self.shadow is not None and is_live:
            self.shadow(body, request, token)
        record: dict[str, Any] = {"version": version_number, "request_id": request}
        if degraded is not None:
            record[DEGRADED] = degraded
        return orjson.dumps({**record, "predictions": predictions})

    def _answered(
        self, rows: Sequence[Mapping[str, Any]], request: str, named: ServedVersion | None
    ) -> tuple[ServedVersion, list[RowAnswer], str | None]:
        """Who answers, what it says, and why it is not the live version: the one before, where that fails."""
        versions = (self.served, self.before) if named is None else (named,)
        degraded = self.behind if named is None else None
        for version in versions:
            if version is None:
                break
            try:
                return version, version.answer(rows, request), degraded
            except BadInputError:
                raise
            except Exception:
                LOGGER.exception("version %s cannot answer request %s", version.version, request)
                degraded = f"version {version.version} cannot answer"
        raise refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{degraded}; see the server's log for the reason")

    def _default_for(self, rows: Sequence[Mapping[str, Any]], request: str, why: str) -> bytes:
        """The declared answer where no version can give one, marked; it is no prediction, so it is not stored."""
        name = "class" if isinstance(self.default, str) else "prediction"
        record = {"version": None, "request_id": request, DEGRADED: why, "default": True}
        return orjson.dumps({**record, "predictions": [{name: self.default} for _ in rows]})

    def _keep(
        self, version: int, request: str, at: int, answers: Sequence[RowAnswer], role: Role, token: str | None
    ) -> None:
        for answer in answers:
            for column in answer.unseen or ():
                self.metrics.unseen.labels(column).inc()
        if answers:
            with _stored("prediction"):
                self.keep((version, request, at, answers, role, token))

    def take_job(self, body: bytes) -> bytes:
        """Keeps a job for later."""
        try:
            with _stored("job"):
                return orjson.dumps(to_record(self.jobs.submit(body)))
        except BusyError as error:
            raise refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    def show_job(self, name: str) -> bytes:
        job = self.jobs.find(name)
        if job is None:
            raise refusal(HTTPStatus.NOT_FOUND, f"there is no job {name[:100]!r}; check its id")
        return orjson.dumps(to_record(job))

    def explain(self, body: bytes, *, version: str | None = None) -> bytes:
        """What each feature adds to the raw score of rows of JSON."""
        served = self.pick(version) or self.served
        contributions, base = served.explain(rows_of_json(body))
        return orjson.dumps({"version": served.version, "contributions": contributions, "base": base})

    def take_labels(self, body: bytes) -> bytes:
        """Lands labels, and says which batch they are."""
        landed = self.land(rows_of_json(body))
        if landed.outcome == "quarantined":
            raise wrong("; ".join(map(str, landed.faults)), f"batch {landed.batch}, which is in quarantine")
        return orjson.dumps({"batch": landed.batch, "outcome": landed.outcome, "rows": landed.rows})
