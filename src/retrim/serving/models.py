"""A model behind the server: what answers, what keeps the answers, and what follows the live version."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

import pandas as pd

from retrim.errors import BadInputError
from retrim.lineage.tokens import Doorkeeper
from retrim.lineage.workspace import Workspace
from retrim.release.versions import load_stored_version
from retrim.serving.follow import Follower
from retrim.serving.jobs import AllowedPlaces, Jobs
from retrim.serving.labels import land_labels
from retrim.serving.metrics import LoopFigures, Metrics
from retrim.serving.predict import version_to_ask
from retrim.serving.request_log import RequestLog
from retrim.serving.served import ServedVersion, serve_version
from retrim.serving.server import Serving
from retrim.serving.shadow import Shadows

JOB_FILES = "var/jobs"
"""In the workspace: where jobs read and write unless other places are named."""


@dataclass(frozen=True)
class ServedModel:
    """A model that a server answers for.

    Args:
        name: Of the model.
        serving: What answers.
        log: Keeps the answers.
        follower: Swaps in what goes live; None where one version was asked for.
        jobs: Predicts files and addresses.
        shadows: Answer beside; None: nobody does.
    """

    name: str
    serving: Serving
    log: RequestLog
    follower: Follower | None
    jobs: Jobs
    shadows: Shadows | None = None

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Answers are stored and the live version is followed until the block ends."""
        helpers = [each for each in (self.follower, self.jobs, self.shadows) if each is not None]
        self.log.start()
        for each in helpers:
            each.start()
        try:
            yield
        finally:
            for each in helpers:
                each.stop()
            self.log.close()


def open_model(
    open_here: Callable[[], Workspace],
    version: int | None,
    *,
    is_local: bool,
    is_durable: bool,
    now: Callable[[], pd.Timestamp],
    shadows: Sequence[str] = (),
    jobs_under: Sequence[str] = (),
    webhook: str | None = None,
) -> ServedModel:
    """A model with its version loaded and tried.

    Args:
        open_here: Opens the workspace; anew for each version, as settings change with it.
        version: That answers; None: the live one, whichever it is.
        is_local: Whether only this machine can connect.
        is_durable: Whether each answer is flushed to the disk before it is sent.
        now: The clock.
        shadows: Who answers beside, as `serving.shadow` names them.
        jobs_under: Folders and addresses below which jobs may read and write; none: `JOB_FILES`.
        webhook: Address that is told of each end of a job.

    Raises:
        BadInputError: No version is live, or others can connect and no token says who may.
        RefusedError: The version was altered, or answers otherwise than it did.
    """
    workspace = open_here()
    door = Doorkeeper(workspace.paths.tokens)
    if not is_local and not door.tokens():
        raise BadInputError(
            f"others can connect to {workspace.model}, of {workspace.paths.root}, and there is no token that tells who "
            "may; make one: retrim token add NAME --scope predict"
        )

    def load(number: int) -> ServedVersion:
        here = open_here()
        return serve_version(here, load_stored_version(here, number))

    served = serve_version(workspace, version_to_ask(workspace, version))
    log = RequestLog(workspace.paths.requests, workspace.predictions, is_durable=is_durable)
    figures = LoopFigures(workspace, lambda: serving.served.version, now)
    land = partial(land_labels, open_here)
    serving = Serving(served, door, log.add, land, Metrics(figures), load=load, is_local=is_local)
    follower = Follower(open_here, serving, now) if version is None else None
    paths = workspace.paths
    places = AllowedPlaces(paths.root, jobs_under or [JOB_FILES])
    serving.jobs = Jobs(paths.root, paths.jobs, places, webhook, now)
    beside = Shadows(open_here, shadows, serving.metrics.note_shadow) if shadows else None
    serving.shadow = None if beside is None else beside.offer
    return ServedModel(workspace.model, serving, log, follower, serving.jobs, beside)


def refuse_same_names(names: Sequence[str]) -> None:
    """Refuses models that could not be told apart by name.

    Raises:
        BadInputError: Two are of one name.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise BadInputError(f"two workspaces are of the model {twice!r}; give one another name (data.model)")


@contextmanager
def all_at_work(models: Sequence[ServedModel]) -> Iterator[Mapping[str, Serving]]:
    """What answers, by the name of the model, while all of them are at work."""
    with ExitStack() as stack:
        for each in models:
            stack.enter_context(each.at_work())
        yield {each.name: each.serving for each in models}
