"""The import contracts of pyproject.toml, and that every module has its place in them."""

import ast
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PURE_FOLDERS = next(each["source_modules"] for each in CONTRACTS if each["id"] == "pure")
PURE_PLACES = [ROOT / "src" / name.replace(".", "/") for name in PURE_FOLDERS]
PURE = sorted(
    path for place in PURE_PLACES for path in (place.with_suffix(".py"), *place.rglob("*.py")) if path.is_file()
)
ADAPTED = {"dvc", "great_expectations", "mlflow", "sqlalchemy", "sqlite3"}
"""Tools that the rest of the workspace meets through an adapter."""
CLOCK = {"now", "utcnow", "today", "perf_counter", "monotonic"}
DISK = {"open", "read_text", "read_bytes", "write_text", "write_bytes", "unlink", "mkdir"}
SCREEN = {"print", "input"}
FRAMES_FROM_DISK = {"read_csv", "read_parquet", "read_json", "read_pickle", "read_excel", "read_sql", "read_table"}
UNSEEDED = {"np.random." + name for name in ("rand", "randn", "random", "normal", "seed", "shuffle", "permutation")}


def reaches_out(call: ast.Call) -> bool:
    """Whether a call, judged by its name, reads a clock or a disk, writes to the screen or draws without a seed."""
    whole = ast.unparse(call.func)
    name = whole.rpartition(".")[2]
    if name in FRAMES_FROM_DISK:
        return not (call.args and ast.unparse(call.args[0]).startswith(("BytesIO(", "StringIO(", "io.BytesIO(")))
    return name in CLOCK | DISK | SCREEN or whole in UNSEEDED


@pytest.mark.parametrize("contract", [contract["id"] for contract in CONTRACTS])
def test_the_import_contract_is_kept(contract: str) -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    options = ["--no-logo", "--no-cache", "--contract", contract]
    run = subprocess.run(
        [sys.executable, "-c", command, *options], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert run.returncode == 0, run.stdout + run.stderr


def test_every_module_has_a_layer() -> None:
    layers = next(contract["layers"] for contract in CONTRACTS if contract["id"] == "layers")
    placed = {name.strip(" ()") for layer in layers for name in layer.split("|")}
    folder = ROOT / "src/retrim"
    modules = {
        f"retrim.{path.stem}"
        for path in folder.iterdir()
        if path.name not in ("__init__.py", "py.typed", "__pycache__")
    }

    assert modules <= placed


def test_a_tool_is_known_to_its_adapter_alone() -> None:
    found = []
    for path in [*(ROOT / "src/retrim").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        if (ROOT / "src/retrim/adapters") in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            if {name.split(".")[0] for name in names} & ADAPTED:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}")

    assert found == []


def test_no_flow_imports_the_command_line() -> None:
    found = []
    for path in (ROOT / "flows").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            found += [
                f"{path.name}:{node.lineno}" for name in names if name.startswith(("retrim.cli", "retrim.stages"))
            ]

    assert found == []


@pytest.mark.parametrize("path", PURE, ids=[str(path.relative_to(ROOT / "src/retrim")) for path in PURE])
def test_pure_code_calls_no_clock_no_disk_no_screen_and_no_unseeded_draw(path: Path) -> None:
    found = [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and reaches_out(node)
    ]

    assert found == []


def test_no_two_classes_share_a_name() -> None:
    files = [file for place in ("src", "flows") for file in (ROOT / place).rglob("*.py")]
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []
