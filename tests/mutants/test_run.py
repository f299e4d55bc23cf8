"""A mutant changes one place, and one that has none any more is named."""

import ast

import pytest

from tests.mutants.edit import LostPlaceError, mutate

SOURCE = "def f(rows):\n    if rows:\n        return len(rows)\n    return 0\n"


@pytest.mark.parametrize(
    ("edit", "mutated"),
    [
        ({"name": "f", "statement": "return 0", "becomes": "return 1"}, SOURCE.replace("0", "1")),
        ({"name": "f", "statement": "if rows: ...", "becomes": "if not rows: ..."}, SOURCE.replace("if ", "if not ")),
        ({"name": "f", "expression": "len(rows)", "becomes": "2"}, SOURCE.replace("len(rows)", "2")),
    ],
)
def test_a_mutant_changes_its_place_alone(edit: dict[str, str], mutated: str) -> None:
    assert mutate(SOURCE, edit) == ast.unparse(ast.parse(mutated))


@pytest.mark.parametrize("name", ["f", "g"])
def test_a_mutant_that_no_longer_applies_says_so(name: str) -> None:
    with pytest.raises(LostPlaceError):
        mutate(SOURCE, {"name": name, "statement": "return 2", "becomes": "return 1"})
