"""The section `drift` of params.yaml: which tests look at the columns, and how far is far."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator

from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JOINT_TESTS, JointParams
from retrim.drift.tests import DRIFT_TESTS
from retrim.errors import UnknownNameError
from retrim.stats.plugins import FOLLOWS, PluginRegistry, SettingsSection, arguments_of, read_arguments

Tests = dict[str, dict[str, int | float | str]]  # test -> its arguments
THRESHOLD = "threshold"
SHIPPED: Tests = {
    "psi": {"cells": 10, THRESHOLD: 0.2},
    "ks": {THRESHOLD: 0.15},
    "chi2": {THRESHOLD: 0.15},
    "psi_categories": {THRESHOLD: 0.2},
    "missing_share": {THRESHOLD: 0.05},
    "correlation": {THRESHOLD: 0.3},
    "domain": {"rounds": 10, "leaves": 8, "folds": 2, "rows": 2000, THRESHOLD: 0.2},
}


class DriftParams(SettingsSection):
    """Which drift tests run, with which thresholds."""

    tests: Tests = Field(
        default=SHIPPED,
        description=(
            "drift tests, each with its arguments and a threshold above 0 for its effect; a test of one column "
            "runs on every feature of its type and on the target; a joint test runs on all features together"
        ),
    )
    score: Tests = Field(
        exclude=True,
        default={"ks": {}},
        description=(
            "tests of the champion's predictions and confidence, if these are numbers; the default is ks, "
            "because it needs no cells"
        ),
    )
    alarms: AlarmParams | None = Field(
        default=AlarmParams(),
        description="accepted rate of false alarms; null: the thresholds in drift.tests decide instead",
    )
    joint: Annotated[JointParams, FOLLOWS] = Field(
        default=JointParams(), description="tests in drift.tests that run on all features together"
    )
    min_rows: Annotated[int, FOLLOWS] = Field(
        default=100, ge=1, description="minimum number of rows in the current window"
    )

    @model_validator(mode="before")
    @classmethod
    def _with_joint(cls, given: Any) -> Any:
        """The section with the joint tests where the stages look for them."""
        tests = given.get("tests") if isinstance(given, Mapping) else None
        joint = given.get("joint", {}) if isinstance(given, Mapping) else None
        if not isinstance(tests, Mapping) or not isinstance(joint, Mapping) or "tests" in joint:
            return given
        stated = {name: test for name, test in tests.items() if name in JOINT_TESTS and isinstance(test, Mapping)}
        return {**given, "joint": {**joint, "tests": {name: _arguments(test) for name, test in stated.items()}}}

    @model_validator(mode="after")
    def _agree(self) -> "DriftParams":
        for name, given in self.tests.items():
            tables: tuple[PluginRegistry[Any], ...] = (DRIFT_TESTS, JOINT_TESTS)
            table = next((table for table in tables if name in table), None)
            if table is None:
                known = [entry.name for plug_ins in tables for entry in plug_ins]
                raise ValueError(str(UnknownNameError("drift test", name, known)))
            kinds = {argument: kind for argument, kind in arguments_of(table[name]).items() if argument != "seed"}
            wanted = sorted(kinds)
            if sorted(_arguments(given)) != wanted:
                stated = ", ".join(sorted(_arguments(given))) or "none"
                raise ValueError(
                    f"tests.{name} has the arguments: {stated}; it must have exactly these: "
                    f"{', '.join(wanted) or 'none'}"
                )
            given.update(read_arguments(f"tests.{name}", kinds, given))
            threshold = given.get(THRESHOLD)
            if threshold is None:
                raise ValueError(f"tests.{name} has no threshold; add tests.{name}.threshold, a bound on its effect")
            if not isinstance(threshold, int | float) or not threshold > 0:
                raise ValueError(f"tests.{name}.threshold is {threshold}; write a number above 0")
        return self

    def of_columns(self, kind: str) -> Tests:
        """Tests of columns of a kind, `numeric`, `categorical` or `any`, each with its arguments."""
        fitting = {name: DRIFT_TESTS.entry(name).facts["column"] for name in self.tests if name in DRIFT_TESTS}
        return {name: _arguments(self.tests[name]) for name, column in fitting.items() if column == kind}

    def threshold_of(self, test: str) -> float:
        """The effect from which a test is over; of one that looks at predictions alone, the shipped one."""
        return float({**SHIPPED, **self.tests}[test][THRESHOLD])


def _arguments(given: Mapping[str, int | float | str]) -> dict[str, int | float | str]:
    return {key: value for key, value in given.items() if key != THRESHOLD}
