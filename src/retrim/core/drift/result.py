"""What a drift test says, and the table the tests enter."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retrim.core.plugins import Registry


@dataclass(frozen=True)
class DriftResult:
    """One test of one column in two windows, or in many pairs of windows at once; every number is finite.

    Attributes:
        statistic: The test's own statistic, a number for each pair of windows, shape (...).
        effect: How far the windows are apart, 0 or more, whatever their sizes; thresholds are on this. Shape (...).
        p_value: Between 0 and 1, shape (...), for rows that know nothing of one another; None where the
            test has none, and where it is left to calibration.
    """

    statistic: np.ndarray
    effect: np.ndarray
    p_value: np.ndarray | None


DriftTest = Callable[..., DriftResult]  # (reference: Counts, current: Counts, *, its arguments in params.yaml)

# A test is registered with two facts. `column`: "numeric", "categorical" or "any".
# `sees`: "shape" (any change of the distribution), "missing", "new" or "vanished" (categories).
DRIFT_TESTS: Registry[DriftTest] = Registry("drift test")
