"""The slice table as a picture: the loss in every slice with its interval, beside the champion's."""

from collections.abc import Mapping, Sequence
from typing import Any

from retrim.core.report.style import COLOURS, GRID, INK, MUTED, drawn, plain

MOST_SLICES = 36
"""Slices in the picture; of more, those where most loss lies: rows times loss above the mean."""


def slices(found: Sequence[Mapping[str, Any]], *, loss: str, mean: float) -> bytes:
    """A line a slice: loss and interval of the judged model, and a mark for the champion's loss.

    Args:
        found: Records of `retrim.core.slice_table`, by column.
        loss: Name of the loss, for the axis.
        mean: Mean loss on all rows, an upright line.
    """
    told = _most(found, mean)
    title = "Loss by slice" + (f", {len(told)} of {len(found)}" if len(told) < len(found) else "")
    columns = [each["column"] for each in told]
    starts = [place for place in range(1, len(told)) if columns[place] != columns[place - 1]]
    names = [f"{plain(each['column'])}: {plain(each['name'])}  ({each['rows']:,})" for each in told]
    width = 6.8 + 0.065 * max((len(name) for name in names), default=0)
    with drawn(title, width=width, height=1.7 + 0.25 * max(len(told), 3)) as (axes, made):
        axes.axvline(mean, color=MUTED, linewidth=1, linestyle="--", label=f"all rows: {mean:.4g}")
        for start in starts:
            axes.axhline(start - 0.5, color=GRID, linewidth=1)
        at = range(len(told))
        losses = [each["loss"] for each in told]
        spread = [
            [each["loss"] - each["interval"][0] for each in told],
            [each["interval"][1] - each["loss"] for each in told],
        ]
        axes.errorbar(
            losses, at, xerr=spread, fmt="o", color=COLOURS[0], markersize=5, capsize=2, label="judged model, interval"
        )
        others = [(each["other"], place) for place, each in enumerate(told) if each["other"] is not None]
        if others:
            axes.scatter(
                [loss for loss, _ in others],
                [place for _, place in others],
                marker="D",
                s=26,
                facecolors="none",
                edgecolors=COLOURS[1],
                linewidths=1.4,
                label="champion",
                zorder=3,
            )
        axes.set_yticks(list(at), names)
        axes.set(xlabel=f"mean {plain(loss)} of the slice (rows in brackets)", ylim=(len(told) - 0.4, -0.6))
        low, high = min([0.0, *losses, *(each[0] for each in others)]), max([mean, *losses, *(e[0] for e in others)])
        axes.set_xlim(low, high + 0.35 * (high - low) or 1.0)  # a wide interval of few rows may leave the picture
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8.5)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()


def _most(found: Sequence[Mapping[str, Any]], mean: float) -> list[Mapping[str, Any]]:
    """The slices that are shown, in the order of `found`."""
    ranked = sorted(range(len(found)), key=lambda at: -found[at]["rows"] * (found[at]["loss"] - mean))
    kept = set(ranked[:MOST_SLICES])
    return [each for place, each in enumerate(found) if place in kept]
