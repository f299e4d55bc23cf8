"""Who works with the DVC cache: runs and rebuilds side by side, or the one who prunes it, alone."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager

from retrim.errors import RefusedError
from retrim.files import make_private_folder
from retrim.ops.house import House

TRIES, PAUSE_SECONDS = 10, 0.1


@contextmanager
def using_cache(house: House) -> Iterator[None]:
    """Keeps what is in the cache until the context ends; waits while it is being pruned, which takes seconds.

    The system gives the lock back when the process dies.
    """
    path = house.workspace.var / "cache.lock"
    make_private_folder(path.parent)
    make_private_folder(house.workspace.root / ".dvc" / "cache")  # copies of landed rows; one elsewhere may be shared
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def alone_with_cache(house: House) -> Iterator[None]:
    """Keeps everybody else from the cache until the context ends.

    Raises:
        RefusedError: A run or a rebuild is going on.
    """
    path = house.workspace.var / "cache.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        for _ in range(TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(PAUSE_SECONDS)
                continue
            yield
            return
    raise RefusedError("a run, a rebuild or another `retrim gc` is going on in this workspace; wait for it")
