"""A check that decides without acting: it is made in a copy of the store and of the predictions, which is thrown away.

Landed rows, bundles and keys are read where they are. Aliases in MLflow stay as they are.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from retrim.adapters.store import copy_whole
from retrim.checking.check import CheckOutcome, check
from retrim.files import WorkspacePaths, make_private_folder
from retrim.lineage.workspace import ALERTS_LOGGER, Workspace

READ = ("landing", "quarantine", "keys")
"""What of `var/` a check reads; it writes nothing there."""


@dataclass(frozen=True)
class CopiedPaths(WorkspacePaths):
    """The paths of a workspace, but for a `var/` elsewhere.

    Args:
        copied: That `var/`.
    """

    copied: Path

    @property
    def var(self) -> Path:
        return self.copied


def dry_check(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome:
    """What a check of this moment would find and decide; nothing is stored, told or started.

    Raises:
        BadInputError: As `check`.
    """
    with _copied(workspace) as copy:
        silent, ALERTS_LOGGER.disabled = ALERTS_LOGGER.disabled, True
        try:
            return check(copy, by=by, now=now)
        finally:
            ALERTS_LOGGER.disabled = silent
            copy.store.close()


@contextmanager
def _copied(workspace: Workspace) -> Iterator[Workspace]:
    """The workspace with copies of what a check writes, until the block ends."""
    make_private_folder(workspace.paths.tmp)
    with tempfile.TemporaryDirectory(prefix="dry-check-", dir=workspace.paths.tmp) as folder:
        paths, var = CopiedPaths(workspace.paths.root, Path(folder)), workspace.paths.var
        for name in READ:
            if (var / name).exists():
                (paths.var / name).symlink_to(var / name)
        if workspace.paths.canary.is_file():
            make_private_folder(paths.canary.parent)
            shutil.copyfile(workspace.paths.canary, paths.canary)
        elsewhere = dict.fromkeys(("store_url", "predictions", "predictions_table", "alerts", "alerts_file", "ping"))
        env = workspace.env.model_copy(update=elsewhere)
        copy = replace(workspace, paths=paths, env=env, mirrored=False)
        vars(copy)["registry"] = workspace.registry  # cached there; what is live in MLflow is not changed
        copy_whole(workspace.store, copy.store, workspace.model)
        if workspace.env.predictions is None and (var / "predictions").is_dir():
            # A file of predictions is replaced, never changed: a link to it is as good as a copy.
            shutil.copytree(var / "predictions", paths.var / "predictions", copy_function=os.link)
        elif workspace.env.predictions is not None:
            workspace.predictions.copy_to(copy.predictions)
        yield copy
