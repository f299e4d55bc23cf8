"""Units that a column is known to be mistaken in: value in the new unit = factor x value + offset."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Unit:
    """A change of unit.

    Args:
        name: In words.
        factor: Not 0.
        offset: Added after.
        sure: Whether hardly anything else does this to a column; growth by half again may be growth.
        between: Bounds of what is measured so, in the old unit: air has no 100 degrees Celsius.
    """

    name: str
    factor: float
    offset: float
    sure: bool
    between: tuple[float, float]

    def undo(self, quantiles: np.ndarray) -> np.ndarray:
        """Quantiles in the old unit, of a column with these in the new; ascending, on a symmetric grid."""
        old = (quantiles - self.offset) / self.factor
        return old[::-1] if self.factor < 0 else old


ANY = (float("-inf"), float("inf"))
CELSIUS, FAHRENHEIT, KELVIN = (-90.0, 60.0), (-130.0, 140.0), (183.0, 333.0)


def _both(name: str, back: str, factor: float, *, sure: bool) -> list[Unit]:
    return [Unit(name, factor, 0.0, sure, ANY), Unit(back, 1 / factor, 0.0, sure, ANY)]


UNITS: tuple[Unit, ...] = (
    *_both("times 10", "a tenth", 10.0, sure=True),
    *_both("times 100, as percent for a share", "a hundredth, as a share for percent", 100.0, sure=True),
    *_both("times 1000", "a thousandth", 1000.0, sure=True),
    *_both("times 1,000,000", "a millionth", 1e6, sure=True),
    *_both("times 60, as minutes for hours", "a 60th, as hours for minutes", 60.0, sure=True),
    *_both("times 3600, as seconds for hours", "a 3600th, as hours for seconds", 3600.0, sure=True),
    *_both("times 24, as hours for days", "a 24th, as days for hours", 24.0, sure=True),
    *_both("times 7, as days for weeks", "a 7th, as weeks for days", 7.0, sure=False),
    *_both("times 25.4, as millimetres for inches", "divided by 25.4, as inches for millimetres", 25.4, sure=True),
    *_both("times 3.28, as feet for metres", "divided by 3.28, as metres for feet", 3.28084, sure=False),
    *_both("times 3.6, as km/h for m/s", "divided by 3.6, as m/s for km/h", 3.6, sure=False),
    *_both("times 2.2, as pounds for kilograms", "divided by 2.2, as kilograms for pounds", 2.20462, sure=False),
    *_both("times 1.61, as kilometres for miles", "divided by 1.61, as miles for kilometres", 1.609344, sure=False),
    *_both("times 28.35, as grams for ounces", "divided by 28.35, as ounces for grams", 28.3495, sure=True),
    Unit("Fahrenheit for Celsius", 1.8, 32.0, sure=True, between=CELSIUS),
    Unit("Celsius for Fahrenheit", 1 / 1.8, -32 / 1.8, sure=True, between=FAHRENHEIT),
    Unit("Kelvin for Celsius", 1.0, 273.15, sure=True, between=CELSIUS),
    Unit("Celsius for Kelvin", 1.0, -273.15, sure=True, between=KELVIN),
    Unit("the other sign", -1.0, 0.0, sure=True, between=ANY),
)
