"""Run directories, in which DVC makes a model of the raw data that had arrived by a date."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import retrim
from retrim.adapters import git
from retrim.adapters.dvc_cache import (
    LockedPath,
    LockedStage,
    cache_folder,
    dvc_config,
    listed_files,
    locked_stages,
    named_in_folder,
    object_path,
    with_members,
)
from retrim.adapters.dvc_session import RUN_DIRECTORY_VARIABLE, DvcSession, Say, clean_environment
from retrim.adapters.processes import start_reaper
from retrim.adapters.wheel import CODE, LOCK, NOTE, named_wheel, unpack_wheel
from retrim.decision.pins import Pins
from retrim.errors import RefusedError, RetrimError
from retrim.files import NO_CHAMPION, Paths, WorkspacePaths, code_digest, file_digest, link, write_folder
from retrim.settings import to_settings_file
from retrim.stats.codec import from_record, to_json, to_record
from retrim.training.mode import StageLimits
from retrim.yaml_files import load_yaml

INPUTS = ["data/raw.dvc", "data/champion.dvc", "data/previous.dvc"]
DVC_ADVERTISES = "Having any troubles?"  # what follows says nothing of the error
COMMITTED = [*INPUTS, "data/pins.json", "data/settings.json", "dvc.lock"]


class NotFetchedError(RetrimError):
    """Inputs that the workspace's cache lacks did not come from the DVC remote: whether they differ is not known."""


@dataclass(frozen=True)
class GraphStage:
    """The settings that a stage in `dvc.yaml` depends on: a name in params.yaml, or names by file."""

    params: tuple[str | dict[str, list[str] | None], ...] = ()


@dataclass(frozen=True)
class StageGraph:
    """`dvc.yaml`."""

    stages: dict[str, GraphStage]


def graph_of(root: Path) -> dict[str, GraphStage]:
    """The stages of the `dvc.yaml` of a folder by name, in run order."""
    return from_record(StageGraph, load_yaml((root / "dvc.yaml").read_text(encoding="utf-8"))).stages


def stages(root: Path) -> list[str]:
    """Stage names in run order, as they stand in dvc.yaml."""
    return list(graph_of(root))


def open_stage_session(
    workspace: WorkspacePaths,
    folder: Path,
    commit: str,
    *,
    raw: Iterable[Path],
    champion: Path | None,
    previous_champion: Mapping[str, bytes],
    pins: Pins,
    settings: Mapping[str, Any],
    digest: Callable[[Path], str],
) -> None:
    """Makes a run directory: worktree, shared DVC cache, raw batches, champion, previous champions, pins, settings.

    Args:
        champion: Folder of the champion's bundle, or None before version 1.
        previous_champion: Files of previous champions by relative name; empty where none competes.
    """
    git.add_worktree(workspace.root, folder, commit)
    share_cache(workspace, folder)
    paths = Paths(folder)
    shutil.rmtree(paths.raw, ignore_errors=True)
    for source in raw:
        link(source, paths.raw / source.parent.name / source.name)
    shutil.rmtree(paths.champion, ignore_errors=True)
    if champion is None:
        paths.champion.mkdir(parents=True)
        (paths.champion / NO_CHAMPION).write_bytes(to_json({"champion": None}))
    else:
        shutil.copytree(champion, paths.champion, copy_function=shutil.copyfile)
    write_folder(paths.previous, previous_champion or {NO_CHAMPION: to_json({"previous": None})})
    pins = replace(
        pins,
        raw_digest=digest(paths.raw),
        champion_digest=digest(paths.champion),
        previous_digest=digest(paths.previous),
        code_digest=code_digest(package_of(folder)),
    )
    paths.pins.write_bytes(to_json(to_record(pins)))
    paths.settings.write_bytes(to_settings_file(settings))
    run_dvc(folder, "add", "data/raw", "data/champion", "data/previous")


def package_of(folder: Path) -> Path:
    """The package that the stages of a run directory import: its own under src, else the installed one."""
    sources = folder / "src" / "retrim"
    return sources if sources.is_dir() else Path(retrim.__file__).parent


def hand_code(root: Path, clone: Path) -> None:
    """Copies the wheel with a clone's code from the cache of `root` to that of the clone, if the cache has it."""
    source, target = cache_folder(root), cache_folder(clone)
    digests, _ = with_members(source, named_in_folder(clone, [NOTE]))
    for digest in digests:
        if object_path(source, digest).is_file() and not object_path(target, digest).exists():
            link(object_path(source, digest), object_path(target, digest))


def lay_code(run_directory: Path) -> None:
    """Unpacks the wheel that the lock of a run directory names, if any, into its src/, from where stages import.

    Raises:
        RefusedError: The wheel in data/code is not the one that the lock names.
    """
    named = named_wheel((run_directory / LOCK).read_text(encoding="utf-8"))
    if named is None:
        return
    wheel = run_directory / CODE / named.name
    if not wheel.is_file() or file_digest(wheel) != named.hash:
        raise RefusedError(
            f"{CODE}/{named.name} is missing, or is not the wheel that {LOCK} lists; restore it with `dvc checkout "
            f"{NOTE}`, or in a clone with `dvc pull {NOTE}`"
        )
    unpack_wheel(wheel, run_directory / "src")


def share_cache(workspace: WorkspacePaths, folder: Path) -> None:
    """Gives a run directory the workspace's DVC cache and local settings; its own lock files stay inside it."""
    with _local_settings(workspace, folder) as config:
        config.setdefault("cache", {}).setdefault("dir", _in_ascii(workspace.root / ".dvc" / "cache", Path.cwd()))


@contextmanager
def _local_settings(workspace: WorkspacePaths, folder: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """DVC's local settings of a run directory, to be changed: the workspace's, with lock files of its own."""
    from dvc.config import Config

    local = dvc_config(workspace.root, "local")
    with Config(str(folder / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        config.setdefault("core", {})["site_cache_dir"] = _in_ascii(folder / ".dvc" / "tmp" / "site", folder)
        yield config


def _in_ascii(path: Path, start: Path) -> str:
    """A path as DVC's settings, which are ASCII, can hold it: relative to `start` if it has other letters."""
    return str(path) if str(path).isascii() else os.path.relpath(path, start)


def reproduce_all(
    run_directory: Path, *, python: Path | None, limits: StageLimits, gently: bool, say: Say, anew: bool = True
) -> str:
    """Runs every stage of a run directory with its own trial log; gives all that was printed.

    Args:
        python: Interpreter to run with; None for this one.
        anew: Whether stages run again that DVC has cached; else DVC takes those from its cache or the remote.

    Raises:
        StageFailedError: A stage did not end well.
        StageHungError: They took too long, or gave no sign of life for too long.
    """
    trials = {"RETRIM_TRIALS": str(run_directory / "var" / "trials")}
    options = ["--force", "--no-run-cache"] if anew else ["--pull"]
    with DvcSession(run_directory, trials, python=python, gently=gently) as session:
        return session.run("repro", ["repro", *options], say, limits)


def executed(printed: str) -> tuple[str, ...]:
    """The stages that DVC says it ran, in order."""
    return tuple(re.findall(r"(?m)^Running stage '([^']+)'", printed))


def lock_differences(run_directory: Path) -> list[str]:
    """What a rebuild changed in dvc.lock against the commit it stands on: stage, output, both hashes."""
    recorded = locked_stages(git.git(run_directory, "show", "HEAD:dvc.lock"))
    rebuilt = locked_stages((run_directory / "dvc.lock").read_text(encoding="utf-8"))
    differences = []
    for stage, before in recorded.items():
        after = rebuilt.get(stage, LockedStage())
        for old, new in ((_hashes(before.deps), _hashes(after.deps)), (_hashes(before.outs), _hashes(after.outs))):
            changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
            differences += [
                f"{stage}: the hash of {path} was {old.get(path)} and is now {new.get(path)}" for path in changed
            ]
    if not differences and git.git(run_directory, "status", "--porcelain", "--", "dvc.lock"):
        differences.append("dvc.lock differs from the recorded one")
    return differences


def lay_inputs(workspace: WorkspacePaths, run_directory: Path, notes: Sequence[str] | None = None) -> None:
    """Checks out raw data and champions into a run directory from the workspace's cache, else from the remote.

    Args:
        notes: The `.dvc` files of what is checked out; None: all of `noted`.

    Raises:
        NotFetchedError: Files are missing from the cache, and the remote did not provide them.
        RetrimError: Files differ from what was recorded, or are missing from the cache while there is no remote.
    """
    share_cache(workspace, run_directory)
    notes = noted(run_directory) if notes is None else notes
    try:
        run_dvc(run_directory, "checkout", *notes)
    except RetrimError:
        if not has_remote(run_directory):
            raise
        _pull(run_directory, notes, _lost(cache_folder(workspace.root), run_directory, notes))


def fetch_inputs(workspace: WorkspacePaths, run_directory: Path) -> None:
    """Pulls raw data and champions into a run directory with a cache of its own, so that DVC checks their hashes.

    They come from the workspace's cache if it has them all, else from the remote.

    Raises:
        As `lay_inputs`.
    """
    cache = cache_folder(workspace.root)
    with _local_settings(workspace, run_directory) as config:
        config["cache"] = {"dir": _in_ascii(run_directory / ".dvc" / "cache", Path.cwd())}  # whatever others share
        config.setdefault("remote", {})["retrim-cache"] = {"url": _in_ascii(cache, Path.cwd()), "verify": True}
    notes = noted(run_directory)
    lost = _lost(cache, run_directory, notes)
    if lost and has_remote(run_directory):
        _pull(run_directory, notes, lost)
    else:
        run_dvc(run_directory, "pull", "-r", "retrim-cache", *notes)


def _pull(run_directory: Path, notes: Sequence[str], lost: Sequence[str]) -> None:
    """Pulls inputs from the remote; `lost` are those that the cache lacks."""
    try:
        run_dvc(run_directory, "pull", *notes)
    except RetrimError as error:
        if not lost:
            raise
        raise NotFetchedError(
            f"{', '.join(lost)} could not be fetched from the DVC remote, and the cache does not have all of it, so "
            f"nothing was compared; check the remote and your access to it, then try again: {error}"
        ) from error


def noted(run_directory: Path) -> list[str]:
    """The `.dvc` files of the inputs in a run directory, and of its code if that is a wheel."""
    return [note for note in (*INPUTS, NOTE) if (run_directory / note).exists()]


def _lost(cache: Path, run_directory: Path, notes: Sequence[str]) -> list[str]:
    """Paths of the inputs that are not whole in a cache."""
    return [note.removesuffix(".dvc") for note in notes if not _has(cache, run_directory / note)]


def _has(cache: Path, note: Path) -> bool:
    """Whether a cache has the listing of a `.dvc` file's folder and its files, altered or not."""
    listing = object_path(cache, from_record(LockedStage, load_yaml(note.read_text(encoding="utf-8"))).outs[0].md5)
    if not listing.exists():
        return False
    try:
        return all(object_path(cache, file.md5).exists() for file in listed_files(listing))
    except (ValueError, RetrimError):  # the listing was altered
        return True


def _hashes(paths: Iterable[LockedPath]) -> dict[str, str]:
    return {locked.path: locked.md5 for locked in paths}


def run_dvc(run_directory: Path, *arguments: str) -> str:
    """What one DVC command prints.

    Raises:
        RetrimError: It failed; the message is DVC's own.
    """
    start_reaper()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=run_directory,
        env=clean_environment({RUN_DIRECTORY_VARIABLE: str(run_directory)}, Path(sys.executable)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = (done.stderr or done.stdout).partition(DVC_ADVERTISES)[0].strip()
        what = f"dvc {' '.join(arguments[:2])}"
        raise RetrimError(
            f"{what} failed in {run_directory}; correct the error that DVC reports, then try again: {message}"
        )
    return done.stdout


def has_remote(root: Path) -> bool:
    """Whether a default DVC remote is set."""
    return bool(dvc_config(root).get("core", {}).get("remote"))


def without_remote(root: Path) -> None:
    """Sets no default remote in the local settings of a repository, which DVC reads last."""
    from dvc.config import Config

    with Config(str(root / ".dvc"), validate=False).edit("local", validate=False) as config:
        config.setdefault("core", {})["remote"] = ""


def close_run_directory(workspace: WorkspacePaths, folder: Path) -> None:
    git.remove_worktree(workspace.root, folder)
