"""Lines over time: the loss of every model on folds, at checks, and over the judging rows."""

from collections.abc import Mapping, Sequence

import pandas as pd

from retrim.core.report.style import COLOURS, MUTED, drawn, naive, plain


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


def loss_over_blocks(
    blocks: Sequence[tuple[pd.Timestamp, Mapping[str, float]]], *, loss: str, challenger: str
) -> bytes:
    """Challenger against champion over the judging rows: the mean loss of each in every block of them.

    Args:
        blocks: Middle of each block in time, and the mean loss of each model on its rows.
        loss: Name of the loss, for the axis.
        challenger: Which of the models was judged, for the title.
    """
    title = f"Challenger ({plain(challenger)}) against champion"
    return _lines(blocks, title=title, label=f"mean {plain(loss)} of the block", time="middle of the block (UTC)")


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
            own = [(naive(at), losses[model]) for at, losses in points if model in losses]
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
            axes.axvline(naive(at), color=MUTED, linewidth=0.9, linestyle=":")
            axes.annotate(
                plain(word),
                (naive(at), 1),
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
            axes.set_xlim(*(naive(points[0][0] + pd.Timedelta(days=days)) for days in (-3, 3)))
        if models:
            axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()
