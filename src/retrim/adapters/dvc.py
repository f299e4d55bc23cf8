"""Run directories, in which DVC makes a model of the raw data that had arrived by a date, and the cache they share.

DVC lays out again what it has in its cache without a look at its bytes, so outputs are held against what was recorded:
a byte that a disk has turned would go on into the next stage.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import psutil
from ruamel.yaml.error import YAMLError

import retrim
from retrim.adapters import git
from retrim.adapters.environment import GENTLE
from retrim.adapters.processes import Heartbeat, StageHungError, start_reaper
from retrim.adapters.wheel import CODE, LOCK, NOTE, named_wheel, unpack_wheel
from retrim.decision.pins import Pins
from retrim.errors import RefusedError, RetrimError
from retrim.files import (
    NO_CHAMPION,
    Paths,
    WorkspacePaths,
    code_digest,
    file_digest,
    flush_all,
    link,
    load_yaml,
    write_folder,
)
from retrim.settings import to_settings_file
from retrim.stats.codec import from_record, to_json, to_record
from retrim.training.mode import StageLimits


@dataclass(frozen=True)
class LockedPath:
    """A file or folder that DVC noted, by its hash."""

    path: str
    md5: str


@dataclass(frozen=True)
class LockedStage:
    """Of a stage in `dvc.lock`, or of a `.dvc` file, what is read here."""

    deps: tuple[LockedPath, ...] = ()
    outs: tuple[LockedPath, ...] = ()


@dataclass(frozen=True)
class LockFile:
    """`dvc.lock`."""

    stages: dict[str, LockedStage]


def _config(root: Path, level: str | None = None) -> dict[str, dict[str, Any]]:
    """DVC's settings of a repository: those of a level, such as `local`, or all."""
    from dvc.config import Config

    config = Config(str(root / ".dvc"))
    settings: dict[str, dict[str, Any]] = config if level is None else config.read(level)
    return settings


def _locked(text: str) -> dict[str, LockedStage]:
    return from_record(LockFile, load_yaml(text)).stages


@dataclass(frozen=True)
class ListedFile:
    """A file of a folder, as DVC lists it."""

    md5: str
    relpath: str


def _listed(listing: Path) -> tuple[ListedFile, ...]:
    return from_record(tuple[ListedFile, ...], json.loads(listing.read_bytes()))


def refuse_altered(run_directory: Path, stage: str, cache: Path) -> None:
    """Refuses outputs of a stage that are not what `dvc.lock` says.

    Raises:
        RefusedError: One is not; names the file, and the object to remove from the cache.
    """
    lock = _locked((run_directory / "dvc.lock").read_text(encoding="utf-8"))
    for out in lock.get(stage, LockedStage()).outs:
        place, recorded = run_directory / out.path, out.md5
        actual = tree_hash(place) if place.is_dir() else file_hash(place)
        if actual == recorded:
            continue
        name, digest = _altered_file(place, recorded, cache)
        raise RefusedError(
            f"{out.path}{f'/{name}' if name else ''}, an output of stage {stage}, differs from what DVC recorded, "
            f"because its object in the cache was altered. Remove {object_path(cache, digest)} and try again; the "
            "stage then runs again"
        )


def file_hash(path: Path) -> str:
    """DVC's hash of a file: its MD5."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def tree_hash(folder: Path) -> str:
    """DVC's hash of a folder: the MD5 of its listing, which has the MD5 of each file."""
    text = json.dumps([vars(file) for file in _listing(folder)], sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def object_path(cache: Path, digest: str) -> Path:
    """Where an object lies in a cache."""
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def _listing(folder: Path) -> list[ListedFile]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [ListedFile(file_hash(files[name]), name) for name in sorted(files)]


def _altered_file(place: Path, recorded: str, cache: Path) -> tuple[str, str]:
    """The first file of a folder that is not what its recorded listing says, and the hash it should have."""
    listing = object_path(cache, recorded)
    if not place.is_dir() or not listing.is_file():
        return "", recorded
    try:
        wanted = _listed(listing)
    except (ValueError, RetrimError):
        return "", recorded
    actual = {file.relpath: file.md5 for file in _listing(place)}
    return next(((file.relpath, file.md5) for file in wanted if actual.get(file.relpath) != file.md5), ("", recorded))


Say = Callable[[str], None]
RUN_DIRECTORY_VARIABLE = "RETRIM_RUN_DIRECTORY"  # in the environment of all that works in a run directory
EXITED = re.compile(r"failed to run: .*, exited with (\d+)")
WORKER = Path(__file__).with_name("dvc_worker.py")


class StageFailedError(RetrimError):
    """A stage ended without its outputs. Its exit code is the stage's own: 1 the answer is no, 2 bad input, else 3."""

    def __init__(self, stage: str, output: str) -> None:
        super().__init__(f"stage {stage} failed:\n{output.strip()}")
        self.stage = stage
        codes = EXITED.findall(output)  # DVC's own code says only that a stage failed
        self.exit_code = int(codes[-1]) if codes and codes[-1] in ("1", "2") else RetrimError.exit_code


class NotFetchedError(RetrimError):
    """Inputs that the workspace's cache lacks did not come from the DVC remote: whether they differ is not known."""


class DvcSession:
    """A DVC process in a run directory, in a process group of its own that ends with the session.

    Args:
        run_directory: The run directory.
        environment: Variables for the stages beside the inherited ones.

    Attributes:
        seconds: What each stage that has ended took.
    """

    def __init__(self, run_directory: Path, environment: Mapping[str, str]) -> None:
        self.run_directory = run_directory
        self.seconds: dict[str, float] = {}
        start_reaper()
        self._token = secrets.token_hex(16)
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER), self._token],  # -P: files beside it are not DVC's modules
            cwd=run_directory,
            env={**clean_environment(environment, Path(sys.executable)), RUN_DIRECTORY_VARIABLE: str(run_directory)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",  # a stage may print what is not text
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        end_group(self._process)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()

    @cached_property
    def _cache(self) -> Path:
        return Path(_config(self.run_directory).get("cache", {}).get("dir") or self.run_directory / ".dvc" / "cache")

    def reproduce(self, stage: str, say: Say, limits: StageLimits) -> str:
        """Runs one stage, and gives all it printed.

        Raises:
            StageFailedError: It did not end well; carries what it printed.
            StageHungError: It took too long, or gave no sign of life for too long.
            RefusedError: DVC took its outputs from the cache, and they are not what was recorded.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        lines: list[str] = []
        with suppress(BrokenPipeError):  # it was killed: there is nothing to read then, either
            self._process.stdin.write(json.dumps(["repro", "--single-item", stage]) + "\n")
            self._process.stdin.flush()
        with Heartbeat(self._process, limits) as heart:
            code = self._follow(lines, say, heart)
        if heart.why is not None:
            raise StageHungError(stage, heart.why, "".join(lines))
        if code != 0:
            raise StageFailedError(stage, "".join(lines))
        self.seconds[stage] = heart.seconds
        refuse_altered(self.run_directory, stage, self._cache)
        return "".join(lines)

    def _follow(self, lines: list[str], say: Say, heart: Heartbeat) -> int | None:
        """Reads what a command prints; gives its exit code, or None if DVC died of it."""
        assert self._process.stdout is not None
        for read in self._process.stdout:
            heart.beat()
            line, ended, code = read.partition(self._token)
            if line:
                lines.append(line)
                say(line.rstrip())
            if ended:
                return int(code)
        return None


SECRETS = ("ALERTS", "BACKUP", "LANDING", "MLFLOW_URL", "PING", "PREDICTIONS_TABLE", "STORE_URL")
SECRET_ADDRESSES = tuple(f"RETRIM_{name}{suffix}" for name in SECRETS for suffix in ("", "_FILE"))
"""Variables that no stage sees: the code of a custom model runs there."""


def clean_environment(added: Mapping[str, str], python: Path) -> dict[str, str]:
    """The inherited environment, with `python` first and without what would change what runs."""
    dropped = {"PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", *SECRET_ADDRESSES}
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in dropped and not name.startswith(("GIT_", "DVC_", "PREFECT_"))  # a stage has no use for a login
    }
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
    return {**inherited, "DVC_NO_ANALYTICS": "1", "PATH": path, **added}


def end_group(process: subprocess.Popen[str]) -> None:
    """Kills a process with all of its group, and waits for it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end_survivors(run_directory: Path) -> int:
    """Kills what a killed run left working in its run directory, and waits until it is gone; gives how many processes.

    They carry the run directory's name in their environment, so a person's shell in there lives on.
    """
    killed = 0
    while survivors := [process for process in psutil.process_iter() if _works_in(process, run_directory)]:
        for process in survivors:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(survivors, timeout=10)
        killed += len(survivors)
    return killed


def _works_in(process: psutil.Process, run_directory: Path) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(RUN_DIRECTORY_VARIABLE) == str(run_directory)
    except (psutil.Error, OSError):
        return False


LISTING = ".dir"  # behind the hash of a folder's listing


@dataclass(frozen=True)
class CacheFile:
    """A file of a cache.

    Args:
        digest: MD5 of its content; with `.dir` behind it for the listing of a folder.
        path: Where it lies.
        frees: Bytes that are free once it is gone: 0 while another name on the disk holds the same file.
        changed: When it came, as the file system has it, in seconds since 1970.
    """

    digest: str
    path: Path
    frees: int
    changed: float


def cache_folder(root: Path) -> Path:
    """The DVC cache of a repository and its run directories: as its local settings say, else in the repository."""
    given = _config(root, "local").get("cache", {}).get("dir")
    return Path(given) if given else root / ".dvc" / "cache"


def entries(cache: Path) -> list[CacheFile]:
    """Every file of a cache by its digest, listings of folders first: none of these names what is gone already."""
    files = []
    for path in (cache / "files" / "md5").glob("[0-9a-f][0-9a-f]/*"):
        with suppress(FileNotFoundError):
            state = path.stat()
            frees = state.st_size if state.st_nlink == 1 else 0
            files.append(CacheFile(path.parent.name + path.name, path, frees, state.st_ctime))
    return sorted(files, key=lambda entry: (not entry.digest.endswith(LISTING), entry.digest))


def run_entries(cache: Path) -> Iterator[tuple[Path, set[str]]]:
    """Every entry of the run cache, with the digests of the outputs it would restore."""
    for path in sorted((cache / "runs").glob("*/*/*")):
        with suppress(OSError, YAMLError):
            yield path, set(_digests(load_yaml(path.read_bytes())))


def named_in_commit(root: Path, commit: str) -> set[str]:
    """Digests that the `dvc.lock` and `.dvc` files of a commit name.

    Raises:
        RetrimError: The commit is gone, or such a file cannot be read.
    """
    listed = git.git(root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    digests: set[str] = set()
    for name in filter(_is_note, listed):
        digests |= _named(git.git(root, "show", f"{commit}:{name}"), f"{name} at {commit[:12]}")
    return digests


def named_in_folder(folder: Path, names: Iterable[str]) -> set[str]:
    """The same of the files of a working folder, as they lie there.

    Raises:
        RetrimError: Such a file cannot be read.
    """
    digests: set[str] = set()
    for name in filter(_is_note, names):
        with suppress(FileNotFoundError, IsADirectoryError):
            digests |= _named((folder / name).read_text(encoding="utf-8"), str(folder / name))
    return digests


def with_members(cache: Path, digests: Iterable[str]) -> tuple[set[str], set[str]]:
    """Digests, and for listings of folders those of the files they list.

    Returns:
        All of them; and the listings that are not in the cache, whose files nobody can tell.
    """
    complete, lost = set(digests), set()
    for digest in [named for named in complete if named.endswith(LISTING)]:
        try:
            complete |= {file.md5 for file in _listed(object_path(cache, digest))}
        except (OSError, ValueError, RetrimError):
            lost.add(digest)
    return complete, lost


def flush(root: Path, commit: str) -> None:
    """Makes the files of the cache that a commit names survive a power cut."""
    cache = cache_folder(root)
    digests, _ = with_members(cache, named_in_commit(root, commit))
    paths = (object_path(cache, digest) for digest in digests)
    flush_all(filter(Path.is_file, paths), below=cache)


def _is_note(name: str) -> bool:
    return name.endswith(".dvc") or name.rpartition("/")[2] == "dvc.lock"


def _named(text: str, name: str) -> set[str]:
    try:
        return set(_digests(load_yaml(text)))
    except YAMLError as error:
        raise RetrimError(
            f"{name} is not valid YAML, so the cached files that it names are unknown; correct {name}, then try again"
        ) from error


def _digests(record: Any) -> Iterator[str]:
    """The MD5 of every output in a `.dvc` file, a `dvc.lock` or an entry of the run cache."""
    if isinstance(record, Mapping):
        for key, value in record.items():
            if key == "outs" and isinstance(value, list):
                yield from (str(out["md5"]) for out in value if isinstance(out, Mapping) and "md5" in out)
            else:
                yield from _digests(value)


INPUTS = ["data/raw.dvc", "data/champion.dvc", "data/previous.dvc"]
DVC_ADVERTISES = "Having any troubles?"  # what follows says nothing of the error
COMMITTED = [*INPUTS, "data/pins.json", "data/settings.json", "dvc.lock"]


@dataclass(frozen=True)
class GraphStage:
    """Of a stage in `dvc.yaml`, what is read here: settings by file; a name alone is one of params.yaml."""

    params: tuple[str | dict[str, list[str] | None], ...] = ()


@dataclass(frozen=True)
class StageGraph:
    """What `dvc.yaml` holds."""

    stages: dict[str, GraphStage]


def graph_of(root: Path) -> StageGraph:
    """What stands in the `dvc.yaml` of a folder."""
    return from_record(StageGraph, load_yaml((root / "dvc.yaml").read_text(encoding="utf-8")))


def stages(root: Path) -> list[str]:
    """Stage names in run order, as they stand in dvc.yaml."""
    return list(graph_of(root).stages)


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
    """Gives the cache of a clone the wheel that is its code; one that is lost here is missed by who needs it."""
    source, target = cache_folder(root), cache_folder(clone)
    digests, _ = with_members(source, named_in_folder(clone, [NOTE]))
    for digest in digests:
        if object_path(source, digest).is_file() and not object_path(target, digest).exists():
            link(object_path(source, digest), object_path(target, digest))


def lay_code(run_directory: Path) -> None:
    """Unpacks the wheel that the lock of a run directory names into its src/, from where stages import; without one,
    nothing.

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
    from dvc.config import Config

    local = _config(workspace.root, "local")
    with Config(str(folder / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        config.setdefault("cache", {}).setdefault("dir", _in_ascii(workspace.root / ".dvc" / "cache", Path.cwd()))
        config.setdefault("core", {})["site_cache_dir"] = _in_ascii(folder / ".dvc" / "tmp" / "site", folder)


def _in_ascii(path: Path, start: Path) -> str:
    """A path as DVC can write it: its settings are ASCII, so one with other letters is told as seen from `start`."""
    return str(path) if str(path).isascii() else os.path.relpath(path, start)


def reproduce_all(
    run_directory: Path, *, python: Path | None, limits: StageLimits, gently: bool, say: Say, anew: bool = True
) -> str:
    """Runs every stage of a run directory with its own trial log; gives all that was printed.

    Args:
        python: Interpreter to run with; None for this one.

    Raises:
        StageFailedError: A stage did not end well.
        StageHungError: They took too long, or gave no sign of life for too long.
    """
    python = python or Path(sys.executable)
    environment = clean_environment({"RETRIM_TRIALS": str(run_directory / "var" / "trials")}, python)
    command = [str(python), "-m", "dvc", "repro", "--force", "--no-run-cache"]
    if not anew:
        command = [*command[:4], "--pull"]
    return _follow(command, "repro", run_directory, environment, limits=limits, gently=gently, say=say)


def executed(printed: str) -> tuple[str, ...]:
    """The stages that DVC says it ran, in order."""
    return tuple(re.findall(r"(?m)^Running stage '([^']+)'", printed))


def lock_differences(run_directory: Path) -> list[str]:
    """What a rebuild changed in dvc.lock against the commit it stands on: stage, output, both hashes."""
    recorded = _locked(git.git(run_directory, "show", "HEAD:dvc.lock"))
    rebuilt = _locked((run_directory / "dvc.lock").read_text(encoding="utf-8"))
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
    """Lays raw data and champions into a run directory that shares the workspace's cache: from there, else from the
    remote.

    Args:
        notes: What to lay, by its `.dvc` files; None: all that DVC notes there.

    Raises:
        NotFetchedError: The cache lacks some, and the remote did not give them.
        RetrimError: They are not what was recorded, or the cache lacks some and there is no remote.
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
    """Lays raw data and champions into a run directory that shares no cache: from that of the workspace, or the remote.

    Hashes are checked on the way. What the workspace's cache has but altered is an error, whatever the remote has.

    Raises:
        NotFetchedError: The cache lacks some, and the remote did not give them.
        RetrimError: They are not what was recorded, or the cache lacks some and there is no remote.
    """
    from dvc.config import Config

    local = _config(workspace.root, "local")
    cache = cache_folder(workspace.root)
    with Config(str(run_directory / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        own_cache = _in_ascii(run_directory / ".dvc" / "cache", Path.cwd())
        config["cache"] = {"dir": own_cache}  # whatever DVC's other settings share
        config.setdefault("core", {})["site_cache_dir"] = _in_ascii(
            run_directory / ".dvc" / "tmp" / "site", run_directory
        )
        config.setdefault("remote", {})["retrim-cache"] = {"url": _in_ascii(cache, Path.cwd()), "verify": True}
    notes = noted(run_directory)
    lost = _lost(cache, run_directory, notes)
    if lost and has_remote(run_directory):
        _pull(run_directory, notes, lost)
    else:
        run_dvc(run_directory, "pull", "-r", "retrim-cache", *notes)


def _pull(run_directory: Path, notes: Sequence[str], lost: Sequence[str]) -> None:
    """Lays inputs out from the remote; DVC says of some that are away that they are missing."""
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
    """The inputs that DVC notes in a run directory, and its code where that is a wheel."""
    return [note for note in (*INPUTS, NOTE) if (run_directory / note).exists()]


def _lost(cache: Path, run_directory: Path, notes: Sequence[str]) -> list[str]:
    """The inputs of which a cache lacks a file."""
    return [note.removesuffix(".dvc") for note in notes if not _has(cache, run_directory / note)]


def _has(cache: Path, note: Path) -> bool:
    """Whether a cache has every file of the folder that a `.dvc` file notes, whatever is in it."""
    listing = object_path(cache, from_record(LockedStage, load_yaml(note.read_text(encoding="utf-8"))).outs[0].md5)
    if not listing.exists():
        return False
    try:
        return all(object_path(cache, file.md5).exists() for file in _listed(listing))
    except (ValueError, RetrimError):  # the listing was altered
        return True


def _hashes(paths: Iterable[LockedPath]) -> dict[str, str]:
    return {locked.path: locked.md5 for locked in paths}


def _follow(
    command: list[str],
    stage: str,
    run_directory: Path,
    environment: Mapping[str, str],
    *,
    limits: StageLimits,
    gently: bool,
    say: Say,
) -> str:
    start_reaper()
    process = subprocess.Popen(
        command,
        cwd=run_directory,
        env={**environment, RUN_DIRECTORY_VARIABLE: str(run_directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",  # a stage may print what is not text
        start_new_session=True,
    )
    lines = []
    assert process.stdout is not None
    if gently:
        with suppress(psutil.Error):  # it has ended already
            psutil.Process(process.pid).nice(GENTLE)
    try:
        with Heartbeat(process, limits) as heart:
            for line in process.stdout:
                heart.beat()
                lines.append(line)
                say(line.rstrip())
        if heart.why is not None:
            raise StageHungError(stage, heart.why, "".join(lines))
        if process.wait():
            raise StageFailedError(stage, "".join(lines))
    finally:
        end_group(process)
        process.stdout.close()
    return "".join(lines)


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
    return bool(_config(root).get("core", {}).get("remote"))


def without_remote(root: Path) -> None:
    """Lets a repository, and the run directories made from it, have no default remote, whatever DVC's other settings
    say.

    Those of the project, the person and the machine stay as they are: DVC reads the local ones last.
    """
    from dvc.config import Config

    with Config(str(root / ".dvc"), validate=False).edit("local", validate=False) as config:
        config.setdefault("core", {})["remote"] = ""


def close_run_directory(workspace: WorkspacePaths, folder: Path) -> None:
    """Removes a run directory; what DVC made in it stays in the cache."""
    git.remove_worktree(workspace.root, folder)
