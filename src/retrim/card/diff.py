"""What differs between two versions, part by part: settings, packages, features, steps, predictions."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from retrim.features.fitted import FittedStep
from retrim.features.view import FeatureView

LONG = 200
"""Characters of a value as JSON above which its size and digest stand for it."""


def flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """A nested mapping by its dotted keys; a list is a value, and so is an empty mapping."""
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{below}": each for below, each in flat(value).items()}
        else:
            found[str(name)] = value
    return found


def changes(older: Mapping[str, Any], newer: Mapping[str, Any]) -> dict[str, list[Any]]:
    """What differs, by key: the older and the newer value, None where there is none."""
    keys = sorted(set(older) | set(newer))
    return {key: [older.get(key), newer.get(key)] for key in keys if older.get(key) != newer.get(key)}


def packages(lock: str) -> dict[str, str]:
    """Package to version, of a compiled list of requirements; hashes and markers are passed over.

    A wheel of retrim that is the code of its workspace is told from others of its version by its hash.
    """
    found = re.findall(r"(?m)^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock)
    own = re.findall(r"(?m)^\./\S+/(retrim)-([^-\s]+)-py3-none-any\.whl --hash=sha256:(\w{12})", lock)
    found += [(name, f"{version} ({digest})") for name, version, digest in own]
    return {name.lower(): version for name, version in found}


def feature_changes(older: FeatureView, newer: FeatureView) -> dict[str, Any]:
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
    return {
        "added": {name: kind for name, kind in newer.features.items() if name not in older.features},
        "gone": {name: kind for name, kind in older.features.items() if name not in newer.features},
        "types": {
            name: [older.features[name], newer.features[name]]
            for name in both
            if older.features[name] != newer.features[name]
        },
        "levels": levels,
        "classes": classes if classes["came"] or classes["gone"] else None,
        "columns": columns if (older.steps or newer.steps) and (columns["came"] or columns["gone"]) else None,
    }


def step_changes(older: FeatureView, newer: FeatureView) -> list[dict[str, Any]]:
    """Steps of preparation that came or went, and those that both have and that learned something else.

    Returns:
        `step` with its columns, `change` (came, gone, other) and, of the last, `learned`: both values by key, such as
        `moments.km`; a long value as the start of its SHA-256.
    """
    before, after = (_numbered(view.steps) for view in (older, newer))
    found: list[dict[str, Any]] = []
    for title, number in dict.fromkeys([*before, *after]):
        said = {"step": title if number == 1 else f"{title} (again)"}
        sides = [steps.get((title, number)) for steps in (before, after)]
        if sides[0] is None or sides[1] is None:
            found.append({**said, "change": "came" if sides[0] is None else "gone", "learned": None})
            continue
        learned = changes(*(_learned(step) for step in sides if step is not None))
        if learned:
            short = {key: [_brief(value) for value in pair] for key, pair in learned.items()}
            found.append({**said, "change": "other", "learned": short})
    return found


def _numbered(steps: tuple[FittedStep, ...]) -> dict[tuple[str, int], FittedStep]:
    """Steps by name and columns, and how often that has come."""
    counted: Counter[str] = Counter()
    found = {}
    for step in steps:
        title = f"{step.declared.step} of {', '.join(step.columns)}"
        counted[title] += 1
        found[title, counted[title]] = step
    return found


def _learned(step: FittedStep) -> dict[str, Any]:
    """Settings, and what was learned: a value by column where it is kept so, and no deeper."""
    found: dict[str, Any] = dict(step.declared.arguments)
    for name, value in step.state.items():
        by_column = isinstance(value, dict)
        found |= {f"{name}.{below}": each for below, each in value.items()} if by_column else {name: value}
    return found | {"makes": sorted(step.makes), "takes out": sorted(step.drops)}


def _brief(value: Any) -> Any:
    text = json.dumps(value, sort_keys=True)
    if len(text) <= LONG:
        return value
    size = f"{len(value)} values" if isinstance(value, list | tuple | dict) else f"{len(text)} characters"
    return f"{size}, SHA-256 {sha256(text.encode()).hexdigest()[:8]}"


def _came_and_went(older: tuple[str, ...], newer: tuple[str, ...]) -> dict[str, list[str]]:
    return {"came": [e for e in newer if e not in older], "gone": [e for e in older if e not in newer]}


def moved(older: np.ndarray, newer: np.ndarray, older_view: FeatureView, newer_view: FeatureView) -> np.ndarray:
    """By how much each prediction moved, shape (n,): a difference, or the share of probability that changed class.

    Args:
        older: Predictions of one version, shape (n,) or (n, its classes).
        newer: Those of the other, on the same rows.
        older_view: Names the classes.
        newer_view: As above.
    """
    if older.ndim == 1:
        return np.asarray(np.abs(newer - older))
    names = sorted({*older_view.classes, *newer_view.classes})
    wide = [
        pd.DataFrame(each, columns=list(view.classes)).reindex(columns=names, fill_value=0.0).to_numpy()
        for each, view in ((older, older_view), (newer, newer_view))
    ]
    return np.asarray(np.abs(wide[1] - wide[0]).sum(axis=1) / 2)


def said(predicted: Any, view: FeatureView) -> dict[str, Any]:
    """One prediction as a record: `value`, and of a classifier the `class` that it names with its probability."""
    if view.task == "regression":
        return {"value": float(predicted)}
    if view.task == "binary":
        return {"class": view.classes[-1], "value": float(predicted)}
    place = int(np.argmax(predicted))
    return {"class": view.classes[place], "value": float(predicted[place])}
