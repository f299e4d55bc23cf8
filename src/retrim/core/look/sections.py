"""The sections below the list of findings, each with pictures first, then figures, then how it was looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrim.core.look import doubles, heat, laws, missing, noise, over_time, pictures
from retrim.core.look.columns import ColumnLook
from retrim.core.look.missing import CLEAR
from retrim.core.look.sparks import short
from retrim.core.look.whole import Look
from retrim.core.report.bars import importance

MOST_ROWS = 25


@dataclass(frozen=True)
class Table:
    """A table of text; `heads` name its columns."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
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
    tables: tuple[Table, ...] = ()
    pictures: tuple[tuple[str, bytes], ...] = ()


def sections(look: Look) -> Iterator[Section]:
    """All sections that have something to say."""
    for section in (_target, _pairs, _related, _drift, _missing, _doubles, _noise, _model, _read, _how):
        made = section(look)
        if made is not None:
            yield made


def _shown(*pairs: tuple[str, bytes | None]) -> tuple[tuple[str, bytes], ...]:
    return tuple((title, picture) for title, picture in pairs if picture is not None)


def _target(look: Look) -> Section | None:
    picture = pictures.target(look)
    if picture is None or look.target is None:
        return None
    said = f"{look.target.labelled:,} of {look.table.rows:,} rows have a label; each line is of labelled rows alone."
    return Section("Target", "target", (said,), (), (("the target, and the target over time", picture),))


def _pairs(look: Look) -> Section | None:
    if not look.pairs:
        return None
    goal = look.table.data
    asked = f"share of {short(goal.positive)!r}" if goal.positive is not None else "share of the commonest class"
    shown = (
        "mean and standard deviation of the target" if goal.task == "regression" else f"{asked}, ± one standard error"
    )
    said = (
        (
            f"Points: {shown}, by tenths of a number or by category. Tells: the share of the target's uncertainty that "
            "the feature takes away alone, less what chance makes of it; what features tell only together is not in it."
        ),
        f"On {look.sampled:,} rows." if look.sampled < look.table.rows else "On all rows.",
    )
    drawn = tuple(("features against the target", picture) for picture in pictures.pairs(look))
    return Section("Features against the target", "pairs", said, (), drawn)


def _related(look: Look) -> Section | None:
    picture = heat.relations(look)
    if picture is None:
        return None
    strong = look.related.strong()[:MOST_ROWS]
    rows = tuple((short(one, 60), short(other, 60), f"{strength:.3f}") for one, other, strength in strong)
    tables = (Table(("column", "says nearly the same as", "strength"), rows),) if rows else ()
    if look.collinear is not None:
        factors = sorted(look.collinear.inflation.items(), key=lambda item: (-item[1], item[0]))[:MOST_ROWS]
        inflated = tuple((short(name, 60), f"{factor:.1f}") for name, factor in factors)
        tables = (*tables, Table(("number", "variance inflation by the others"), inflated))
    said = (
        (
            "Between numbers Spearman's correlation, with its sign; between categories Cramér's V; between both the "
            f"correlation ratio of the ranks. On {look.sampled:,} rows; the {heat.MOST_ROWS} that tell most, at most."
        ),
    )
    return Section("How columns hang together", "related", said, tables, (("strengths of pairs of columns", picture),))


def _drift(look: Look) -> Section | None:
    picture = heat.movements(look)
    if picture is None:
        return None
    first, labels = over_time.first_part(look.periods), look.periods.labels
    against = f"the first, {labels[0]}" if first == 1 else f"the first {first}, {labels[0]} to {labels[first - 1]}"
    said = (
        (
            f"Each part against {against}, on "
            "all rows: of a number the largest distance of the distribution functions (ks), of a category the share of "
            "rows that would have to change it (chi2's effect). Grey: the first part, or fewer than "
            f"{over_time.LEAST} rows. A season shows as drift too. Alarms of a check are calibrated, this is not: "
            "retrim check."
        ),
    )
    return Section("Drift over its own history", "drift", said, (), (("effects by column and part", picture),))


def _missing(look: Look) -> Section | None:
    open_ = sorted((column for column in look.columns if column.missing), key=lambda one: -one.missing)
    if not open_:
        said = ("No value is missing.",) if look.table.rows else ()
        return Section("Missing values", "missing", said)
    rows = []
    for column in open_[:MOST_ROWS]:
        gap = look.gaps.get(column.name)
        if gap is None or gap.kind == "few":
            how = "too few with or without a value to tell" if gap else ""
        elif gap.told_by:
            how = f"systematic: {short(gap.told_by)} tells it, Cramér's V {gap.strength:.2f}"
        else:
            how = "looks random"
        rows.append((short(column.name, 60), f"{column.missing:,}", f"{column.missing_share:.1%}", how))
    said = (
        (
            "Systematic: whether a value is missing can be told from time, the target or another column, with a "
            f"Cramér's V of {CLEAR:g} or more that is no chance, on at most {missing.ROWS:,} rows. What only the "
            "missing value itself would tell no table can say."
        ),
    )
    drawn = _shown(
        ("share missing by part", heat.missing_by_part(look)), ("share missing by batch", heat.missing_by_batch(look))
    )
    return Section("Missing values", "missing", said, (Table(("column", "rows", "share", "how"), tuple(rows)),), drawn)


def _doubles(look: Look) -> Section | None:
    found = look.doubles
    if not look.table.rows:
        return None
    rows = [
        ("rows that are there again (features and target)", f"{found.rows:,}"),
        ("rows with the features of another and another target", f"{found.conflicting:,}"),
    ]
    if found.near_rows:
        rows += [
            (f"rows as another in all features but one, of the newest {found.near_rows:,}", f"{found.near:,}"),
            ("the same, each feature dealt out by chance", f"{found.near_chance:,}"),
        ]
    said = ("Event time and key aside; on all rows, by a hash of 64 bits.",)
    return Section("Duplicates", "doubles", said, (Table(("what", "rows"), tuple(rows)),))


def _noise(look: Look) -> Section | None:
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
    named = () if hidden else ("label", "the model says")
    heads = ("key", *named, "standard deviations off" if regression else "probability")
    said = (
        f"A small model predicts each fifth of {found.rows:,} labelled rows from the others. "
        + (
            f"Suspects lie {noise.FAR:g} robust standard deviations off, those of rows with as large a prediction."
            if regression
            else "Suspects are rows of which another class is likeliest, and as likely as of rows that are labelled so "
            "(confident learning: Northcutt, Jiang and Chuang 2021, J. Artif. Intell. Res. 70)."
        )
        + f" {found.suspects:,} are, the surest first. No table can tell a wrong label from a rare one: the less the "
        "features tell of it, the likelier it is merely rare.",
    )
    return Section("Labels that may be wrong", "noise", said, (Table(heads, rows),) if rows else ())


def _model(look: Look) -> Section | None:
    categories = [column for column in look.columns if column.role == "feature" and column.levels is not None]
    rows = tuple(_levels_row(column, look) for column in categories[:MOST_ROWS])
    heads = ("category feature", "levels", "fewer than 20 rows", "unseen in the newest fifth")
    tables = [Table(heads, rows)] if rows else []
    said = []
    drawn: tuple[tuple[str, bytes], ...] = ()
    if look.champion is None:
        said.append("No version is live; unseen: categories of the newest fifth of the rows that no earlier row had.")
    else:
        said.append(f"Version {look.champion.version} is live; unseen: categories that it does not know.")
        shares = look.champion.shares
        if shares:
            drawn = (("importance", importance(list(shares), list(shares.values()))),)
    said.append("Preparing steps: " + ("; ".join(look.prepared) if look.prepared else "none is declared") + ".")
    return Section("The model's view", "view", tuple(said), tuple(tables), drawn)


def _levels_row(column: ColumnLook, look: Look) -> tuple[str, ...]:
    assert column.levels is not None
    unseen = look.unseen.get(column.name, column.levels.unseen)
    return (short(column.name, 60), f"{column.distinct:,}", f"{column.levels.rare:,}", f"{unseen:.2%}")


def _read(look: Look) -> Section | None:
    if not look.given:
        return None
    rows = tuple((note.about, short(note.column, 60), short(note.seen, 400), note.done) for note in look.given)
    return Section("How it was read", "read", (), (Table(("about", "column", "what was seen", "what it means"), rows),))


def _how(look: Look) -> Section:
    fitted: Sequence[int] = [
        column.numbers.law.rows for column in look.columns if column.numbers is not None and column.numbers.law
    ]
    said = [
        "On all rows: rows, gaps, quantiles, histograms, categories, drift, duplicates, the target over time.",
        (
            f"On {look.sampled:,} rows drawn at random (--rows): features against the target, correlations, leaks, "
            f"whether gaps are random; labels on at most {noise.MOST:,} of them, near-duplicates on the newest "
            f"{doubles.NEAR_ROWS:,} rows."
        ),
    ]
    if fitted:
        said.append(
            f"Laws on at most {laws.SAMPLED:,} of them: the least AIC of normal, log-normal, exponential, gamma, "
            "uniform, Poisson (counts) and each of them with zeros beside it. None fits: the distribution functions "
            f"lie more than {laws.BOUND:g} apart, or more than chance makes of few rows."
        )
    said.append("Columns that are forbidden to the model or look personal: names, gaps and counts, no values.")
    return Section("How it was looked at", "how", tuple(said))
