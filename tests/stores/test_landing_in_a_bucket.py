"""A landing zone on a real S3 server: killed, damaged, shared by two machines, each batch is there once."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.lineage.landing_address import LandingAddress
from retrim.reading.address import address_of, open_system
from tests.builders.stores import S3

pytestmark = [pytest.mark.e2e(minutes=1), pytest.mark.server, pytest.mark.slow]
DIGESTS = tuple(f"{number:02x}" * 32 for number in range(6))
MODEL = "shop"
LAND = """
import os, signal, sys
from pathlib import Path
import pandas as pd
from retrim.adapters.landing_zone import Landing
from retrim.lineage.landing_address import LandingAddress

root, where, killed, *digests = sys.argv[1:]

def watch(event, arguments):
    if killed == "killed" and event == "os.rename" and str(arguments[1]).endswith(".parquet"):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
landing = Landing(Path(root), LandingAddress(where, "shop", Path(root)))
for number, digest in enumerate(digests):
    with landing.locked():
        rows = pd.DataFrame({"_key": [digest], "price": [1.0]})
        arrived = pd.Timestamp("2024-05-02", tz="UTC")
        landing.land("rows", rows, digest=digest, arrived=arrived, correction=False, released="")
"""


@pytest.fixture
def where(bucket_server: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://landing/{tmp_path.name}"


def start(root: Path, where: str, *digests: str, killed: bool = False) -> "subprocess.Popen[bytes]":
    """Lands batches in a process of its own, which is killed before it renames the first into place or is not."""
    words = [sys.executable, "-c", LAND, str(root), where, "killed" if killed else "whole", *digests]
    return subprocess.Popen(words, env=os.environ)


def seen(root: Path, where: str) -> list[str]:
    """The batches that a machine knows once it has caught up."""
    address = LandingAddress(where, MODEL, root)
    address.catch_up()
    return [batch.digest for batch in Landing(root, address).batches()]


def land(root: Path, where: str, digest: str) -> None:
    landing = Landing(root, LandingAddress(where, MODEL, root))
    with landing.locked():
        rows = pd.DataFrame({"_key": [digest], "price": [1.0]})
        arrived = pd.Timestamp("2024-05-02", tz="UTC")
        landing.land("rows", rows, digest=digest, arrived=arrived, correction=False, released="")


def test_a_kill_between_the_bucket_and_the_folder_loses_and_doubles_nothing(where: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    process = start(here, where, DIGESTS[0], killed=True)
    assert process.wait() == -signal.SIGKILL
    assert not list(here.glob("arrived=*/*.parquet"))

    land(here, where, DIGESTS[0])
    assert seen(here, where) == seen(tmp_path / "other", where) == [DIGESTS[0]]


def test_two_machines_that_land_the_same_files_at_once_land_each_once(where: str, tmp_path: Path) -> None:
    machines = [tmp_path / name for name in ("one", "two")]
    landing = [start(root, where, *DIGESTS) for root in machines]

    assert [process.wait() for process in landing] == [0, 0]
    for root in machines:
        assert seen(root, where) == list(DIGESTS)
    assert LandingAddress(where, MODEL, machines[0]).count() == (len(DIGESTS), 0)


def test_damage_in_the_bucket_is_refused_and_mended_by_who_has_the_batch(where: str, tmp_path: Path) -> None:
    here, other = tmp_path / "here", tmp_path / "other"
    land(here, where, DIGESTS[0])
    bucket, place = open_system(address_of(where))
    (file,) = (name for name in bucket.find(place) if name.endswith(".parquet"))
    content = bucket.cat_file(file)
    bucket.pipe_file(file, content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(RefusedError, match=f"{where}/{MODEL}/arrived=.* is damaged"):
        seen(other, where)
    bucket.rm_file(file)
    land(here, where, DIGESTS[1])
    assert seen(other, where) == list(DIGESTS[:2])
