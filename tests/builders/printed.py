"""What the code prints that a reader may type or set: texts of the source, with the commands and settings they name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer
from pydantic import BaseModel

from retrim.cli.main import app
from retrim.settings import Params, nested_sections
from retrim.stats.plugins import is_setting as stands_in_params

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [*sorted((ROOT / "src" / "retrim").rglob("*.py")), *sorted((ROOT / "flows").rglob("*.py"))]
GAP = "{}"
"""What stands in a text for a value that is not known before it is printed."""
FILES = {"csv", "html", "json", "md", "parquet", "png", "yaml"}
DESCRIBING = ("help", "description")
"""Arguments whose text is a help or an entry of the reference: it says what a thing is and answers nothing."""
CALL = re.compile(r"(?<![\w./-])retrim ((?:--?)?[a-z][^\n`|;&#,:()]*)")
LEADS = re.compile(r"(?:`|: |: |with |first |^|first: )$")
"""What stands before a command where it is not in backticks: so that `this retrim is` names none."""


@dataclass(frozen=True)
class Printed:
    """A text of the source, and where it stands.

    Args:
        file: Of the source.
        line: In it.
        text: With a gap for each value.
        describes: Whether it says in the help or the reference what an argument or a setting is.
    """

    file: str
    line: int
    text: str
    describes: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"

    def calls(self) -> list[list[str]]:
        """Commands of retrim in it, each as its words after `retrim`."""
        found = []
        for match in CALL.finditer(self.text):
            quoted = self.text[: match.start()].count("`") % 2 == 1
            if quoted or LEADS.search(self.text[: match.start()]):
                words = (word.strip("'\".") for word in match[1].split())
                found.append([word for word in words if word])
        return found

    def settings(self) -> list[str]:
        """Keys of params.yaml in it, dotted, as far as they are known before it is printed."""
        sections = "|".join(Params.model_fields)
        found = re.findall(rf"(?<![\w./{{-])((?:{sections})(?:\.[a-z_]+)+)(?![\w/(])", self.text)
        return [key for key in found if not key.endswith("_") and key.rpartition(".")[2] not in FILES]


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def printed() -> tuple[Printed, ...]:
    """Every text of the source that is no docstring."""
    return tuple(
        Printed(path.relative_to(ROOT).as_posix(), line, text, describes)
        for path in SOURCES
        for line, text, describes in _texts(_tree(path))
    )


FAULTS = ("training/groups.py", "table/data.py", "table/granularity.py")
"""Files whose generators and lists of faults become refusals of their section."""


@cache
def refusals() -> tuple[Printed, ...]:
    """Texts with which settings are refused when they are read, of two words or more."""
    found = set()
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        for node in _walk(_tree(path)):
            raised = isinstance(node, ast.Raise) and getattr(getattr(node.exc, "func", None), "id", "") == "ValueError"
            told = isinstance(node, ast.Yield) or getattr(getattr(node, "func", None), "attr", "") == "append"
            if raised or (told and name.endswith(FAULTS)):
                found |= {(name, line, text) for line, text, _ in _texts(ast.Module([ast.Expr(node)], []))}
    return tuple(Printed(*each) for each in sorted(found) if len(each[2].split()) > 1)


def cures() -> list[Printed]:
    """Texts that name a command; no examples below a command's help, and no names of things."""
    return [each for each in printed() if each.calls() and not each.text.startswith(("retrim ", "cd "))]


def to_try() -> list[Printed]:
    """Those of them that tell a reader what to do, so that a test has to try it; not what describes an argument."""
    return [each for each in cures() if not each.describes]


@cache
def commands() -> dict[str, set[str]]:
    """Each command of retrim, groups written out ("batch list --quarantined"), with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        options = {one for taken in getattr(command, "params", []) for one in (*taken.opts, *taken.secondary_opts)}
        if name:
            found[name] = {one for one in options if one.startswith("-")} | {"--help"}
        for own, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(app), "")
    return found


def named(words: list[str]) -> str | None:
    """The command that the words call, or None."""
    return next((name for name in (" ".join(words[:2]), words[0]) if name in commands()), None)


def missing(words: list[str]) -> list[str]:
    """Arguments that a command needs and that a call which has words of its own leaves out; no `...` counts as one."""
    command = typer.main.get_command(app)
    own = list(words)
    while own and hasattr(command, "commands") and own[0] in command.commands:
        command = command.commands[own.pop(0)]
    if not own:  # only named
        return []
    flags = {one for taken in command.params if getattr(taken, "is_flag", False) for one in taken.opts}
    given = 0
    while own:
        word = own.pop(0)
        if not word.startswith("--"):
            given += 1
        elif word not in flags and own:
            own.pop(0)
    needed = [taken for taken in command.params if taken.param_type_name == "argument" and taken.required]
    options = [taken for taken in command.params if taken.param_type_name == "option" and taken.required]
    return [str(taken.name) for taken in needed[given:]] + [
        str(taken.name) for taken in options if not set(taken.opts) & set(words)
    ]


def is_setting(key: str) -> bool:
    """Whether params.yaml has such a key; below a mapping or a list of one's own anything goes."""
    model: object = Params
    for part in key.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return True
        field = model.model_fields.get(part)
        if field is None or not stands_in_params(field):
            return False
        model = (nested_sections(field.annotation) or [field.annotation])[0]
    return True


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it; faster than `ast.walk`, and in another order."""
    left = [node]
    while left:
        node = left.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if value.__class__ is list:
                left += [one for one in value if isinstance(one, ast.AST)]
            elif isinstance(value, ast.AST) and value._fields:  # neither Load nor Add, which stand everywhere
                left.append(value)


def _texts(tree: ast.Module) -> Iterator[tuple[int, str, bool]]:
    known: set[int] = set()
    described: set[int] = set()
    nodes = list(_walk(tree))
    for node in nodes:
        if isinstance(node, ast.Expr):
            known.add(id(node.value))  # a docstring, of a constant too
        if isinstance(node, ast.JoinedStr):
            known |= {id(part) for part in node.values}
        if isinstance(node, ast.keyword) and node.arg in DESCRIBING:
            described.add(id(node.value))
    for node in nodes:
        if id(node) in known:
            continue
        if isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
            yield node.lineno, "".join(parts), id(node) in described
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, id(node) in described
