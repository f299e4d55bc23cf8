"""Prunes what no version needs: run directories, trial logs, environments, MLflow's leftovers and the DVC cache. What
goes is found first, by what is known to be needed, and then removed piece by piece: whenever it is killed, nothing is
gone that was needed, and the next one goes on. Landing zone, store and keys are not looked at.
"""

import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import Annotated

import pandas as pd

from retrim.adapters import dvc, git
from retrim.adapters.dvc_cache import cache_folder, entries, named_in_commit, named_in_folder, run_entries, with_members
from retrim.adapters.environment import COMPLETE
from retrim.adapters.mlflow_leftovers import erase, leftovers
from retrim.adapters.wheel import LOCK, dependencies_in
from retrim.decision.history import UNFINISHED
from retrim.decision.stored_rows import VersionRow
from retrim.errors import RefusedError, RetrimError
from retrim.landing.inbox import TAKEN
from retrim.lineage.locks import alone_with_cache, clear_lock, is_alive, left_behind
from retrim.lineage.own_code import lock_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import origin_of
from retrim.retraining.recover import RUN_DIRECTORY, clear_run_directory
from retrim.stats.codec import Unwritten, key, written

KEEP_LEFTOVERS = pd.Timedelta("90D")
"""Age above which taken files and trials of refused versions go: a fault of a source is noticed within a quarter."""
REBUILD = "reproduce-v"
LEFT_FOR = "7D"
"""What nobody has changed for so long in `var/tmp/` was left behind."""


@dataclass(frozen=True)
class GarbageItem:
    """A file or folder that was inspected.

    Args:
        what: Kind: run directory, sign (a lock file), trial log, environment, prediction, copy, taken file, run cache,
            cache or MLflow run.
        name: Name of the item.
        frees: Bytes that its removal frees.
        why: Why it is kept or removed.
        remove: Removes it; None where it is kept.
    """

    what: str
    name: str
    frees: Annotated[int, key("bytes")]
    why: str
    remove: Unwritten[Callable[[], None] | None]


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder that no other name on the disk holds."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            state = path.lstat()
            total += state.st_size if state.st_nlink == 1 and path.is_file() and not path.is_symlink() else 0
    return total


def unlink(path: Path) -> None:
    """Removes a file that may be gone already."""
    path.unlink(missing_ok=True)


def needed(workspace: Workspace) -> dict[str, set[str]]:
    """What versions and refs name: digests by what names them, versions first.

    Raises:
        RefusedError: The commit of a version is gone.
    """
    root, found = workspace.paths.root, dict[str, set[str]]()
    own = git.first_commit(root)
    for row in workspace.store.all_versions():
        if origin_of(row) is not None:  # nothing of it but its bundle lies here
            continue
        commit = row.made_from.commit or row.tag
        theirs = row.made_from.repository
        other = row.model != workspace.model and None not in (own, theirs) and own != theirs
        if other and git.commit_of(root, commit) is None:
            continue  # of another workspace, which shares the store and has a cache of its own
        try:
            found[f"{row.model} version {row.version}"] = named_in_commit(root, commit)
        except RetrimError as error:
            raise RefusedError(
                f"nothing is removed, because the files that version {row.version} of {row.model} needs are unknown: "
                f"{error}; fetch the tag {row.tag} from the repository that has it"
            ) from error
    refs = ["HEAD", *git.git(root, "for-each-ref", "--format=%(refname)").splitlines()]
    seen = {row.made_from.commit for row in workspace.store.all_versions()}
    for ref in refs:
        stands = git.commit_of(root, ref)
        if stands is not None and stands not in seen:  # a tag may stand on anything
            seen.add(stands)
            found[ref] = named_in_commit(root, stands)
    here = git.git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    found["the workspace"] = named_in_folder(root, here)
    return found


def cache_pieces(
    workspace: Workspace, named: Mapping[str, set[str]], *, kept_run_directories: Sequence[Path], now: pd.Timestamp
) -> Iterator[GarbageItem]:
    """The files of the cache: those that go, and in a line each what is kept for whom.

    Raises:
        RefusedError: The cache has lost the listing of a folder that a version needs.
    """
    root = workspace.paths.root
    folder = cache_folder(root)
    if not folder.resolve().is_relative_to(root.resolve()):
        why = "it lies outside the workspace and may be shared; clean it with `dvc gc --projects`"
        yield GarbageItem("cache", str(folder), 0, why, None)
        return
    keep = _kept(
        workspace,
        folder,
        {
            **named,
            **{
                f"run directory {run_directory.name}": _named_in_run_directory(run_directory)
                for run_directory in kept_run_directories
            },
        },
    )
    since = (now - pd.Timedelta(workspace.params.run_directory.gc_grace)).timestamp()
    every = entries(folder)
    unnamed = [entry for entry in every if entry.digest not in keep]
    goes = [entry for entry in unnamed if entry.changed <= since]
    digests = {entry.digest for entry in goes}
    for path, outs in run_entries(folder):
        if outs & digests:
            why = "it would restore removed files"
            yield GarbageItem("run cache", path.name[:12], path.stat().st_size, why, partial(unlink, path))
    for entry in goes:
        yield GarbageItem(
            "cache",
            entry.digest,
            entry.frees,
            "no version, ref or run directory refers to it",
            partial(unlink, entry.path),
        )
    for who in dict.fromkeys(keep.values()):
        own = [entry for entry in every if keep.get(entry.digest) == who]
        size = sum(entry.path.stat().st_size for entry in own)
        yield GarbageItem("cache", f"{len(own)} files", size, f"{who} needs them", None)
    fresh = [entry for entry in unnamed if entry.changed > since]
    if fresh:
        why = f"they are newer than {workspace.params.run_directory.gc_grace} and may be in use"
        yield GarbageItem("cache", f"{len(fresh)} files", sum(entry.frees for entry in fresh), why, None)


def _kept(workspace: Workspace, cache: Path, named: Mapping[str, set[str]]) -> dict[str, str]:
    """Who needs a digest, by digest; the first who does."""
    keep: dict[str, str] = {}
    for who, digests in named.items():
        whole, lost = with_members(cache, digests)
        if lost and " version " in who and not dvc.has_remote(workspace.paths.root):
            raise RefusedError(
                f"nothing is removed, because the listing {min(lost)} of a folder of {who} is missing from the cache, "
                "so the files of that folder are unknown; restore .dvc/cache from a backup first"
            )
        for digest in sorted(whole):
            keep.setdefault(digest, who)
    return keep


def _named_in_run_directory(run_directory: Path) -> set[str]:
    notes = [*run_directory.rglob("*.dvc"), *run_directory.rglob("dvc.lock")]
    return named_in_folder(
        run_directory, [path.relative_to(run_directory).as_posix() for path in notes if path.is_file()]
    )


@dataclass(frozen=True)
class Pruned:
    """What was kept and what went, or would go.

    Args:
        dry: Whether this was a dry run, which removes nothing.
        pieces: All items that were inspected, in the order in which they are removed.
    """

    dry: Annotated[bool, key("dry_run")]
    pieces: Unwritten[tuple[GarbageItem, ...]]

    @written
    def freed(self) -> int:
        """Bytes of what went."""
        return sum(piece.frees for piece in self.removed)

    @written
    def removed(self) -> tuple[GarbageItem, ...]:
        return tuple(piece for piece in self.pieces if piece.remove is not None)

    @written
    def kept(self) -> tuple[GarbageItem, ...]:
        return tuple(piece for piece in self.pieces if piece.remove is None)


def prune(
    workspace: Workspace,
    *,
    dry: bool,
    now: pd.Timestamp,
    grace: pd.Timedelta | None = None,
    most: int | None = None,
) -> Pruned:
    """Removes what no registered version, no run under way and nobody's hand needs.

    Args:
        grace: Run directories that were touched within it before are kept; None: whenever they were.
        most: Pieces that go at most, the first; None: all that may.

    Raises:
        RefusedError: A run or a rebuild is in progress, or it cannot be told what a version needs.
    """
    with alone_with_cache(workspace):
        pieces = _first(tuple(_pieces(workspace, now, grace)), most)
        if not dry:
            for piece in pieces:
                if piece.remove is not None:
                    piece.remove()
    return Pruned(dry, pieces)


def _first(pieces: tuple[GarbageItem, ...], most: int | None) -> tuple[GarbageItem, ...]:
    """The same pieces without the removals past the first."""
    if most is None:
        return pieces
    going = [piece for piece in pieces if piece.remove is not None][:most]
    return (*(piece for piece in pieces if piece.remove is None), *going)


def _pieces(workspace: Workspace, now: pd.Timestamp, grace: pd.Timedelta | None) -> Iterator[GarbageItem]:
    named = needed(workspace)
    run_directories = list(_run_directories(workspace, touched_since=None if grace is None else now - grace))
    kept = [
        workspace.paths.runs / run_directory.name for run_directory in run_directories if run_directory.remove is None
    ]
    yield from run_directories
    yield from _trials(workspace)
    yield from _environments(workspace)
    yield from copies(workspace, now=now)
    yield from _taken_files(workspace, now=now)
    yield from _mlflow(workspace, now=now)
    yield from cache_pieces(workspace, named, kept_run_directories=kept, now=now)


def _run_directories(workspace: Workspace, *, touched_since: pd.Timestamp | None) -> Iterator[GarbageItem]:
    """Rooms under `var/runs/`: those of runs that are over go, and rebuilds that a kill left; a person's stay."""
    for folder in sorted(workspace.paths.runs.glob("*")):
        if not folder.is_dir():
            continue
        named = RUN_DIRECTORY.fullmatch(folder.name)
        run = workspace.store.run(named[1]) if named is not None else None
        frees = size_of(folder)
        if run is not None and run.state in UNFINISHED:
            yield GarbageItem(
                "run directory",
                folder.name,
                frees,
                f"its run has the state {run.state}: `retrim check` finishes it",
                None,
            )
        elif touched_since is not None and pd.Timestamp(folder.stat().st_mtime, unit="s", tz="UTC") > touched_since:
            yield GarbageItem("run directory", folder.name, frees, "it was changed recently", None)
        elif run is not None and run.model == workspace.model:
            yield GarbageItem(
                "run directory",
                folder.name,
                frees,
                f"its run ended with the state {run.state}",
                partial(clear_run_directory, workspace, folder),
            )
        elif folder.name.startswith(REBUILD) and not is_alive(workspace, folder.name):
            yield GarbageItem(
                "run directory",
                folder.name,
                frees,
                "left by a killed rebuild",
                partial(clear_run_directory, workspace, folder),
            )
        else:
            cure = f"remove it with `git worktree remove --force {folder}`"
            yield GarbageItem("run directory", folder.name, frees, f"a person may be working in it; {cure}", None)
    for name in left_behind(workspace, REBUILD):
        yield GarbageItem("lock file", name, 0, "its process was killed", partial(clear_lock, workspace, name))


def _trials(workspace: Workspace) -> Iterator[GarbageItem]:
    """Trial logs: they save time to a search that was killed, and to nothing else."""
    waiting = [run for state in UNFINISHED for run in workspace.store.all_runs(state=state)]
    for log in sorted(workspace.paths.trials.glob("*.jsonl")):
        size = log.stat().st_size
        if waiting:
            yield GarbageItem("trial log", log.stem, size, f"{waiting[0].id} may resume from it", None)
        else:
            yield GarbageItem("trial log", log.stem, size, "no search resumes from it", partial(unlink, log))


def copies(workspace: Workspace, *, now: pd.Timestamp) -> Iterator[GarbageItem]:
    """What lies in `var/tmp/`: a command takes it away when it ends."""
    since = (now - pd.Timedelta(LEFT_FOR)).timestamp()
    why = f"it was left behind by a killed command and has not changed for {LEFT_FOR}"
    for folder in sorted(path for path in workspace.paths.tmp.glob("*") if path.is_dir()):
        try:
            changed, frees = folder.stat().st_mtime, size_of(folder)
        except FileNotFoundError:  # its command ends just now
            continue
        if changed <= since:
            yield GarbageItem("copy", folder.name, frees, why, partial(shutil.rmtree, folder))


def _environments(workspace: Workspace) -> Iterator[GarbageItem]:
    """Environments of proofs: those of a version's lock stay, as a package may be gone from its index by then."""
    versions = workspace.store.all_versions()
    locks = {(row.made_from.requirements_lock or "")[:16]: f"version {row.version}" for row in versions}
    texts = {f"version {row.version}": _lock_of(workspace, row) for row in versions}
    texts["the workspace"] = lock_of(workspace.paths)
    for who, text in texts.items():
        if text is not None:  # proofs are made in the packages alone, work by hand in those with the code
            locks.setdefault(sha256(text.encode()).hexdigest()[:16], who)
            locks.setdefault(sha256(dependencies_in(text).encode()).hexdigest()[:16], who)
    for folder in sorted(path for path in workspace.paths.environments.glob("*") if path.is_dir()):
        lock, _, python = folder.name.partition("-")
        whole, frees = (folder / COMPLETE).exists(), size_of(folder)
        if not whole:
            why = "it is incomplete"
        elif python != platform.python_version():
            why = f"it was built for Python {python}"
        else:
            why = "" if lock in locks else "no version uses its requirements.lock"
        if why:
            yield GarbageItem("environment", folder.name, frees, why, partial(_remove_environment, folder))
        else:
            yield GarbageItem("environment", folder.name, frees, f"it is used to prove {locks[lock]}", None)


def _lock_of(workspace: Workspace, row: VersionRow) -> str | None:
    """The requirements.lock of a version; None where its commit is not in this repository."""
    with suppress(RetrimError):
        return git.file_at(workspace.paths.root, row.made_from.commit or row.tag, LOCK).decode()
    return None


def _remove_environment(folder: Path) -> None:
    unlink(folder / COMPLETE)  # first: what is left by a kill is then built anew
    shutil.rmtree(folder, ignore_errors=True)


def _taken_files(workspace: Workspace, *, now: pd.Timestamp) -> Iterator[GarbageItem]:
    """Files of the inbox that were taken long ago: what they held has landed, or lies in quarantine."""
    since = (now - KEEP_LEFTOVERS).timestamp()
    for path in sorted((workspace.paths.inbox / TAKEN).glob("*")):
        state = path.lstat()
        if S_ISREG(state.st_mode) and state.st_ctime <= since:  # of the move; a producer's file may be older
            why = f"taken at least {KEEP_LEFTOVERS.days} days ago"
            yield GarbageItem("taken file", path.name, state.st_size, why, partial(unlink, path))


def _mlflow(workspace: Workspace, *, now: pd.Timestamp) -> Iterator[GarbageItem]:
    """Runs of MLflow that no version came from: deleted ones, those of runs that failed for good, and old trials."""
    failed = {run.id for run in workspace.store.runs(workspace.model, state="failed")}
    for run in leftovers(workspace.registry, failed, _refused_long_ago(workspace, now=now)):
        yield GarbageItem("mlflow run", run.id, run.bytes, run.why, partial(erase, workspace.registry, run.id))


def _refused_long_ago(workspace: Workspace, *, now: pd.Timestamp) -> set[str]:
    """Retrainings whose version was refused, and made so long ago that nobody looks at its trials any more."""
    until = now - KEEP_LEFTOVERS
    old = {row.run for row in workspace.store.versions(workspace.model) if pd.Timestamp(row.made) <= until}
    return {run.id for run in workspace.store.runs(workspace.model, state="refused") if run.id in old}
