"""Archives: one spelling, and nothing hostile is read."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.errors import BadInputError, RefusedError
from retrim.retraining.archive import MEGABYTE, is_plain, pack, unpack

FILES = {"manifest.json": b"{}\n", "bundle/models/all/model.txt": b"tree\n", "bundle/view.json": b""}
NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,8}(/[A-Za-z0-9_.-]{0,7}[A-Za-z0-9_-]){0,2}", fullmatch=True)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "export.tar"
    path.write_bytes(pack(FILES))
    return path


def test_what_is_packed_is_what_is_unpacked(file: Path) -> None:
    assert unpack(file, most_mb=1) == FILES


def test_the_same_files_are_the_same_bytes_in_any_order() -> None:
    assert pack(dict(reversed(FILES.items()))) == pack(FILES)


@settings(deadline=None)  # of one example: a busy machine is no fault
@given(st.dictionaries(NAMES, st.binary(max_size=600), max_size=5))
def test_any_files_come_back(files: dict[str, bytes]) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as made:
        made.write(pack(files))
        made.flush()

        assert unpack(Path(made.name), most_mb=1) == files


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../b", "a//b", "./a", "a\\b", "", "a/", "a/.", "é", "a\0b"]
)
def test_a_name_that_leads_elsewhere_is_not_plain(name: str) -> None:
    assert not is_plain(name)


def test_a_file_that_only_says_it_is_huge_is_not_read_into_memory(tmp_path: Path) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": "3000000", "GNU.sparse.name": "x"}
        archive.addfile(info, io.BytesIO())
    (tmp_path / "bomb.tar").write_bytes(made.getvalue())

    with pytest.raises(BadInputError, match=r"bomb\.tar contains 'x'"):
        unpack(tmp_path / "bomb.tar", most_mb=1)


def test_headers_nested_without_end_are_bad_input(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    header = info.tobuf(tarfile.USTAR_FORMAT) + b"a\0".ljust(tarfile.BLOCKSIZE, b"\0")
    (tmp_path / "deep.tar").write_bytes(header * 3000)

    with pytest.raises(BadInputError, match=r"deep\.tar") as refused:
        unpack(tmp_path / "deep.tar", most_mb=10)
    assert isinstance(refused.value.__cause__, RecursionError | tarfile.TarError)


def entry(name: str, kind: bytes, target: str = "") -> bytes:
    """An archive of one entry, as an enemy writes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
        archive.addfile(info, io.BytesIO(b"abc") if kind == tarfile.REGTYPE else None)
    return made.getvalue()


HOSTILE = {
    "a way up": entry("../../../evil", tarfile.REGTYPE),
    "an absolute name": entry("/evil", tarfile.REGTYPE),
    "a link": entry("manifest.json", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link": entry("manifest.json", tarfile.LNKTYPE, "/etc/passwd"),
    "a device": entry("manifest.json", tarfile.CHRTYPE),
    "a pipe": entry("manifest.json", tarfile.FIFOTYPE),
    "a folder": entry("bundle", tarfile.DIRTYPE),
    "a name twice": pack({"a": b"1"})[:1024] + pack({"a": b"2"}),
    "a link to a file beside it": pack({"a": b"1"})[:1024] + entry("b", tarfile.SYMTYPE, "a"),
    "other letters": entry("é", tarfile.REGTYPE),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_an_enemy_writes_is_refused(what: str, file: Path) -> None:
    file.write_bytes(HOSTILE[what])

    with pytest.raises(BadInputError, match=r"export\.tar contains .* not a plain file"):  # no link is followed
        unpack(file, most_mb=1)


def test_a_name_that_no_archive_of_ours_can_hold_is_refused(file: Path) -> None:
    file.write_bytes(entry("a/" * 200 + "b", tarfile.REGTYPE))

    with pytest.raises(BadInputError, match=r"export\.tar"):
        unpack(file, most_mb=1)


MISHAPS: dict[str, Callable[[bytes], bytes]] = {
    "cut in its header": lambda whole: whole[:300],
    "cut in a file": lambda whole: whole[:1030],
    "cut behind a file": lambda whole: whole[:1024],
    "empty": lambda _: b"",
    "longer": lambda whole: whole + b"\0" * 512,
    "gzipped": lambda whole: __import__("gzip").compress(whole),
    "a text": lambda _: b"hello\n" * 200,
}


@pytest.mark.parametrize("what", MISHAPS)
def test_what_is_not_whole_is_refused(what: str, file: Path) -> None:
    file.write_bytes(MISHAPS[what](pack(FILES)))

    with pytest.raises((BadInputError, RefusedError), match=r"export\.tar"):
        unpack(file, most_mb=1)


@settings(deadline=None)
@given(place=st.integers(0, len(pack(FILES)) - 1), bit=st.integers(0, 7))
def test_an_altered_bit_is_found_or_is_one_of_a_files_own(place: int, bit: int) -> None:
    import tempfile

    whole = bytearray(pack(FILES))
    whole[place] ^= 1 << bit
    with tempfile.NamedTemporaryFile(suffix="export.tar") as made:
        made.write(whole)
        made.flush()
        try:
            found = unpack(Path(made.name), most_mb=1)
        except (BadInputError, RefusedError):
            return

    assert found != FILES  # the hashes of the manifest see that


def test_a_file_that_is_too_large_is_not_read(file: Path) -> None:
    with file.open("ab") as big:
        big.truncate(2 * MEGABYTE)

    with pytest.raises(BadInputError, match=r"2\.0 MB, but at most 1 MB"):
        unpack(file, most_mb=1)


def test_a_file_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone\.tar"):
        unpack(tmp_path / "gone.tar", most_mb=1)
