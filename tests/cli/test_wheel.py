"""The wheel of this checkout: what is in it, and that it runs where nothing of the checkout is on the path."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import retrim
from retrim.adapters.wheel import pack_wheel, running_wheel
from retrim.files import code_digest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(retrim.__file__).parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (made,) = folder.glob("retrim-*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    folder = wheel.parent / "unpacked"
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """An environment with this wheel; what it stands on is lent by the environment of the tests."""
    folder = wheel.parent / "environment"
    venv.create(folder, with_pip=False)
    own = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (own / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    install = ["install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)]
    python = str(folder / "bin" / "python")
    subprocess.run([sys.executable, "-m", "pip", "--python", python, *install], check=True, capture_output=True)
    return folder


def run(command: list[str], folder: Path) -> str:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, cwd=folder, env=kept, check=True, capture_output=True, text=True).stdout


def test_it_holds_the_same_code_as_the_checkout(unpacked: Path) -> None:
    assert code_digest(unpacked / "retrim") == code_digest(PACKAGE)


def test_it_carries_the_flows_and_nothing_else_beside_the_package(unpacked: Path) -> None:
    names = {path.name for path in unpacked.iterdir()}

    assert names == {"retrim", "retrim_flows", f"retrim-{retrim.__version__}.dist-info"}
    assert code_digest(unpacked / "retrim_flows") == code_digest(ROOT / "flows" / "retrim_flows")


def test_it_names_what_it_needs(unpacked: Path) -> None:
    (file,) = unpacked.glob("*.dist-info/METADATA")
    metadata = HeaderParser().parsestr(file.read_text(encoding="utf-8"))

    assert any(line.startswith("lightgbm") for line in metadata.get_all("Requires-Dist"))


def test_an_installed_one_is_packed_again_as_the_checkout_is(installed: Path) -> None:
    (package,) = installed.glob("lib/python*/site-packages/retrim")

    assert pack_wheel(package).hash == running_wheel().hash


def test_an_installed_one_runs_its_own_code_and_flows(installed: Path, tmp_path: Path) -> None:
    python = str(installed / "bin" / "python")
    where = "import retrim, retrim_flows.worker as d; print(retrim.__file__); print(d._load('check').fn.__module__)"
    package, module = run([python, "-c", where], tmp_path).split()

    assert Path(package).is_relative_to(installed)
    assert module == "retrim_flows.check"
    assert "retrain" in run([str(installed / "bin" / "retrim"), "--help"], tmp_path)
    assert list(tmp_path.iterdir()) == []
