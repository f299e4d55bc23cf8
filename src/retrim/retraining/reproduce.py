"""Rebuilds a released version in a fresh run directory and says whether it is the same, byte for byte.

Proofs of versions: rebuilt from nothing but their commit, raw data and champion, with a signed attestation each.
"""

import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd
from pydantic import JsonValue

import retrim
from retrim.adapters import dvc, environment, git
from retrim.adapters.database import iso
from retrim.adapters.dvc import NotFetchedError, StageFailedError, end_survivors
from retrim.adapters.signing import read_attestation
from retrim.adapters.wheel import LOCK, NOTE, named_wheel
from retrim.decision.alerts import AlertKind
from retrim.decision.probation import (
    REBUILD,
    Agreement,
    RebuildStatement,
    StatedPlatform,
    agreement,
    from_top,
    pick,
    rebuild_predicate,
)
from retrim.decision.stored_rows import EnvelopeRow, VersionRow
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError, is_machine_fault
from retrim.files import Paths, file_digest, folder_digest, platform_tag, read_folder, write_file
from retrim.lineage.locks import held_locks, using_cache
from retrim.lineage.workspace import Workspace, record_alert
from retrim.parquet import read_parquet
from retrim.release.versions import PROOF, load_stored_version, origin_of, rebuild_said, refuse_rebuild, whose_key
from retrim.retraining.recover import limits_of_rebuild
from retrim.stats.codec import from_record, to_json
from retrim.stats.windows import part_of
from retrim.training.bundle import load_predictor
from retrim.training.estimators import trust_all

Say = Callable[[str], None]
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


@dataclass(frozen=True)
class OpenRebuild:
    """A rebuild whose run directory is still there.

    Args:
        row: The version.
        run directory: The run directory, with what was rebuilt.
        python: The interpreter its stages ran with; None for this one.
        packages: That are installed in a proof's environment, as `name==version`.
        rebuilt: What it gave.
    """

    row: VersionRow
    run_directory: Path
    python: Path | None
    packages: tuple[str, ...]
    rebuilt: RebuildResult


def reproduce(workspace: Workspace, version: int, *, say: Say) -> RebuildResult:
    """Rebuilds a version from its recorded commit, its raw data and its champion; all stages run.

    Args:
        workspace: The workspace.
        version: Number of the version.
        say: Called with each line that DVC prints.

    Raises:
        As `rebuilding`.
    """
    with rebuilding(workspace, version, prove=False, gently=False, say=say) as done:
        return done.rebuilt


@contextmanager
def rebuilding(workspace: Workspace, version: int, *, prove: bool, gently: bool, say: Say) -> Iterator[OpenRebuild]:
    """The same, with its run directory until the context ends.

    Args:
        workspace: The workspace.
        version: Number of the version.
        prove: Also from a fresh clone, with no cached output and in an environment made from the recorded lock.
        gently: Whether everything else on this machine goes first.
        say: Called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, another process rebuilds this version just now, or the packages of a
            proof's environment are not those of the lock.
        NotFetchedError: An input is not in the cache, and the DVC remote did not give it.
    """
    row = version_row(workspace, version)
    with _run_directory_of(workspace, row, git.clone_commit if prove else git.add_worktree) as folder:
        yield _rebuild(workspace, row, folder, prove=prove, gently=gently, say=say)


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

    Args:
        workspace: The workspace.
        version: Number of the version.
        say: Told before the long part.

    Raises:
        As `rebuilding`; RetrimError: a package cannot be installed, or the wheel is not there as recorded.
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
        make(workspace.paths.root, folder, _recorded_commit(workspace, row))
        try:
            yield folder
        finally:
            dvc.close_run_directory(workspace.paths, folder)


def of_this_python(row: VersionRow) -> bool:
    """Whether a version was made with the Python that runs now: only then can it be rebuilt here."""
    return _python(_made_on(row)) == _python(platform_tag())


def _made_on(row: VersionRow) -> str:
    """The platform that a version was made on."""
    return row.made_from.platform or ""


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


def _recorded_commit(workspace: Workspace, row: VersionRow) -> str:
    """The commit the version was released from: not its tag, which can be moved."""
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
) -> OpenRebuild:
    python, packages = None, tuple[str, ...]()
    if prove:
        lock, home = environment.dependencies_of(folder), workspace.paths.environments
        python = environment.built_from(lock, home, gently=gently, say=say)
        packages = environment.require_packages(python, lock)

    def gave(identical: bool, differences: Sequence[str], executed: tuple[str, ...]) -> OpenRebuild:  # noqa: FBT001
        proved = prove and identical
        return OpenRebuild(
            row,
            folder,
            python,
            packages,
            RebuildResult(row.version, identical, tuple(differences), executed, proved=proved),
        )

    limits = limits_of_rebuild(workspace, dvc.stages(folder), mode=str(row.made_from.mode))
    try:
        (dvc.fetch_inputs if prove else dvc.lay_inputs)(workspace.paths, folder)
        dvc.lay_code(folder)
        shutil.rmtree(Paths(folder).candidate, ignore_errors=True)
        printed = dvc.reproduce_all(folder, python=python, limits=limits, gently=gently, say=say)
    except StageFailedError as error:
        return gave(False, [f"it cannot be rebuilt: {error}"], dvc.executed(str(error)))
    except RetrimError as error:
        if isinstance(error, NotFetchedError) or is_machine_fault(error):  # neither says anything of the version
            raise
        return gave(False, [f"its raw data or champion cannot be restored as recorded: {error}"], ())
    executed = dvc.executed(printed)
    differences = [
        *_moved_tag(workspace, row),
        *_other_champion(workspace, row),
        *dvc.lock_differences(folder),
    ]
    missing = [stage for stage in dvc.stages(folder) if stage not in executed]
    differences += [f"stage {stage} did not run" for stage in missing]
    if not differences and folder_digest(Paths(folder).candidate) != row.bundle:
        differences.append("the hash of the bundle differs from the recorded one")
    return gave(not differences, differences, executed)


LOGGER = logging.getLogger("retrim.proof")
PERSON = "asked for by a person"


@dataclass(frozen=True)
class RebuildProof(RebuildResult):
    """A proof of a version, whether it succeeded or not, and its attestation.

    Args:
        version: Number of the version.
        identical: Whether every output has the recorded hash.
        differences: What differs, one line per difference; empty if identical.
        executed: Stages that were observed to run.
        proved: Whether it is identical and was rebuilt in an environment made from the recorded lock, without cached
            outputs.
        attestation: File of the attestation.
        largest_difference: Largest difference between predictions on the holdout rows; None if it is not known.
    """

    attestation: Path
    largest_difference: float | None


def prove_rebuild(
    workspace: Workspace, version: int, *, reason: str, now: pd.Timestamp, gently: bool, say: Say
) -> RebuildProof:
    """Rebuilds a version with nothing taken on trust and keeps a signed attestation of what came out.

    The attestation goes to `var/attestations/`, then into the version's envelope, then MLflow is told.

    Args:
        workspace: The workspace.
        version: Number of the version.
        reason: Who or what asked for it; a scheduled proof names its moment.
        now: Noted in the attestation.
        gently: Whether everything else on this machine goes first.
        say: Called with each line that DVC prints.

    Raises:
        BadInputError: There is no such version, or this is another Python.
        RefusedError: The recorded commit is gone, or another process rebuilds this version just now.
    """
    with rebuilding(workspace, version, prove=True, gently=gently, say=say) as done:
        apart = _compare(workspace, done.row, Paths(done.run_directory))
        fields = _fields(workspace, done, apart, reason=reason, now=now)
        rebuilt, bundle = done.rebuilt, done.row.bundle
    attestation = workspace.keys.attest(REBUILD, {f"{workspace.model}/v{version}": bundle}, fields)
    content = to_json(attestation)
    name = sha256(f"{version}\0{reason}\0{iso(now)}".encode()).hexdigest()[:12]
    file = workspace.paths.attestations / f"{workspace.model}-v{version}-{name}.json"
    write_file(file, content)
    workspace.store.add_to_envelope(workspace.model, version, kind=PROOF, name=name, at=iso(now), record=attestation)
    _tell_mlflow(workspace, version, identical=not rebuilt.differences, at=iso(now))
    return RebuildProof(**vars(rebuilt), attestation=file, largest_difference=apart.largest)


def prove_chain(
    workspace: Workspace, version: int, *, skip_proved: bool, now: pd.Timestamp, say: Say
) -> tuple[RebuildProof, tuple[RebuildProof, ...]]:
    """Proves a version and before it every champion that it and they were judged against, version 1 first.

    Args:
        workspace: The workspace.
        version: The last one.
        skip_proved: Whether ancestors that have an attestation of ours that says *identical* are left out.
        now: Noted in the attestations.
        say: Called with each line that DVC prints.

    Returns:
        The version's own proof, and those of its ancestors, oldest first.

    Raises:
        As `prove`.
    """
    proved = {row.version for row in workspace.store.envelopes(workspace.model, kind=PROOF) if _holds(workspace, row)}
    todo = [number for number in ancestors(workspace, version) if not (skip_proved and number in proved)]
    before = []
    for number in [each for each in todo if origin_of(version_row(workspace, each))]:
        say(
            f"version {number} was imported: its bundle is checked against the signed hash, and its rebuild is "
            "proved in the workspace that made it"
        )
        todo.remove(number)
    for number in todo:
        say(f"proving version {number}, an ancestor of version {version}")
        before.append(
            prove_rebuild(workspace, number, reason=f"ancestor of version {version}", now=now, gently=False, say=say)
        )
    return prove_rebuild(workspace, version, reason=PERSON, now=now, gently=False, say=say), tuple(before)


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

    Args:
        workspace: The workspace.
        now: The scheduled moment, which is also the seed.
        say: Called with each line that DVC prints.

    Returns:
        None where that is switched off, there is no version of this Python yet, or the moment has had its proof.

    Raises:
        BusyError: A retraining is in progress; ask again later.
    """
    made = [row for row in workspace.store.versions(workspace.model) if origin_of(row) is None]
    versions = [row.version for row in made if of_this_python(row)]
    reason = f"scheduled for {iso(now)}"
    done = any(rebuild_said(row).reason == reason for row in workspace.store.envelopes(workspace.model, kind=PROOF))
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


def _holds(workspace: Workspace, row: EnvelopeRow) -> bool:
    """Whether a kept attestation is what was signed here, and says *identical* of this platform and this bundle."""
    known = workspace.store.version(workspace.model, row.version)
    try:
        attestation = read_attestation(row.record)
        whose_key(workspace, attestation.signer, key=None)
    except (BadInputError, RefusedError):
        return False
    said = from_record(RebuildStatement, attestation.fields)
    same = known is not None and said.bundle.recorded == known.bundle
    return same and said.identical and said.platform.here == platform_tag()


def _fields(
    workspace: Workspace, done: OpenRebuild, apart: Agreement, *, reason: str, now: pd.Timestamp
) -> dict[str, JsonValue]:
    row, run_directory, made_from = done.row, Paths(done.run_directory), done.row.made_from
    assert done.python is not None
    whole = bool(done.rebuilt.executed) and run_directory.candidate.is_dir()
    return rebuild_predicate(
        what={
            "model": workspace.model,
            "version": row.version,
            "run": row.run,
            "commit": made_from.commit,
            "tag": row.tag,
            "retrim": retrim.__version__,
        },
        platform=StatedPlatform(_made_on(row), platform_tag()),
        environment={
            "lock_recorded": made_from.requirements_lock,
            "lock_built": file_digest(done.run_directory / "requirements.lock"),
            "packages": len(done.packages),
            "packages_sha256": sha256("\n".join(done.packages).encode()).hexdigest(),
        },
        inputs={
            "raw": made_from.raw_digest,
            "champion": made_from.champion_digest,
            "champion_version": made_from.champion,
        },
        outputs=dvc.outputs(done.run_directory),
        bundle={"recorded": row.bundle, "rebuilt": folder_digest(run_directory.candidate) if whole else None},
        executed=done.rebuilt.executed,
        differences=from_top(done.rebuilt.differences, root=str(workspace.paths.root)),
        predictions=apart,
        reason=reason,
        proved_at=iso(now),
    )


def _compare(workspace: Workspace, row: VersionRow, run_directory: Paths) -> Agreement:
    """Rebuilt and recorded model on the judged rows of the rebuild."""
    try:
        view = read_parquet(run_directory.view, columns=["_key", "_part"])
        keys = part_of(view, "judge")["_key"]
        judged = read_parquet(run_directory.table).set_index("_key").loc[keys].reset_index()
        files = read_folder(run_directory.candidate)
        trust_all(files)  # the run directory's own code has run already, in its stages
        rebuilt = load_predictor(files).predict(judged)
    except (OSError, KeyError, ValueError) as error:
        return Agreement(0, None, f"the rebuilt model cannot predict ({type(error).__name__})")
    try:
        recorded = load_stored_version(workspace, row.version).predictor.predict(judged)
    except RetrimError as error:
        return Agreement(len(judged), None, f"the recorded model cannot be loaded: {error}")
    return agreement(rebuilt, recorded)


def _tell_mlflow(workspace: Workspace, version: int, *, identical: bool, at: str) -> None:
    """Tags the version in MLflow; the attestation holds anyway if MLflow cannot be reached."""
    name = "last_proved" if identical else "last_differed"
    try:
        workspace.registry.tag_version(version, name, at)
    except RetrimError as error:
        LOGGER.warning("version %s could not be tagged %s in MLflow: %s", version, name, error)
