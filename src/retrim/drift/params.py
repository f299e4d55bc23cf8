"""The section `drift` of params.yaml: which tests look at which columns, and how far is far."""

import inspect
from typing import Any

from pydantic import Field, model_validator

from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JOINT_TESTS, JointParams
from retrim.drift.tests import DRIFT_TESTS
from retrim.errors import UnknownNameError
from retrim.stats.plugins import SettingsSection

Tests = dict[str, dict[str, int | float | str]]  # test -> its arguments


class DriftParams(SettingsSection):
    """Which tests look at which columns, and how far is far."""

    numeric: Tests = Field(
        default={"psi": {"cells": 10}, "ks": {}},
        description="tests of each number and integer feature, and of such a target",
    )
    categorical: Tests = Field(
        default={"chi2": {}, "psi_categories": {}},
        description="tests of each category feature, and of such a target or prediction",
    )
    missing: Tests = Field(default={"missing_share": {}}, description="tests of each feature, of any type")
    score: Tests = Field(
        default={"ks": {}}, description="tests of the champion's predictions and confidence, where they are numbers"
    )
    thresholds: dict[str, float] = Field(
        default={
            "psi": 0.2,
            "ks": 0.15,
            "chi2": 0.15,
            "psi_categories": 0.2,
            "missing_share": 0.05,
            "correlation": 0.3,
            "domain": 0.2,
        },
        description="of each test, on its effect; above 0",
    )
    joint: JointParams = Field(default=JointParams(), description="tests of all features together")
    alarms: AlarmParams | None = Field(
        default=AlarmParams(), description="false alarms that are wanted; null: over is by thresholds"
    )
    min_rows: int = Field(default=100, ge=1, description="rows of the current window, at least")

    @model_validator(mode="after")
    def _agree(self) -> "DriftParams":
        allowed = {
            "numeric": ("numeric", "any"),
            "categorical": ("categorical", "any"),
            "missing": ("any",),
            "score": ("numeric", "any"),
        }
        for section, columns in allowed.items():
            for name, arguments in getattr(self, section).items():
                self._check(section, name, arguments, columns)
        for name in self.joint.tests:
            if name not in self.thresholds:
                raise ValueError(f"joint.tests.{name} has no threshold; add thresholds.{name}, on its effect")
        for name, threshold in self.thresholds.items():
            if name not in JOINT_TESTS:
                _check_known(name)
            if not threshold > 0:
                raise ValueError(f"thresholds.{name} is {threshold}; a threshold is above 0")
        return self

    def _check(self, section: str, name: str, arguments: dict[str, Any], columns: tuple[str, ...]) -> None:
        _check_known(name)
        entry = DRIFT_TESTS.entry(name)
        if entry.facts["column"] not in columns:
            fitting = ", ".join(e.name for e in DRIFT_TESTS if e.facts["column"] in columns)
            raise ValueError(f"{section}: {name!r} is a test of {entry.facts['column']} columns; here go: {fitting}")
        wanted = [p.name for p in inspect.signature(entry.value).parameters.values() if p.kind is p.KEYWORD_ONLY]
        if sorted(arguments) != sorted(wanted):
            given = ", ".join(sorted(arguments)) or "none"
            raise ValueError(f"{section}.{name} has the arguments: {given}; it takes: {', '.join(wanted) or 'none'}")
        if name not in self.thresholds:
            raise ValueError(f"{section}.{name} has no threshold; add thresholds.{name}, on its effect")


def _check_known(name: str) -> None:
    try:
        DRIFT_TESTS.entry(name)
    except UnknownNameError as wrong:
        raise ValueError(str(wrong)) from wrong
