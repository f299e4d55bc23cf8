"""How every picture looks: one style that ignores a person's own matplotlib settings, on Agg canvases without pyplot.

So no global figure is left behind, no display is needed, and the same figures give the same bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any
from warnings import catch_warnings, filterwarnings

import pandas as pd

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


@contextmanager
def drawn(title: str, *, height: float, width: float = 7.2) -> Iterator[tuple["Axes", BytesIO]]:
    """One pair of axes to draw on, of so many inches; the bytes are there once the block ends."""
    with drawn_side_by_side(title, height=height, width=width, count=1) as (several, made):
        yield several[0], made


@contextmanager
def drawn_side_by_side(
    title: str, *, height: float, width: float, count: int
) -> Iterator[tuple[list["Axes"], BytesIO]]:
    """`count` pairs of axes beside one another, the title above the first; all else as `drawn`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.style import context

    made = BytesIO()
    with context(["default", STYLE]):
        room = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12)
        figure = Figure(figsize=(width, height), layout=room)
        FigureCanvasAgg(figure)
        several = [figure.add_subplot(1, count, place + 1) for place in range(count)]
        several[0].set_title(title)
        yield several, made
        with catch_warnings():
            filterwarnings("ignore", "Glyph ")  # a letter that the font lacks is drawn as a box
            # without the writer's version, or an upgrade would change every picture's bytes
            figure.savefig(made, format="png", metadata={"Software": None})


def plain(name: str) -> str:
    """The name cut to what fits, with no mark that matplotlib would read as a formula."""
    return (name if len(name) <= 32 else name[:31] + "…").replace("$", r"\$")


def naive(at: pd.Timestamp) -> Any:
    """UTC without its zone, as matplotlib's dates want it."""
    at = at if at.tzinfo is None else at.tz_convert("UTC").tz_localize(None)
    return at.to_pydatetime()
