"""The gate on models: the checks of losses, and those of predictions: `calibration`, `churn` and `worst slice`.

A model with classes is held to its probabilities, by the expected calibration error; a regression to the interval
that its residuals at earlier origins promised, by the share of rows inside.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.slices import LEAST_ROWS, MOST_SHARE, SLICE_CONFIDENCE, slices_of
from retrim.gate.losses import confidence_of, judge, reuse, share, share_in_words
from retrim.gate.support import Support
from retrim.gate.verdict import Check, GateParams, HoldoutJudgement, ScoredModel, Verdict
from retrim.stats.bootstrap import Resampling, block_of, block_sums, mean_error
from retrim.table.data import ColumnType

CALIBRATION_BINS = 10
"""Bins with equally many predictions each: the same for all versions, so that their errors are comparable."""
CALIBRATION_WORSE = 0.05
"""How far the calibration error may exceed the champion's."""
CALIBRATION_CONFIDENCE = 0.95
"""One-sided confidence with which the limit must be exceeded for a refusal."""
RANK = 0.99  # of the change of predicted numbers: what all but one row in a hundred stay below


@dataclass(frozen=True)
class Miscalibration:
    """How far a model's stated chances are from what happened."""

    error: float  # expected calibration error, or distance of the coverage from the stated share; 0 to 1
    drawn: np.ndarray  # the same of resampled rows, shape (draws,)
    interval: tuple[float, float]  # of the error
    text: str


def calibration(scored: ScoredModel, champion: ScoredModel | None, resampling: Resampling) -> list[Check]:
    """The challenger's own miscalibration, and how much it is above the champion's.

    Refused only where it is above the champion's by more than the limit, with the confidence; nothing is said of a
    regression whose bundle holds no residuals.
    """
    miss = miscalibration(scored, resampling)
    champion_miss = None if champion is None else miscalibration(champion, resampling)
    if miss is None:
        return []
    low, high = miss.interval
    text = f"{miss.text} (error {low:.1%} to {high:.1%})"
    checks = [Check("calibration", True, miss.error, None, text, miss.interval)]
    if champion_miss is None:
        return checks
    added = miss.error - champion_miss.error
    low, high = _reflected(added, miss.drawn - champion_miss.drawn, CALIBRATION_CONFIDENCE)
    text = (
        f"calibration error {added:+.1%} against the champion's {champion_miss.error:.1%} ({low:+.1%} to {high:+.1%}); "
        f"refused if the lower bound exceeds {CALIBRATION_WORSE:+.1%}"
    )
    return [*checks, Check("calibration kept", low <= CALIBRATION_WORSE, added, CALIBRATION_WORSE, text, (low, high))]


def miscalibration(scored: ScoredModel, resampling: Resampling) -> Miscalibration | None:
    """The expected calibration error of a model with classes, else how far its coverage is from what was stated."""
    if len(scored.losses) < 2:
        return None
    if scored.classes:
        return _probabilities(scored, resampling)
    return None if scored.stated is None else _coverage(scored, resampling)


def _probabilities(scored: ScoredModel, resampling: Resampling) -> Miscalibration:
    """Expected calibration error: mean distance between chance and share, over bins of equally many predictions.

    Of a binary model the chance is that of the positive class; of one with more classes, that of the class it calls.

    Source:
        Naeini, Cooper and Hauskrecht (2015), AAAI; of the called class, Guo et al. (2017), ICML. Resampled rows
        are further off than the rows themselves, so the interval is reflected: Davison and Hinkley (1997), 5.2.
    """
    if scored.predicted.ndim == 1:
        chance, happened = scored.predicted, scored.actual == 1
    else:
        chance, happened = scored.predicted.max(axis=1), scored.predicted.argmax(axis=1) == scored.actual
    edges = np.unique(np.quantile(chance, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS))
    inside = np.searchsorted(edges, chance, side="left")[:, None] == np.arange(len(edges) + 1)
    table = np.column_stack([inside * (chance - happened)[:, None], np.ones(len(chance))])
    sums, drawn = _drawn(table, resampling)
    error, errors = (np.abs(summed[..., :-1]).sum(axis=-1) / summed[..., -1] for summed in (sums, drawn))
    low, high = _reflected(float(error), errors, CALIBRATION_CONFIDENCE)
    return Miscalibration(
        float(error), errors, (max(low, 0.0), max(high, 0.0)), f"expected calibration error {error:.1%}"
    )


def _coverage(scored: ScoredModel, resampling: Resampling) -> Miscalibration:
    assert scored.stated is not None
    stated, away = scored.stated, scored.actual - scored.predicted
    covered, shares = _share((away >= stated.low) & (away <= stated.high), resampling)
    low, high = (float(end) for end in np.quantile(shares, [1 - CALIBRATION_CONFIDENCE, CALIBRATION_CONFIDENCE]))
    least = max(stated.level - high, low - stated.level, 0.0)
    most = max(abs(low - stated.level), abs(high - stated.level))
    text = f"{covered:.1%} of rows lie within the {stated.level:.0%} interval ({low:.1%} to {high:.1%})"
    text += ": too wide" if low > stated.level else ": too narrow" if high < stated.level else ": as stated"
    return Miscalibration(abs(covered - stated.level), np.abs(shares - stated.level), (least, most), text)


def _share(flags: np.ndarray, resampling: Resampling) -> tuple[float, np.ndarray]:
    """The share of rows that are so: as they are, and in each resampling, shape (draws,)."""
    sums, drawn = _drawn(np.column_stack([flags, np.ones(len(flags))]).astype("float64"), resampling)
    return float(sums[0] / sums[1]), drawn[:, 0] / drawn[:, 1]


def _drawn(table: np.ndarray, resampling: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """Column sums of a table of rows: as it is, shape (k,); and of blocks drawn with replacement, shape (draws, k)."""
    sums = block_sums(table, block_of(len(table), block_rows=resampling.block_rows))
    draws, count = resampling.draws, len(sums)
    drawn = np.random.default_rng(resampling.seed).integers(0, count, size=(draws, count))
    taken = drawn + np.arange(draws)[:, None] * count
    times = np.bincount(taken.ravel(), minlength=draws * count).reshape(draws, count)
    return sums.sum(axis=0), np.asarray(times.astype("float64") @ sums)


def _reflected(figure: float, drawn: np.ndarray, confidence: float) -> tuple[float, float]:
    high, low = (2 * figure - float(end) for end in np.quantile(drawn, [1 - confidence, confidence]))
    return low, high


def churn(scored: ScoredModel, champion: ScoredModel, *, confidence: float, resampling: Resampling) -> Check | None:
    """How much predictions change against the champion's, which refuses nothing; None below 2 rows.

    With classes the figure is the share of rows that are called another class. Of numbers it is the 99th percentile of
    the absolute change, in standard deviations of the judged targets.

    Source:
        The interval of a percentile is that of the share of rows below it: Woodruff (1952), JASA 47, 635-646.
    """
    if len(scored.losses) < 2:
        return None
    if scored.classes:
        figure, shares = _share(scored.labels != champion.labels, resampling)
        low, high = (float(end) for end in np.quantile(shares, [1 - confidence, confidence]))
        text = f"{figure:.1%} of rows get a different class than from the champion ({low:.1%} to {high:.1%})"
    else:
        change = np.abs(scored.predicted - champion.predicted) / (float(np.std(scored.actual)) or 1.0)
        figure, low, high = _percentile(change, confidence, block_rows=resampling.block_rows)
        text = (
            f"99% of predictions change by less than {figure:.2f} standard deviations of the target ({low:.2f} to "
            f"{high:.2f})"
        )
    return Check("churn", True, figure, None, text, (low, high))


def _percentile(change: np.ndarray, confidence: float, *, block_rows: int) -> tuple[float, float, float]:
    from scipy.special import ndtri

    figure = float(np.quantile(change, RANK))
    error = mean_error((change > figure).astype("float64"), block_rows=block_rows) * float(ndtri(confidence))
    low, high = np.quantile(change, np.clip([RANK - error, RANK + error], 0, 1))
    return figure, float(low), float(high)


def worst_slice(
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    losses: np.ndarray,
    champion: np.ndarray,
    resampling: Resampling,
) -> Check:
    """The slice that is worst against the champion, which refuses nothing.

    The statistic of a slice is the sum over blocks of the loss added, over the root of the sum of its squares. Its
    largest over all slices is held against that of the same blocks with random signs, all slices flipped together: so
    its interval holds however many slices there are and however much they overlap, where sums of blocks lie evenly
    about their mean.

    Source:
        Largest statistic over all under one set of flips: Westfall and Young (1993), Resampling-based multiple
        testing. Sign flipping: Winkler et al. (2014), NeuroImage 92, 381-397. The interval is where the
        statistic stays within the bound, as in Fieller (1954), JRSS B 16(2), 175-185.
    """
    most = MOST_SHARE * len(rows)
    slices = [part for part in slices_of(rows, features) if part[2].sum() <= most]
    if not slices:
        text = f"no slice has {LEAST_ROWS} rows, so no slice was evaluated"
        return Check("worst slice", True, 0.0, None, text, None)
    blocks = block_of(len(rows), block_rows=resampling.block_rows)
    added, base = (  # sums over the rows of each slice in each block, shape (blocks, slices)
        np.stack([np.bincount(blocks[inside], values[inside], int(blocks[-1]) + 1) for _, _, inside in slices], axis=1)
        for values in (losses - champion, champion)
    )
    scale = np.sqrt(np.square(added).sum(axis=0))
    scale[scale == 0] = np.inf
    shape = resampling.draws, len(added)
    signs = np.random.default_rng(resampling.seed).integers(0, 2, size=shape) * 2.0 - 1.0  # of the blocks
    bound = float(np.quantile((signs @ (added / scale)).max(axis=1), SLICE_CONFIDENCE))
    worst = int((added.sum(axis=0) / scale).argmax())
    figure = share(float(added[:, worst].sum()), float(base[:, worst].sum()))
    interval = _interval(added[:, worst], base[:, worst], bound)
    sure = "" if interval is None else f", from {interval[0]:+.1%} to {interval[1]:+.1%}"
    shown = f"{share_in_words(figure)} against the champion's loss there{sure}"
    text = f"worst of {len(slices)} slices, {slices[worst][0]} {slices[worst][1]}: {shown}"
    return Check("worst slice", True, figure, None, text, interval)


def _interval(added: np.ndarray, base: np.ndarray, bound: float) -> tuple[float, float] | None:
    """Shares at which the statistic of one slice stays within the bound; None where that is no interval."""
    a = base.sum() ** 2 - bound**2 * np.square(base).sum()
    b = added.sum() * base.sum() - bound**2 * (added * base).sum()
    c = added.sum() ** 2 - bound**2 * np.square(added).sum()
    inside = b**2 - a * c
    if a <= 0 or inside < 0:
        return None
    return float((b - np.sqrt(inside)) / a), float((b + np.sqrt(inside)) / a)


def judge_models(
    judged: HoldoutJudgement,
    gate: GateParams,
    *,
    draws: int,
    block_rows: int,
    uses: float,
    rivals: int = 0,
    support: Mapping[str, Support] | None = None,
) -> Verdict:
    """The verdict on the best challenger, with every check; all run, also after one has failed.

    Args:
        support: What earlier checks showed of challengers, by name; None where no check started the run.
    """
    champion, losses = judged.champion, {name: scored.losses for name, scored in judged.challengers.items()}
    drawn = {"draws": draws, "block_rows": block_rows}
    its = None if champion is None else champion.losses
    verdict = judge(losses, its, judged.floors, gate, **drawn, uses=uses, rivals=rivals, support=support)
    if not len(judged.rows):
        return verdict
    winner, resampling = judged.challengers[verdict.winner], Resampling(draws, block_rows, gate.seed)
    checks: list[Check | None] = []
    if champion is not None:
        checks += [
            reuse(uses, confidence=confidence_of(gate, len(judged.challengers) + rivals, uses=uses)),
            worst_slice(judged.rows, judged.features, winner.losses, champion.losses, resampling),
            churn(winner, champion, confidence=gate.confidence, resampling=resampling),
        ]
    checks += calibration(winner, champion, resampling)
    return verdict.with_checks([check for check in checks if check is not None])
