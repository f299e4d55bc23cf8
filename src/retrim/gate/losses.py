"""The gain of the best of several challengers, without the luck that made it the best.

The check `worst fold`: a good mean does not excuse one bad span of time.

The checks `gain`, `non-inferiority` and `baseline`: better than champion and naive forecasts, and not by chance.

The check `rows`: whether enough rows judge.

The gate on losses alone: what can be said where rows, predictions and classes are not known.
"""

from collections.abc import Mapping

import numpy as np

from retrim.gate.relative_loss import (
    SAYABLE,
    RelativeGain,
    Resampling,
    compared,
    confidence_text,
    relative_gains,
    share,
)
from retrim.gate.reuse import spent
from retrim.gate.support import EASIEST, NO_SUPPORT, Support, supported
from retrim.gate.verdict import Check, GateParams, Verdict
from retrim.stats.bootstrap import block_of, block_sums
from retrim.stats.windows import spans

SPLITS = 200


def corrected_gain(challengers: Mapping[str, np.ndarray], champion: np.ndarray, resampling: Resampling) -> float | None:
    """Gain over the champion of the challenger that half of the rows choose, on the other half; mean over many halves.

    The best of several on the rows that chose it looks better than it is, most where they are
    alike (the winner's curse). Rows that had no part in the choice do not know of it. As half of the
    rows choose less well than all, the figure is a little too low where challengers differ.

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The champion's.
        resampling: Blocks that stay together, and seed.

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


def worst_fold(losses: np.ndarray, champion: np.ndarray, gate: GateParams, *, resampling: Resampling) -> Check:
    """Whether the challenger surely loses more than `gate.worst_fold` to the champion in none of `gate.folds` spans.

    The one that is named is a fold that refuses, else the one with the largest figure. Each bound has an equal part of
    the error: a challenger at the limit in all folds is refused in at most 1 - confidence. One row says nothing.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        gate: Folds, limit, and the confidence over all folds together.
        resampling: Draws, blocks, seed.
    """
    most = gate.worst_fold
    parts = [part for part in spans(len(losses), gate.folds) if len(part) > 1]
    if not parts:
        return Check("worst fold", True, 0.0, most, "no fold has 2 rows, so none was looked at", None)
    each = 1 - (1 - gate.confidence) / len(parts)
    gains = [
        relative_gains(losses[part], champion[part], confidences=(each,), resampling=resampling)[0] for part in parts
    ]
    surely = [gain for gain in gains if most is not None and -gain.high > most]
    worst = min(surely or gains, key=lambda gain: gain.figure)
    figure, (low, high) = -worst.figure, (-worst.high, -worst.low)
    shown = f"{figure:+.1%}" if abs(figure) <= SAYABLE else f"beyond {np.sign(figure) * SAYABLE:+.0%}"
    sure = f", surely above {low:+.1%}" if abs(low) <= SAYABLE else ""
    asked = "" if most is None else f"; refused when surely above {most:+.1%}"
    text = f"worst of {len(parts)} folds {shown} against the champion's loss{sure}{asked}"
    return Check("worst fold", not surely, figure, most, text, (low, high))


def gain(found: RelativeGain, told: str, *, least: float, corrected: float | None) -> Check:
    """Whether the gain over the champion is at least `least`, and above 0 with its confidence.

    Args:
        found: The gain.
        told: It in words.
        least: Share of the champion's mean loss.
        corrected: The gain without the luck of the choice, which is told beside it; None: there was no choice.
    """
    passed = found.figure >= least and found.low > 0
    text = f"{told} ({least:.1%} and 0 needed)"
    if corrected is not None and abs(corrected) <= SAYABLE:
        text += f"; {corrected:.1%} without the luck of being the best"
    return Check("gain", passed, found.figure, least, text, found.interval)


def non_inferiority(found: RelativeGain, *, most: float) -> Check:
    """Whether the challenger surely loses at most the share `most` to the champion.

    On few or noisy rows a lucky challenger that is worse passes the check `gain` nearly as often as an equal one.
    Its figure is the loss that is not exceeded with the confidence, as a share of the champion's.
    """
    shown = f"{-found.low:+.1%}" if abs(found.low) <= SAYABLE else f"beyond {-np.sign(found.low) * SAYABLE:+.0%}"
    sure = confidence_text(found.confidence)
    text = f"at worst {shown} against the champion's loss ({sure} confidence), at most {most:+.1%}"
    return Check("non-inferiority", found.low >= -most, -found.low, most, text, None)


def against_champion(
    losses: np.ndarray,
    champion: np.ndarray,
    gate: GateParams,
    *,
    sure: float,
    safe: float,
    corrected: float | None,
    resampling: Resampling,
) -> list[Check]:
    """The checks `gain` and `non-inferiority`, from the same draws.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        gate: Thresholds.
        sure: Confidence of the gain.
        safe: Confidence that it is not worse.
        corrected: As for `gain`.
        resampling: Draws, blocks, seed.
    """
    own, surer = relative_gains(losses, champion, confidences=(sure, safe), resampling=resampling)
    found = [gain(own, compared("the champion", own, losses, champion), least=gate.min_gain, corrected=corrected)]
    return found if gate.non_inferiority is None else [*found, non_inferiority(surer, most=gate.non_inferiority.most)]


def floor(name: str, losses: np.ndarray, naive: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over a naive forecast is above 0 with this confidence; its figure is the lower bound."""
    (found,) = relative_gains(losses, naive, confidences=(confidence,), resampling=resampling)
    shown = name.replace("_", " ")
    text = f"{compared(f'the naive {shown}', found, losses, naive)} (0 needed)"
    return Check(f"baseline: {shown}", found.low > 0, found.low, 0.0, text, found.interval)


def enough_rows(rows: int, *, least: int) -> Check:
    """Whether there are at least `least` judging rows."""
    text = f"{rows} judging rows, at least {least} needed"
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
    """The verdict on the best challenger, from losses alone.

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The same of the champion; None before the first version.
        floors: The same of the naive baselines.
        gate: Thresholds.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
        uses: How often these rows have judged before.
        rivals: Others that compete on the same rows and are not among `challengers`: they count among the tries.
        support: What earlier checks showed of challengers, by name, where a check started the run; None: nobody's
            alarm did, and the run is one of its own.
    """
    winner = best_of(challengers)
    losses = challengers[winner]
    shown = None if support is None else support.get(winner, NO_SUPPORT)
    tries = len(challengers) + rivals
    sure = confidence_of(gate, tries, uses=uses, eased=1.0 if shown is None else shown.gain * shown.part)
    safe = non_inferiority_confidence_of(
        gate, tries, uses=uses, eased=1.0 if shown is None else shown.non_inferiority * shown.part
    )
    resampling = Resampling(draws, block_rows, gate.seed)
    checks = [enough_rows(len(losses), least=gate.min_rows)]
    corrected = None
    if len(losses):
        if champion is not None:
            corrected = corrected_gain(challengers, champion, resampling)
            chosen = corrected if len(challengers) > 1 else None
            checks += against_champion(
                losses, champion, gate, sure=sure, safe=safe, corrected=chosen, resampling=resampling
            )
            checks.append(worst_fold(losses, champion, gate, resampling=resampling))
            if shown is not None:
                checks.append(supported(shown))
        for name, naive in floors.items():
            asked = confidence_of(gate, tries, uses=uses)
            checks.append(floor(name, losses, naive, confidence=asked, resampling=resampling))
    every = {**challengers, **floors} if champion is None else {**challengers, "champion": champion, **floors}
    means = {name: float(values.mean()) for name, values in every.items() if len(values)}
    return Verdict(winner, tuple(checks), means, len(losses), corrected)


def best_of(losses: Mapping[str, np.ndarray]) -> str:
    """The challenger with the least mean loss; of equal ones the first by name."""
    means = {name: float(each.mean()) if len(each) else float("inf") for name, each in losses.items()}
    return min(sorted(means), key=lambda name: means[name])


def confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The confidence at which the best of that many challengers is asked for its gain.

    It is the best of k tries, so each has a k-th of the error (Bonferroni), on rows that
    have judged before less; and `eased` times that, by what earlier checks have shown.
    """
    return _confidence(gate.confidence, gate, challengers, uses=uses, eased=eased)


def non_inferiority_confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The same of the check that it is not worse; that of the gain where there is no such check."""
    asked = gate.confidence if gate.non_inferiority is None else gate.non_inferiority.confidence
    return _confidence(asked, gate, challengers, uses=uses, eased=eased)


def _confidence(asked: float, gate: GateParams, challengers: int, *, uses: float, eased: float) -> float:
    error = spent(1 - asked, uses=uses, power=gate.reuse) / challengers
    return 1 - min(error * eased, EASIEST)
