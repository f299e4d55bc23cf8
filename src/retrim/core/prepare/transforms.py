"""Transforms that make a long tail short: logarithm, square root, Box and Cox, Yeo and Johnson."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from retrim.core.prepare.numbers import moments
from retrim.core.prepare.sheet import held
from retrim.core.prepare.step import NUMBERS, Frame, Learned, Past, Step, same, step

BOUNDS = (-5.0, 5.0)
DIGITS = 6  # of a power that is learned: it decides nothing beyond


def _lifted(values: np.ndarray, state: Mapping[str, float]) -> np.ndarray:
    """Numbers moved by the learned shift; one below all of training is held at the least of these."""
    with np.errstate(over="ignore"):
        return held(np.maximum(values + state["shift"], state["least"]))


def _shift(values: np.ndarray, *, above: float) -> dict[str, float]:
    """What makes every known number at least `above`, or above 0 as it is; and the least number after that."""
    there = values[~np.isnan(values)]
    low = float(there.min(initial=np.inf))
    if not len(there):
        return {"shift": 0.0, "least": max(above, 1.0)}
    shift = 0.0 if low > 0 or (low == 0 and above == 0) else above - low
    return {"shift": shift, "least": max(low + shift, 0.0 if above == 0 else 5e-324)}


class _Lift(Step):
    above: float

    def learn(self, past: Past) -> Learned:
        found = {name: _shift(values, above=self.above) for name, values in past.frame.items()}
        return Learned({"columns": found}, same(past, "number"))

    def shown(self, values: np.ndarray) -> np.ndarray:
        """The transform of numbers that are large enough for it."""
        raise NotImplementedError

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: self.shown(_lifted(values, state["columns"][name])) for name, values in frame.items()}


@step("log", takes=NUMBERS, gives="same")
class Log(_Lift):
    """The natural logarithm. Where training has a number that is not above 0, all are moved so that the least is 1."""

    above = 1.0

    def shown(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(values))


@step("sqrt", takes=NUMBERS, gives="same")
class Sqrt(_Lift):
    """The square root. Where training has a negative number, all are moved so that the least is 0."""

    above = 0.0

    def shown(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(values))


def _power(score: Callable[[float], float]) -> float:
    """The power of the largest likelihood within `BOUNDS`; 1, which changes nothing, where there is none."""
    from scipy.optimize import minimize_scalar

    def loss(power: float) -> float:
        with np.errstate(all="ignore"):
            found = score(power)
        return -found if np.isfinite(found) else 1e300

    found = minimize_scalar(loss, bounds=BOUNDS, method="bounded")
    return round(float(found.x), DIGITS) if found.fun < 1e300 else 1.0


def _likelihood(values: np.ndarray, slope: float, power: float) -> float:
    """Log likelihood of a power, up to a constant; the logarithms of the slopes sum to `slope` (power - 1)."""
    spread = float(values.var())
    return -len(values) / 2 * float(np.log(spread)) + (power - 1) * slope if spread > 0 else -np.inf


def box_cox(values: np.ndarray, power: float) -> np.ndarray:
    """Of positive numbers: (x ** power - 1) / power, and the logarithm for power 0."""
    with np.errstate(over="ignore", divide="ignore"):
        logs = np.log(values)
        return logs if power == 0 else np.asarray(np.expm1(power * logs) / power)


def yeo_johnson(values: np.ndarray, power: float) -> np.ndarray:
    """Of any numbers: Box and Cox of x + 1 from 0 on, and of 1 - x with 2 - power, negated, below."""
    up, down = np.maximum(values, 0.0), np.maximum(-values, 0.0)
    return np.asarray(np.where(values < 0, -box_cox(1 + down, 2 - power), box_cox(1 + up, power)))


@step("boxcox", takes=NUMBERS, gives="same")
class BoxCox(Step):
    """The power of a number that makes the training rows most like a normal, in units of their geometric mean.

    Where training has a number that is not above 0, all are moved so that the least is 1.

    Source:
        Box and Cox (1964), An analysis of transformations, J. R. Stat. Soc. B 26, 211-252.
    """

    def learn(self, past: Past) -> Learned:
        found = {}
        for name, values in past.frame.items():
            state = _shift(values, above=1.0)
            there = _lifted(values[~np.isnan(values)], state)
            scale = float(np.exp(min(np.log(there).mean(), 700.0))) if len(there) else 1.0
            with np.errstate(over="ignore", under="ignore"):
                small = np.maximum(held(there / scale), 5e-324)
            slope = float(np.log(small).sum()) if len(small) else 0.0
            power = 1.0
            if len(np.unique(small)) > 1:
                power = _power(lambda at, x=small, s=slope: _likelihood(box_cox(x, at), s, at))  # type: ignore[misc]
            found[name] = {**state, "scale": scale, "power": power}
        return Learned(
            {"columns": found}, same(past, "number"), said={n: {"power": s["power"]} for n, s in found.items()}
        )

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            own = state["columns"][name]
            with np.errstate(over="ignore", under="ignore"):
                made[name] = box_cox(np.maximum(_lifted(values, own) / own["scale"], 5e-324), own["power"])
        return made


@step("yeojohnson", takes=NUMBERS, gives="same")
class YeoJohnson(Step):
    """The same for numbers of either sign, in units of their standard deviation.

    Source:
        Yeo and Johnson (2000), A new family of power transformations, Biometrika 87, 954-959; unlike the source numbers
        are divided by their deviation first, so that the unit of a column does not decide.
    """

    def learn(self, past: Past) -> Learned:
        found = {}
        for name, values in past.frame.items():
            spread = moments(values)
            scale = spread.sd * spread.scale or 1.0
            with np.errstate(over="ignore"):
                small = np.clip(values[~np.isnan(values)] / scale, -1e300, 1e300)
            slope = float((np.sign(small) * np.log1p(np.abs(small))).sum())
            power = 1.0
            if len(np.unique(small)) > 1:
                power = _power(lambda at, x=small, s=slope: _likelihood(yeo_johnson(x, at), s, at))  # type: ignore[misc]
            found[name] = {"scale": scale, "power": power}
        return Learned(
            {"columns": found}, same(past, "number"), said={n: {"power": s["power"]} for n, s in found.items()}
        )

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            own = state["columns"][name]
            with np.errstate(over="ignore"):
                made[name] = yeo_johnson(values / own["scale"], own["power"])
        return made
