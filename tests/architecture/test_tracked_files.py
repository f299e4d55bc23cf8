"""What must stand in no file that git keeps: a machine's paths, an index address, anything that unpickles."""

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MACHINE_PATH = re.compile(r"(?<![\w./~$}-])/(?:home|root|Users|work|mnt|private)/[\w.]")
INDEX_ADDRESS = re.compile(
    r"pypi\.org|pythonhosted\.org|--(?:extra-)?index-url|(?:PIP|UV)_INDEX_URL|--find-lin[k]s|/simpl[e]/"
)
UNPICKLES = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "skops", "shelve", "marshal"}
ALLOWED = {
    "src/retrim/templates/own_model.py": {"skops"},
    "src/retrim/features/transformers.py": {"skops"},
    "bench/pickled.py": {"pickle"},
}
"""skops builds the types that a file names from what was stored; benches read tables that are published as pickles."""


@cache
def tracked() -> dict[str, str]:
    """Text files that git keeps, or would keep, and what stands in them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    texts = {}
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and b"\0" not in (head := path.read_bytes())[:8000]:
            texts[name] = head.decode("utf-8", errors="replace")
    return texts


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in tracked().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_some_machine() -> None:
    assert lines_with(MACHINE_PATH) == []


def test_no_file_names_a_package_index() -> None:
    assert lines_with(INDEX_ADDRESS) == []


@pytest.mark.parametrize("folder", ["src", "flows", "bench", "deploy", ".ci"])
def test_nothing_is_unpickled_but_published_tables(folder: str) -> None:
    found = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            imported = (
                {alias.name.split(".")[0] for alias in node.names}
                if isinstance(node, ast.Import)
                else {str(node.module).split(".")[0]}
                if isinstance(node, ast.ImportFrom)
                else set()
            )
            called = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
            allows = isinstance(node, ast.keyword) and node.arg == "allow_pickle"
            imported -= ALLOWED.get(path.relative_to(ROOT).as_posix(), set())
            if imported & UNPICKLES or called == "read_pickle" or allows:
                found.append(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', '?')}")

    assert found == []
