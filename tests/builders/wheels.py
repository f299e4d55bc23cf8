"""Installations of retrim beside the checkout, and changed copies of it: quick, as what it stands on is lent."""

import os
import shutil
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from retrim.adapters.wheel import Wheel, pack_wheel, unpack_wheel
from tests.builders.world import REPOSITORY

PARTS = ("src/retrim", "flows/retrim_flows")
BESIDE = ("pyproject.toml", "requirements.lock", "dvc.yaml", "LICENSE")
SCRIPT = "import sys; from retrim.cli.main import main; main()"


def copy_checkout(folder: Path) -> Path:
    """A checkout with all that a wheel is packed from; gives its package."""
    for name in PARTS:
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copyfile(REPOSITORY / name, folder / name)
    return folder / "src" / "retrim"


def changed_wheel(folder: Path, version: str, *, edits: Mapping[str, tuple[str, str]]) -> Wheel:
    """The wheel of another version, with a text of some files replaced.

    Args:
        folder: Where its checkout is made.
        version: Its number.
        edits: By file: what is replaced, and by what.
    """
    package = copy_checkout(folder)
    own = {"pyproject.toml": ('version = "0.1.0"', f'version = "{version}"'),
           "src/retrim/__init__.py": ('__version__ = "0.1.0"', f'__version__ = "{version}"')}  # fmt: skip
    for name, (old, new) in {**own, **edits}.items():
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text, (name, old)
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return pack_wheel(package)


def install(wheel: Path, folder: Path) -> Path:
    """An environment with a wheel and the packages of this one; gives its interpreter."""
    venv.create(folder, with_pip=False)
    site = folder / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    unpack_wheel(wheel, site)
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    bin_folder = folder / "bin"
    for name, code in {"retrim": SCRIPT, "dvc": "import sys; from dvc.cli import main; sys.exit(main())"}.items():
        (bin_folder / name).write_text(f"#!{bin_folder / 'python'}\n{code}\n", encoding="utf-8")
        (bin_folder / name).chmod(0o755)
    return bin_folder / "python"


def environment_of(python: Path) -> dict[str, str]:
    """Variables of commands that run in an environment of its own."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PATH": os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])}
