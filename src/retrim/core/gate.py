"""The gate: challengers and champion on the same rows. Closed unless every check passes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import Field

from retrim.core.resample import mean_bound
from retrim.core.section import Section, SomeSpan
from retrim.core.windows import spans

SAYABLE = 1000.0
"""A share beyond this, or below minus it, is no figure for a sentence: the loss it is a share of is all but 0."""


class GateParams(Section):
    """What a challenger must show."""

    min_rows: int = Field(ge=2, description="judging rows, at least")
    min_gain: float = Field(ge=0, lt=1, description="relative gain over the champion, at least")
    confidence: float = Field(gt=0.5, lt=1, description="one-sided confidence that the gain is above zero")
    folds: int = Field(ge=1, description="equal spans of the judging block")
    worst_fold: float = Field(ge=0, description="share that the challenger may lose to the champion in any of them")
    floor: tuple[str, ...] = Field(min_length=1, description="naive baselines a model must beat")
    season: SomeSpan = Field(description="one season of the seasonal mean")
    season_cells: int = Field(ge=1, description="parts a season is cut into")
    seed: int = Field(ge=0, description="of the bootstrap")


@dataclass(frozen=True)
class Check:
    """One line of a verdict: the figure, what it is held against, and a sentence."""

    name: str
    passed: bool
    figure: float
    threshold: float
    text: str

    def as_record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "passed": self.passed,
            "figure": self.figure,
            "threshold": self.threshold,
            "text": self.text,
        }


@dataclass(frozen=True)
class Verdict:
    """The gate's answer, with every check it made.

    Args:
        winner: The challenger with the least loss on the judging rows.
        checks: All of them; every check runs, also after one has failed.
        losses: Mean loss on the judging rows: challengers, baselines, and `champion` where there is one.
        rows: Judging rows.
    """

    winner: str
    checks: tuple[Check, ...]
    losses: dict[str, float]
    rows: int

    @property
    def promote(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reason(self) -> str:
        """What decided, in a sentence: every check that failed, else the gain over the champion or the floor."""
        failed = [check.text for check in self.checks if not check.passed]
        if failed:
            return "; ".join(failed)
        weightiest = min(self.checks, key=lambda check: (check.name != "gain", not check.name.startswith("floor")))
        return f"all {len(self.checks)} checks passed; {weightiest.text}"

    def as_record(self) -> dict[str, Any]:
        return {
            "winner": self.winner,
            "promote": self.promote,
            "reason": self.reason,
            "checks": [check.as_record() for check in self.checks],
            "losses": self.losses,
            "rows": self.rows,
        }


def judge(
    challengers: Mapping[str, np.ndarray],
    champion: np.ndarray | None,
    floors: Mapping[str, np.ndarray],
    gate: GateParams,
    *,
    draws: int,
    block_rows: int,
    rivals: int = 0,
) -> Verdict:
    """The verdict on the best challenger.

    With k challengers the winner is the best of k tries, so its gain is asked for at
    confidence 1 - (1 - c) / k (Bonferroni).

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The same of the champion; None before the first version.
        floors: The same of the naive baselines.
        gate: Thresholds.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
        rivals: Others that compete on the same rows and are not among `challengers`: they count in k.
    """
    means = {name: float(np.mean(losses)) if len(losses) else float("inf") for name, losses in challengers.items()}
    winner = min(sorted(means), key=lambda name: means[name])
    losses = challengers[winner]
    confidence = 1 - (1 - gate.confidence) / (len(challengers) + rivals)
    checks = [_enough_rows(len(losses), gate)]
    every = dict(floors) if champion is None else {"champion": champion, **floors}
    if len(losses):
        if champion is not None:
            checks += [
                _gain(losses, champion, gate, confidence=confidence, draws=draws, block_rows=block_rows),
                _worst_fold(losses, champion, gate),
            ]
        for name in floors:
            checks.append(
                _floor(name, losses, floors[name], gate, confidence=confidence, draws=draws, block_rows=block_rows)
            )
    means |= {name: float(np.mean(values)) for name, values in every.items() if len(values)}
    return Verdict(
        winner, tuple(checks), {name: loss for name, loss in means.items() if np.isfinite(loss)}, len(losses)
    )


def _enough_rows(rows: int, gate: GateParams) -> Check:
    text = f"{rows} judging rows, at least {gate.min_rows} needed"
    if rows < gate.min_rows:
        text += f": {gate.min_rows - rows} are missing"
    return Check("rows", rows >= gate.min_rows, rows, gate.min_rows, text)


def _gain(
    losses: np.ndarray, champion: np.ndarray, gate: GateParams, *, confidence: float, draws: int, block_rows: int
) -> Check:
    gain, low = _relative_gain(
        losses, champion, confidence=confidence, draws=draws, block_rows=block_rows, seed=gate.seed
    )
    passed = gain >= gate.min_gain and low > 0
    said = _compared("the champion", gain, low, losses, champion, confidence=confidence)
    text = f"{said} ({gate.min_gain:.1%} and 0 needed)"
    return Check("gain", passed, gain, gate.min_gain, text)


def _worst_fold(losses: np.ndarray, champion: np.ndarray, gate: GateParams) -> Check:
    parts = spans(len(losses), gate.folds)
    worst = max(_share(float((losses[part] - champion[part]).mean()), float(champion[part].mean())) for part in parts)
    shown = f"{worst:+.1%}" if worst <= SAYABLE else f"beyond {SAYABLE:+.0%}"
    text = f"worst of {len(parts)} folds {shown} against the champion's loss, at most {gate.worst_fold:+.1%}"
    return Check("worst fold", worst <= gate.worst_fold, worst, gate.worst_fold, text)


def _floor(
    name: str,
    losses: np.ndarray,
    floor: np.ndarray,
    gate: GateParams,
    *,
    confidence: float,
    draws: int,
    block_rows: int,
) -> Check:
    gain, low = _relative_gain(losses, floor, confidence=confidence, draws=draws, block_rows=block_rows, seed=gate.seed)
    shown = name.replace("_", " ")
    said = _compared(f"the naive {shown}", gain, low, losses, floor, confidence=confidence)
    text = f"{said} (0 needed)"
    return Check(f"floor: {shown}", low > 0, low, 0.0, text)


def _compared(
    other: str, gain: float, low: float, losses: np.ndarray, its_losses: np.ndarray, *, confidence: float
) -> str:
    """Gain and bound in words; the losses themselves where the other's is so near 0 that a share of it says nothing."""
    if max(abs(gain), abs(low)) <= SAYABLE:
        return f"gain over {other} {gain:.1%}, above {low:.1%} with {confidence:.1%} confidence"
    word = "no gain" if gain < 0 else "no certain gain"
    return f"{word} over {other}: mean loss {losses.mean():.4g} against {its_losses.mean():.4g}"


def _relative_gain(
    losses: np.ndarray, other: np.ndarray, *, confidence: float, draws: int, block_rows: int, seed: int
) -> tuple[float, float]:
    """Gain of `losses` over `other` as a share of the mean of `other`, and its lower bound. Paired."""
    saved = other - losses
    low = mean_bound(saved, confidence=confidence, block_rows=block_rows, draws=draws, seed=seed)
    base = float(other.mean())
    return _share(float(saved.mean()), base), _share(low, base)


def _share(part: float, whole: float) -> float:
    """`part` of `whole`, within what a float holds: a loss of 0 is as much as any number above it."""
    if part == 0:
        return 0.0
    largest = float(np.finfo(float).max)
    return float(np.clip(part / whole if whole else np.sign(part) * largest, -largest, largest))
