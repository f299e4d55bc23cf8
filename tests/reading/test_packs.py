"""Small landed files are read from packs: the same rows, in the same order, and never of a file with other bytes."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from retrim.adapters import landing_zone
from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.reading import packs
from retrim.reading.landed import hash_file, landed_files, schemas_of
from retrim.reading.landed_rows import LandedRows
from retrim.reading.packs import packed_files
from retrim.table.schema import ReadColumns, as_they_stand
from tests.builders.landed import read_rows

NOON = pd.Timestamp("2024-05-01T12:00:00Z")
FAN = 16
FILES = 3 * FAN + 5


def land(root: Path, number: int, *, after: float, count: int = 2) -> Path:
    numbers = np.arange(count) + 10 * number
    frame = pd.DataFrame(
        {"_key": pd.Series([f"k{each}" for each in numbers], dtype="str"), "x": numbers / 2, "at": NOON}
    )
    landing = Landing(root)
    with landing.locked():
        digest, arrived = f"{number:064x}"[::-1], NOON + pd.Timedelta(after, "min")
        return landing.land("rows", frame, digest=digest, arrived=arrived, correction=False, released="")


@pytest.fixture(scope="module", autouse=True)
def few() -> Iterator[None]:
    """Few files make a pack."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (packs, landing_zone):
            patch.setattr(module, "FAN", FAN)
        yield


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Many small files, a large one among them, and one that arrived before others which had landed."""
    root = tmp_path_factory.mktemp("landing")
    for number in range(FILES):
        late, large = number == FAN + 3, number == 7
        land(root, number, after=2.5 if late else number, count=2000 if large else 2)
    return root


@pytest.fixture
def root(filled: Path, tmp_path: Path) -> Path:
    """A copy of them."""
    return Path(shutil.copytree(filled, tmp_path / "landing"))


def packed(root: Path) -> dict[str, packs.PackedFile]:
    return packed_files(root, {file.path.name for file in landed_files(root)})


def pack(root: Path) -> None:
    files = [file.path for file in landed_files(root) if file.rows <= packs.SMALL_ROWS]
    packs.pack_small_files(root, {path.name: path for path in files})


def columns_of(root: Path) -> ReadColumns:
    return as_they_stand(schemas_of(landed_files(root)))


def opened(root: Path, paths: list[Path]) -> LandedRows:
    return LandedRows(paths, columns_of(root), root=root)


def test_many_small_files_lie_in_few_packs(root: Path) -> None:
    assert len(packed(root)) == 2 * FAN
    assert len(list((root / packs.FOLDER).glob(packs.GLOB))) == 2


def test_rows_of_packs_are_those_of_the_files(root: Path) -> None:
    paths = [file.path for file in landed_files(root)]
    whole, landed = read_rows(paths), opened(root, paths)
    order = np.random.default_rng(3).permutation(len(whole))

    pd.testing.assert_frame_equal(landed.take(order, landed.columns), whole.iloc[order].reset_index(drop=True))
    narrow = landed.narrow(["_key", "_batch", "x"])
    assert narrow["_key"].tolist() == whole["_key"].tolist()
    assert narrow["_batch"].tolist() == whole["_batch"].tolist()


def test_some_of_the_files_give_their_rows_alone(root: Path) -> None:
    paths = [file.path for file in landed_files(root)][3:50:2]

    assert opened(root, paths).narrow(["_key"])["_key"].tolist() == read_rows(paths)["_key"].tolist()


def test_a_packed_file_that_was_altered_is_refused(root: Path) -> None:
    paths, columns = [file.path for file in landed_files(root)], columns_of(root)
    content = bytearray(paths[0].read_bytes())
    content[40] ^= 1
    paths[0].write_bytes(bytes(content))

    with pytest.raises(RefusedError, match="altered"):
        LandedRows(paths, columns, root=root)


def test_rows_of_a_pack_count_for_no_other_bytes(root: Path) -> None:
    paths = [file.path for file in landed_files(root)]
    elsewhere = land(root / "elsewhere", 0, after=0, count=1)  # the same batch, with other rows
    paths[0].write_bytes(elsewhere.read_bytes())
    hash_file(paths[0]).write_bytes(hash_file(elsewhere).read_bytes())

    assert len(opened(root, paths[:1])) == 1


def test_a_damaged_pack_is_passed_over_and_made_anew(root: Path) -> None:
    damaged = min((root / packs.FOLDER).glob(packs.GLOB))
    damaged.write_bytes(damaged.read_bytes()[:-1])
    paths = [file.path for file in landed_files(root)]

    assert len(packed(root)) == FAN
    assert opened(root, paths).narrow(["_key"])["_key"].tolist() == read_rows(paths)["_key"].tolist()
    pack(root)
    assert len(packed(root)) >= 2 * FAN


def test_a_damaged_file_stops_no_landing_of_others(root: Path) -> None:
    path = landed_files(root)[-1].path
    state, content = path.stat(), bytearray(path.read_bytes())
    content[30:60] = bytes(30)
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    for number in range(FILES, 4 * FAN):
        land(root, number, after=number)

    assert (len(landed_files(root)), path.name in packed(root)) == (4 * FAN, False)


def test_a_batch_has_landed_though_the_disk_takes_no_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(FAN - 1):
        land(tmp_path, number, after=number)

    def full(path: Path) -> BinaryIO:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(packs, "open_private", full)
    assert land(tmp_path, FAN, after=FAN).is_file()
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [str(tmp_path) in each for each in warned] == [True]


def test_rows_of_a_file_that_has_gone_leave_the_packs(root: Path) -> None:
    gone = landed_files(root)[0].path
    gone.unlink()
    killed = root / packs.FOLDER / ".pack-0.arrow"
    killed.touch()
    pack(root)

    assert not list(packs._packs(root, {gone.name}))
    assert len(packed(root)) == 3 * FAN
    assert not killed.exists()
