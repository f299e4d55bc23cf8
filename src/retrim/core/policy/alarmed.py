"""Drift of a window as a check sees it: by calibrated alarms, or by thresholds where none are wanted."""

from collections.abc import Callable

import pandas as pd

from retrim.core.drift.alarms import LEAST_STRETCHES
from retrim.core.drift.calibration import Calibration, calibrate
from retrim.core.drift.cells import Counts
from retrim.core.drift.findings import tests_of
from retrim.core.drift.params import DriftParams
from retrim.core.drift.profile import ColumnProfile
from retrim.core.drift.result import DRIFT_TESTS
from retrim.core.drift.scores import score_types
from retrim.core.drift.season import mean_waves
from retrim.core.drift.watched import watch
from retrim.core.policy.counted import Counted

Looked = Callable[[int, int, int | None], tuple[str, ...]]
"""Columns that drifted, from a model's place, a window, and the rows of its sliding training window."""


class Alarmed:
    """What the drift tests of params.yaml say of a window; calibrations are made once for each model and length.

    Predictions, target and joint tests are not looked at; the features have the part of the rate that a check gives
    them.

    Args:
        counted: The columns, window by window.
        params: Of the drift tests.
        every: Time between two checks.
        task: Of the model: it says how many columns the predictions are.
    """

    def __init__(self, counted: Counted, params: DriftParams, every: pd.Timedelta, *, task: str) -> None:
        self._counted, self._params = counted, params
        features = len(counted.columns)
        share = features / (features + len(params.joint.tests) + len(score_types(task)) + 1)  # 1: the target
        self._rate = None if params.alarms is None else params.alarms.rate(every) * share
        self._known: dict[tuple[int, int, int], Calibration] = {}
        self._seen = {
            name: {"missing" if DRIFT_TESTS.entry(test).facts["sees"] == "missing" else "values" for test in tests}
            for name, column in counted.columns.items()
            for tests in [tests_of(name, column, params)]
        }

    @property
    def rate(self) -> float | None:
        """False alarms of all features together for each check; None where thresholds are asked."""
        return self._rate

    def __call__(self, model: int, window: int, sliding: int | None) -> tuple[str, ...]:
        first, last = self._counted.behind(model=model, sliding_rows=sliding)
        if self._rate is None or last - first < LEAST_STRETCHES:
            return self._counted.drifted(self._over, model=model, window=window, sliding_rows=sliding)
        now = slice(*self._counted.of_window(window))
        rows = int(self._counted.rows[now].sum())
        counts = {name: column.counts[now].sum(axis=0) for name, column in self._counted.columns.items()}
        alarms = self._calibrated(first, last, rows).judge(
            counts, rate=self._rate, waves=mean_waves(self._counted.blocks.iloc[now])
        )
        alarmed = {alarm.column for alarm in alarms if alarm.alarmed and alarm.of in self._seen[alarm.column]}
        return tuple(name for name in self._counted.columns if name in alarmed)

    def _calibrated(self, first: int, last: int, rows: int) -> Calibration:
        key = (first, last, rows)
        if key not in self._known:
            alarms = self._params.alarms
            assert alarms is not None
            watched = watch(self._counted.profile(first, last))
            self._known[key] = calibrate(watched, rows=rows, draws=alarms.draws, seed=alarms.seed)
        return self._known[key]

    def _over(self, name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
        tests = tests_of(name, column, self._params)
        return any(
            float(DRIFT_TESTS[test](reference, current, **arguments).effect) > self._params.thresholds[test]
            for test, arguments in tests.items()
        )
