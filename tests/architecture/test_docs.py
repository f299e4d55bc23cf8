"""What the documents tell a reader to type exists, and what exists is told to the reader."""

import re
from functools import cache
from pathlib import Path

import pytest
import typer

from retrim.cli.main import app
from retrim.onboarding.new import WHAT
from tests.builders.printed import printed
from tests.builders.shipped import whole

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
each_document = pytest.mark.parametrize("document", DOCS, ids=[str(path.relative_to(ROOT)) for path in DOCS])


def code_in(document: Path) -> str:
    """All that stands in code spans and blocks, a line each."""
    return "\n".join(CODE.findall(document.read_text(encoding="utf-8")))


@cache
def headings_in(document: Path) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def targets_in(document: Path) -> set[str]:
    """Targets that a document's code calls: `make check test` calls two."""
    calls = re.findall(r"(?<![\w-])make((?: [a-z][a-z0-9-]*)+)", code_in(document))
    return {target for call in calls for target in call.split()}


@cache
def commands() -> dict[str, set[str]]:
    """Each command of retrim, groups written out ("batch list --quarantined"), with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        options = {
            option for taken in getattr(command, "params", []) for option in (*taken.opts, *taken.secondary_opts)
        }
        inner = getattr(command, "commands", {})
        if name:
            found[name] = {option for option in options if option.startswith("-")} | {"--help"}
        for own, below in inner.items():
            walk(below, f"{name} {own}".strip())

    walk(typer.main.get_command(app), "")
    return found


def typed(document: Path) -> list[tuple[str, list[str]]]:
    """Calls of retrim in a document's code: its line, and the words after `retrim`."""
    calls = re.findall(r"(?<![\w./-])retrim ((?:--?)?[a-z][^\n`|;&#]*)", code_in(document))
    return [(call, call.split()) for call in calls]


def named(words: list[str]) -> str | None:
    """The command that the words call, or None."""
    return next((name for name in (" ".join(words[:2]), words[0]) if name in commands()), None)


BANNED = re.compile(r"\b(a line a model|all the same|so many|as shipped|at hand|is no number|taken in)\b")
"""Phrases that a reader has to read twice, and that plain English says otherwise."""


def banned_in(text: str) -> list[str]:
    return [found[0] for found in BANNED.finditer(" ".join(text.split()))]


@each_document
class TestEveryDocument:
    def test_holds_no_banned_phrase(self, document: Path) -> None:
        assert banned_in(document.read_text(encoding="utf-8")) == []

    def test_names_only_make_targets_that_exist(self, document: Path) -> None:
        assert targets_in(document) <= TARGETS

    def test_names_only_commands_that_exist(self, document: Path) -> None:
        unknown = [
            call for call, words in typed(document) if words[0] not in ("--help", "--version") and named(words) is None
        ]

        assert unknown == []

    def test_names_only_options_that_exist(self, document: Path) -> None:
        unknown = [
            (call, option)
            for call, words in typed(document)
            if (name := named(words))
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", call)
            if option not in commands()[name]
        ]

        assert unknown == []

    def test_links_only_to_files_that_exist(self, document: Path) -> None:
        links = [link for link in LINK.findall(document.read_text(encoding="utf-8")) if "://" not in link]
        broken = [link for link in links if not (document.parent / link).exists()]

        assert broken == []

    def test_links_only_to_headings_that_exist(self, document: Path) -> None:
        links = re.findall(r"\]\(([^)\s#:]*)#([^)\s]+)\)", document.read_text(encoding="utf-8"))
        broken = [
            link for link in links if link[1] not in headings_in(document.parent / link[0] if link[0] else document)
        ]

        assert broken == []

    def test_names_only_files_of_the_tree_that_exist(self, document: Path) -> None:
        named_files = set(
            re.findall(r"(?<![\w/.-])((?:src|flows|docs|tests|bench|expectations|\.ci)/[\w./-]*\w)", code_in(document))
        )
        missing = {name for name in named_files if not (ROOT / name).exists()}

        assert missing == set()


def test_no_text_that_is_printed_holds_a_banned_phrase() -> None:
    assert {f"{each.file}:{each.line}": found for each in printed() if (found := banned_in(each.text))} == {}


def test_every_command_of_retrim_is_documented() -> None:
    told = "\n".join(code_in(document) for document in DOCS)
    untold = {name for name in commands() if not re.search(rf"retrim {re.escape(name)}\b", told)}

    assert untold == set()


def test_what_retrim_new_lays_is_said_alike() -> None:
    told = [document.name for document in DOCS if WHAT in " ".join(document.read_text(encoding="utf-8").split())]

    assert {"README.md", "own-table.md"} <= set(told)
    for document in DOCS:
        assert re.findall(r"laid: .*files", document.read_text(encoding="utf-8")) == []


def test_pages_agree_on_how_large_a_piece_is() -> None:
    shipped = whole()["batches"]["piece_mb"]
    for document in DOCS:
        text = " ".join(document.read_text(encoding="utf-8").split())
        said = re.findall(r"piece_mb`?[^.;|:]{0,40}?\(?(?:by default|of at most)? ?(\d+) MB", text)
        assert set(said) <= {f"{shipped:g}"}, document.name


def test_every_make_target_is_documented() -> None:
    told = {target for document in DOCS for target in targets_in(document)}

    assert TARGETS - told <= {"help"}


def test_every_section_of_params_yaml_is_explained_beside_it() -> None:
    sections = re.findall(r"^(\w+):(.*)$", (ROOT / "params.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    silent = [name for name, rest in sections if "#" not in rest]

    assert silent == []
