"""Fits on a Dask cluster: the name of a function and JSON go to the workers, bytes come back.

Dask's own wire carries tasks as pickles, so whoever reaches a scheduler runs code on its workers. A cluster of this
machine is therefore closed by certificates of one run, and one elsewhere is met over TLS or on loopback alone.

If a worker dies, its tasks run again on another: a task gives the same bytes wherever it runs.
"""

import importlib
import io
import json
import logging
import os
import platform
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import JsonValue

import retrim
from retrim.errors import BadInputError, RetrimError
from retrim.files import DASK_VARIABLE, OWN_WORKERS, code_digest, write_file

BEAT_SECONDS = 60
"""After this long without an answer it is said that fits go on, and looked whether there is a worker at all."""
START_SECONDS = 30
SAME = ("lightgbm", "numpy", "pandas", "scikit-learn")
"""Packages whose version may change the bytes of a model."""


class LostFitError(RetrimError):
    """A fit ended several workers, or its files are gone from all of them."""


class Cluster:
    """A cluster that answers, and the run directory whose fits it makes.

    Args:
        client: Dask's.
        folder: Of the run directory.
        contents: Its files by their relative name, for workers of other machines; empty: they read them in place.
    """

    def __init__(self, client: Any, folder: Path, contents: Mapping[str, Any]) -> None:
        self._client, self._folder, self._contents = client, folder, contents
        self._code = describe_code()

    @property
    def workers(self) -> int:
        """Workers that are there now."""
        return len(self._client.nthreads())

    def run(self, function: str, items: Sequence[JsonValue]) -> list[bytes]:
        """What `function(folder, item)` gives for each item, in their order.

        Raises:
            RetrimError: A call fails, no worker is left, or the workers run other code.
        """
        names, contents = list(self._contents), list(self._contents.values())
        folder = "" if contents else str(self._folder)
        futures = [
            self._client.submit(run_task, function, json.dumps(item), folder, self._code, names, *contents, pure=False)
            for item in items
        ]
        try:
            return [self._wait_for(future, len(items)) for future in futures]
        finally:
            self._client.cancel(futures)

    def _wait_for(self, future: Any, count: int) -> bytes:
        from distributed import CancelledError, KilledWorker

        while True:
            try:
                answer: bytes = future.result(timeout=BEAT_SECONDS)
            except TimeoutError:  # a stage that says nothing for long counts as hung
                if not self.workers:
                    raise RetrimError(
                        f"the Dask cluster has had no worker for {BEAT_SECONDS} s; start one with `dask worker ADDRESS "
                        "--nthreads 1` and try again"
                    ) from None
                sys.stdout.write(f"fits on Dask: {count} submitted, {self.workers} workers\n")
                sys.stdout.flush()
            except (CancelledError, KilledWorker) as error:
                raise LostFitError(
                    f"a fit killed every Dask worker that tried it ({type(error).__name__}), usually for lack of "
                    "memory; restart the workers with a higher --memory-limit"
                ) from error
            else:
                return answer


def run_task(function: str, item: str, folder: str, code: str, names: Sequence[str], *contents: bytes) -> bytes:
    """One call on a worker.

    Args:
        contents: Their bytes.

    Raises:
        BadInputError: Other code runs here.
    """
    if code != describe_code():
        raise BadInputError(
            f"a Dask worker has {describe_code()}, but this run needs {code}; install the versions that the run needs "
            "on the worker"
        )
    module, _, name = function.partition(":")
    if not module.startswith("retrim."):
        raise BadInputError(
            f"a Dask worker was asked to run {function!r}, which is not a function of retrim; check who submits tasks "
            "to the scheduler"
        )
    where = Path(folder) if folder else _lay(names, contents)
    called: Callable[[Path, JsonValue], bytes] = getattr(importlib.import_module(module), name)
    return called(where, json.loads(item))


@lru_cache(maxsize=1)
def describe_code() -> str:
    """What decides the bytes of a model beside its inputs: code, Python, platform and packages."""
    packages = " ".join(f"{name} {version(name)}" for name in SAME)
    digest = code_digest(Path(retrim.__file__).parent)
    return f"code {digest[:16]}, Python {platform.python_version()}, {platform.machine()}, {packages}"


def _lay(names: Sequence[str], contents: Sequence[bytes]) -> Path:
    """A folder of the worker with these files, which it keeps for the fits that follow."""
    digest = sha256()
    for name, content in zip(names, contents, strict=True):
        digest.update(f"{name}\0{len(content)}\0".encode() + sha256(content).digest())
    folder = _scratch() / digest.hexdigest()[:32]
    done = folder / ".whole"
    if not done.exists():
        for name, content in zip(names, contents, strict=True):
            write_file(folder / name, content)
        write_file(done, b"")
    return folder


def _scratch() -> Path:
    """Where the worker keeps files; Dask removes it when the worker ends."""
    from distributed import get_worker

    return Path(get_worker().local_directory)


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """Files by name as one answer of a worker: a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def unpack_files(answer: bytes) -> dict[str, bytes]:
    """The files of an answer; nothing is written."""
    with tarfile.open(fileobj=io.BytesIO(answer), mode="r:") as archive:
        return {entry.name: file.read() for entry in archive if (file := archive.extractfile(entry)) is not None}


def check_address(address: str) -> None:
    """Refuses a scheduler that strangers may reach, or read on the way to.

    Raises:
        BadInputError: It is neither on loopback nor behind TLS.
    """
    parts = urlsplit(address)
    host = parts.hostname or ""
    if parts.scheme == "tls" and host:
        return
    try:
        on_loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        on_loopback = False
    if parts.scheme != "tcp" or not on_loopback:
        raise BadInputError(
            f"{DASK_VARIABLE} is {address!r}, which neither uses TLS nor is on this machine, so others could run code "
            "on the workers; use an address such as tls://host:8786, with certificates in Dask's configuration, or "
            "tcp://127.0.0.1:8786"
        )


@contextmanager
def opened_cluster(folder: Path, files: Sequence[str]) -> Iterator[Cluster | None]:
    """The cluster that `RETRIM_DASK` names, for the fits of a run directory; None where it names none.

    Raises:
        BadInputError: Dask is not installed, or the address is not one that is allowed.
        RetrimError: No scheduler answers there.
    """
    named = os.environ.get(DASK_VARIABLE, "")
    if not named:
        yield None
        return
    try:
        import distributed
    except ImportError as error:
        raise BadInputError(
            f"compute.engine is dask, but {error.name} is not installed; run pip install 'retrim[dask]', or set "
            "compute.engine: local"
        ) from error
    logging.getLogger("distributed").setLevel(logging.ERROR)
    with ExitStack() as stack:
        if named.startswith(OWN_WORKERS):
            client = _own(stack, int(named.removeprefix(OWN_WORKERS)))
            yield Cluster(client, folder, {})
            return
        check_address(named)
        try:
            client = stack.enter_context(distributed.Client(named, timeout=START_SECONDS, set_as_default=False))
        except (OSError, ValueError, TypeError) as error:
            raise RetrimError(
                f"no Dask scheduler responds at {named} ({str(error).strip()[:200]}); start one with `dask scheduler`, "
                f"check {DASK_VARIABLE}, or set compute.engine: local"
            ) from error
        # Never whole in one message: a task carries the name of the content, and each worker fetches it once.
        laid = {name: client.scatter((folder / name).read_bytes(), broadcast=True) for name in files}
        yield Cluster(client, folder, laid)


def _own(stack: ExitStack, workers: int) -> Any:
    """A cluster of this machine, closed to other users of it by certificates that end with it."""
    from distributed import Client, LocalCluster, Security

    scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="retrim-dask-"))
    cluster = stack.enter_context(
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            protocol="tls://",
            security=Security.temporary(),
            dashboard_address=None,
            memory_limit=0,  # the machine's memory is that of the stage, as with threads
            local_directory=scratch,
            silence_logs=logging.ERROR,
        )
    )
    return stack.enter_context(Client(cluster, set_as_default=False))
