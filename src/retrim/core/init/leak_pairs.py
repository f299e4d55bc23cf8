"""One or two columns of numbers that make up the target: sum, difference, product, ratio, also while levels move.

All is measured within blocks of time, so that neither a trend that columns share with the target makes a leak, nor one
that they do not share hides it. Logarithms make products and ratios sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.init.leak import Leak
from retrim.core.init.leak_alone import step_of
from retrim.core.init.leak_share import (
    BLOCKS,
    LEAST_BLOCK,
    LEAST_ROWS,
    Goal,
    Sheet,
    judged,
    runs_of,
    share_of,
    sheet_of,
)

SAMPLED, SAMPLED_CLASSES = 8_000, 4_000
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
class Found:
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
        classes: Whether it is a class.
    """
    names = list(numbers)
    if not names or len(goal) < LEAST_ROWS:
        return []
    step = max(len(goal) // (SAMPLED_CLASSES if classes else SAMPLED), 1)
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


def _leak(found: Found, names: list[str], *, classes: bool) -> Leak:
    what = "of a naive rule's errors" if classes else "of the target's variance within stretches of time"
    if len(names) == 1:
        return Leak((names[0],), "alone", f"explains {found.share:.1%} {what}")
    seen = f"their {found.form} explains {found.share:.1%} {what}, the better of them alone {max(found.alone, 0):.1%}"
    return Leak(tuple(names), found.form, seen)


def _goals(goal: np.ndarray, step: int, *, classes: bool) -> list[Goal]:
    values = goal[::step]
    if not classes:
        return [Goal(values, None, step_of(goal, classes=False), step_of(_logs(goal), classes=False))]
    kinds, counts = np.unique(values, return_counts=True)
    wanted = kinds[np.argsort(-counts)][:MOST_CLASSES]
    move = step_of(goal, classes=True)
    wanted = wanted[-1:] if len(kinds) == 2 else wanted
    # A threshold may move with the columns, or stand: then blocks only blur it.
    return [Goal(values, float(kind), move, blocks=blocks) for kind in wanted for blocks in (1, BLOCKS)]


def _blocks(rows: int, blocks: int) -> np.ndarray:
    size = max(rows // blocks, LEAST_BLOCK)
    return np.minimum(np.arange(rows) // size, max(rows // size - 1, 0))


def _logs(values: np.ndarray) -> np.ndarray:
    return np.log(np.where(values != 0, np.abs(values), np.nan))


def _tell(raw: np.ndarray, goal: Goal) -> list[Found]:
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
        aim = Goal(_logs(goal.values), None, goal.log_move)
        logs = _linear(_logs(raw[logged]), aim.values[logged], aim, logs=True)
    return plain + logs + _made(raw[rows], goal.values[rows], goal)


def _linear(raw: np.ndarray, values: np.ndarray, goal: Goal, *, logs: bool) -> list[Found]:
    """Weighted sums of columns: of each by itself, and of all pairs of the strongest."""
    sheet = sheet_of(raw, _blocks(len(values), goal.blocks))
    aim = sheet_of(goal.aim(values)[:, None], sheet.block).values[:, 0]
    alone = _alone(sheet, aim)
    found = []
    strong = np.argsort(-alone, kind="stable")[:MOST_LINEAR]
    for place in strong[alone[strong] >= (CLASS_HINT if goal.classes else HINT)]:
        one = judged(sheet.values[:, [place]], sheet.present[:, place], values, sheet.block, goal)
        found += [] if one is None else [Found((int(place),), "alone", one, 0.0)]
    caught = {one.places[0] for one in found}
    strongest = np.array([place for place in strong if int(place) not in caught], dtype="int64")
    part = Sheet(sheet.values[:, strongest], sheet.present[:, strongest], sheet.block)
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


def _alone(sheet: Sheet, aim: np.ndarray) -> np.ndarray:
    """Squared correlation of each column with the aim, within blocks, shape (columns,)."""
    both = (sheet.values * aim[:, None]).sum(axis=0) ** 2
    whole = (sheet.values**2).sum(axis=0) * (sheet.present * aim[:, None] ** 2).sum(axis=0)
    return np.where(whole > 0, both / np.where(whole > 0, whole, 1.0), 0.0)


def _pairs(sheet: Sheet, aim: np.ndarray) -> np.ndarray:
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


def _pair(sheet: Sheet, a: int, b: int, values: np.ndarray, goal: Goal, *, logs: bool) -> Found | None:
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
    return Found((a, b), form, share, alone)


def _made(raw: np.ndarray, values: np.ndarray, goal: Goal) -> list[Found]:
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
            shown = _alone(Sheet(_steady(sheet.values, sheet.present, block), sheet.present, block), steady)
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
    raw: np.ndarray, pair: tuple[int, int], form: str, values: np.ndarray, block: np.ndarray, goal: Goal
) -> Found | None:
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
    return Found(pair, form, share, alone) if _better(share, alone, classes=goal.classes) else None


def _better(share: float, alone: float, *, classes: bool) -> bool:
    """Whether two columns tell so much more than the better of them: what they leave is so many times less."""
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
