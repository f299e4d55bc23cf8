"""What was predicted against what came."""

from collections.abc import Sequence

import numpy as np

from retrim.core.metrics.classes import confusion_matrix
from retrim.core.report.style import COLOURS, INK, drawn, plain

MOST_COUNTED = 14
"""Classes up to which the rows stand in the cells."""


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> bytes:
    """Each row of a regression, or cells shaded by rows where there are many, and the diagonal.

    Args:
        actual: Shape (n,), n at least 1.
        predicted: Shape (n,).
    """
    with drawn("Predicted against actual", width=6.4, height=5.6) as (axes, made):
        low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
        room = 0.03 * (high - low) or 1.0
        limits = (low - room, high + room)
        if len(actual) > 1500:
            cells = axes.hexbin(
                actual, predicted, gridsize=45, bins="log", cmap="viridis_r", mincnt=1, extent=limits * 2
            )
            axes.figure.colorbar(cells, ax=axes, label="rows in the cell (log scale)", pad=0.02)
        else:
            axes.scatter(actual, predicted, s=12, alpha=0.45, color=COLOURS[0], linewidths=0)
        axes.plot(limits, limits, color=COLOURS[1], linewidth=1.2, label="predicted = actual")
        axes.set(
            xlabel="actual, in units of the target",
            ylabel="predicted, in units of the target",
            xlim=limits,
            ylim=limits,
            aspect="equal",
        )
        axes.legend(loc="upper left")
    return made.getvalue()


def confusion(actual: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> bytes:
    """Actual against predicted class, in shares of each actual class; rows in the cells where there is room.

    Args:
        actual: Class codes, shape (n,); any that is no place in `classes` was unseen in training.
        predicted: Probability of the last of two classes, shape (n,); or of each class, shape (n, classes).
        classes: Names by code.
    """
    counts = np.array(confusion_matrix(actual, predicted))
    columns = [plain(name) for name in classes]
    rows = list(columns)
    if len(counts) > len(rows) and counts[-1].any():
        rows.append("unseen in training")
    counts = counts[: len(rows)]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    longest = max(len(name) for name in rows)
    side = 2.0 + 0.55 * min(len(columns), 20)
    upright = longest > (9 if len(columns) < 3 else 3)  # names that would run into one another
    width, height = side + 2.0 + 0.07 * longest, side + 0.4 + (0.07 * longest if upright else 0)
    with drawn("Actual against predicted class", width=width, height=height) as (axes, made):
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        axes.figure.colorbar(image, ax=axes, label="share of the actual class, %", pad=0.03, shrink=0.8)
        counted = len(columns) <= MOST_COUNTED
        if counted:
            for (down, across), count in np.ndenumerate(counts):
                if count:
                    colour = "white" if shares[down, across] > 55 else INK
                    axes.text(across, down, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
        small = 9 if len(columns) <= MOST_COUNTED else 7
        axes.set_xticks(range(len(columns)), columns, fontsize=small, rotation=90 if upright else 0)
        axes.set_yticks(range(len(rows)), rows, fontsize=small)
        axes.set(xlabel="predicted class", ylabel="actual class" + ", rows in the cells" * counted)
        axes.grid(visible=False)
    return made.getvalue()
