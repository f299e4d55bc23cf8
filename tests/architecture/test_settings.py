"""A setting has one home: its field, with default, bounds and description. params.yaml states what differs."""

import ast
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic.fields import FieldInfo

import retrim
from retrim.files import load_yaml
from retrim.settings import Params
from retrim.stats.plugins import Plugin, PluginRegistry, SettingsSection

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = load_yaml((ROOT / "params.yaml").read_text(encoding="utf-8"))
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
PURE = next(each["source_modules"] for each in CONTRACTS if each["id"] == "pure")
REQUIRED = {
    "DataParams": {"model", "columns", "task", "batch_every", "suite"},
    "ColumnParams": {"type", "role"},
    "ErrorCosts": {"false_positive", "false_negative"},
    "GroupParams": {"column", "cuts", "least_rows"},
    "MoneyParams": {"cost", "per_unit", "currency"},
    "PastFeature": {"of"},
    "RepeatedHour": {"column", "later"},
    "ResampleParams": {"every", "by", "how"},
    "RowFilter": {"column"},
    "StepParams": {"step", "columns", "arguments"},
}
"""What only a person can say: of the table, or in a record that stands in a list."""


UNBOUND = {
    "Dimension": {"low", "high", "choices"},
    "PastFeature": {"lag"},
    "RowFilter": {"at_least", "at_most"},
    "DecideParams": {"threshold"},
    "TriggerParams": {"drift_checks"},
    "GroupParams": {"cuts"},
}
"""Numbers of any size, and those whose bounds a validator sets."""


def bounds_of(field: FieldInfo) -> list[Any]:
    return [each for each in field.metadata if hasattr(each, "ge") or hasattr(each, "gt")]


def modules() -> Iterator[str]:
    # The command line and Prefect's own helpers hold no settings; importing them is dear.
    for found in pkgutil.walk_packages(retrim.__path__, "retrim."):
        if found.name.startswith(("retrim.settings", *(f"{folder}." for folder in PURE))):
            yield found.name


for name in modules():
    import_module(name)


def sections(base: type[SettingsSection] = SettingsSection) -> Iterator[type[SettingsSection]]:
    for section in base.__subclasses__():
        yield section
        yield from sections(section)


SHIPPED = {section for section in sections() if section.__module__.startswith("retrim.")}
SECTIONS = sorted(SHIPPED - {Params}, key=lambda section: section.__name__)


def entries() -> Iterator[tuple[str, Plugin[Any]]]:
    tables: dict[int, PluginRegistry[Any]] = {}
    for module in map(import_module, modules()):
        tables |= {id(value): value for value in vars(module).values() if isinstance(value, PluginRegistry)}
    for table in sorted(tables.values(), key=lambda table: table.kind):
        for entry in table:
            yield table.kind, entry


@cache
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


def test_the_sections_of_the_file_stand_in_the_order_of_the_settings() -> None:
    assert [name for name in Params.model_fields if name in DOCUMENT] == list(DOCUMENT)


@pytest.mark.parametrize("section", SECTIONS, ids=[section.__name__ for section in SECTIONS])
class TestEverySection:
    def test_has_a_default_for_every_field_but_what_only_a_person_can_say(self, section: type[SettingsSection]) -> None:
        required = {name for name, field in section.model_fields.items() if field.is_required()}

        assert required == REQUIRED.get(section.__name__, set())

    def test_describes_every_field(self, section: type[SettingsSection]) -> None:
        assert [name for name, field in section.model_fields.items() if not field.description] == []

    def test_takes_its_own_defaults(self, section: type[SettingsSection]) -> None:
        if section.__name__ not in {*REQUIRED, "Dimension"}:
            assert section.model_validate(section().model_dump(mode="json")) == section()

    def test_bounds_every_number(self, section: type[SettingsSection]) -> None:
        unbound = {
            name
            for name, field in section.model_fields.items()
            if set(get_args(field.annotation) or (field.annotation,)) & {int, float} and not bounds_of(field)
        }

        assert unbound <= UNBOUND.get(section.__name__, set())

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
