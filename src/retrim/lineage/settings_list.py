"""The list of settings: what each one is, its value, its default, what is allowed, and where it was set."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from retrim.files import WorkspacePaths
from retrim.gate.change import value_at
from retrim.lineage.settings_file import require_setting
from retrim.settings import DERIVED, effective, plain_default, section_in, setting_fields, with_derived
from retrim.stats.codec import Unwritten, written
from retrim.stats.plugins import SettingsSection
from retrim.yaml_files import parse_yaml

BOUNDS = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "number of items: at least"}


@dataclass(frozen=True)
class EffectiveSetting:
    """A setting and its effective value.

    Args:
        key: Dotted key.
        value: The effective value.
        default: Value if it is not set; None if it must be set.
        line: Line of params.yaml that sets it; None if the default applies.
        description: What the setting is.
    """

    key: str
    value: Any
    default: Any
    line: Unwritten[int | None]
    description: str

    @written
    def set_in(self) -> str:
        return "default" if self.line is None else f"params.yaml:{self.line}"


def effective_settings(workspace: WorkspacePaths, key: str | None) -> list[EffectiveSetting]:
    """Every setting, or those at a key and below it, in order.

    Raises:
        BadInputError: The key is not a setting, or params.yaml is invalid.
    """
    path = workspace.params
    text = path.read_text(encoding="utf-8")
    stated = parse_yaml(text, path.name)
    values = effective(workspace.root, stated, path.name)
    if key is not None:
        require_setting(key)
    lines = _lines(text)
    settings = []
    for name, field in setting_fields():
        if key is not None and not f"{name}.".startswith(f"{key}.") and not f"{key}.".startswith(f"{name}."):
            continue
        above = [".".join(name.split(".")[:depth]) for depth in range(name.count(".") + 1, 1, -1)] or [name]
        line = next((lines[holder] for holder in above if holder in lines), None)
        settings.append(
            EffectiveSetting(name, value_at(values, name), _default(name, field, stated), line, str(field.description))
        )
    return settings


def settings_within(key: str) -> list[tuple[str, str, str, str]]:
    """What a setting holds that is no plain value: place, default, what is allowed, and what it is, of each field."""
    (annotation,) = (field.annotation for name, field in setting_fields() if name == key)
    return [
        (place, default_said(place, field), bounds_said(field), str(field.description))
        for place, field in fields_within(annotation, key)
    ]


def _default(key: str, field: FieldInfo, stated: Mapping[str, JsonValue]) -> Any:
    if key in DERIVED:
        section, name = key.split(".")
        fewer = {other: value for other, value in section_in(stated, section).items() if other != name}
        return value_at(with_derived({**stated, section: fewer}), key)
    return None if field.is_required() else plain_default(field)


def _lines(text: str) -> dict[str, int]:
    """The line of each key of a YAML mapping, from 1."""
    from ruamel.yaml import YAML
    from ruamel.yaml.nodes import MappingNode

    line_of: dict[str, int] = {}

    def walk(node: Any, place: str) -> None:
        if isinstance(node, MappingNode):
            for name, value in node.value:
                line_of[f"{place}{name.value}"] = name.start_mark.line + 1
                walk(value, f"{place}{name.value}.")

    walk(YAML().compose(text), "")
    return line_of


def fields_within(annotation: Any, prefix: str) -> Iterator[tuple[str, FieldInfo]]:
    """What a setting holds that is no plain value: its fields by dotted place, `[]` for an item and NAME for a key."""
    if isinstance(annotation, type) and issubclass(annotation, SettingsSection):
        for name, field in annotation.model_fields.items():
            yield f"{prefix}.{name}", field
            yield from fields_within(field.annotation, f"{prefix}.{name}")
        return
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin in (dict, Mapping):
        yield from fields_within(inner[1], f"{prefix}.NAME")
    elif origin in (Union, UnionType):
        for nested in inner:
            yield from fields_within(nested, prefix)
    elif origin is tuple:
        yield from fields_within(inner[0], f"{prefix}[]")


def default_said(key: str, field: FieldInfo) -> str:
    """The default of a setting in words or as JSON; empty where it has to be stated."""
    if key in DERIVED:
        return DERIVED[key].said
    return "" if field.is_required() else json.dumps(plain_default(field), ensure_ascii=False)


def bounds_said(field: FieldInfo) -> str:
    """What values a setting may have, where its type has bounds or a choice."""
    kinds = [field.annotation, *get_args(field.annotation)]
    bounds = {**BOUNDS, "min_length": "number of characters: at least"} if field.annotation is str else BOUNDS
    limits = [f"{word} {getattr(bound, name):g}" for bound in field.metadata for name, word in bounds.items()
            if getattr(bound, name, None) is not None]  # fmt: skip
    for kind in kinds:
        if get_origin(kind) is Literal:
            choices = get_args(kind)
            limits += [", ".join(choice if isinstance(choice, str) else json.dumps(choice) for choice in choices)]
    return "; ".join(limits)
