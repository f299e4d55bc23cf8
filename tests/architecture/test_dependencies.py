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
DECLARED = {
    canonicalize_name(Requirement(line).name)
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
}


def imported() -> dict[str, str]:
    """Top-level modules that are imported, also inside functions, each with a place that does."""
    found = {}
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found |= {name.split(".")[0]: f"{path.relative_to(ROOT)}:{node.lineno}" for name in names}
    return {name: place for name, place in found.items() if name not in OWN | sys.stdlib_module_names}


def test_every_import_is_declared() -> None:
    homes = packages_distributions()
    undeclared = {
        name: place
        for name, place in imported().items()
        if not {canonicalize_name(home) for home in homes.get(name, [name])} & DECLARED
    }

    assert undeclared == {}
