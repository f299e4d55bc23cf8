"""A landing zone at an address: the address is of record, the folder of the workspace a copy of it. The name of a
file says which bytes it holds, so one listing tells what a copy lacks, and what is fetched is held to it.

    <address>/<model>/arrived=2024-05-01/rows-<16 digits>.<SHA-256>.parquet    a landed file, never changed
    <address>/<model>/withdrawn/<16 digits>.<SHA-256>.json                     a withdrawal
    <address>/<model>/locks/<16 digits>.json                                   who lands now; in a folder: `.lock`
"""

import fcntl
import logging
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath

from retrim.adapters.landing_index import FOLDER
from retrim.adapters.landing_zone import ASIDE
from retrim.errors import BusyError, RefusedError, RetrimError
from retrim.files import file_digest, flush, make_private_folder, open_private, write_private
from retrim.lineage.address_lock import AddressLock
from retrim.reading.address import Address, address_of, is_address, is_here, open_system, without_secrets
from retrim.reading.landed import check_whole, hash_file, landed_names, withdrawal_file, withdrawn_names

LOGGER = logging.getLogger(__name__)
LAID = re.compile(
    r"(?P<folder>arrived=\d{4}-\d\d-\d\d|withdrawn)/(?P<stem>(?:rows-|labels-)?[0-9a-f]{16})\.(?P<digest>[0-9a-f]{64})"
    r"(?P<suffix>\.parquet|\.json)",
    re.ASCII,
)
FOLDERS = re.compile(r"arrived=\d{4}-\d\d-\d\d|withdrawn", re.ASCII)
TURN_SECONDS = 60.0
"""How long a landing waits for that of another machine."""
AWAY_SECONDS = 60.0
"""After the address could not be reached readers do not ask again for so long: each time takes seconds."""
AWAY = "away"
AT_ONCE = 64
"""Files that are fetched together."""
LaidFile = tuple[str, str]
"""A file at the address: its path there, and the SHA-256 of its bytes."""


class LandingAddress:
    """The landing zone of a model at an address, of which the folder `root` is a copy.

    Args:
        where: What RETRIM_LANDING says: an address of fsspec, or a folder.
        model: Whose batches; each model has a folder there.
        root: The landing zone in the workspace.
    """

    def __init__(self, where: str, model: str, root: Path) -> None:
        self._address = address_of(where) if is_address(where) else Address(where, where, ())
        whole = where if is_address(where) else f"file://{Path(where).absolute()}"
        self._system, path = open_system(address_of(whole))
        self._place, self._root = f"{path.rstrip('/')}/{model}", root
        self.shown = f"{self._address.shown.rstrip('/')}/{model}"
        self._lock: Callable[[], bool] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other machines from landing, and brings address and copy up to each other. Hold the zone's lock.

        Raises:
            BusyError: Another machine lands for longer than a minute.
            RetrimError: The address cannot be reached.
            RefusedError: A file there is damaged.
        """
        with ExitStack() as ended:
            with self._told():
                ended.enter_context(self._turn())
            self._bring_up()
            yield

    def catch_up(self) -> None:
        """Fetches what the copy lacks; what is here is read where the address is away, or while somebody lands here.

        Raises:
            RefusedError: A file there is damaged.
        """
        away = self._root / FOLDER / AWAY
        try:
            make_private_folder(self._root)
            if away.exists() and 0 <= time.time() - away.stat().st_mtime < AWAY_SECONDS:
                return
            with (self._root / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._fetch(self._listed())
        except BlockingIOError:
            return  # who lands here has fetched it
        except RefusedError:
            raise
        except (RetrimError, OSError) as error:
            LOGGER.warning("%s; retrim uses the data that has landed on this machine", error)
            with suppress(OSError):
                write_private(away, b"")

    def count(self) -> tuple[int, int]:
        """How many files lie at the address, and how many of them not here."""
        there, here = self._listed(), self._here()
        return len(there), sum(here.get(name) != digest for name, (_, digest) in there.items())

    def lay(self, name: str, file: Path, digest: str) -> None:
        """Lays a file at the address, whole, before it is renamed into its place here. Only while `held`."""
        self._require_turn()
        path = PurePosixPath(name)
        target = f"{self._place}/{path.parent}/{path.stem}.{digest}{path.suffix}"
        with self._told():
            if is_here(self._system):
                _lay_here(file, Path(target))
            else:
                self._system.put_file(str(file), target)

    def require_empty(self) -> None:
        """Checks that nothing has landed there, before a table is set up.

        Raises:
            RefusedError: Something has.
        """
        there = self._listed()
        if there:
            raise RefusedError(
                f"the landing zone at {self.shown} already contains {len(there)} files, which would mix with those "
                "of the new table; set RETRIM_LANDING to a different address, or remove the files if nobody needs them"
            )

    def _bring_up(self) -> None:
        there = self._listed()
        self._fetch(there)
        for name, digest in self._here().items():
            if name not in there:
                check_whole(self._root / name)  # no damage is handed on
                self.lay(name, self._root / name, digest)
        (self._root / FOLDER / AWAY).unlink(missing_ok=True)

    def _fetch(self, there: Mapping[str, LaidFile]) -> None:
        """Fetches what lies there and not here."""
        here = self._here()
        lacking = [(name, laid) for name, laid in there.items() if here.get(name) != laid[1]]
        for start in range(0, len(lacking), AT_ONCE):
            self._fetch_some(dict(lacking[start : start + AT_ONCE]))

    def _fetch_some(self, lacking: Mapping[str, LaidFile]) -> None:
        aside = {name: self._root / f"{ASIDE}{name.replace('/', '-')}" for name in lacking}
        try:
            with self._told():
                self._system.get([path for path, _ in lacking.values()], [str(aside[name]) for name in lacking])
            for name, (_, digest) in lacking.items():
                actual = file_digest(aside[name])
                if actual != digest:
                    raise RefusedError(
                        f"{self.shown}/{name} is damaged: its SHA-256 is {actual[:12]}, but its name says "
                        f"{digest[:12]}. Remove that file. A machine that has the batch uploads it again "
                        "together with its next batch. If no machine has the batch, ingest its source file again"
                    )
            for name, (_, digest) in lacking.items():
                _put_here(aside[name], self._root / name, digest)
            flush(self._root)
        finally:
            for path in aside.values():
                path.unlink(missing_ok=True)

    def _here(self) -> dict[str, str]:
        """The SHA-256 of each file of the copy, by name."""
        withdrawn = (withdrawal_file(self._root, batch) for batch in withdrawn_names(self._root))
        names = [*landed_names(self._root), *(str(path.relative_to(self._root)) for path in withdrawn)]
        return {name: _noted_digest(self._root / name) for name in names}

    def _listed(self) -> dict[str, LaidFile]:
        """What lies at the address, by what it is called in the landing zone."""
        files = {}
        with self._told():
            for path in self._paths():
                if (laid := LAID.fullmatch("/".join(path.split("/")[-2:]))) is not None:
                    files[f"{laid['folder']}/{laid['stem']}{laid['suffix']}"] = path, laid["digest"]
        return files

    def _paths(self) -> list[str]:
        """All files at the address. `find` is silent of what it cannot list, `ls` is not."""
        self._system.invalidate_cache()
        try:
            folders = [str(path).rstrip("/") for path in self._system.ls(self._place, detail=False)]
        except FileNotFoundError:  # nothing has landed there
            return []
        paths = [str(path) for path in self._system.find(self._place)]
        listed = {path.rpartition("/")[0] for path in paths}
        silent = [path for path in folders if path not in listed and FOLDERS.fullmatch(path.rpartition("/")[2])]
        return [*paths, *(str(path) for folder in silent for path in self._system.ls(folder, detail=False))]

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The lock at the address; waits for who has it."""
        until = time.monotonic() + TURN_SECONDS
        with ExitStack() as ended:
            while self._lock is None:
                try:
                    self._lock = ended.enter_context(self._lock_once())
                except BusyError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(random.uniform(0.2, 1.0))  # of two that met, one comes first then
            ended.callback(setattr, self, "_lock", None)
            yield

    @contextmanager
    def _lock_once(self) -> Iterator[Callable[[], bool]]:
        """The lock, where it is free: of the system in a folder, else an object; gives whether it is still there."""
        if not is_here(self._system):
            with AddressLock(self._system, self._place, self.shown).held() as lock:
                yield lock.is_there
            return
        Path(self._place).mkdir(parents=True, exist_ok=True)
        with open_private(Path(self._place) / ".lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"another machine is landing rows at {self.shown}; wait until it ends, then try again"
                ) from error
            yield lambda: True

    def _require_turn(self) -> None:
        assert self._lock is not None, "only the process that holds the lock may lay and remove files"
        with self._told():
            there = self._lock()
        if not there:
            raise BusyError(
                f"another machine started to land at {self.shown}, because this machine showed no activity for 15 "
                "minutes. Nothing was changed; land your file again"
            )

    def _told(self) -> AbstractContextManager[None]:
        fails = f"the landing zone at {self.shown} cannot be reached"
        cure = (
            "the files to land stay where they are. Check the network, the disk, your access to them and "
            "RETRIM_LANDING, then try again"
        )
        return without_secrets(self._address, fails, cure)


def _noted_digest(path: Path) -> str:
    """The SHA-256 that stands beside a landed file; of one that is older than these, that of its bytes."""
    try:
        return hash_file(path).read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        return file_digest(path)


def _put_here(fetched: Path, path: Path, digest: str) -> None:
    """Renames a fetched file into its place; killed at any moment, it is whole, or not there and fetched again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in (path, hash_file(path)):  # other bytes of that name: with the new hash they would be damaged
        old.unlink(missing_ok=True)
    flush(fetched)
    hash_file(path).write_text(f"{digest}\n", encoding="ascii")
    flush(hash_file(path))
    fetched.replace(path)
    flush(path.parent)


def _lay_here(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.new")
    shutil.copyfile(file, aside)
    flush(aside)
    aside.replace(target)
    flush(target.parent)
