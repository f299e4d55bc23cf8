"""Rebuilds a released version in a fresh room and says whether it is the same, byte for byte."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrim.adapters import environment, git, pipeline
from retrim.adapters.dvc_session import StageFailedError, end_survivors
from retrim.adapters.heartbeat import StageHungError
from retrim.adapters.store import Row
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import folder_digest
from retrim.machine import platform_tag
from retrim.ops.cache_lock import using_cache
from retrim.ops.house import House
from retrim.ops.hung import limits_of_rebuild
from retrim.ops.origin import refuse_rebuild
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


@dataclass(frozen=True)
class Rebuilding:
    """A rebuild whose room is still there.

    Args:
        row: The version.
        room: The room, with what was rebuilt.
        python: The interpreter its stages ran with; None for this one.
        packages: That are installed in a proof's environment, as `name==version`.
        rebuilt: What it gave.
    """

    row: Row
    room: Path
    python: Path | None
    packages: tuple[str, ...]
    rebuilt: Rebuilt


def reproduce(house: House, version: int, *, say: Say) -> Rebuilt:
    """Rebuilds a version from its recorded commit, its raw data and its champion; all stages run.

    Args:
        house: The house.
        version: Number of the version.
        say: Called with each line that DVC prints.

    Raises:
        As `rebuilding`.
    """
    with rebuilding(house, version, prove=False, gently=False, say=say) as done:
        return done.rebuilt


@contextmanager
def rebuilding(house: House, version: int, *, prove: bool, gently: bool, say: Say) -> Iterator[Rebuilding]:
    """The same, with its room until the context ends.

    Args:
        house: The house.
        version: Number of the version.
        prove: Also from a fresh clone, with no cached output and in an environment made from the recorded lock.
        gently: Whether everything else on this machine goes first.
        say: Called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, another process rebuilds this version just now, or the packages of a
            proof's environment are not those of the lock.
    """
    row = version_row(house, version)
    refuse_rebuild(row)
    if not of_this_python(row):
        raise BadInputError(
            f"version {version} was made with Python {_python(row.lineage['platform'])}; run retrim with that one to "
            "rebuild it"
        )
    folder = house.workspace.runs / f"reproduce-v{version}"
    with held(house, folder.name), using_cache(house):
        end_survivors(folder)
        pipeline.close_room(house.workspace, folder)
        make = git.clone_commit if prove else git.add_worktree
        make(house.workspace.root, folder, _recorded_commit(house, row))
        try:
            yield _rebuild(house, row, folder, prove=prove, gently=gently, say=say)
        finally:
            pipeline.close_room(house.workspace, folder)


def of_this_python(row: Row) -> bool:
    """Whether a version was made with the Python that runs now: only then can it be rebuilt here."""
    return _python(row.lineage["platform"]) == _python(platform_tag())


def _python(tag: str) -> str:
    return tag.rpartition("-python")[2]


def version_row(house: House, version: int) -> Row:
    """What is recorded of a version.

    Raises:
        BadInputError: There is no such version.
    """
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    return row


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


def _other_champion(house: House, row: Row) -> list[str]:
    """A line if the champion that was laid into the run's room is not the recorded bundle of that version."""
    number = row.lineage["champion"]
    known = None if number is None else house.store.version(house.model, number)
    if known is None or known.bundle == row.lineage["champion_digest"]:
        return []
    return [f"its champion is not version {number} as recorded, but {row.lineage['champion_digest'][:12]}"]


def _rebuild(house: House, row: Row, folder: Path, *, prove: bool, gently: bool, say: Say) -> Rebuilding:
    python, packages = None, tuple[str, ...]()
    if prove:
        lock, home = folder / environment.LOCK, house.workspace.environments
        python = environment.built_from(lock, home, gently=gently, say=say)
        packages = environment.require_packages(python, lock)

    def gave(identical: bool, differences: Sequence[str], executed: tuple[str, ...]) -> Rebuilding:  # noqa: FBT001
        proved = prove and identical
        return Rebuilding(
            row, folder, python, packages, Rebuilt(row.version, identical, tuple(differences), executed, proved=proved)
        )

    limits = limits_of_rebuild(house, pipeline.stages(folder), mode=row.lineage["mode"])
    try:
        (pipeline.fetch_inputs if prove else pipeline.lay_inputs)(house.workspace, folder)
        shutil.rmtree(Paths(folder).candidate, ignore_errors=True)
        printed = pipeline.reproduce_all(folder, python=python, limits=limits, gently=gently, say=say)
    except StageHungError:
        raise
    except StageFailedError as error:
        return gave(False, [f"it cannot be rebuilt: {error}"], pipeline.executed(str(error)))
    except RetrimError as error:
        return gave(False, [f"its raw data or champion is not there as recorded: {error}"], ())
    executed = pipeline.executed(printed)
    differences = [*_moved_tag(house, row), *_other_champion(house, row), *pipeline.lock_differences(folder)]
    missing = [stage for stage in pipeline.stages(folder) if stage not in executed]
    differences += [f"stage {stage} did not run" for stage in missing]
    if not differences and folder_digest(Paths(folder).candidate) != row.bundle:
        differences.append("the bundle has another hash than the recorded one")
    return gave(not differences, differences, executed)
