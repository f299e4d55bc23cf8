"""Joint drift: whether columns still go together as they did: a domain classifier, correlations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.drift.cells import NumericCells
from retrim.drift.profile import Profile
from retrim.stats.plugins import PluginRegistry, Seed, SettingsSection, Several
from retrim.training.recipe import in_parallel

LEAST_WINDOWS = 8  # windows of the reference without which nothing is known of how far one strays
LEAST_ROWS = 20  # of a window, thinned as the sample is


class JointParams(SettingsSection):
    """Which tests look at all features together."""

    tests: dict[str, dict[str, int]] = Field(
        default={"correlation": {}, "domain": {"rounds": 10, "leaves": 8, "folds": 2, "rows": 2000}},
        description="joint tests and their arguments; empty: none",
    )
    windows: int = Field(
        exclude=True,
        default=20,
        ge=LEAST_WINDOWS,
        description=(
            "number of reference windows that each joint test compares with; this limits the run time of a check"
        ),
    )
    seed: Seed = Field(default=7, description="seed of the thinning and of the tests")


@dataclass(frozen=True)
class CodedRows:
    """Rows as numbers, in order of time."""

    # numeric columns at the places of their cells, in standard deviations of the reference from its mean; missing as
    # NaN, shape (n, p)
    numbers: np.ndarray
    categories: np.ndarray  # cells of category columns, the missing last, shape (n, q)
    names: tuple[str, ...]  # of the numeric columns, then of the others

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, rows: np.ndarray) -> "CodedRows":
        """The rows of these numbers."""
        return CodedRows(self.numbers[rows], self.categories[rows], self.names)

    def spread(self, most: int) -> "CodedRows":
        """At most that many of the rows, spread evenly."""
        return self if len(self) <= most else self.take(np.linspace(0, len(self) - 1, most).round().astype("int64"))


@dataclass(frozen=True)
class JointDistance:
    """How far two windows are apart jointly."""

    strayed: float  # larger where they are further apart; about normal over windows that have not drifted
    effect: float  # the same in a unit that does not depend on the rows, 0 or more
    about: str  # what moved most, in a few words; empty where the test does not tell


@dataclass(frozen=True)
class JointResult:
    """What a joint test said."""

    # standard deviations by which the window strayed further than windows of the reference do on average
    statistic: float
    effect: float  # how far it is apart, 0 or more
    p_value: float | None  # how often a window of the reference strays as far; None where the history has too few
    beyond: bool  # whether no window of the reference strayed as far; False where the history has too few
    about: str
    windows: int  # windows of the reference that it was held against


# (reference: CodedRows, current: CodedRows, *, its arguments in params.yaml, seed: int)
JointTest = Callable[..., JointDistance]
JOINT_TESTS: PluginRegistry[JointTest] = PluginRegistry("joint drift test")


def code(profile: Profile, rows: pd.DataFrame, columns: tuple[str, ...]) -> CodedRows:
    """Rows, in order of time, as numbers, by the cells of a profile."""
    numeric = [name for name in columns if profile.columns[name].kind == "numeric"]
    others = [name for name in columns if name not in numeric]
    numbers, categories = np.empty((len(rows), len(numeric))), np.empty((len(rows), len(others)), dtype="int64")
    for number, name in enumerate(numeric):
        cells = profile.columns[name].cells
        assert isinstance(cells, NumericCells)
        numbers[:, number] = np.append(cells.places, np.nan)[cells.place(rows[name])]
    for number, name in enumerate(others):
        categories[:, number] = profile.columns[name].cells.place(rows[name])
    return CodedRows(numbers, categories, (*numeric, *others))


def usual_strays(
    test: Callable[[CodedRows, CodedRows], JointDistance], sample: CodedRows, *, rows: int, windows: int, cores: int
) -> np.ndarray:
    """How far windows of a sample stray, each from the rest of it, shape (windows or as many as there are,).

    Args:
        sample: In order of time.
        rows: Of a window, at most half of the sample's.
        windows: At most; they lie evenly and do not overlap.
    """
    many = min(windows, len(sample) // rows)
    starts = np.linspace(0, len(sample) - rows, many).round().astype("int64")
    every = np.arange(len(sample))

    def apart(start: int, threads: int) -> float:
        inside = (every >= start) & (every < start + rows)
        return test(sample.take(every[~inside]), sample.take(every[inside])).strayed

    return np.array(in_parallel(apart, starts.tolist(), cores=cores))


def thinned_rows(profile: Profile, rows: int) -> int | None:
    """Rows of a window of `rows`, thinned as the sample of a profile is; None where too few of either are left."""
    thinned = round(rows * len(profile.sample) / profile.rows)
    return None if thinned < LEAST_ROWS or len(profile.sample) < 2 * thinned else thinned


def judge_joint(
    test: Callable[[CodedRows, CodedRows], JointDistance],
    profile: Profile,
    current: pd.DataFrame,
    columns: tuple[str, ...],
    *,
    windows: int,
    seed: int,
    cores: int,
    usual: Sequence[float] | None = None,
) -> JointResult | None:
    """How far a window strays jointly, against how far windows of the reference do.

    The sample of the reference is thinner than the window, so the window is thinned alike. Then stretches of the sample
    with as many rows, which follow one another in time as those of the window do, are each held against the rest of the
    sample: what a slow wander, a season or many columns do to the test without drift, they do to these too.

    Args:
        current: The window in order of time.
        windows: Stretches of the reference to hold it against, at most.
        usual: How far such stretches stray, where it is known; None: it is found now.

    Returns:
        None where the window is too small to look at.

    Source:
        Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR: a distance by what a classifier can
        tell. Unlike there the null is windows in time, not permuted rows: rows that know one another gave AUC 0.78
        without drift.
    """
    rows = thinned_rows(profile, len(current))
    if rows is None:
        return None
    sample = code(profile, profile.sample, columns)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(current))[:rows])
    apart = test(sample, code(profile, current.iloc[drawn], columns))
    if usual is None:
        usual = usual_strays(test, sample, rows=rows, windows=windows, cores=cores).tolist()
    far, p_value = distance(apart.strayed, np.array(usual))
    beyond = p_value is not None and apart.strayed > max(usual)
    return JointResult(far, apart.effect, p_value, beyond, apart.about, len(usual))


def distance(strayed: float, usual: np.ndarray) -> tuple[float, float | None]:
    """How many standard deviations beyond usual windows one strays, and how often one of these strays as far.

    Args:
        usual: Of windows of the reference, shape (n,), n 1 or more; fewer than 8 give no p-value.
    """
    from scipy.special import stdtr

    many = len(usual)
    spread = float(usual.std(ddof=1)) * (1 + 1 / many) ** 0.5 if many > 1 else 0.0
    far = (strayed - float(usual.mean())) / spread if spread > 0 else 0.0
    return far, float(stdtr(many - 1, -far)) if many >= LEAST_WINDOWS else None


@JOINT_TESTS.register("domain")
def domain(
    reference: CodedRows,
    current: CodedRows,
    *,
    rounds: Several,
    leaves: Several,
    folds: Several,
    rows: Several,
    seed: int,
) -> JointDistance:
    """How well a classifier tells the current window from the reference on blocks of time it was not fitted on.

    Beside the columns it sees the numeric ones turned so that they are uncorrelated in the reference. A correlation
    that changes sign changes the spread of one of those, which a tree finds in one split; in the columns it finds none.

    Args:
        rows: Of each side that are used, at most, spread evenly over its time.

    Returns:
        Strayed: AUC. Effect: 2 AUC - 1, not below 0: the share of pairs told apart beyond chance. About: the column
        that the classifier leaned on most.
    """
    import lightgbm

    turn = _turning(reference.numbers)
    old, new = (_with_turned(side.spread(rows), turn) for side in (reference, current))
    parameters = {
        "objective": "binary",
        "num_leaves": leaves,
        "learning_rate": 0.2,
        "max_bin": 31,
        "min_data_in_leaf": max(2, len(current) // 20),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbosity": -1,
    }
    blocks_old, blocks_new = (np.arange(len(side)) * folds // len(side) for side in (old, new))
    areas, gains = [], np.zeros(old.shape[1])
    for fold in range(folds):
        fitted, joined = old[blocks_old != fold], new[blocks_new != fold]
        matrix, sizes = np.concatenate([fitted, joined]), [len(fitted), len(joined)]
        is_new, weight = np.repeat([0.0, 1.0], sizes), np.repeat([len(joined) / len(fitted), 1.0], sizes)
        booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, is_new, weight=weight), num_boost_round=rounds)
        gains += booster.feature_importance(importance_type="gain")
        left_out = old[blocks_old == fold], new[blocks_new == fold]
        areas.append(_area(*(np.asarray(booster.predict(side, num_threads=1)) for side in left_out)))
    area = float(np.mean(areas))
    of_columns, of_turned = np.split(gains, [len(reference.names)])
    of_columns[: len(turn)] += (np.square(turn) / np.square(turn).sum(axis=0)) @ of_turned
    return JointDistance(area, max(2 * area - 1, 0.0), reference.names[int(of_columns.argmax())] if area > 0.5 else "")


@JOINT_TESTS.register("correlation")
def correlation(reference: CodedRows, current: CodedRows, *, seed: int) -> JointDistance:
    """Change of the correlations between numeric columns; a missing value counts as the mean.

    Returns:
        Strayed: logarithm of the effect, whose tail kept the asked rate with 4 columns and with 30. Over hundreds of
        pairs the largest change varies little from window to window, while the sum of all would hide one pair. Effect:
        the largest change of a correlation, 0 to 2. About: of which two.
    """
    old, new = (_correlations(side.numbers) for side in (reference, current))
    changes = np.abs(new - old)
    if changes.shape[0] < 2:
        return JointDistance(0.0, 0.0, "")
    one, other = np.unravel_index(int(changes.argmax()), changes.shape)
    pair = f"{reference.names[min(one, other)]} with {reference.names[max(one, other)]}"
    return JointDistance(float(np.log(changes.max() + 1e-6)), float(changes.max()), pair)


def _turning(numbers: np.ndarray) -> np.ndarray:
    """What turns standardised columns into uncorrelated ones of spread 1, shape (p, p)."""
    if numbers.shape[1] < 2:
        return np.empty((numbers.shape[1], 0))
    values, vectors = np.linalg.eigh(_correlations(numbers))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-3)))


def _with_turned(side: CodedRows, turn: np.ndarray) -> np.ndarray:
    return np.concatenate([side.numbers, side.categories, np.nan_to_num(side.numbers) @ turn], axis=1)


def _correlations(numbers: np.ndarray) -> np.ndarray:
    """Correlation of every two columns, 0 where one does not move, 1 on the diagonal, shape (p, p)."""
    centred = np.nan_to_num(numbers)
    centred = centred - centred.mean(axis=0)
    spread = np.sqrt(np.square(centred).mean(axis=0))
    scaled = centred / np.where(spread > 0, spread, 1)
    correlations = scaled.T @ scaled / max(len(numbers), 1)
    np.fill_diagonal(correlations, 1.0)
    return np.asarray(correlations)


def _area(old: np.ndarray, new: np.ndarray) -> float:
    """AUC: how often a row of `new` has the larger value than one of `old`, ties half."""
    ordered = np.sort(old)
    below, up_to = (np.searchsorted(ordered, new, side=side).sum() for side in ("left", "right"))
    return float(below + up_to) / (2 * len(old) * len(new))
