"""Which printed cures a test takes: read from the marks of tests/builders/cured.py in the sources of the tests."""

import ast
from collections.abc import Iterable, Iterator

from tests.builders.cured import MARK, says
from tests.builders.printed import ROOT, Printed, to_try


def marked() -> Iterator[tuple[str, str]]:
    """The texts that the tests' marks name, each with its test; a mark without the fixture would claim nothing."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.FunctionDef):
                continue
            calls = [each for mark in node.decorator_list for each in ast.walk(mark) if isinstance(each, ast.Call)]
            texts = [ast.literal_eval(text) for call in calls if _is_mark(call.func) for text in call.args]
            where = f"{path.relative_to(ROOT)}::{node.name}"
            assert not texts or "cure" in [each.arg for each in node.args.args], where
            yield from ((text, where) for text in texts)


def untried(known: Iterable[str]) -> list[Printed]:
    """The texts of the source that no test tries: neither a mark names them, nor are they among the known ones."""
    texts = [*known, *(text for text, _ in marked())]
    return [each for each in to_try() if not any(says(text, each.text) for text in texts)]


def _is_mark(function: ast.expr) -> bool:
    return isinstance(function, ast.Attribute) and function.attr == MARK
