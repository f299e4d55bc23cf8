"""What differs between two versions, part by part: settings, packages, features, steps, predictions."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.drift.slices import SliceLoss
from retrim.features.fitted import FittedStep
from retrim.features.view import FeatureView
from retrim.stats.codec import Absent, key

Pair = tuple[Any, Any]
"""A value as the older version has it, and as the newer one."""
LONG = 200
"""Characters of a value as JSON above which its size and digest stand for it."""


@dataclass(frozen=True)
class CameAndWent:
    """Names that only the newer version has, and names that only the older one has."""

    came: tuple[str, ...]
    gone: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        return not (self.came or self.gone)


@dataclass(frozen=True)
class FeatureChanges:
    """Differences between two feature views.

    Args:
        added: Features that only the newer version has, with their types.
        gone: Features that only the older version has, with their types.
        types: Features whose type differs, with both types.
        levels: Category levels that differ, by feature.
        classes: Classes of the target that differ; None if they are the same.
        columns: Prepared columns that differ; None if they are the same, or neither version prepares any.
    """

    added: dict[str, str]
    gone: dict[str, str]
    types: dict[str, tuple[str, str]]
    levels: dict[str, CameAndWent]
    classes: CameAndWent | None
    columns: CameAndWent | None


@dataclass(frozen=True)
class StepChange:
    """A preprocessing step that differs: `came`, `gone`, or `other` with both values of each fitted parameter."""

    step: str
    change: str
    learned: dict[str, Pair] | None


@dataclass(frozen=True)
class NamedPrediction:
    """A prediction: a number, or a class with its probability."""

    value: float
    named: Annotated[Absent[str], key("class")] = None


@dataclass(frozen=True)
class MovedRow:
    """A row whose prediction changed, and by how much."""

    key: str
    event: str
    actual: str | float
    older: Annotated[NamedPrediction, key("from")]
    newer: Annotated[NamedPrediction, key("to")]
    by: float


@dataclass(frozen=True)
class ComparedRows:
    """Rows that two versions are compared on, and the version whose holdout rows they are."""

    block_of: int
    rows: int
    since: Annotated[str, key("from")]
    until: str
    loss: str


@dataclass(frozen=True)
class DiffRows:
    """What one of the two versions was made from.

    Args:
        as_of: As-of date of its run.
        raw_digest: Digest of the raw batches; None if it is not known.
        rows: Mature rows by part.
        window: Training window.
        trained_rows: Rows that it was fitted on.
        trained_from: Event time of the oldest of these rows.
        trained_until: Event time of the newest of these rows.
        judged_from: Event time of the first holdout row; None if there are none.
        judged_until: Event time of the newest row.
        mode: Mode of its run.
        champion: The version that it was compared with; None if none was live.
        model_sha256: SHA-256 of its model.
    """

    as_of: str
    raw_digest: str | None
    rows: dict[str, int]
    window: str
    trained_rows: int
    trained_from: str
    trained_until: str
    judged_from: str | None
    judged_until: str
    mode: str | None
    champion: int | None
    model_sha256: str


@dataclass(frozen=True)
class DiffBatch:
    """A batch that only one of the two versions was made with."""

    batch: str
    kind: str
    rows: int
    arrived: str


@dataclass(frozen=True)
class DiffData:
    """The data of both versions, whether the raw data are the same (None: not known), and the batches that differ."""

    older: Annotated[DiffRows, key("from")]
    newer: Annotated[DiffRows, key("to")]
    same: bool | None
    came: tuple[DiffBatch, ...]
    gone: tuple[DiffBatch, ...]


@dataclass(frozen=True)
class ChangedLines:
    """A file that differs, with the number of lines added and removed; None if it is not text."""

    file: str
    added: int | None
    removed: int | None


@dataclass(frozen=True)
class DiffCode:
    """The two commits, and the files that differ."""

    older: Annotated[str, key("from")]
    newer: Annotated[str, key("to")]
    files: tuple[ChangedLines, ...]


@dataclass(frozen=True)
class DiffEnvironment:
    """Python and platform of both versions, and packages that differ; None: not known."""

    python: tuple[str | None, str | None]
    platform: tuple[str | None, str | None]
    packages: dict[str, Pair] | None


@dataclass(frozen=True)
class VersionDiff:
    """Differences between two versions. What cannot be compared is None, with a sentence under `notes`.

    Args:
        older: The older version.
        newer: The newer version.
        data: As-of dates, windows, rows by part, digests, and the batches that differ.
        code: Files that differ between the two commits, with lines added and removed.
        parameters: Keys of params.yaml that differ, with both values.
        hyperparameters: Hyperparameters and rounds that differ.
        features: Features that were added, were removed or changed type; category levels that were added or removed.
        steps: Preprocessing steps that were added, were removed, or have other fitted parameters.
        environment: Packages, Python and platform that differ.
        notes: What could not be compared, and why.
        rows: Rows that both versions are compared on.
        metrics: Metrics of both versions.
        slices: Losses of both versions, by slice.
        moved: Rows whose prediction changed most.
    """

    older: Annotated[int, key("from")]
    newer: Annotated[int, key("to")]
    data: DiffData
    code: DiffCode | None
    parameters: dict[str, Pair] | None
    hyperparameters: dict[str, Pair]
    features: FeatureChanges
    steps: tuple[StepChange, ...]
    environment: DiffEnvironment
    notes: tuple[str, ...]
    rows: ComparedRows | None
    metrics: dict[str, dict[str, float]] | None
    slices: tuple[SliceLoss, ...]
    moved: tuple[MovedRow, ...]


def flat(document: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """A nested mapping by its dotted keys; a list is a value, and so is an empty mapping."""
    values: dict[str, JsonValue] = {}
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            values |= {f"{name}.{below}": inner for below, inner in flat(value).items()}
        else:
            values[str(name)] = value
    return values


def changes(older: Mapping[str, JsonValue], newer: Mapping[str, JsonValue]) -> dict[str, Pair]:
    """What differs, by key: the older and the newer value, None where there is none."""
    keys = sorted(set(older) | set(newer))
    return {key: (older.get(key), newer.get(key)) for key in keys if older.get(key) != newer.get(key)}


def packages(lock: str) -> dict[str, str]:
    """Package to version, of a compiled list of requirements; hashes and markers are passed over.

    A wheel of retrim that is the code of its workspace is told from others of its version by its hash.
    """
    packages = re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock)
    wheels = re.findall(r"(?m)^\./\S+/(retrim)-([^-\s]+)-py3-none-any\.whl --hash=sha256:(\w{12})", lock)
    packages += [(name, f"{version} ({digest})") for name, version, digest in wheels]
    return {name.lower(): version for name, version in packages}


def feature_changes(older: FeatureView, newer: FeatureView) -> FeatureChanges:
    """Features added, gone or of another type; category levels, classes and prepared columns that came or went."""
    both = [name for name in older.features if name in newer.features]
    levels = {
        name: _came_and_went(older.levels.get(name, ()), newer.levels.get(name, ()))
        for name in both
        if older.levels.get(name, ()) != newer.levels.get(name, ())
        and all(name in view.levels or view.features[name] != "category" for view in (older, newer))  # else prepared
    }
    classes = _came_and_went(older.classes, newer.classes)
    columns = _came_and_went(tuple(older.columns), tuple(newer.columns))
    return FeatureChanges(
        added={name: kind for name, kind in newer.features.items() if name not in older.features},
        gone={name: kind for name, kind in older.features.items() if name not in newer.features},
        types={
            name: (older.features[name], newer.features[name])
            for name in both
            if older.features[name] != newer.features[name]
        },
        levels=levels,
        classes=None if classes.is_empty else classes,
        columns=columns if (older.steps or newer.steps) and not columns.is_empty else None,
    )


def step_changes(older: FeatureView, newer: FeatureView) -> tuple[StepChange, ...]:
    """Steps of preparation that came or went, and those that both have and that learned something else.

    What was learned has both values by key, such as `moments.km`; a long value as the start of its SHA-256.
    """
    before, after = (_numbered(view.steps) for view in (older, newer))
    changed_steps: list[StepChange] = []
    for title, number in dict.fromkeys([*before, *after]):
        name = title if number == 1 else f"{title} (again)"
        sides = [steps.get((title, number)) for steps in (before, after)]
        if sides[0] is None or sides[1] is None:
            changed_steps.append(StepChange(name, "came" if sides[0] is None else "gone", None))
            continue
        learned = changes(*(_learned(step) for step in sides if step is not None))
        if learned:
            short = {what: (_brief(before), _brief(after)) for what, (before, after) in learned.items()}
            changed_steps.append(StepChange(name, "other", short))
    return tuple(changed_steps)


def _numbered(steps: tuple[FittedStep, ...]) -> dict[tuple[str, int], FittedStep]:
    """Steps by name and columns, and how often that has come."""
    counts: Counter[str] = Counter()
    numbered = {}
    for step in steps:
        title = f"{step.declared.step} of {', '.join(step.columns)}"
        counts[title] += 1
        numbered[title, counts[title]] = step
    return numbered


def _learned(step: FittedStep) -> dict[str, JsonValue]:
    """Settings, and what was learned: a value by column where it is kept so, and no deeper."""
    facts: dict[str, JsonValue] = dict(step.declared.arguments)
    for name, value in step.state.items():
        facts |= (
            {f"{name}.{below}": inner for below, inner in value.items()} if isinstance(value, dict) else {name: value}
        )
    return {**facts, "makes": [*sorted(column.name for column in step.makes)], "takes out": [*sorted(step.drops)]}


def _brief(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    if len(text) <= LONG:
        return value
    size = f"{len(value)} values" if isinstance(value, list | tuple | dict) else f"{len(text)} characters"
    return f"{size}, SHA-256 {sha256(text.encode()).hexdigest()[:8]}"


def _came_and_went(older: tuple[str, ...], newer: tuple[str, ...]) -> CameAndWent:
    return CameAndWent(tuple(e for e in newer if e not in older), tuple(e for e in older if e not in newer))


def moved(older: np.ndarray, newer: np.ndarray, older_view: FeatureView, newer_view: FeatureView) -> np.ndarray:
    """By how much each prediction moved, shape (n,): a difference, or the share of probability that changed class.

    Args:
        older: Predictions of one version, shape (n,) or (n, its classes).
    """
    if older.ndim == 1:
        return np.asarray(np.abs(newer - older))
    names = sorted({*older_view.classes, *newer_view.classes})
    wide = [
        pd.DataFrame(shares, columns=list(view.classes)).reindex(columns=names, fill_value=0.0).to_numpy()
        for shares, view in ((older, older_view), (newer, newer_view))
    ]
    return np.asarray(np.abs(wide[1] - wide[0]).sum(axis=1) / 2)


def named_prediction(predicted: Any, view: FeatureView) -> NamedPrediction:
    """One prediction, and of a classifier the class that it names with its probability."""
    if view.task == "regression":
        return NamedPrediction(float(predicted))
    if view.task == "binary":
        return NamedPrediction(float(predicted), view.classes[-1])
    best = int(np.argmax(predicted))
    return NamedPrediction(float(predicted[best]), view.classes[best])
