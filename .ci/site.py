"""The hook of mkdocs that writes the reference from the code, each time the site is built; no page of it is in git.

Settings come from their fields, commands from the command line, JSON records from the classes that print them,
plug-ins from their registries, alerts from their kinds. README.md is the first page.
"""

import ast
import importlib
import inspect
import re
import sys
import textwrap
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import TypeAdapter

from retrim import errors
from retrim.cli.main import app
from retrim.decision.alerts import KIND_FACTS
from retrim.decision.triggers import RULES
from retrim.drift.joint import JOINT_TESTS
from retrim.drift.tests import DRIFT_TESTS
from retrim.features import fitted  # noqa: F401  registers the steps
from retrim.features.step import STEPS
from retrim.lineage.settings_list import bounds_said, default_said, fields_within
from retrim.settings import DERIVED, Params, setting_fields
from retrim.stats.metrics import METRICS
from retrim.stats.plugins import SettingsSection
from retrim.training.baseline import BASELINES
from retrim.training.estimators import MODELS

ROOT = Path(__file__).resolve().parents[1]
RECORDS = Path(__file__).with_name("records.yaml")
OUTSIDE = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
GROUPS = ("tutorial", "how-to", "explanation", "reference", "decisions")
JSON_TYPES = {"string": "text", "boolean": "true or false"}
FACTS = {"tasks": "task", "better": "better", "rows": "a loss of each row", "column": "column", "sees": "sees",
         "starts": "may start a run", "takes": "takes"}  # fmt: skip
WITH_ARGUMENTS = ("Metrics", "Drift tests", "Joint drift tests", "Preprocessing steps")  # that a person states
PLUG_INS = {
    "Metrics": (
        "`judge.metrics` may name any, `judge.loss` a per-row loss. `pinball@0.9` passes an argument.",
        METRICS,
    ),
    "Drift tests": ("`drift.tests` names them with their arguments and a threshold.", DRIFT_TESTS),
    "Joint drift tests": ("`drift.tests` names them too; each tests all features together.", JOINT_TESTS),
    "Estimators": ("`train.model` names one. See [models](models.md).", MODELS),
    "Naive baselines": ("`gate.baselines` names them.", BASELINES),
    "Trigger rules": ("`triggers.rules` names them.", RULES),
    "Preprocessing steps": (
        "`prepare.steps` lists them with columns and arguments: [preparing features](../how-to/preparing.md).",
        STEPS,
    ),
}


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown, without columns that are empty in each row."""
    columns = [column for column in zip(heads, *rows, strict=True) if any(column[1:])]
    head, *lines = ([cell.replace("|", "\\|") for cell in line] for line in zip(*columns, strict=True))
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"


def plain(text: str | None) -> str:
    """The first paragraph of a text, on one line."""
    return " ".join(inspect.cleandoc(text or "").partition("\n\n")[0].split())


# --- settings


def settings_page() -> str:
    """A table for each section of params.yaml that has settings."""
    parts = [
        (
            "# Settings\n\nEach setting is a key in `params.yaml`, which lists values that differ from the defaults."
            " `retrim settings` prints the value of each setting and where it was set; `retrim settings KEY=VALUE`"
            " changes one. A default in words follows other settings. A setting without a default is required. `NAME`"
            " stands for a name that you choose or a column, `[]` for each item of a list.\n"
        )
    ]
    for section, section_field in Params.model_fields.items():
        keys = [(key, field) for key, field in setting_fields() if f"{key}.".startswith(f"{section}.")]
        keys = [one for key, field in keys for one in ((key, field), *fields_within(field.annotation, key))]
        rows = [(f"`{key}`", setting_default(key, field), bounds_said(field), str(field.description))
                for key, field in keys]  # fmt: skip
        kind = section_field.annotation
        about = plain(kind.__doc__) if inspect.isclass(kind) and issubclass(kind, SettingsSection) else ""
        if rows:
            parts += [f"## {section}\n", about + "\n", table(("key", "default", "allowed", "what it is"), rows)]
    return "\n".join(parts)


def setting_default(key: str, field: Any) -> str:
    default = default_said(key, field)
    return f"`{default}`" if default and key not in DERIVED else default


# --- commands and their records


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words, and groups that do something by themselves."""

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        subcommands = getattr(command, "commands", {})
        if name and (not subcommands or command.invoke_without_command):
            yield name, command
        for word, subcommand in subcommands.items():
            yield from walk(subcommand, f"{name} {word}".strip())

    yield from sorted(walk(typer.main.get_command(app), ""))


def records() -> dict[str, dict[str, Any]]:
    """What each command prints with --json, from records.yaml: its class, and what the class does not say."""
    listed = yaml.safe_load(RECORDS.read_text(encoding="utf-8"))
    return {title: {"source": entry} if isinstance(entry, str) else entry for title, entry in listed.items()}


def anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def parameter_row(parameter: Any) -> tuple[str, str, str]:
    """An argument or option: how it is written, its default, its help."""
    option = parameter.opts[0] if parameter.opts[0].startswith("-") else ""
    metavar = parameter.metavar or ("" if getattr(parameter, "is_flag", False) else parameter.name.upper())
    default = parameter.default
    shown = "" if callable(default) or default in (None, False, "", ()) else f"`{default}`"
    return f"`{f'{option} {metavar}'.strip()}`", "required" if parameter.required else shown, str(parameter.help)


def command_section(name: str, command: Any) -> str:
    """What a command does, its arguments and options, an example, and its record."""
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(command.help or "").split("\n\n")]
    parameters = [each for each in command.params if not {"--json", "--help"} & set(each.opts)]
    parts = [f"## retrim {name}", *paragraphs]
    parts += (
        [table(("argument or option", "default", "what it is"), map(parameter_row, parameters))] if parameters else []
    )
    example = re.sub(r"\[/?(?:bold)?\]", "", command.epilog or "").partition(": ")[2]
    parts += [f"For example: `{example}`"] if example else []
    printed = [title for title in records() if re.match(rf"retrim {name}( --| [A-Z]|$)", title)]
    if any("--json" in parameter.opts for parameter in command.params):
        links = ", ".join(f"[{title.removeprefix('retrim ')}](records.md#{anchor(title)})" for title in printed)
        parts += [f"`--json` prints: {links}."]
    return "\n\n".join(parts) + "\n"


def commands_page() -> str:
    """Every command of retrim."""
    return (
        "# Commands\n\n`retrim` works in the workspace of the current folder: the nearest parent folder with a "
        "`params.yaml` and a `dvc.yaml`.\n\n"
        "- A `TIME` is ISO 8601, such as `2012-05-01` or `2012-05-01T12:00`. It is UTC unless it states a zone.\n"
        "- A `SPAN` is a number with a unit, such as `1h` or `14D`.\n"
        "- `--json` prints one JSON document on standard output: [records](records.md).\n"
        "- An error is one line on standard error: what was found, what is allowed, what to do. The "
        "[exit code](alerts.md#exit-codes) says what kind it is.\n"
        "- `demo`, `check` and `retrain` run flows. They use the running Prefect server, or start one under `var/` "
        "and stop it at the end.\n\n"
    ) + "\n".join(command_section(name, command) for name, command in commands())


def argument_texts(kind: Any) -> dict[str, str]:
    """What a docstring says of each field of its class."""
    members = (*getattr(kind, "__mro__", [kind]), getattr(kind, "as_record", None))
    docstrings = (inspect.cleandoc(member.__doc__ or "") for member in members)
    sections = re.finditer(r"^(?:Args|Returns):\n((?:    .*\n|\n)+)", "\n\n".join(docstrings) + "\n", re.MULTILINE)
    text = "".join(textwrap.dedent(section[1]) for section in sections)
    return {
        entry[1]: " ".join(entry[2].split()) for entry in re.finditer(r"^(\w+): (.*(?:\n +.*)*)", text, re.MULTILINE)
    }


def type_of(schema: Mapping[str, Any]) -> str:
    """The type of a JSON schema, in words; a record within is a link."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(filter(None, map(type_of, schema["anyOf"]))))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}".removesuffix(" of ")
    return JSON_TYPES.get(schema.get("type", ""), schema.get("type", ""))


def record_table(properties: Mapping[str, Any], texts: Mapping[str, str]) -> str:
    """The keys of a record, from the properties of its schema."""
    rows = [(f"`{key}`", type_of(held), re.sub(r"\bNone\b", "null", texts.get(key) or plain(held.get("description"))))
            for key, held in properties.items()]  # fmt: skip
    return table(("key", "type", "what it is"), rows) if rows else ""


def literal_keys(function: Callable[..., Any]) -> dict[str, Any]:
    """The keys of the dictionaries that a method writes out, as properties of a schema; not those within another."""
    queue: list[ast.AST] = [ast.parse(textwrap.dedent(inspect.getsource(function)))]
    keys: dict[str, Any] = {}
    while queue:
        node = queue.pop(0)
        if isinstance(node, ast.Dict):
            keys |= {str(key.value): {} for key in node.keys if isinstance(key, ast.Constant)}
        else:
            queue += ast.iter_child_nodes(node)
    return keys


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of what a class writes, by the codec or by its own `as_record`."""
    if hasattr(kind, "as_record"):
        own = "to_record(self)" in inspect.getsource(kind.as_record)
        schema = coded_schema(kind) if own else {"properties": {}}
        return {**schema, "properties": {**literal_keys(kind.as_record), **schema["properties"]}}
    return coded_schema(kind)


def coded_schema(kind: Any) -> dict[str, Any]:
    """The JSON schema of what the codec writes of a class; one that holds itself stands among its own definitions."""
    schema = TypeAdapter(kind).json_schema(mode="serialization")
    return {**schema["$defs"][kind.__name__], "$defs": schema["$defs"]} if "$ref" in schema else schema


def record_of(source: str) -> Any:
    """The class that `module:name` says."""
    module, _, name = source.partition(":")
    return getattr(importlib.import_module(module), name)


def records_page() -> str:
    """What each command prints with --json, and the records within."""
    parts = ["# Records\n\n`--json` prints one JSON document. Times are ISO 8601 in UTC.\n"]
    within: dict[str, Any] = {}
    first: dict[str, str] = {}
    for title, entry in records().items():
        source, form = entry.get("source", ""), entry.get("form", "")
        more = {key: text for keys, text in entry.get("more", {}).items() for key in keys.split(", ")}
        before = first.setdefault(source, title) if source else title
        parts.append(f"## {title}\n")
        if before != title and not more:
            parts.append(f"{form} The keys of [{before}](#{anchor(before)}).\n".lstrip())
            continue
        sources = [record_of(each) for each in (source, entry.get("with", "")) if each]
        schemas = [schema_of(kind) for kind in sources]
        texts = {key: text for kind in sources for key, text in argument_texts(kind).items()} | more
        properties = {key: held for schema in schemas for key, held in schema["properties"].items()}
        within |= {name: held for schema in schemas for name, held in schema.get("$defs", {}).items()}
        parts += [f"{form}\n", record_table({**{key: {} for key in more}, **properties}, texts)]
    loaded = [module for name, module in sys.modules.items() if name.startswith("retrim")]
    kinds = {kind.__name__: kind for module in loaded for kind in vars(module).values()
             if is_dataclass(kind) and inspect.isclass(kind)}  # fmt: skip
    parts.append("## Records within records\n")
    for name, schema in within.items():
        kind = kinds.get(name)
        choice = type_of(schema) if "enum" in schema else ""
        parts += [
            f"### {name}\n",
            f"{plain(kind.__doc__) if kind else choice}\n",
            record_table(schema.get("properties", {}), argument_texts(kind)),
        ]
    return "\n".join(parts)


# --- plug-ins and alerts


def hint_text(hint: Any) -> str:
    """Type and bounds of an argument."""
    schema = TypeAdapter(hint).json_schema()
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    return ", ".join([type_of(schema), *(f"{word} {schema[key]:g}" for key, word in words.items() if key in schema)])


def plug_in_row(entry: Any, *, with_arguments: bool) -> dict[str, str]:
    """A plug-in: its facts, its arguments and what it does."""
    value = entry.value
    facts = {name: entry.facts.get(name, getattr(value, name, "")) for name in FACTS}
    said = {FACTS[name]: {True: "yes", False: "no"}[fact] if isinstance(fact, bool) else
            ", ".join(fact) if isinstance(fact, tuple) else str(fact) for name, fact in facts.items()}  # fmt: skip
    call = getattr(value, "learn", value if inspect.isfunction(value) else None)
    arguments = ""
    if call is not None and with_arguments:
        hints = typing.get_type_hints(call, include_extras=True)
        names = [one.name for one in inspect.signature(call).parameters.values() if one.kind is one.KEYWORD_ONLY]
        arguments = "; ".join(f"`{name}` {hint_text(hints[name])}" for name in names if name != "seed")
    about = plain((value if inspect.isfunction(value) or inspect.isclass(value) else type(value)).__doc__)
    return {"name": f"`{entry.name}`", **said, "arguments": arguments, "what it does": about}


def plug_ins_page() -> str:
    """The tables of the plug-ins that a setting may name."""
    parts = ["# Plug-ins\n\nWhat a setting may name. [How to add one](../how-to/adding.md).\n"]
    for title, (about, registry) in PLUG_INS.items():
        rows = [plug_in_row(entry, with_arguments=title in WITH_ARGUMENTS) for entry in registry]
        parts += [f"## {title}\n", f"{about}\n", table(rows[0], (row.values() for row in rows))]
    return "\n".join(parts)


def alerts_page() -> str:
    """Exit codes, and what people are told of."""
    kinds = (errors.RefusedError, errors.BadInputError, errors.RetrimError)
    codes = [("0", "Done."), *((str(kind.exit_code), plain(kind.__doc__)) for kind in kinds)]
    rows = [
        (str(kind), str(facts.severity), facts.to_do, " or ".join(f"`retrim {call}`" for call in facts.commands),
         "until it is answered" if facts.lasts else "once")
        for kind, facts in KIND_FACTS.items()
    ]  # fmt: skip
    return (
        f"# Exit codes and alerts\n\n## Exit codes\n\n{table(('exit code', 'means'), codes)}\n## Alerts\n\n"
        "[How to get them](../how-to/alerts.md). `{about}` is a version, a batch or a flow.\n\n"
        + table(("alert", "severity", "what to do", "command", "told"), rows)
    )


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/settings.md": settings_page,
    "reference/command-line.md": commands_page,
    "reference/records.md": records_page,
    "reference/plug-ins.md": plug_ins_page,
    "reference/alerts.md": alerts_page,
}


# --- what mkdocs calls


def title_in(text: str) -> str:
    """The first heading of a page."""
    return next(line for line in text.splitlines() if line.startswith("# "))[2:]


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in docs, and lists each folder in the navigation."""
    from mkdocs.structure.files import File

    texts = {name: page() for name, page in PAGES.items()}
    for name, outside in OUTSIDE.items():
        text = (ROOT / outside).read_text(encoding="utf-8").replace("](docs/", "](")
        for target, source in OUTSIDE.items():
            text = text.replace(f"]({source}", f"]({target}")
        texts[name] = text
    for name, text in texts.items():
        files.append(File.generated(config, name, content=text))
    pages = sorted(file.src_uri for file in files.documentation_pages())
    grouped = {group: [page for page in pages if page.startswith(f"{group}/")] for group in GROUPS}
    top = [page for page in pages if "/" not in page and page not in OUTSIDE]
    config["nav"] = ["index.md", *top, *({group.capitalize(): pages} for group, pages in grouped.items() if pages),
                     *(page for page in OUTSIDE if page != "index.md")]  # fmt: skip
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links from docs to the files beside it lead to their pages."""
    up = "../" * page.file.src_uri.count("/")
    for target, source in OUTSIDE.items():
        markdown = markdown.replace(f"]({up}../{source}", f"]({up}{target}")
    return markdown
