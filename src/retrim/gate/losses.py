"""What losses alone say of a challenger: its gain over another model as a share, with bounds, and the checks of it.

`gain`, `non-inferiority` and `baseline`: better than champion and naive forecasts, and not by chance. `worst fold`: the
worst span of time. `rows`: whether enough rows judge. `re-use`: rows that have judged before are asked for more. The
best of several challengers is held to its gain without the luck that made it the best.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd

from retrim.gate.support import EASIEST, LOOK, Support, supported
from retrim.gate.verdict import Check, GateParams, Verdict
from retrim.stats.bootstrap import Resampling, block_of, block_sums, mean_intervals
from retrim.stats.codec import Instant, key
from retrim.stats.windows import spans

SPLITS = 200
FOLDS = 4  # spans of the holdout rows, whose losses are reported
MOST_PLACES = 9  # of a confidence in per cent
SAYABLE = 1000.0
"""A share beyond this, or below minus it, is no figure for a sentence: the loss it is a share of is all but 0."""


@dataclass(frozen=True)
class RelativeGain:
    """Gain over another model, as a share of that model's mean loss, with its bounds.

    Args:
        figure: The gain.
        low: Lower bound.
        high: Upper bound.
        confidence: Confidence of each bound, one-sided, 0 to 1.
    """

    figure: float
    low: float
    high: float
    confidence: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def relative_gains(
    losses: np.ndarray, other: np.ndarray, confidences: Sequence[float], resampling: Resampling
) -> list[RelativeGain]:
    """Gain of `losses` over `other` on the same rows, 1 or more in time order, with the bounds of each confidence."""
    saved, base = other - losses, float(other.mean())
    bounds = mean_intervals(saved, confidences, resampling)
    figure = share(float(saved.mean()), base)
    return [
        RelativeGain(figure, share(low, base), share(high, base), sure)
        for sure, (low, high) in zip(confidences, bounds, strict=True)
    ]


def confidence_text(confidence: float) -> str:
    """A confidence below 1 in per cent, with as many digits as tell it from certainty."""
    places = next((places for places in range(1, MOST_PLACES) if round(100 * confidence, places) < 100), MOST_PLACES)
    return f"{confidence:.{places}%}"


def compared(other: str, gain: RelativeGain, losses: np.ndarray, its_losses: np.ndarray) -> str:
    """Gain and bound in words; the losses themselves where the other's is so near 0 that a share of it says nothing."""
    if max(abs(gain.figure), abs(gain.low)) <= SAYABLE:
        sure = confidence_text(gain.confidence)
        return f"gain over {other} {gain.figure:z.1%}, above {gain.low:z.1%} with {sure} confidence"
    word = "no gain" if gain.figure < 0 else "no certain gain"
    return f"{word} over {other}: mean loss {losses.mean():.4g} against {its_losses.mean():.4g}"


def share(part: float, whole: float) -> float:
    """`part` of `whole`, within what a float holds: a loss of 0 is as much as any number above it."""
    if part == 0:
        return 0.0
    largest = float(np.finfo(float).max)
    return float(np.clip(part / whole if whole else np.sign(part) * largest, -largest, largest))


def share_in_words(figure: float) -> str:
    """A share as a percentage with its sign, or that it is beyond `SAYABLE`."""
    return f"{figure:+.1%}" if abs(figure) <= SAYABLE else f"beyond {np.sign(figure) * SAYABLE:+.0%}"


def corrected_gain(challengers: Mapping[str, np.ndarray], champion: np.ndarray, resampling: Resampling) -> float | None:
    """Gain over the champion of the challenger that half of the rows choose, on the other half; mean over many halves.

    The best of several on the rows that chose it looks better than it is, most where they are alike (the winner's
    curse). Rows that had no part in the choice do not know of it. As half of the rows choose less well than all, the
    figure is a little too low where challengers differ.

    Returns:
        As a share of the champion's mean loss; with one challenger its gain; None below 4 blocks of rows.

    Source:
        Cox (1975), Biometrika 62(2), 441-444, on splitting rows; here over many random halves.
    """
    names = sorted(challengers)
    base = float(champion.mean()) if len(champion) else 0.0
    if len(names) == 1 and len(champion):
        return share(float((champion - challengers[names[0]]).mean()), base)
    saved = np.column_stack([champion - challengers[name] for name in names])
    blocks = block_of(len(saved), block_rows=resampling.block_rows)
    if not len(blocks) or blocks[-1] < 3:
        return None
    sums = np.column_stack([block_sums(saved, blocks), np.bincount(blocks)])
    count = len(sums)
    order = np.random.default_rng(resampling.seed).random((SPLITS, count)).argsort(axis=1)
    half = (order < count // 2).astype("float64") @ sums
    halves = np.concatenate([half, sums.sum(axis=0) - half])
    means = halves[:, :-1] / halves[:, -1:]
    others = np.concatenate([means[SPLITS:], means[:SPLITS]])
    return share(float(others[np.arange(len(means)), means.argmax(axis=1)].mean()), base)


def worst_fold(losses: np.ndarray, champion: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """What the challenger loses more than the champion in the worst of `FOLDS` spans, which refuses nothing.

    The confidence is that of all bounds together; each has an equal part of the error.
    """
    parts = [part for part in spans(len(losses), FOLDS) if len(part) > 1]
    if not parts:
        return Check("worst fold", True, 0.0, None, "no fold has 2 rows, so no fold was evaluated", None)
    sure = 1 - (1 - confidence) / len(parts)
    gains = (relative_gains(losses[part], champion[part], (sure,), resampling)[0] for part in parts)
    worst = min(gains, key=lambda gain: gain.figure)
    figure, (low, high) = -worst.figure, (-worst.high, -worst.low)
    bound = f", lower bound {low:+.1%}" if abs(low) <= SAYABLE else ""
    text = f"worst of {len(parts)} folds {share_in_words(figure)} against the champion's loss{bound}"
    return Check("worst fold", True, figure, None, text, (low, high))


def gain(relative: RelativeGain, sentence: str, *, least: float, usual: float, corrected: float | None) -> Check:
    """Whether the gain over the champion is at least `least`, a share of its loss, and above 0 with its confidence.

    Args:
        corrected: The gain without the luck of the choice, which is told beside it; None: there was no choice.
    """
    passed = relative.figure >= least and relative.low > 0
    eased = "; earlier checks have shown the rest" if relative.confidence < usual else ""
    text = f"{sentence} (needed: {least:.1%}, and above 0{eased})"
    if corrected is not None and abs(corrected) <= SAYABLE:
        text += f"; {corrected:.1%} when corrected for choosing the best"
    return Check("gain", passed, relative.figure, least, text, relative.interval)


def non_inferiority(relative: RelativeGain, *, most: float) -> Check:
    """Whether the challenger surely loses at most the share `most` to the champion.

    On few or noisy rows a lucky challenger that is worse passes the check `gain` nearly as often as an equal one.
    Its figure is the loss that is not exceeded with the confidence, as a share of the champion's.
    """
    shown = share_in_words(-relative.low)
    sure = confidence_text(relative.confidence)
    text = f"at worst {shown} against the champion's loss ({sure} confidence), at most {most:+.1%} allowed"
    return Check("non-inferiority", relative.low >= -most, -relative.low, most, text, None)


def floor(name: str, losses: np.ndarray, naive: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over a naive forecast is above 0 with this confidence; its figure is the lower bound."""
    (gained,) = relative_gains(losses, naive, (confidence,), resampling)
    shown = name.replace("_", " ")
    text = f"{compared(f'the naive {shown}', gained, losses, naive)} (0 needed)"
    return Check(f"baseline: {shown}", gained.low > 0, gained.low, 0.0, text, gained.interval)


def enough_rows(rows: int, *, least: int) -> Check:
    """Whether there are at least `least` judging rows."""
    text = f"{rows} holdout rows, at least {least} needed"
    if rows < least:
        text += f": {least - rows} are missing"
    return Check("rows", rows >= least, rows, least, text, None)


def judge(
    challengers: Mapping[str, np.ndarray],
    champion: np.ndarray | None,
    floors: Mapping[str, np.ndarray],
    gate: GateParams,
    *,
    draws: int,
    block_rows: int,
    uses: float,
    rivals: int = 0,
    support: Mapping[str, Support] | None = None,
) -> Verdict:
    """The verdict on the best challenger, from losses on the judged rows in time order alone.

    Args:
        champion: None before the first version.
        uses: How often these rows have judged before.
        rivals: Challengers that were tried beside these.
        support: What earlier checks showed of challengers, by name; None: no check started the run.
    """
    winner = best_of(challengers)
    losses = challengers[winner]
    shown = None if support is None else support.get(winner, Support())
    tries = len(challengers) + rivals
    sure = confidence_of(gate, tries, uses=uses, eased=1.0 if shown is None else shown.gain * LOOK)
    safe = non_inferiority_confidence_of(
        gate, tries, uses=uses, eased=1.0 if shown is None else shown.non_inferiority * LOOK
    )
    resampling = Resampling(draws, block_rows, gate.seed)
    checks = [enough_rows(len(losses), least=gate.min_rows)]
    corrected = None
    if len(losses):
        if champion is not None:
            corrected = corrected_gain(challengers, champion, resampling)
            chosen = corrected if len(challengers) > 1 else None
            gained, surer = relative_gains(losses, champion, (sure, safe), resampling)
            sentence = compared("the champion", gained, losses, champion)
            checks.append(gain(gained, sentence, least=gate.min_gain, usual=gate.confidence, corrected=chosen))
            if gate.non_inferiority is not None:
                checks.append(non_inferiority(surer, most=gate.non_inferiority.most))
            checks.append(worst_fold(losses, champion, confidence=gate.confidence, resampling=resampling))
            checks += [] if shown is None else [supported(shown)]
        usual = confidence_of(gate, tries, uses=uses)
        checks += [
            floor(name, losses, naive, confidence=usual, resampling=resampling) for name, naive in floors.items()
        ]
    every = {**challengers, **floors} if champion is None else {**challengers, "champion": champion, **floors}
    means = {name: float(values.mean()) for name, values in every.items() if len(values)}
    return Verdict(winner, tuple(checks), means, len(losses), corrected)


def best_of(losses: Mapping[str, np.ndarray]) -> str:
    """The challenger with the least mean loss; of equal ones the first by name."""
    means = {name: float(values.mean()) if len(values) else float("inf") for name, values in losses.items()}
    return min(sorted(means), key=lambda name: means[name])


def confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The confidence at which the best of that many challengers is asked for its gain.

    It is the best of k tries, so each has a k-th of the error (Bonferroni), on rows that have judged before less; and
    `eased` times that, by what earlier checks have shown.
    """
    return _confidence(gate.confidence, gate, challengers, uses=uses, eased=eased)


def non_inferiority_confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The same of the check that it is not worse; that of the gain where there is no such check."""
    wanted = gate.confidence if gate.non_inferiority is None else gate.non_inferiority.confidence
    return _confidence(wanted, gate, challengers, uses=uses, eased=eased)


def _confidence(wanted: float, gate: GateParams, challengers: int, *, uses: float, eased: float) -> float:
    error = spent(1 - wanted, uses=uses, power=gate.reuse) / challengers
    return 1 - min(error * eased, EASIEST)


@dataclass(frozen=True)
class EarlierVerdict:
    """An earlier verdict: the version judged, and the events of the first and the last row that judged it."""

    version: int
    start: Annotated[Instant, key("from")]
    end: Annotated[Instant, key("until")]


def uses(earlier: Iterable[EarlierVerdict], events: "pd.Series[pd.Timestamp]") -> float:
    """How often these rows have judged before: over earlier verdicts, the sum of the shares that they had part in."""
    if not len(events):
        return 0.0
    return float(sum(events.between(verdict.start, verdict.end).mean() for verdict in earlier))


def spent(error: float, *, uses: float, power: float) -> float:
    """The error that is left for the next verdict on rows that have judged `uses` times, 0 or more.

    Whoever tries often enough on the same rows finds a challenger that passes by chance. So an equal challenger passes,
    however often they judge, with at most error x (1 + 2 ** -power + 3 ** -power + ...): 1.64 times the error where
    `power` is 2. Rows that have judged in part count in part.

    Source:
        Alpha spending over a series that converges, as in Foster and Stine (2008), JRSS B 70(2), 429-444, and
        Javanmard and Montanari (2018), Annals of Statistics 46(2), 526-554; there the first share is smaller, so that
        all sum to the error itself.
    """
    return float(error / (1 + uses) ** power)


def reuse(times: float, *, confidence: float) -> Check:
    """Says how often the rows have judged before, and what the gain is asked for; it refuses nothing by itself."""
    often = "for no earlier verdict" if times == 0 else f"{times:.3g} times for earlier verdicts"
    text = f"these rows were used {often}; the gain has to hold with {confidence_text(confidence)} confidence"
    return Check("re-use", True, times, None, text, None)
