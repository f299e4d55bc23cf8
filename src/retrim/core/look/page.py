"""The page of a look, before it is HTML: findings, columns with tiny pictures, sections with large ones."""

from dataclasses import dataclass

import pandas as pd

from retrim.core.look.columns import ColumnLook
from retrim.core.look.findings import findings
from retrim.core.look.sections import Section, sections
from retrim.core.look.sparks import HEIGHT, WIDTH, Bar, Box, box, gaps, histogram, short
from retrim.core.look.whole import Look

MOST_COLUMNS, MOST_NAMES = 100, 300
WEIGHTS = {"stop": "serious", "warn": "look", "tell": "note"}


@dataclass(frozen=True)
class Finding:
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
    shape: tuple[Bar, ...]
    box: Box | None
    gaps: tuple[Bar, ...]
    missing: str
    distinct: str
    middle: str
    law: str
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
    findings: tuple[Finding, ...]
    columns: tuple[ColumnRow, ...]
    others: str
    sections: tuple[Section, ...]
    width: float = WIDTH
    height: float = HEIGHT


def page_of(look: Look) -> Page:
    """The page of a look; same look, same page."""
    found = [
        Finding(WEIGHTS[note.weight], note.about, short(note.column, 60), cut(note.seen), cut(note.done))
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
        title=f"A look at {short(look.table.data.model, 80)}",
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


def facts(look: Look) -> list[tuple[str, str]]:
    """What the table is, a line each."""
    table, data = look.table, look.table.data
    lines = [("rows", f"{table.rows:,}" + (f", {table.mature:,} of them mature" if table.mature is not None else ""))]
    if table.rows and table.timed:
        first, last = table.event.iloc[0], table.event.iloc[-1]
        lines.append(("span", f"{moment(first)} to {moment(last)}, looked at by {look.periods.every}"))
    elif table.rows:
        lines.append(("span", f"no event time: by order of arrival, in parts of {look.periods.every}"))
    if table.batches is not None:
        lines.append(("batches", f"{int(table.batches.max(initial=-1)) + 1:,}"))
    roles = pd.Series([column.role for column in look.columns]).value_counts()
    said = ", ".join(f"{count} {name}" for name, count in sorted(roles.items()))
    left = f"; {len(table.left_out)} never kept" if table.left_out else ""
    lines.append(("columns", f"{len(look.columns)} ({said}{left})"))
    positive = f", probability of {short(data.positive)!r}" if data.positive and not _target_hidden(look) else ""
    lines.append(("target", f"{short(data.target, 60)}, {data.task}{positive}"))
    lines.append(("key", short(", ".join(data.key), 120) if data.key else "none: batch and row number"))
    double = look.doubles
    lines.append(("duplicates", f"{double.rows:,} rows, {double.conflicting:,} with conflicting labels"))
    whole = look.sampled == table.rows
    lines.append(("sample", "all rows" if whole else f"{look.sampled:,} rows drawn at random, where it says so"))
    return lines


def _target_hidden(look: Look) -> bool:
    return bool(look.shown[look.table.data.target].hidden)


def moment(at: pd.Timestamp) -> str:
    return f"{at:%Y-%m-%d}" if (at.hour, at.minute) == (0, 0) else f"{at:%Y-%m-%d %H:%M}"


def _row(column: ColumnLook, look: Look) -> ColumnRow:
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
        law=column.numbers.law.text if column.numbers is not None and column.numbers.law is not None else "",
        tells="" if strength is None else share(strength),
    )


def share(value: float) -> str:
    """A share in percent, and that it is more than nothing where it is."""
    return "0" if value == 0 else "< 0.1 %" if value < 0.001 else f"{value:.1%}"


def middle(column: ColumnLook) -> str:
    """Where the values of a column lie; why that is not told of a hidden one."""
    if column.hidden:
        return f"{column.hidden}: no value is shown"
    if column.numbers is not None:
        low, _, _, quarter, half, three, _, _, high = column.numbers.quantiles
        return f"median {half:.4g}, half in {quarter:.4g} to {three:.4g}, all in {low:.4g} to {high:.4g}"
    if column.levels is not None and column.levels.top:
        filled = max(column.rows - column.missing, 1)
        return ", ".join(f"{short(name, 24)} {count / filled:.0%}" for name, count in column.levels.top[:3])
    return ""
