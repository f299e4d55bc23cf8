"""Columns that give the answer away: each probe names the column and says how it was found.

A probe measures within blocks of time, so that neither a trend that columns share with the target makes a leak, nor
one that they do not share hides it. Logarithms make products and ratios sums.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.stats.codec import Unwritten
from retrim.stats.plugins import SettingsSection
from retrim.table.data import DataParams

ALONE = 0.98
"""Share of the target's variance, or of its errors, that one column may explain ahead of its time."""


class LeakParams(SettingsSection):
    """What a run does about columns that leak the target."""

    probe: bool = Field(
        exclude=True,
        default=True,
        description="whether a run looks for leaks, and stops if it finds one that leaks.allowed does not list",
    )
    allowed: dict[str, str] = Field(
        default={}, description="columns that look like a leak but are used anyway, each with the reason"
    )


@dataclass(frozen=True)
class Leak:
    """A column, or several together, that leak the target.

    Args:
        columns: Names of the columns.
        probe: Test that found the leak.
        seen: What was found, with an example value if that helps.
        bare: The same without an example value; empty if `seen` has none.
    """

    columns: tuple[str, ...]
    probe: str
    seen: str
    bare: Unwritten[str] = ""

    @property
    def text(self) -> str:
        return f"{', '.join(self.columns)}: {self.seen}"


def own_features(table: pd.DataFrame, data: DataParams) -> list[str]:
    """Features that rows bring along and that are in the table: rows put together may have lost some."""
    return [name for name in data.own_features if name in table]


def apart(leaks: list[Leak], allowed: Collection[str]) -> tuple[list[Leak], list[Leak]]:
    """Those that are not allowed, and those that are: one of their columns is named."""
    refused = [leak for leak in leaks if not set(leak.columns) & set(allowed)]
    return refused, [leak for leak in leaks if leak not in refused]


SAMPLED_ALONE = 20_000
LARGEST = 1e38
ERRORS, ENOUGH = 0.9, 20
"""Share of the errors over the commonest class that one column may take away, where at least that many are expected."""
FEW = 5
"""Errors of a naive rule that are expected, of fewer of which nothing can be told."""
OWN_ROWS = 30
"""Rows that have the column, from which they are judged by themselves."""
GAPS = 0.02
"""Share of rows without the column, from which they are."""


def alone_leak(name: str, values: pd.Series, goal: np.ndarray, *, classes: bool) -> Leak | None:
    """The column as a leak, judged on all rows and on those that have it.

    Args:
        values: Its cells in order of time, shape (n,).
        goal: The target as a number, or the code of its class, shape (n,).
    """
    step = max(len(values) // SAMPLED_ALONE, 1)
    move = step_of(goal, classes=classes)
    values, goal = values.iloc[::step], goal[::step]
    whole = values.notna().to_numpy()
    of = ""
    share = _share(values, goal, move, classes=classes)
    if share is None and 1 - whole.mean() >= GAPS and whole.sum() >= OWN_ROWS:
        share = _share(values[whole], goal[whole], move, classes=classes)
        of = f", among the {whole.mean():.0%} of rows that have it"
    if share is None:
        return None
    what = "of a naive rule's errors" if classes else "of the target"
    seen = f"explains {share:.1%} {what} by itself, on rows after those it was fitted on{of}"
    return Leak((name,), "alone", seen)


def step_of(goal: np.ndarray, *, classes: bool) -> float:
    """What the rows before leave: the share of rows of another class than the last, or variance about the last value.

    Of a number it may be the variance about the line through the last two. A slow series is told by its own past, and
    a column that tells it no better gives nothing away. Infinite where the target never moves.
    """
    if classes:
        return float(np.mean(goal[1:] != goal[:-1])) or np.inf
    left = [float(np.nanvar(np.diff(goal, n=order))) for order in (1, 2) if np.isfinite(np.diff(goal, n=order)).any()]
    return min([one for one in left if one > 0], default=np.inf)


def _share(values: pd.Series, goal: np.ndarray, move: float, *, classes: bool) -> float | None:
    """What the column explains on the newest 30% of these rows, where that is too much; else None."""
    cut = int(0.7 * len(goal))
    if len(goal) - cut < 8 or len(np.unique(goal[:cut])) < 2 or len(np.unique(goal[cut:])) < 2:
        return None
    if not pd.api.types.is_numeric_dtype(values):
        known, told = _by_level(values, goal, cut, classes=classes)
    else:
        known, told = np.ones(len(goal) - cut, dtype=bool), _by_tree(values, goal, cut, classes=classes)
    truth, told = goal[cut:][known], told[known]
    if len(truth) < 8:
        return None
    if not classes:
        total = min(float(np.var(truth)), move)
        share = 1 - float(np.mean((truth - told) ** 2)) / total if total > 0 else 0.0
        return share if share >= ALONE else None
    usual = min(1 - max(float(np.mean(truth == kind)) for kind in np.unique(goal[:cut])), move)
    if usual * len(truth) < FEW:
        return None
    share = 1 - float(np.mean(truth != told)) / usual
    return share if share >= (ERRORS if usual * len(truth) >= ENOUGH else ALONE) else None


def _by_level(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which newer rows have a level that was there before, and what that level was then: its mean or commonest class.

    A missing cell is a level of its own.
    """
    codes = pd.factorize(values)[0]
    old, new = codes[:cut], codes[cut:]
    if classes:
        counted = pd.crosstab(old, goal[:cut])
        told = counted.idxmax(axis=1)
    else:
        told = pd.Series(goal[:cut]).groupby(old).mean()
    found = told.reindex(new).to_numpy(dtype="float64")
    return ~np.isnan(found), found


def _by_tree(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> np.ndarray:
    """What a tree on one column of numbers says of the newer rows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    low = float(np.nanmin(numbers)) - 1 if np.isfinite(numbers).any() else 0.0
    filled = np.where(np.isfinite(numbers), numbers, low)
    column = np.clip(filled.reshape(-1, 1), -LARGEST, LARGEST).astype("float32")  # a tree holds no more
    leaf = max(cut // 2000, 2)
    kind, leaves = (DecisionTreeClassifier, 256) if classes else (DecisionTreeRegressor, 2048)
    tree = kind(max_leaf_nodes=leaves, min_samples_leaf=leaf, random_state=0).fit(column[:cut], goal[:cut])
    return np.asarray(tree.predict(column[cut:]), dtype="float64")


BLOCKS, LEAST_BLOCK = 20, 50
"""Blocks of time, and the fewest rows of one."""
LEAST_ROWS = 60
TYPICAL = 0.25
"""Largest residual of a typical row, in typical deviations: one row far out may not decide."""
PROMISING, LEAVES = 0.5, 16
"""Share of errors that a quick weighted sum takes away for a better one to be fitted; cases told apart by a score."""


@dataclass(frozen=True)
class LeakTarget:
    """What is to be told.

    Args:
        values: In order of time, the codes where it is a class, shape (n,).
        kind: The class that scores aim at; None: it is a number.
        move: What the row before leaves, as `step_of` has it.
        log_move: The same of the number's logarithm.
        blocks: Blocks of time within which it is to be told.
    """

    values: np.ndarray
    kind: float | None
    move: float
    log_move: float = np.inf
    blocks: int = BLOCKS

    @property
    def classes(self) -> bool:
        return self.kind is not None

    def aim(self, values: np.ndarray) -> np.ndarray:
        """What scores aim at, shape (n,): the number, or 1 for the class and 0 for the others."""
        return values if self.kind is None else (values == self.kind).astype("float64")


@dataclass(frozen=True)
class BlockedColumns:
    """Columns within blocks of time.

    Args:
        values: Shape (n, columns), each less its block's mean and in its own deviations; 0 where missing.
        present: Shape (n, columns).
        block: Block of each row, ascending, shape (n,).
    """

    values: np.ndarray
    present: np.ndarray
    block: np.ndarray


def runs_of(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each block starts, and of each row the number of its block among those that are there."""
    begins = np.diff(block, prepend=block[:1] - 1) > 0
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def sheet_of(raw: np.ndarray, block: np.ndarray) -> BlockedColumns:
    present = np.isfinite(raw)
    filled = np.where(present, raw, 0.0)
    starts, run = runs_of(block)
    counts = np.maximum(np.add.reduceat(present, starts, axis=0, dtype="float64"), 1)
    means = (np.add.reduceat(filled, starts, axis=0) / counts)[run]
    values = np.where(present, raw - means, 0.0)
    scale = np.sqrt((values**2).sum(axis=0) / np.maximum(present.sum(axis=0), 1))
    usable = np.isfinite(scale) & (scale > 0)
    values = np.where(usable, values / np.where(usable, scale, 1.0), 0.0)
    return BlockedColumns(values, present & usable, block)


def judged(
    columns: np.ndarray, rows: np.ndarray, values: np.ndarray, block: np.ndarray, goal: LeakTarget
) -> float | None:
    """The share that these columns explain, where that is too much, and so of a typical row too; else None."""
    share, typical = _told(columns, rows, values, block, goal)
    return share if typical and share >= (ERRORS if goal.classes else ALONE) else None


def share_of(columns: np.ndarray, rows: np.ndarray, values: np.ndarray, block: np.ndarray, goal: LeakTarget) -> float:
    """What a weighted sum of the columns explains on these rows: of variance, or of errors by one threshold."""
    return _told(columns, rows, values, block, goal)[0]


def _told(
    columns: np.ndarray, rows: np.ndarray, values: np.ndarray, block: np.ndarray, goal: LeakTarget
) -> tuple[float, bool]:
    """The share, and whether a typical row is told: one row far out, or few of them, may make a large share."""
    if rows.sum() < LEAST_ROWS:
        return 0.0, False
    if goal.classes:
        return _errors_saved(columns[rows], goal, values[rows], block[rows]), True
    return _variance_saved(columns[rows], values[rows], block[rows], goal.move)


def _variance_saved(columns: np.ndarray, values: np.ndarray, block: np.ndarray, move: float) -> tuple[float, bool]:
    """Against the mean of each block, and against the step from the row before: a slow series is told by its past."""
    least = 3 * (columns.shape[1] + 1)
    left, whole, free, means = [], [], 0, 0
    for number in np.unique(block):
        here = block == number
        if here.sum() < least:
            continue
        centred = values[here] - values[here].mean()
        matrix = np.column_stack([np.ones(int(here.sum())), columns[here]])
        weights, *_ = np.linalg.lstsq(matrix, centred, rcond=None)
        left.append(centred - matrix @ weights)
        whole.append(centred)
        free += matrix.shape[1]
        means += 1
    if not whole:
        return 0.0, False
    residual, centred = np.concatenate(left), np.concatenate(whole)
    variance = float((centred**2).sum()) / max(len(centred) - means, 1)
    usual = min(variance, move)
    far = np.abs(centred) >= np.median(np.abs(centred))
    typical = float(np.median(np.abs(residual[far]))) <= TYPICAL * float(np.median(np.abs(centred[far])))
    if not (np.isfinite(usual) and usual > 0):
        return 0.0, False
    return 1 - float((residual**2).sum()) / max(len(residual) - free, 1) / usual, typical


def _errors_saved(columns: np.ndarray, goal: LeakTarget, kinds: np.ndarray, block: np.ndarray) -> float:
    """By a few thresholds on the weighted sum that tells one class best, within blocks, over a naive rule."""
    values = goal.aim(kinds)
    _, counts = np.unique(kinds, return_counts=True)
    usual = min(len(kinds) - float(counts.max()), goal.move * len(kinds))
    if usual < ENOUGH or min(values.sum(), len(values) - values.sum()) < ENOUGH:
        return 0.0
    centred = sheet_of(columns, block).values
    if columns.shape[1] == 1:
        return 1 - _wrong(centred[:, 0], kinds) / usual
    weights, *_ = np.linalg.lstsq(centred, values - values.mean(), rcond=None)
    share = 1 - _wrong(centred @ weights, kinds) / usual
    if share < PROMISING:
        return share
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=100.0).fit(centred, values)
    return max(share, 1 - _wrong(centred @ fitted.coef_[0], kinds) / usual)


def _wrong(score: np.ndarray, kinds: np.ndarray) -> int:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=max(len(kinds) // 100, 10), random_state=0)
    column = np.clip(score.reshape(-1, 1), -LARGEST, LARGEST)
    return int((tree.fit(column, kinds).predict(column) != kinds).sum())


SAMPLED_PAIRS, SAMPLED_CLASSES = 8_000, 4_000
MOST_LINEAR, MOST_MADE = 300, 40
"""Columns of which all pairs are looked at: as weighted sums (also of logarithms), and as products and ratios made."""
LOOKED_AT = 30
"""Pairs of each form that are looked at closely: those that gain most over one column."""
HINT, CLASS_HINT = 0.8, 0.05
"""Explained variance from which columns are looked at closely: of a number, and of a class as 0 and 1."""
SEPARATE = 1e-10
"""Variance that one column has beside another, at least, for a sum of both to be told from one of them."""
TIMES = 10.0
"""How much less variance a pair leaves than the better of its columns; of errors, its root."""
MOST_CLASSES = 4
"""Classes that are looked at, one against the others: the commonest."""


@dataclass(frozen=True)
class LeakFound:
    """A column or a pair that tells the goal: places of the columns, form, share explained, and by the better alone."""

    places: tuple[int, ...]
    form: str
    share: float
    alone: float


def pair_leaks(numbers: Mapping[str, pd.Series], goal: np.ndarray, *, classes: bool) -> list[Leak]:
    """Columns that tell the target alone or in pairs, each in one leak at most.

    Args:
        numbers: Columns of numbers in order of time, shape (n,) each.
        goal: The target as a number, or the code of its class, shape (n,).
    """
    names = list(numbers)
    if not names or len(goal) < LEAST_ROWS:
        return []
    step = max(len(goal) // (SAMPLED_CLASSES if classes else SAMPLED_PAIRS), 1)
    raw = np.column_stack([numbers[name].iloc[::step].to_numpy(dtype="float64", na_value=np.nan) for name in names])
    raw = np.where(np.isfinite(raw), raw, np.nan)
    found = [one for aim in _goals(goal, step, classes=classes) for one in _tell(raw, aim)]
    leaks: list[Leak] = []
    used: set[int] = set()
    for one in sorted(found, key=lambda one: (len(one.places), -one.share)):
        if not used & set(one.places):
            used |= set(one.places)
            leaks.append(_leak(one, [names[place] for place in one.places], classes=classes))
    return leaks


def _leak(found: LeakFound, names: list[str], *, classes: bool) -> Leak:
    what = "of a naive rule's errors" if classes else "of the target's variance within stretches of time"
    if len(names) == 1:
        return Leak((names[0],), "alone", f"explains {found.share:.1%} {what}")
    seen = (
        f"their {found.form} explains {found.share:.1%} {what}; the better one alone explains {max(found.alone, 0):.1%}"
    )
    return Leak(tuple(names), found.form, seen)


def _goals(goal: np.ndarray, step: int, *, classes: bool) -> list[LeakTarget]:
    values = goal[::step]
    if not classes:
        return [LeakTarget(values, None, step_of(goal, classes=False), step_of(_logs(goal), classes=False))]
    kinds, counts = np.unique(values, return_counts=True)
    wanted = kinds[np.argsort(-counts)][:MOST_CLASSES]
    move = step_of(goal, classes=True)
    wanted = wanted[-1:] if len(kinds) == 2 else wanted
    # A threshold may move with the columns, or stand: then blocks only blur it.
    return [LeakTarget(values, float(kind), move, blocks=blocks) for kind in wanted for blocks in (1, BLOCKS)]


def _blocks(rows: int, blocks: int) -> np.ndarray:
    size = max(rows // blocks, LEAST_BLOCK)
    return np.minimum(np.arange(rows) // size, max(rows // size - 1, 0))


def _logs(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values != 0, np.abs(values), np.nan))


def _tell(raw: np.ndarray, goal: LeakTarget) -> list[LeakFound]:
    rows = np.isfinite(goal.values)
    if not goal.classes and len(np.unique(goal.values[rows])) < 3:
        return []
    plain = _linear(raw[rows], goal.values[rows], goal, logs=False)
    if goal.classes:
        logs = _linear(_logs(raw[rows]), goal.values[rows], goal, logs=True)
    else:
        logged = rows & (goal.values != 0)
        if logged.sum() < max(LEAST_ROWS, rows.sum() // 2):
            return plain + _made(raw[rows], goal.values[rows], goal)
        aim = LeakTarget(_logs(goal.values), None, goal.log_move)
        logs = _linear(_logs(raw[logged]), aim.values[logged], aim, logs=True)
    return plain + logs + _made(raw[rows], goal.values[rows], goal)


def _linear(raw: np.ndarray, values: np.ndarray, goal: LeakTarget, *, logs: bool) -> list[LeakFound]:
    """Weighted sums of columns: of each by itself, and of all pairs of the strongest."""
    sheet = sheet_of(raw, _blocks(len(values), goal.blocks))
    aim = sheet_of(goal.aim(values)[:, None], sheet.block).values[:, 0]
    alone = _alone(sheet, aim)
    found = []
    strong = np.argsort(-alone, kind="stable")[:MOST_LINEAR]
    for place in strong[alone[strong] >= (CLASS_HINT if goal.classes else HINT)]:
        one = judged(sheet.values[:, [place]], sheet.present[:, place], values, sheet.block, goal)
        found += [] if one is None else [LeakFound((int(place),), "alone", one, 0.0)]
    caught = {one.places[0] for one in found}
    strongest = np.array([place for place in strong if int(place) not in caught], dtype="int64")
    part = BlockedColumns(sheet.values[:, strongest], sheet.present[:, strongest], sheet.block)
    explained = _pairs(part, aim)
    better = np.maximum(alone[strongest][:, None], alone[strongest][None])
    left = np.where(explained >= (CLASS_HINT if goal.classes else HINT), (1 - explained) / (1 - better), np.inf)
    left[np.tril_indices(len(left))] = np.inf
    for flat in np.argsort(left, axis=None, kind="stable")[:LOOKED_AT]:
        if not np.isfinite(left.flat[flat]):
            break
        a, b = (int(strongest[place]) for place in np.unravel_index(flat, left.shape))
        pair = _pair(sheet, a, b, values, goal, logs=logs)
        found += [] if pair is None else [pair]
    return found


def _alone(sheet: BlockedColumns, aim: np.ndarray) -> np.ndarray:
    """Squared correlation of each column with the aim, within blocks, shape (columns,)."""
    both = (sheet.values * aim[:, None]).sum(axis=0) ** 2
    whole = (sheet.values**2).sum(axis=0) * (sheet.present * aim[:, None] ** 2).sum(axis=0)
    return np.where(whole > 0, both / np.where(whole > 0, whole, 1.0), 0.0)


def _pairs(sheet: BlockedColumns, aim: np.ndarray) -> np.ndarray:
    """Variance of the aim that the best weighted sum of each two columns explains, on rows that have both."""
    width = sheet.values.shape[1]
    rows, own, total, first, between = np.zeros((5, width, width))
    for number in np.unique(sheet.block):
        here = sheet.block == number
        values, there, goal = sheet.values[here], sheet.present[here].astype("float64"), aim[here][:, None]
        both = there.T @ there
        sums, goals, shares = values.T @ there, (there * goal).T @ there, 1 / np.maximum(both, 1)
        rows += both
        own += (values**2).T @ there - sums**2 * shares
        total += (there * goal**2).T @ there - goals**2 * shares
        first += (values * goal).T @ there - sums * goals * shares
        between += values.T @ values - sums * sums.T * shares
    first, between = first / np.sqrt(own * total), between / np.sqrt(own * own.T)
    explained = (first**2 + first.T**2 - 2 * first * first.T * between) / (1 - between**2)
    sound = (rows >= LEAST_ROWS) & np.isfinite(explained) & (1 - between**2 > SEPARATE)
    return np.where(sound, np.minimum(explained, 1.0), 0.0)


def _pair(
    sheet: BlockedColumns, a: int, b: int, values: np.ndarray, goal: LeakTarget, *, logs: bool
) -> LeakFound | None:
    both = sheet.present[:, a] & sheet.present[:, b]
    share = judged(sheet.values[:, [a, b]], both, values, sheet.block, goal)
    if share is None:
        return None
    alone = max(share_of(sheet.values[:, [place]], both, values, sheet.block, goal) for place in (a, b))
    if not _better(share, alone, classes=goal.classes):
        return None
    weights = _weights(sheet.values[both][:, [a, b]], goal.aim(values)[both], sheet.block[both])
    alike = weights[0] * weights[1] > 0
    form = ("product" if alike else "ratio") if logs else ("sum" if alike else "difference")
    return LeakFound((a, b), form, share, alone)


def _made(raw: np.ndarray, values: np.ndarray, goal: LeakTarget) -> list[LeakFound]:
    """Products and ratios of the strongest columns as they stand, as logarithms know no sign and no zero."""
    block = _blocks(len(values), goal.blocks)
    aim = sheet_of(goal.aim(values)[:, None], block)
    steady = _steady(aim.values, aim.present, block)[:, 0]
    plain, logs = sheet_of(raw, block), sheet_of(_logs(raw), block)
    strength = np.maximum(_alone(plain, aim.values[:, 0]), _alone(logs, aim.values[:, 0]))
    places = np.argsort(-strength, kind="stable")[:MOST_MADE]
    hints: list[tuple[float, int, int, str]] = []
    for at, a in enumerate(places):
        others = places[at + 1 :]
        if not len(others):
            break
        ways = {
            "product": raw[:, [a]] * raw[:, others],
            "ratio": raw[:, [a]] / raw[:, others],
            "ratio of the second to the first": raw[:, others] / raw[:, [a]],
        }
        for form, made in ways.items():
            sheet = sheet_of(np.where(np.isfinite(made), made, np.nan), block)
            shown = _alone(BlockedColumns(_steady(sheet.values, sheet.present, block), sheet.present, block), steady)
            better = np.maximum(strength[others], strength[a])
            hints += [
                (float((1 - share) / (1 - known)), int(a), int(b), form)
                for b, share, known in zip(others, shown, better, strict=True)
                if known < 1 and share >= (CLASS_HINT if goal.classes else HINT)
            ]
    found = []
    for _, a, b, form in sorted(hints)[:LOOKED_AT]:
        one = _maker(raw, (a, b), form, values, block, goal)
        found += [] if one is None else [one]
    return found


def _maker(
    raw: np.ndarray, pair: tuple[int, int], form: str, values: np.ndarray, block: np.ndarray, goal: LeakTarget
) -> LeakFound | None:
    first, second = raw[:, pair[0]], raw[:, pair[1]]
    made = {"product": first * second, "ratio": first / second}.get(form, second / first)
    sheet = sheet_of(np.where(np.isfinite(made), made, np.nan)[:, None], block)
    rows = sheet.present[:, 0]
    share = judged(sheet.values, rows, values, block, goal)
    if share is None:
        return None
    either = raw[:, list(pair)]
    alone = max(
        share_of(sheet_of(kind, block).values[:, [place]], rows & np.isfinite(kind[:, place]), values, block, goal)
        for kind in (either, _logs(either))
        for place in (0, 1)
    )
    return LeakFound(pair, form, share, alone) if _better(share, alone, classes=goal.classes) else None


def _better(share: float, alone: float, *, classes: bool) -> bool:
    """Whether two columns tell so much more than the better of them: what they leave is that many times less."""
    return 1 - share <= (1 - alone) / (TIMES**0.5 if classes else TIMES)


def _steady(values: np.ndarray, present: np.ndarray, block: np.ndarray) -> np.ndarray:
    """The columns in each block's own deviations, as a scale may move too."""
    starts, run = runs_of(block)
    counts = np.maximum(np.add.reduceat(present, starts, axis=0, dtype="float64"), 1)
    scale = np.sqrt(np.add.reduceat(values**2, starts, axis=0) / counts)[run]
    return np.where(scale > 0, values / np.where(scale > 0, scale, 1.0), 0.0)


def _weights(columns: np.ndarray, values: np.ndarray, block: np.ndarray) -> np.ndarray:
    aim = sheet_of(values[:, None], block).values[:, 0]
    weights, *_ = np.linalg.lstsq(sheet_of(columns, block).values, aim, rcond=None)
    return np.asarray(weights)


AHEAD, SAME = (1, 2, 3), 0.95
"""How many rows later is looked, and the share of rows in which a column has to be the target there."""
MOVES = 30
"""Rows in which the target is another one there, at least: of a target that stays, nothing can be told."""
OFTEN, SELDOM, OWN = 0.9, 0.2, 20
"""Share of rows without a label that have a value which hardly any other of that time has; rows of each kind."""
TWINS, USUAL = 0.05, 0.05
"""Share of judging rows with a twin in training from which it is a leak, where training has fewer within itself."""
DUPLICATES = "duplicates"
"""What the leak of rows that come twice is called, as no column is at fault."""


def future_leaks(table: pd.DataFrame, data: DataParams, *, entity: str | None) -> list[Leak]:
    """Features that are the target of a later row, of the same entity where one is named: joined from the future.

    Args:
        table: Typed rows in order of time.
    """
    target = table[data.target]
    groups = table[entity] if entity is not None and entity in table else None
    found = []
    for name in own_features(table, data):
        own = table[name]
        if pd.api.types.is_numeric_dtype(own) != pd.api.types.is_numeric_dtype(target):
            continue
        for ahead in AHEAD:
            later = target.shift(-ahead) if groups is None else target.groupby(groups, dropna=False).shift(-ahead)
            moved = (later.notna() & own.notna() & target.notna() & (later != target)).to_numpy(dtype=bool)
            if moved.sum() < MOVES:
                continue
            share = float((own[moved] == later[moved]).mean())
            if share >= SAME:
                whose = "" if groups is None else f" within the same {entity}"
                seen = (
                    f"equals the target {ahead} rows later{whose} in {share:.0%} of the rows: it comes from the future"
                )
                found.append(Leak((name,), "future", seen))
                break
    return found


def open_leaks(table: pd.DataFrame, data: DataParams, *, answered: np.ndarray) -> list[Leak]:
    """Features with a value that rows without a label have, and rows of the same time with one have not.

    Args:
        table: Typed rows in order of time.
    """
    places = np.flatnonzero(~answered), np.flatnonzero(answered)
    if min(map(len, places)) < OWN:
        return []
    both = slice(places[0][0], places[1][-1] + 1)  # from the first that waits to the last that does not
    part, known = table.iloc[both], answered[both]
    if known.sum() < OWN or (~known).sum() < OWN:
        return []
    found = []
    for name in own_features(table, data):
        waits, has = part.loc[~known, name], part.loc[known, name]
        counts = waits.value_counts()
        if not len(counts):
            continue
        value = counts.index[0]
        without, within = float((waits == value).mean()), float((has == value).mean())
        if without >= OFTEN and within <= SELDOM:
            seen = (
                f" in {without:.0%} of the rows without a label, but in {within:.0%} of the rows with a label from the "
                "same time: it is set only after the event"
            )
            found.append(Leak((name,), "known later", f"is {value!r}{seen}", f"has the same value{seen}"))
    return found


def split_leaks(
    table: pd.DataFrame, data: DataParams, *, entity: str | None, judge_rows: int, made: Collection[str]
) -> list[Leak]:
    """Rows that judge and whose answer training has seen: twins of training rows, and entities with one answer.

    Args:
        table: Typed rows in order of time.
    """
    rows = table[table[data.target].notna()]
    old, new = rows.iloc[:-judge_rows], rows.iloc[-judge_rows:]
    if len(old) < OWN or len(new) < OWN:
        return []
    return [*_twins(old, new, data, made), *_one_answer(old, new, data, entity)]


def count_twins(
    old: pd.DataFrame, new: pd.DataFrame, data: DataParams, made: Collection[str]
) -> tuple[int, float] | None:
    """Rows of `new` that stand in `old` too, time and key aside; and the share of `old` that repeats by chance.

    Returns:
        None where fewer than two features say what a row is.
    """
    columns = [name for name in (*own_features(old, data), data.target) if name not in made]
    if len(columns) < 3:
        return None
    before, after = (pd.util.hash_pandas_object(rows[columns], index=False) for rows in (old, new))
    return int(after.isin(before).sum()), float(before.duplicated(keep=False).mean())


def _twins(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, made: Collection[str]) -> list[Leak]:
    counted = count_twins(old, new, data, made)
    if counted is None:
        return []
    twins, usual = counted[0] / len(new), counted[1]
    if twins < TWINS or usual >= USUAL:
        return []
    seen = (
        f"{twins:.0%} of the holdout rows are in training too, identical except for time and key, but only {usual:.0%} "
        "of training rows have a duplicate"
    )
    return [Leak((DUPLICATES,), DUPLICATES, seen)]


def _one_answer(old: pd.DataFrame, new: pd.DataFrame, data: DataParams, entity: str | None) -> list[Leak]:
    if entity is None or entity not in old or entity == data.target:
        return []
    last = old.dropna(subset=[entity]).drop_duplicates(entity, keep="last").set_index(entity)[data.target]
    shared = new[new[entity].isin(last.index)]
    if len(shared) < OWN or shared[data.target].nunique() < 2:
        return []
    same = float((shared[data.target].to_numpy() == last.reindex(shared[entity]).to_numpy()).mean())
    commonest = float(shared[data.target].value_counts(normalize=True).iloc[0])
    if same < ALONE or commonest >= same:
        return []
    seen = (
        f"{len(shared)} of {len(new)} holdout rows are of a {entity} seen in training, and {same:.0%} of them have its "
        f"label from there: they show nothing about a new {entity}"
    )
    return [Leak((entity,), "entity", seen)]


CHANCE = 1e-3
"""Chance that any of the values of a column that are tried has rows of one class alone."""
PART = 0.1
"""Share of a class that such a value has, at least: one hour of the night may have one class without a leak."""
CYCLES = 3
"""Days, weeks or years after which a column that is the same at the same time of each says when the event is."""
MOST_VALUES = 50
"""Values of a column of which each is tried; of more, the commonest and the missing cells."""


def class_leak(name: str, rows: pd.DataFrame, data: DataParams) -> Leak | None:
    """A column that fixes one class: with one of its values, or without it, no row has another class.

    What chance would give is expected within blocks of time: a class that ends when a value begins is none.

    Args:
        rows: Labelled rows in order of time, with the target.
    """
    if data.task == "regression" or len(rows) < LEAST_BLOCK:
        return None
    kinds, names = pd.factorize(rows[data.target].astype("str"))
    block = np.arange(len(rows)) * min(BLOCKS, len(rows) // LEAST_BLOCK) // len(rows)
    shares = pd.crosstab(block, kinds, normalize="index").to_numpy()[block]
    levels, values = pd.factorize(rows[name])  # -1: missing
    codes, counts = np.unique(levels, return_counts=True)
    tried = codes if len(values) <= MOST_VALUES else np.unique([-1, codes[counts.argmax()]])
    expected = np.log(2 * len(tried) / CHANCE)
    surest: Leak | None = None
    for within in (True, False):
        for code in tried:
            having = (levels == code) == within
            seen = np.unique(kinds[having])
            if len(seen) != 1:
                continue
            kind, n = int(seen[0]), int(having.sum())
            others = float((1 - shares[having, kind]).sum())
            if others <= expected or n < PART * (kinds == kind).sum():
                continue
            expected = others
            bare = (
                f" in {n} rows, and all of them are {names[kind]!r}, where {others:.0f} of another class are "
                f"expected: it may be a leak of the class {names[kind]!r}"
            )
            value = "missing" if code < 0 else _plain(values[code])
            seen_with_value = f"{'is' if within else 'is not'} {value}{bare}"
            surest = Leak((name,), "class", seen_with_value, f"has or lacks one value{bare}")
    return surest


def is_known_before(name: str, rows: pd.DataFrame, data: DataParams) -> bool:
    """Whether a column can be no leak: it says when the event is, or what the target was in the rows before.

    Args:
        rows: Labelled rows in order of time, with the target and `_event`.
    """
    values, event = rows[name], rows["_event"]
    codes = pd.Series(pd.factorize(values)[0], index=rows.index)
    parts = {"1D": event.dt.hour, "7D": event.dt.day_of_week, "365D": event.dt.month}
    for cycle, part in parts.items():
        repeats = event.max() - event.min() >= CYCLES * pd.Timedelta(cycle)
        if repeats and codes.max() > codes.min() and codes.groupby(part).nunique().max() == 1:
            return True
    target = rows[data.target]
    if pd.api.types.is_numeric_dtype(values) != pd.api.types.is_numeric_dtype(target):
        return False
    for behind in AHEAD:
        there = (values.notna() & target.shift(behind).notna()).to_numpy(dtype=bool)
        if there.sum() >= MOVES and float((values == target.shift(behind))[there].mean()) >= SAME:
            return True
    return False


def _plain(value: object) -> str:
    """A cell as people write it."""
    if isinstance(value, float | np.floating):
        return f"{value:g}"
    return repr(value) if isinstance(value, str) else str(value)


KNOWN_LATER = 0.9
"""Of the rows without a label, in which a column is blank that hardly ever is so elsewhere."""
EARLY_SHARE = 0.2
FEW_LATE, FEW_SHARE = 10, 0.005
"""Newest rows, and their share of all, below which answers that are missing there say nothing of answers to come."""
MOSTLY = 2.0
"""Times as many rows without an answer among the newest as older ones make expected: then most are still to come."""


def leaks_of(
    table: pd.DataFrame,
    data: DataParams,
    *,
    label_time: pd.Series | None,
    entity: str | None,
    judge_rows: int,
    made: Collection[str],
) -> list[Leak]:
    """Every feature that gives the answer away.

    Args:
        table: Typed rows in order of time, labelled and not, shape (n, columns).
        label_time: When each label was known, index of `table`; None: not known.
        entity: The column that names what a row is about; None: none was named.
    """
    labelled = table[table[data.target].notna()]
    if len(labelled) < 20:
        return []
    with np.errstate(all="ignore"):  # squares of numbers near the largest; what is not finite says nothing below
        found = _found(table, labelled, data, label_time, made)
    caught = {name for leak in found for name in leak.columns}
    others = [
        *future_leaks(table, data, entity=entity),
        *open_leaks(table, data, answered=table[data.target].notna().to_numpy()),
        *split_leaks(table, data, entity=entity, judge_rows=judge_rows, made=made),
    ]
    return found + [leak for leak in others if not set(leak.columns) & caught]


def _found(
    table: pd.DataFrame, labelled: pd.DataFrame, data: DataParams, label_time: pd.Series | None, made: Collection[str]
) -> list[Leak]:
    goal, classes = _goal(labelled, data), data.task != "regression"
    found = _later(table, data, label_time)
    caught = {name for leak in found for name in leak.columns} | set(made)
    for name in own_features(table, data):
        if name not in caught:
            leak = alone_leak(name, labelled[name], goal, classes=classes)
            found += [] if leak is None else [leak]
    caught |= {name for leak in found for name in leak.columns}
    numbers = {name: labelled[name] for name in _numeric(labelled, data) if name not in caught}
    return found + pair_leaks(numbers, goal, classes=classes)


def _goal(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    """The target as numbers: itself, or the code of its class."""
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    if data.task == "binary":
        return (rows[data.target] == data.positive).to_numpy(dtype="float64")
    return pd.Categorical(rows[data.target]).codes.astype("float64")


def _numeric(rows: pd.DataFrame, data: DataParams) -> list[str]:
    kinds = data.own_features
    return [name for name in own_features(rows, data) if kinds[name] in ("number", "integer")]


def _later(table: pd.DataFrame, data: DataParams, label_time: pd.Series | None) -> list[Leak]:
    """Columns that are filled only once the answer is known: blank where it is still to come, and not elsewhere."""
    waits, answered = _waiting(table, data, label_time)
    if waits.sum() < OWN or answered.sum() < OWN:
        return []
    found = []
    for name in own_features(table, data):
        blank = table[name].isna().to_numpy()
        if blank[waits].mean() >= KNOWN_LATER and blank[answered].mean() <= EARLY_SHARE:
            seen = (
                f"is blank in {blank[waits].mean():.0%} of the rows whose label is still to come, but in "
                f"{blank[answered].mean():.0%} of the rows that have a label: it is known only after the event"
            )
            found.append(Leak((name,), "known later", seen))
    return found


def _waiting(table: pd.DataFrame, data: DataParams, label_time: pd.Series | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows whose answer is still to come, and rows that have one.

    A row whose answer never comes is neither: it is blank elsewhere too, as where nothing was caught, and says nothing
    of when a column is filled. Such are all of a table that has them so, and rows whose label is overdue while newer
    ones have theirs. Where they may be most of those that seem to wait, none waits.
    """
    answered = table[data.target].notna().to_numpy(dtype=bool)
    if label_time is not None and label_time.notna().any():
        answered = answered & label_time.notna().to_numpy()
    if data.labels == "or_never":
        return np.zeros(len(table), dtype=bool), answered
    coming = np.arange(len(table)) >= len(table) - unanswered_tail(~answered)
    if "_due" in table:
        coming |= (table["_due"] > table["_event"].max()).to_numpy()
    waits = ~answered & coming
    never = (~answered)[~coming].mean() if not coming.all() else 0.0
    return waits & (waits.sum() >= MOSTLY * never * coming.sum()), answered


def unanswered_tail(missing: np.ndarray) -> int:
    """How many of the newest rows are those most of which have no answer yet; 0 where they are few.

    They begin where rows without one outnumber the others most.

    Args:
        missing: Whether each row has none, in order of event time, shape (n,).
    """
    more = np.cumsum(np.where(missing[::-1], 1, -1))
    tail = int(more.argmax()) + 1 if more.max(initial=0) > 0 else 0
    return tail if tail >= max(FEW_LATE, FEW_SHARE * len(missing)) else 0
