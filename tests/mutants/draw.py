"""Which mutants a run takes: those of changed files, and a sample that a seed decides."""

import ast
import hashlib
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.places import LostPlaceError

MARKER = re.compile(r"(?:^|\bmark\.)(server|slow|drill)\b")


def draw_sample(mutants: Sequence[Mutant], count: int, seed: str) -> list[Mutant]:
    """At most `count` of the mutants, in the order drawn. A mutant that is added moves the draw of no other."""
    return sorted(mutants, key=lambda m: hashlib.sha256(f"{seed} {m.title}".encode()).hexdigest())[:count]


def find_commit(tree: Path) -> str:
    """The full hash of the commit that is checked out; "none" before the first."""
    return _git(tree, "rev-parse", "--verify", "--quiet", "HEAD") or "none"


def find_base(tree: Path) -> str | None:
    """The commit that changes count from.

    On a branch it is where the branch left main. On main it is the commit before, as it is in a clone that has two
    commits or more. None: there is neither.
    """
    head = find_commit(tree)
    for main in ("main", "origin/main"):
        base = _git(tree, "merge-base", "HEAD", main)
        if base and base != head:
            return base
    return _git(tree, "rev-parse", "--verify", "--quiet", "HEAD~1") or None


def find_changed_files(tree: Path, base: str) -> set[str]:
    """Files that differ from a commit, the uncommitted and the untracked included."""
    listed = _git(tree, "diff", "--name-only", "-z", base) + "\0"
    listed += _git(tree, "ls-files", "-z", "--others", "--exclude-standard")
    return set(filter(None, listed.split("\0")))


def is_of(mutant: Mutant, files: set[str], tree: Path) -> bool:
    """Whether a mutant changes one of the files, or is caught by a test in one. A lost place counts: it is told."""
    try:
        edited = {edit.find_file(tree) for edit in mutant.edits}
    except LostPlaceError:
        return True
    return bool(files & (edited | {mutant.guard.partition("::")[0]}))


@cache
def read_guards(path: Path) -> dict[str, frozenset[str]]:
    """Tests of a file as `test_x` or `TestY::test_x`, without parameters; each with its markers of time."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    everywhere = [
        node.value
        for node in body
        if isinstance(node, ast.Assign) and any(ast.unparse(target) == "pytestmark" for target in node.targets)
    ]
    guards = {}
    for node in body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        for test in inner:
            if not isinstance(test, ast.FunctionDef) or not test.name.startswith("test_"):
                continue
            marks = [
                *everywhere,
                *test.decorator_list,
                *(node.decorator_list if isinstance(node, ast.ClassDef) else []),
            ]
            name = f"{node.name}::{test.name}" if isinstance(node, ast.ClassDef) else test.name
            guards[name] = frozenset(found for mark in marks for found in MARKER.findall(ast.unparse(mark)))
    return guards


def starts_server(mutant: Mutant, tree: Path) -> bool:
    """Whether the guard starts a server or runs a drill: most of a minute, and often more."""
    file, _, test = mutant.guard.partition("::")
    return bool(read_guards(tree / file).get(test.partition("[")[0], frozenset()) & {"server", "drill"})


def _git(tree: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=False).stdout.strip()
