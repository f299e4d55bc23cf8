"""How much there is to read, of this tree and beside it of an earlier commit, counted by one script.

    python bench/size.py                          # this tree
    python bench/size.py --base GITREF --check    # and that commit, with the files that a check runs

Lines are lines of files, empty ones and docstrings included. A late constant is assigned at the top level of a module
after its first function or class. A docstring is stacked if it opens a module with three paragraphs or more. Vague
names are those of `VAGUE`, as a share of all assigned names and parameters.
"""

import argparse
import ast
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VAGUE = frozenset({"found", "said", "told", "made", "each", "place", "kept", "asked", "own", "ripe", "came"})
LONG_FUNCTION, LONG_FILE = 60, 500  # lines
PATH_HEADING = "## The loop in an hour"
WRITTEN = "Written by `.ci/reference.py`"  # in a page of an earlier commit that no person wrote

COMMANDS = """
import typer
from retrim.cli.main import app
def count(command):
    subcommands = getattr(command, "commands", {})
    answers = not subcommands or getattr(command, "invoke_without_command", False)
    return int(answers) + sum(count(command) for command in subcommands.values() if not command.hidden)
root = typer.main.get_command(app)
print(sum(count(command) for command in root.commands.values() if not command.hidden))
"""
SETTINGS = """
from retrim.settings import Params, setting_fields
print(sum(1 for _ in setting_fields(Params)))
"""
CHECK = """
import ast, sys, tempfile
from pathlib import Path
import coverage
from retrim.checking.check import check
from tests.lives.life import begin_life
from tests.lives.worlds import nothing
sources = str(Path(sys.argv[1]).resolve() / "src")
life = begin_life(Path(tempfile.mkdtemp(dir=sys.argv[2])), nothing(1, 2))
life.play(1)
life._land(life.world.week(2), 2)
watch = coverage.Coverage(data_file=None, source=[sources])
watch.start()
assert check(life.workspace, by="size", now=life.now(2)).outcome == "none"
watch.stop()
data = watch.get_data()
def in_functions(path):
    spans = [(n.body[0].lineno, n.end_lineno) for n in ast.walk(ast.parse(Path(path).read_text()))
             if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    return any(first <= line <= last for line in data.lines(path) or () for first, last in spans)
run = [path for path in data.measured_files() if in_functions(path)]
print(len(run), sum(len(Path(path).read_text().splitlines()) for path in run))
"""


def modules(tree: Path, *folders: str) -> dict[Path, ast.Module]:
    """The Python files of some folders, and what they say."""
    files = [file for folder in folders for file in sorted((tree / folder).rglob("*.py"))]
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def lines_of(files: Iterator[Path] | list[Path]) -> list[int]:
    """Lines of each file."""
    return [len(file.read_text(encoding="utf-8").splitlines()) for file in files]


def functions(parsed: dict[Path, ast.Module]) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, those within others among them."""
    nodes = (node for module in parsed.values() for node in ast.walk(module))
    return [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def is_data_class(node: ast.AST) -> bool:
    """Whether a node is a class with the decorator `dataclass`."""
    if not isinstance(node, ast.ClassDef):
        return False
    names = [name.func if isinstance(name, ast.Call) else name for name in node.decorator_list]
    return any(getattr(name, "id", getattr(name, "attr", "")) == "dataclass" for name in names)


def late_constants(module: ast.Module) -> int:
    """Constants of a module after its first function or class."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    first = next((place for place, node in enumerate(module.body) if isinstance(node, kinds)), len(module.body))
    return sum(
        isinstance(target, ast.Name) and target.id.isupper()
        for node in module.body[first:]
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


def is_stacked(module: ast.Module) -> bool:
    """Whether a module opens with three paragraphs or more."""
    return len(re.split(r"\n\s*\n", ast.get_docstring(module) or "")) >= 3


def assigned(module: ast.Module) -> Iterator[str]:
    """Names that a module assigns, parameters among them."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def comments(files: Iterator[Path] | list[Path]) -> int:
    """Comments, those behind code among them; orders to tools are none."""
    order = re.compile(r"#\s*(noqa|type:|pragma|fmt:)")
    return sum(
        token.type == tokenize.COMMENT and not order.match(token.string)
        for file in files
        for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    )


def printed_by(tree: Path, script: str, *arguments: str) -> str:
    """What a script prints about the code of a tree."""
    variables = {"PYTHONPATH": os.pathsep.join(map(str, (tree / "src", tree / "flows", tree))), "TMPDIR": arguments[-1]}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, *arguments],
        cwd=tree,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split("\n")[-2] if done.returncode == 0 else f"failed: {done.stderr.strip()[-200:]}"


def path_of_a_check(tree: Path) -> str:
    """Files that `docs/architecture.md` names for reading from a check to a promotion, and their lines."""
    page = tree / "docs" / "architecture.md"
    named = page.read_text(encoding="utf-8").partition(PATH_HEADING)[2] if page.exists() else ""
    files = [tree / name for name in re.findall(r"`((?:src|flows)/[\w/]+\.py)`", named)]
    return f"{len(files)}, {sum(lines_of(files))}"


def words_by_hand(tree: Path) -> int:
    """Words of README, CONTRIBUTING and the pages of docs that no script writes."""
    texts = [page.read_text(encoding="utf-8") for page in (*tree.glob("*.md"), *(tree / "docs").rglob("*.md"))]
    return sum(len(text.split()) for text in texts if WRITTEN not in text)


def size_of(tree: Path, scratch: Path, *, check: bool) -> dict[str, str]:
    """The counts of a tree, by name."""
    source, tests = modules(tree, "src", "flows"), modules(tree, "tests")
    lines, spans = lines_of(list(source)), functions(source)
    names = Counter(name for module in source.values() for name in assigned(module))
    vague = sum(names[name] for name in VAGUE)
    yaml = sum(lines_of(sorted((tree / "tests").rglob("*.yaml"))))
    cases = sum(node.name.startswith("test_") for node in functions(tests))
    mutants = sum(
        text.startswith("- ")
        for file in (tree / "tests" / "mutants").glob("*.yaml")
        for text in file.read_text(encoding="utf-8").splitlines()
    )
    counts: dict[str, object] = {
        "lines of src and flows": sum(lines),
        "files": len(lines),
        "median file": f"{statistics.median(lines):.0f}",
        "longest file": max(lines),
        f"files over {LONG_FILE} lines": sum(count > LONG_FILE for count in lines),
        "files to read from a check to a promotion, and their lines": path_of_a_check(tree),
        "functions": len(spans),
        f"functions over {LONG_FUNCTION} lines": sum(
            (node.end_lineno or 0) - node.lineno + 1 > LONG_FUNCTION for node in spans
        ),
        "data classes": sum(is_data_class(node) for module in source.values() for node in ast.walk(module)),
        "late constants": sum(map(late_constants, source.values())),
        "modules with a stacked docstring": sum(map(is_stacked, source.values())),
        "vague names": f"{vague / names.total():.1%}",
        "comments": comments(list(source)),
        "lines of tests, YAML included": sum(lines_of(list(tests))) + yaml,
        "test functions": cases,
        "mutants": mutants,
        "lines of bench": sum(lines_of(sorted((tree / "bench").rglob("*.py")))),
        "scripts of bench": len(list((tree / "bench").glob("*.py"))),
        "words by hand": words_by_hand(tree),
        "commands": printed_by(tree, COMMANDS, str(scratch)),
        "settings": printed_by(tree, SETTINGS, str(scratch)),
    }
    if check:
        counts["files run by a check that decides nothing, and their lines"] = printed_by(
            tree, CHECK, str(tree), str(scratch)
        )
    return {name: str(value) for name, value in counts.items()}


def checkout(ref: str, folder: Path) -> Path:
    """A commit's files, in a folder."""
    for command in (("clone", "-q", str(ROOT), str(folder)), ("-C", str(folder), "checkout", "-q", ref)):
        subprocess.run(["git", *command], check=True)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--base", help="a commit to count beside this tree")
    parser.add_argument("--check", action="store_true", help="count the files that a check runs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="retrim-size-") as folder:
        trees = {"now": ROOT}
        if given.base:
            trees = {given.base: checkout(given.base, Path(folder) / "base"), **trees}
        counts = {name: size_of(tree, Path(folder), check=given.check) for name, tree in trees.items()}
    print("| | " + " | ".join(counts) + " |\n|" + "---|" * (len(counts) + 1))
    for name in next(iter(counts.values())):
        print(f"| {name} | " + " | ".join(column[name] for column in counts.values()) + " |")


if __name__ == "__main__":
    main()
