"""A mutant's place is found by qualified name and statement, however the code is formatted and wherever it lies."""

import ast
from pathlib import Path

import pytest

from tests.mutants.mutant import Edit, Mutant, read_mutants
from tests.mutants.places import LostPlaceError, replace_place

SOURCE = '''
LIMIT = 3  # rows


class Window:
    """Rows between two times."""

    days: int = 7

    def size(self, rows: list[int]) -> int:
        if len(rows) > LIMIT:
            # too many
            total = sum(rows)
            return total
        elif rows:
            return len(rows)
        return 0


def size(rows):
    total = sum(rows)

    def inner():
        return LIMIT

    return total
'''


def replace(name: str, pattern: str, becomes: str, text: str = SOURCE) -> str:
    return ast.unparse(ast.parse(replace_place(text, name, pattern, becomes)))


def plain(text: str) -> str:
    return ast.unparse(ast.parse(text))


def write_tree(folder: Path, **modules: str) -> Path:
    for dotted, text in modules.items():
        path = folder / "src/retrim" / f"{dotted.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


class TestAStatement:
    def test_is_replaced_in_its_function_alone(self) -> None:
        expected = SOURCE.replace("def size(rows):\n    total = sum(rows)", "def size(rows):\n    total = 0")

        assert replace("size", "total = sum(rows)", "total = 0") == plain(expected)

    @pytest.mark.parametrize("pattern", ["total=sum( rows )", "total = sum(\n    rows,\n)  # all of them"])
    def test_is_the_same_however_it_is_formatted(self, pattern: str) -> None:
        assert replace("size", pattern, "total = 0") == replace("size", "total = sum(rows)", "total = 0")

    def test_is_found_in_source_that_was_formatted_anew(self) -> None:
        spread = SOURCE.replace("    total = sum(rows)\n\n", "    total = (  # now\n        sum(rows)\n    )\n\n")

        assert replace("size", "total = sum(rows)", "total = 0", spread) == replace(
            "size", "total = sum(rows)", "total = 0"
        )

    def test_keeps_a_block_that_is_written_as_dots(self) -> None:
        expected = SOURCE.replace("elif rows:", "elif not rows:")

        assert replace("Window.size", "if rows: ...", "if not rows: ...") == plain(expected)

    def test_with_else_has_two_such_blocks_in_their_order(self) -> None:
        mutated = replace("Window.size", "if len(rows) > LIMIT: ...\nelse: ...", "if rows: ...\nelse: ...")

        assert mutated == plain(SOURCE.replace("if len(rows) > LIMIT:", "if rows:"))

    def test_with_else_is_not_one_without(self) -> None:
        with pytest.raises(LostPlaceError, match="0 times"):
            replace("Window.size", "if len(rows) > LIMIT: ...", "if rows: ...")

    def test_may_be_the_head_of_its_function(self) -> None:
        expected = SOURCE.replace("def size(rows):", "def size(rows=()):")

        assert replace("size", "def size(rows): ...", "def size(rows=()): ...") == plain(expected)

    def test_is_deleted_by_nothing(self) -> None:
        assert replace("size.inner", "return LIMIT", "") == plain(SOURCE.replace("return LIMIT", "pass"))

    def test_may_be_followed_by_another(self) -> None:
        expected = SOURCE + "    print(total)\n"

        assert replace("size", "return total", "return total\nprint(total)") == plain(expected)

    @pytest.mark.parametrize(
        ("name", "pattern", "becomes"),
        [
            ("LIMIT", "LIMIT = 3", "LIMIT = 4"),
            ("Window", "days: int = 7", "days: int = 8"),
            ("", "LIMIT = 3", "LIMIT = 4"),
        ],
    )
    def test_may_stand_outside_functions(self, name: str, pattern: str, becomes: str) -> None:
        assert replace(name, pattern, becomes) == plain(SOURCE.replace(pattern, becomes))

    def test_leaves_the_comments_of_other_functions(self) -> None:
        mutated = replace_place(SOURCE, "size", "total = sum(rows)", "total = 0")

        assert "LIMIT = 3  # rows" in mutated
        assert "# too many" in mutated

    def test_that_stands_twice_is_no_place(self) -> None:
        twice = SOURCE + "\n    total = sum(rows)\n"

        with pytest.raises(LostPlaceError, match="2 times"):
            replace("size", "total = sum(rows)", "total = 0", twice)

    def test_of_a_function_inside_is_not_one_of_its_own(self) -> None:
        with pytest.raises(LostPlaceError, match="0 times"):
            replace("size", "return LIMIT", "return 0")

    def test_that_becomes_itself_is_refused(self) -> None:
        with pytest.raises(LostPlaceError, match="already"):
            replace("size", "total = sum(rows)", "total = sum( rows )")


class TestAnExpression:
    def test_is_replaced_inside_its_statement(self) -> None:
        mutated = replace_place(SOURCE, "Window.size", "len(rows) > LIMIT", "True", is_expression=True)

        assert plain(mutated) == plain(SOURCE.replace("len(rows) > LIMIT", "True"))

    def test_that_stands_twice_is_no_place(self) -> None:
        with pytest.raises(LostPlaceError, match="2 times"):
            replace_place(SOURCE, "Window.size", "len(rows)", "0", is_expression=True)


class TestAName:
    EDIT = Edit(module="retrim.core.old", name="size", statement="total = sum(rows)", becomes="total = 0")

    def test_that_only_one_module_has_is_found_wherever_it_moved(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, core__new=SOURCE, core__old="")

        assert self.EDIT.find_file(tree) == "src/retrim/core/new.py"

    def test_that_several_have_is_decided_by_the_module(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, core__new=SOURCE, core__old=SOURCE)

        assert self.EDIT.find_file(tree) == "src/retrim/core/old.py"

    def test_that_several_have_is_decided_by_the_last_part_after_a_move(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, core__new=SOURCE, drift__old=SOURCE)

        assert self.EDIT.find_file(tree) == "src/retrim/drift/old.py"

    def test_that_several_have_is_decided_by_the_statement_last(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, core__new=SOURCE, drift__newer="def size(rows): ...")

        assert self.EDIT.find_file(tree) == "src/retrim/core/new.py"

    def test_that_several_have_is_lost_where_nothing_decides(self, tmp_path: Path) -> None:
        tree = write_tree(tmp_path, core__new=SOURCE, drift__newer=SOURCE)

        with pytest.raises(LostPlaceError, match=r"core/new\.py.*drift/newer\.py; 2 of them"):
            self.EDIT.find_file(tree)

    def test_that_none_has_is_lost(self, tmp_path: Path) -> None:
        with pytest.raises(LostPlaceError, match="size"):
            self.EDIT.find_file(tmp_path)


def test_several_edits_of_one_file_are_all_made(tmp_path: Path) -> None:
    write_tree(tmp_path, one=SOURCE)
    edits = (
        Edit(module="retrim.one", name="LIMIT", statement="LIMIT = 3", becomes="LIMIT = 4"),
        Edit(module="retrim.one", append="X = 1"),
    )

    texts = Mutant("x", edits, "", "").apply(tmp_path)

    assert texts == {"src/retrim/one.py": SOURCE.replace("LIMIT = 3  # rows", "LIMIT = 4") + "\nX = 1\n"}


def test_a_file_that_is_to_be_made_must_not_be_there(tmp_path: Path) -> None:
    write_tree(tmp_path, one=SOURCE)

    with pytest.raises(LostPlaceError, match="already"):
        Mutant("x", (Edit(module="retrim.one", create="X = 1"),), "", "").apply(tmp_path)


def test_an_edit_without_a_place_is_refused_with_the_forms(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("- {mutant: x, edits: [{module: retrim.one, becomes: y}], guard: z}", "utf-8")

    with pytest.raises(ValueError, match=r"^x: .*module, becomes; .*: module, name, statement"):
        read_mutants(tmp_path)
