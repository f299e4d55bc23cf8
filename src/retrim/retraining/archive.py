"""Files in one uncompressed tar with one spelling: same files, same bytes, and nothing can hide in it.

Nothing is unpacked by the names of an archive. Its files are read into memory, packed again and compared byte for byte,
so that a link, a device, an odd header or bytes behind the end are refused.
"""

import io
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path

from retrim.decision.release_checks import MEGABYTE
from retrim.errors import BadInputError, RefusedError

NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
MOST_FILES = 10_000
MOST_MB = 500


def is_plain(name: str) -> bool:
    """Whether a name stays in its folder: relative, no way up, plain letters."""
    return NAME.fullmatch(name) is not None and not any(set(part) == {"."} for part in name.split("/"))


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of files by relative name, sorted; without times, owners and rights.

    Raises:
        ValueError: A name is too long for the format.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, file in sorted(files.items()):
            assert is_plain(name), name
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(file), 0o644
            archive.addfile(entry, io.BytesIO(file))
    return content.getvalue()


def unpack(file: Path, *, most_mb: float = MOST_MB) -> dict[str, bytes]:
    """The files of an archive by relative name.

    Raises:
        BadInputError: It cannot be read, is larger than `most_mb` megabytes, or contains something but plain files.
        RefusedError: `pack` would spell it differently: it was cut, altered or extended.
    """
    try:
        size = file.stat().st_size
        if size > most_mb * MEGABYTE:
            raise BadInputError(
                f"{file.name} is {size / MEGABYTE:.1f} MB, but at most {most_mb:g} MB are read; choose a file that "
                "`retrim versions export` wrote"
            )
        content = file.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{file} cannot be read: {error.strerror}; choose a file that `retrim versions export` wrote"
        ) from error
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for entry in archive:
                # A sparse entry claims any size, whatever the archive holds: it would be read into memory.
                plain = entry.isreg() and not entry.issparse() and is_plain(entry.name)
                if not plain or entry.name in files or len(files) >= MOST_FILES:
                    raise BadInputError(
                        f"{file.name} contains {entry.name[:80]!r}, which is not a plain file or occurs twice; get a "
                        "new copy of the export from its sender"
                    )
                member = archive.extractfile(entry)
                assert member is not None
                files[entry.name] = member.read()
        same = pack(files) == content
    except (tarfile.TarError, ValueError, LookupError, EOFError, ArithmeticError, RecursionError, OSError) as error:
        raise BadInputError(
            f"{file.name} cannot be read as an export ({error}); get a new copy of the export from its sender"
        ) from error
    if not same:
        raise RefusedError(
            f"{file.name} was truncated, altered or extended; get a new copy of the export from its sender"
        )
    return files
