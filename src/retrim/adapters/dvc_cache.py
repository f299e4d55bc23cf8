"""What lies in a DVC cache, and which of it commits and working folders still name."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from retrim.adapters import git
from retrim.errors import RetrimError
from retrim.files import flush_all

LISTING = ".dir"  # behind the hash of a folder's listing
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Entry:
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
    """Where the DVC cache of a repository and its rooms lies: as its local settings say, else in the repository."""
    from dvc.config import Config

    given = Config(str(root / ".dvc")).read("local").get("cache", {}).get("dir")
    return Path(given) if given else root / ".dvc" / "cache"


def entries(cache: Path) -> list[Entry]:
    """Every file of a cache by its digest, listings of folders first: none of these names what is gone already."""
    found = []
    for path in (cache / "files" / "md5").glob("[0-9a-f][0-9a-f]/*"):
        with suppress(FileNotFoundError):
            state = path.stat()
            frees = state.st_size if state.st_nlink == 1 else 0
            found.append(Entry(path.parent.name + path.name, path, frees, state.st_ctime))
    return sorted(found, key=lambda entry: (not entry.digest.endswith(LISTING), entry.digest))


def run_entries(cache: Path) -> Iterator[tuple[Path, set[str]]]:
    """Every entry of the run cache, with the digests of the outputs it would restore."""
    for path in sorted((cache / "runs").glob("*/*/*")):
        with suppress(OSError, yaml.YAMLError):
            yield path, set(_digests(yaml.load(path.read_bytes(), Loader=LOADER)))  # noqa: S506  a safe loader


def named_in_commit(root: Path, commit: str) -> set[str]:
    """Digests that the `dvc.lock` and `.dvc` files of a commit name.

    Raises:
        RetrimError: The commit is gone, or such a file cannot be read.
    """
    listed = git.git(root, "ls-tree", "-r", "-z", "--name-only", commit).split("\0")
    found: set[str] = set()
    for name in filter(_is_note, listed):
        found |= _named(git.git(root, "show", f"{commit}:{name}"), f"{name} at {commit[:12]}")
    return found


def named_in_folder(folder: Path, names: Iterable[str]) -> set[str]:
    """The same of the files of a working folder, as they lie there.

    Raises:
        RetrimError: Such a file cannot be read.
    """
    found: set[str] = set()
    for name in filter(_is_note, names):
        with suppress(FileNotFoundError, IsADirectoryError):
            found |= _named((folder / name).read_text(encoding="utf-8"), str(folder / name))
    return found


def with_members(cache: Path, digests: Iterable[str]) -> tuple[set[str], set[str]]:
    """Digests, and for listings of folders those of the files they list.

    Returns:
        All of them; and the listings that are not in the cache, whose files nobody can tell.
    """
    found, lost = set(digests), set()
    for digest in [each for each in found if each.endswith(LISTING)]:
        try:
            listed = json.loads((cache / "files" / "md5" / digest[:2] / digest[2:]).read_bytes())
            found |= {str(entry["md5"]) for entry in listed}
        except (OSError, ValueError, KeyError, TypeError):
            lost.add(digest)
    return found, lost


def flush(root: Path, commit: str) -> None:
    """Makes the files of the cache that a commit names survive a power cut."""
    cache = cache_folder(root)
    digests, _ = with_members(cache, named_in_commit(root, commit))
    paths = (cache / "files" / "md5" / digest[:2] / digest[2:] for digest in digests)
    flush_all(filter(Path.is_file, paths), below=cache)


def _is_note(name: str) -> bool:
    return name.endswith(".dvc") or name.rpartition("/")[2] == "dvc.lock"


def _named(text: str, name: str) -> set[str]:
    try:
        return set(_digests(yaml.load(text, Loader=LOADER)))  # noqa: S506  a safe loader
    except yaml.YAMLError as error:
        raise RetrimError(f"{name} cannot be read, so nobody knows what it needs; mend it first") from error


def _digests(record: Any) -> Iterator[str]:
    """The MD5 of every output in a `.dvc` file, a `dvc.lock` or an entry of the run cache."""
    if isinstance(record, Mapping):
        for key, value in record.items():
            if key == "outs" and isinstance(value, list):
                yield from (str(out["md5"]) for out in value if isinstance(out, Mapping) and "md5" in out)
            else:
                yield from _digests(value)
