"""Rebuilds a released version in a fresh run directory and says whether it is the same, byte for byte.

A proof rebuilds from nothing but the version's commit, raw data and champion, and is kept in the version's envelope.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd

from retrim.adapters import dvc, environment, git
from retrim.adapters.database import iso
from retrim.adapters.dvc import NotFetchedError
from retrim.adapters.dvc_session import StageFailedError, end_survivors
from retrim.adapters.wheel import LOCK, NOTE, named_wheel
from retrim.decision.alerts import AlertKind
from retrim.decision.stored_rows import PROOF, Proof, VersionRow
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError, is_machine_fault
from retrim.files import Paths, folder_digest, platform_tag, read_folder
from retrim.lineage.locks import held_locks, using_cache
from retrim.lineage.workspace import Workspace, record_alert
from retrim.parquet import read_parquet
from retrim.release.versions import load_stored_version, origin_of, refuse_rebuild
from retrim.retraining.recover import limits_of_rebuild
from retrim.stats.codec import to_record
from retrim.stats.windows import part_of
from retrim.training.bundle import load_predictor
from retrim.training.estimators import trust_all

Say = Callable[[str], None]
LOGGER = logging.getLogger("retrim.proof")
PERSON = "asked for by a person"
INPUTS = ("dvc.yaml", "params.yaml", "requirements.lock", "expectations", "src")


@dataclass(frozen=True)
class RebuildResult:
    """The result of a rebuild.

    Args:
        version: Number of the version.
        identical: Whether every output has the recorded hash.
        differences: What differs, one line per difference; empty if identical.
        executed: Stages that were observed to run.
        proved: Whether it is identical and was rebuilt in an environment made from the recorded lock, without cached
            outputs.
    """

    version: int
    identical: bool
    differences: tuple[str, ...]
    executed: tuple[str, ...]
    proved: bool


def reproduce(workspace: Workspace, version: int, *, say: Say) -> RebuildResult:
    """Rebuilds a version from its recorded commit, its raw data and its champion; all stages run.

    `say` is called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, or another process rebuilds this version just now.
        NotFetchedError: An input is not in the cache, and the DVC remote did not give it.
    """
    row = version_row(workspace, version)
    with _run_directory_of(workspace, row, git.add_worktree) as folder:
        return _rebuild(workspace, row, folder, prove=False, gently=False, say=say)


@dataclass(frozen=True)
class BuiltEnvironment:
    """The environment of a version.

    Args:
        version: Number of the version.
        folder: Folder of the environment, with bin/python.
        code: The wheel in it; None if the version's code is in the src/ of its tag.
    """

    version: int
    folder: Path
    code: str | None


def build_environment(workspace: Workspace, version: int, *, say: Say) -> BuiltEnvironment:
    """Builds the environment that a version was made in, for work by hand: its locked packages, and its wheel.

    Raises:
        As `reproduce`; RetrimError: a package cannot be installed, or the wheel is not there as recorded.
    """
    row = version_row(workspace, version)
    with _run_directory_of(workspace, row, git.add_worktree) as run_directory:
        named = named_wheel((run_directory / LOCK).read_text(encoding="utf-8"))
        if named is not None:
            dvc.lay_inputs(workspace.paths, run_directory, [NOTE])
        home = workspace.paths.environments
        python = environment.built_from(run_directory / LOCK, home, gently=False, say=say)
        environment.require_packages(python, run_directory / LOCK)
    return BuiltEnvironment(version, python.parents[1], None if named is None else named.name)


@contextmanager
def _run_directory_of(workspace: Workspace, row: VersionRow, make: Callable[[Path, Path, str], None]) -> Iterator[Path]:
    """A run directory at the recorded commit of a version, until the context ends."""
    refuse_rebuild(row)
    if not of_this_python(row):
        raise BadInputError(
            f"version {row.version} was made with Python {_python(str(row.made_from.platform))}; run retrim with that "
            "Python to rebuild it"
        )
    folder = workspace.paths.runs / f"reproduce-v{row.version}"
    with held_locks(workspace, folder.name), using_cache(workspace):
        end_survivors(folder)
        dvc.close_run_directory(workspace.paths, folder)
        make(workspace.paths.root, folder, recorded_commit(workspace, row))
        try:
            yield folder
        finally:
            dvc.close_run_directory(workspace.paths, folder)


def of_this_python(row: VersionRow) -> bool:
    """Whether a version was made with the Python that runs now: only then can it be rebuilt here."""
    return _python(row.made_from.platform or "") == _python(platform_tag())


def _python(tag: str) -> str:
    return tag.rpartition("-python")[2]


def version_row(workspace: Workspace, version: int) -> VersionRow:
    """What is recorded of a version.

    Raises:
        BadInputError: There is no such version.
    """
    row = workspace.store.version(workspace.model, version)
    if row is None:
        raise BadInputError(f"{workspace.model} has no version {version}; list them with `retrim versions`")
    return row


def recorded_commit(workspace: Workspace, row: VersionRow) -> str:
    """The commit the version was released from: not its tag, which can be moved.

    Raises:
        RefusedError: It is gone.
    """
    commit = str(row.made_from.commit)
    if not git.has_commit(workspace.paths.root, commit):
        raise RefusedError(
            f"commit {commit[:12]} of version {row.version} is not in this repository; fetch the tag {row.tag} from "
            "the repository that has it"
        )
    return commit


def _moved_tag(workspace: Workspace, row: VersionRow) -> list[str]:
    """A line if the tag holds another lock or other inputs than those recorded: plain tools would rebuild that."""
    commit, found = str(row.made_from.commit), git.find_tag(workspace.paths.root, row.tag)
    back = f"restore it with `git tag -f {row.tag} {commit[:12]}`"
    if found is None:
        return [f"tag {row.tag} is missing; {back}"]
    names = git.git(workspace.paths.root, "diff", "--name-only", commit, found, "--", *dvc.COMMITTED, *INPUTS, NOTE)
    return [f"tag {row.tag} was moved to a commit that differs in {', '.join(names.split())}; {back}"] if names else []


def _other_champion(workspace: Workspace, row: VersionRow) -> list[str]:
    """A line if the champion that was laid into the run's run directory is not the recorded bundle of that version."""
    number, digest = row.made_from.champion, str(row.made_from.champion_digest)
    known = None if number is None else workspace.store.version(workspace.model, number)
    if known is None or known.bundle == digest:
        return []
    return [f"its champion has the hash {digest[:12]}, which differs from the recorded hash of version {number}"]


def _rebuild(
    workspace: Workspace, row: VersionRow, folder: Path, *, prove: bool, gently: bool, say: Say
) -> RebuildResult:
    python = None
    if prove:
        lock, home = environment.dependencies_of(folder), workspace.paths.environments
        python = environment.built_from(lock, home, gently=gently, say=say)
        environment.require_packages(python, lock)

    def result(differences: Sequence[str], executed: tuple[str, ...]) -> RebuildResult:
        same = not differences
        return RebuildResult(row.version, same, tuple(differences), executed, proved=prove and same)

    limits = limits_of_rebuild(workspace, dvc.stages(folder), mode=str(row.made_from.mode))
    try:
        (dvc.fetch_inputs if prove else dvc.lay_inputs)(workspace.paths, folder)
        dvc.lay_code(folder)
        shutil.rmtree(Paths(folder).candidate, ignore_errors=True)
        printed = dvc.reproduce_all(folder, python=python, limits=limits, gently=gently, say=say)
    except StageFailedError as error:
        return result([f"it cannot be rebuilt: {error}"], dvc.executed(str(error)))
    except RetrimError as error:
        if isinstance(error, NotFetchedError) or is_machine_fault(error):  # neither says anything of the version
            raise
        return result([f"its raw data or champion cannot be restored as recorded: {error}"], ())
    executed = dvc.executed(printed)
    differences = [
        *_moved_tag(workspace, row),
        *_other_champion(workspace, row),
        *dvc.lock_differences(folder),
    ]
    differences += [f"stage {stage} did not run" for stage in dvc.stages(folder) if stage not in executed]
    if not differences and folder_digest(Paths(folder).candidate) != row.bundle:
        differences.append("the hash of the bundle differs from the recorded one")
    return result(differences, executed)


@dataclass(frozen=True)
class RebuildProof(RebuildResult):
    """A proof of a version, whether it succeeded or not.

    Args:
        version: Number of the version.
        identical: Whether every output has the recorded hash.
        differences: What differs, one line per difference; empty if identical.
        executed: Stages that were observed to run.
        proved: Whether it is identical and was rebuilt in an environment made from the recorded lock, without cached
            outputs.
        largest_difference: Largest difference between predictions on the holdout rows; None if it is not known.
    """

    largest_difference: float | None


def prove_rebuild(
    workspace: Workspace, version: int, *, reason: str, now: pd.Timestamp, gently: bool, say: Say
) -> RebuildProof:
    """Rebuilds a version with nothing taken on trust, and keeps what came out in its envelope and as a tag in MLflow.

    `reason` says who or what asked for it, a scheduled proof by its moment. If `gently`, everything else on this
    machine goes first. `say` is called with each line that DVC prints.

    Raises:
        As `reproduce`; RefusedError also: the packages of the proof's environment are not those of the lock.
    """
    row = version_row(workspace, version)
    with _run_directory_of(workspace, row, git.clone_commit) as folder:
        rebuilt = _rebuild(workspace, row, folder, prove=True, gently=gently, say=say)
        largest = _largest_difference(workspace, row, Paths(folder))
    record = Proof(
        reason=reason,
        proved_at=iso(now),
        platform=platform_tag(),
        bundle=row.bundle,
        identical=rebuilt.identical,
        first_difference=rebuilt.differences[0] if rebuilt.differences else None,
        largest_difference=largest,
    )
    name = sha256(f"{version}\0{reason}\0{iso(now)}".encode()).hexdigest()[:12]
    workspace.store.add_to_envelope(
        workspace.model, version, kind=PROOF, name=name, at=iso(now), record=to_record(record)
    )
    _tag_in_mlflow(workspace, version, identical=rebuilt.identical, at=iso(now))
    return RebuildProof(**vars(rebuilt), largest_difference=largest)


def prove_chain(
    workspace: Workspace, version: int, *, skip_proved: bool, now: pd.Timestamp, say: Say
) -> tuple[RebuildProof, tuple[RebuildProof, ...]]:
    """Proves a version and before it every champion that it and they were judged against, version 1 first.

    With `skip_proved`, ancestors that were found identical on this platform before are left out. `say` is called
    with each line that DVC prints.

    Returns:
        The version's own proof, and those of its ancestors, oldest first.

    Raises:
        As `prove_rebuild`.
    """
    before = []
    for row in map(partial(version_row, workspace), ancestors(workspace, version)):
        if skip_proved and _is_proved(workspace, row):
            continue
        if origin_of(row):
            say(
                f"version {row.version} was imported: its bundle is checked against the signed hash, and its rebuild "
                "is proved in the workspace that made it"
            )
            continue
        say(f"proving version {row.version}, an ancestor of version {version}")
        reason = f"ancestor of version {version}"
        before.append(prove_rebuild(workspace, row.version, reason=reason, now=now, gently=False, say=say))
    return prove_rebuild(workspace, version, reason=PERSON, now=now, gently=False, say=say), tuple(before)


def _is_proved(workspace: Workspace, row: VersionRow) -> bool:
    proofs = [each.proof for each in workspace.store.envelope(workspace.model, row.version, kind=PROOF)]
    return any(p.identical and (p.bundle, p.platform) == (row.bundle, platform_tag()) for p in proofs)


def ancestors(workspace: Workspace, version: int) -> list[int]:
    """The champions behind a version: the one it was judged against, that one's, and so on; oldest first."""
    found: set[int] = set()
    ahead = _parents(version_row(workspace, version))
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            ahead += _parents(version_row(workspace, number))
    return sorted(found)


def _parents(row: VersionRow) -> list[int]:
    champion = None if origin_of(row) else row.made_from.champion  # an imported one has its ancestors elsewhere
    return [] if champion is None else [champion]


def prove_scheduled(workspace: Workspace, *, now: pd.Timestamp, say: Say) -> RebuildProof | None:
    """Proves the version that chance picks for a scheduled moment, once a moment; tells when it differs.

    `now` is the scheduled moment, which is also the seed. `say` is called with each line that DVC prints.

    Returns:
        None where that is switched off, there is no version of this Python yet, or the moment has had its proof.

    Raises:
        BusyError: A retraining is in progress; ask again later.
    """
    made = [row for row in workspace.store.versions(workspace.model) if origin_of(row) is None]
    versions = [row.version for row in made if of_this_python(row)]
    reason = f"scheduled for {iso(now)}"
    done = any(row.proof.reason == reason for row in workspace.store.envelopes(workspace.model, kind=PROOF))
    if workspace.params.schedule.prove is None or not versions or done:
        return None
    going = workspace.store.runs(workspace.model, state="running")
    if going:
        raise BusyError(
            f"run {going[0].id} is in progress (process {going[0].pid}), so nothing was proved; wait until it ends"
        )
    version = pick(versions, model=workspace.model, moment=iso(now))
    proof = prove_rebuild(workspace, version, reason=reason, now=now, gently=True, say=say)
    if not proof.identical:
        first = proof.differences[0].splitlines()[0]
        record_alert(
            workspace,
            AlertKind.REBUILD_DIFFERS,
            f"version {version} could not be rebuilt identically: {first}",
            now=now,
            about=str(version),
        )
    return proof


def pick(versions: Sequence[int], *, model: str, moment: str) -> int:
    """The version that is proved at a scheduled moment (ISO 8601): by chance, and the same one if asked again."""
    drawn = int.from_bytes(sha256(f"{model}\0{moment}".encode()).digest()[:8], "big")
    return sorted(versions)[drawn % len(versions)]


def _largest_difference(workspace: Workspace, row: VersionRow, run_directory: Paths) -> float | None:
    """Between predictions of rebuilt and recorded model on the holdout rows; None if one of them cannot predict."""
    try:
        view = read_parquet(run_directory.view, columns=["_key", "_part"])
        keys = part_of(view, "judge")["_key"]
        rows = read_parquet(run_directory.table).set_index("_key").loc[keys].reset_index()
        files = read_folder(run_directory.candidate)
        trust_all(files)  # the run directory's own code has run already, in its stages
        rebuilt = load_predictor(files).predict(rows)
        recorded = load_stored_version(workspace, row.version).predictor.predict(rows)
    except (OSError, KeyError, ValueError, RetrimError):
        return None
    return largest_difference(rebuilt, recorded)


def largest_difference(rebuilt: np.ndarray, recorded: np.ndarray) -> float | None:
    """Of predictions of shape (n,) or (n, classes); None if the shapes differ, no row is there or one is no number."""
    if rebuilt.shape != recorded.shape or not len(rebuilt):
        return None
    largest = float(np.max(np.abs(rebuilt - recorded)))
    return largest if np.isfinite(largest) else None


def _tag_in_mlflow(workspace: Workspace, version: int, *, identical: bool, at: str) -> None:
    """Tags the version in MLflow; the proof is kept anyway if MLflow cannot be reached."""
    name = "last_proved" if identical else "last_differed"
    try:
        workspace.registry.tag_version(version, name, at)
    except RetrimError as error:
        LOGGER.warning("version %s could not be tagged %s in MLflow: %s", version, name, error)
