"""The demo's workspace, a clone of this one, and what a version that stays would have lost in it."""

import os
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.adapters import git
from retrim.alerting.telling import tell_nobody
from retrim.decision.probe import EVERY
from retrim.errors import BadInputError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.settings_file import set_settings
from retrim.lineage.workspace import Workspace, clone, open_workspace
from retrim.reading.shipped import DATASETS
from retrim.release.versions import load_stored_version
from retrim.stats.metrics import row_losses

NO_RUN_READS = ("bench", "deploy", "docs", "tests")
"""Two of three files of this repository: each run directory would lay them out, and remove them."""


def make_workspace(workspace: Workspace) -> Workspace:
    """Clones the workspace, uncommitted edits included, into `var/demo/`, where all that it makes lies.

    There the probe is asked at every check, whatever params.yaml says: what always retraining would have cost is read
    off its fits.

    Raises:
        BadInputError: params.yaml describes no shipped table.
    """
    shipped = list(DATASETS)
    if workspace.model not in shipped:
        raise BadInputError(
            f"params.yaml describes {workspace.model!r}, but the demo replays a shipped table ({', '.join(shipped)}) "
            "with its own settings; run `make demo` in a fresh clone"
        )
    _forget_stores()
    tell_nobody()
    clone(workspace, workspace.paths.demo)
    git.git(workspace.paths.demo, "rm", "-r", "-q", "--ignore-unmatch", "--", *NO_RUN_READS)
    set_settings(replace(workspace.paths, root=workspace.paths.demo), {"probe.when": EVERY})
    return open_workspace(workspace.paths.demo)


def _forget_stores() -> None:
    """Forgets where this process was told that store and models are: the demo keeps its own, and touches no other."""
    stores = ("STORE_URL", "MLFLOW_URL", "MLFLOW_ARTIFACTS", "PREDICTIONS", "PREDICTIONS_TABLE", "LANDING")
    for name in (f"RETRIM_{store}" for store in stores):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)


@dataclass(frozen=True)
class Loss:
    """A sum of losses over rows, so that windows can be added up."""

    total: float = 0.0
    rows: int = 0

    @property
    def mean(self) -> float | None:
        return self.total / self.rows if self.rows else None

    def __add__(self, other: "Loss") -> "Loss":
        return Loss(self.total + other.total, self.rows + other.rows)


def frozen_loss(workspace: Workspace, version: int, *, since: pd.Timestamp | None, until: pd.Timestamp) -> Loss:
    """What a version that was never replaced would have lost on the rows that matured in `(since, until]`."""
    frozen = load_stored_version(workspace, version).predictor
    ripe = read_as_of(workspace, as_of=until).mature()
    unseen = ripe.only(ripe.times["_event"] > frozen.judged_until)
    if since is not None:
        unseen = unseen.only(unseen.times["_matured"] > since)
    if not len(unseen):
        return Loss()
    fresh = unseen.read()
    losses = row_losses(workspace.params.judge.loss, frozen.view.actual(fresh), frozen.predict(fresh))
    return Loss(float(np.sum(losses)), len(fresh))
