"""Writes the pages under docs that say what the code says; with --check says which are out of date.

Settings from their fields, commands from the command line, JSON records from the classes that print them, plug-ins
from their tables. A page is changed by changing the field, the help text or the docstring.
"""

import ast
import importlib
import inspect
import json
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic.fields import ComputedFieldInfo, FieldInfo

from retrim import errors
from retrim.drift.profile import ProfileParams
from retrim.drift.slices import SliceParams
from retrim.gate.agreement import AgreementParams
from retrim.settings import (
    DERIVED,
    Params,
    bounds_said,
    default_said,
    fields_within,
    nested_sections,
    plain_default,
    setting_fields,
)
from retrim.stats.plugins import FOLLOWS_SEED, SettingsSection

DOCS = Path(__file__).resolve().parents[1] / "docs"
MADE = "Written by `.ci/reference.py` from the code. Change the code, then run the script."


def table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table of Markdown."""
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)]


def plain(text: str) -> str:
    """A text on one line."""
    return " ".join(text.split())


# --- settings

SETTINGS_HEAD = f"""# Settings

Each setting is a key in `params.yaml`. That file describes the table and lists the values that differ from these
defaults. `retrim settings` prints the value of each setting and where it was set; `retrim settings KEY=VALUE`
changes one.

If a default is in words, it follows other settings. A setting without a default is required. In a key, `NAME` stands
for a name that you choose or a column, and `[]` for each item of a list. The settings of a run are
stored in `data/settings.json` of its commit and in its bundle, so a new default does not change old versions.
[Kept, derived, fixed](../explanation/settings.md) says why each is a setting.

{MADE}
"""


def settings_page() -> str:
    """The page: a table for each section that has settings."""
    lines = [SETTINGS_HEAD]
    for section, own in Params.model_fields.items():
        keys = [(key, each) for key, each in setting_fields() if f"{key}.".startswith(f"{section}.")]
        if not keys:
            continue
        kind = own.annotation
        lines += [f"## {section}", ""]
        if inspect.isclass(kind) and issubclass(kind, SettingsSection):
            lines += [str(kind.__doc__).partition("\n")[0], ""]
        keys = [one for key, each in keys for one in ((key, each), *fields_within(each.annotation, key))]
        rows = [(f"`{key}`", default_shown(key, each), bounds_said(each), str(each.description)) for key, each in keys]
        lines += [*table(("key", "default", "allowed", "what it is"), rows), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def default_shown(key: str, each: FieldInfo) -> str:
    default = default_said(key, each)
    return f"`{default}`" if default and key not in DERIVED else default


BEFORE = 216
"""Settings that there were before any was fixed, counted as today."""
KEPT = {
    "data": "the table, which only you know",
    "reading": "how the cells of a file are read",
    "batches": "what is inspected, and the memory that a file may take",
    "prepare": "the preprocessing that a table needs",
    "leaks": "what a person knows about a column",
    "split": "how many rows evaluate; `init` measures it",
    "judge": "what an error costs, and how long errors stay correlated",
    "tune": "how long a search may take, and what it searches",
    "train": "the model, its rows, and what competes",
    "backtest": "how long a backtest may take",
    "gate": "what a gain is worth, and the limits of an application",
    "fairness": "groups and limits of an application",
    "decide": "what each kind of error costs",
    "probe": "what a probe may cost",
    "gain": "what a retraining costs, and how many rows a check has",
    "drift": "which tests run, and how many false alarms a team accepts",
    "triggers": "who or what starts a retraining, and its guards",
    "card": "facts that only a person knows",
    "previous_champions": "whether an earlier champion may come back",
    "probation": "how long a promotion is watched",
    "retrain": "the mode, and the time that a run may take",
    "release": "the limits of the machine that serves, and who approves",
    "schedule": "when each part runs",
    "alerts": "how often people get messages, and when not",
    "seed": "one number for every random draw",
}
"""Why somebody sets what is left, by section."""
ARGUMENTS = (SliceParams, ProfileParams, AgreementParams)
"""Arguments of the code that were sections of params.yaml."""


def why_page() -> str:
    """The page that says which values are settings, which follow others, and which are fixed."""
    keys = [key for key, _ in setting_fields()]
    assert {key.partition(".")[0] for key in keys} == set(KEPT)
    fixed = [*_fixed(Params), *((f"`{kind.__name__}.{key}`", each) for kind in ARGUMENTS for key, each in _own(kind))]
    lines = [
        "# Settings: kept, derived, fixed",
        "",
        f"Of {BEFORE} settings, {len(keys)} are left. All have a default except those that describe the table. A",
        "setting is a value that you may set in `params.yaml`; a section that is off by default counts as one",
        "(`setting_fields` in `src/retrim/settings.py`).",
        "",
        "## Kept",
        "",
        "A setting is kept if its best value depends on the table, the application or the machine. See",
        "[each key](../reference/settings.md).",
        "",
        "| section | settings | why |",
        "|---|---|---|",
        *(f"| `{name}` | {sum(f'{key}.'.startswith(f'{name}.') for key in keys)} | {why} |"
          for name, why in KEPT.items()),
        "",
        "## Derived",
        "",
        "These defaults follow another setting. If the last column says *yes*, you may set another value.",
        "",
        "| value | follows | a setting |",
        "|---|---|---|",
        *(f"| `{key}` | {derived.said} | {'yes' if key in keys else 'no'} |" for key, derived in DERIVED.items()),
        *(f"| `{key}` | `seed`, as it is | no |" for key in _marked(Params, FOLLOWS_SEED)),
        "",
        "Each section uses the number `seed` itself: each draw has its own data and its own generator.",
        "",
        "## Fixed",
        "",
        f"{len(fixed)} values that nobody should change. retrim refuses a `params.yaml` that changes one.",
        "They are part of the code, which each version pins.",
        "",
        "| value | is | what it is, and why it is fixed |",
        "|---|---|---|",
        *(f"| {key} | `{json.dumps(plain_default(each), ensure_ascii=False)}` | {each.description} |"
          for key, each in fixed),
        "",
        MADE,
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _fixed(kind: type[SettingsSection], place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, each in kind.model_fields.items():
        below = nested_sections(each.annotation)
        if each.exclude and not below:
            yield f"`{place}{name}`", each
        for inner in below:
            yield from _fixed(inner, f"{place}{name}.")


def _own(kind: type[SettingsSection]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, each) for name, each in kind.model_fields.items() if name != "seed")


def _marked(kind: type[SettingsSection], mark: object, place: str = "") -> Iterator[str]:
    for name, each in kind.model_fields.items():
        if mark in each.metadata:
            yield f"{place}{name}"
        for below in nested_sections(each.annotation):
            yield from _marked(below, mark, f"{place}{name}.")


# --- commands

COMMANDS = f"""# Commands

`retrim` works in the workspace of the current folder: the nearest parent folder with a `params.yaml` and a
`dvc.yaml`.

- A `TIME` is ISO 8601, such as `2012-05-01` or `2012-05-01T12:00`. It is UTC unless it states a zone.
- A `SPAN` is a number with a unit, such as `1h` or `14D`.
- `--json` prints one JSON document on standard output: [records](records.md).
- An error is one line on standard error: what was found, what is allowed, what to do.
- `demo`, `check` and `retrain` run flows. They use the running Prefect server, or start one
  under `var/` and stop it at the end.

{MADE}
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by its words, groups that do something by themselves included."""
    from retrim.cli.main import app

    def walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", {})
        if name and (not below or command.invoke_without_command):
            yield name, command
        for own, inner in below.items():
            yield from walk(inner, f"{name} {own}".strip())

    yield from sorted(walk(typer.main.get_command(app), ""))


def command_lines(name: str, command: Any) -> list[str]:
    """The section of a command: what it does, its arguments and options, an example, its record."""
    head, _, rest = inspect.cleandoc(command.help or "").partition("\n\n")
    lines = [f"## retrim {name}", "", plain(head), ""]
    lines += [plain(rest), ""] if rest else []
    rows = []
    for taken in command.params:
        if "--json" in taken.opts or "--help" in taken.opts:
            continue
        shown = taken.opts[0] if taken.opts[0].startswith("-") else ""
        metavar = taken.metavar or ("" if getattr(taken, "is_flag", False) else taken.name.upper())
        default = taken.default
        said = "" if callable(default) or default in (None, False, "", ()) else f"`{default}`"
        said = "required" if taken.required else said
        rows.append((f"`{f'{shown} {metavar}'.strip()}`", said, str(taken.help)))
    lines += [*table(("argument or option", "default", "what it is"), rows), ""] if rows else []
    example = re.sub(r"\[/?(?:bold)?\]", "", command.epilog or "").partition(": ")[2]
    lines += [f"For example: `{example}`", ""] if example else []
    printed = [each.title for each in RECORDS if re.match(rf"retrim {name}( --|$)", each.title)]
    if any("--json" in taken.opts for taken in command.params):
        assert printed, f"{name} prints a record that RECORDS does not name"
        links = ", ".join(f"[{title.removeprefix('retrim ')}](records.md#{anchor(title)})" for title in printed)
        lines += [f"`--json` prints: {links}.", ""]
    return lines


def anchor(title: str) -> str:
    """What a heading is linked by."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def commands_page() -> str:
    codes = {kind.exit_code: kind for kind in (errors.RetrimError, errors.BadInputError, errors.RefusedError)}
    rows = [("0", "Done.")]
    rows += [(str(code), plain(str(kind.__doc__))) for code, kind in sorted(codes.items())]
    lines = [COMMANDS, *table(("exit code", "means"), rows), ""]
    for name, command in commands():
        lines += command_lines(name, command)
    return "\n".join(lines).rstrip("\n") + "\n"


# --- records

RECORDS_HEAD = f"""# Records

`--json` prints one JSON document. The keys listed here keep their meaning; later releases may add others.
Times are ISO 8601 in UTC.

{MADE}
"""


@dataclass(frozen=True)
class Printed:
    """A record that a command prints.

    Args:
        title: The command, and others that print the same.
        source: The class whose `as_record` makes it, or the function that gives it.
        form: What surrounds it, such as "A list of these."
        more: Keys that no literal of the source shows, and what they hold.
    """

    title: str
    source: str
    form: str = ""
    more: Mapping[str, str] = field(default_factory=dict)


LIST = "A list of these."
COUNTED = "`rows`, `counted`, `waiting`, `exempt`, `missing`, `double`, `holds`."
RECORDS = (
    Printed(
        "retrim check",
        "retrim.checking.check:CheckOutcome",
        "Under `check`. Next to it: `run`, as printed by `retrim retrain`, or null; and "
        "`resumed`, a list of [runs](#run).",
    ),
    Printed(
        "retrim retrain",
        "retrim.decision.history:RunOutcome",
        more={"resumed": "Killed runs that were finished first: a list of [runs](#run)."},
    ),
    Printed("retrim status", "retrim.cli.answers:StatusAnswer"),
    Printed("retrim status --all", "retrim.reports.health:ModelPlace", "Under `models`, a list of these."),
    Printed("retrim why", "retrim.cli.answers:DecisionAnswer"),
    Printed("run", "retrim.cli.answers:RunFacts", "In `retrim why`, `retrim status`, `resumed`."),
    Printed("retrim pause", "retrim.decision.rules:Paused", "Under `paused`."),
    Printed("retrim resume", "retrim.decision.rules:Paused", "Under `ended`."),
    Printed("retrim backup", "retrim.operations.backup_record:BackupMade"),
    Printed("retrim restore", "retrim.operations.backup_record:BackupRestored"),
    Printed(
        "retrim restore --list", "retrim.operations.backup_record:BackupListed", "Under `backups`, a list of these."
    ),
    Printed("retrim predict", "retrim.checking.score:ScoringResult", "Without IN."),
    Printed("retrim predict --show", "retrim.lineage.prediction_log:StoredPrediction", "A list of these."),
    Printed("retrim predict IN OUT", "retrim.serving.predict:PredictedRows"),
    Printed(
        "retrim ingest",
        "retrim.landing.ingest:Landed",
        "For a large file: `outcome`, `digest` and `batches`, a list of these. Only that list has `of`, `piece`, "
        "`pieces` and `first_row`.",
    ),
    Printed("retrim batch release", "retrim.landing.ingest:Landed"),
    Printed("retrim batch list --quarantined", "retrim.landing.quarantine:QuarantinedBatch", LIST),
    Printed(
        "retrim batch list",
        "retrim.reading.landed:BatchFile",
        LIST,
        {"withdrawn": "Who withdrew it, when and why; null if nobody did."},
    ),
    Printed(
        "retrim batch show",
        "retrim.reading.landed:BatchFile",
        "For a batch in quarantine: the keys of `retrim batch list --quarantined`.",
        {
            "withdrawn": "Who withdrew it, when and why; null if nobody did.",
            "columns": "Type of each column.",
            "versions": "Versions that were made with it.",
        },
    ),
    Printed(
        "retrim batch withdraw",
        "retrim.landing.ingest:WithdrawalResult",
        more={"outcome": "`withdrawn`; `already`: it had been withdrawn before."},
    ),
    Printed(
        "retrim batch redate",
        "retrim.landing.clock_repair:Repair",
        more={
            "done": "Whether the dates were changed; false if the change was only planned.",
            "moves": "Dates that change.",
            "stays": "Why a date stays in the future, one sentence each.",
        },
    ),
    Printed("retrim versions", "retrim.cli.answers:VersionAnswer", LIST),
    Printed("retrim versions rollback", "retrim.release.versions:LiveVersion"),
    Printed("retrim versions approve", "retrim.decision.stored_rows:ApprovalAnswer"),
    Printed("retrim versions canary", "retrim.decision.canary:Canary"),
    Printed("retrim versions reject", "retrim.decision.stored_rows:ApprovalAnswer"),
    Printed(
        "retrim versions diff",
        "retrim.card.diff:VersionDiff",
    ),
    Printed("retrim versions explain", "retrim.reports.explain:ExplainedRow"),
    Printed("retrim versions export", "retrim.retraining.exchange:ExportedVersion"),
    Printed("retrim versions import", "retrim.retraining.exchange:ImportedVersion"),
    Printed("retrim versions log", "retrim.release.versions:LoggedMove", LIST),
    Printed("retrim versions log --verify", "retrim.release.versions:VerifiedLog"),
    Printed(
        "retrim versions export --key",
        "retrim.cli.versions:export",
        more={
            "public": "The public key.",
            "fingerprint": "SHA-256 of the key.",
        },
    ),
    Printed("retrim versions reproduce", "retrim.retraining.reproduce:RebuildResult"),
    Printed(
        "retrim versions reproduce --prove",
        "retrim.retraining.reproduce:RebuildProof",
        more={
            "largest_difference": "Largest difference between predictions on the holdout rows; null if not known.",
            "ancestors": "With `--chain`: the earlier champions that were proved first, each with these keys.",
        },
    ),
    Printed("retrim policy acknowledge", "retrim.checking.holds:AcknowledgedHold"),
    Printed("retrim policy cost", "retrim.decision.accumulated_gain:RetrainingCost"),
    Printed("retrim policy backtest", "retrim.reports.policy:BacktestResult"),
    Printed(
        "policy",
        "retrim.reports.policy:PolicyFacts",
        "Under `policies` of `retrim policy backtest`, a list of these.",
    ),
    Printed(
        "retrim policy backtest --with",
        "retrim.reports.changed_settings:RefitComparison",
        "For settings that change a fit. For others: `current` and `changed`, each as printed by `retrim policy "
        "backtest`.",
    ),
    Printed("retrim policy backtest --base", "retrim.card.change:ChangeReview"),
    Printed(
        "retrim settings",
        "retrim.lineage.settings_file:EffectiveSetting",
        LIST,
        {"set_in": "`default`, or the file and line that sets it."},
    ),
    Printed(
        "retrim settings KEY=VALUE",
        "retrim.cli.policy:settings",
        more={"changes": "By key: the old and the new value."},
    ),
    Printed(
        "retrim batch audit",
        "retrim.checking.audit:Audit",
        more={"holds": "Whether everything balances.", "tested, measured, deposited": COUNTED},
    ),
    Printed(
        "retrim versions gc",
        "retrim.retraining.gc:Pruned",
        more={"freed": "Bytes freed.", "removed": "What was or would be removed.", "kept": "What is kept."},
    ),
    Printed(
        "retrim versions run-directory",
        "retrim.retraining.run_directory:RunDirectory",
        more={
            "folder": "Path of the run directory.",
            "snapshot": "Commit that it was made from.",
            "untracked": "Copied files that git does not track.",
            "champion": "The version that was live on its as-of date.",
        },
    ),
    Printed("retrim new", "retrim.onboarding.new:NewWorkspace"),
    Printed("retrim upgrade", "retrim.onboarding.new:Upgrade"),
    Printed("retrim versions reproduce --environment", "retrim.retraining.reproduce:BuiltEnvironment"),
    Printed("retrim alerts", "retrim.cli.answers:ToldAlert", "Under `alerts`, a list of these."),
    Printed("retrim token list", "retrim.lineage.tokens:Token", "Under `tokens`, a list of these."),
    Printed("retrim alerts --test, --send", "retrim.alerting.telling:Sending", "Under `sent`, a list of these."),
    Printed("retrim policy acknowledge KIND", "retrim.decision.check_record:AcknowledgedKind"),
    Printed("retrim status --check", "retrim.reports.health:Health"),
    Printed("retrim doctor", "retrim.operations.doctor:Diagnosis", "Under `workspaces`, a list of these."),
    Printed("retrim up --show", "retrim.operations.supervise:PartSeen", "Under `parts`, a list of these."),
    Printed(
        "retrim init",
        "retrim.onboarding.init:InspectedTable",
        more={"written": "The written files, the landed rows and the commit."},
    ),
    Printed(
        "retrim profile",
        "retrim.profile.whole:TableProfile",
        more={"findings": "Findings, the most severe first."},
    ),
    Printed(
        "retrim demo",
        "retrim.cli.screens:show_demo",
        more={
            "beats": "For each check: date, rows, check, run, live version and mean losses.",
            "summary": "Mean losses, costs, number of retrainings, and the file of the chart.",
        },
    ),
)


@dataclass(frozen=True)
class Key:
    """A key of a record: its type and what it holds, as far as the code says."""

    name: str
    kind: str
    text: str


def documented(doc: str | None, *parts: str) -> dict[str, str]:
    """Entries of a docstring's sections: names and what they are."""
    found: dict[str, str] = {}
    for part in parts:
        section = re.search(rf"^{part}:\n((?:    .*\n|\n)+)", inspect.cleandoc(doc or "") + "\n", re.MULTILINE)
        text = textwrap.dedent(section[1]) if section else ""
        for entry in re.finditer(r"^(\w+(?:, \w+)*): (.*(?:\n +.*)*)", text, re.MULTILINE):
            found.update(dict.fromkeys(entry[1].split(", "), plain(entry[2])))
    return found


def is_record(hint: Any) -> bool:
    """Whether a type is a class that is printed as an object: by its `as_record`, or by the codec."""
    return inspect.isclass(hint) and (hasattr(hint, "as_record") or (is_dataclass(hint) and hint in CODED))


def written_names(owner: type) -> list[str]:
    """The keys that the codec writes of a class: its fields, and the properties that are `written`."""
    hints = typing.get_type_hints(owner, include_extras=True)
    hidden = {
        name
        for name, hint in hints.items()
        if any(isinstance(fact, FieldInfo) and fact.exclude for fact in typing.get_args(hint))
    }
    members = {name: member for kind in reversed(owner.__mro__) for name, member in vars(kind).items()}
    kept = [each.name for each in fields(owner) if each.name not in hidden]
    return kept + [name for name, member in members.items() if is_written(member)]


def is_written(member: Any) -> bool:
    """Whether a member of a class is a property that the codec writes."""
    return isinstance(getattr(member, "decorator_info", None), ComputedFieldInfo)


def nested(hint: Any) -> Iterator[type]:
    """Classes within a type that have a record of their own."""
    for each in (hint, *typing.get_args(hint)):
        if is_record(each):
            yield each
        elif each is not hint:
            yield from nested(each)


CODED: set[type] = set()
"""Dataclasses within the records that the codec writes."""


def dataclasses_in(hint: Any) -> Iterator[type]:
    """Dataclasses that a type names."""
    if inspect.isclass(hint) and is_dataclass(hint):
        yield hint
    for each in typing.get_args(hint):
        yield from dataclasses_in(each)


NAMES = {str: "text", int: "integer", float: "number", bool: "true or false", Path: "text", type(None): "null"}


def type_said(hint: Any) -> str:
    """A type of Python as one of JSON."""
    hint = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
    origin, within = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return ", ".join(f"`{each}`" for each in within)
    if origin in (typing.Union, types.UnionType):
        said = [type_said(each) for each in within]
        return " or ".join(dict.fromkeys(said)) if all(said) else ""
    if is_record(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        each = type_said(within[0]) if within else ""
        return f"list of {each}" if each else "list"
    if origin is dict or getattr(origin, "__name__", "") == "Mapping":
        return "object"
    if getattr(hint, "__name__", "") == "Timestamp":
        return "time"
    return NAMES.get(hint, "")


AS_IT_IS = ("str", "list", "dict", "iso", "to_record")


def attribute(value: ast.expr) -> list[str]:
    """The path of the one attribute of `self` that a value shows, as it is or as a list of it; else none."""
    tests = (ast.Compare, ast.BinOp, ast.GeneratorExp, ast.Subscript)
    if any(isinstance(each, tests) for each in ast.walk(value)) and not isinstance(value, ast.IfExp):
        return []
    if isinstance(value, ast.IfExp):
        value = value.orelse if isinstance(value.body, ast.Constant) else value.body
        if isinstance(value, ast.Constant):
            return []
    if isinstance(value, ast.ListComp):
        return attribute(value.generators[0].iter)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and not value.args:
        return attribute(value.func.value)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in AS_IT_IS:
        return attribute(value.args[0])
    path: list[str] = []
    while isinstance(value, ast.Attribute):
        path, value = [value.attr, *path], value.value
    return path if path and isinstance(value, ast.Name) and value.id == "self" else []


def told_of(owner: type, path: list[str]) -> tuple[Any, str]:
    """Type and text of an attribute, from the class that has it."""
    name, *below = path
    member = inspect.getattr_static(owner, name, None)
    member = member.wrapped if is_written(member) else member
    if isinstance(member, property):
        hint = typing.get_type_hints(member.fget).get("return")
        text = plain((member.fget.__doc__ or "").partition("\n\n")[0])
    else:
        hint = typing.get_type_hints(owner, localns={"Any": Any}).get(name)
        told = (documented(kind.__doc__, "Args", "Attributes") for kind in owner.__mro__)
        text = next((texts[name] for texts in told if name in texts), "")
    return told_of(hint, below) if below and inspect.isclass(hint) else ((None, "") if below else (hint, text))


def entries(value: ast.expr | None, function: ast.FunctionDef, owner: type | None) -> Iterator[Key | type]:
    """Keys that a returned value has, and the classes of the records within it."""
    parts: list[ast.expr | None] = []
    if isinstance(value, ast.Dict):
        yield from dict_entries(value, function, owner)
    elif isinstance(value, ast.BinOp):
        parts = [value.left, value.right]
    elif isinstance(value, ast.IfExp):
        parts = [value.body, value.orelse]
    elif isinstance(value, ast.ListComp):
        parts = [value.elt]
    elif isinstance(value, ast.DictComp) and owner:
        for name in names_of(value, owner):
            hint, text = told_of(owner, [name])
            yield Key(name, type_said(hint), text)
            yield from nested(hint)
    elif isinstance(value, ast.Name):
        assigned = [line for line in ast.walk(function) if isinstance(line, ast.Assign)]
        parts = [line.value for line in assigned if ast.unparse(line.targets[0]) == value.id]
    elif isinstance(value, ast.Call) and ast.unparse(value.func).endswith(".as_record") and owner:
        path = attribute(value.func.value) if isinstance(value.func, ast.Attribute) else []
        kind = told_of(owner, path)[0] if path else None
        for each in nested(kind):
            keys, within = record_of(each)
            yield from (*keys, *within)
    elif isinstance(value, ast.Call) and ast.unparse(value) == "to_record(self)" and owner:
        keys, within = coded(owner)
        yield from (*keys, *within)
    elif isinstance(value, ast.Call) and ast.unparse(value.func) == "to_record" and owner:
        for each in dataclasses_in(told_of(owner, attribute(value.args[0]))[0]):
            keys, within = record_of(each)
            yield from (*keys, *within)
    for part in parts:
        yield from entries(part, function, owner)


def dict_entries(value: ast.Dict, function: ast.FunctionDef, owner: type | None) -> Iterator[Key | type]:
    for key, held in zip(value.keys, value.values, strict=True):
        if isinstance(key, ast.Constant):
            path = attribute(held) if owner else []
            hint, text = told_of(owner, path) if owner and path else (None, "")
            if re.search(r"\bto_record\((self\.)?\w+\)", ast.unparse(held)):
                CODED.update(dataclasses_in(hint))
            yield Key(str(key.value), type_said(hint), text)
            yield from nested(hint)
        elif key is None:
            yield from entries(held, function, owner)


def names_of(value: ast.DictComp, owner: type) -> list[str]:
    """Names that a mapping of fields is made of: those it lists, or the class's own without those it leaves out."""
    over = value.generators[0]
    if isinstance(over.iter, ast.Tuple):
        return [str(each.value) for each in over.iter.elts if isinstance(each, ast.Constant)]
    if ast.unparse(over.iter) != "self.__dataclass_fields__":
        return []
    module = inspect.getmodule(owner)
    left_out = getattr(module, ast.unparse(over.ifs[0]).rpartition(" ")[2]) if over.ifs else ()
    return [each.name for each in fields(owner) if each.name not in left_out]


def key_of(owner: type, name: str) -> str:
    """The key that the codec gives a field: its name, or another that the field states."""
    hint = typing.get_type_hints(owner, include_extras=True).get(name)
    stated = (getattr(fact, "alias", None) for fact in getattr(hint, "__metadata__", ()))
    return next((each for each in stated if each), name)


def coded(owner: type) -> tuple[list[Key], list[type]]:
    """The keys that the codec writes of a class, and the classes of the records within it."""
    told = {name: told_of(owner, [name]) for name in written_names(owner)}
    CODED.update(each for hint, _ in told.values() for each in dataclasses_in(hint))
    return (
        [Key(key_of(owner, name), type_said(hint), text) for name, (hint, text) in told.items()],
        [each for hint, _ in told.values() for each in nested(hint)],
    )


def record_of(source: Any) -> tuple[list[Key], list[type]]:
    """The keys of a record, and the classes of the records within it."""
    owner = source if inspect.isclass(source) else None
    if owner and not hasattr(owner, "as_record"):
        return coded(owner)
    for hint in typing.get_type_hints(owner).values() if owner else ():
        CODED.update(dataclasses_in(hint))
    function = source.as_record if owner else source
    tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    texts = documented(function.__doc__, "Returns")
    keys: dict[str, Key] = {}
    within: list[type] = []
    returned = [line.value for line in ast.walk(tree) if isinstance(line, ast.Return) and line.value is not None]
    shown = [
        line.args[0]
        for line in ast.walk(tree)
        if isinstance(line, ast.Call)
        and re.fullmatch(r"render\.show(_json|_list)?", ast.unparse(line.func))
        and ast.unparse(line.func) in ("render.show_json", "render.show", "render.show_list")
    ]
    for value in returned + shown:
        for each in entries(value, tree, owner):
            if isinstance(each, Key):
                keys[each.name] = Key(each.name, each.kind, texts.get(each.name, each.text))
            else:
                within.append(each)
    assert keys, f"no key of {source} is found"
    return list(keys.values()), within


def named(source: str) -> Any:
    """The class or function that `module:name` says."""
    module, _, name = source.partition(":")
    found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def record_lines(keys: list[Key]) -> list[str]:
    """The table of a record, without a column that is empty."""
    heads = ("key", "type", "what it is")
    rows = [(f"`{key.name}`", key.kind, re.sub(r"\bNone\b", "null", key.text)) for key in keys]
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    return [*table(tuple(heads[at] for at in used), [tuple(row[at] for at in used) for row in rows]), ""]


def records_page() -> str:
    lines, waiting, told = [RECORDS_HEAD], list[type](), dict[str, str]()
    for printed in RECORDS:
        lines += [f"## {printed.title}", ""]
        if (before := told.setdefault(printed.source, printed.title)) != printed.title and not printed.more:
            lines += [f"{printed.form} The keys of [{before}](#{anchor(before)}).".strip(), ""]
            continue
        keys, within = record_of(named(printed.source))
        waiting += within
        more = {each: text for name, text in printed.more.items() for each in name.split(", ")}
        keys = [Key(key.name, key.kind, more.pop(key.name, key.text)) for key in keys]
        keys += [Key(name, "", text) for name, text in more.items()]
        lines += ([printed.form, ""] if printed.form else []) + record_lines(keys)
    lines += ["## Records within records", ""]
    seen: dict[str, type] = {}
    while waiting:
        each = waiting.pop(0)
        if seen.setdefault(each.__name__, each) is each and f"### {each.__name__}" not in lines:
            keys, within = record_of(each)
            waiting += within
            what = plain(str(each.__doc__).partition("\n\n")[0])
            lines += [f"### {each.__name__}", "", what, "", *record_lines(keys)]
    return "\n".join(lines).rstrip("\n") + "\n"


# --- plug-ins

PLUG_INS_HEAD = f"""# Plug-ins

What a setting may name: metrics, drift tests, estimators, baselines, trigger rules and preprocessing steps.
[How to add one](../how-to/adding.md).

{MADE}
"""
FACTS = {"tasks": "task", "better": "better", "rows": "a loss of each row", "column": "column", "sees": "sees",
         "starts": "may start a run", "takes": "takes"}  # fmt: skip


def bounds(hint: Any) -> str:
    """Type and bounds of an argument."""
    kind, *facts = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    said = type_said(kind)
    inner = [each for fact in facts for each in (getattr(fact, "metadata", None) or [fact])]
    for word, name in (("at least", "ge"), ("above", "gt"), ("at most", "le"), ("below", "lt")):
        said += "".join(f", {word} {getattr(each, name):g}" for each in inner if getattr(each, name, None) is not None)
    return said


def fact(entry: Any, name: str) -> Any:
    """A fact that a plug-in was registered with, or that it bears itself, as a step does."""
    return entry.facts.get(name, getattr(entry.value, name, None))


def fact_said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def plug_in_lines(title: str, setting: str, registry: Any) -> list[str]:
    """The table of a kind of plug-in: each with its facts, its arguments and what it does."""
    listed = list(registry)
    facts = [name for name in FACTS if name in listed[0].facts or (name == "takes" and hasattr(listed[0].value, name))]
    rows = []
    for each in listed:
        step = hasattr(each.value, "learn")
        described = each.value if inspect.isfunction(each.value) else type(each.value)
        call = each.value.learn if step else (each.value if callable(each.value) else type(each.value))
        arguments = ""
        if title in WITH_ARGUMENTS:
            hints = typing.get_type_hints(call, include_extras=True)
            taken = [one.name for one in inspect.signature(call).parameters.values() if one.kind is one.KEYWORD_ONLY]
            arguments = "; ".join(f"`{name}` {bounds(hints[name])}".strip() for name in taken if name != "seed" or step)
        text = plain(inspect.cleandoc(described.__doc__ or "").partition("\n\n")[0])
        rows.append((f"`{each.name}`", *(fact_said(fact(each, name)) for name in facts), arguments, text))
    heads = ("name", *(FACTS[name] for name in facts), "arguments", "what it does")
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    head = [f"## {title}", "", setting, ""]
    return [*head, *table(tuple(heads[at] for at in used), [tuple(row[at] for at in used) for row in rows]), ""]


WITH_ARGUMENTS = ("Metrics", "Drift tests", "Joint drift tests", "Preprocessing steps")


def plug_ins_page() -> str:
    from retrim.decision.rules import RULES
    from retrim.drift.joint import JOINT_TESTS
    from retrim.drift.tests import DRIFT_TESTS
    from retrim.features import fitted  # noqa: F401  registers the steps
    from retrim.features.step import STEPS
    from retrim.stats.metrics import METRICS
    from retrim.training.baseline import BASELINES
    from retrim.training.estimators import MODELS

    lines = [PLUG_INS_HEAD]
    lines += plug_in_lines(
        "Metrics",
        "`judge.metrics` may name any of them, `judge.loss` only a per-row loss. `pinball@0.9` passes an argument.",
        METRICS,
    )
    lines += plug_in_lines("Drift tests", "`drift.tests` names them with their arguments and a threshold.", DRIFT_TESTS)
    lines += plug_in_lines(
        "Joint drift tests", "`drift.tests` names them too; each tests all features together.", JOINT_TESTS
    )
    lines += plug_in_lines("Estimators", "`train.model` names one. See [models](models.md).", MODELS)
    lines += plug_in_lines("Naive baselines", "`gate.baselines` names them.", BASELINES)
    lines += plug_in_lines("Trigger rules", "`triggers.rules` names them.", RULES)
    lines += plug_in_lines(
        "Preprocessing steps",
        "`prepare.steps` lists them with columns and arguments: [preparing features](../how-to/preparing.md).",
        STEPS,
    )
    return "\n".join(lines).rstrip("\n") + "\n"


PAGES = {
    "reference/settings.md": settings_page,
    "explanation/settings.md": why_page,
    "reference/command-line.md": commands_page,
    "reference/records.md": records_page,
    "reference/plug-ins.md": plug_ins_page,
}


if __name__ == "__main__":
    made = {name: page() for name, page in PAGES.items()}
    if "--check" in sys.argv:
        stale = [name for name, text in made.items() if (DOCS / name).read_text(encoding="utf-8") != text]
        sys.exit(f"out of date: {', '.join(stale)}; write them anew: python .ci/reference.py" if stale else 0)
    for name, text in made.items():
        (DOCS / name).write_text(text, encoding="utf-8")
