"""Heat maps: how columns hang together, how far each moved when, and what was missing when.

The larger pictures: the target over time, and the most telling features against it.

Tiny pictures of a column as shapes with coordinates, which the page draws as SVG and the terminal as signs.

The sections below the list of findings, each with pictures first, then figures, then how it was looked at.

The page of a look, before it is HTML: findings, columns with tiny pictures, sections with large ones.

A look at a table for a person: what is in it, what is odd about it, what to do about that.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from retrim.profile import whole
from retrim.profile.columns import TOP, ColumnLook
from retrim.profile.findings import findings
from retrim.profile.pairs import Pair
from retrim.profile.whole import CLEAR, TableProfile
from retrim.stats.charts import COLOURS, GRID, INK, MUTED, drawn, drawn_side_by_side, importance, plain

MOST_HEAT_ROWS = 30
LEAST_DIGITS = 16
"""Columns of a heat map above which figures do not fit into its cells."""


def relations(look: TableProfile) -> bytes | None:
    """Strengths of the target and the most telling features; None where there is but one column."""
    related = look.related
    if len(related.names) < 2:
        return None
    most = min(len(related.names), MOST_HEAT_ROWS)
    names = [name if place else f"{name} (target)" for place, name in enumerate(related.names[:most])]
    values = related.strength[:most, :most].copy()
    np.fill_diagonal(values, np.nan)
    return _heat("Strengths of pairs", names, names, values, label="strength", low=-1.0, figures=True)


def movements(look: TableProfile) -> bytes | None:
    """How far each column lies from the first part of the history; None where there is no history."""
    ranked = _ranked({name: moved.effects for name, moved in look.moved.items()}, first=look.table.data.target)
    if not any(np.isfinite(moved.effects).any() for moved in look.moved.values()):
        return None
    names = [f"{name} (target)" if name == look.table.data.target else name for name in ranked]
    values = np.array([look.moved[name].effects for name in ranked])
    title = "How far each column moved from the first part"
    return _heat(title, names, look.periods.labels, values, label="effect", low=0.0, figures=False)


def missing_by_part(look: TableProfile) -> bytes | None:
    """Share missing by column and part of the history; None where nothing is missing."""
    by = {column.name: column.missing_by for column in look.columns if column.missing}
    ranked = _ranked(by, first=None)
    if not ranked or len(look.periods.labels) < 2:
        return None
    values = np.array([by[name] for name in ranked])
    return _heat(
        "Missing over time", ranked, look.periods.labels, values, label="share missing", low=0.0, figures=False
    )


def missing_by_batch(look: TableProfile) -> bytes | None:
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
    return shown[:MOST_HEAT_ROWS] if any(len(row) for _, row in values.items()) else []


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


if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PAIRS, ACROSS = 12, 4
TELLING = 0.0005
"""Share of the target's uncertainty from which a feature is drawn beside the first four."""
LABEL = 14
DRAWABLE = 1e150
"""Beyond it matplotlib's own sums are not finite."""


def target(look: TableProfile) -> bytes | None:
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


def draw_pairs(look: TableProfile) -> list[bytes]:
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


def _pair(axes: "Axes", pair: Pair, look: TableProfile, ends: tuple[float, float]) -> None:
    at = np.arange(len(pair.labels))
    axes.set_title(f"{_short(pair.name, 20)}\nexplains {pair.tells:.1%}", fontsize=9)
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
    margin = 0.06 * (high - low) or 1.0
    return float(min(low, middles.min()) - margin), float(max(high, middles.max()) + margin)


def _classes(axes: "Axes", classes: tuple[tuple[str, int], ...]) -> None:
    top = classes[:12]
    axes.barh(range(len(top)), [count for _, count in top], color=COLOURS[0], height=0.7)
    axes.set_yticks(range(len(top)), [_short(name, 20) for name, _ in top])
    axes.set_ylim(len(top) - 0.4, -0.6)
    axes.set_xlabel("rows" if len(top) == len(classes) else f"rows ({len(classes) - len(top)} more classes)")
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
    axes.set_ylabel("rows" if not numbers.outside else f"rows ({numbers.outside} outside)", fontsize=9)


def _drawable(values: np.ndarray) -> bool:
    return bool(np.abs(values[np.isfinite(values)]).max(initial=0.0) < DRAWABLE)


def _thin(axes: "Axes", labels: tuple[str, ...]) -> None:
    step = max(-(-len(labels) // 16), 1)
    axes.set_xticks(range(0, len(labels), step), [plain(label) for label in labels[::step]], rotation=90, fontsize=8)


def _short(text: str, most: int = LABEL) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain(text if len(text) <= most else f"{text[: most - 1]}…")


WIDTH, HEIGHT = 140.0, 36.0
SIGNS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class DrawnBar:
    """An upright bar, and what it says when pointed at; `x`, `y` of its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    says: str
    quiet: bool = False


@dataclass(frozen=True)
class BoxPlot:
    """A box plot along a line: places of 1%, 25%, 50%, 75% and 99%, and what it says when pointed at."""

    low: float
    left: float
    middle: float
    right: float
    high: float
    says: str


def bars(counts: Sequence[float], says: Sequence[str], *, last_quiet: bool = False) -> tuple[DrawnBar, ...]:
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
            DrawnBar(
                round(place * step, 1),
                round(HEIGHT - height, 1),
                round(max(step - gap, 0.6), 1),
                round(height, 1),
                said,
                quiet,
            )
        )
    return tuple(made)


def histogram(column: ColumnLook) -> tuple[DrawnBar, ...]:
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


def box(column: ColumnLook) -> BoxPlot | None:
    """The box of a number between its 1% and 99% quantiles; None where they are one value."""
    if column.numbers is None:
        return None
    _, one, _, quarter, middle, three, _, high, _ = column.numbers.quantiles
    if not high > one or not np.isfinite(high - one):
        return None

    def place(value: float) -> float:
        return round(float(WIDTH * (value - one) / (high - one)), 1)

    says = f"1%: {one:.6g}, 25%: {quarter:.6g}, median {middle:.6g}, 75%: {three:.6g}, 99%: {high:.6g}"
    return BoxPlot(place(one), place(quarter), place(middle), place(three), place(high), says)


def gaps(column: ColumnLook, labels: Sequence[str]) -> tuple[DrawnBar, ...]:
    """Share missing over the history, full height for all; nothing where there are no gaps."""
    if not column.missing:
        return ()
    step = WIDTH / max(len(labels), 1)
    made = []
    for place, (share, label) in enumerate(zip(column.missing_by, labels, strict=True)):
        if np.isfinite(share) and share > 0:
            height = max(HEIGHT * float(share), 0.8)
            made.append(
                DrawnBar(
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


MOST_EXAMPLES = 25


@dataclass(frozen=True)
class ProfileTable:
    """A table of text; `heads` name its columns."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ProfileSection:
    """A section.

    Args:
        title: Of it.
        anchor: To jump to.
        sentences: How it was looked at, and what it does not say.
        tables: Figures.
        pictures: PNG files, and what each shows.
    """

    title: str
    anchor: str
    sentences: tuple[str, ...] = ()
    tables: tuple[ProfileTable, ...] = ()
    pictures: tuple[tuple[str, bytes], ...] = ()


def sections(look: TableProfile) -> Iterator[ProfileSection]:
    """All sections that have something to say."""
    for section in (_target, _pairs, _related, _drift, _missing, _doubles, _noise, _model, _read, _how):
        made = section(look)
        if made is not None:
            yield made


def _shown(*pairs: tuple[str, bytes | None]) -> tuple[tuple[str, bytes], ...]:
    return tuple((title, picture) for title, picture in pairs if picture is not None)


def _target(look: TableProfile) -> ProfileSection | None:
    picture = target(look)
    if picture is None or look.target is None:
        return None
    said = f"{look.target.labelled:,} of {look.table.rows:,} rows have a label. Each line describes labelled rows only."
    return ProfileSection("Target", "target", (said,), (), (("the target, and the target over time", picture),))


def _pairs(look: TableProfile) -> ProfileSection | None:
    if not look.pairs:
        return None
    goal = look.table.data
    asked = f"share of {short(goal.positive)!r}" if goal.positive is not None else "share of the commonest class"
    shown = (
        "mean and standard deviation of the target" if goal.task == "regression" else f"{asked}, ± one standard error"
    )
    said = (
        (
            f"Points: {shown}, for each tenth of a number or each category. Explains: the share of the target's "
            "uncertainty that the feature explains alone, minus what chance explains. What features explain only "
            "together is not included."
        ),
        f"On {look.sampled:,} rows." if look.sampled < look.table.rows else "On all rows.",
    )
    drawn = tuple(("features against the target", picture) for picture in draw_pairs(look))
    return ProfileSection("Features against the target", "pairs", said, (), drawn)


def _related(look: TableProfile) -> ProfileSection | None:
    picture = relations(look)
    if picture is None:
        return None
    strong = look.related.strong()[:MOST_EXAMPLES]
    rows = tuple((short(one, 60), short(other, 60), f"{strength:.3f}") for one, other, strength in strong)
    tables = (ProfileTable(("column", "nearly the same as", "strength"), rows),) if rows else ()
    if look.collinear is not None:
        factors = sorted(look.collinear.inflation.items(), key=lambda item: (-item[1], item[0]))[:MOST_EXAMPLES]
        inflated = tuple((short(name, 60), f"{factor:.1f}") for name, factor in factors)
        tables = (*tables, ProfileTable(("number", "variance inflation factor"), inflated))
    said = (
        (
            "Between numbers: Spearman's correlation, with its sign. Between categories: Cramér's V. Between a number "
            f"and a category: the correlation ratio of the ranks. Measured on {look.sampled:,} rows, for at most the "
            f"{MOST_HEAT_ROWS} columns that explain most."
        ),
    )
    return ProfileSection(
        "How columns are related", "related", said, tables, (("strengths of pairs of columns", picture),)
    )


def _drift(look: TableProfile) -> ProfileSection | None:
    picture = movements(look)
    if picture is None:
        return None
    first, labels = whole.first_part(look.periods), look.periods.labels
    against = (
        f"the first part, {labels[0]}" if first == 1 else f"the first {first} parts, {labels[0]} to {labels[first - 1]}"
    )
    said = (
        (
            f"Each part is compared with {against}, on all rows. For a number: the largest distance between the "
            "distribution functions (ks). For a category: the share of rows that would have to change category (the "
            f"effect of chi2). Grey: the first part, or a part with fewer than {whole.LEAST_PART} rows. A season shows "
            "as drift too. These effects are not calibrated; for calibrated alarms: retrim check."
        ),
    )
    return ProfileSection("Drift over its own history", "drift", said, (), (("effects by column and part", picture),))


def _missing(look: TableProfile) -> ProfileSection | None:
    open_ = sorted((column for column in look.columns if column.missing), key=lambda one: -one.missing)
    if not open_:
        said = ("No value is missing.",) if look.table.rows else ()
        return ProfileSection("Missing values", "missing", said)
    rows = []
    for column in open_[:MOST_EXAMPLES]:
        gap = look.gaps.get(column.name)
        if gap is None or gap.kind == "few":
            how = "too few rows with or without a value" if gap else ""
        elif gap.told_by:
            how = f"systematic: associated with {short(gap.told_by)}, Cramér's V {gap.strength:.2f}"
        else:
            how = "looks random"
        rows.append((short(column.name, 60), f"{column.missing:,}", f"{column.missing_share:.1%}", how))
    said = (
        (
            "Systematic: whether a value is missing is associated with time, the target or another column, with a "
            f"Cramér's V of at least {CLEAR:g} that is not due to chance, on at most {whole.ROWS:,} rows. No table "
            "can show whether it depends on the missing value itself."
        ),
    )
    drawn = _shown(("share missing by part", missing_by_part(look)), ("share missing by batch", missing_by_batch(look)))
    return ProfileSection(
        "Missing values", "missing", said, (ProfileTable(("column", "rows", "share", "how"), tuple(rows)),), drawn
    )


def _doubles(look: TableProfile) -> ProfileSection | None:
    found = look.doubles
    if not look.table.rows:
        return None
    rows = [
        ("duplicate rows (features and target)", f"{found.rows:,}"),
        ("rows with the same features as a row with a different target", f"{found.conflicting:,}"),
    ]
    said = ("Event time and key are ignored. All rows are compared, by a 64-bit hash.",)
    return ProfileSection("Duplicates", "doubles", said, (ProfileTable(("what", "rows"), tuple(rows)),))


def _noise(look: TableProfile) -> ProfileSection | None:
    found = look.noise
    if found is None:
        return None
    hidden = bool(look.shown[look.table.data.target].hidden)
    regression = look.table.data.task == "regression"
    rows = tuple(
        (
            short(key, 80),
            *(() if hidden else (short(one.label), short(one.said))),
            f"{one.sure:.1f}" if regression else f"{one.sure:.1%}",
        )
        for key, one in zip(look.suspects, found.shown, strict=True)
    )
    named = () if hidden else ("label", "the model predicts")
    heads = ("key", *named, "standard deviations off" if regression else "probability")
    said = (
        f"A small model predicts each fifth of {found.rows:,} labelled rows from the others. "
        + (
            "Suspects are off by at least "
            f"{whole.FAR:g} robust standard deviations, measured on rows with similar predictions."
            if regression
            else "Suspects are rows for which a different class is most likely, and as likely as for rows with that "
            "label (confident learning: Northcutt, Jiang and Chuang 2021, J. Artif. Intell. Res. 70)."
        )
        + f" There are {found.suspects:,} suspects, the surest first. No table can tell a wrong label from a rare one: "
        "the less the features explain, the more likely a suspect is merely rare.",
    )
    return ProfileSection("Labels that may be wrong", "noise", said, (ProfileTable(heads, rows),) if rows else ())


def _model(look: TableProfile) -> ProfileSection | None:
    categories = [column for column in look.columns if column.role == "feature" and column.levels is not None]
    rows = tuple(_levels_row(column, look) for column in categories[:MOST_EXAMPLES])
    heads = ("category feature", "levels", "fewer than 20 rows", "unseen in the newest fifth")
    tables = [ProfileTable(heads, rows)] if rows else []
    said = []
    drawn: tuple[tuple[str, bytes], ...] = ()
    if look.champion is None:
        said.append("No version is live. Unseen: categories in the newest fifth of the rows that no earlier row had.")
    else:
        said.append(f"Version {look.champion.version} is live. Unseen: categories that it did not see in training.")
        shares = look.champion.shares
        if shares:
            drawn = (("importance", importance(list(shares), list(shares.values()))),)
    said.append("Preparation steps: " + ("; ".join(look.prepared) if look.prepared else "none") + ".")
    return ProfileSection("The model's view", "view", tuple(said), tuple(tables), drawn)


def _levels_row(column: ColumnLook, look: TableProfile) -> tuple[str, ...]:
    assert column.levels is not None
    unseen = look.unseen.get(column.name, column.levels.unseen)
    return (short(column.name, 60), f"{column.distinct:,}", f"{column.levels.rare:,}", f"{unseen:.2%}")


def _read(look: TableProfile) -> ProfileSection | None:
    if not look.given:
        return None
    rows = tuple((note.about, short(note.column, 60), short(note.seen, 400), note.done) for note in look.given)
    return ProfileSection(
        "How it was read", "read", (), (ProfileTable(("about", "column", "what was seen", "what it means"), rows),)
    )


def _how(look: TableProfile) -> ProfileSection:
    said = [
        "On all rows: counts, missing values, quantiles, histograms, categories, drift, duplicates and the target.",
        (
            f"On {look.sampled:,} rows drawn at random (--rows): features against the target, correlations, leaks, and "
            f"whether values are missing at random. On at most {whole.MOST:,} of these rows: labels that may be wrong."
        ),
    ]
    said.append(
        "For columns that are forbidden to the model or look personal, names and counts are shown, but no values."
    )
    return ProfileSection("How it was profiled", "how", tuple(said))


MOST_COLUMNS, MOST_NAMES = 100, 300
WEIGHTS = {"stop": "serious", "warn": "look", "tell": "note"}


@dataclass(frozen=True)
class ProfileFinding:
    """A line of the list on top."""

    weight: str
    about: str
    column: str
    seen: str
    done: str


@dataclass(frozen=True)
class ColumnRow:
    """A column with its tiny pictures."""

    name: str
    kind: str
    shape: tuple[DrawnBar, ...]
    box: BoxPlot | None
    gaps: tuple[DrawnBar, ...]
    missing: str
    distinct: str
    middle: str
    tells: str


@dataclass(frozen=True)
class Page:
    """The page.

    Args:
        title: Of it.
        facts: Names and values of the table.
        counts: How many findings there are of each weight.
        findings: All of them, worst first.
        columns: Columns with tiny pictures.
        others: Names of those that have none, where there are very many.
        sections: What comes below.
        width: Of a tiny picture.
        height: The same.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]
    findings: tuple[ProfileFinding, ...]
    columns: tuple[ColumnRow, ...]
    others: str
    sections: tuple[ProfileSection, ...]
    width: float = WIDTH
    height: float = HEIGHT


def page_of(look: TableProfile) -> Page:
    """The page of a look; same look, same page."""
    found = [
        ProfileFinding(WEIGHTS[note.weight], note.about, short(note.column, 60), cut(note.seen), cut(note.done))
        for note in findings(look)
    ]
    order = {pair.name: place for place, pair in enumerate(look.pairs)}
    columns = list(look.columns)
    if len(columns) > MOST_COLUMNS:  # those that tell most, in the order of params.yaml
        first = sorted(columns, key=lambda column: (column.role != "target", order.get(column.name, len(order))))
        kept = {column.name for column in first[:MOST_COLUMNS]}
        columns = [column for column in columns if column.name in kept]
    rest = [column.name for column in look.columns if column not in columns] if len(columns) < len(look.columns) else []
    others = ", ".join(short(name) for name in rest[:MOST_NAMES])
    return Page(
        title=f"Profile of {short(look.table.data.model, 80)}",
        facts=tuple(facts(look)),
        counts=tuple((word, sum(one.weight == word for one in found)) for word in WEIGHTS.values()),
        findings=tuple(found),
        columns=tuple(_row(column, look) for column in columns),
        others=f"{len(rest)} more: {others}{' ...' if len(rest) > MOST_NAMES else ''}" if rest else "",
        sections=tuple(sections(look)),
    )


def cut(text: str, most: int = 400) -> str:
    """A sentence cut where it goes on for too long."""
    return short(text, most)


def facts(look: TableProfile) -> list[tuple[str, str]]:
    """What the table is, a line each."""
    table, data = look.table, look.table.data
    lines = [("rows", f"{table.rows:,}" + (f", {table.mature:,} of them mature" if table.mature is not None else ""))]
    if table.rows and table.timed:
        first, last = table.event.iloc[0], table.event.iloc[-1]
        lines.append(("span", f"{moment(first)} to {moment(last)}, in parts of {look.periods.every}"))
    elif table.rows:
        lines.append(("span", f"no event time: in order of arrival, in parts of {look.periods.every}"))
    if table.batches is not None:
        lines.append(("batches", f"{int(table.batches.max(initial=-1)) + 1:,}"))
    roles = pd.Series([column.role for column in look.columns]).value_counts()
    said = ", ".join(f"{count} {name}" for name, count in sorted(roles.items()))
    left = f"; {len(table.left_out)} never stored" if table.left_out else ""
    lines.append(("columns", f"{len(look.columns)} ({said}{left})"))
    positive = f", probability of {short(data.positive)!r}" if data.positive and not _target_hidden(look) else ""
    lines.append(("target", f"{short(data.target, 60)}, {data.task}{positive}"))
    lines.append(
        ("key", short(", ".join(data.key), 120) if data.key else "none; rows are identified by batch and row number")
    )
    double = look.doubles
    lines.append(("duplicates", f"{double.rows:,} rows, {double.conflicting:,} with conflicting labels"))
    whole = look.sampled == table.rows
    lines.append(("sample", "all rows" if whole else f"{look.sampled:,} rows drawn at random, for slow computations"))
    return lines


def _target_hidden(look: TableProfile) -> bool:
    return bool(look.shown[look.table.data.target].hidden)


def moment(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) else f"{at:%Y-%m-%d %H:%M}"


def _row(column: ColumnLook, look: TableProfile) -> ColumnRow:
    strength = look.strength.get(column.name)
    return ColumnRow(
        name=short(column.name, 60),
        kind=f"{column.type}, {column.role}",
        shape=histogram(column),
        box=box(column),
        gaps=gaps(column, look.periods.labels),
        missing=share(column.missing_share) if column.missing else "0",
        distinct=f"{column.distinct:,}",
        middle=middle(column),
        tells="" if strength is None else share(strength),
    )


def share(value: float) -> str:
    """A share in percent, and that it is more than nothing where it is."""
    return "0" if value == 0 else "< 0.1%" if value < 0.001 else f"{value:.1%}"


def middle(column: ColumnLook) -> str:
    """Where the values of a column lie; why that is not told of a hidden one."""
    if column.hidden:
        return f"{column.hidden}: no value is shown"
    if column.numbers is not None:
        low, _, _, quarter, half, three, _, _, high = column.numbers.quantiles
        return f"median {half:.4g}, half between {quarter:.4g} and {three:.4g}, all between {low:.4g} and {high:.4g}"
    if column.levels is not None and column.levels.top:
        filled = max(column.rows - column.missing, 1)
        return ", ".join(f"{short(name, 24)} {count / filled:.0%}" for name, count in column.levels.top[:3])
    return ""
