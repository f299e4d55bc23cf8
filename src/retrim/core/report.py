"""Pictures as PNG bytes: the same figures give the same bytes.

Drawn on Agg canvases without pyplot, so that no global figure is left behind and no
display is needed, in one style that ignores a person's own matplotlib settings.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import numpy as np
import pandas as pd

from retrim.core.metrics import Task
from retrim.core.metrics.classes import confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, MUTED, GRID = "#1f2933", "#616e7c", "#e4e7eb"
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


def importance(names: Sequence[str], gains: Sequence[float]) -> bytes:
    """Bars of each feature's share of the total gain, the largest on top; past 25 the rest in one bar.

    Args:
        names: Features.
        gains: Gain summed over the splits of each, 0 or more.
    """
    return _bars(dict(zip(names, gains, strict=True)), title="Feature importance", label="share of total gain, %")


def hyperparameter_importance(importances: Mapping[str, float]) -> bytes:
    """Bars of each hyperparameter's share in what moved the loss during the search.

    Args:
        importances: Of each hyperparameter, 0 or more.
    """
    return _bars(importances, title="Hyperparameter importance", label="share of the loss's variation in the search, %")


def _bars(values: Mapping[str, float], *, title: str, label: str) -> bytes:
    """Bars in percent of the whole; all 0 when the whole is."""
    ranked = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    top, rest = ranked[:MOST_BARS], ranked[MOST_BARS:]
    if rest:
        top.append((f"{len(rest)} others", sum(value for _, value in rest)))
    whole = sum(values.values())
    shares = [100 * value / whole if whole > 0 else 0.0 for _, value in top]
    with drawn(title, height=1.4 + 0.3 * max(len(top), 2)) as (axes, made):
        colours = [COLOURS[0]] * MOST_BARS + [COLOURS[-1]]
        axes.barh(range(len(top)), shares, color=colours[: len(top)], height=0.7)
        axes.set_yticks(range(len(top)), [plain(name) for name, _ in top])
        for at, share in enumerate(shares):
            axes.annotate(f"{share:.1f}", (share, at), (4, 0), textcoords="offset points", va="center", color=MUTED)
        axes.set(xlabel=label, xlim=(0, 1.12 * max(shares, default=0) or 1), ylim=(len(top) - 0.4, -0.6))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    return made.getvalue()


def predicted_against_actual(actual: np.ndarray, predicted: np.ndarray, task: Task) -> bytes:
    """What was said against what happened.

    Regression: each row, or cells shaded by rows when there are many, and the diagonal.
    Binary: how often the positive class came, against its probability, in tenths of the
    rows, with two standard errors. Multiclass: the confusion matrix, in shares of each actual class.

    Args:
        actual: Encoded as `retrim.core.metrics` says.
        predicted: As there.
        task: regression, binary or multiclass.
    """
    draw = {"regression": _scatter, "binary": _reliability, "multiclass": _confusion}[task]
    return draw(np.asarray(actual), np.asarray(predicted, dtype=float))


def _scatter(actual: np.ndarray, predicted: np.ndarray) -> bytes:
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


def _reliability(actual: np.ndarray, predicted: np.ndarray) -> bytes:
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    said = np.array([predicted[part].mean() for part in parts])
    came = np.array([actual[part].mean() for part in parts])
    spread = np.array([2 * np.sqrt(came_ * (1 - came_) / len(part)) for came_, part in zip(came, parts, strict=True)])
    with drawn(f"Reliability ({len(actual):,} rows)", width=6.4, height=5.6) as (axes, made):
        axes.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle="--", label="perfectly calibrated")
        axes.errorbar(
            said,
            came,
            yerr=spread,
            fmt="o-",
            color=COLOURS[0],
            markersize=5,
            capsize=3,
            label="tenths of the rows, ± 2 standard errors",
        )
        axes.set(
            xlabel="mean predicted probability of the positive class",
            ylabel="share of rows that were positive",
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
        )
        axes.legend(loc="upper left")
    return made.getvalue()


def _confusion(actual: np.ndarray, predicted: np.ndarray) -> bytes:
    counts = np.array(confusion_matrix(actual, predicted))
    rows = [str(code) for code in range(counts.shape[1])]
    if counts[-1].any():
        rows.append("unseen in training")
    counts = counts[: len(rows)]
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = 2.6 + 0.6 * min(counts.shape[1], 20)
    with drawn("Actual against predicted class", width=side + 1.4, height=side) as (axes, made):
        image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
        axes.figure.colorbar(image, ax=axes, label="share of the actual class, %", pad=0.03)
        counted = counts.shape[1] <= 12
        if counted:
            for (down, across), count in np.ndenumerate(counts):
                colour = "white" if shares[down, across] > 55 else INK
                axes.text(across, down, f"{count:,}", ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(counts.shape[1]), [str(code) for code in range(counts.shape[1])])
        axes.set_yticks(range(len(rows)), rows)
        axes.set(xlabel="predicted class (code)", ylabel="actual class (code)" + ", rows in the cells" * counted)
        axes.grid(visible=False)
    return made.getvalue()


def loss_over_folds(folds: Sequence[tuple[pd.Timestamp, Mapping[str, float]]], *, loss: str) -> bytes:
    """A line a model: its mean loss on each fold, at the time the fold starts.

    Args:
        folds: Start and each model's mean loss; a model may be absent from a fold.
        loss: Name of the loss, for the axis.
    """
    return _lines(
        folds, title="Loss over folds", label=f"mean {plain(loss)} of the fold", time="start of the fold (UTC)"
    )


def loss_over_time(
    checks: Sequence[tuple[pd.Timestamp, Mapping[str, float]]],
    *,
    loss: str,
    events: Sequence[tuple[pd.Timestamp, str]],
) -> bytes:
    """A line a model over the checks, with upright lines where something happened, such as a release.

    Args:
        checks: Time and each model's mean loss since the check before; a model may be absent.
        loss: Name of the loss, for the axis.
        events: Time and a short word, such as "v2".
    """
    return _lines(
        checks,
        title="Loss over time",
        label=f"mean {plain(loss)} since the last check",
        time="time (UTC)",
        events=events,
    )


def _lines(
    points: Sequence[tuple[pd.Timestamp, Mapping[str, float]]],
    *,
    title: str,
    label: str,
    time: str,
    events: Sequence[tuple[pd.Timestamp, str]] = (),
) -> bytes:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    points = sorted(points, key=lambda point: point[0])
    models = list(dict.fromkeys(name for _, losses in points for name in losses))
    with drawn(title, width=8.4, height=4.4) as (axes, made):
        for number, model in enumerate(models):
            own = [(_naive(at), losses[model]) for at, losses in points if model in losses]
            axes.plot(
                [at for at, _ in own],
                [value for _, value in own],
                marker="o",
                markersize=4,
                linewidth=1.6,
                color=COLOURS[number % len(COLOURS)],
                linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                label=plain(model),
            )
        for at, word in events:
            axes.axvline(_naive(at), color=MUTED, linewidth=0.9, linestyle=":")
            axes.annotate(
                plain(word),
                (_naive(at), 1),
                (3, -2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                color=MUTED,
                fontsize=9,
            )
        locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
        axes.set(xlabel=time, ylabel=label)
        highest = max((value for _, losses in points for value in losses.values()), default=0.0)
        axes.set_ylim(0, 1.12 * highest or 1.0)
        if len({at for at, _ in points}) == 1:
            axes.set_xlim(*(_naive(points[0][0] + pd.Timedelta(days=days)) for days in (-3, 3)))
        if models:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()


@contextmanager
def drawn(title: str, *, height: float, width: float = 7.2) -> Iterator[tuple["Axes", BytesIO]]:
    """One pair of axes to draw on, of so many inches; the bytes are there once the block ends."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.style import context

    made = BytesIO()
    with context(["default", STYLE]):
        room = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
        figure = Figure(figsize=(width, height), layout=room)
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.set_title(title)
        yield axes, made
        with catch_warnings():
            filterwarnings("ignore", "Glyph ")  # a letter that the font lacks is drawn as a box
            # without the writer's version, or an upgrade would change every picture's bytes
            figure.savefig(made, format="png", metadata={"Software": None})


def plain(name: str) -> str:
    """The name cut to what fits, with no mark that matplotlib would read as a formula."""
    return (name if len(name) <= 32 else name[:31] + "…").replace("$", r"\$")


def _naive(at: pd.Timestamp) -> Any:
    """UTC without its zone, as matplotlib's dates want it."""
    at = at if at.tzinfo is None else at.tz_convert("UTC").tz_localize(None)
    return at.to_pydatetime()
