"""How many rows judge: enough to show the gain that the checks found, four times in five, and no more.

The gate's bounds are those of Student's t over blocks. So the chance that a gain shows on N blocks is that of the
noncentral t, whose noncentrality is the gain over the noise of its mean; with many blocks it is the usual
((z_a + z_b) noise / gain)^2 blocks. Gain and noise are those of the probes' blocks in the champion's life, the error is
what the look has, and the size is no less than `gate.min_rows` and no more than `split.judge_rows`.

Source:
    Power of the one-sided paired t-test: Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.gate.losses import SAYABLE, confidence_of, non_inferiority_confidence_of
from retrim.gate.support import LOOK, ShownEvidence, Support, support_of
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import count_blocks, mean_bound
from retrim.stats.codec import Instant, written

POWER = 0.8  # "shows" is: four times in five
FEWEST_BLOCKS = 4  # that tell how noisy blocks are
KEPT_BACK = 4  # a quarter of the mature rows is what one would keep back at most, were `split.judge_rows` higher
FAR = 10_000_000  # rows; what needs more shows on no number of rows that comes
STEP = 1.02  # between numbers of rows that are tried beyond the ceiling
LOWER = (0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55)  # confidences that are tried as a cure
MORE = 4  # times as many rows halve the noise


@dataclass(frozen=True)
class ProbedEffect:
    """What probes found of a refit, as shares of the champion's mean loss."""

    gain: float  # its mean gain
    # standard deviation of the gain of one row, had rows no memory: of the mean of n rows it is that over the root of n
    noise: float
    error: float = 0.0  # standard error of the gain


@dataclass(frozen=True)
class Size:
    """The rows that judge a run, and what they can show."""

    rows: int  # newest rows that judge
    # the gain that they are to show, and its noise; None where no probe says, and the ceiling judges
    effect: ProbedEffect | None = None
    power: float | None = None  # chance that such a gain passes on them; None likewise
    # why not even the ceiling shows it four times in five, and which setting would; None where it does
    short: str | None = None

    @written
    def text(self) -> str:
        """The sentence for a person."""
        if self.effect is None or self.power is None:
            return f"{self.rows} holdout rows"
        gain = f"{self.effect.gain:.1%} (standard error {self.effect.error:.1%})"
        return self.short or f"{self.rows} holdout rows: a gain of {gain} passes {self.power:.0%} of the time"


@dataclass(frozen=True)
class GainTarget:
    """What a gain is held against."""

    gate: GateParams
    tries: int
    uses: float  # how often these rows have judged before
    support: Support | None  # what earlier checks showed; None: it does not count
    block_rows: int  # rows of a block

    @property
    def confidences(self) -> tuple[float, float]:
        """Those at which it is asked for: of the check `gain`, and of `non-inferiority`."""
        support = self.support
        eased, safer = (1.0, 1.0) if support is None else (support.gain * LOOK, support.non_inferiority * LOOK)
        safe = non_inferiority_confidence_of(self.gate, self.tries, uses=self.uses, eased=safer)
        return confidence_of(self.gate, self.tries, uses=self.uses, eased=eased), safe

    def passing(self, effect: ProbedEffect, rows: int) -> float:
        """The chance that a gain passes on that many rows, over its error: the lower of `gain` and `non-inferiority`.

        All of them ask that the mean is large, so they pass and fail together but for the noise of the noise.
        """
        from scipy.special import ndtr

        gate, (sure, safe) = self.gate, self.confidences
        blocks = count_blocks(rows, self.block_rows)
        noise = max(effect.noise / rows**0.5, 1e-12)
        wider = (1 + (effect.error / noise) ** 2) ** 0.5
        chances = [
            float(ndtr((effect.gain - gate.min_gain) / noise / wider)),
            _clear(effect.gain / noise, blocks, sure, wider),
        ]
        if gate.non_inferiority is not None:
            chances.append(_clear((effect.gain + gate.non_inferiority.most) / noise, blocks, safe, wider))
        return min(chances)


def _clear(distance: float, blocks: int, confidence: float, wider: float) -> float:
    """The chance that a t-test with this confidence is passed by a mean so far above its limit."""
    from scipy.special import nctdtr, ndtr, stdtrit

    bound, distance = float(stdtrit(blocks - 1, confidence)) / wider, distance / wider
    missed = float(nctdtr(blocks - 1, distance, bound))
    return 1 - missed if np.isfinite(missed) else float(ndtr(distance - bound))


def effect_of(shown: Sequence[ShownEvidence]) -> tuple[str, ProbedEffect] | None:
    """The training window whose refits gained most in the checks of a champion's life, and what they gained.

    Of the windows of the newest check; None where too few blocks tell, or the champion's loss is near 0.
    """
    checks = [check for check in shown if check.block_rows > 0 and len(check.champion)]
    newest = tuple(checks[-1].refits) if checks else ()
    effects = {kind: _effect_of_window([check for check in checks if kind in check.refits], kind) for kind in newest}
    known = {kind: effect for kind, effect in effects.items() if effect is not None}
    if not known:
        return None
    best = max(sorted(known), key=lambda kind: known[kind].gain)
    return best, known[best]


def _effect_of_window(shown: Sequence[ShownEvidence], kind: str) -> ProbedEffect | None:
    """What the checks that refitted on a training window found of it; None where too few blocks tell."""
    rows = np.array([check.block_rows for check in shown])
    counts = np.array([len(check.champion) for check in shown])
    if counts.sum() < FEWEST_BLOCKS or counts.max() < 2:
        return None
    total = float((counts * rows).sum())
    base = float(sum(check.champion.sum() * check.block_rows for check in shown) / total)
    saved = [check.champion - check.refits[kind] for check in shown]
    gain = float(sum(check.sum() * block for check, block in zip(saved, rows, strict=True)) / total)
    squares = sum(((check - check.mean()) ** 2).sum() * block for check, block in zip(saved, rows, strict=True))
    noise = float(np.sqrt(squares / (counts - 1).sum()))
    if base <= 0 or abs(gain) / base > SAYABLE or not np.isfinite(noise / base):
        return None
    return ProbedEffect(gain / base, noise / base, noise / total**0.5 / base)


def size_of(effect: ProbedEffect | None, target: GainTarget, *, least: int, most: int, there: int) -> Size:
    """The least number of rows, `least` to `most`, on which a gain shows four times in five."""
    if effect is None or effect.gain <= 0:
        return Size(most)
    for rows in (*range(least, most, max(target.block_rows, 1)), most):
        power = target.passing(effect, rows)
        if power >= POWER:
            return Size(rows, effect, power)
    known = replace(effect, error=0.0)
    at_most = target.passing(known, most)
    short = None if at_most >= POWER else _short(known, target, most=most, power=at_most, there=there)
    return Size(most, effect, power, short)


def _short(effect: ProbedEffect, target: GainTarget, *, most: int, power: float, there: int) -> str:
    """Why the ceiling does not show a gain, and which setting alone would."""
    needed = rows_needed(effect, target, most=most)
    noise = effect.noise / target.block_rows**0.5
    text = (
        f"on {most} holdout rows, a gain of {effect.gain:.1%} with a noise of {noise:.1%} per block of "
        f"{target.block_rows} rows passes {power:.0%} of the time; "
    )
    text += "no number of rows would suffice" if needed is None else f"{needed} rows would be needed for 80%"
    cures = [f"split.judge_rows: {needed}"] if needed is not None and needed <= there else []
    cures += _lower(effect, target, most)
    cure = f"to show it, set {', or '.join(cures)}" if cures else "no single setting would show it with so few rows"
    return f"{text}; {cure}"


def rows_holding(rarer: int, target: pd.Series, *, least: int) -> int:
    """The fewest newest rows, `least` or more, that hold that many of the rarer class; all where they do not."""
    counts = target.value_counts()
    if len(counts) < 2 or counts.iloc[-1] < rarer:
        return len(target)
    places = np.flatnonzero((target == counts.index[-1]).to_numpy()[::-1])
    return min(max(int(places[rarer - 1]) + 1, least), len(target))


def size_for(
    shown: Sequence[ShownEvidence],
    before: Sequence[ShownEvidence],
    gate: GateParams,
    *,
    tries: int,
    uses: float,
    eased: bool,
    block_rows: int,
    least: int,
    most: int,
    there: int,
) -> Size:
    """The rows that judge a run, from what the checks of a champion's life showed, in all and before the run's rows."""
    probed = effect_of(shown)
    if probed is None:
        return Size(most)
    kind, effect = probed
    non_inferiority = 0.0 if gate.non_inferiority is None else gate.non_inferiority.most
    support = support_of(before, kind, most=non_inferiority) if eased else None
    target = GainTarget(gate, tries, uses, support, block_rows)
    return size_of(effect, target, least=min(least, most), most=most, there=there)


def rows_needed(effect: ProbedEffect, target: GainTarget, *, most: int) -> int | None:
    """The rows beyond a ceiling on which a gain shows four times in five, within 2%; None where none do."""
    rows = most
    while rows < FAR:
        rows = max(int(rows * STEP), rows + 1)
        if target.passing(effect, rows) >= POWER:
            return rows
    return None


def _lower(effect: ProbedEffect, target: GainTarget, most: int) -> list[str]:
    """Thresholds of the gate of which one alone, lowered, would let the gain show on the ceiling's rows."""
    from scipy.special import ndtri

    gate = target.gate
    allowed = float(np.floor(1000 * (effect.gain - float(ndtri(POWER)) * effect.noise / most**0.5)) / 1000)
    changes: list[tuple[str, str, Any]] = (
        [("gate.min_gain", "min_gain", allowed)] if 0 <= allowed < gate.min_gain else []
    )
    changes += [("gate.confidence", "confidence", lower) for lower in LOWER if lower < gate.confidence]
    changes += [] if gate.non_inferiority is None else [("gate.non_inferiority", "non_inferiority", None)]
    cures: dict[str, str] = {}
    for name, field, value in changes:
        eased = replace(target, gate=gate.model_copy(update={field: value}))
        if name not in cures and eased.passing(effect, most) >= POWER:
            cures[name] = f"{name}: {'null' if value is None else f'{value:g}'}"
    return list(cures.values())


@dataclass(frozen=True)
class Detectable:
    """What a block of judged rows can tell apart."""

    rows: int
    gain: float  # the smallest relative gain over the champion that would pass four times in five
    more_rows: int  # four times as many
    more_gain: float  # the smallest that those would see
    by: Instant | None  # when that many rows will have come, at the pace of these; None where they have no span

    @written
    def text(self) -> str:
        """The sentence for a person."""
        when = "" if self.by is None else f" (by {self.by:%Y-%m-%d})"
        return (
            f"{self.rows} rows show a gain of {self.gain:.1%} or more; "
            f"{self.more_rows} rows{when} would show {self.more_gain:.1%} or more"
        )


def detectable(
    losses: np.ndarray,
    champion: np.ndarray,
    events: "pd.Series[pd.Timestamp]",
    gate: GateParams,
    *,
    challengers: int,
    uses: float,
    draws: int,
    block_rows: int,
    support: Support | None = None,
) -> Detectable | None:
    """The smallest gain that the gate sees four times in five on rows as noisy as these.

    A gain passes when it is at least `gate.min_gain`, its lower bound is above zero, and its surer lower bound above
    minus `gate.non_inferiority.most`. A bound lies a margin below the gain; the noise of the gain is that margin over
    the quantile it was made with.

    Args:
        losses: Of the judged challenger, in time order.
        support: What earlier checks showed of it; None where no check started the run.

    Returns:
        None below 2 rows, or where the champion's loss is so near 0 that a share of it says nothing.
    """
    from scipy.special import ndtri, stdtrit

    n, base = len(champion), float(champion.mean()) if len(champion) else 0.0
    if n < 2 or base <= 0:
        return None
    saved = champion - losses
    blocks = count_blocks(n, block_rows)
    low = mean_bound(saved, confidence=gate.confidence, block_rows=block_rows, draws=draws, seed=gate.seed)
    noise = (float(saved.mean()) - low) / base / float(stdtrit(blocks - 1, gate.confidence))
    lost = 0.0 if gate.non_inferiority is None else gate.non_inferiority.most
    confidences = GainTarget(gate, challengers, uses, support, block_rows).confidences
    margin, harmless = (noise * float(stdtrit(blocks - 1, confidence)) for confidence in confidences)
    smallest, smaller = (
        max(margin * part, harmless * part - lost, gate.min_gain) + float(ndtri(POWER)) * noise * part
        for part in (1, MORE**-0.5)
    )
    if not smallest <= SAYABLE:
        return None
    span = events.iloc[-1] - events.iloc[0]
    by = events.iloc[-1] + span * (MORE - 1) if span > pd.Timedelta(0) else None
    return Detectable(n, smallest, n * MORE, smaller, by)
