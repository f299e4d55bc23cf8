"""One `retrim up` at a time, which a look at it does not keep from beginning."""

import fcntl
import threading
from pathlib import Path

import pytest

from retrim.errors import RefusedError
from retrim.operations.parts import Installation, Ports
from retrim.operations.supervise import LOCK, take_installation


def test_a_look_at_an_installation_does_not_keep_it_from_beginning_and_another_does(tmp_path: Path) -> None:
    root = str(tmp_path)
    installation = Installation(root, (root,), Ports(1, 2, 3), None, own_mlflow=True, has_mlflow_server=False)
    installation.up.mkdir(parents=True)
    looking = (installation.up / LOCK).open("a+")
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, looking.close).start()
    with take_installation(installation), pytest.raises(RefusedError, match="already running"):
        take_installation(installation)
    take_installation(installation).close()
