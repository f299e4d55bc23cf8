"""Binning: a number becomes the place of its bin, from 0 on, and what that loses is recorded."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from retrim.core.prepare.information import lost, target_cells
from retrim.core.prepare.step import NUMBERS, Frame, Learned, Past, Step, same, step


def _ascending(edges: tuple[float, ...]) -> tuple[float, ...]:
    if any(not low < high for low, high in pairwise(edges)):
        raise ValueError(f"{', '.join(map(str, edges))} do not ascend; write each edge once, the least first")
    return edges


Bins = Annotated[int, Field(ge=2, le=1000)]
Edges = Annotated[
    tuple[Annotated[float, Field(allow_inf_nan=False)], ...], Field(min_length=1), AfterValidator(_ascending)
]


def place(values: np.ndarray, edges: list[float]) -> np.ndarray:
    """The bin of each number, NaN for a missing one; a number at an edge belongs to the bin above."""
    return np.where(np.isnan(values), np.nan, np.searchsorted(np.array(edges), values, side="right").astype("float64"))


class _Bins(Step):
    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: place(values, state["edges"][name]) for name, values in frame.items()}


def _learned(past: Past, edges: dict[str, list[float]]) -> Learned:
    target = target_cells(past)
    said = {name: {"lost": lost(values, place(values, edges[name]), target)} for name, values in past.frame.items()}
    return Learned({"edges": edges}, same(past, "number"), said=said)


@step("bins_width", takes=NUMBERS, gives="same")
class BinsWidth(_Bins):
    """Bins of equal width over the range of the training rows; the outermost are open."""

    def learn(self, past: Past, *, bins: Bins) -> Learned:
        edges = {}
        for name, values in past.frame.items():
            there = values[~np.isnan(values)]
            low, high = (float(there.min()), float(there.max())) if len(there) else (0.0, 0.0)
            parts = np.arange(1, bins) / bins
            # By shares of either end, since their distance may be larger than any number.
            edges[name] = np.unique(low * (1 - parts) + high * parts).tolist()
        return _learned(past, edges)


@step("bins_frequency", takes=NUMBERS, gives="same")
class BinsFrequency(_Bins):
    """Bins of equally many training rows; fewer where many rows hold one value."""

    def learn(self, past: Past, *, bins: Bins) -> Learned:
        edges = {}
        for name, values in past.frame.items():
            there = np.sort(values[~np.isnan(values)])
            cuts = np.unique(there[(np.arange(1, bins) * len(there)) // bins]) if len(there) else np.zeros(0)
            edges[name] = cuts[cuts > there[:1]].tolist() if len(there) else []
        return _learned(past, edges)


@step("bins_edges", takes=NUMBERS, gives="same")
class BinsEdges(_Bins):
    """Bins between declared edges; those below the first and from the last on are open."""

    def learn(self, past: Past, *, edges: Edges) -> Learned:
        return _learned(past, {name: list(edges) for name in past.frame})
