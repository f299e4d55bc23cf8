"""Calibration: whether what was said is what comes, in tenths of the rows by what was said."""

from dataclasses import dataclass

import numpy as np

from retrim.core.metrics import Task
from retrim.core.report.style import COLOURS, MUTED, drawn

PARTS = 10


@dataclass(frozen=True)
class Curve:
    """A calibration curve.

    Args:
        said: Mean of what was said in each part of the rows, ascending, shape (parts,).
        came: What came, shape (parts,).
        low: Its interval, two standard errors of independent rows ...
        high: ... to either side.
        ideal: What would come, were all well; None: as was said.
        what: The quantity that came.
    """

    said: np.ndarray
    came: np.ndarray
    low: np.ndarray
    high: np.ndarray
    ideal: float | None
    what: str


def curve_of(actual: np.ndarray, predicted: np.ndarray, task: Task, *, loss: str) -> Curve:
    """The calibration curve of judged rows.

    Binary: how often the positive class came, against its probability. Multiclass: how often the predicted class was
    right, against its probability. Regression: what the loss asks for, the mean of the residuals (mse), or the
    share of rows at or below the prediction: the quantile of a pinball loss, one half for mae.

    Args:
        actual: Encoded as `retrim.core.metrics` says, shape (n,), n at least 1.
        predicted: As there.
        task: regression, binary or multiclass.
        loss: The loss the model was trained for.
    """
    ideal = None
    if task == "regression":
        said = predicted
        name, _, quantile = loss.partition("@")
        ideal = 0.0 if name == "mse" else float(quantile or 0.5)
        values = actual - predicted if name == "mse" else (actual <= predicted).astype(float)
        what = "mean residual (actual - predicted)" if name == "mse" else "share of rows at or below the prediction"
    elif task == "binary":
        said, values, what = predicted, actual.astype(float), "share of rows that were positive"
    else:
        said, what = predicted.max(axis=1), "share of rows whose predicted class was right"
        values = (predicted.argmax(axis=1) == actual).astype(float)
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, PARTS) if len(part)]
    came = np.array([values[part].mean() for part in parts])
    if ideal == 0.0:
        spread = np.array([2 * values[part].std() / np.sqrt(len(part)) for part in parts])
        low, high = came - spread, came + spread
    else:
        low, high = np.array([_wilson(values[part]) for part in parts]).T
    return Curve(np.array([said[part].mean() for part in parts]), came, low, high, ideal, what)


def _wilson(values: np.ndarray) -> tuple[float, float]:
    """Interval of a share at two standard errors.

    Source:
        Wilson (1927), J. Am. Stat. Assoc. 22, 209-212: it has a width also where all or none are so.
    """
    n, share, z = len(values), float(values.mean()), 2.0
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)))
    return min(middle - half, share), max(middle + half, share)


def _limits(curve: Curve) -> tuple[float, float]:
    """The part of the axes from 0 to 1 that holds the curve: rare classes have all of it near 0."""
    low, high = float(min(curve.said.min(), curve.low.min())), float(max(curve.said.max(), curve.high.max()))
    room = 0.06 * (high - low) + 0.01
    return max(low - room, -0.02), min(high + room, 1.02)


def calibration(actual: np.ndarray, predicted: np.ndarray, task: Task, *, loss: str) -> bytes:
    """The calibration curve as a picture; arguments as `curve_of`."""
    curve = curve_of(np.asarray(actual), np.asarray(predicted, dtype=float), task, loss=loss)
    classes = curve.ideal is None
    title = f"Calibration ({len(actual):,} rows)"
    with drawn(title, width=6.4, height=5.6 if classes else 4.6) as (axes, made):
        if classes:
            axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle="--", label="calibrated")
            limits = _limits(curve)
            axes.set(xlim=limits, ylim=limits, aspect="equal")
            of = "positive class" if task == "binary" else "predicted class"
            axes.set_xlabel(f"mean predicted probability of the {of}")
        else:
            axes.axhline(curve.ideal or 0.0, color=MUTED, linewidth=1, linestyle="--", label="calibrated")
            axes.set_xlabel("mean prediction, in units of the target")
            if curve.ideal != 0.0:
                axes.set_ylim(-0.02, 1.02)
        axes.errorbar(
            curve.said,
            curve.came,
            yerr=[curve.came - curve.low, curve.high - curve.came],
            fmt="o-",
            color=COLOURS[0],
            markersize=5,
            capsize=3,
            label="tenths of the rows, ± 2 standard errors",
        )
        axes.set_ylabel(curve.what)
        axes.legend(loc="best")
    return made.getvalue()
