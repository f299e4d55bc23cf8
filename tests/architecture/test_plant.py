"""Every contract and every structure test has been seen to fail: a fault of tests/plant names it as its guard."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FAULTS = [
    entry
    for path in sorted((ROOT / "tests/plant").glob("*.yaml"))
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")) or []
]
GUARDS = {fault["guard"] for fault in FAULTS}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def claims_in(path: Path) -> set[str]:
    """Tests of a file, as pytest names them, without parameters."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        inner = [node] if isinstance(node, ast.FunctionDef) else node.body if isinstance(node, ast.ClassDef) else []
        owner = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        found |= {
            f"{path.relative_to(ROOT)}::{owner}{function.name}"
            for function in inner
            if isinstance(function, ast.FunctionDef) and function.name.startswith("test_")
        }
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=[fault["fault"] for fault in FAULTS])
class TestEveryPlantedFault:
    def test_has_a_place_to_be_planted(self, fault: dict) -> None:
        lost = [
            edit["search"]
            for edit in fault["edits"]
            if "search" in edit and (ROOT / edit["file"]).read_text(encoding="utf-8").count(edit["search"]) != 1
        ]

        assert lost == []

    def test_names_a_guard_that_exists(self, fault: dict) -> None:
        path = ROOT / fault["guard"].partition("::")[0]

        assert re.sub(r"\[.*\]$", "", fault["guard"]) in claims_in(path)


def test_every_import_contract_is_seen_to_fail() -> None:
    test = "tests/architecture/test_layers.py::test_the_import_contract_is_kept"
    unseen = {contract["id"] for contract in CONTRACTS if f"{test}[{contract['id']}]" not in GUARDS}

    assert unseen == set()


def test_every_structure_test_is_seen_to_fail() -> None:
    files = [path for path in (ROOT / "tests/architecture").glob("test_*.py") if path != Path(__file__)]
    unseen = {test for path in files for test in claims_in(path)} - {re.sub(r"\[.*\]$", "", guard) for guard in GUARDS}

    assert unseen == set()
