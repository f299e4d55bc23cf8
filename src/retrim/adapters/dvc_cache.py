"""What lies in a DVC cache, which of it commits and folders still name, and outputs held against what was recorded.

DVC lays out again what it has in its cache without a look at its bytes: a byte that a disk has turned would go on into
the next stage.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml.error import YAMLError

from retrim.adapters import git
from retrim.errors import RefusedError, RetrimError
from retrim.files import flush_all
from retrim.stats.codec import from_record
from retrim.yaml_files import load_yaml

LISTING = ".dir"  # behind the hash of a folder's listing


@dataclass(frozen=True)
class LockedPath:
    """A file or folder that DVC noted, by its hash."""

    path: str
    md5: str


@dataclass(frozen=True)
class LockedStage:
    """What is read of a stage in `dvc.lock`, or of a `.dvc` file."""

    deps: tuple[LockedPath, ...] = ()
    outs: tuple[LockedPath, ...] = ()


@dataclass(frozen=True)
class LockFile:
    """`dvc.lock`."""

    stages: dict[str, LockedStage]


def dvc_config(root: Path, level: str | None = None) -> dict[str, dict[str, Any]]:
    """DVC's settings of a repository: those of a level, such as `local`, or all."""
    from dvc.config import Config

    config = Config(str(root / ".dvc"))
    settings: dict[str, dict[str, Any]] = config if level is None else config.read(level)
    return settings


def locked_stages(text: str) -> dict[str, LockedStage]:
    return from_record(LockFile, load_yaml(text)).stages


@dataclass(frozen=True)
class ListedFile:
    """A file of a folder, as DVC lists it."""

    md5: str
    relpath: str


def listed_files(listing: Path) -> tuple[ListedFile, ...]:
    return from_record(tuple[ListedFile, ...], json.loads(listing.read_bytes()))


def refuse_altered(run_directory: Path, stage: str, cache: Path) -> None:
    """Refuses outputs of a stage that are not what `dvc.lock` says.

    Raises:
        RefusedError: One is not; names the file, and the object to remove from the cache.
    """
    lock = locked_stages((run_directory / "dvc.lock").read_text(encoding="utf-8"))
    for out in lock.get(stage, LockedStage()).outs:
        output, recorded = run_directory / out.path, out.md5
        actual = tree_hash(output) if output.is_dir() else file_hash(output)
        if actual == recorded:
            continue
        name, digest = _altered_file(output, recorded, cache)
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
    return cache / "files" / "md5" / digest[:2] / digest[2:]


def _listing(folder: Path) -> list[ListedFile]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return [ListedFile(file_hash(files[name]), name) for name in sorted(files)]


def _altered_file(output: Path, recorded: str, cache: Path) -> tuple[str, str]:
    """The first file of an output that differs from its recorded listing, and the hash it should have.

    The name is empty, and the hash that of the whole output, if it is a file or has no readable listing.
    """
    listing = object_path(cache, recorded)
    if not output.is_dir() or not listing.is_file():
        return "", recorded
    try:
        wanted = listed_files(listing)
    except (ValueError, RetrimError):
        return "", recorded
    actual = {file.relpath: file.md5 for file in _listing(output)}
    return next(((file.relpath, file.md5) for file in wanted if actual.get(file.relpath) != file.md5), ("", recorded))


@dataclass(frozen=True)
class CacheFile:
    """A file of a cache.

    Args:
        digest: MD5 of its content; with `.dir` behind it for the listing of a folder.
        frees: Bytes that are free once it is gone: 0 while another name on the disk holds the same file.
        changed: When it came, as the file system has it, in seconds since 1970.
    """

    digest: str
    path: Path
    frees: int
    changed: float


def cache_folder(root: Path) -> Path:
    """The DVC cache of a repository and its run directories: as its local settings say, else in the repository."""
    given = dvc_config(root, "local").get("cache", {}).get("dir")
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
    """Digests that the `dvc.lock` and `.dvc` files among `names` in a folder name; files that do not exist name none.

    Raises:
        RetrimError: Such a file cannot be read.
    """
    digests: set[str] = set()
    for name in filter(_is_note, names):
        with suppress(FileNotFoundError, IsADirectoryError):
            digests |= _named((folder / name).read_text(encoding="utf-8"), str(folder / name))
    return digests


def with_members(cache: Path, digests: Iterable[str]) -> tuple[set[str], set[str]]:
    """Digests, with those of the files of folders; and the listings that the cache lacks, whose files are unknown."""
    complete, lost = set(digests), set()
    for digest in [named for named in complete if named.endswith(LISTING)]:
        try:
            complete |= {file.md5 for file in listed_files(object_path(cache, digest))}
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
