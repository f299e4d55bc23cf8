"""Changes of unit that a column may undergo between two batches."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

ANY = (float("-inf"), float("inf"))
CELSIUS, FAHRENHEIT, KELVIN = (-90.0, 60.0), (-130.0, 140.0), (183.0, 333.0)
UNDONE = 0.25  # share of a column's distance from before that may be left once a change of unit is undone
MIDDLE = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class UnitChange:
    """A change of unit: a new value is an old one times `factor`, plus `offset`."""

    name: str
    factor: float
    offset: float = 0.0
    sure: bool = True  # hardly anything else does this to a column; growth by half again may be growth
    between: tuple[float, float] = ANY  # values that occur in the old unit: air has no 100 degrees Celsius

    def undo(self, quantiles: np.ndarray) -> np.ndarray:
        """Quantiles in the old unit, of a column with these in the new; ascending, on a symmetric grid."""
        old = (quantiles - self.offset) / self.factor
        return old[::-1] if self.factor < 0 else old


def _both(name: str, back: str, factor: float, *, sure: bool = True) -> list[UnitChange]:
    return [UnitChange(name, factor, sure=sure), UnitChange(back, 1 / factor, sure=sure)]


UNITS: tuple[UnitChange, ...] = (
    *_both("times 10", "a tenth", 10.0),
    *_both("times 100, as percent for a share", "a hundredth, as a share for percent", 100.0),
    *_both("times 1000", "a thousandth", 1000.0),
    *_both("times 1,000,000", "a millionth", 1e6),
    *_both("times 60, as minutes for hours", "a 60th, as hours for minutes", 60.0),
    *_both("times 3600, as seconds for hours", "a 3600th, as hours for seconds", 3600.0),
    *_both("times 24, as hours for days", "a 24th, as days for hours", 24.0),
    *_both("times 7, as days for weeks", "a 7th, as weeks for days", 7.0, sure=False),
    *_both("times 25.4, as millimetres for inches", "divided by 25.4, as inches for millimetres", 25.4),
    *_both("times 3.28, as feet for metres", "divided by 3.28, as metres for feet", 3.28084, sure=False),
    *_both("times 3.6, as km/h for m/s", "divided by 3.6, as m/s for km/h", 3.6, sure=False),
    *_both("times 2.2, as pounds for kilograms", "divided by 2.2, as kilograms for pounds", 2.20462, sure=False),
    *_both("times 1.61, as kilometres for miles", "divided by 1.61, as miles for kilometres", 1.609344, sure=False),
    *_both("times 28.35, as grams for ounces", "divided by 28.35, as ounces for grams", 28.3495),
    UnitChange("Fahrenheit for Celsius", 1.8, 32.0, between=CELSIUS),
    UnitChange("Celsius for Fahrenheit", 1 / 1.8, -32 / 1.8, between=FAHRENHEIT),
    UnitChange("Kelvin for Celsius", 1.0, 273.15, between=CELSIUS),
    UnitChange("Celsius for Kelvin", 1.0, -273.15, between=KELVIN),
    UnitChange("the other sign", -1.0),
)


def find_unit(before: pd.Series, now: pd.Series, *, undone: float = UNDONE) -> UnitChange | None:
    """The change of unit that turns what a column was into what it is; None if none does or it is not numeric.

    Args:
        undone: Share of the distance from before that may be left once the change is undone.
    """
    if not all(pd.api.types.is_numeric_dtype(values.dtype) and values.notna().any() for values in (before, now)):
        return None
    was, quantiles = (np.quantile(values.dropna().to_numpy("float64"), MIDDLE) for values in (before, now))
    left = [float(np.abs(unit.undo(quantiles) - was).max()) for unit in UNITS]
    least, apart = int(np.argmin(left)), float(np.abs(quantiles - was).max())
    explained = left[least] <= undone * apart and left[least] <= undone * (was[-1] - was[0])
    return UNITS[least] if apart > 0 and explained else None
