"""Columns of numbers that tell the target alone, or two together by their sum, difference, product or ratio.

Each is measured within blocks of time, so that neither a trend that columns share with the target makes a leak, nor
one that they do not share hides it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.profile.table import Leak

ALONE = 0.98
"""Share of the target's variance, or of its errors, that columns may explain."""
ERRORS, ENOUGH = 0.9, 20
"""Share of the errors over the commonest class that columns may take away, where at least that many are expected."""
LARGEST = 1e38
BLOCKS, LEAST_BLOCK = 20, 50
"""Blocks of time, and the fewest rows of one."""
LEAST_ROWS = 60
TYPICAL = 0.25
"""Largest residual of a typical row, in typical deviations: one row far out may not decide."""
LEAVES = 16
"""Cases that a score tells apart."""
SAMPLED, SAMPLED_CLASSES = 8_000, 4_000
MOST_SUMS, MOST_PRODUCTS = 300, 40
"""Columns of which all pairs are measured: as weighted sums, and as products and ratios."""
CLOSELY = 30
"""Pairs of each form that are judged: those that leave least beside what the better column leaves."""
HINT, CLASS_HINT = 0.8, 0.05
"""Explained variance from which columns are judged: of a number, and of a class as 0 and 1."""
SEPARATE = 1e-10
"""Variance that one column has beside another, at least, for a sum of both to be told from one of them."""
LEAST_MOVE = 1e-12
"""Deviation, as a share of its values, below which a column does not move."""
TIMES = 10.0
"""How much less variance a pair leaves than the better of its columns; of errors, its root."""
FORMS = ("sum", "product", "ratio", "ratio of the second to the first")
MOST_CLASSES = 4
"""Classes that are told from the others, one at a time: the commonest."""


def step_of(goal: np.ndarray, *, classes: bool) -> float:
    """What the rows before leave: the share of rows of another class than the last, or variance about the last value.

    Of a number it may be the variance about the line through the last two. A slow series is told by its own past, and
    a column that tells it no better gives nothing away. Infinite where the target never moves.
    """
    if classes:
        return float(np.mean(goal[1:] != goal[:-1])) or np.inf
    left = [float(np.nanvar(np.diff(goal, n=order))) for order in (1, 2) if np.isfinite(np.diff(goal, n=order)).any()]
    return min([variance for variance in left if variance > 0], default=np.inf)


def number_leaks(numbers: Mapping[str, pd.Series], goal: np.ndarray, *, classes: bool) -> list[Leak]:
    """Columns that tell the target alone or in pairs, each in one leak at most.

    Args:
        numbers: Columns in order of time, shape (n,) each.
        goal: The target as a number, or the code of its class, shape (n,).
    """
    if not numbers or len(goal) < LEAST_ROWS:
        return []
    step = max(len(goal) // (SAMPLED_CLASSES if classes else SAMPLED), 1)
    columns = [values.iloc[::step].to_numpy(dtype="float64", na_value=np.nan) for values in numbers.values()]
    known = np.isfinite(goal[::step])
    raw, values = np.column_stack(columns)[known], goal[::step][known]
    kinds, counts = np.unique(values, return_counts=True)
    if not classes and len(kinds) < 3:
        return []
    told_apart: list[tuple[float | None, int]] = [(None, BLOCKS)]
    if classes:
        # A threshold may move with the columns, or stand: then blocks only blur it.
        commonest = kinds[np.argsort(-counts)][: MOST_CLASSES if len(kinds) > 2 else 2]
        wanted = commonest if len(kinds) > 2 else commonest[1:]
        told_apart = [(float(kind), blocks) for kind in wanted for blocks in (1, BLOCKS)]
    move = step_of(goal, classes=classes)
    shares: list[tuple[float, Leak]] = []
    for kind, blocks in told_apart:
        shares += NumberSearch(tuple(numbers), raw, values, kind, move, _blocks(len(values), blocks)).leaks()
    leaks: list[Leak] = []
    for _, leak in sorted(shares, key=lambda pair: (len(pair[1].columns), -pair[0])):
        if not any(set(leak.columns) & set(other.columns) for other in leaks):
            leaks.append(leak)
    return leaks


def _blocks(rows: int, blocks: int) -> np.ndarray:
    size = max(rows // blocks, LEAST_BLOCK)
    return np.minimum(np.arange(rows) // size, max(rows // size - 1, 0))


def within_blocks(raw: np.ndarray, block: np.ndarray, *, steady: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Columns less their mean in each block, in their deviations, 0 where missing; and where they are present.

    Args:
        raw: Shape (n, columns).
        block: Of each row, ascending, shape (n,).
        steady: In the deviations of each block, as a scale may move too.
    """
    present = np.isfinite(raw)
    begins = np.diff(block, prepend=block[:1] - 1) > 0
    starts, run = np.flatnonzero(begins), np.cumsum(begins) - 1
    counts = np.maximum(np.add.reduceat(present, starts, axis=0, dtype="float64"), 1)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.asarray((np.add.reduceat(values, starts, axis=0) / counts)[run])

    filled = np.where(present, raw, 0.0)
    centred = np.where(present, filled - mean(filled), 0.0)
    if steady:
        scale, size = np.sqrt(mean(centred**2)), np.sqrt(mean(filled**2))
    else:
        scale, size = (np.sqrt((x**2).sum(axis=0) / np.maximum(present.sum(axis=0), 1)) for x in (centred, filled))
    moves = np.isfinite(scale) & (scale > LEAST_MOVE * size)
    return np.where(moves, centred / np.where(moves, scale, 1.0), 0.0), present & moves


@dataclass(frozen=True)
class NumberSearch:
    """Columns held against one goal within blocks of time.

    Args:
        raw: Shape (n, columns), not finite where missing.
        goal: The number, or the code of the class, shape (n,).
        kind: The class that is told from the others; None: the goal is a number.
        block: Of each row, ascending, shape (n,).
    """

    names: tuple[str, ...]
    raw: np.ndarray
    goal: np.ndarray
    kind: float | None
    move: float
    block: np.ndarray

    def aim(self, *, steady: bool = False) -> np.ndarray:
        """The number, or 1 for the class and 0 for the others, within blocks, shape (n,)."""
        values = self.goal if self.kind is None else (self.goal == self.kind).astype("float64")
        return within_blocks(values[:, None], self.block, steady=steady)[0][:, 0]

    @property
    def hint(self) -> float:
        return HINT if self.kind is None else CLASS_HINT

    def leaks(self) -> list[tuple[float, Leak]]:
        """Columns and pairs that tell too much, each with the share that it explains."""
        values, present = within_blocks(self.raw, self.block)
        strength = _correlation(values, present, self.aim())
        order = np.argsort(-strength, kind="stable")
        leaks, caught = [], set[int]()
        for column in order[: int((strength >= self.hint).sum())][:MOST_SUMS]:
            share = self.judged(self.raw[:, [column]])
            if share is not None:
                caught.add(int(column))
                leaks.append((share, Leak((self.names[column],), "alone", self._explains(share))))
        left = np.array([column for column in order if int(column) not in caught][:MOST_SUMS], dtype="int64")
        pairs = (self._pair(a, b, form) for a, b, form in self._hints(left, values, present, strength))
        return leaks + [pair for pair in pairs if pair is not None]

    def _explains(self, share: float) -> str:
        whole = "the target's variance within stretches of time" if self.kind is None else "a naive rule's errors"
        return f"explains {share:.1%} of {whole}"

    def _hints(
        self, columns: np.ndarray, values: np.ndarray, present: np.ndarray, strength: np.ndarray
    ) -> list[tuple[int, int, str]]:
        """Pairs that leave least beside the better of the two: by weighted sums, then by products and ratios."""
        explained = self._explained(values[:, columns], present[:, columns])
        steady_aim = self.aim(steady=True)
        sums: list[tuple[float, int, int, str]] = []
        products: list[tuple[float, int, int, str]] = []
        for at, a in enumerate(columns[:-1]):
            for form in FORMS if at < MOST_PRODUCTS - 1 else FORMS[:1]:
                others = columns[at + 1 :] if form == "sum" else columns[at + 1 : MOST_PRODUCTS]
                share = explained[at, at + 1 :]
                if form != "sum":
                    combined = _combined(self.raw[:, [a]], self.raw[:, others], form)
                    share = _correlation(*within_blocks(combined, self.block, steady=True), steady_aim)
                better = np.maximum(strength[others], strength[a])
                close = np.flatnonzero((better < 1) & (share >= self.hint))
                left = (1 - share[close]) / (1 - better[close])
                hints = sums if form == "sum" else products
                hints += [(float(least), int(a), int(others[b]), form) for least, b in zip(left, close, strict=True)]
        return [hint[1:] for hint in sorted(sums)[:CLOSELY] + sorted(products)[:CLOSELY]]

    def _explained(self, values: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Variance of the aim that the best weighted sum of each two columns explains, on rows that have both."""
        width, aim = values.shape[1], self.aim()
        rows, variance, total, first, between = np.zeros((5, width, width))
        for number in np.unique(self.block):
            here = self.block == number
            cells, there, goal = values[here], present[here].astype("float64"), aim[here][:, None]
            both = there.T @ there
            sums, goals, shares = cells.T @ there, (there * goal).T @ there, 1 / np.maximum(both, 1)
            rows += both
            variance += (cells**2).T @ there - sums**2 * shares
            total += (there * goal**2).T @ there - goals**2 * shares
            first += (cells * goal).T @ there - sums * goals * shares
            between += cells.T @ cells - sums * sums.T * shares
        first, between = first / np.sqrt(variance * total), between / np.sqrt(variance * variance.T)
        explained = (first**2 + first.T**2 - 2 * first * first.T * between) / (1 - between**2)
        sound = (rows >= LEAST_ROWS) & np.isfinite(explained) & (1 - between**2 > SEPARATE)
        return np.where(sound, np.minimum(explained, 1.0), 0.0)

    def _pair(self, a: int, b: int, form: str) -> tuple[float, Leak] | None:
        both = self.raw[:, [a, b]]
        columns = both if form == "sum" else _combined(both[:, [0]], both[:, [1]], form)
        share = self.judged(columns)
        if share is None:
            return None
        rows = np.isfinite(columns).all(axis=1)
        alone = max(self.share(np.where(rows, both[:, column], np.nan)[:, None])[0] for column in (0, 1))
        if 1 - share > (1 - alone) / (TIMES if self.kind is None else TIMES**0.5):
            return None
        if form == "sum":
            cells, present = within_blocks(both, self.block)
            together = present.all(axis=1)
            weights, *_ = np.linalg.lstsq(cells[together], self.aim()[together], rcond=None)
            form = "sum" if weights[0] * weights[1] > 0 else "difference"
        seen = f"their {form} {self._explains(share)}; the better one alone explains {max(alone, 0):.1%}"
        return share, Leak((self.names[a], self.names[b]), form, seen)

    def judged(self, columns: np.ndarray) -> float | None:
        """The share that a weighted sum of these columns explains, where that is too much, and of a typical row too."""
        share, is_typical = self.share(columns)
        return share if is_typical and share >= (ALONE if self.kind is None else ERRORS) else None

    def share(self, columns: np.ndarray) -> tuple[float, bool]:
        """What a weighted sum explains on rows that have all columns, of variance or errors; and whether typical rows'.

        One row far out, or few of them, may make a large share.
        """
        rows = np.isfinite(columns).all(axis=1)
        if rows.sum() < LEAST_ROWS:
            return 0.0, False
        cells = within_blocks(columns[rows], self.block[rows], steady=True)[0]
        if self.kind is None:
            return _variance_saved(cells, self.goal[rows], self.block[rows], self.move)
        return _errors_saved(cells, self.goal[rows], self.kind, self.move), True


def _correlation(values: np.ndarray, present: np.ndarray, aim: np.ndarray) -> np.ndarray:
    """Squared correlation of each column with the aim, shape (columns,)."""
    both = (values * aim[:, None]).sum(axis=0) ** 2
    whole = (values**2).sum(axis=0) * (present * aim[:, None] ** 2).sum(axis=0)
    return np.where(whole > 0, both / np.where(whole > 0, whole, 1.0), 0.0)


def _combined(first: np.ndarray, second: np.ndarray, form: str) -> np.ndarray:
    return np.asarray(first * second if form == "product" else first / second if form == "ratio" else second / first)


def _variance_saved(columns: np.ndarray, values: np.ndarray, block: np.ndarray, move: float) -> tuple[float, bool]:
    """Against the mean of each block, and against the step from the row before: a slow series is told by its past."""
    width = columns.shape[1] + 1
    residuals, deviations = [], []
    for number in np.unique(block):
        here = block == number
        if here.sum() >= 3 * width:
            deviations.append(values[here] - values[here].mean())
            matrix = np.column_stack([np.ones(int(here.sum())), columns[here]])
            residuals.append(deviations[-1] - matrix @ np.linalg.lstsq(matrix, deviations[-1], rcond=None)[0])
    if not residuals:
        return 0.0, False
    residual, centred = np.concatenate(residuals), np.concatenate(deviations)
    usual = min(float((centred**2).sum()) / max(len(centred) - len(residuals), 1), move)
    if not (np.isfinite(usual) and usual > 0):
        return 0.0, False
    far = np.abs(centred) >= np.median(np.abs(centred))
    is_typical = float(np.median(np.abs(residual[far]))) <= TYPICAL * float(np.median(np.abs(centred[far])))
    left = float((residual**2).sum()) / max(len(residual) - len(residuals) * width, 1)
    return 1 - left / usual, is_typical


def _errors_saved(columns: np.ndarray, kinds: np.ndarray, kind: float, move: float) -> float:
    """By a few thresholds on the weighted sum that tells one class best, over a naive rule."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.tree import DecisionTreeClassifier

    values = (kinds == kind).astype("float64")
    usual = min(len(kinds) - float(np.unique(kinds, return_counts=True)[1].max()), move * len(kinds))
    if usual < ENOUGH or min(values.sum(), len(values) - values.sum()) < ENOUGH:
        return 0.0
    score = columns[:, 0]
    if columns.shape[1] > 1:
        score = columns @ LogisticRegression(C=100.0).fit(columns, values).coef_[0]
    score = np.clip(score.reshape(-1, 1), -LARGEST, LARGEST)
    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=max(len(kinds) // 100, 10), random_state=0)
    return 1 - int((tree.fit(score, kinds).predict(score) != kinds).sum()) / usual
