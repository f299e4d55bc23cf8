"""Mutants have places and guards, and every contract and every structure test has been seen to fail by one."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.mutants.draw import read_guards
from tests.mutants.mutant import Mutant, read_mutants

ROOT = Path(__file__).resolve().parents[2]
MUTANTS = read_mutants()
GUARDS = {mutant.guard for mutant in MUTANTS}
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant.title for mutant in MUTANTS])
class TestEveryMutant:
    def test_has_its_places_once(self, mutant: Mutant) -> None:
        assert mutant.apply(ROOT)


def test_every_guard_exists_with_its_parameters() -> None:
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(GUARDS)]
    done = subprocess.run(collect, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def test_no_two_mutants_share_a_title() -> None:
    assert len({mutant.title for mutant in MUTANTS}) == len(MUTANTS)


def test_every_import_contract_is_seen_to_fail() -> None:
    test = "tests/architecture/test_layers.py::test_the_import_contract_is_kept"
    unseen = {contract["id"] for contract in CONTRACTS if f"{test}[{contract['id']}]" not in GUARDS}

    assert unseen == set()


def test_every_structure_test_is_seen_to_fail() -> None:
    files = [path for path in (ROOT / "tests/architecture").glob("test_*.py") if path != Path(__file__)]
    claims = {f"{path.relative_to(ROOT)}::{test}" for path in files for test in read_guards(path)}

    assert claims - {re.sub(r"\[.*\]$", "", guard) for guard in GUARDS} == set()
