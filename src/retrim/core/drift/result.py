"""What a drift test says, and the table the tests enter."""

from collections.abc import Callable
from dataclasses import dataclass

from retrim.core.plugins import Registry


@dataclass(frozen=True)
class DriftResult:
    """One test of one column in two windows; every number is finite.

    Attributes:
        statistic: The test's own statistic.
        effect: How far the windows are apart, 0 or more, whatever their sizes; thresholds are on this.
        p_value: Between 0 and 1; None where the test has none.
    """

    statistic: float
    effect: float
    p_value: float | None


DriftTest = Callable[..., DriftResult]  # (reference, current, *, its arguments in params.yaml)

# A test is registered with the fact `column`: "numeric", "categorical" or "any".
DRIFT_TESTS: Registry[DriftTest] = Registry("drift test")
