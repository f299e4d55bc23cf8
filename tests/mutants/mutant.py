"""Mutants: known mistakes, each with the code that it changes and the test that has to notice it."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from retrim.files import load_yaml
from tests.mutants.places import LostPlaceError, find_files, replace_place

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Edit:
    """One change of one file, in one of the forms that `FORMS` lists.

    Attributes:
        module: Dotted name of a module: where the code was seen last.
        name: Qualified name of the function, class or variable; empty: the top level of the module.
        statement: Statements that stand there once; `...` stands for a block as it is.
        expression: Part of a statement that is too long to quote, which stands there once.
        becomes: What stands there in the mutant; empty deletes the statements.
        file: A file that is no Python, edited as text.
        search: Text that stands there once.
        replace: What stands there in the mutant.
        append: Text that goes to the end of a file or module.
        create: Text of a file or module that does not exist.
        times: How often the text is repeated.
    """

    module: str = ""
    name: str = ""
    statement: str | None = None
    expression: str | None = None
    becomes: str = ""
    file: str = ""
    search: str | None = None
    replace: str = ""
    append: str | None = None
    create: str | None = None
    times: int = 1

    def find_file(self, tree: Path) -> str:
        """The file of a tree that it edits.

        Raises:
            LostPlaceError: No file has the place, or several do.
        """
        if self.module and self.create is None:
            files = find_files(tree, self.module, self.name)
            fitting = files if len(files) == 1 else [file for file in files if self._fits(tree / file)]
            if len(fitting) != 1:
                held = f"{len(fitting)} of them hold the place"
                raise LostPlaceError(f"{self.name} (last seen in {self.module}) is in {', '.join(files)}; {held}")
            return fitting[0]
        home = {"retrim": "src/", "retrim_flows": "flows/"}.get(self.module.partition(".")[0], "")
        file = self.file or f"{home}{self.module.replace('.', '/')}.py"
        if (tree / file).exists() == (self.create is not None):
            raise LostPlaceError(f"{file}: {'is there already' if self.create is not None else 'no such file'}")
        return file

    def _fits(self, path: Path) -> bool:
        try:
            self.apply_to(path.read_text(encoding="utf-8"))
        except LostPlaceError:
            return False
        return True

    def apply_to(self, text: str) -> str:
        """The text of its file, mutated.

        Raises:
            LostPlaceError: The place is not there exactly once.
        """
        if self.statement is not None:
            return replace_place(text, self.name, self.statement, self.becomes)
        if self.expression is not None:
            return replace_place(text, self.name, self.expression, self.becomes, is_expression=True)
        if self.search is None:
            return text + f"\n{self.append if self.create is None else self.create}\n" * self.times
        if (count := text.count(self.search)) != 1:
            raise LostPlaceError(f"{self.file} holds {self.search!r} {count} times; exactly once is needed")
        return text.replace(self.search, self.replace)


FORMS = (
    {"module", "name", "statement", "becomes"},
    {"module", "name", "expression", "becomes"},
    {"module", "append", "times"},
    {"module", "create", "times"},
    {"file", "search", "replace"},
    {"file", "append", "times"},
    {"file", "create", "times"},
)
NEEDED = {"module", "statement", "expression", "becomes", "file", "search", "replace", "append", "create"}


@dataclass(frozen=True)
class Mutant:
    """A mistake somebody could make, and the test that has to notice it."""

    title: str
    edits: tuple[Edit, ...]
    guard: str
    says: str

    def matches(self, words: Sequence[str]) -> bool:
        return not words or any(word in f"{self.title} {self.guard} {self.edits}" for word in words)

    def apply(self, tree: Path) -> dict[str, str]:
        """Files of a tree and their mutated text; nothing is written.

        Raises:
            LostPlaceError: A place is not there exactly once: the code has changed.
        """
        texts: dict[str, str] = {}
        for edit in self.edits:
            file = edit.find_file(tree)
            if file not in texts:
                path = tree / file
                texts[file] = path.read_text(encoding="utf-8") if path.exists() else ""
            texts[file] = edit.apply_to(texts[file])
        return texts


@cache
def read_mutants(folder: Path = FOLDER) -> list[Mutant]:
    """All mutants of a folder, by file and in the order they stand there.

    Raises:
        ValueError: An edit has fields that do not belong together.
    """
    entries = [
        entry for path in sorted(folder.glob("*.yaml")) for entry in load_yaml(path.read_text(encoding="utf-8")) or []
    ]
    return [
        Mutant(e["mutant"], tuple(_read_edit(e["mutant"], edit) for edit in e["edits"]), e["guard"], e.get("says", ""))
        for e in entries
    ]


def _read_edit(title: str, edit: dict[str, Any]) -> Edit:
    if not any(form & NEEDED <= set(edit) <= form for form in FORMS):
        order = [field.name for field in fields(Edit)]
        forms = "; ".join(", ".join(name for name in order if name in form) for form in FORMS)
        raise ValueError(f"{title}: an edit has {', '.join(edit) or 'nothing'}; it takes one of these: {forms}")
    return Edit(**edit)
