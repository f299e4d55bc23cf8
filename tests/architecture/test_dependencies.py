"""What the package imports is declared, so that a wheel that is installed alone finds it."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
OWN = {"retrim", "retrim_flows"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def packages(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


DECLARED = packages(PROJECT["dependencies"])


def imported() -> dict[tuple[str, str], int]:
    """Top-level modules that are imported, also inside functions, with the file and a line that does."""
    found = {}
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found |= {(name.split(".")[0], str(path.relative_to(ROOT))): node.lineno for name in names}
    return {each: line for each, line in found.items() if each[0] not in OWN | sys.stdlib_module_names}


def test_every_import_is_declared() -> None:
    homes = packages_distributions()
    undeclared = {
        name: f"{file}:{line}"
        for (name, file), line in imported().items()
        if not {canonicalize_name(home) for home in homes.get(name, [name])} & DECLARED
    }

    assert undeclared == {}
