"""Writes docs/reference/settings.md from the fields of the settings; with --check says whether it is up to date."""

import inspect
import sys
from pathlib import Path

from retrim.settings import DERIVED, Params, bounds_said, default_said, setting_fields
from retrim.stats.plugins import SettingsSection

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "settings.md"
HEAD = """# Settings

Every setting by its key in `params.yaml`, which states the table and what differs from these defaults.
`retrim settings` prints what counts and where it was set; `retrim settings set KEY=VALUE` changes it.

A default in words follows other settings; one that is missing has to be stated. What a run was made with lies in
`data/settings.json` of its commit, so that another default changes no old version.

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


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(PAGE.read_text(encoding="utf-8") != page())
    PAGE.write_text(page(), encoding="utf-8")
