"""Calibration: what is known of windows of that many rows, so that alarms keep a rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from retrim.drift.alarms import Alarm, Null, promise
from retrim.drift.contrasts import MISSING
from retrim.drift.reference import draw
from retrim.drift.watched import ContrastNoise, ContrastReference, measure_deviation, noise_of, shift_of

SEEN = 0.8  # probability with which the smallest shift is seen


@dataclass(frozen=True)
class WindowCalibration:
    """What is needed to judge windows of that many rows."""

    watched: ContrastReference
    noise: ContrastNoise  # of windows of that many rows
    null: Null  # how far they stray while nothing drifts
    rows: int  # of the window

    def strayed(self, shift: np.ndarray) -> np.ndarray:
        """How far contrasts that shifted by so much strayed, shape (..., J)."""
        return measure_deviation(self.watched, shift, self.noise, self.rows)

    def judge(self, window: Mapping[str, np.ndarray], *, rate: float, waves: np.ndarray | None = None) -> list[Alarm]:
        """What the values of each column of a window say, and its missing ones, by the contrast that strayed furthest.

        Args:
            window: Rows in each cell by column, shape (cells + 1,).
            waves: Means of the waves of the year over its rows; None: no season counts.
        """
        watched = self.watched
        shift = watched.means_of(window, self.rows) - watched.expected(waves)
        far, smallest = self.strayed(shift), self.smallest(rate)
        kinds: tuple[tuple[Literal["values", "missing"], np.ndarray], ...] = (
            ("values", watched.name != MISSING),
            ("missing", watched.name == MISSING),
        )
        alarms = []
        for (number, name), (of, kind) in product(enumerate(watched.weights), kinds):
            contrasts = np.flatnonzero((watched.column == number) & kind)
            if not len(contrasts):
                continue
            j = int(contrasts[np.argmax(far[contrasts])])
            p, reach = float(self.null.p_value(far[j])), float(watched.reach[j])
            looked_at = str(watched.name[j]), str(watched.unit[j])
            shifts = float(shift[j]), float(smallest[j])
            alarms.append(Alarm(name, of, *looked_at, *shifts, p, p <= rate, promise(rate, reach), reach))
        return alarms

    def smallest(self, rate: float) -> np.ndarray:
        """The shift of each contrast that is seen with probability 0.8, in its unit, shape (J,)."""
        from scipy.special import ndtri

        p = np.exp(-self.null.threshold(rate)) * self.watched.budget
        free = self.noise.freedom
        normal = -ndtri(np.minimum(p / 2, 0.5)) * (8 * free + 3) / (8 * free + 1)
        t = np.sqrt(free * np.expm1(np.minimum(normal**2 / free, 50)))
        return shift_of(self.watched, t + float(ndtri(SEEN)), self.noise, self.rows)


def calibrate(watched: ContrastReference, *, rows: int, draws: int, seed: int) -> WindowCalibration:
    """How far windows of `rows` rows, 1 or more, stray from the reference while nothing drifts, drawn now."""
    noise = noise_of(watched, rows)
    return WindowCalibration(watched, noise, draw(watched, noise, rows=rows, draws=draws, seed=seed), rows)
