"""Settings, read once: what changes results.

The file of a model of one's own is read from a workspace or a run directory here, and let run there.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pandas as pd
from pydantic import Field, JsonValue, TypeAdapter, ValidationError, model_validator
from pydantic.fields import FieldInfo

from retrim.batches.concern import BatchParams
from retrim.card.facts import CardParams
from retrim.decision.accumulated_gain import GainParams
from retrim.decision.policy_backtest import PolicyParams
from retrim.decision.probation import ProbationParams
from retrim.decision.probe import ProbeParams
from retrim.decision.release_checks import ReleaseParams
from retrim.decision.run_params import RetrainParams, RunDirectoryParams, ScheduleParams
from retrim.decision.served_predictions import ServedParams
from retrim.decision.triggers import TriggerParams
from retrim.drift.params import DriftParams
from retrim.errors import BadInputError
from retrim.features.fitted import PrepareParams
from retrim.features.fitted import faults_of as prepare_faults_of
from retrim.gate.verdict import GateParams
from retrim.profile.leaks import LeakParams
from retrim.stats.metrics import JudgeParams, require
from retrim.stats.plugins import FOLLOWS, Seed, SettingsSection, check_span, explain, is_setting, span_text
from retrim.stats.windows import SplitParams
from retrim.table.data import DataParams
from retrim.table.derived_columns import faults_of
from retrim.table.reading import ReadingParams
from retrim.training.baseline import baselines_of
from retrim.training.classes import DecideParams
from retrim.training.estimators import MODELS, is_own, parts_of, trust
from retrim.training.groups import FairnessParams, require_fit
from retrim.training.recipe import BacktestParams, TrainParams
from retrim.training.tuning import SPACES, TuneParams
from retrim.yaml_files import read_yaml

ABSENT = object()


def section_in(document: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    """What a document, or a section of it, states under a name; empty where that is no mapping."""
    stated = document.get(name)
    return dict(stated) if isinstance(stated, Mapping) else {}


def model_in(document: Mapping[str, JsonValue]) -> str:
    """What a document states as `train.model`; empty where it states none."""
    return str(section_in(document, "train").get("model", ""))


def resolved(root: Path, document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A params.yaml in which an own model's name says which bytes it is; as it is with any other kind.

    Raises:
        BadInputError: The file is missing, or not the one that the name says.
    """
    model = model_in(document)
    if not is_own(model):
        return dict(document)
    path, wanted = parts_of(model)
    digest = trust(read_code(root, path))
    if wanted not in (None, digest):
        raise BadInputError(
            f"train.model: {path} has SHA-256 {digest[:12]}, but train.model requires {str(wanted)[:12]}; write "
            f"own:{path} to use the file as it is"
        )
    return {**document, "train": {**section_in(document, "train"), "model": f"own:{path}@{digest}"}}


def read_code(root: Path, path: str) -> bytes:
    """The bytes of the file.

    Raises:
        BadInputError: There is none in the workspace.
    """
    file = root / path
    if not file.is_file() or not file.resolve().is_relative_to(root.resolve()):
        raise BadInputError(
            f"train.model: {path} is not in {root}; create the file (docs/how-to/own-model.md has one to start "
            "from), or choose a different estimator"
        )
    return file.read_bytes()


@dataclass(frozen=True)
class Derived:
    """A default that other settings say.

    Args:
        said: What it is, in words.
        value: From a document in which the settings before it in `DERIVED` stand; None where these cannot say.
    """

    said: str
    value: Callable[[Mapping[str, JsonValue]], Any]


def _of_task(regression: Any, binary: Any, multiclass: Any) -> Callable[[Mapping[str, JsonValue]], Any]:
    values = {"regression": regression, "binary": binary, "multiclass": multiclass}
    return lambda document: values.get(_at(document, "data.task"))


def _of_rows(key: str, count: Callable[[int], int]) -> Callable[[Mapping[str, JsonValue]], Any]:
    def value(document: Mapping[str, JsonValue]) -> int | None:
        rows = _at(document, key)
        return count(rows) if isinstance(rows, int) else None

    return value


def _space(document: Mapping[str, JsonValue]) -> dict[str, JsonValue] | None:
    model = _at(document, "train.model")
    space = SPACES.get(model, {}) if isinstance(model, str) else None
    return None if space is None else {name: parameter.model_dump(mode="json") for name, parameter in space.items()}


def _but_by_calendar(checks: int) -> Callable[[Mapping[str, JsonValue]], int]:
    return lambda document: 0 if _at(document, "triggers.rules") in (["schedule"], ("schedule",)) else checks


def _cost_unit(document: Mapping[str, JsonValue]) -> str:
    return "worth" if _at(document, "gain.money") is None else "loss"


def _grace(document: Mapping[str, JsonValue]) -> str | None:
    try:
        return span_text(max(pd.Timedelta(check_span(str(_at(document, "data.batch_every")))) / 4, pd.Timedelta("1h")))
    except ValueError:
        return None


def _suite(document: Mapping[str, JsonValue]) -> str | None:
    model = _at(document, "data.model")
    return f"expectations/{model}.json" if isinstance(model, str) else None


def _mitigation(document: Mapping[str, JsonValue]) -> str | None:
    return "reweight" if _at(document, "train.balance") == "groups" else None


def _season_cells(document: Mapping[str, JsonValue]) -> int | None:
    try:
        season = pd.Timedelta(_at(document, "gate.season"))
    except ValueError:
        return None
    cell = next((cell for most, cell in (("7D", "1h"), ("60D", "1D")) if season <= pd.Timedelta(most)), "7D")
    return max(int(season / pd.Timedelta(cell)), 1)


def _at(document: Mapping[str, JsonValue], key: str) -> Any:
    """What a document says under `section.name`; the field's own default where it says nothing."""
    section, name = key.split(".")
    stated = document.get(section)
    if isinstance(stated, Mapping) and name in stated:
        return stated[name]
    return getattr(Params.model_fields[section].default, name, None)


DERIVED: Mapping[str, Derived] = {
    "data.suite": Derived("expectations/MODEL.json, by data.model", _suite),
    "data.batch_grace": Derived("a quarter of data.batch_every, but at least 1 hour", _grace),
    "judge.loss": Derived("mae for regression, log_loss for classification", _of_task("mae", "log_loss", "log_loss")),
    "judge.metrics": Derived(
        "by data.task: mae, rmse, r2 (regression); log_loss, brier, auc (binary); log_loss, accuracy, f1 (multiclass)",
        _of_task(["mae", "rmse", "r2"], ["log_loss", "brier", "auc"], ["log_loss", "accuracy", "f1"]),
    ),
    "gate.baselines": Derived(
        "last_value and seasonal_mean for regression, mean for classification",
        _of_task(["last_value", "seasonal_mean"], ["mean"], ["mean"]),
    ),
    "tune.space": Derived("by train.model: see docs/reference/models.md", _space),
    "tune.max_rounds": Derived(
        "by data.task: 800 (regression), 400 (binary) or 150 (multiclass)", _of_task(800, 400, 150)
    ),
    "tune.fold_rows": Derived("split.judge_rows", _of_rows("split.judge_rows", lambda rows: max(rows, 2))),
    "backtest.origin_rows": Derived("split.judge_rows", _of_rows("split.judge_rows", lambda rows: max(rows, 2))),
    "gate.min_rows": Derived("half of split.judge_rows", _of_rows("split.judge_rows", lambda rows: max(rows // 2, 2))),
    "gate.season_cells": Derived(
        "length of gate.season: in hours up to 7 days, in days up to 60 days, in weeks above", _season_cells
    ),
    # A calendar's own alarm comes again whatever happened: loop breaker and cooldown would make a short period longer.
    "triggers.cooldown_checks": Derived("2, or 0 if schedule is the only rule", _but_by_calendar(2)),
    "triggers.loop_checks": Derived("5, or 0 if schedule is the only rule", _but_by_calendar(5)),
    "gain.cost_unit": Derived("loss if gain.money is set, else worth", _cost_unit),
    "gain.rows_per_check": Derived("split.judge_rows", _of_rows("split.judge_rows", lambda rows: max(rows, 1))),
    "probe.min_rows": Derived(
        "a quarter of gain.rows_per_check, but at least 12",
        _of_rows("gain.rows_per_check", lambda rows: max(rows // 4, 12)),
    ),
    "fairness.mitigate": Derived("reweight if train.balance is groups, else null", _mitigation),
    "drift.min_rows": Derived(
        "half of gain.rows_per_check, but at least 20 and at most 100",
        _of_rows("gain.rows_per_check", lambda rows: min(max(rows // 2, 20), 100)),
    ),
}
"""Defaults that other settings say, in the order in which they are worked out; every other one stands in its field."""


def with_derived(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The document with each derived default that it does not state, where the settings that it follows have values."""
    complete = dict(document)
    for key, derived in DERIVED.items():
        section, name = key.split(".")
        stated = complete.get(section, {})
        value = derived.value(complete) if isinstance(stated, Mapping) and name not in stated else None
        if value is not None:
            complete[section] = {**section_in(complete, section), name: value}
    return complete


def stated_by(params: "Params") -> dict[str, JsonValue]:
    """What a params.yaml would state for these settings: without what follows from the rest, as sizes do."""
    document = settings_alone(Params, params.model_dump(mode="json", exclude_unset=True))
    for key, derived in DERIVED.items():
        section, name = key.split(".")
        stated = section_in(document, section)
        if name in stated and stated[name] == derived.value(document):
            document[section] = {other: value for other, value in stated.items() if other != name}
    return document


def settings_alone(kind: type[SettingsSection], stated: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What a section states, without values that are fixed or follow others."""
    recorded: dict[str, JsonValue] = {}
    for name, value in stated.items():
        field = kind.model_fields[name]
        below = nested_sections(field.annotation)
        if is_setting(field):
            recorded[name] = settings_alone(below[0], value) if below and isinstance(value, Mapping) else value
    return recorded


def why_none(key: str) -> str | None:
    """Why a dotted key is not a setting, if it is a constant of the code or derived; None: the key is unknown."""
    words = key.split(".")
    kind: Any = Params
    for depth, word in enumerate(words, 1):
        field = kind.model_fields.get(word) if isinstance(kind, type) and issubclass(kind, SettingsSection) else None
        if field is None:
            return None
        derived = DERIVED.get(".".join(words[:depth]))
        if FOLLOWS in field.metadata and derived is not None:
            return f"is derived from other settings: {derived.said}"
        kind = next(iter(nested_sections(field.annotation)), None)
        if kind is None and field.exclude:
            return f"is fixed at {plain_default(field)!r} ({field.description})"
    return None


def stated_at(document: Any, key: str) -> Any:
    """What a document states at a dotted key; `ABSENT`: nothing."""
    for name in key.split("."):
        if not isinstance(document, Mapping) or name not in document:
            return ABSENT
        document = document[name]
    return document


class Params(SettingsSection):
    """All of params.yaml. What it does not state has the default of its field, or the derived one."""

    data: DataParams
    reading: ReadingParams = ReadingParams()
    batches: BatchParams = BatchParams()
    prepare: PrepareParams = PrepareParams()
    leaks: LeakParams = LeakParams()
    split: SplitParams = SplitParams()
    judge: JudgeParams = JudgeParams()
    tune: TuneParams = TuneParams()
    train: TrainParams = TrainParams()
    backtest: BacktestParams = BacktestParams()
    gate: GateParams = GateParams()
    fairness: FairnessParams = FairnessParams()
    decide: DecideParams = DecideParams()
    served: ServedParams = Field(default=ServedParams(), exclude=True)
    probe: ProbeParams = ProbeParams()
    gain: GainParams = GainParams()
    drift: DriftParams = DriftParams()
    triggers: TriggerParams = TriggerParams()
    policy: PolicyParams = Field(default=PolicyParams(), exclude=True)
    card: CardParams = CardParams()
    probation: ProbationParams = ProbationParams()
    retrain: RetrainParams = RetrainParams()
    release: ReleaseParams = ReleaseParams()
    run_directory: RunDirectoryParams = Field(default=RunDirectoryParams(), exclude=True)
    schedule: ScheduleParams = ScheduleParams()
    seed: Seed = Field(
        default=7,
        description="seed of every random draw: searches, fits, bootstraps, samples; fixed, because with another one a "
        "refused verdict could be drawn again",
    )

    def as_stated(self) -> dict[str, JsonValue]:
        """A params.yaml that states every setting."""
        return settings_alone(Params, self.model_dump(mode="json"))

    @model_validator(mode="before")
    @classmethod
    def _with_derived(cls, given: Any) -> Any:
        return with_derived(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _judge_fits_the_task(self) -> "Params":
        try:
            require([self.judge.loss], task=self.data.task, rows=True)
            require(self.judge.metrics, task=self.data.task, rows=False)
        except BadInputError as wrong:
            raise ValueError(f"judge: {wrong}") from wrong
        return self

    @model_validator(mode="after")
    def _model_fits_the_task(self) -> "Params":
        if is_own(self.train.model):  # its code is run where a run begins, not by every command
            return self
        try:
            MODELS[self.train.model].check_aim(self.data.task, self.judge.loss)
        except BadInputError as wrong:
            raise ValueError(f"train.model: {wrong}") from wrong
        if not self.tune.space:
            model = self.train.model
            raise ValueError(
                f"tune.space is empty; list the hyperparameters of {model} to search: docs/reference/models.md"
            )
        return self

    @model_validator(mode="after")
    def _decisions_fit_the_task(self) -> "Params":
        task = self.data.task
        if self.train.balance is not None and task == "regression":
            raise ValueError("train.balance: a regression has no classes to balance; set it to null")
        if self.decide.threshold is not None and task != "binary":
            raise ValueError(f"decide.threshold: a {task} task has no threshold between two classes; set it to null")
        return self

    @model_validator(mode="after")
    def _reading_fits_the_table(self) -> "Params":
        faults = faults_of(self.data, self.reading)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _steps_fit_the_table(self) -> "Params":
        faults = prepare_faults_of(self.prepare, self.data)
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @model_validator(mode="after")
    def _floors_fit_the_task(self) -> "Params":
        for name in self.gate.baselines:
            fitting = list(baselines_of(self.data.task))
            if name not in fitting:
                raise ValueError(
                    f"gate.baselines: {name!r} is not a baseline of a {self.data.task} task; choose one of: "
                    f"{', '.join(fitting)}"
                )
        return self

    @model_validator(mode="after")
    def _fairness_fits_the_table(self) -> "Params":
        try:
            require_fit(self.fairness, self.data)
        except BadInputError as wrong:
            raise ValueError(str(wrong)) from wrong
        return self

    @model_validator(mode="after")
    def _alarms_fit_the_checks(self) -> "Params":
        if self.drift.alarms is not None:
            try:
                self.drift.alarms.rate(pd.Timedelta(self.data.batch_every))
            except BadInputError as wrong:
                raise ValueError(str(wrong)) from wrong
        return self


def load_params(path: Path) -> Params:
    """The settings in a params.yaml.

    Raises:
        BadInputError: The file is missing, no YAML, or a section is wrong; names key, value and what is allowed.
    """
    return parse_params(resolved(path.parent, read_yaml(path)), path.name)


def parse_params(document: dict[str, JsonValue], name: str) -> Params:
    """The settings in what a params.yaml called `name` holds.

    Raises:
        BadInputError: It describes no table yet, or a section is wrong; names key, value and what is allowed.
    """
    if stated_at(document, "data") is None:
        raise BadInputError(f"{name} describes no table yet; describe one with `retrim init --data TABLE --target COL`")
    for key, value, why, stated in fixed_in(document):
        if stated != value:
            raise BadInputError(f"{name}: {key} is fixed at {value!r} ({why}), but {stated!r} is set; remove {key}")
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise BadInputError(f"{name}: {explain(error, known=section_names)}") from error


def fixed_in(document: Mapping[str, JsonValue]) -> Iterator[tuple[str, Any, str, Any]]:
    """What a params.yaml states and may not turn: key, the value that counts, why, and what is stated."""
    yield from _fixed_in(Params, document, "")
    for key, derived in DERIVED.items():
        section, name = key.split(".")
        stated = stated_at(document, key)
        field = next(field for field_name, field in _fields(section) if field_name == name)
        if FOLLOWS in field.metadata and stated is not ABSENT:
            others = {other: value for other, value in section_in(document, section).items() if other != name}
            value = stated_at(with_derived({**document, section: others}), key)
            if value is ABSENT and field.default is not None:
                continue  # what it follows is at fault, which its own bounds say
            yield key, None if value is ABSENT else value, f"it is derived from other settings: {derived.said}", stated


def _fields(section: str) -> Iterator[tuple[str, FieldInfo]]:
    yield from nested_sections(Params.model_fields[section].annotation)[0].model_fields.items()


def _fixed_in(kind: type[SettingsSection], stated: Any, place: str) -> Iterator[tuple[str, Any, str, Any]]:
    for key in stated if isinstance(stated, Mapping) else ():
        field = kind.model_fields.get(key)
        below = [] if field is None else nested_sections(field.annotation)
        for nested in below:
            yield from _fixed_in(nested, stated[key], f"{place}{key}.")
        if field is not None and field.exclude and not below:
            yield f"{place}{key}", plain_default(field), str(field.description), stated[key]


def to_settings_file(settings: Mapping[str, JsonValue]) -> bytes:
    """The bytes of data/settings.json: in the order of params.yaml, as columns and search space have one."""
    return (json.dumps(settings, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def effective(root: Path, document: Mapping[str, JsonValue], name: str) -> dict[str, JsonValue]:
    """Every setting that a params.yaml called `name` means, defaults among them, as plain JSON types.

    Raises:
        BadInputError: As `load_params`.
    """
    return parse_params(resolved(root, document), name).model_dump(mode="json")


def stated_digest(document: Mapping[str, JsonValue]) -> str:
    """SHA-256 of what a params.yaml states: comments and order do not count."""
    return sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def section_names(path: Sequence[int | str]) -> list[str]:
    """The settings that there are at a place of params.yaml, such as `gate`; none where its keys are free."""
    kind: Any = Params
    for part in path:
        field = kind.model_fields.get(part)
        kind = None if field is None else next(iter(nested_sections(field.annotation)), None)
        if kind is None:
            return []
    return [name for name, field in kind.model_fields.items() if is_setting(field)]


def nested_sections(annotation: Any) -> list[type[SettingsSection]]:
    """The section that a field holds, also one that may be off; none for a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, SettingsSection):
        return [annotation]
    either = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()
    return [part for part in either if isinstance(part, type) and issubclass(part, SettingsSection)]


def setting_fields(kind: type[SettingsSection] = Params, prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every setting by its dotted key, in order; a section that is off by default is one setting."""
    for name, field in kind.model_fields.items():
        if not is_setting(field):
            continue
        below = nested_sections(field.annotation)
        if below and field.default is not None:
            yield from setting_fields(below[0], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def plain_default(field: FieldInfo) -> Any:
    """The default of a field as plain JSON types."""
    return TypeAdapter(Any).dump_python(field.default, mode="json")
