"""What a check's loss is held against, on the same rows: what it was expected to be, and what naive forecasts lose.

Expected is the loss of the rows that judged the live version, times how much harder the rows are now: what the best
constant fitted on these rows loses, over what it loses on those. A volume that doubles makes rows harder; a level that
shifts does not, and a quieter target lowers nothing. `docs/decisions/expected-loss.md` has the figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.slices import SliceLoss, slice_table
from retrim.stats.codec import written
from retrim.stats.metrics import row_losses
from retrim.table.data import ColumnType

LEAST_BLOCKS = 4  # of the window and of the holdout: with fewer their spread is not known
WRONG = 0.05 / 52
"""Error of one claim, one-sided: of 20 models that do not change, one makes a false one in 52 checks."""
QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)  # the best constant of a pinball loss is one of them, or near one
NO_HELP = 0.5  # of the loss above what was expected: a refit that surely gains less than that does not bring it back
SPANS = (1, 4, 13)  # newest checks over which a naive baseline is compared: one that loses a little shows in many


@dataclass(frozen=True)
class ExpectedLoss:
    """Mean loss to expect on a check's rows, had nothing changed but how hard they are.

    Args:
        loss: The judged loss times `harder`.
        judged: Mean loss on the holdout rows of the live version.
        harder: What the best constant loses on these rows over what it loses on the holdout rows, at least 1.
        low: Low end of the band; None if the window or the holdout has fewer than 4 blocks.
        high: High end of the band. With nothing changed, one in 20 models lies above it once in 52 checks.
    """

    loss: float
    judged: float
    harder: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class NaiveLoss:
    """A naive baseline on a check's rows.

    Args:
        loss: Its mean loss.
        error: Standard error of the mean of the champion's loss minus its loss.
        parts: Blocks that the error is computed from; 0 if they are too few to claim anything.
    """

    loss: float
    error: float
    parts: int


@dataclass(frozen=True)
class LossComparison:
    """The champion's loss on a check's rows, beside what it is held against on the same rows.

    Args:
        rows: The rows.
        loss: The champion's mean loss.
        estimated: Whether the labels are not known yet and the loss is estimated.
        expected: Mean loss to expect; None if no row judged the live version.
        naive: Naive baselines, fitted on the labels that were known before the first of these rows; empty if the loss
            is estimated or no label was known.
        worse_than: The naive baseline that the champion surely loses to, on these rows or on those of the newest 4
            or 13 checks; None if there is none.
        worse_slice: The slice in which the champion surely loses most to the best naive baseline; None if there is
            none.
    """

    rows: int
    loss: float
    estimated: bool
    expected: ExpectedLoss | None
    naive: dict[str, NaiveLoss]
    worse_than: str | None = None
    worse_slice: SliceLoss | None = None

    @written
    def best_naive(self) -> str | None:
        """The naive baseline with the lowest loss."""
        return min(sorted(self.naive), key=lambda name: self.naive[name].loss, default=None)

    @written
    def above_expected(self) -> bool | None:
        """Whether the loss is above the band of what was expected; None if there is no band."""
        if self.expected is None or self.expected.high is None:
            return None
        return self.loss > self.expected.high

    @property
    def is_too_high(self) -> bool:
        """Whether the loss is above what was expected, or surely above that of a naive baseline."""
        return bool(self.above_expected) or self.worse_than is not None

    @written
    def times_expected(self) -> float | None:
        """The loss over the expected loss; None if nothing, or a loss of 0, was expected."""
        return self.loss / self.expected.loss if self.expected is not None and self.expected.loss > 0 else None

    @property
    def figures(self) -> dict[str, float]:
        """The figures that are known, by the names that they have in metrics."""
        known = {
            "loss": self.loss,
            "loss_expected": None if self.expected is None else self.expected.loss,
            "loss_expected_high": None if self.expected is None else self.expected.high,
            "loss_naive": self.naive_loss,
        }
        return {name: value for name, value in known.items() if value is not None}

    @property
    def naive_loss(self) -> float | None:
        """Mean loss of the best naive baseline."""
        return None if self.best_naive is None else self.naive[self.best_naive].loss


@dataclass(frozen=True)
class RowLosses:
    """Losses on the same rows in time order, each shape (n,).

    Args:
        constant: Those of the best constant fitted on these rows.
    """

    champion: np.ndarray
    constant: np.ndarray

    @classmethod
    def of(cls, champion: np.ndarray, actual: np.ndarray, *, task: str, loss: str, classes: int) -> "RowLosses":
        """The champion's losses beside those of the best constant."""
        return cls(champion, constant_losses(actual, task=task, loss=loss, classes=classes))


def constant_losses(actual: np.ndarray, *, task: str, loss: str, classes: int) -> np.ndarray:
    """Loss on each row of the constant that fits these rows best: the mean or a quantile, or the shares of the classes.

    Args:
        actual: Targets as a feature view codes them, shape (n,), n at least 1.
    """
    n = len(actual)
    if task == "multiclass":
        shares = np.bincount(actual[actual >= 0], minlength=classes) / n
        return row_losses(loss, actual, np.repeat(shares[None], n, axis=0))
    constants = [float(actual.mean()), *([] if task == "binary" else np.quantile(actual, QUANTILES).tolist())]
    return min((row_losses(loss, actual, np.full(n, value)) for value in constants), key=np.mean)


def expect_loss(judged: RowLosses, window: RowLosses, *, block_rows: int) -> ExpectedLoss | None:
    """What the champion is expected to lose on the rows of a window.

    Returns:
        None where no row judged it.
    """
    if not len(judged.champion):
        return None
    then, now = judged.champion.mean(), window.constant.mean()
    ratio = float(now / judged.constant.mean()) if judged.constant.mean() > 0 else 1.0
    harder = max(ratio, 1.0)
    loss = float(then * harder)
    champion_error = _log_error([(judged.champion,), (window.champion,)], block_rows=block_rows)
    relative_error = _log_error(
        [(judged.champion, judged.constant), (window.champion, window.constant)], block_rows=block_rows
    )
    if champion_error is None or relative_error is None:
        return ExpectedLoss(loss, float(then), harder)
    # Above the band is what is above both: a loss that rose, and rose more than the rows are harder.
    high = float(then) * max(math.exp(champion_error), ratio * math.exp(relative_error))
    low = loss * math.exp(-(relative_error if ratio > 1 else champion_error))
    return ExpectedLoss(loss, float(then), harder, low, high)


def expect_estimated(judged: RowLosses, *, rows: int, block_rows: int) -> ExpectedLoss | None:
    """What the champion is expected to lose on `rows` rows without labels: what it lost where it was judged.

    Their own spread is not known, so it is that of the judged rows.
    """
    if not len(judged.champion):
        return None
    then = float(judged.champion.mean())
    parts, blocks = _parts([judged.champion], block_rows=block_rows), max(rows // block_rows, 1)
    if parts is None or blocks < LEAST_BLOCKS or then <= 0:
        return ExpectedLoss(then, then, 1.0)
    spread = float(parts.std(ddof=1)) * math.sqrt(1 / len(parts) + 1 / blocks)
    reach = _quantile(len(parts) - 1, WRONG) * spread
    return ExpectedLoss(then, then, 1.0, then * math.exp(-reach), then * math.exp(reach))


def naive_losses(champion: np.ndarray, naive: Mapping[str, np.ndarray], *, block_rows: int) -> dict[str, NaiveLoss]:
    """Each naive baseline beside the champion on the same rows.

    Args:
        champion: The champion's loss on each row, in time order, shape (n,), n at least 1.
    """
    compared = {}
    for name, losses in naive.items():
        means = _means(champion - losses, block_rows=block_rows)
        error = float(means.std(ddof=1) / len(means) ** 0.5) if len(means) > 1 else 0.0
        is_one_block = block_rows > 1 and len(champion) < 2 * block_rows  # it does not know its own spread
        compared[name] = NaiveLoss(float(losses.mean()), error, 0 if is_one_block else len(means))
    return compared


def find_worse_than(newest: LossComparison, earlier: Sequence[LossComparison]) -> str | None:
    """The naive baseline that the champion surely loses to; the best of them where there are several."""
    surely = [name for name in newest.naive if _is_worse(name, [newest, *earlier])]
    return min(surely, key=lambda name: newest.naive[name].loss, default=None)


def find_worse_slice(
    rows: pd.DataFrame,
    champion: np.ndarray,
    naive: np.ndarray,
    features: Mapping[str, ColumnType],
    *,
    block_rows: int,
) -> SliceLoss | None:
    """The slice in which the champion surely loses most to a naive baseline; None if there is none.

    Args:
        rows: In time order, shape (n, columns).
        champion: The champion's losses, shape (n,).
    """
    slices = slice_table(rows, champion, naive, features, confidence=1 - WRONG, block_rows=block_rows)
    if not slices:
        return None
    sure = 1 - 2 * WRONG / len(slices)  # each has an equal part of the error of one claim
    slices = slice_table(rows, champion, naive, features, confidence=sure, block_rows=block_rows)
    worse = [segment for segment in slices if segment.saved is not None and segment.saved[2] < 0]
    return min(worse, key=lambda segment: segment.rows * segment.saved[0] if segment.saved else 0.0, default=None)


def _is_worse(name: str, comparisons: Sequence[LossComparison]) -> bool:
    """Whether the champion surely loses to a baseline over the newest, or over several of the newest comparisons."""
    wrong = WRONG / len(comparisons[0].naive) / len(SPANS)
    for span in SPANS:
        taken = [comparison for comparison in comparisons[:span] if name in comparison.naive]
        parts = sum(comparison.naive[name].parts for comparison in taken)
        if parts < LEAST_BLOCKS:
            continue
        lost = sum(comparison.rows * (comparison.loss - comparison.naive[name].loss) for comparison in taken)
        error = math.hypot(*(comparison.rows * comparison.naive[name].error for comparison in taken))
        if lost > _quantile(parts - len(taken), wrong) * error:
            return True
    return False


def _log_error(series: Sequence[tuple[np.ndarray, ...]], *, block_rows: int) -> float | None:
    """How far the log of a ratio of means may lie above its expectation.

    Returns:
        None where one of them has too few blocks, or a mean that is not above 0.

    Source:
        Welch (1947), Biometrika 34, 28-35, for the degrees of freedom of two samples; logs, as losses are skewed.
    """
    variances, squares = [], []
    for columns in series:
        parts = _parts(columns, block_rows=block_rows)
        if parts is None:
            return None
        variance = float(parts.var(ddof=1)) / len(parts)
        variances.append(variance)
        squares.append(variance**2 / (len(parts) - 1))
    total = sum(variances)
    if total <= 0:
        return 0.0
    return _quantile(total**2 / sum(squares), WRONG) * math.sqrt(total)


def _parts(columns: Sequence[np.ndarray], *, block_rows: int) -> np.ndarray | None:
    """Influence of each block on the log of a mean, or of a ratio of two means, shape (blocks,)."""
    if len(columns[0]) < LEAST_BLOCKS * block_rows or any(column.mean() <= 0 for column in columns):
        return None
    influences = [_means(column, block_rows=block_rows) / column.mean() for column in columns]
    return influences[0] if len(influences) == 1 else np.asarray(influences[0] - influences[1])


def _means(values: np.ndarray, *, block_rows: int) -> np.ndarray:
    """Mean of each block, shape (blocks,); of each row where they are fewer than two blocks."""
    count = len(values) // block_rows
    if block_rows == 1 or count < 2:
        return values
    starts = np.arange(count) * len(values) // count
    return np.asarray(np.add.reduceat(values, starts) / np.diff(starts, append=len(values)))


def _quantile(freedom: float, wrong: float) -> float:
    """What Student's t is above with this probability."""
    from scipy.special import stdtrit  # scipy.stats takes half a second to import

    return float(stdtrit(max(freedom, 1.0), 1 - wrong))


def excess_of(comparison: LossComparison) -> float:
    """How much of the loss is above what was expected, or above a naive baseline that it surely loses to; 0 or more."""
    limits = [comparison.expected.loss] if comparison.expected is not None else []
    if comparison.worse_than is not None:
        limits.append(comparison.naive[comparison.worse_than].loss)
    return max([0.0, *(comparison.loss - limit for limit in limits)])
