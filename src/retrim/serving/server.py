"""What a server answers about one model: who may ask, predictions, explanations, labels, jobs."""

import logging
import re
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import lru_cache
from http import HTTPStatus
from secrets import token_hex
from time import thread_time, time_ns
from typing import TYPE_CHECKING

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
    Asked,
    WrongRequestError,
    lines_of_json,
    rows_of_json,
    wrong,
)
from retrim.serving.served import RowAnswer, ServedVersion, said_of
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
        said: Why, and what to do.
    """

    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


@dataclass(frozen=True)
class RequestAnswer:
    """What is answered to a request.

    Args:
        served: Who answers.
        said: What it says of each row.
        request: Id of the request.
        mark: Why the live version does not answer; None: it does.
        other: The canary, which answers some rows in its place; None: it has none of them.
        others: What that says, by the number of the row.
    """

    served: ServedVersion
    said: list[RowAnswer]
    request: str
    mark: str | None = None
    other: ServedVersion | None = None
    others: Mapping[int, RowAnswer] = field(default_factory=dict)

    @property
    def own(self) -> list[RowAnswer]:
        """What `served` says of the rows that are answered by it."""
        return [said for row, said in enumerate(self.said) if row not in self.others] if self.others else self.said

    def unseen(self) -> dict[int, list[str]]:
        """Of each row that has some, the columns with a category that the training of who answers did not know."""
        last = ((row, self.others.get(row, said).unseen) for row, said in enumerate(self.said))
        return {row: names for row, names in last if names}

    def as_json(self) -> bytes:
        """A prediction by another version than the others of the answer names it."""
        served, records = self.served, [self.served.as_record(each) for each in self.said]
        if self.other is not None:
            for row, said in self.others.items():
                records[row] = self.other.as_record(said)
            if len(self.others) == len(records):
                served = self.other
            else:
                for row in self.others:
                    records[row]["version"] = self.other.version
        record: dict[str, JsonValue] = {"version": served.version, "request_id": self.request}
        if self.mark is not None:
            record[DEGRADED] = self.mark
        return orjson.dumps({**record, "predictions": records})


class Serving:
    """What a server answers with about one model, and how.

    Args:
        served: The version that answers.
        door: Knows the tokens.
        keep: Keeps what was answered, before it is sent.
        land: Lands labels: lines of JSON.
        metrics: Counts requests.
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
        shadow: Callable[[Asked], None] | None = None,
        is_local: bool = True,
    ) -> None:
        self.served, self.door, self.keep, self.is_local = served, door, keep, is_local
        self.land, self.metrics, self.shadow = land, metrics, shadow
        self.before: ServedVersion | None = None
        self.behind: str | None = None
        self.canary: CanaryAnswers | None = None
        self.jobs: Jobs | None = None
        self.load = lru_cache(MOST_VERSIONS)(load)
        # A thread each: a custom model may bear only one, and labels that land keep no prediction waiting.
        self.answers, self.labels, self.job_requests = (
            ThreadPoolExecutor(1, name) for name in ("answers", "labels", "job requests")
        )

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
                    f"one with retrim token add NAME --scope {scope})",
                )
            if not allows:
                raise RefusedRequestError(
                    HTTPStatus.FORBIDDEN, f"the token lacks the scope {scope}; send a token that has this scope"
                )
        elif proxied := next((name for name in given if name in FORWARDED or name.startswith(X_FORWARDED)), None):
            raise RefusedRequestError(
                HTTPStatus.FORBIDDEN,
                f"the request came through a proxy (header {proxied.decode('latin-1')!r}), and the server has no "
                "tokens; add a token (retrim token add NAME --scope predict), and send it with each request",
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

    def answer_quickly(self, body: bytes) -> bytes | None:
        """The answer to a plain row of JSON; None: `answer` has to look at it."""
        request, served, mark, began = token_hex(8), self.served, self.behind, thread_time()
        try:
            row = orjson.loads(body)
            if type(row) is not dict:
                return None
            answer = RequestAnswer(served, [served.answer_one(row, request)], request, mark)
        except Exception:  # noqa: BLE001  a model may fail in ways of its own; `answer` says what is wrong
            return None
        if self.canary is not None:
            answer = self._beside(answer, began, (body, request))
        self._keep(answer)
        if self.shadow is not None:
            self.shadow((body, request))
        return answer.as_json()

    def answer(self, body: bytes, *, version: str | None = None) -> bytes:
        """The answer to a request.

        Raises:
            WrongRequestError: Something in it cannot be used.
            RefusedRequestError: No version can answer, or it cannot be kept.
        """
        request, named, began = token_hex(8), self.pick(version), thread_time()
        is_live = named is None or named is self.served
        answer = self._said(body, request, named)
        if named is None and answer.served is self.served:
            answer = self._beside(answer, began, (body, request))
        self._keep(answer, "request" if is_live else "named")
        if self.shadow is not None and is_live:
            self.shadow((body, request))
        return answer.as_json()

    def take_job(self, body: bytes) -> bytes:
        """Keeps a job for later.

        Raises:
            WrongRequestError: It is none, or an address is not allowed.
            RefusedRequestError: Too many wait, it cannot be kept, or there are no jobs here.
        """
        try:
            if self.jobs is not None:
                return orjson.dumps(to_record(self.jobs.submit(body)))
        except BusyError as error:
            raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        except OSError as error:
            LOGGER.error("jobs cannot be stored: %s", error)  # noqa: TRY400  as of answers
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the job cannot be stored; see the server's log for the reason"
            ) from error
        raise RefusedRequestError(HTTPStatus.NOT_FOUND, "this server accepts no jobs; send the rows to /predict")

    def show_job(self, name: str) -> bytes:
        """A job.

        Raises:
            RefusedRequestError: There is none of that id.
        """
        found = None if self.jobs is None else self.jobs.find(name)
        if found is None:
            raise RefusedRequestError(HTTPStatus.NOT_FOUND, f"there is no job {name[:100]!r}; check its id")
        return orjson.dumps(to_record(found))

    def _beside(self, answer: RequestAnswer, began: float, asked: Asked) -> RequestAnswer:
        """An answer with the canary's rows in it, where there is one."""
        canary = self.canary
        if canary is None or canary.canary.against != answer.served.version:
            return answer
        rows = canary.answer(answer.said, thread_time() - began, asked, lambda other: said_of(other, asked))
        return replace(answer, other=canary.served, others=rows) if rows else answer

    def explain(self, body: bytes, *, version: str | None = None) -> bytes:
        """What each feature adds to the raw score of rows of JSON.

        Raises:
            WrongRequestError: Something in it cannot be used.
            RefusedRequestError: The model has no exact contributions.
        """
        served = self.pick(version) or self.served
        try:
            found = served.explain(rows_of_json(body, served.needs, served.reading))
        except RefusedError as error:
            raise RefusedRequestError(HTTPStatus.CONFLICT, str(error)) from error
        return orjson.dumps({"version": served.version, "contributions": found})

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
            told = "; ".join(map(str, landed.faults))
            raise wrong(told, f"batch {landed.batch}, which is in quarantine")
        return orjson.dumps({"batch": landed.batch, "outcome": landed.outcome, "rows": landed.rows})

    def _said(self, body: bytes, request: str, named: ServedVersion | None) -> RequestAnswer:
        """What is said, by whom, and why not by the live version: by the one before, where that fails."""
        versions = (self.served, self.before) if named is None else (named,)
        mark = self.behind if named is None else None
        for version in versions:
            if version is None:
                break
            try:
                answers = version.answer(rows_of_json(body, version.needs, version.reading), request)
                return RequestAnswer(version, answers, request, mark)
            except WrongRequestError:
                raise
            except BadInputError as error:
                raise wrong(str(error)) from error
            except Exception:
                LOGGER.exception("version %s cannot answer request %s", version.version, request)
                mark = f"version {version.version} cannot answer"
        raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, f"{mark}; see the server's log for the reason")

    def _keep(self, answer: RequestAnswer, role: Role = "request") -> None:
        for names in answer.unseen().values():
            self.metrics.note_unseen(names)
        at = time_ns() // 1000
        try:
            if answer.own:
                self.keep((answer.served.version, answer.request, at, answer.own, role))
            if answer.other is not None:
                self.keep((answer.other.version, answer.request, at, list(answer.others.values()), "canary"))
        except OSError as error:
            LOGGER.error("predictions cannot be stored: %s", error)  # noqa: TRY400  one line for each request is enough
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, "the prediction cannot be stored; see the server's log for the reason"
            ) from error
