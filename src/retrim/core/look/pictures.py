"""The larger pictures: the target over time, and the most telling features against it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from retrim.core.look.columns import ColumnLook
from retrim.core.look.pairs import Pair
from retrim.core.look.whole import Look
from retrim.core.report.style import COLOURS, GRID, INK, MUTED, drawn_side_by_side, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PAIRS, ACROSS = 12, 4
TELLING = 0.0005
"""Share of the target's uncertainty from which a feature is drawn beside the first four."""
LABEL = 14
DRAWABLE = 1e150
"""Beyond it matplotlib's own sums are not finite."""


def target(look: Look) -> bytes | None:
    """How the target lies, and how it goes over time; None where its values may not be shown or no row has one."""
    found = look.target
    column = look.shown[look.table.data.target]
    if found is None or not found.labelled:
        return None
    title = f"Target: {plain(column.name)}"
    with drawn_side_by_side(title, width=10.4, height=3.4, count=2) as ((left, right), made):
        if found.classes:
            _classes(left, found.classes)
        elif column.numbers is not None:
            _histogram(left, column)
        labels = look.periods.labels
        at = np.arange(len(labels))
        for number, (name, line) in enumerate(found.lines.items()):
            if not _drawable(line):
                continue
            dim = name.endswith("quartile")
            right.plot(
                at,
                line,
                color=MUTED if dim else COLOURS[number % len(COLOURS)],
                linewidth=0.9 if dim else 1.6,
                linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                marker="o" if len(labels) < 30 and not dim else None,
                markersize=3,
                label=plain(name),
            )
        _thin(right, labels)
        right.set_title(f"by {look.periods.every}", fontsize=10, fontweight="normal")
        right.set_ylabel("share of labelled rows" if found.classes else plain(column.name), fontsize=9)
        if found.classes:
            right.set_ylim(0, 1)
        if right.lines:
            right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return made.getvalue()


def pairs(look: Look) -> list[bytes]:
    """The most telling features against the target, a few a picture."""
    able = [pair for pair in look.pairs if len(pair.labels)]
    shown = [pair for place, pair in enumerate(able) if place < ACROSS or pair.tells >= TELLING][:MOST_PAIRS]
    ends = _ends(shown)
    made = []
    for start in range(0, len(shown), ACROSS):
        part = shown[start : start + ACROSS]
        with drawn_side_by_side("", width=10.4, height=2.9, count=ACROSS) as (several, drawn):
            for axes, pair in zip(several, part, strict=False):
                _pair(axes, pair, look, ends)
            for axes in several[len(part) :]:
                axes.set_axis_off()
        made.append(drawn.getvalue())
    return made


def _pair(axes: "Axes", pair: Pair, look: Look, ends: tuple[float, float]) -> None:
    at = np.arange(len(pair.labels))
    axes.set_title(f"{_short(pair.name, 20)}\ntells {pair.tells:.1%}", fontsize=9)
    if not _drawable(np.append(pair.middle, pair.spread)):
        axes.set_axis_off()
        return
    category = look.table.features[pair.name] == "category"
    axes.errorbar(
        at,
        pair.middle,
        yerr=np.nan_to_num(pair.spread),
        fmt="o" if category else "o-",
        markersize=4,
        linewidth=1.4,
        elinewidth=0.9,
        color=COLOURS[0],
        ecolor="#9db7e0",
    )
    axes.set_xticks(at, [_short(label) for label in pair.labels], rotation=90, fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.margins(x=0.08)
    axes.set_ylim(*ends)


def _ends(shown: Sequence[Pair]) -> tuple[float, float]:
    """One axis for all, or what chance makes of a feature that tells nothing would look like something."""
    middles = np.concatenate([pair.middle for pair in shown] or [np.zeros(1)])
    spreads = np.concatenate([pair.spread for pair in shown] or [np.zeros(1)])
    finite = np.isfinite(middles) & (np.abs(middles) < DRAWABLE)
    if not finite.any():
        return 0.0, 1.0
    middles, spreads = middles[finite], np.clip(np.nan_to_num(spreads[finite]), 0, DRAWABLE)
    # A cell of hardly any rows may be far off: it is drawn as far as the axis goes.
    low, high = np.quantile(middles - spreads, 0.02), np.quantile(middles + spreads, 0.98)
    room = 0.06 * (high - low) or 1.0
    return float(min(low, middles.min()) - room), float(max(high, middles.max()) + room)


def _classes(axes: "Axes", classes: tuple[tuple[str, int], ...]) -> None:
    top = classes[:12]
    axes.barh(range(len(top)), [count for _, count in top], color=COLOURS[0], height=0.7)
    axes.set_yticks(range(len(top)), [_short(name, 20) for name, _ in top])
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.set_xlabel("rows" if len(top) == len(classes) else f"rows; {len(classes) - len(top)} further classes")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def _histogram(axes: "Axes", column: ColumnLook) -> None:
    numbers = column.numbers
    assert numbers is not None
    edges = np.array(numbers.edges)
    if not _drawable(edges):
        axes.set_axis_off()
        return
    axes.bar(edges[:-1], numbers.counts, width=np.diff(edges), align="edge", color=COLOURS[0], edgecolor=GRID)
    axes.set_xlabel(plain(column.name))
    axes.set_ylabel("rows" if not numbers.outside else f"rows; {numbers.outside} lie beyond", fontsize=9)


def _drawable(values: np.ndarray) -> bool:
    return bool(np.abs(values[np.isfinite(values)]).max(initial=0.0) < DRAWABLE)


def _thin(axes: "Axes", labels: tuple[str, ...]) -> None:
    step = max(-(-len(labels) // 16), 1)
    axes.set_xticks(range(0, len(labels), step), [plain(label) for label in labels[::step]], rotation=90, fontsize=8)


def _short(text: str, most: int = LABEL) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain(text if len(text) <= most else f"{text[: most - 1]}…")
