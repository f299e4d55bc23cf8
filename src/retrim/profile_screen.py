"""A look at a table on a screen: the table, what was found, a line a column."""

from rich.markup import escape

from retrim import screens
from retrim.core.look import Look
from retrim.core.look.columns import ColumnLook
from retrim.core.look.findings import findings
from retrim.core.look.page import WEIGHTS, facts, middle, share
from retrim.core.look.sparks import short, signs

MOST_COLUMNS = 60
STYLES = {"stop": "bold red", "warn": "yellow", "tell": "dim"}
SPARK = 16


def show_look(look: Look) -> None:
    """A look for a person."""
    screens.show_facts(facts(look))
    found = findings(look)
    screens.OUT.print(f"\n[bold]Findings[/] ({len(found)})", highlight=False)
    for note in found:
        where = f"{short(note.column, 60)}: " if note.column else ""
        told = escape(screens.harmless(f"{note.about}: {where}{note.seen}"))
        screens.OUT.print(f"[{STYLES[note.weight]}]{WEIGHTS[note.weight]:>7}[/]  {told}", highlight=False)
        screens.OUT.print(f"         [dim]{escape(screens.harmless(note.done))}[/]", highlight=False)
    if not found:
        screens.OUT.print("nothing to tell", highlight=False)
    strength = look.strength
    rows = [
        (
            short(column.name, 32),
            column.type,
            column.role,
            _shape(column),
            share(column.missing_share) if column.missing else "",
            signs(column.missing_by.tolist(), most=SPARK) if column.missing else "",
            share(strength[column.name]) if column.name in strength else "",
            middle(column),
        )
        for column in look.columns[:MOST_COLUMNS]
    ]
    heads = ("column", "type", "role", "shape", "missing", "when", "tells", "where it lies")
    screens.show_table(heads, rows, title="Columns", brief_last=True)
    if len(look.columns) > MOST_COLUMNS:
        rest = len(look.columns) - MOST_COLUMNS
        screens.OUT.print(f"{rest} further columns stand in --json and on the page", highlight=False)


def _shape(column: ColumnLook) -> str:
    if column.numbers is not None:
        return signs(column.numbers.counts, most=SPARK)
    if column.levels is not None:
        return signs([count for _, count in column.levels.top], most=SPARK)
    return ""
