"""Which files of the DVC cache nobody names any more."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from retrim.adapters import git, pipeline
from retrim.adapters.dvc_cache import cache_folder, entries, named_in_commit, named_in_folder, run_entries, with_members
from retrim.errors import RefusedError, RetrimError
from retrim.ops.gc_piece import Piece, unlink
from retrim.ops.house import House
from retrim.ops.origin import REPOSITORY, origin_of


def needed(house: House) -> dict[str, set[str]]:
    """What versions and refs name: digests by what names them, versions first.

    Raises:
        RefusedError: The commit of a version is gone.
    """
    root, found = house.workspace.root, dict[str, set[str]]()
    own = git.first_commit(root)
    for row in house.store.all_versions():
        if origin_of(row) is not None:  # nothing of it but its bundle lies here
            continue
        commit = str(row.lineage.get("commit", row.tag))
        theirs = row.lineage.get(REPOSITORY)
        other = row.model != house.model and None not in (own, theirs) and own != theirs
        if other and git.commit_of(root, commit) is None:
            continue  # of another workspace, which shares the store and has a cache of its own
        try:
            found[f"{row.model} version {row.version}"] = named_in_commit(root, commit)
        except RetrimError as error:
            raise RefusedError(
                f"what version {row.version} of {row.model} needs cannot be read, so nothing is removed: {error}; "
                f"fetch {row.tag} from where it was made"
            ) from error
    refs = ["HEAD", *git.git(root, "for-each-ref", "--format=%(refname)").splitlines()]
    seen = {str(row.lineage.get("commit")) for row in house.store.all_versions()}
    for ref in refs:
        stands = git.commit_of(root, ref)
        if stands is not None and stands not in seen:  # a tag may stand on anything
            seen.add(stands)
            found[ref] = named_in_commit(root, stands)
    here = git.git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    found["the workspace"] = named_in_folder(root, here)
    return found


def cache_pieces(
    house: House, named: Mapping[str, set[str]], *, kept_rooms: Sequence[Path], now: pd.Timestamp
) -> Iterator[Piece]:
    """The files of the cache: those that go, and in a line each what is kept for whom.

    Args:
        house: The house.
        named: As of `needed`.
        kept_rooms: Rooms that stay: what lies in them is needed too.
        now: What came within `room.gc_grace` before is kept.

    Raises:
        RefusedError: The cache has lost the listing of a folder that a version needs.
    """
    root = house.workspace.root
    folder = cache_folder(root)
    if not folder.resolve().is_relative_to(root.resolve()):
        why = "it lies outside of the workspace, and others may share it; `dvc gc --projects` knows how"
        yield Piece("cache", str(folder), 0, why, None)
        return
    keep = _kept(house, folder, {**named, **{f"room {room.name}": _named_in_room(room) for room in kept_rooms}})
    since = (now - pd.Timedelta(house.params.room.gc_grace)).timestamp()
    every = entries(folder)
    unnamed = [entry for entry in every if entry.digest not in keep]
    goes = [entry for entry in unnamed if entry.changed <= since]
    digests = {entry.digest for entry in goes}
    for path, outs in run_entries(folder):
        if outs & digests:
            why = "it would restore what goes"
            yield Piece("run cache", path.name[:12], path.stat().st_size, why, partial(unlink, path))
    for entry in goes:
        yield Piece("cache", entry.digest, entry.frees, "no version, ref or room names it", partial(unlink, entry.path))
    for who in dict.fromkeys(keep.values()):
        own = [entry for entry in every if keep.get(entry.digest) == who]
        size = sum(entry.path.stat().st_size for entry in own)
        yield Piece("cache", f"{len(own)} files", size, f"{who} needs them", None)
    fresh = [entry for entry in unnamed if entry.changed > since]
    if fresh:
        why = f"they came within {house.params.room.gc_grace}: somebody may work with them"
        yield Piece("cache", f"{len(fresh)} files", sum(entry.frees for entry in fresh), why, None)


def _kept(house: House, cache: Path, named: Mapping[str, set[str]]) -> dict[str, str]:
    """Who needs a digest, by digest; the first who does."""
    keep: dict[str, str] = {}
    for who, digests in named.items():
        whole, lost = with_members(cache, digests)
        if lost and " version " in who and not pipeline.has_remote(house.workspace.root):
            raise RefusedError(
                f"{who} needs {min(lost)}, which the cache has lost, so nobody knows which files belong to it; "
                "restore .dvc/cache from a backup first"
            )
        for digest in sorted(whole):
            keep.setdefault(digest, who)
    return keep


def _named_in_room(room: Path) -> set[str]:
    notes = [*room.rglob("*.dvc"), *room.rglob("dvc.lock")]
    return named_in_folder(room, [path.relative_to(room).as_posix() for path in notes if path.is_file()])
