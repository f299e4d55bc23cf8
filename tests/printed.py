"""What the code prints that a reader may type or set: texts of the source, with the commands and settings they name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer
from pydantic import BaseModel

from retrim import cli
from retrim.settings import Params

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [*sorted((ROOT / "src" / "retrim").rglob("*.py")), *sorted((ROOT / "flows").glob("*.py"))]
GAP = "{}"
"""What stands in a text for a value that is not known before it is printed."""
FILES = {"csv", "html", "json", "md", "parquet", "png", "yaml"}
CALL = re.compile(r"(?<![\w./-])retrim ((?:--?)?[a-z][^\n`|;&#,:()]*)")
LEADS = re.compile(r"(?:`|: |: |with |first |^|first: )$")
"""What stands before a command where it is not in backticks: so that `this retrim is` names none."""


@dataclass(frozen=True)
class Printed:
    """A text of the source, and where it stands."""

    file: str
    line: int
    text: str

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
def printed() -> tuple[Printed, ...]:
    """Every text of the source that is no docstring."""
    return tuple(
        Printed(path.relative_to(ROOT).as_posix(), line, text)
        for path in SOURCES
        for line, text in _texts(ast.parse(path.read_text(encoding="utf-8")))
    )


@cache
def helps() -> frozenset[tuple[str, int]]:
    """File and line of each text that a command's help, the description of a field or an example below a help is."""
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                given = [one.value for one in node.keywords if one.arg in ("help", "description")]
                given += node.args if getattr(node.func, "id", "") == "example" else []
                found |= {(path.relative_to(ROOT).as_posix(), one.lineno) for one in given}
    return frozenset(found)


def cures() -> list[Printed]:
    """Texts that name a command; no examples below a command's help, and no names of things."""
    return [each for each in printed() if each.calls() and not each.text.startswith(("retrim ", "cd "))]


@cache
def commands() -> dict[str, set[str]]:
    """Each command of retrim, groups written out ("quarantine list"), with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        options = {one for taken in getattr(command, "params", []) for one in (*taken.opts, *taken.secondary_opts)}
        if name:
            found[name] = {one for one in options if one.startswith("-")} | {"--help"}
        for own, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(cli.app), "")
    return found


def named(words: list[str]) -> str | None:
    """The command that the words call, or None."""
    return next((name for name in (" ".join(words[:2]), words[0]) if name in commands()), None)


def missing(words: list[str]) -> list[str]:
    """Arguments that a command needs and that a call which has words of its own leaves out; no `...` counts as one."""
    command = typer.main.get_command(cli.app)
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
        if part not in model.model_fields:
            return False
        model = model.model_fields[part].annotation
    return True


def _texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    known: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            known.add(id(body[0].value))  # a docstring
        if isinstance(node, ast.Expr):
            known.add(id(node.value))  # a docstring of a constant
        if isinstance(node, ast.JoinedStr):
            known |= {id(part) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in known:
            continue
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
