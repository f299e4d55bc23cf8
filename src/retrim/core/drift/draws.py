"""Draws: windows without drift, put together from the reference's own blocks, and how far each of them strays."""

import numpy as np

from retrim.core.drift.null import Null
from retrim.core.drift.watched import Noise, Watched, furthest

LEAST_RUNS = 4  # a drawn window is made of so many runs at least, so that there are many different ones
AT_ONCE = 100  # windows drawn together ...
EACH = 5  # ... so many of them for each reference
DIGITS = 6  # kept of a distance: what a machine's own order of sums changes lies below


def draw(watched: Watched, noise: Noise, *, rows: int, draws: int, seed: int) -> Null:
    """How far windows of `rows` rows stray from the reference while nothing drifts.

    Windows are put together from runs of neighbouring blocks of the reference, all columns alike, so that columns which
    move together count once; each contrast is scaled to the long-run variance of whole windows, which runs shorter
    than a window fall short of. They are held against a reference whose blocks weigh otherwise, as a reference is a
    sample too. The same weights move its mean and its measured noise: a reference that happened to hold few bursts of
    something rare puts both too low, and a window with usual bursts then lies far out.

    Args:
        watched: The reference.
        noise: Of windows of `rows` rows.
        rows: Of a window, 1 or more.
        draws: Windows drawn, to the next hundred.
        seed: Same seed, same null.

    Source:
        Politis and Romano (1992), circular blocks; Westfall and Young (1993), Resampling-Based Multiple Testing, the
        maximum over all tests.
    """
    n, wide = watched.strays.shape
    blocks = max(round(rows / watched.block_rows), 1)
    run = max(min(round(n ** (1 / 3)), blocks // LEAST_RUNS), 1)
    whole, rest = divmod(blocks, run)
    around = np.concatenate([watched.strays, watched.strays[:run]])
    sums = np.concatenate([np.zeros((1, wide)), np.cumsum(around, axis=0)])
    runs, rests = (sums[run:] - sums[:-run])[:n], (sums[rest:] - sums[: len(sums) - rest])[:n]
    spread = np.sqrt(np.mean(runs**2, axis=0) / run)
    scale = np.sqrt(noise.variance / rows / blocks) / np.where(spread > 0, spread, 1)
    error = np.sqrt(watched.fitted * noise.variance / watched.rows)
    of_mean, of_noise = _unit(watched.strays), _unit(watched.strays**2 - np.mean(watched.strays**2, axis=0))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(-(-draws // AT_ONCE)):
        window = np.zeros((AT_ONCE, wide))
        for starts in rng.integers(0, n, size=(whole, AT_ONCE)):
            window += runs[starts]
        if rest:
            window += rests[rng.integers(0, n, size=AT_ONCE)]
        weights = rng.standard_normal((AT_ONCE // EACH, n))
        moved = np.repeat(weights @ of_mean * error, EACH, axis=0)
        again = noise.again(np.repeat(weights @ of_noise, EACH, axis=0))
        found.append(furthest(watched, window * scale - moved, again, rows, watched.means + moved))
    return Null(np.sort(np.round(np.concatenate(found), DIGITS)))


def _unit(values: np.ndarray) -> np.ndarray:
    """Columns of length 1: standard normal weights of rows give standard normal numbers, correlated as columns are."""
    length = np.linalg.norm(values, axis=0)
    return np.asarray(values / np.where(length > 0, length, 1))
