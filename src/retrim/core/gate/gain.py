"""The checks `gain`, `harm` and `floor`: better than the champion and than naive forecasts, and not by chance."""

import numpy as np

from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import SAYABLE, Gain, Resampling, compared, confidence_text, relative_gains
from retrim.core.gate.verdict import Check


def gain(found: Gain, told: str, *, least: float, corrected: float | None) -> Check:
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


def harm(found: Gain, *, most: float) -> Check:
    """Whether the challenger surely loses at most the share `most` to the champion.

    On few or noisy rows a lucky challenger that is worse passes the check `gain` nearly as often as an equal one.
    Its figure is the loss that is not exceeded with the confidence, as a share of the champion's.
    """
    shown = f"{-found.low:+.1%}" if abs(found.low) <= SAYABLE else f"beyond {-np.sign(found.low) * SAYABLE:+.0%}"
    sure = confidence_text(found.confidence)
    text = f"at worst {shown} against the champion's loss ({sure} confidence), at most {most:+.1%}"
    return Check("harm", found.low >= -most, -found.low, most, text, None)


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
    """The checks `gain` and `harm`, from the same draws.

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
    return found if gate.harm is None else [*found, harm(surer, most=gate.harm.most)]


def floor(name: str, losses: np.ndarray, naive: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over a naive forecast is above 0 with this confidence; its figure is the lower bound."""
    (found,) = relative_gains(losses, naive, confidences=(confidence,), resampling=resampling)
    shown = name.replace("_", " ")
    text = f"{compared(f'the naive {shown}', found, losses, naive)} (0 needed)"
    return Check(f"floor: {shown}", found.low > 0, found.low, 0.0, text, found.interval)
