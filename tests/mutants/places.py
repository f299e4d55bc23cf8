"""Where an edit of Python goes: a qualified name and a statement, compared as syntax trees.

Formatting and comments change nothing, and neither does a move to another module while the name is the only one
of its kind. In a statement, `...` as a whole block stands for the block as it is:

    statement: "if rows: ..."      # any body
    becomes: "if not rows: ..."    # that body

The k-th such block of the replacement is the k-th of the statement.
"""

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

BLOCKS = ("body", "orelse", "finalbody")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
SOURCES = {"src": "src", "flows": "flows", "tests": "."}
"""Folders with Python, and the folder that their dotted names start from."""


class LostPlaceError(ValueError):
    """An edit's place is not there exactly once: the code has changed."""


@dataclass(frozen=True)
class Module:
    """A module of a tree."""

    file: str
    dotted: str
    names: frozenset[str]


@cache
def read_modules(tree: Path) -> tuple[Module, ...]:
    """All modules of a tree, with the qualified names that each defines."""
    return tuple(
        Module(
            path.relative_to(tree).as_posix(),
            ".".join(path.relative_to(tree / start).with_suffix("").parts).removesuffix(".__init__"),
            frozenset(name for name, _, _ in find_named(_parse(path.read_text(encoding="utf-8")).body)),
        )
        for folder, start in SOURCES.items()
        for path in sorted((tree / folder).rglob("*.py"))
    )


def find_named(block: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, list[ast.stmt], ast.stmt]]:
    """Definitions at any depth and variables of the module: qualified name, the block it stands in, the node."""
    for node in block:
        if isinstance(node, DEFINITIONS):
            yield prefix + node.name, block, node
            yield from find_named(node.body, f"{prefix}{node.name}.")
            continue
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if not prefix:
            for target in targets:
                if isinstance(target, ast.Name):
                    yield target.id, block, node
        for inner in child_blocks(node):
            yield from find_named(inner, prefix)


def find_files(tree: Path, module: str, name: str = "") -> list[str]:
    """Files that may hold an edit's place: one where its name or its module decides, else all that define the name.

    Args:
        tree: Root of the repository.
        module: Dotted name. It decides only if several modules define the name: as a whole, else by its last part.
        name: Qualified name; empty: the module itself is looked for.

    Raises:
        LostPlaceError: No module defines the name, or is called so.
    """
    package, last = module.split(".", maxsplit=1)[0], module.rsplit(".", maxsplit=1)[-1]
    same_side = [m for m in read_modules(tree) if m.dotted.startswith("tests.") == (package == "tests")]
    owners = [m for m in same_side if name in m.names or not name]
    if not owners:
        raise LostPlaceError(f"no module defines {name} (last seen in {module})")
    for candidates in (
        owners,
        [m for m in owners if m.dotted == module],
        [m for m in owners if m.dotted.rsplit(".", maxsplit=1)[-1] == last],
    ):
        if len(candidates) == 1:
            return [candidates[0].file]
    if not name:
        raise LostPlaceError(f"no module is called {module}, nor is one module alone called {last}")
    return [m.file for m in owners]


def replace_place(text: str, name: str, pattern: str, becomes: str, *, is_expression: bool = False) -> str:
    """The source with the one place that equals the pattern replaced.

    Args:
        text: Source of the module.
        name: Qualified name of a function, class or variable of the module; empty: its top level.
        pattern: Statements, or an expression, that stand there exactly once. Functions and classes inside have names
            of their own, and are not looked into.
        becomes: What stands there afterwards; empty deletes the statements.
        is_expression: Whether both are expressions inside a statement.

    Raises:
        LostPlaceError: The place is not there exactly once, or the replacement changes nothing.
    """
    module = _parse(text)
    scopes = [(block, node) for key, block, node in find_named(module.body) if key == name]
    find = _find_expression if is_expression else _find_statements
    place = find(module, name, scopes, pattern, becomes)
    touched = [index for index, node in enumerate(module.body) if place.touches(node)]
    first, last, behind = touched[0], touched[-1], len(module.body) - touched[-1] - 1
    before = [ast.dump(node) for node in module.body[first : last + 1]]
    start, end = _first_line(module.body[first]), module.body[last].end_lineno or 0
    with place.replaced():
        new = module.body[first : len(module.body) - behind]
        after = [ast.dump(node) for node in new]
        written = [ast.unparse(node) for node in new]
    if after == before:
        raise LostPlaceError(f"{name or 'the module'}: {becomes!r} is what stands there already")
    assert [ast.dump(node) for node in ast.parse("\n".join(written)).body] == after, (
        f"{name}: {becomes!r} is not written"
    )
    lines = text.split("\n")
    return "\n".join([*lines[: start - 1], *written, *lines[end:]])


@cache
def _parse(text: str) -> ast.Module:
    """The tree of a source; who changes it puts it back."""
    return ast.parse(text)


Scopes = Sequence[tuple[list[ast.stmt], ast.stmt]]


@dataclass(frozen=True)
class Place:
    """Where a tree is changed (a field of a node, one or all items of a list), by what, and on which lines."""

    home: Any
    key: Any
    new: Any
    first: int
    last: int

    def touches(self, node: ast.stmt) -> bool:
        return _first_line(node) <= self.last and (node.end_lineno or 0) >= self.first

    @contextmanager
    def replaced(self) -> Iterator[None]:
        """The tree is that of the mutant, for as long as the block runs."""
        old = self.home[self.key]
        self.home[self.key] = self.new
        try:
            yield
        finally:
            self.home[self.key] = old


def _find_statements(module: ast.Module, name: str, scopes: Scopes, pattern: str, becomes: str) -> Place:
    wanted, new = ast.parse(pattern).body, ast.parse(becomes).body
    windows = [(block, block.index(node)) for block, node in scopes if len(wanted) == 1]
    blocks = (
        [module.body, *_blocks_of(module.body)] if not name else [b for _, node in scopes for b in _own_blocks(node)]
    )
    windows += [(block, start) for block in blocks for start in range(len(block) - len(wanted) + 1)]
    found = []
    for block, start in windows:
        elided: list[list[ast.stmt]] = []
        if all(_equal(p, node, elided) for p, node in zip(wanted, block[start : start + len(wanted)], strict=True)):
            found.append((block, start, elided))
    if len(found) != 1:
        raise LostPlaceError(f"{name or 'the module'} holds {pattern!r} {len(found)} times; exactly once is needed")
    block, start, elided = found[0]
    end = start + len(wanted)
    for node in new:
        _fill(node, elided)
    whole = [*block[:start], *new, *block[end:]] or [ast.Pass()]
    return Place(block, slice(None), whole, _first_line(block[start]), block[end - 1].end_lineno or 0)


def _find_expression(module: ast.Module, name: str, scopes: Scopes, pattern: str, becomes: str) -> Place:
    wanted = ast.parse(pattern, mode="eval").body
    new = ast.parse(becomes, mode="eval").body
    nodes = [node for _, node in scopes] if name else [n for n in module.body if not isinstance(n, DEFINITIONS)]
    found = [place for node in nodes for place in _expressions(node) if _equal(wanted, place[0], [])]
    if len(found) != 1:
        raise LostPlaceError(f"{name or 'the module'} holds {pattern!r} {len(found)} times; exactly once is needed")
    old, parent, field, index = found[0]
    home, key = (vars(parent), field) if index is None else (getattr(parent, field), index)
    return Place(home, key, new, old.lineno, old.end_lineno or 0)


def _expressions(node: ast.AST) -> Iterator[tuple[ast.expr, ast.AST, str, int | None]]:
    """Expressions below a node, each with where it hangs; not those of definitions inside, nor pieces of f-strings."""
    for field, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, DEFINITIONS):
                continue
            if isinstance(child, ast.expr) and not (
                isinstance(node, ast.JoinedStr) and isinstance(child, ast.Constant)
            ):
                yield child, node, field, index
            yield from _expressions(child)


def child_blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The blocks that hang on a statement, with those of its handlers and cases."""
    for field in BLOCKS:
        if isinstance(block := getattr(node, field, None), list):
            yield block
    for part in [*getattr(node, "handlers", []), *getattr(node, "cases", [])]:
        yield part.body


def _own_blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for block in child_blocks(node):
        yield block
        yield from _blocks_of(block)


def _blocks_of(block: list[ast.stmt]) -> Iterator[list[ast.stmt]]:
    for node in block:
        if not isinstance(node, DEFINITIONS):
            yield from _own_blocks(node)


def is_elided(block: object) -> bool:
    """Whether a block is written as `...` alone."""
    return (
        isinstance(block, list)
        and len(block) == 1
        and isinstance(block[0], ast.Expr)
        and isinstance(block[0].value, ast.Constant)
        and block[0].value.value is ...
    )


def _equal(pattern: object, node: object, elided: list[list[ast.stmt]]) -> bool:
    """Whether a node is what the pattern says; appends the blocks that its `...` stand for."""
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, list):
        assert isinstance(node, list)
        return len(pattern) == len(node) and all(_equal(p, n, elided) for p, n in zip(pattern, node, strict=True))
    if not isinstance(pattern, ast.AST):
        return pattern == node
    for field in pattern._fields:
        wanted, value = getattr(pattern, field, None), getattr(node, field, None)
        if field in BLOCKS and is_elided(wanted) and value:
            elided.append(value)
        elif not _equal(wanted, value, elided):
            return False
    return True


def _fill(node: ast.AST, elided: list[list[ast.stmt]]) -> None:
    """Puts the elided blocks where the replacement says `...`, in their order."""
    for field in node._fields:
        value = getattr(node, field, None)
        if field in BLOCKS and is_elided(value) and elided:
            setattr(node, field, elided.pop(0))
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                _fill(child, elided)


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(mark.lineno for mark in getattr(node, "decorator_list", []))])
