"""What documents and messages name exists: files, headings, and the commands that a reader is told to type."""

import re
import subprocess
from functools import cache
from pathlib import Path

import typer

from retrim.cli.main import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?[^)]*\)")
HOOK = ROOT / ".ci" / "site.py"
BUILT_PAGE = re.compile(r'^    "(reference/[\w-]+\.md)": ', re.MULTILINE)
BUILT = {ROOT / "docs" / name for name in BUILT_PAGE.findall(HOOK.read_text(encoding="utf-8"))}
"""Pages that the site writes; `make docs` checks the anchors of links to them."""
TARGETS = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def code_in(document: Path) -> str:
    """All that stands in code spans and blocks, a line each."""
    return "\n".join(CODE.findall(document.read_text(encoding="utf-8")))


@cache
def headings_in(document: Path) -> set[str]:
    """The anchors of a document's headings, as a forge makes them."""
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands() -> dict[str, set[str]]:
    """Each command of retrim, groups written out ("batch show"), with its options."""
    found: dict[str, set[str]] = {}

    def walk(command: object, name: str) -> None:
        params = getattr(command, "params", [])
        options = {option for taken in params for option in (*taken.opts, *taken.secondary_opts)}
        if name:
            found[name] = {option for option in options if option.startswith("-")} | {"--help"}
        for word, below in getattr(command, "commands", {}).items():
            walk(below, f"{name} {word}".strip())

    walk(typer.main.get_command(app), "")
    return found


def test_documents_link_to_files_and_headings_that_exist() -> None:
    broken = [
        f"{document.relative_to(ROOT)}: {path}#{heading}"
        for document in DOCS
        for path, heading in LINK.findall(document.read_text(encoding="utf-8"))
        if (target := (document.parent / path).resolve() if path else document) not in BUILT
        and (not target.exists() or (heading and heading not in headings_in(target)))
    ]

    assert broken == []


def test_documents_name_files_of_the_tree_that_exist() -> None:
    named = re.compile(r"(?<![\w/.-])((?:src|flows|docs|tests|bench|expectations|\.ci)/[\w./-]*\w)")
    missing = {(document.name, name) for document in DOCS for name in named.findall(code_in(document))}

    assert {each for each in missing if not (ROOT / each[1]).exists()} == set()


def test_messages_and_settings_name_documents_that_exist() -> None:
    listed = subprocess.run(
        ["git", "grep", "-oE", r"docs/[a-z-]+(/[a-z-]+)*\.md", "--", "src", "flows", "deploy", "data", "*.yaml"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    named = {line.rpartition(":")[2] for line in listed.stdout.splitlines()}

    assert named
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_documents_name_make_targets_that_exist() -> None:
    calls = [
        (document.name, target)
        for document in DOCS
        for call in re.findall(r"(?<![\w-])make((?: [a-z][a-z0-9-]*)+)", code_in(document))
        for target in call.split()
    ]

    assert [each for each in calls if each[1] not in TARGETS] == []


def test_documents_name_commands_and_options_that_exist() -> None:
    known = commands()
    unknown = []
    for document in DOCS:
        for call in re.findall(r"(?<![\w./-])retrim ([a-z][^\n`|;&#]*)", code_in(document)):
            words = call.split()
            name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
            options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", call))
            if name is None or not options <= known[name]:
                unknown.append((document.name, call))

    assert unknown == []
