"""The joint drift tests: a domain classifier, correlations, and the energy distance for small windows."""

import numpy as np

from retrim.drift.joint import JOINT_TESTS, CodedRows, JointDistance


@JOINT_TESTS.register("domain")
def domain(
    reference: CodedRows, current: CodedRows, *, rounds: int, leaves: int, folds: int, rows: int, seed: int
) -> JointDistance:
    """How well a classifier tells the current window from the reference on blocks of time it was not fitted on.

    Beside the columns it sees the numeric ones turned so that they are uncorrelated in the reference. A correlation
    that changes sign changes the spread of one of those, which a tree finds in one split; in the columns it finds none.

    Args:
        reference: Rows of the reference, in order of time.
        current: Those of the window.
        rounds: Trees.
        leaves: Of a tree.
        folds: Blocks of time that either side is cut into; each is judged by a fit on the others.
        rows: Of each side that are used, at most, spread evenly over its time.
        seed: Of LightGBM.

    Returns:
        Strayed: AUC. Effect: 2 AUC - 1, not below 0: the share of pairs told apart beyond chance. About: the column
        that the classifier leaned on most.
    """
    import lightgbm

    turn = _turning(reference.numbers)
    old, new = (_with_turned(side.take(spans_of(len(side), rows)), turn) for side in (reference, current))
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
        matrix = np.concatenate([fitted, joined])
        known = np.repeat([0.0, 1.0], [len(fitted), len(joined)])
        weight = np.repeat([len(joined) / len(fitted), 1.0], [len(fitted), len(joined)])
        booster = lightgbm.train(parameters, lightgbm.Dataset(matrix, known, weight=weight), num_boost_round=rounds)
        gains += booster.feature_importance(importance_type="gain")
        told = [
            np.asarray(booster.predict(side, num_threads=1))
            for side in (old[blocks_old == fold], new[blocks_new == fold])
        ]
        areas.append(_area(*told))
    area = float(np.mean(areas))
    of_columns, of_turned = np.split(gains, [len(reference.names)])
    of_columns[: len(turn)] += (np.square(turn) / np.square(turn).sum(axis=0)) @ of_turned
    return JointDistance(area, max(2 * area - 1, 0.0), reference.names[int(of_columns.argmax())] if area > 0.5 else "")


@JOINT_TESTS.register("correlation")
def correlation(reference: CodedRows, current: CodedRows, *, seed: int) -> JointDistance:
    """How far the correlations of the numeric columns moved; missing values stand at their mean.

    Args:
        reference: Rows of the reference.
        current: Those of the window.
        seed: Of nothing; every joint test has one.

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


@JOINT_TESTS.register("energy")
def energy(reference: CodedRows, current: CodedRows, *, rows: int, seed: int) -> JointDistance:
    """Energy distance of the windows, over all columns together: for windows too small to fit anything to.

    Numbers count in standard deviations of the reference, two unlike categories as one standard deviation apart.

    Args:
        reference: Rows of the reference.
        current: Those of the window.
        rows: Of each side that are used, at most: the work grows with their square.
        seed: Of the drawing of those.

    Returns:
        Strayed: logarithm of the distance. Effect: the distance as a share of the mean distance between the windows,
        0 to 1.

    Source:
        Szekely and Rizzo (2013), J. Statist. Plann. Inference 143(8), 1249-1272.
    """
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(seed)
    old, new = (_spread_out(side.take(np.sort(rng.permutation(len(side))[:rows]))) for side in (reference, current))
    between = float(cdist(old, new).mean())
    within = [float(cdist(side, side).sum()) for side in (old, new)]
    distance = 2 * between - sum(total / len(side) ** 2 for total, side in zip(within, (old, new), strict=True))
    # without a row's distance to itself, the window's size does not show in the effect
    fair = 2 * between - sum(
        total / max(len(side) * (len(side) - 1), 1) for total, side in zip(within, (old, new), strict=True)
    )
    effect = min(max(fair, 0.0) / (2 * between), 1.0) if between > 0 else 0.0
    return JointDistance(float(np.log(distance + 1e-12)), effect, "")


def spans_of(n: int, most: int) -> np.ndarray:
    """At most that many of n row numbers, spread evenly."""
    return np.arange(n) if n <= most else np.linspace(0, n - 1, most).round().astype("int64")


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
    found = scaled.T @ scaled / max(len(numbers), 1)
    np.fill_diagonal(found, 1.0)
    return np.asarray(found)


def _spread_out(side: CodedRows) -> np.ndarray:
    parts = [np.nan_to_num(side.numbers)]
    for column, size in zip(side.categories.T, side.sizes, strict=True):
        parts.append((column[:, None] == np.arange(size)) / np.sqrt(2))
    return np.concatenate(parts, axis=1)


def _area(old: np.ndarray, new: np.ndarray) -> float:
    """AUC: how often a row of `new` has the larger value than one of `old`, ties half."""
    ordered = np.sort(old)
    below, up_to = (np.searchsorted(ordered, new, side=side).sum() for side in ("left", "right"))
    return float(below + up_to) / (2 * len(old) * len(new))
