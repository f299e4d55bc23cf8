"""A setting has one home: its field, with default, bounds and description. params.yaml states what differs."""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic.fields import FieldInfo

import retrim
from retrim.errors import BadInputError
from retrim.settings import DERIVED, Params, load_params, parse_params
from retrim.stats.plugins import Plugin, PluginRegistry, SettingsSection
from retrim.training.tuning import SPACES

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
PURE = ("stats", "table", "features", "training", "drift", "gate", "profile", "batches", "decision", "card")
REQUIRED = {
    "DataParams": {"model", "columns", "task", "batch_every", "suite"},
    "ColumnParams": {"type", "role"},
    "GroupParams": {"column", "cuts", "least_rows"},
    "MoneyParams": {"cost", "per_unit", "currency"},
    "PastFeature": {"of"},
    "RepeatedHour": {"column", "later"},
    "ResampleParams": {"every", "by", "how"},
    "RowFilter": {"column"},
    "StepParams": {"step", "columns", "arguments"},
}
"""What only a person can say: of the table, or in a record that stands in a list."""


SPAN = re.compile(r"\d+d")  # read as 1D where a file says 1d
UNBOUND = {
    "Dimension": {"low", "high", "choices"},
    "PastFeature": {"lag"},
    "RowFilter": {"at_least", "at_most"},
    "DecideParams": {"threshold"},
    "DriftParams": {"thresholds"},
    "TriggerParams": {"drift_checks"},
    "GroupParams": {"cuts"},
}
"""Numbers of any size, and those whose bounds a validator sets."""


def bounds_of(field: FieldInfo) -> list[Any]:
    return [each for each in field.metadata if hasattr(each, "ge") or hasattr(each, "gt")]


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


def stated(document: Any, effective: Any, place: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Values of a document, each with what the loaded settings say in its place."""
    if isinstance(document, Mapping) and isinstance(effective, Mapping):
        for key, value in document.items():
            yield from stated(value, effective.get(key, "nothing"), f"{place}{key}.")
    else:
        yield place, document, effective


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


@pytest.mark.parametrize("name", ["params.yaml", "data/samples/bank.params.yaml", "data/samples/rodents.params.yaml"])
def test_what_a_file_states_is_what_counts(name: str) -> None:
    document = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    effective = load_params(ROOT / name).model_dump(mode="json")

    differing = [each for each in stated(document, effective) if each[1] != each[2]]

    assert [each for each in differing if not SPAN.fullmatch(str(each[1]))] == []


def test_the_sections_of_the_file_stand_in_the_order_of_the_settings() -> None:
    assert [name for name in Params.model_fields if name in DOCUMENT] == list(DOCUMENT)


def test_a_table_alone_is_enough() -> None:
    table = {name: DOCUMENT["data"][name] for name in (*REQUIRED["DataParams"], "label_horizon")}

    params = Params.model_validate({"data": table})

    assert Params.model_validate(params.model_dump(mode="json")) == params


CLASSES = {
    "model": "m",
    "columns": {
        "at": {"type": "time", "role": "time"},
        "x": {"type": "number", "role": "feature"},
        "y": {"type": "category", "role": "target"},
    },
    "label_horizon": "1D",
    "batch_every": "1D",
    "suite": "expectations/m.json",
}


@pytest.mark.parametrize(("task", "positive", "rounds"), [("binary", "yes", 400), ("multiclass", None, 150)])
def test_defaults_of_classes_fit_them(task: str, positive: str | None, rounds: int) -> None:
    params = Params.model_validate({"data": {**CLASSES, "task": task, "positive": positive}})

    assert (params.judge.loss, params.gate.floor) == ("log_loss", ("mean",))
    assert params.tune.max_rounds == rounds


@pytest.mark.parametrize("model", ["forest", "logistic"])
def test_the_default_space_is_that_of_the_model(model: str) -> None:
    table = {**CLASSES, "task": "multiclass"}

    params = Params.model_validate({"data": table, "train": {"model": model}})

    assert params.tune.space == SPACES[model]


def test_sizes_follow_the_rows_that_judge() -> None:
    table = {**CLASSES, "task": "multiclass"}

    params = Params.model_validate({"data": table, "split": {"judge_rows": 100}})

    assert (params.gate.min_rows, params.backtest.origin_rows, params.tune.fold_rows) == (50, 100, 100)
    assert (params.account.usual_rows, params.probe.min_rows, params.drift.min_rows) == (100, 25, 50)


def test_what_is_stated_is_never_derived() -> None:
    stated = {"split": {"judge_rows": 100}, "gate": {"min_rows": 99}, "judge": {"loss": "brier"}}

    params = Params.model_validate({"data": {**CLASSES, "task": "binary", "positive": "yes"}, **stated})

    assert (params.gate.min_rows, params.judge.loss) == (99, "brier")


def test_a_key_that_is_no_setting_is_told_with_the_nearest() -> None:
    with pytest.raises(BadInputError, match=r"gate\.min_gian: extra inputs are not permitted; did you mean min_gain"):
        parse_params({"data": {**CLASSES, "task": "multiclass"}, "gate": {"min_gian": 0.1}}, "params.yaml")


def test_a_derived_default_is_that_of_a_field() -> None:
    assert [key for key in DERIVED if Params.model_fields[key.split(".")[0]].default is None] == []
    assert [
        key for key in DERIVED if not hasattr(Params.model_fields[key.split(".")[0]].default, key.split(".")[1])
    ] == []


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
