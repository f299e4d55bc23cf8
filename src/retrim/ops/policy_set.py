"""A policy written into params.yaml by line, so that comments and order stay; what is not understood is refused."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from retrim.core.section import explain
from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.files import write_file
from retrim.ops.house import House
from retrim.settings import Params

NEWEST = "newest.json"
LINE = re.compile(r"^(?P<head>\s+(?P<key>\w+):\s+)(?P<value>[^#\s].*?)(?P<comment>\s+#.*)?$")


def set_policy(house: House, name: str) -> dict[str, tuple[Any, Any]]:
    """Writes a policy of the newest backtest into params.yaml.

    Returns:
        What changed: old and new value by dotted key; empty where params.yaml said so already.

    Raises:
        BadInputError: There was no backtest yet, or the policy is shown for comparison only.
        UnknownNameError: It had no such policy.
        RefusedError: params.yaml is written in a way that a line edit does not understand, or would not be valid then.
    """
    changes = changes_of(house, name)
    path = house.workspace.params
    text = path.read_text(encoding="utf-8")
    edited, changed = edit(text, changes)
    if changed:
        try:
            Params.model_validate(yaml.safe_load(edited))
        except ValidationError as error:
            raise RefusedError(f"params.yaml would not be valid with {name}: {explain(error)}; it stays") from error
        write_file(path, edited.encode("utf-8"))
    return changed


def changes_of(house: House, name: str) -> dict[str, Any]:
    """The settings of a policy of the newest backtest, by dotted key."""
    record = house.workspace.policy / NEWEST
    if not record.exists():
        raise BadInputError("no policy was tried here yet; try them first: retrim policy backtest")
    tried = {each["name"]: each["changes"] for each in json.loads(record.read_bytes())["policies"]}
    if name not in tried:
        raise UnknownNameError("policy", name, tried)
    changes: dict[str, Any] | None = tried[name]
    if changes is None:
        usable = ", ".join(each for each, found in tried.items() if found is not None)
        raise BadInputError(f"{name} is shown for comparison and cannot be set; these can: {usable}")
    return changes


def edit(text: str, changes: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The text of a params.yaml with other values, every other character as it was.

    Args:
        text: YAML whose sections begin at the margin, each key on a line of its own.
        changes: Values by dotted key: section, key, and keys within a value in braces.

    Returns:
        The new text; old and new value of each key that differs.

    Raises:
        RefusedError: A key has no line of its own, or the text would not say what it should.
    """
    before, wanted = yaml.safe_load(text), yaml.safe_load(text)
    changed: dict[str, tuple[Any, Any]] = {}
    for dotted, value in changes.items():
        *way, last = dotted.split(".")
        inner = wanted
        for part in way:
            inner = inner.get(part) if isinstance(inner, dict) else None
        if not isinstance(inner, dict) or last not in inner:
            raise RefusedError(f"params.yaml has no {dotted}; add it by hand")
        if inner[last] != value:
            changed[dotted] = (inner[last], value)
            inner[last] = value
    lines = text.split("\n")
    for dotted in changed:
        section, key, *_ = dotted.split(".")
        at = _line_of(lines, section, key)
        lines[at] = _with(lines[at], before[section][key], wanted[section][key], dotted)
    edited = "\n".join(lines)
    if not _says(edited, wanted):
        raise RefusedError(
            f"params.yaml is written in a way that is not understood here; change {', '.join(changed)} by hand"
        )
    return edited, changed


def _says(text: str, wanted: Any) -> bool:
    try:
        return bool(yaml.safe_load(text) == wanted)
    except yaml.YAMLError:
        return False


def _line_of(lines: list[str], section: str, key: str) -> int:
    """The one line that gives `key` of `section` its value."""
    inside, found = False, []
    for number, line in enumerate(lines):
        if re.match(r"\S", line) and not line.startswith("#"):
            inside = re.match(rf"{section}:\s*(#.*)?$", line) is not None
        elif inside and re.match(rf"  {key}:", line):
            found.append(number)
    if len(found) != 1:
        raise RefusedError(
            f"params.yaml: {len(found)} lines give {section}.{key}, indented by two spaces; change it by hand"
        )
    return found[0]


def _with(line: str, old: Any, value: Any, dotted: str) -> str:
    """The line with another value than the old one; its comment stays in its column where there is room."""
    parts = LINE.match(line)
    if parts is None or not _says(parts["value"], old):
        raise RefusedError(f"params.yaml: {dotted} is not on one line ({line.strip()!r}); change it by hand")
    written = yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False)
    short = written.removesuffix("\n").removesuffix("\n...")
    comment = (parts["comment"] or "").lstrip()
    if not comment:
        return f"{parts['head']}{short}"
    column = line.index(parts["comment"]) + len(parts["comment"]) - len(comment)
    return f"{parts['head']}{short}".ljust(column - 2) + "  " + comment
