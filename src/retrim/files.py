"""Files of a workspace: where they lie, how they are read and replaced whole, and the machine that holds them."""

import atexit
import ctypes
import gc
import getpass
import hashlib
import os
import platform
import pwd
import secrets
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from retrim.errors import BadInputError

M_TRIM_THRESHOLD, M_ARENA_MAX = -1, -8
"""Of glibc's malloc.h."""
HEAP_END_BYTES = 2**17
YOUNG_OBJECTS = 10_000
"""How many are made before Python looks for garbage among them: it takes 700."""
RETRIM = (sys.executable, "-P", "-c", "from retrim.cli.main import main; main()")
"""Starts a command of retrim as a process of its own; its words follow. `-P`: no module of the folder is imported."""
NO_CHAMPION = "none.json"
BEFORE_FILE = "mitigation/before.parquet"
"""In the folder of a challenger fitted on weighted rows: what it would have predicted without weights."""
CORES_VARIABLE = "RETRIM_CORES"
CLAIMED_BY = " (claimed by "


class Below:
    """An attribute that is a path below another one of its owner."""

    def __init__(self, name: str, *, of: str = "root") -> None:
        self.name, self.of = name, of

    def __get__(self, owner: object, kind: type) -> Path:
        folder: Path = getattr(owner, self.of)
        return folder / self.name


@dataclass(frozen=True)
class WorkspacePaths:
    """A checkout a person works in; all runtime state is under `var/`."""

    root: Path
    params = Below("params.yaml")
    lock = Below("requirements.lock")
    landing = Below("landing", of="var")
    quarantine = Below("quarantine", of="var")
    inbox = Below("inbox", of="var")
    runs = Below("runs", of="var")
    tmp = Below("tmp", of="var")
    """Copies that a command takes away when it ends; what a killed one left goes some days later."""
    trials = Below("trials", of="var")
    policy = Below("policy", of="var")
    environments = Below("environments", of="var")
    keys = Below("keys", of="var")
    prefect = Below("prefect", of="var")
    ui_password = Below("ui/password", of="var")
    """The password of the pages that `retrim up --only ui` shows."""
    tokens = Below("serve/tokens.json", of="var")
    """Hashes of the tokens that `retrim serve` takes."""
    canary = Below("serve/canary.json", of="var")
    """The canary that goes on, or the last one that ended."""
    jobs = Below("serve/jobs", of="var")
    """What `retrim serve` was asked to predict in files."""
    requests = Below("serve/requests", of="var")
    """What `retrim serve` answered and has not stored yet."""
    demo = Below("demo", of="var")

    @property
    def var(self) -> Path:
        return self.root / "var"

    @classmethod
    def find(cls, start: Path) -> "WorkspacePaths":
        """The workspace that holds `start`: the nearest folder above with a params.yaml and a dvc.yaml.

        Raises:
            BadInputError: No such folder.
        """
        start = start.resolve()
        for folder in (start, *start.parents):
            if _is_workspace(folder):
                return cls(folder)
        raise BadInputError(
            f"{start} is not in a retrim workspace (neither it nor a folder above it has params.yaml and dvc.yaml); cd "
            "into a workspace"
        )


@dataclass(frozen=True)
class Paths:
    """The files of a run directory. Each stage owns one folder of the bundle `data/candidate/`."""

    root: Path
    raw = Below("data/raw")
    pins = Below("data/pins.json")
    settings = Below("data/settings.json")
    """Every setting that the run was made with, defaults among them."""
    champion = Below("data/champion")
    previous = Below("data/previous")
    """Previous champions that compete, a folder each: `v3`; a marker file says that there is none."""
    table = Below("data/table.parquet")
    """The mature rows, in total order: made by validate, outside the bundle."""
    view = Below("data/view.parquet")
    """The feature view's rows: made by features, outside the bundle."""
    candidate = Below("data/candidate")
    format = Below("format.json", of="candidate")
    """The number of the bundle's format."""
    validation = Below("validation", of="candidate")
    features = Below("features", of="candidate")
    tuning = Below("tuning", of="candidate")
    models = Below("models", of="candidate")
    backtest = Below("backtest", of="candidate")
    verdict = Below("verdict", of="candidate")

    @property
    def has_champion(self) -> bool:
        """Whether a champion was laid into the run directory; before version 1 a marker file says there is none."""
        return not (self.champion / NO_CHAMPION).exists()

    @property
    def has_previous_champions(self) -> bool:
        """Whether previous champions were laid into the run directory."""
        return self.previous.is_dir() and not (self.previous / NO_CHAMPION).exists()


def count_cores() -> int:
    """Cores this process may use: `RETRIM_CORES`, else what the system gives it. Changes time, never a result.

    Raises:
        BadInputError: `RETRIM_CORES` is not a whole number of 1 or more.
    """
    given = os.environ.get(CORES_VARIABLE)
    if not given:
        return len(os.sched_getaffinity(0))
    if not given.isdecimal() or int(given) < 1:
        raise BadInputError(
            f"{CORES_VARIABLE} is {given!r}; set it to a whole number of 1 or more, or unset it to use every core"
        )
    return int(given)


def login() -> str:
    """The login name of whoever runs this.

    Raises:
        BadInputError: The system knows none.
    """
    with suppress(KeyError):  # asked first: what the environment says of it anybody can set
        return pwd.getpwuid(os.getuid()).pw_name
    try:
        return getpass.getuser()
    except (OSError, KeyError) as error:
        raise BadInputError("the system has no login name for you; pass your name with --by NAME") from error


def claimed(name: str) -> str:
    """A name that somebody gives as theirs, with the login name behind it where that is another."""
    try:
        behind = login()
    except BadInputError:
        behind = "a process without a login name"
    return name if name == behind or not name.strip() else f"{name}{CLAIMED_BY}{behind})"


def claims(actor: str, name: str) -> bool:
    """Whether this is the actor of a record, or the login name behind the one that was given there."""
    given, _, behind = actor.rpartition(CLAIMED_BY)  # the last one is ours: a name may hold others
    return name in (actor, given, behind.removesuffix(")"))


def platform_tag() -> str:
    """What the same bytes are promised for: system, machine and Python."""
    return f"{sysconfig.get_platform()}-python{platform.python_version()}"


def workspaces(folders: Sequence[Path]) -> list[WorkspacePaths]:
    """The workspaces that these folders are, or hold, each once.

    Raises:
        BadInputError: A folder is not a workspace and holds none.
    """
    workspaces: dict[Path, WorkspacePaths] = {}
    for folder in folders:
        root = folder.resolve()
        roots = [root] if _is_workspace(root) else _below(root)
        if not roots:
            raise BadInputError(
                f"{folder} is not a workspace and contains none (a workspace has params.yaml and dvc.yaml); choose a "
                "workspace, or a folder that contains workspaces"
            )
        workspaces |= {path: WorkspacePaths(path) for path in roots}
    return list(workspaces.values())


def _below(folder: Path) -> list[Path]:
    """The workspaces right below a folder; those that may not be looked into are left out."""
    with suppress(OSError):
        return sorted(path.parent for path in folder.glob("*/dvc.yaml") if _is_workspace(path.parent))
    return []


def _is_workspace(folder: Path) -> bool:
    try:
        return (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file()
    except OSError:  # it may not be looked into
        return False


@contextmanager
def uncollected(*, for_good: bool = False) -> Iterator[None]:
    """Looks for no garbage while large packages are imported, or models loaded: a fifth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if for_good:
            gc.freeze()
        if was_enabled:
            gc.enable()


def collect_seldom() -> None:
    """Looks for garbage less often than Python does, and not at all when this process ends.

    It took a third of the time of a command or a stage that does little else than import what it needs.
    """
    gc.set_threshold(max(gc.get_threshold()[0], YOUNG_OBJECTS))
    atexit.register(gc.freeze)


def give_memory_back() -> None:
    """Has glibc keep one heap for all threads and hand back what is free at its end; no other C library needs it.

    Call it before threads begin and before Arrow is imported. A server that stores its answers every ten seconds
    grew from 180 to 275 MB with a heap for each thread and Arrow's own pool, and to 200 MB so.
    """
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt  # mallopt(3)
        mallopt(M_ARENA_MAX, 1)
        mallopt(M_TRIM_THRESHOLD, HEAP_END_BYTES)


def lightgbm_alone() -> None:
    """Imports LightGBM without its scikit-learn wrappers, which nothing uses: in 0.7 s instead of 2 s."""
    if "sklearn" in sys.modules:
        return
    hidden: dict[str, Any] = sys.modules
    hidden["sklearn"] = None  # how Python spells that a module is not there
    try:
        import lightgbm  # noqa: F401  for its effect
    finally:
        del hidden["sklearn"]


def file_state(path: Path) -> tuple[int, ...]:
    """What tells a file from the one that it replaced; empty: there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ()
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(path: Path) -> str:
    """The name of a file as text that can be written: to the system it is bytes, and need not be UTF-8."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def _digest_of(digests: Mapping[str, str]) -> str:
    from retrim.stats.codec import digest_of  # which loads pandas

    return digest_of(digests)


def folder_digest(folder: Path) -> str:
    """SHA-256 of all files of a folder, by relative name and content."""
    names = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return _digest_of({name: file_digest(path) for name, path in names.items()})


def code_files(package: Path) -> dict[str, Path]:
    """A package's files but bytecode and hidden ones, by relative name."""
    files = {path.relative_to(package): path for path in sorted(package.rglob("*")) if path.is_file()}
    return {
        name.as_posix(): path
        for name, path in files.items()
        if not any(part == "__pycache__" or part.startswith(".") for part in name.parts)
    }


def code_digest(package: Path) -> str:
    """SHA-256 of a package's code: the same in a checkout and where it is installed."""
    return _digest_of({name: file_digest(path) for name, path in code_files(package).items()})


def digest_of_files(files: Mapping[str, bytes]) -> str:
    """The same of a folder that was read: what `folder_digest` gives of it."""
    return _digest_of({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def link(source: Path, target: Path) -> None:
    """Lays a file that never changes at `target` too: linked, or copied to another disk or one without links."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def flush(path: Path) -> None:
    """Makes a file's content, or the names in a folder, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_all(paths: Iterable[Path], *, below: Path) -> None:
    """Flushes files, and then the folders on the way to them: those below a folder, and that itself."""
    folders = {below}
    for path in paths:
        flush(path)
        folders |= {folder for folder in path.parents if folder.is_relative_to(below)}
    for folder in sorted(folders, key=lambda folder: len(folder.parts), reverse=True):
        flush(folder)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replaces `folder` by these files, whole: they are written beside it first."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def write_file(path: Path, content: bytes) -> None:
    """Replaces a file whole; into a device or a pipe it writes, and leaves it what it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def write_private(path: Path, content: bytes) -> None:
    """Replaces a file whole by one that its owner alone can read."""
    make_private_folder(path.parent)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with open_private(fresh) as file:
        file.write(content)
    fresh.replace(path)


def open_private(path: Path) -> BinaryIO:
    """A file to be written anew that its owner alone can read, whatever the umask."""
    return open(path, "wb", opener=lambda name, flags: os.open(name, flags, 0o600))


def shorten_log(path: Path, most: int) -> None:
    """Sets a log aside that has more bytes, in the place of the one before; whoever writes begins a new one."""
    if path.is_file() and path.stat().st_size > most:
        path.replace(path.with_name(f"{path.name}.1"))
        make_private_file(path)


def keep_password(path: Path) -> str:
    """The password in a file that its owner alone can read; made the first time."""
    if not path.exists():
        write_private(path, f"{secrets.token_urlsafe(32)}\n".encode())
    make_private_file(path)
    return path.read_text(encoding="utf-8").strip()


def make_private_folder(folder: Path) -> None:
    """Makes a folder, and those missing above it, for its owner alone; one that is open is closed to others."""
    _make_missing(folder)
    _close_to_others(folder)


def make_private_file(path: Path) -> None:
    """Makes a file, if it is not there, that its owner alone can read; one that is open is closed to others.

    A database that is opened afterwards keeps this mode, and gives it to the files beside it.
    """
    _make_missing(path.parent)
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY, 0o600))
    _close_to_others(path)


def _make_missing(folder: Path) -> None:
    for missing in reversed([path for path in (folder, *folder.parents) if not path.is_dir()]):
        missing.mkdir(mode=0o700, exist_ok=True)  # a file in its place is an error


def _close_to_others(path: Path) -> None:
    """Takes all rights from others, where it is ours: what someone else lent us is his to close."""
    state = path.stat()
    if state.st_mode & 0o077 and state.st_uid == os.geteuid():
        path.chmod(state.st_mode & 0o700)
