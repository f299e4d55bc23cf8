"""A model behind the server: what answers, what keeps the answers, and what follows the live version.

A version that goes live is loaded and tried beside the old one, which answers until it is ready. Labels that a request
brings land as a file of labels does.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pandas as pd

from retrim.decision.alerts import AlertKind
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import file_state
from retrim.lineage.locks import repeated
from retrim.lineage.tokens import Doorkeeper
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.canary import end_canary, newest_canary
from retrim.release.versions import find_live_version, load_champion, load_stored_version, rolled_back_from
from retrim.serving.canary import CanaryAnswers
from retrim.serving.jobs import AllowedPlaces, Jobs
from retrim.serving.metrics import LoopFigures, Metrics
from retrim.serving.needed_columns import version_to_ask
from retrim.serving.request_log import RequestLog
from retrim.serving.request_rows import as_json, as_json_spells
from retrim.serving.served import ServedVersion, serve_version
from retrim.serving.server import Serving
from retrim.serving.shadow import Shadows

if TYPE_CHECKING:  # what lands is needed once labels come
    from retrim.landing.ingest import Landed

LOGGER = logging.getLogger("retrim.serve")
LOOK_SECONDS = 1
"""Between two looks at what is live: where the store was written since, one row of it is read."""
RETRY_SECONDS = 60
"""After which a version that could not be loaded is tried again, and the store is asked all the same."""
SHADOW_SECONDS = 5
"""Between two looks at which versions answer as shadows."""
QUALITY_SECONDS = 60
"""Between two looks at a canary's losses, where something has landed: the keys of the whole table are read."""
JOB_FILES = "var/jobs"
"""In the workspace: where jobs read and write unless other places are named."""
NOT_LOOKED_UP = "the live version could not be looked up; retrim will try again"


class Follower:
    """Keeps a server at the live version; the workspace is opened anew for each, as settings change with it."""

    def __init__(
        self,
        workspace: Workspace,
        open_here: Callable[[], Workspace],
        serving: Serving,
        now: Callable[[], pd.Timestamp],
    ) -> None:
        self._workspace, self._open, self._serving, self._now = workspace, open_here, serving, now
        self._files: tuple[tuple[int, ...] | None, tuple[int, ...]] | None = None
        self._looked: pd.Timestamp | None = None
        self._head: str | None = None  # the first look asks what is live: it may have changed since it was loaded
        self._retry: pd.Timestamp | None = None
        self._judged: tuple[pd.Timestamp, int] | None = None
        self._failed: str | None = None

    def look_once(self) -> None:
        """Looks if anything was written; where that fails, the server goes on with what it has."""
        now, store = self._now(), self._workspace.store
        try:
            files = (store.written(), file_state(self._workspace.paths.canary))
            is_recent = self._looked is not None and now < self._looked + pd.Timedelta(RETRY_SECONDS, "s")
            if self._serving.canary is None and files[0] is not None and files == self._files and is_recent:
                return
            self.look()
            if files[0] is not None:  # nothing is asked until the next write
                store.close()
            self._files, self._looked, self._failed = files, now, None
        except Exception as error:
            if str(error) != self._failed:
                LOGGER.warning("%s: %s", NOT_LOOKED_UP, error, exc_info=not isinstance(error, RetrimError))
            self._failed, self._looked = str(error), None

    def look(self) -> None:
        """Swaps the live version in if it is another one, and keeps the old one if it cannot answer; the canary too."""
        now = self._now()
        self._look_at_live(now)
        self._look_at_canary(now)

    def _look_at_canary(self, now: pd.Timestamp) -> None:
        """Has the canary answer that a person began, and ends one that is over."""
        serving, going = self._serving, newest_canary(self._workspace)
        before = serving.canary
        if before is not None and before.over is not None:
            end_canary(self._workspace, before.canary, *before.over, now=now)
            serving.canary = None  # last: where the end cannot be kept it answers no more all the same
        elif going is None or going.ended is not None:
            serving.canary = None
        elif going.against != serving.served.version:
            live = find_live_version(self._workspace)
            if live is None or live.version != going.against:
                end_canary(self._workspace, going, "replaced", "another version went live", now=now)
        elif before is not None and before.canary == going:
            self._look_at_quality(now)
        else:
            serving.canary, workspace = None, self._open()
            try:
                served = serve_version(workspace, load_stored_version(workspace, going.version))
            except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
                end_canary(workspace, going, "errors", f"it cannot be loaded: {error}", now=now)
            else:
                serving.canary = CanaryAnswers(going, served, serving.metrics.canary)

    def _look_at_quality(self, now: pd.Timestamp) -> None:
        """Has the canary judged by its losses where rows or labels have landed since, however they came."""
        if self._judged is not None and now < self._judged[0] + pd.Timedelta(QUALITY_SECONDS, "s"):
            return
        seen = -1 if self._judged is None else self._judged[1]
        self._judged = now, seen  # where it fails it is tried again, but not at each look
        landed = len(self._open().landing.batches(now))  # anew: what lies at an address is fetched then
        if landed != seen:
            from retrim.checking.beside import look_at_canary
            from retrim.landing.as_of_view import read_as_of

            workspace = self._open()
            look_at_canary(workspace, read_as_of(workspace, as_of=now), now=now)
        self._judged = now, landed

    def _look_at_live(self, now: pd.Timestamp) -> None:
        newest = self._workspace.store.release_head(self._workspace.model)
        head = None if newest is None else newest.digest
        if head == self._head and (self._retry is None or now < self._retry):
            return
        workspace = self._open()
        live = find_live_version(workspace)
        self._head, self._retry = head, None  # from here on: what could not be opened is opened by the next look
        number = None if live is None else live.version
        gone = rolled_back_from(workspace.store.releases(workspace.model))
        if self._serving.before is not None and self._serving.before.version in gone:
            self._serving.before = None
        if number == self._serving.served.version:
            self._serving.behind = None
            return
        try:
            stored = load_champion(workspace)
            if stored is None:
                raise RefusedError("no version is live any longer; release a version, or train one")
            self._serving.swap(serve_version(workspace, stored), rolled_back=gone)
        except Exception as error:  # noqa: BLE001  a model may fail in ways of its own
            self._retry = now + pd.Timedelta(RETRY_SECONDS, "s")
            none = "no version is live any longer"
            self._serving.behind = none if number is None else f"version {number} is live and could not be loaded"
            why = str(error) if isinstance(error, RetrimError) else f"{type(error).__name__}: {error}"
            what = "" if number is None else f"the server cannot load version {number}, which is live: "
            text = f"{what}{why}; version {self._serving.served.version} still answers"
            LOGGER.warning("%s", text)
            record_alert(workspace, AlertKind.FLOW_FAILED, text, now=now, about=f"serve, version {number}")
        else:
            LOGGER.info("version %s now answers requests", number)


@dataclass(frozen=True)
class ServedModel:
    """A model that a server answers for; without a follower where one version was asked for."""

    name: str
    serving: Serving
    log: RequestLog
    follower: Follower | None
    shadows: Shadows | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Answers are stored and the live version is followed until the block ends."""
        follower, jobs, shadows = self.follower, self.serving.jobs, self.shadows
        with ExitStack() as stack:
            self.log.start()
            stack.callback(self.log.close)
            jobs.start()
            stack.callback(jobs.stop)
            if shadows is not None:
                stack.callback(shadows.stop)
                stack.enter_context(repeated(shadows.look, every_seconds=SHADOW_SECONDS, name="shadows"))
            if follower is not None:
                stack.enter_context(repeated(follower.look_once, every_seconds=LOOK_SECONDS, name="champion"))
            yield


def open_model(
    open_here: Callable[[], Workspace],
    version: int | None,
    *,
    is_local: bool,
    is_durable: bool,
    now: Callable[[], pd.Timestamp],
    shadows: Sequence[str] = (),
    jobs_under: Sequence[str] = (),
    default: str | None = None,
) -> ServedModel:
    """A model with its version loaded and tried.

    Args:
        version: That answers; None: the live one, whichever it is.
        default: What is answered where no version can, as a person wrote it; None: nothing.
        jobs_under: Folders and addresses below which jobs may read and write; none: `JOB_FILES`.

    Raises:
        BadInputError: No version is live, or others can connect and no token says who may.
        RefusedError: The version was altered, or answers otherwise than it did.
    """
    workspace = open_here()
    door = Doorkeeper(workspace.paths.tokens)
    if not is_local and not door.tokens():
        raise BadInputError(
            f"other machines could connect to {workspace.model} ({workspace.paths.root}), but it has no token yet; "
            "add one: retrim token NAME --scope predict"
        )

    def load(number: int) -> ServedVersion:
        here = open_here()
        return serve_version(here, load_stored_version(here, number))

    served = serve_version(workspace, version_to_ask(workspace, version))
    paths = workspace.paths
    jobs = Jobs(paths.root, paths.jobs, AllowedPlaces(paths.root, jobs_under or [JOB_FILES]), now)
    log = RequestLog(workspace.paths.requests, workspace.predictions, is_durable=is_durable)
    workspace_of = while_as_it_is(open_here, paths.params)
    metrics = Metrics(LoopFigures(workspace, lambda: serving.served.version, now))
    serving = Serving(
        served,
        door,
        log.add,
        partial(land_labels, workspace_of),
        metrics,
        load=load,
        jobs=jobs,
        is_local=is_local,
        default=default,
    )
    follower = Follower(workspace, open_here, serving, now) if version is None else None
    if not shadows:
        beside = None
    else:
        beside = Shadows(workspace_of, shadows, log.add, metrics.shadows)
        beside.look()
        serving.shadow = beside.offer
    workspace.store.close()  # a connection to SQLite holds 0.2 MB, and a server may have a hundred models
    return ServedModel(workspace.model, serving, log, follower, beside)


def while_as_it_is(open_here: Callable[[], Workspace], settings: Path) -> Callable[[], Workspace]:
    """Gives the workspace that was opened last, until its file of settings is another one."""

    @lru_cache(maxsize=1)
    def opened(_state: tuple[int, ...]) -> Workspace:
        return open_here()

    return lambda: opened(file_state(settings))


def land_labels(open_here: Callable[[], Workspace], rows: Sequence[Mapping[str, Any]]) -> "Landed":
    """Lands labels that were sent as JSON, or quarantines them; the same again changes nothing.

    Raises:
        BadInputError: They are no labels of this table.
        BusyError: Something else lands.
    """
    from retrim.landing.take_in import take_in

    here = workspace = open_here()
    reading = as_json_spells(rows, here.params.reading)
    with ExitStack() as until_landed:
        if reading != here.params.reading:
            workspace = replace(here, params=here.params.model_copy(update={"reading": reading}))
            until_landed.callback(workspace.store.close)
        path = Path(until_landed.enter_context(TemporaryDirectory(prefix="retrim-labels-"))) / "labels.jsonl"
        path.write_bytes(b"\n".join(map(as_json, rows)))
        return next(iter(take_in(workspace, path, now=None, labels=True, correction=False, large=None)))
