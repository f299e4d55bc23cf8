"""Files in one file: an uncompressed tar with one spelling, so that same files are same bytes and nothing can hide.

Nothing is ever unpacked by the names of an archive: its files are read into memory, and the archive is written anew
from them and compared byte for byte. So a link, a device, an odd header or bytes behind the end are refused.
"""

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from retrim.errors import BadInputError, RefusedError

NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
MOST_FILES = 10_000
MEGABYTE = 1_000_000


def is_plain(name: str) -> bool:
    """Whether a name stays where it is put: relative, no way up, plain letters."""
    return NAME.fullmatch(name) is not None and not any(set(part) == {"."} for part in name.split("/"))


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of files by relative name, sorted; no times, owners or rights of this machine.

    Raises:
        BadInputError: A name is not plain, or too long for the format.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            if not is_plain(name):
                raise BadInputError(f"{name!r} is no name for a file in an archive; use letters, digits and . _ -")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            try:
                archive.addfile(entry, io.BytesIO(content))
            except ValueError as error:
                raise BadInputError(f"{name!r} is too long a name for an archive") from error
    return made.getvalue()


def unpack(file: Path, *, most_mb: float) -> dict[str, bytes]:
    """The files of an archive by relative name.

    Args:
        file: The archive.
        most_mb: Megabytes it may have.

    Raises:
        BadInputError: It cannot be read, is too large, or holds what is no plain file.
        RefusedError: It is not spelled as `pack` spells it: it was cut, altered or added to.
    """
    try:
        size = file.stat().st_size
        if size > most_mb * MEGABYTE:
            raise BadInputError(
                f"{file.name} has {size / MEGABYTE:.1f} MB, at most {most_mb:g}; raise proof.most_mb to read it"
            )
        content = file.read_bytes()
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}; name a file of `retrim export`") from error
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for entry in archive:
                # A sparse file says itself how large it is, whatever the archive holds: it would be read into memory.
                plain = entry.isreg() and not entry.issparse() and is_plain(entry.name)
                if not plain or entry.name in found or len(found) >= MOST_FILES:
                    raise BadInputError(
                        f"{file.name} holds {entry.name[:80]!r}, which is no plain file that stands there once; "
                        "ask for the file again where it was made"
                    )
                read = archive.extractfile(entry)
                assert read is not None
                found[entry.name] = read.read()
    except (tarfile.TarError, ValueError, LookupError, EOFError, ArithmeticError, RecursionError, OSError) as error:
        raise BadInputError(f"{file.name} cannot be read as an export: {error}; ask for the file again") from error
    try:
        same = pack(found) == content
    except BadInputError:  # a name that no archive of ours can hold
        same = False
    if not same:
        raise RefusedError(f"{file.name} was cut, altered or added to; ask for the file again where it was made")
    return found
