"""`retrim ingest`: the way in for every row and every label."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli_base import AsJson, example, house_here, past_time

if TYPE_CHECKING:
    from retrim.ops.ingest import Landed

app = typer.Typer()


@app.command(epilog=example("retrim ingest trips.csv --arrived 2012-03-01"))
def ingest(
    file: Annotated[
        str, typer.Argument(help="A file with the columns of params.yaml, or its address (s3://, https://).")
    ],
    labels: Annotated[bool, typer.Option("--labels", help="The file holds labels of rows landed before.")] = False,
    correction: Annotated[
        bool, typer.Option("--correction", help="Rows with known keys replace the earlier ones.")
    ] = False,
    arrived: Annotated[
        str | None, typer.Option("--arrived", metavar="TIME", help="When it arrived (UTC), if not now.")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="SQL", help="Of a database: what gives the rows.")
    ] = None,
    table: Annotated[str | None, typer.Option("--table", metavar="NAME", help="Of a database: or its table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Land a batch, or quarantine it if it is broken.

    A suspicious one lands with a warning. A quarantined batch ends with exit code 2 and a report. The same file twice
    changes nothing. A large file lands as several batches, a piece each.
    """
    from retrim import screens
    from retrim.files import name_of
    from retrim.ops.far import at_hand
    from retrim.ops.take_in import large_file, take_in

    house = house_here()
    now = None if arrived is None else past_time(arrived)
    batches = []
    with at_hand(house.workspace, file, query=query, table=table) as path:
        large = large_file(house, path)
        if large is not None:
            said = f"{name_of(path)} is large, {large.rows} rows: it lands as {len(large.counts)} batches"
            (screens.ERR if as_json else screens.OUT).print(said, highlight=False, markup=False, soft_wrap=True)
        for landed in take_in(house, path, now=now, labels=labels, correction=correction, large=large):
            batches.append(landed)
            if not as_json:
                _show(landed, path)
    left = 0 if large is None or batches[-1].part is None else len(large.counts) - len(batches)
    if left:
        said = f"the other {left} pieces were not looked at: they are no such table either"
        screens.ERR.print(said, highlight=False)
    if as_json:
        screens.show_json(batches[0].as_record() if large is None else _record(batches, large.of))
    raise typer.Exit(2 if "quarantined" in [each.outcome for each in batches] else 0)


def _show(landed: "Landed", path: Path) -> None:
    """A line for a batch, and one for each of its faults."""
    from retrim import screens

    part = landed.part
    which = "" if part is None else f", piece {part.number} of {part.count}, from row {part.first}"
    if landed.outcome == "quarantined":
        said = f"quarantined: batch {landed.batch}, {path.name}{which}"
        screens.ERR.print(said, highlight=False, markup=False, soft_wrap=True)
        for fault in landed.faults:
            screens.ERR.print(f"  {fault}; {fault.cure}", highlight=False, markup=False, soft_wrap=True)
        _show_notes(landed)
        screens.ERR.print(f"look at it: retrim quarantine show {landed.batch}", highlight=False)
        return
    _show_notes(landed)
    as_what = {"drifted": ", drifted from what landed before", "suspicious": ", suspicious"}.get(
        str(landed.verdict), ""
    )
    screens.OUT.print(f"{landed.outcome}: {landed.rows} rows, batch {landed.batch}{which}{as_what}", highlight=False)
    for fault in landed.faults if landed.outcome == "landed" else ():
        screens.ERR.print(f"warning: {fault}; {fault.cure}", highlight=False, markup=False, soft_wrap=True)


def _show_notes(landed: "Landed") -> None:
    from retrim import screens

    for note in landed.notes:
        screens.ERR.print(f"note: {note}", highlight=False, markup=False, soft_wrap=True)


def _record(batches: "list[Landed]", of: str) -> dict[str, object]:
    """What became of a large file, and of each of its pieces; quarantined when one of them was, landed when one did."""
    outcomes = [each.outcome for each in batches]
    outcome = next(each for each in ("quarantined", "landed", "already") if each in outcomes)
    return {"outcome": outcome, "digest": of, "batches": [each.as_record() for each in batches]}
