"""A value has one home: params.yaml. Every key is a field, every field a key, and nothing has a default."""

import ast
import inspect
import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import retrim
from retrim.settings import Params, load_params
from retrim.stats.plugins import Plugin, PluginRegistry, SettingsSection

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
PURE = ("stats", "table", "features", "training", "drift", "gate", "profile", "batches", "decision", "card")
FORMS = {"ColumnParams", "Dimension", "PastFeature", "RowFilter"}
"""Records that take one of several forms with keys of their own: a key of the other form is absent, not defaulted."""


def modules() -> Iterator[str]:
    # The command line and Prefect's own helpers hold no settings; importing them is dear.
    for found in pkgutil.walk_packages(retrim.__path__, "retrim."):
        if found.name.startswith(("retrim.settings", *(f"retrim.{folder}." for folder in PURE))):
            yield found.name


for name in modules():
    import_module(name)


def sections(base: type[SettingsSection] = SettingsSection) -> Iterator[type[SettingsSection]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


SECTIONS = sorted(set(sections()) - {Params}, key=lambda section: section.__name__)


def entries() -> Iterator[tuple[str, Plugin[Any]]]:
    tables: dict[int, PluginRegistry[Any]] = {}
    for module in map(import_module, modules()):
        tables |= {id(value): value for value in vars(module).values() if isinstance(value, PluginRegistry)}
    for table in sorted(tables.values(), key=lambda table: table.kind):
        for entry in table:
            yield table.kind, entry


def keys(document: Any, place: str = "") -> Iterator[str]:
    """Keys of a YAML document that stand where the settings have a field."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield f"{place}{key}"
            yield from keys(value, f"{place}{key}.")


def fields(value: Any, place: str = "") -> Iterator[str]:
    """Fields of loaded settings, written as the keys of the document."""
    if isinstance(value, BaseModel):
        form = type(value).__name__ in FORMS
        for name in type(value).model_fields:
            if not form or name in value.model_fields_set:
                yield f"{place}{name}"
                yield from fields(getattr(value, name), f"{place}{name}.")
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield f"{place}{key}"
            yield from fields(inner, f"{place}{key}.")


def names_read() -> set[str]:
    """Names read as an attribute in src or flows; where a section is dumped whole, also those read by a string."""
    found: set[str] = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").rglob("*.py")]:
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        attributes = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        found |= attributes
        taken = [node.arg for node in nodes if isinstance(node, ast.arg)]  # by a stage, as `drift__joint`
        found |= {name.partition("__")[2] for name in taken if not name.startswith("_")}
        if "model_dump" in attributes:
            found |= {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return found


def test_every_key_of_params_yaml_is_a_field_and_every_field_a_key() -> None:
    params = load_params(ROOT / "params.yaml")

    assert set(fields(params)) == set(keys(DOCUMENT))


def test_the_sections_stand_in_the_order_of_the_file() -> None:
    assert list(Params.model_fields) == list(DOCUMENT)


@pytest.mark.parametrize("section", SECTIONS, ids=[section.__name__ for section in SECTIONS])
class TestEverySection:
    def test_has_no_field_with_a_default(self, section: type[SettingsSection]) -> None:
        optional = [name for name, field in section.model_fields.items() if not field.is_required()]

        assert section.__name__ in FORMS or optional == []

    def test_has_no_field_that_nobody_reads(self, section: type[SettingsSection]) -> None:
        unread = set(section.model_fields) - names_read()

        assert unread == set()

    def test_is_frozen_and_closed(self, section: type[SettingsSection]) -> None:
        assert section.model_config["frozen"] is True
        assert section.model_config["extra"] == "forbid"


@pytest.mark.parametrize(("kind", "entry"), list(entries()), ids=lambda part: getattr(part, "name", part))
def test_a_plug_in_has_no_argument_with_a_default(kind: str, entry: Plugin[Any]) -> None:
    value = entry.value
    owner = value if inspect.isclass(value) or inspect.isfunction(value) else type(value)
    functions = (
        [value]
        if inspect.isfunction(value)
        else [
            function
            for name, function in vars(owner).items()
            if inspect.isfunction(function) and (not name.startswith("_") or name == "__init__")
        ]
    )
    defaulted = [
        f"{function.__qualname__}({name})"
        for function in functions
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is not inspect.Parameter.empty
    ]

    assert defaulted == []
