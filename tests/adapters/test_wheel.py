"""The wheel of the code: packed from a checkout or from an installation, it has the same bytes.

Hashes are compared: pytest takes a quarter of an hour and more to say where megabytes differ.
"""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import retrim
from retrim.adapters.dvc import lay_code
from retrim.adapters.wheel import dependencies_in, named_wheel, pack_wheel, running_wheel, unpack_wheel
from retrim.card.diff import packages
from retrim.errors import RefusedError
from retrim.files import code_digest, write_file
from tests.builders.wheels import changed_wheel, copy_checkout

PACKAGE = Path(retrim.__file__).parent


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel = running_wheel()
    path = tmp_path_factory.mktemp("packed") / wheel.name
    path.write_bytes(wheel.content)
    return path


@pytest.fixture
def unpacked(packed: Path, tmp_path: Path) -> Path:
    unpack_wheel(packed, tmp_path / "site")
    return tmp_path / "site"


def test_a_copy_of_the_checkout_gives_the_same_bytes(tmp_path: Path) -> None:
    assert pack_wheel(copy_checkout(tmp_path)).hash == running_wheel().hash


def test_an_unpacked_one_gives_the_same_bytes(unpacked: Path) -> None:
    assert pack_wheel(unpacked / "retrim").hash == running_wheel().hash


def test_a_checkout_with_bytecode_and_other_times_gives_the_same_bytes(tmp_path: Path) -> None:
    package = copy_checkout(tmp_path)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "paths.cpython-311.pyc").write_bytes(b"1")
    (package / "files.py").touch()
    (package / "files.py").chmod(0o755)

    assert pack_wheel(package).hash == running_wheel().hash


def test_a_changed_byte_gives_another_wheel_of_the_same_version(tmp_path: Path) -> None:
    other = changed_wheel(tmp_path, "0.1.0", edits={"src/retrim/files.py": ("Files of a workspace", "Where all lies")})

    assert other.name == running_wheel().name
    assert other.hash != running_wheel().hash
    assert other.digest != running_wheel().digest


def test_its_digest_is_that_of_the_code(unpacked: Path) -> None:
    assert running_wheel().digest == code_digest(PACKAGE) == code_digest(unpacked / "retrim")


def test_its_record_states_every_file_with_its_hash(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/RECORD"))
        rows = list(csv.reader(io.StringIO(archive.read(name).decode())))
        wrong = [
            file
            for file, digest, size in rows
            if file != name
            and (digest, int(size))
            != (
                "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(archive.read(file)).digest()).rstrip(b"=").decode(),
                len(archive.read(file)),
            )
        ]

        assert wrong == []
        assert sorted(file for file, *_ in rows) == sorted(archive.namelist())


@pytest.mark.slow
def test_pip_installs_it_by_the_line_of_the_lock(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "code").mkdir(parents=True)
    (tmp_path / "data" / "code" / packed.name).write_bytes(packed.read_bytes())
    (tmp_path / "lock").write_text(running_wheel().workspace_lock.splitlines()[0] + "\n")
    install = ["install", "-q", "--no-deps", "--no-index", "--require-hashes", "--target", "site", "-r", "lock"]
    subprocess.run([sys.executable, "-m", "pip", *install], cwd=tmp_path, check=True)

    assert pack_wheel(tmp_path / "site" / "retrim").hash == running_wheel().hash


def test_the_lock_names_it_and_keeps_the_lines_of_what_it_stands_on() -> None:
    wheel = running_wheel()
    named = named_wheel(wheel.workspace_lock)

    assert named is not None
    assert (named.name, named.version, named.hash) == (wheel.name, wheel.version, wheel.hash)
    assert dependencies_in(wheel.workspace_lock) == wheel.lock
    assert named_wheel(wheel.lock) is None
    assert packages(wheel.workspace_lock) == {**packages(wheel.lock), "retrim": f"{wheel.version} ({wheel.hash[:12]})"}


@pytest.mark.parametrize("name", ["METADATA", "entry_points.txt", "extra_metadata/dvc.yaml", "licenses/LICENSE"])
def test_an_installation_that_lacks_a_part_is_refused_by_name(unpacked: Path, name: str) -> None:
    (lost,) = unpacked.glob(f"*.dist-info/{name}")
    lost.unlink()

    with pytest.raises(RefusedError, match=f"{name} is missing"):
        pack_wheel(unpacked / "retrim")


def test_an_installation_without_a_record_is_packed(unpacked: Path) -> None:
    (record,) = unpacked.glob("*.dist-info/RECORD")
    record.unlink()

    assert pack_wheel(unpacked / "retrim").hash == running_wheel().hash


def test_an_installation_without_its_metadata_is_refused(unpacked: Path) -> None:
    (info,) = unpacked.glob("*.dist-info")
    info.rename(unpacked / "gone")

    with pytest.raises(RefusedError, match=r"\.dist-info"):
        pack_wheel(unpacked / "retrim")


@pytest.fixture
def run_directory(packed: Path, tmp_path: Path) -> Path:
    """A room whose lock names the wheel, which lies in data/code."""
    write_file(tmp_path / "room" / "requirements.lock", running_wheel().workspace_lock.encode())
    write_file(tmp_path / "room" / "data" / "code" / packed.name, packed.read_bytes())
    return tmp_path / "room"


def test_a_room_gets_the_code_that_its_lock_names(run_directory: Path) -> None:
    lay_code(run_directory)

    assert code_digest(run_directory / "src" / "retrim") == running_wheel().digest


def test_another_wheel_than_the_lock_names_is_not_unpacked(run_directory: Path, packed: Path) -> None:
    with (run_directory / "data" / "code" / packed.name).open("ab") as file:
        file.write(b"\0")

    with pytest.raises(RefusedError, match=r"requirements\.lock"):
        lay_code(run_directory)
    assert not (run_directory / "src").exists()
