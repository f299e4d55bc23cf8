"""How Parquet is read."""

import io
import threading
from pathlib import Path

import pandas as pd
import pytest

from retrim.parquet import parquet_file, parquet_table, read_parquet

FRAME = pd.DataFrame({"a": range(5000), "b": [str(number % 7) for number in range(5000)]})


class Watched(io.BytesIO):
    """Bytes that note which threads read them."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.threads: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        self.threads.add(threading.get_ident())
        return super().read(size)


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "day=2" / "rows.parquet"
    path.parent.mkdir()
    FRAME.to_parquet(path, row_group_size=1000)
    return path


def test_what_only_python_can_read_is_read_by_the_thread_that_asks(stored: Path) -> None:
    stream = Watched(stored.read_bytes())
    with parquet_file(stream) as file:
        assert len(file.read(use_threads=False)) == len(FRAME)
    with parquet_file(stream, by_page=True) as file:
        assert sum(len(part) for part in file.iter_batches(use_threads=False)) == len(FRAME)
    assert stream.threads == {threading.get_ident()}


def test_a_local_file_is_opened_by_arrow(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object, **__: object) -> None:
        raise AssertionError("opened in Python")

    monkeypatch.setattr(io, "open", opened)  # as Path.open and pandas do
    pd.testing.assert_frame_equal(read_parquet(stored), FRAME)


def test_columns_come_in_the_order_asked_for_and_folders_give_none(stored: Path) -> None:
    assert parquet_table(stored, ["b", "a"]).column_names == ["b", "a"]
    assert parquet_table(stored).column_names == ["a", "b"]
    assert parquet_table(stored.read_bytes(), ["b"]).column_names == ["b"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.parquet"):
        read_parquet(tmp_path / "none.parquet")
