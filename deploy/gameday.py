"""Injects faults into a copy of a workspace, one after the other, and prints what still worked.

python deploy/gameday.py WORKSPACE [--only WORDS ...]

The copy is a restored backup, so the workspace itself is only read. During a fault each command has to end with a code
and an error that are documented, and a prediction server has to answer. After it a check works, and no batch, decision,
version or release is gone. The exit code is 1 where something differs. A full disk needs Linux and root.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import orjson

from retrim.adapters import dvc
from retrim.environment import Env
from retrim.files import RETRIM, WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.parquet import read_parquet
from retrim.settings import load_params

AWAY = "http://127.0.0.1:9"  # the port of `discard`: nothing answers
NO_DATABASE = "postgresql+psycopg://retrim@127.0.0.1:9/retrim"
COMMAND_SECONDS, START_SECONDS, ANSWER_SECONDS = 300, 60, 10
CHECK_SECONDS = 5  # a check that still imports its libraries, or reads
SPARE_BYTES = 512 << 20  # free on the disk of the copy before it is filled
SERVED = re.compile(r"http://127\.0\.0\.1:(\d+)(/[^\s;]*)")
Variables = Mapping[str, str]


@dataclass
class Copy:
    """A restored workspace; `disk` is the small disk that it lies on, None where none can be mounted."""

    root: Path
    files: Path
    disk: Path | None
    taken: int = 0

    def workspace(self) -> Workspace:
        paths = WorkspacePaths(self.root)
        return Workspace(paths, load_params(paths.params), Env(**dict.fromkeys(Env.model_fields)))

    def start(self, *words: str, variables: Variables = {}) -> "subprocess.Popen[str]":  # noqa: B006  never changed
        """`retrim ...` in a process group of its own."""
        pipe, environment = subprocess.PIPE, {**without_addresses(), **variables}
        return subprocess.Popen(
            [*RETRIM, *words],
            cwd=self.root,
            env=environment,
            stdout=pipe,
            stderr=pipe,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, variables: Variables = {}) -> tuple[int, str]:  # noqa: B006
        """Exit code and error of a command; minus SIGKILL after `COMMAND_SECONDS`."""
        process = self.start(*words, variables=variables)
        _, errors = end_within(process, COMMAND_SECONDS)
        return process.returncode, errors

    def newest_file(self) -> Path:
        return next(file.path for file in reversed(self.workspace().landing.standing()) if file.kind == "rows")

    def fresh_file(self) -> str:
        """Rows of the newest batch, fewer each time, to be landed as corrections."""
        self.taken += 1
        rows = read_parquet(self.newest_file())
        rows = rows[[name for name in rows.columns if not str(name).startswith("_")]]
        file = self.files / f"{self.taken}.parquet"
        rows.head(max(1, len(rows) - self.taken)).to_parquet(file, index=False)
        return str(file)

    def request(self) -> bytes:
        """A row of the newest batch without its target, as JSON."""
        row = read_parquet(self.newest_file()).head(1)
        columns = self.workspace().params.data.columns
        row = row[[name for name in row if name in columns and columns[name].role != "target"]]
        return orjson.dumps(orjson.loads(row.to_json(orient="records", date_format="iso"))[0])

    def ids(self) -> dict[str, set[object]]:
        """What must not get lost."""
        workspace = self.workspace()
        store, model = workspace.store, workspace.model
        ids: dict[str, set[object]] = {
            "batches": {file.digest for file in workspace.landing.batches()},
            "decisions": {row.id for row in store.decisions(model)},
            "versions": {row.version for row in store.versions(model)},
            "releases": {row.sequence for row in store.releases(model)},
        }
        store.close()
        return ids


def without_addresses() -> dict[str, str]:
    """The environment without what names the real stores."""
    return {name: text for name, text in os.environ.items() if not name.startswith("RETRIM_")} | {"NO_COLOR": "1"}


def end_within(process: "subprocess.Popen[str]", seconds: float) -> tuple[str, str]:
    """What a command printed, and its errors; it is killed with all it started if it takes longer."""
    try:
        return process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill_group(process)
        return process.communicate()


def kill_group(process: "subprocess.Popen[str]") -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def copied(root: Path) -> Iterator[Copy]:
    """A copy of a workspace in a temporary folder, made by `retrim backup` and its `--restore`."""
    with tempfile.TemporaryDirectory(prefix="retrim-copy-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        backup, files, disk = str(folder / "backup"), folder / "files", folder / "disk"
        files.mkdir()
        disk.mkdir()
        subprocess.run([*RETRIM, "backup", backup], cwd=root, check=True, stdout=subprocess.DEVNULL)
        size = sum(path.stat().st_size for path in Path(backup).rglob("*") if path.is_file())
        mount = ["mount", "-t", "tmpfs", "-o", f"size={2 * size + SPARE_BYTES}", "retrim-copy", str(disk)]
        mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
        copy = Copy(disk / "workspace", files, disk if mounted else None)
        try:
            restore = [*RETRIM, "backup", backup, "--restore", str(copy.root)]
            subprocess.run(restore, env=without_addresses(), check=True, stdout=subprocess.DEVNULL)
            dvc.without_remote(copy.root)
            yield copy
        finally:
            if mounted:
                subprocess.run(["umount", "--lazy", str(disk)], check=False)


@contextmanager
def serving(copy: Copy) -> Iterator[tuple[int, Callable[[], int]]]:
    """The process of a prediction server, and what asks it for a row: the status of its answer, 0 without one."""
    process, body = copy.start("serve", "--port", "0"), copy.request()
    late = threading.Timer(START_SECONDS, kill_group, [process])
    late.start()
    shown = SERVED.search(process.stdout.readline())
    late.cancel()

    def status() -> int:
        if shown is None:
            return 0
        connection = HTTPConnection("127.0.0.1", int(shown[1]), timeout=ANSWER_SECONDS)
        try:
            connection.request("POST", shown[2], body, {"content-type": "application/json"})
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    try:
        yield process.pid, status
    finally:
        kill_group(process)
        process.communicate()


@contextmanager
def altered(file: Path, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """A file has other bytes, and then its own again."""
    content, mode = file.read_bytes(), file.stat().st_mode
    file.chmod(0o600)
    file.write_bytes(change(content))
    try:
        yield
    finally:
        file.write_bytes(content)
        file.chmod(mode)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]


def live_model(copy: Copy) -> Path:
    """The largest file of the live version."""
    workspace = copy.workspace()
    bundle = workspace.registry.bundle_folder(workspace.store.releases(workspace.model)[-1].version)
    return max((path for path in bundle.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


@contextmanager
def disk_full(copy: Copy) -> Iterator[None]:
    ballast = copy.disk / "ballast"
    for piece in (1 << 16, 1 << 9):
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(piece))
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def check_killed(copy: Copy) -> Iterator[None]:
    copy.run("ingest", copy.fresh_file(), "--correction")
    end_within(copy.start("check"), CHECK_SECONDS)
    yield


def unbroken(_copy: Copy) -> AbstractContextManager[None]:
    """The fault lies in the variables of the command."""
    return nullcontext()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def unclosed(content: bytes) -> bytes:
    """YAML with a list that does not end: half of a small file may be whole YAML."""
    return content + b"\nschedule: [\n"


@dataclass(frozen=True)
class Fault:
    """What is wrong, how it is made, and how a command may end meanwhile: its codes, and what its error names."""

    name: str
    make: Callable[[Copy], AbstractContextManager[None]]
    words: str = "check"
    codes: tuple[int, ...] = (0, 1)
    named: str = ""
    variables: Variables = field(default_factory=dict)


PARAMS, STORE = "params.yaml", "var/retrim.db"
FAULTS = (
    Fault("MLflow is unreachable", unbroken, "predict", variables={"RETRIM_MLFLOW_URL": AWAY}),
    Fault("the store is unreachable", unbroken, "check", (2, 3), "store", {"RETRIM_STORE_URL": NO_DATABASE}),
    Fault("alerts are unreachable", unbroken, variables={"RETRIM_ALERTS": "json://127.0.0.1:9"}),
    Fault("the disk is full", disk_full, "ingest FILE --correction", (3,)),
    Fault("a landed file is damaged", lambda copy: altered(copy.newest_file(), flipped), "check", (1, 2, 3), "altered"),
    Fault("the live model is altered", lambda copy: altered(live_model(copy), flipped), "check", (1,), "altered"),
    Fault("params.yaml is broken", lambda copy: altered(copy.root / PARAMS, unclosed), "check", (2,), PARAMS),
    Fault("the store is cut", lambda copy: altered(copy.root / STORE, half), "check", (2, 3), "store"),
    Fault("a check is killed", check_killed, "predict"),
)


def differences(copy: Copy, fault: Fault, ask: Callable[[], int] | None) -> list[str]:
    """What was not as documented, during a fault and after it."""
    before, wrong = copy.ids(), []
    typed = [copy.fresh_file() if word == "FILE" else word for word in fault.words.split()]
    with fault.make(copy):
        code, errors = copy.run(*typed, variables=fault.variables)
        if code not in fault.codes or fault.named not in errors or "Traceback" in errors:
            wrong.append(f"retrim {fault.words} ended with {code}: {errors.strip()[-200:]}")
        if ask is not None and (status := ask()) not in ((200, 503) if fault.make is disk_full else (200,)):
            wrong.append(f"the server answered {status or 'nothing'}")
    for words in ("check", "check --audit"):
        code, errors = copy.run(*words.split())
        if code not in (0, 1):
            wrong.append(f"afterwards retrim {words} ended with {code}: {errors.strip()[-200:]}")
    after = copy.ids()
    return wrong + [f"lost: {len(ids - after[what])} {what}" for what, ids in before.items() if ids - after[what]]


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("workspace", type=Path)
    given.add_argument("--only", action="append", help="faults whose name holds these words")
    options = given.parse_args()
    faults = [fault for fault in FAULTS if not options.only or any(words in fault.name for words in options.only)]
    if not faults:
        given.error(f"no fault has that name; there are: {', '.join(fault.name for fault in FAULTS)}")
    failed = False
    with copied(options.workspace.resolve()) as copy, serving(copy) as (_, ask):
        serves = ask() == 200
        print("pass" if serves else "not tried", "the server answers before any fault", flush=True)
        for fault in faults:
            if fault.make is disk_full and copy.disk is None:
                print("not tried", fault.name, flush=True)
                continue
            began = time.monotonic()
            wrong = differences(copy, fault, ask if serves else None)
            failed = failed or bool(wrong)
            print("FAIL" if wrong else "pass", fault.name, f"({time.monotonic() - began:.0f} s)", *wrong, flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
