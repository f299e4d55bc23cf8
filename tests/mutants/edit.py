"""What a mutant changes in the source of a module: a statement or an expression, compared as syntax trees."""

import ast
from collections.abc import Iterator
from typing import Any

BLOCKS = ("body", "orelse", "finalbody")


class LostPlaceError(ValueError):
    """The code of an edit is not there exactly once: the code has changed."""


def mutate(source: str, edit: dict[str, str]) -> str:
    """The source of a module after an edit.

    Args:
        source: As it is.
        edit: `name` is the qualified name of a function, class or variable ("": the module). `statement` or
            `expression` stands in it once; `...` stands for a block as it is. `becomes` is what stands there instead.

    Raises:
        LostPlaceError: The code is not there exactly once.
    """
    tree = ast.parse(source)
    scope = find_named(tree, edit.get("name", ""))
    if "expression" in edit:
        old, new = (ast.parse(edit[key], mode="eval").body for key in ("expression", "becomes"))
        places = [node for node in ast.walk(scope) if is_equal(old, node, [])]
        _refuse_unless_once(edit, len(places))
        return ast.unparse(Swap(places[0], new).visit(tree))
    wanted, becomes = ast.parse(edit["statement"]).body, ast.parse(edit.get("becomes", "")).body
    matches = []
    for block, start in windows(tree, scope, len(wanted)):
        elided: list[list[ast.stmt]] = []
        if is_equal(wanted, block[start : start + len(wanted)], elided):
            matches.append((block, start, elided))
    _refuse_unless_once(edit, len(matches))
    block, start, elided = matches[0]
    for statement in becomes:
        fill(statement, elided)
    block[start : start + len(wanted)] = becomes or [ast.Pass()]
    return ast.unparse(tree)


def find_named(tree: ast.Module, name: str) -> ast.AST:
    """The definition of a qualified name, outermost first.

    Raises:
        LostPlaceError: There is none.
    """
    scope: ast.AST = tree
    for part in filter(None, name.split(".")):
        inner = (node for node in ast.walk(scope) if node is not scope and part in _names(node))
        scope = next(inner, None) or _lost(f"nothing is called {name}")
    return scope


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]


def windows(tree: ast.Module, scope: ast.AST, length: int) -> Iterator[tuple[list[ast.stmt], int]]:
    """Runs of so many statements that stand in a scope: the block, and where each begins."""
    inside = set(map(id, ast.walk(scope)))
    for node in ast.walk(tree):
        for field in BLOCKS:
            block = getattr(node, field, None)
            for start in range(len(block) - length + 1) if isinstance(block, list) else ():
                if id(block[start]) in inside:
                    yield block, start


def is_elided(block: object) -> bool:
    return isinstance(block, list) and [ast.dump(node) for node in block] == ["Expr(value=Constant(value=Ellipsis))"]


def is_equal(pattern: Any, node: Any, elided: list[list[ast.stmt]]) -> bool:
    """Whether a node is what the pattern says; appends the blocks that its `...` stand for."""
    if type(pattern) is not type(node):
        return False
    if isinstance(pattern, list):
        return len(pattern) == len(node) and all(is_equal(p, n, elided) for p, n in zip(pattern, node, strict=True))
    if not isinstance(pattern, ast.AST):
        return bool(pattern == node)
    for field in pattern._fields:
        wanted, value = getattr(pattern, field, None), getattr(node, field, None)
        if field in BLOCKS and is_elided(wanted) and value:
            elided.append(value)
        elif not is_equal(wanted, value, elided):
            return False
    return True


def fill(node: ast.AST, elided: list[list[ast.stmt]]) -> None:
    """Puts the elided blocks where a replacement says `...`, in their order."""
    for field in node._fields:
        value = getattr(node, field, None)
        if field in BLOCKS and is_elided(value) and elided:
            setattr(node, field, elided.pop(0))
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                fill(child, elided)


class Swap(ast.NodeTransformer):
    """Puts one expression in the place of another."""

    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else super().visit(node)


def _refuse_unless_once(edit: dict[str, str], times: int) -> None:
    if times != 1:
        code = edit.get("statement") or edit["expression"]
        _lost(f"{edit.get('name') or 'the module'} holds {code!r} {times} times; exactly once is needed")


def _lost(why: str) -> Any:
    raise LostPlaceError(why)
