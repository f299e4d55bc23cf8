"""Preprocessing steps for numbers: scaling, transforms and bins."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from retrim.core.prepare.selection import lost, target_cells
from retrim.core.prepare.step import (
    LARGEST,
    NUMBERS,
    ColumnStep,
    Frame,
    Learned,
    Past,
    Step,
    held,
    known,
    same,
    step,
)

POWERS = (-5.0, 5.0)
"""Range of a power. Beyond it a transformed column can collapse to one number."""
DIGITS = 6
"""Decimals of a power that are kept. Processors differ beyond them."""


@step("minmax", takes=NUMBERS, gives="same")
class MinMax(ColumnStep):
    """Maps the range of the training rows to 0 and 1. Later rows may lie outside. A constant becomes 0."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import MinMaxScaler

        return [MinMaxScaler().fit(values)]


@step("zscore", takes=NUMBERS, gives="same")
class ZScore(ColumnStep):
    """Standard deviations from the mean of the training rows. A constant becomes 0."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import StandardScaler

        return [StandardScaler().fit(values)]


def lift(values: np.ndarray, state: Mapping[str, float]) -> np.ndarray:
    """Numbers moved by the learned shift. One below all of training is held at the least of these."""
    return held(np.maximum(values + state["shift"], state["least"]))


def learn_shift(values: np.ndarray, *, above: float) -> dict[str, float]:
    """The shift that raises every known number to `above`, 0 where all are above 0, and the least number after it."""
    values = values[known(values)]
    if not len(values):
        return {"shift": 0.0, "least": max(above, 1.0)}
    low = float(values.min())
    if low > 0 or low == above:
        return {"shift": 0.0, "least": low}
    return {"shift": above - low, "least": above}


class _Lift(Step):
    above: float
    function: np.ufunc

    def learn(self, past: Past) -> Learned:
        shifts = {name: learn_shift(values, above=self.above) for name, values in past.frame.items()}
        return Learned({"columns": shifts}, same(past, "number"))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: self.function(lift(values, state["columns"][name])) for name, values in frame.items()}


@step("log", takes=NUMBERS, gives="same")
class Log(_Lift):
    """The natural logarithm. If training has a number of 0 or less, all are moved so that the least is 1."""

    above, function = 1.0, np.log


@step("sqrt", takes=NUMBERS, gives="same")
class Sqrt(_Lift):
    """The square root. If training has a negative number, all are moved so that the least is 0."""

    above, function = 0.0, np.sqrt


@step("boxcox", takes=NUMBERS, gives="same")
class BoxCox(Step):
    """The power that makes the training rows most like a normal, of numbers in units of their geometric mean.

    If training has a number of 0 or less, all are moved so that the least is 1.

    Source:
        Box and Cox (1964), An analysis of transformations, J. R. Stat. Soc. B 26, 211-252.
    """

    def learn(self, past: Past) -> Learned:
        columns = {name: self._learn_column(values[known(values)]) for name, values in past.frame.items()}
        powers = {name: {"power": own["power"]} for name, own in columns.items()}
        return Learned({"columns": columns}, same(past, "number"), said=powers)

    def _learn_column(self, values: np.ndarray) -> dict[str, float]:
        from scipy.optimize import minimize_scalar

        own = learn_shift(values, above=1.0)
        own |= {"scale": float(np.exp(np.log(lift(values, own)).mean())) if len(values) else 1.0, "power": 1.0}
        logs = self._to_logs(values, own)
        if len(np.unique(logs)) < 2:
            return own
        slope = logs.mean()

        def loss(power: float) -> float:
            spread = np.log(raise_logs(logs, power).var()) / 2 - (power - 1) * slope
            return float(spread) if np.isfinite(spread) else LARGEST

        with np.errstate(all="ignore"):  # of powers that it tries and leaves
            own["power"] = round(float(minimize_scalar(loss, bounds=POWERS, method="bounded").x), DIGITS)
        return own

    def _to_logs(self, values: np.ndarray, own: Mapping[str, float]) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.asarray(np.log(np.maximum(held(lift(values, own) / own["scale"]), 1 / LARGEST)))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        columns = state["columns"]
        return {
            name: raise_logs(self._to_logs(values, columns[name]), columns[name]["power"])
            for name, values in frame.items()
        }


def raise_logs(logs: np.ndarray, power: float) -> np.ndarray:
    """(x ** power - 1) / power of the x with these logarithms; for power 0 the logarithms."""
    with np.errstate(over="ignore"):
        return logs if power == 0 else np.asarray(np.expm1(power * logs) / power)


@step("yeojohnson", takes=NUMBERS, gives="same")
class YeoJohnson(ColumnStep):
    """The same for numbers of either sign, in units of their standard deviation. A constant column stays as it is.

    Source:
        Yeo and Johnson (2000), A new family of power transformations, Biometrika 87, 954-959. Unlike the source,
        numbers are divided by their deviation first, so that the unit of a column does not decide.
    """

    def fit_column(self, values: np.ndarray) -> list[Any]:
        from sklearn.preprocessing import PowerTransformer, StandardScaler

        scaler = StandardScaler(with_mean=False).fit(values)
        scaled = scaler.transform(values)
        if not np.nanmin(scaled) < np.nanmax(scaled):
            return []
        with np.errstate(all="ignore"):  # of powers that it tries and leaves
            power = PowerTransformer(standardize=False).fit(scaled)
        power.lambdas_ = np.clip(np.round(power.lambdas_, DIGITS), *POWERS)
        return [scaler, power]

    def learn(self, past: Past) -> Learned:
        learned = super().learn(past)
        fitted = {name: records[-1]["fitted"] for name, records in learned.state["fitted"].items() if records}
        return replace(learned, said={name: {"power": own["lambdas_"][0]} for name, own in fitted.items()})


def _check_ascending(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(not low < high for low, high in pairwise(edges)):
        raise ValueError(f"{', '.join(map(str, edges))} do not ascend; write each edge once, the least first")
    return edges


Bins = Annotated[int, Field(ge=2, le=1000)]
Edges = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1), AfterValidator(_check_ascending)
]


def find_bin(values: np.ndarray, edges: list[float]) -> np.ndarray:
    """The bin of each number, NaN for a missing one. A number at an edge belongs to the bin above."""
    return np.where(known(values), np.searchsorted(np.array(edges), values, side="right").astype("float64"), np.nan)


class _Bins(Step):
    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: find_bin(values, state["edges"][name]) for name, values in frame.items()}


def _learn_bins(past: Past, edges_of: Callable[[np.ndarray], np.ndarray]) -> Learned:
    edges = {
        name: np.unique(edges_of(values[known(values)])).tolist() if known(values).any() else []
        for name, values in past.frame.items()
    }
    target = target_cells(past)
    said = {name: {"lost": lost(values, find_bin(values, edges[name]), target)} for name, values in past.frame.items()}
    return Learned({"edges": edges}, same(past, "number"), said=said)


@step("bins_width", takes=NUMBERS, gives="same")
class BinsWidth(_Bins):
    """Bins of equal width over the range of the training rows. The outermost are open."""

    def learn(self, past: Past, *, bins: Bins) -> Learned:
        def edges_of(values: np.ndarray) -> np.ndarray:
            return np.linspace(values.min(), values.max(), bins + 1)[1:-1]

        return _learn_bins(past, edges_of)


@step("bins_frequency", takes=NUMBERS, gives="same")
class BinsFrequency(_Bins):
    """Bins of equally many training rows. If many rows hold one value, there are fewer."""

    def learn(self, past: Past, *, bins: Bins) -> Learned:
        def edges_of(values: np.ndarray) -> np.ndarray:
            cuts = np.quantile(values, np.arange(1, bins) / bins, method="higher")
            return np.asarray(cuts[cuts > values.min()])

        return _learn_bins(past, edges_of)


@step("bins_edges", takes=NUMBERS, gives="same")
class BinsEdges(_Bins):
    """Bins between declared edges. The outermost are open."""

    def learn(self, past: Past, *, edges: Edges) -> Learned:
        return _learn_bins(past, lambda _: np.array(edges))
