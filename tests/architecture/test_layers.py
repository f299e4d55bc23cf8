"""The import contracts of pyproject.toml, and that every module has its place in them."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def test_the_import_contracts_are_kept() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    run = subprocess.run(
        [sys.executable, "-c", command, "--no-logo", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_every_module_has_a_layer() -> None:
    layers = next(contract["layers"] for contract in CONTRACTS if contract["id"] == "layers")
    placed = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    modules = {
        f"retrim.{path.stem}"
        for path in (ROOT / "src/retrim").iterdir()
        if path.name not in ("__init__.py", "py.typed", "__pycache__")
    }

    assert modules <= placed
