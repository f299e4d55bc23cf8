"""Tiny pictures of a column as shapes with coordinates, which the page draws as SVG and the terminal as signs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrim.core.look.columns import TOP, ColumnLook

WIDTH, HEIGHT = 140.0, 36.0
SIGNS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Bar:
    """An upright bar, and what it says when pointed at; `x`, `y` of its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    says: str
    quiet: bool = False


@dataclass(frozen=True)
class Box:
    """A box plot along a line: places of 1 %, 25 %, 50 %, 75 % and 99 %, and what it says when pointed at."""

    low: float
    left: float
    middle: float
    right: float
    high: float
    says: str


def bars(counts: Sequence[float], says: Sequence[str], *, last_quiet: bool = False) -> tuple[Bar, ...]:
    """Bars side by side, as high as their counts; a quiet one, of what is left over, is cut at the highest other."""
    if not len(counts):
        return ()
    most = max(counts[:-1] if last_quiet and len(counts) > 1 else counts)
    step = min(WIDTH / len(counts), WIDTH / 3)
    gap = 0.8 if len(counts) > TOP + 1 else 5.0
    made = []
    for place, (count, said) in enumerate(zip(counts, says, strict=True)):
        height = min(max(HEIGHT * count / most, 0.8), HEIGHT) if most > 0 and count > 0 else 0.0
        quiet = last_quiet and place == len(counts) - 1
        made.append(
            Bar(
                round(place * step, 1),
                round(HEIGHT - height, 1),
                round(max(step - gap, 0.6), 1),
                round(height, 1),
                said,
                quiet,
            )
        )
    return tuple(made)


def histogram(column: ColumnLook) -> tuple[Bar, ...]:
    """The histogram of a number, or the commonest categories; nothing of a hidden column."""
    if column.numbers is not None:
        edges = column.numbers.edges
        says = [
            f"{low:.6g} to {high:.6g}: {count} rows"
            for low, high, count in zip(edges, edges[1:], column.numbers.counts, strict=False)
        ]
        return bars(column.numbers.counts, says)
    if column.levels is not None:
        pairs = [(short(name), count) for name, count in column.levels.top]
        if column.levels.rest:
            pairs.append((f"all {column.distinct - len(column.levels.top)} others", column.levels.rest))
        says = [f"{name}: {count} rows" for name, count in pairs]
        return bars([count for _, count in pairs], says, last_quiet=bool(column.levels.rest))
    return ()


def box(column: ColumnLook) -> Box | None:
    """The box of a number between its 1 % and 99 % quantiles; None where they are one value."""
    if column.numbers is None:
        return None
    _, one, _, quarter, middle, three, _, high, _ = column.numbers.quantiles
    if not high > one or not np.isfinite(high - one):
        return None

    def place(value: float) -> float:
        return round(float(WIDTH * (value - one) / (high - one)), 1)

    says = f"1 %: {one:.6g}, 25 %: {quarter:.6g}, median {middle:.6g}, 75 %: {three:.6g}, 99 %: {high:.6g}"
    return Box(place(one), place(quarter), place(middle), place(three), place(high), says)


def gaps(column: ColumnLook, labels: Sequence[str]) -> tuple[Bar, ...]:
    """Share missing over the history, full height for all; nothing where there are no gaps."""
    if not column.missing:
        return ()
    step = WIDTH / max(len(labels), 1)
    made = []
    for place, (share, label) in enumerate(zip(column.missing_by, labels, strict=True)):
        if np.isfinite(share) and share > 0:
            height = max(HEIGHT * float(share), 0.8)
            made.append(
                Bar(
                    round(place * step, 1),
                    round(HEIGHT - height, 1),
                    round(max(step - 0.5, 0.6), 1),
                    round(height, 1),
                    f"{label}: {share:.1%} missing",
                )
            )
    return tuple(made)


def signs(counts: Sequence[float], *, most: int) -> str:
    """Counts as a row of signs of eight heights, neighbours taken together until they fit."""
    if not len(counts):
        return ""
    size = max(-(-len(counts) // most), 1)
    parts = [float(np.nansum(counts[start : start + size])) for start in range(0, len(counts), size)]
    top = max(parts)
    return "".join(SIGNS[min(int(part / top * 8), 7)] if top > 0 and part > 0 else " " for part in parts)


def short(text: str, most: int = 40) -> str:
    """A text cut to what fits, without control signs."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text[: most + 1])
    return plain if len(plain) <= most else f"{plain[: most - 1]}…"
