"""Rebuilds a released version in a fresh room and says whether it is the same, byte for byte."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrim.adapters import environment, git, pipeline
from retrim.adapters.dvc_session import StageFailedError
from retrim.adapters.store import Row
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import folder_digest
from retrim.machine import platform_tag
from retrim.ops.house import House
from retrim.ops.signs import held
from retrim.paths import Paths

Say = Callable[[str], None]
INPUTS = ("dvc.yaml", "params.yaml", "requirements.lock", "expectations", "src")


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild gave.

    Args:
        version: The version.
        identical: Every output has the recorded hash.
        differences: What differs, a line each; empty when identical.
        executed: Stages that were seen to run.
        proved: It is identical, and was made in an environment built from the recorded lock, with no cached output.
    """

    version: int
    identical: bool
    differences: tuple[str, ...]
    executed: tuple[str, ...]
    proved: bool

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "identical": self.identical,
            "differences": list(self.differences),
            "executed": list(self.executed),
            "proved": self.proved,
        }


def reproduce(house: House, version: int, *, prove: bool, say: Say) -> Rebuilt:
    """Rebuilds a version from its recorded commit, its raw data and its champion; all stages run.

    Args:
        house: The house.
        version: Number of the version.
        prove: Also with no cached output and in an environment made from the recorded lock.
        say: Called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, or another process rebuilds this version just now.
    """
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    recorded = str(row.lineage["platform"]).rpartition("-python")[2]
    if recorded != platform_tag().rpartition("-python")[2]:
        raise BadInputError(
            f"version {version} was made with Python {recorded}; run retrim with that one to rebuild it"
        )
    folder = house.workspace.runs / f"reproduce-v{version}"
    with held(house, folder.name):
        pipeline.end_survivors(folder)
        pipeline.close_room(house.workspace, folder)
        git.add_worktree(house.workspace.root, folder, _recorded_commit(house, row))
        try:
            return _rebuild(house, row, folder, prove=prove, say=say)
        finally:
            pipeline.close_room(house.workspace, folder)


def _recorded_commit(house: House, row: Row) -> str:
    """The commit the version was released from: not its tag, which can be moved."""
    commit = str(row.lineage["commit"])
    if not git.has_commit(house.workspace.root, commit):
        raise RefusedError(
            f"commit {commit[:12]} of version {row.version} is not in this repository; "
            f"fetch {row.tag} from where it was made"
        )
    return commit


def _moved_tag(house: House, row: Row) -> list[str]:
    """A line if the tag holds another lock or other inputs than those recorded: plain tools would rebuild that."""
    commit, found = row.lineage["commit"], git.find_tag(house.workspace.root, row.tag)
    back = f"set it back with `git tag -f {row.tag} {commit[:12]}`"
    if found is None:
        return [f"tag {row.tag} is gone; {back}"]
    names = git.git(house.workspace.root, "diff", "--name-only", commit, found, "--", *pipeline.COMMITTED, *INPUTS)
    return [f"tag {row.tag} was moved, and differs in {', '.join(names.split())}; {back}"] if names else []


def _rebuild(house: House, row: Row, folder: Path, *, prove: bool, say: Say) -> Rebuilt:
    python = None
    if prove:
        python = environment.built_from(folder / "requirements.lock", house.workspace.environments, say=say)
    try:
        (pipeline.fetch_inputs if prove else pipeline.lay_inputs)(house.workspace, folder)
        shutil.rmtree(Paths(folder).candidate, ignore_errors=True)
        printed = pipeline.reproduce_all(folder, python=python, say=say)
    except StageFailedError as error:
        return Rebuilt(row.version, False, (f"it cannot be rebuilt: {error}",), pipeline.executed(str(error)), False)
    except RetrimError as error:
        why = f"its raw data or champion is not there as recorded: {error}"
        return Rebuilt(row.version, False, (why,), (), False)
    executed = pipeline.executed(printed)
    differences = [*_moved_tag(house, row), *pipeline.lock_differences(folder)]
    missing = [stage for stage in pipeline.stages(folder) if stage not in executed]
    differences += [f"stage {stage} did not run" for stage in missing]
    if not differences and folder_digest(Paths(folder).candidate) != row.bundle:
        differences.append("the bundle has another hash than the recorded one")
    same = not differences
    return Rebuilt(row.version, same, tuple(differences), executed, proved=prove and same)
