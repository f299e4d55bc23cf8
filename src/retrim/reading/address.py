"""Addresses of tables that lie elsewhere: what may be shown of one, and the files that lie there.

Credentials are those of the protocol's own environment (`AWS_*`, `GOOGLE_*`, `AZURE_*`, `~/.netrc`, ...), or stand in
the address. What stands there is never shown: not in a message, a name, a record or a log.
"""

import hashlib
import io
import posixpath
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from retrim.errors import BadInputError, RetrimError

HIDDEN = "***"
CHAINED = re.compile(r"::(?=[a-z][a-z0-9+.-]*(?:://|::|$))")
WEB_TAGS = ("ETag", "Content-MD5", "Digest", "Last-Modified")
"""What a web server may say of a content, beside its size."""
PORT = re.compile(r"[^:]*:\d*")
TELLING, LONG = re.compile(r"pass|pwd|token|key|sig|secret|cred|auth|sas", re.IGNORECASE), 10
"""A value of the query is secret where its name sounds so, or it is so long."""
LEAST_SECRET = 3
"""Signs below which a secret is no word of its own, and not looked for in what others say."""
MAY_READ = (
    "check the address, and that you may read it; if it is remote, set the protocol's credentials in environment "
    "variables"
)
MAY_WRITE = "check that you may write there, and set the protocol's credentials in environment variables"
REACH = "check the address, and the protocol's credentials in the environment variables"


@dataclass(frozen=True)
class Address:
    """An address as it was given, without user, password, query and fragment, and what must not be shown."""

    text: str
    shown: str
    secrets: tuple[str, ...]

    def clean(self, message: object) -> str:
        """What a tool said, on one line, without the secrets."""
        text = " ".join(str(message).split())
        for secret in (self.text, *self.secrets):
            text = text.replace(secret, self.shown if secret == self.text else HIDDEN)
        return text[:300]

    @property
    def name(self) -> str:
        """The last part of its path, or the host: names a file or a table."""
        return PurePosixPath(self.shown.partition("://")[2].rstrip("/")).name or "table"


def is_address(where: str) -> bool:
    return "://" in where


def place_of(where: str) -> str:
    """Where it lies, however it is spelled: an address without what may not be shown, or the whole path."""
    return address_of(where).shown if is_address(where) else str(Path(where).resolve())


def address_of(where: str) -> Address:
    """The address `where`, taken apart; one may be chained to another by `::`.

    A password that was not quoted may hold any sign. Where more than one reading fits, only the protocol is shown.
    """
    shown, secrets, parts = [], set(), CHAINED.split(where)
    for number, part in enumerate(parts):
        protocol, sign, rest = part.partition("://")
        parted = _parted(rest, more="@" in "".join(parts[number + 1 :])) if sign else ("", "")
        if parted is None or (not sign and "@" in part):
            held = where.partition("://")[2].rpartition("@")[0]
            query = re.split(r"[?#]", where, maxsplit=1)[1:]
            return Address(where, f"{where.partition('://')[0]}://{HIDDEN}", _kept(_of_user(held) | _of_query(*query)))
        user, rest = parted
        plain, *query = re.split(r"[?#]", rest, maxsplit=1)
        shown.append(f"{protocol}{sign}{plain}")
        secrets |= _of_user(user) | _of_query(*query)
    return Address(where, "::".join(shown), _kept(secrets))


def _parted(rest: str, *, more: bool) -> tuple[str, str] | None:
    """What stands before the host, and what from there on; None where it cannot be told."""
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    colon = ":" in host and not host.startswith("[")
    if "@" in host:
        user = host.rpartition("@")[0]
    elif "@" in rest and colon:  # a password with a slash, or a port and a path
        user = rest.partition("@")[0]
        if PORT.fullmatch(host):
            return None
    elif ("@" in rest and rest[len(host)] != "/") or (more and colon):
        return None
    else:
        return "", rest
    after = rest[len(user) + 1 :]
    return None if "@" in after else (user, after)


def _of_user(user: str) -> set[str]:
    """A user alone may be a token. Tools show what they take for the host: so its pieces are secret too."""
    password = user.partition(":")[2] or user
    return {spelt for word in (password, *re.split(r"[/?#@:]+", password)) for spelt in _spellings(word)}


def _of_query(query: str = "") -> set[str]:
    pairs = [
        (key, value) for part in re.split(r"[?#]", query) for key, value in parse_qsl(part, keep_blank_values=True)
    ]
    held = [value or key for key, value in pairs if TELLING.search(key) or len(value or key) >= LONG]
    return {spelt for value in held for spelt in _spellings(value)} | ({query} if held else set())


def _kept(secrets: set[str]) -> tuple[str, ...]:
    long_enough = (word for word in secrets if len(word) >= LEAST_SECRET)
    return tuple(sorted(long_enough, key=lambda word: (-len(word), word)))


def _spellings(word: str) -> set[str]:
    return {word, unquote(word), quote(word, safe=""), quote(unquote(word), safe="")}


@dataclass(frozen=True)
class ReadableFile:
    """A file at an address or on this machine, named without secrets.

    Args:
        state: What tells one content of it from another: size, time, tag as its system says; a digest where a web
            server says no more than the size.
    """

    shown: str
    opened: Callable[[], io.BufferedReader]
    state: str


def fetch(where: str) -> list[tuple[str, bytes]]:
    """The files at an fsspec address: one, all of a folder, or all that a pattern (`*`) fits; names and bytes.

    Raises:
        BadInputError: The protocol or its package is not there, nothing lies there, or it may not be read.
    """
    contents = []
    for file in remote_files(where):
        with file.opened() as stream:
            contents.append((file.shown, stream.read()))
    return contents


def remote_files(where: str) -> list[ReadableFile]:
    """The same files, not read yet."""
    address = address_of(where)
    system, path = open_system(address)
    with _told(address):
        system.invalidate_cache()
        if "*" in path:
            names = sorted(str(name) for name in system.glob(path))
        elif not _on_the_web(system) and system.isdir(path):
            names = [str(name) for name in sorted(system.find(path)) if not _hidden(str(name), path)]
        else:
            names = [path]
        files = [
            ReadableFile(
                address.shown if len(names) == 1 else address.clean(name),
                partial(_opened, system, name, address),
                _state(system, name, address),
            )
            for name in names
        ]
    if not files:
        raise BadInputError(f"{address.shown} contains no files; specify a file, a folder with files, or a pattern")
    return files


def _state(system: Any, name: str, address: Address) -> str:
    if not _on_the_web(system):
        return str(system.checksum(name))
    facts = system.info(name)
    tags = [f"{tag} {facts[tag]}" for tag in WEB_TAGS if tag in facts]
    if tags:
        return " ".join([str(facts.get("size")), *tags])
    with _opened(system, name, address) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _ToldStream(io.RawIOBase):
    """A stream whose errors are told without the secrets of its address."""

    def __init__(self, stream: Any, address: Address) -> None:
        super().__init__()
        self._stream, self._address = stream, address

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def readinto(self, buffer: Any) -> int:
        with _told(self._address):
            content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, position: int, whence: int = 0) -> int:
        with _told(self._address):
            return int(self._stream.seek(position, whence))

    def tell(self) -> int:
        return int(self._stream.tell())

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def _opened(system: Any, name: str, address: Address) -> io.BufferedReader:
    with _told(address):
        return io.BufferedReader(_ToldStream(system.open(name, "rb"), address))


def is_there(where: str) -> bool:
    """Whether something lies at an fsspec address."""
    address = address_of(where)
    system, path = open_system(address)
    with _told(address):
        return bool(system.exists(path))


def upload(where: str, file: Path) -> None:
    """Lays a file at an fsspec address; where it lies on this machine, whole or not at all.

    Raises:
        BadInputError: It may not be written.
    """
    address = address_of(where)
    system, path = open_system(address)
    with without_secrets(address, f"{address.shown} cannot be written", MAY_WRITE, as_error=BadInputError):
        system.makedirs(posixpath.dirname(path), exist_ok=True)
        if is_here(system):
            fresh = Path(path).with_name(f".{Path(path).name}.new")
            shutil.copyfile(file, fresh)
            fresh.replace(path)
        else:
            system.put_file(str(file), path)


@contextmanager
def without_secrets(
    address: Address, fails: str, cure: str, *, as_error: type[RetrimError] = RetrimError
) -> Iterator[None]:
    """Tells what goes wrong at an address without its secrets, as this error; one of ours is left as it is."""
    try:
        yield
    except RetrimError:
        raise
    except Exception as error:  # noqa: BLE001  each kind of address has errors of its own
        # From none: what came before could hold the password.
        raise as_error(f"{fails} ({type(error).__name__}: {address.clean(error)}); {cure}") from None


@contextmanager
def _told(address: Address) -> Iterator[None]:
    with without_secrets(address, f"{address.shown} cannot be read", MAY_READ, as_error=BadInputError):
        try:
            yield
        except FileNotFoundError:
            raise BadInputError(f"{address.shown} does not exist; specify a file, a folder or a pattern") from None


def open_system(address: Address) -> tuple[Any, str]:
    """The fsspec file system of an address, and the path in it.

    Raises:
        BadInputError: The protocol or its package is not there, or it cannot be reached.
    """
    from fsspec.core import url_to_fs
    from fsspec.registry import known_implementations

    protocol = address.text.split("::")[0].split("://")[0]
    with without_secrets(address, f"{address.shown} cannot be reached", REACH, as_error=BadInputError):
        try:
            system, path = url_to_fs(address.text)
        except ImportError as error:
            home = str(known_implementations.get(protocol, {}).get("class", "")).split(".")[0]
            package = home if home not in ("", "fsspec") else (error.name or protocol)
            raise BadInputError(
                f"{address.shown} needs the Python package {package!r}, which is not installed; install it in the "
                "environment that runs retrim, or copy the file to this machine"
            ) from None
        except ValueError:
            if protocol in known_implementations:
                raise
            raise BadInputError(
                f"{protocol!r} is not a supported protocol; use s3://, gs://, az://, https://, file:// or a "
                "database address such as sqlite:///shop.db"
            ) from None
    return system, str(path)


def _on_the_web(system: Any) -> bool:
    """There a folder is a page, which is not a list of files."""
    return bool({"http", "https"} & _kinds(system))


def is_here(system: Any) -> bool:
    """Whether it is the disk of this machine."""
    return bool({"file", "local"} & _kinds(system))


def _kinds(system: Any) -> set[str]:
    return set(system.protocol if isinstance(system.protocol, (tuple, list)) else (system.protocol,))


def files_in(folder: Path) -> list[Path]:
    """The files of a folder on this machine, in order, but those that tools keep for themselves."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    return [file for file in files if not _hidden(str(file.relative_to(folder)), "")]


def _hidden(name: str, folder: str) -> bool:
    within = name.removeprefix(folder.rstrip("/")).strip("/").split("/")
    return any(part.startswith((".", "_")) for part in within)
