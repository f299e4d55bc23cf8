"""A clone of the workspace under its own `var/`: branch, tags, data and DVC remote here stay untouched."""

import shutil
from pathlib import Path

from retrim.adapters import git, pipeline
from retrim.ops.house import House


def clone(house: House, folder: Path) -> None:
    """Clones the workspace, uncommitted edits included, into `folder`; what lay there is removed.

    Raises:
        RefusedError: The workspace holds a file that a tag must not publish.
    """
    taken = git.snapshot(house.workspace.root, max_file_mb=house.params.room.max_file_mb)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    git.git(folder, "init", "-q", "-b", "empty")
    git.git(house.workspace.root, "push", "-q", str(folder), f"{taken.commit}:refs/heads/main")
    git.git(folder, "checkout", "-q", "main")
    pipeline.without_remote(folder)  # what is made in there is nobody's to fetch
