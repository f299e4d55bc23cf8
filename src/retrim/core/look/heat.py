"""Heat maps: how columns hang together, how far each moved when, and what was missing when."""

from collections.abc import Mapping, Sequence

import numpy as np

from retrim.core.look.whole import Look
from retrim.core.report.style import INK, MUTED, drawn, plain

MOST_ROWS = 30
LEAST_DIGITS = 16
"""Columns of a heat map above which figures do not fit into its cells."""


def relations(look: Look) -> bytes | None:
    """Strengths of the target and the most telling features; None where there is but one column."""
    related = look.related
    if len(related.names) < 2:
        return None
    most = min(len(related.names), MOST_ROWS)
    names = [name if place else f"{name} (target)" for place, name in enumerate(related.names[:most])]
    values = related.strength[:most, :most].copy()
    np.fill_diagonal(values, np.nan)
    return _heat("Strengths of pairs", names, names, values, label="strength", low=-1.0, figures=True)


def movements(look: Look) -> bytes | None:
    """How far each column lies from the first part of the history; None where there is no history."""
    ranked = _ranked({name: moved.effects for name, moved in look.moved.items()}, first=look.table.data.target)
    if not any(np.isfinite(moved.effects).any() for moved in look.moved.values()):
        return None
    names = [f"{name} (target)" if name == look.table.data.target else name for name in ranked]
    values = np.array([look.moved[name].effects for name in ranked])
    title = "How far each column moved from the first part"
    return _heat(title, names, look.periods.labels, values, label="effect", low=0.0, figures=False)


def missing_by_part(look: Look) -> bytes | None:
    """Share missing by column and part of the history; None where nothing is missing."""
    by = {column.name: column.missing_by for column in look.columns if column.missing}
    ranked = _ranked(by, first=None)
    if not ranked or len(look.periods.labels) < 2:
        return None
    values = np.array([by[name] for name in ranked])
    return _heat(
        "Missing over time", ranked, look.periods.labels, values, label="share missing", low=0.0, figures=False
    )


def missing_by_batch(look: Look) -> bytes | None:
    """Share missing by column and batch; None where nothing is missing, or but one batch came."""
    ranked = _ranked(look.batch_missing, first=None)
    if not ranked or len(look.batch_missing[ranked[0]]) < 2:
        return None
    values = np.array([look.batch_missing[name] for name in ranked])
    size = look.batch_sizes
    labels = [str(place * size + 1) for place in range(values.shape[1])]
    title = "Missing by batch, in order of arrival" if size == 1 else f"Missing by {size} batches, in order of arrival"
    return _heat(title, ranked, labels, values, label="share missing", low=0.0, figures=False)


def _ranked(values: Mapping[str, np.ndarray], *, first: str | None) -> list[str]:
    """Names of rows, those with the largest figure first."""
    largest = {name: float(np.nan_to_num(row).max(initial=0.0)) for name, row in values.items()}
    shown = sorted(largest, key=lambda name: (name != first, -largest[name]))
    return shown[:MOST_ROWS] if any(len(row) for _, row in values.items()) else []


def _heat(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    *,
    label: str,
    low: float,
    figures: bool,
) -> bytes:
    """A heat map; a figure that is not known is grey.

    Args:
        title: Above it.
        rows: Names of the rows.
        columns: Of the columns.
        values: `low` to 1, shape (rows, columns).
        label: What the colour says.
        low: -1 where the sign counts, else 0.
        figures: Whether figures are written into the cells, where they fit.
    """
    from matplotlib import colormaps

    colours = colormaps["RdBu_r" if low < 0 else "YlOrRd"].with_extremes(bad="#eef1f4")
    height = 1.5 + 0.26 * max(len(rows), 3) + 0.06 * max(len(plain(name)) for name in columns)
    with drawn(title, width=9.6, height=height) as (axes, made):
        shown = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=1, aspect="auto")
        axes.set_yticks(range(len(rows)), [plain(name) for name in rows])
        step = max(-(-len(columns) // 40), 1)
        axes.set_xticks(
            range(0, len(columns), step), [plain(name) for name in columns[::step]], rotation=90, fontsize=8
        )
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        if figures and len(columns) <= LEAST_DIGITS:
            for (row, column), value in np.ndenumerate(values):
                if np.isfinite(value):
                    ink = "white" if abs(value) > 0.6 else INK
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        bar = axes.figure.colorbar(shown, ax=axes, fraction=0.03, pad=0.01)
        bar.set_label(label, color=MUTED)
        bar.outline.set_visible(False)
    return made.getvalue()
