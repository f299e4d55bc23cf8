"""Writes docs/reference/settings.md and docs/explanation/settings.md from the fields of the settings.

With --check it says whether they are up to date.
"""

import inspect
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic.fields import FieldInfo

from retrim.drift.profile import ProfileParams
from retrim.drift.slices import SliceParams
from retrim.gate.agreement import AgreementParams
from retrim.settings import DERIVED, Params, bounds_said, default_said, nested_sections, plain_default, setting_fields
from retrim.stats.plugins import FOLLOWS_SEED, SettingsSection

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE, WHY = DOCS / "reference" / "settings.md", DOCS / "explanation" / "settings.md"
HEAD = """# Settings

Every setting by its key in `params.yaml`, which states the table and what differs from these defaults.
`retrim settings` prints what counts and where it was set; `retrim settings set KEY=VALUE` changes it.

A default in words follows other settings; one that is missing has to be stated. What a run was made with lies in
`data/settings.json` of its commit and in its bundle, so that another default changes no old version.
[Kept, derived, fixed](../explanation/settings.md) says why each is a setting.

Written by `.ci/settings.py` from the fields; change the field, not this page.
"""


def page() -> str:
    """The page: a table for each section."""
    lines = [HEAD]
    for section, field in Params.model_fields.items():
        kind = field.annotation
        if inspect.isclass(kind) and issubclass(kind, SettingsSection):
            lines += [f"## {section}", "", str(kind.__doc__).partition("\n")[0], ""]
        else:
            lines += [f"## {section}", ""]
        lines += ["| key | default | allowed | what it is |", "|---|---|---|---|"]
        for key, each in setting_fields():
            if f"{key}.".startswith(f"{section}."):
                default = default_said(key, each)
                shown = f"`{default}`" if default and key not in DERIVED else default
                cells = (f"`{key}`", shown, bounds_said(each), str(each.description))
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


BEFORE = 216
"""Settings that there were before any was fixed, counted as today."""
KEPT = {
    "data": "what the table is: nobody else knows it",
    "reading": "how the files of a table spell their cells",
    "batches": "what is looked at, and the memory that a file may take",
    "prepare": "the steps of a table",
    "leaks": "what a person knows of a column",
    "split": "how many rows judge: `init` measures it",
    "judge": "what an error costs, and how long errors stay alike",
    "tune": "how long a search may take, and what it looks at",
    "train": "the model, and what competes",
    "backtest": "how long a backtest may take",
    "gate": "what a gain is worth, and the limits of an application",
    "fairness": "groups and limits of an application",
    "decide": "what each kind of error costs",
    "served": "how exact the serving side computes",
    "probe": "what a probe may cost",
    "account": "what a retraining costs, and how many rows a check has",
    "drift": "which tests look, and how many false alarms a team reads",
    "triggers": "who or what starts a retraining, and its guards",
    "policy": "how a history is cut into checks, and what else is tried",
    "card": "what only a person can say",
    "former": "whether an earlier champion may come back",
    "probation": "how long a promotion is watched, and what harm counts",
    "retrain": "the mode, and the time that a run may take",
    "release": "the limits of where it is served, and who is asked",
    "room": "what a tag may publish, and when a file is litter",
    "proof": "whose keys count, and what is proved",
    "schedule": "when each part runs",
    "demo": "the span that the demo replays",
    "seed": "one number for every random draw",
}
"""Why somebody sets what is left, by section."""
RECORDS = (SliceParams, ProfileParams, AgreementParams)
"""Arguments of the code that were sections of params.yaml."""


def why_page() -> str:
    """The page that says which values are settings, which follow others, and which are fixed."""
    keys = [key for key, _ in setting_fields()]
    assert {key.partition(".")[0] for key in keys} == set(KEPT)
    fixed = [*_fixed(Params), *((f"`{kind.__name__}.{key}`", each) for kind in RECORDS for key, each in _own(kind))]
    lines = [
        "# Settings: kept, derived, fixed",
        "",
        f"{len(keys)} settings are left of {BEFORE}, each with a default but for the table itself. A setting is",
        "a value that `params.yaml` may state; a section that is off by default counts as one (`setting_fields` in",
        "`src/retrim/settings.py`).",
        "",
        "## Kept",
        "",
        "Somebody has to set it for a table, an application or a machine. [Each key](../reference/settings.md).",
        "",
        "| section | settings | why |",
        "|---|---|---|",
        *(f"| `{name}` | {sum(f'{key}.'.startswith(f'{name}.') for key in keys)} | {why} |"
          for name, why in KEPT.items()),
        "",
        "## Derived",
        "",
        "The default follows another setting. A stated value wins, but for seeds: there is one.",
        "",
        "| value | follows |",
        "|---|---|",
        *(f"| `{key}` | {derived.said} |" for key, derived in DERIVED.items()),
        *(f"| `{key}` | `seed`, as it is |" for key in _seeds(Params)),
        "",
        "The seed of a section is the number itself, not one drawn from it by name: each draw has its own data and its",
        "own generator, and figures that were measured before stay as they were.",
        "",
        "## Fixed",
        "",
        f"{len(fixed)} values that nobody should turn. A `params.yaml` that states another one is refused. They are",
        "arguments in the code, so a version keeps its own through the pinned code.",
        "",
        "| value | is | what it is, and why it is fixed |",
        "|---|---|---|",
        *(f"| {key} | `{json.dumps(plain_default(each), ensure_ascii=False)}` | {each.description} |"
          for key, each in fixed),
        "",
        "Written by `.ci/settings.py` from the fields.",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _fixed(kind: type[SettingsSection], place: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, each in kind.model_fields.items():
        if each.exclude:
            yield f"`{place}{name}`", each
        for below in nested_sections(each.annotation):
            yield from _fixed(below, f"{place}{name}.")


def _own(kind: type[SettingsSection]) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, each) for name, each in kind.model_fields.items() if name != "seed")


def _seeds(kind: type[SettingsSection], place: str = "") -> Iterator[str]:
    for name, each in kind.model_fields.items():
        if FOLLOWS_SEED in each.metadata:
            yield f"{place}{name}"
        for below in nested_sections(each.annotation):
            yield from _seeds(below, f"{place}{name}.")


if __name__ == "__main__":
    pages = {PAGE: page(), WHY: why_page()}
    if "--check" in sys.argv:
        sys.exit(any(path.read_text(encoding="utf-8") != text for path, text in pages.items()))
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
