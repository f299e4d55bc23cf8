"""Every picture as PNG bytes, in one style that ignores a person's own matplotlib settings.

The canvases are Agg's, without pyplot: no global figure is left behind, no display is needed, and the same figures give
the same bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import pandas as pd

from retrim.drift.slices import SliceLoss
from retrim.stats.metrics import Task, confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID, PALE = "#1f2933", "#616e7c", "#e4e7eb", "#b8c4d0"
COLOURS = ("#1f6feb", "#d1570a", "#2c7a3f", "#8250df", "#b0174b", "#6b7280")
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlepad": 12,
    "font.size": 10,
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.dpi": 110,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
MOST_BARS = 25
BINS_OF_CALIBRATION = 10
TWO_ERRORS = 0.9544997361036416  # the share of a normal distribution within two standard errors
MOST_DOTS = 120
"""Points of a line up to which each is a dot."""
MOST_COUNTED = 14
"""Classes up to which the rows stand in the cells."""
BINS_OF_RESIDUALS = 20
"""Parts of the rows whose median residual the line goes through."""
MOST_SLICES = 36
"""Slices in the picture; of more, those where most loss lies: rows times loss above the mean."""


@contextmanager
def drawn(title: str, *, height: float, width: float = 7.2) -> Iterator[tuple["Axes", BytesIO]]:
    """One pair of axes to draw on, in inches; the bytes are there once the block ends."""
    with drawn_side_by_side(title, height=height, width=width, count=1) as (several, png):
        yield several[0], png


@contextmanager
def drawn_side_by_side(
    title: str, *, height: float, width: float, count: int
) -> Iterator[tuple[list["Axes"], BytesIO]]:
    """`count` pairs of axes beside one another, the title above the first; all else as `drawn`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.style import context

    png = BytesIO()
    with context(["default", STYLE]):
        layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
        figure = Figure(figsize=(width, height), layout=layout)
        FigureCanvasAgg(figure)
        several = [figure.add_subplot(1, count, number + 1) for number in range(count)]
        several[0].set_title(title)
        yield several, png
        with catch_warnings():
            filterwarnings("ignore", "Glyph ")  # a letter that the font lacks is drawn as a box
            # without the writer's version, or an upgrade would change every picture's bytes
            figure.savefig(png, format="png", metadata={"Software": None})


def plain(name: str) -> str:
    """The name cut to what fits, with no mark that matplotlib would read as a formula."""
    return (name if len(name) <= 32 else name[:31] + "…").replace("$", r"\$")


def naive(at: pd.Timestamp) -> Any:
    """UTC without its zone, as matplotlib's dates want it."""
    at = at if at.tzinfo is None else at.tz_convert("UTC").tz_localize(None)
    return at.to_pydatetime()


def importance(names: Sequence[str], gains: Sequence[float]) -> bytes:
    """Bars of each feature's share of the gain summed over its splits, 0 or more; the largest on top."""
    series = {"": dict(zip(names, gains, strict=True))}
    return _bars(series, title="Feature importance", label="share of total gain, %")


def importance_by_contributions(gains: Mapping[str, float], weights: Mapping[str, float], *, rows: int) -> bytes:
    """Two bars of each feature: its share of the mean absolute contributions, and of the gain of its splits."""
    series = {f"exact contributions, on {rows:,} holdout rows": weights, "split gain in training": gains}
    return _bars(series, title="Feature importance", label="share of the total, %")


def hyperparameter_importance(importances: Mapping[str, float]) -> bytes:
    """Bars of each hyperparameter's share in what moved the loss during the search, 0 or more."""
    title, label = "Hyperparameter importance", "share of the loss variation in the search, %"
    return _bars({"": importances}, title=title, label=label)


def _bars(series: Mapping[str, Mapping[str, float]], *, title: str, label: str) -> bytes:
    """Bars in percent of the whole of each series, all 0 when that is; the first orders them, the rest is one bar."""
    first = next(iter(series.values()))
    ranked = sorted(first, key=lambda name: (-first[name], name))
    top, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    names = [plain(name) for name in top] + ([f"{len(rest)} others"] if rest else [])
    thick, tall = (0.7, 0.3) if len(series) == 1 else (0.36, 0.42)
    with drawn(title, height=1.4 + 0.5 * (len(series) > 1) + tall * max(len(names), 2)) as (axes, png):
        most = 0.0
        for number_of_series, (word, values) in enumerate(series.items()):
            whole = sum(values.values()) or 1.0
            shares = [100 * values.get(name, 0.0) / whole for name in top]
            if rest:
                shares.append(100 * sum(values.get(name, 0.0) for name in rest) / whole)
            at = [number + (number_of_series - (len(series) - 1) / 2) * 0.38 for number in range(len(names))]
            axes.barh(at, shares, height=thick, color=PALE if number_of_series else COLOURS[0], label=word)
            for share, height in zip(shares, at, strict=True):
                text, where = f"{share:.1f}", (share, height)
                axes.annotate(text, where, (4, 0), textcoords="offset points", va="center", color=MUTED, size=9)
            most = max([most, *shares])
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel=label, xlim=(0, 1.12 * most or 1), ylim=(len(names) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        if len(series) > 1 and names:
            below = -0.35 / (tall * max(len(names), 2) + 0.4) - 0.08
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, below), ncols=2)
    return png.getvalue()


@dataclass(frozen=True)
class Curve:
    """A calibration curve."""

    said: np.ndarray  # mean of what was said in each part of the rows, ascending, shape (parts,)
    came: np.ndarray  # what came, shape (parts,)
    low: np.ndarray  # its interval, two standard errors of independent rows
    high: np.ndarray  # ... to either side
    ideal: float | None  # what would come, were all well; None: as was said
    what: str  # the quantity that came


def curve_of(actual: np.ndarray, predicted: np.ndarray, task: Task, *, loss: str) -> Curve:
    """The calibration curve of judged rows.

    Binary: how often the positive class came, against its probability. Multiclass: how often the predicted class was
    right, against its probability. Regression: what the loss asks for, the mean of the residuals (mse, poisson), or the
    share of rows at or below the prediction: the quantile of a pinball loss, one half for mae.

    Args:
        actual: Encoded as `retrim.stats.metrics` says, shape (n,), n at least 1.
    """
    from scipy.stats import binomtest

    ideal = None
    if task == "regression":
        stated = predicted
        name, _, quantile = loss.partition("@")
        of_mean = name in ("mse", "poisson")
        ideal = 0.0 if of_mean else float(quantile or 0.5)
        values = actual - predicted if of_mean else (actual <= predicted).astype(float)
        what = "mean residual (actual - predicted)" if of_mean else "share of rows at or below the prediction"
    elif task == "binary":
        stated, values, what = predicted, actual.astype(float), "share of rows that were positive"
    else:
        stated, what = predicted.max(axis=1), "share of rows whose predicted class was right"
        values = (predicted.argmax(axis=1) == actual).astype(float)
    order = np.argsort(stated, kind="stable")
    parts = [part for part in np.array_split(order, BINS_OF_CALIBRATION) if len(part)]
    observed = np.array([values[part].mean() for part in parts])
    if ideal == 0.0:
        spread = np.array([2 * values[part].std() / np.sqrt(len(part)) for part in parts])
        low, high = observed - spread, observed + spread
    else:
        # Wilson (1927), J. Am. Stat. Assoc. 22, 209-212: it has a width also where all or none are so
        shares = [binomtest(int(values[part].sum()), len(part)) for part in parts]
        low, high = np.array([share.proportion_ci(TWO_ERRORS, method="wilson") for share in shares]).T
    return Curve(np.array([stated[part].mean() for part in parts]), observed, low, high, ideal, what)


def _limits(curve: Curve) -> tuple[float, float]:
    """The part of the axes from 0 to 1 that holds the curve: rare classes have all of it near 0."""
    low, high = float(min(curve.said.min(), curve.low.min())), float(max(curve.said.max(), curve.high.max()))
    margin = 0.06 * (high - low) + 0.01
    return max(low - margin, -0.02), min(high + margin, 1.02)


def calibration(actual: np.ndarray, predicted: np.ndarray, task: Task, *, loss: str) -> bytes:
    """The calibration curve as a picture; arguments as `curve_of`."""
    curve = curve_of(np.asarray(actual), np.asarray(predicted, dtype=float), task, loss=loss)
    classes = curve.ideal is None
    title = f"Calibration ({len(actual):,} rows)"
    with drawn(title, width=6.4, height=5.6 if classes else 4.6) as (axes, png):
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
    return png.getvalue()


def counts_by_day(days: Mapping[pd.Timestamp, int], *, title: str) -> bytes:
    """A bar a day."""
    with drawn(title, width=8.4, height=3.0) as (axes, png):
        axes.bar([naive(day) for day in days], list(days.values()), width=0.85, color=COLOURS[0])
        _date_axis(axes)
        axes.grid(visible=False, axis="x")
    return png.getvalue()


def _date_axis(axes: "Axes", *, most: int = 9) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=2, maxticks=most)  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above


def lines_over_time(
    points: Sequence[tuple[pd.Timestamp, Mapping[str, float]]],
    *,
    title: str,
    label: str,
    time: str = "time (UTC)",
    events: Sequence[tuple[pd.Timestamp, str]] = (),
    bands: Mapping[str, Sequence[tuple[pd.Timestamp, float, float]]] = MappingProxyType({}),
    marks: Mapping[str, Sequence[tuple[pd.Timestamp, float]]] = MappingProxyType({}),
) -> bytes:
    """A line a name, with bands around it, marks on it, and upright lines where something happened."""
    points = sorted(points, key=lambda point: point[0])
    models = list(dict.fromkeys(name for _, losses in points for name in losses))
    with drawn(title, width=8.4, height=4.4) as (axes, png):
        for number, model in enumerate(models):
            line = [(naive(at), losses[model]) for at, losses in points if model in losses]
            axes.plot(
                [at for at, _ in line],
                [value for _, value in line],
                marker="o",
                markersize=4 if len(line) <= MOST_DOTS else 0,
                linewidth=1.6,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                label=plain(model),
            )
        for number, (word, band) in enumerate(bands.items()):
            if not band:
                continue
            times, low, high = zip(*((naive(at), low, high) for at, low, high in band), strict=True)
            axes.fill_between(times, low, high, color=COLOURS[number], alpha=0.18, linewidth=0, label=plain(word))
        for number, (word, marked) in enumerate(marks.items()):
            times, values = zip(*((naive(at), value) for at, value in marked), strict=True)
            colour = COLOURS[(number + 1) % len(COLOURS)]
            axes.scatter(times, values, s=46, zorder=3, label=plain(word), marker="D^sv"[number % 4], color=colour)
        _mark_events(axes, events)
        _date_axis(axes)
        axes.set(xlabel=time, ylabel=label)
        tops = [
            *(high for band in bands.values() for _, _, high in band),
            *(value for _, losses in points for value in losses.values()),
        ]
        highest = max(tops, default=0.0)
        axes.set_ylim(0, 1.12 * highest or 1.0)
        if len({at for at, _ in points}) == 1:
            axes.set_xlim(*(naive(points[0][0] + pd.Timedelta(days=days)) for days in (-3, 3)))
        if models:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return png.getvalue()


def _mark_events(axes: "Axes", events: Sequence[tuple[pd.Timestamp, str]]) -> None:
    """An upright line at each moment, with all that happened then beside it."""
    together: dict[pd.Timestamp, list[str]] = {}
    for at, word in events:
        together.setdefault(at, []).append(word)
    for at, words in together.items():
        axes.axvline(naive(at), color=MUTED, linewidth=0.9, linestyle=":")
        axes.annotate(
            plain(", ".join(words)),
            (naive(at), 1),
            (3, -2),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            color=MUTED,
            fontsize=9,
        )


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray) -> bytes:
    """Each row of a regression, 1 or more, or cells shaded by rows where there are many, and the diagonal."""
    with drawn("Predicted against actual", width=6.4, height=5.6) as (axes, png):
        low, high = min(actual.min(), predicted.min()), max(actual.max(), predicted.max())
        margin = 0.03 * (high - low) or 1.0
        limits = (low - margin, high + margin)
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
    return png.getvalue()


def confusion(actual: np.ndarray, predicted: np.ndarray, classes: Sequence[str]) -> bytes:
    """Actual against predicted class, in shares of each actual class; rows in the cells where there is room.

    Args:
        actual: Class codes, shape (n,); any that is no place in `classes` was unseen in training.
        predicted: Probability of the last of two classes, shape (n,); or of each class, shape (n, classes).
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
    with drawn("Actual against predicted class", width=width, height=height) as (axes, png):
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
        axes.set(xlabel="predicted class", ylabel="actual class" + ", number of rows in the cells" * counted)
        axes.grid(visible=False)
    return png.getvalue()


def residuals(events: Sequence[pd.Timestamp], actual: np.ndarray, predicted: np.ndarray) -> bytes:
    """A point a row, in time order: actual less predicted; and a line through the medians of parts of the rows."""
    from matplotlib.dates import date2num

    left = np.asarray(actual, dtype=float) - np.asarray(predicted, dtype=float)
    times = np.array([date2num(naive(at)) for at in events])  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    with drawn_side_by_side("Residuals", width=9.6, height=4.2, count=2) as (several, png):
        labels = "event time (UTC)", "predicted, in units of the target"
        for axes, along, label in zip(several, (times, np.asarray(predicted, dtype=float)), labels, strict=True):
            axes.axhline(0, color=MUTED, linewidth=1)
            crowd = min(1.0, 400 / len(left))
            axes.scatter(along, left, s=6 + 8 * crowd, alpha=0.15 + 0.35 * crowd, color=COLOURS[0], linewidths=0)
            middles = _medians(along, left)
            axes.plot(*middles, color=COLOURS[1], linewidth=1.6, label=f"median in each of {len(middles[0])} parts")
            axes.set_xlabel(label)
        _date_axis(several[0], most=6)
        several[0].set_ylabel("actual - predicted, in units of the target")
        several[1].legend(loc="best")
    return png.getvalue()


def _medians(along: np.ndarray, left: np.ndarray) -> tuple[Any, Any]:
    parts = [part for part in np.array_split(np.argsort(along, kind="stable"), BINS_OF_RESIDUALS) if len(part)]
    return [along[part].mean() for part in parts], [np.median(left[part]) for part in parts]


def slices(measured: Sequence[SliceLoss], *, loss: str, mean: float) -> bytes:
    """A line a slice: loss and interval of the judged model, and a mark for the champion's loss."""
    shown = _most(measured, mean)
    title = "Loss by slice" + (f", {len(shown)} of {len(measured)}" if len(shown) < len(measured) else "")
    columns = [part.column for part in shown]
    starts = [height for height in range(1, len(shown)) if columns[height] != columns[height - 1]]
    names = [f"{plain(part.column)}: {plain(part.name)}  ({part.rows:,})" for part in shown]
    width = 6.8 + 0.065 * max((len(name) for name in names), default=0)
    with drawn(title, width=width, height=1.7 + 0.25 * max(len(shown), 3)) as (axes, png):
        axes.axvline(mean, color=MUTED, linewidth=1, linestyle="--", label=f"all rows: {mean:.4g}")
        for start in starts:
            axes.axhline(start - 0.5, color=GRID, linewidth=1)
        at = range(len(shown))
        losses = [part.loss for part in shown]
        spread = [(part.loss - part.interval[0], part.interval[1] - part.loss) for part in shown]
        axes.errorbar(
            losses,
            at,
            xerr=np.reshape(spread, (-1, 2)).T,
            fmt="o",
            color=COLOURS[0],
            markersize=5,
            capsize=2,
            label="evaluated model, with interval",
        )
        others = [(part.other, height) for height, part in enumerate(shown) if part.other is not None]
        if others:
            axes.scatter(
                [loss for loss, _ in others],
                [height for _, height in others],
                marker="D",
                s=26,
                facecolors="none",
                edgecolors=COLOURS[1],
                linewidths=1.4,
                label="champion",
                zorder=3,
            )
        axes.set_yticks(list(at), names)
        axes.set(xlabel=f"mean {plain(loss)} per slice (number of rows in brackets)", ylim=(len(shown) - 0.4, -0.6))
        low, high = min([0.0, *losses, *(part[0] for part in others)]), max([mean, *losses, *(e[0] for e in others)])
        axes.set_xlim(low, high + 0.35 * (high - low) or 1.0)  # a wide interval of few rows may leave the picture
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8.5)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return png.getvalue()


def _most(measured: Sequence[SliceLoss], mean: float) -> list[SliceLoss]:
    """The slices that are shown, in their order."""
    ranked = sorted(range(len(measured)), key=lambda at: -measured[at].rows * (measured[at].loss - mean))
    numbers = set(ranked[:MOST_SLICES])
    return [part for number, part in enumerate(measured) if number in numbers]
