"""Files and folders replaced whole, and the machine they are made on."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retrim.errors import BadInputError
from retrim.files import (
    claimed,
    claims,
    count_cores,
    file_digest,
    folder_digest,
    login,
    platform_tag,
    read_folder,
    uncollected,
    write_file,
    write_folder,
)

FILES = {"a.json": b"1", "deep/b.txt": b"2"}


def test_a_folder_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", FILES)

    assert read_folder(tmp_path / "out") == FILES


def test_nothing_of_the_folder_before_is_left(tmp_path: Path) -> None:
    write_folder(tmp_path / "out", {"old.json": b"0"})
    write_folder(tmp_path / "out", FILES)

    assert read_folder(tmp_path) == {f"out/{name}": content for name, content in FILES.items()}


def test_what_a_kill_left_beside_the_folder_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".out.new").mkdir()
    (tmp_path / ".out.new" / "torn.json").write_bytes(b"{")
    write_folder(tmp_path / "out", FILES)

    assert read_folder(tmp_path) == {f"out/{name}": content for name, content in FILES.items()}


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    write_file(tmp_path / "deep" / "out.json", b"long before")
    write_file(tmp_path / "deep" / "out.json", b"now")

    assert read_folder(tmp_path) == {"deep/out.json": b"now"}


def test_the_digest_of_a_folder_is_of_names_and_content_alone(tmp_path: Path) -> None:
    write_folder(tmp_path / "one", FILES)
    write_folder(tmp_path / "two", dict(reversed(FILES.items())))

    assert folder_digest(tmp_path / "one") == folder_digest(tmp_path / "two")


@pytest.mark.parametrize(
    "other", [{**FILES, "a.json": b"3"}, {**FILES, "c": b""}, {"b.json": b"1", "deep/b.txt": b"2"}]
)
def test_another_byte_file_or_name_is_another_digest(tmp_path: Path, other: dict[str, bytes]) -> None:
    write_folder(tmp_path / "one", FILES)
    write_folder(tmp_path / "two", other)

    assert folder_digest(tmp_path / "one") != folder_digest(tmp_path / "two")


def test_the_digest_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")

    # The example of FIPS 180-2, appendix B.1.
    assert file_digest(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


# --- the machine


def test_the_number_of_cores_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_CORES", "3")

    assert count_cores() == 3


def test_without_a_setting_every_core_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RETRIM_CORES", raising=False)

    assert count_cores() >= 1


@pytest.mark.parametrize("wrong", ["0", "-2", "two", "1.5"])
def test_a_number_of_cores_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("RETRIM_CORES", wrong)

    with pytest.raises(BadInputError, match=f"RETRIM_CORES is '{wrong}'"):
        count_cores()


def test_the_platform_tag_names_the_python(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "-python3." in platform_tag()


def test_a_pipe_is_written_into_and_stays_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True)
    reader.start()
    write_file(tmp_path / "pipe", b"a page")
    reader.join(timeout=30)

    assert read == [b"a page"]
    assert (tmp_path / "pipe").is_fifo()
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


def test_a_process_that_collects_seldom_looks_for_no_garbage_at_its_end() -> None:
    made = "class Kept:\n    def __del__(self): print('found')\nkept = Kept(); kept.itself = kept; del kept"
    asked = "from retrim.files import collect_seldom; collect_seldom()"
    printed = [
        subprocess.run([sys.executable, "-c", f"{first}\n{made}"], capture_output=True, text=True, check=True).stdout
        for first in ("", asked)
    ]

    assert printed == ["found\n", ""]


def test_garbage_of_what_is_done_again_and_again_is_found_later() -> None:
    before = gc.get_freeze_count()
    with uncollected():
        made: list[object] = []
        made.append(made)

    assert gc.isenabled()
    assert gc.get_freeze_count() == before


def test_another_name_than_that_of_the_login_is_kept_as_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ines")  # anybody can set it
    actor = claimed("ines")

    assert login() != "ines"
    assert (claimed(login()), actor, claimed(" ")) == (login(), f"ines (claimed by {login()})", " ")
    assert [claims(actor, name) for name in ("ines", login(), "juan")] == [True, True, False]
    assert claims(claimed("ines (claimed by juan)"), login())
