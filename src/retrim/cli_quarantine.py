"""`retrim quarantine`: batches that were set aside."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, By, as_time, example, house_here, past_time

app = typer.Typer(help="Batches that were set aside: list, show, release, drop.")
Batch = Annotated[str, typer.Argument(help="The batch, as `retrim quarantine list` names it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the batch.")]


@app.command("list", epilog=example("retrim quarantine list"))
def quarantine_list(as_json: AsJson = False) -> None:
    """List the batches in quarantine."""
    from retrim import screens
    from retrim.ops.ingest import quarantine_list as op

    entries = op(house_here().workspace)
    if as_json:
        screens.show_json([entry.as_record() for entry in entries])
        return
    if not entries:
        screens.OUT.print("nothing was set aside", highlight=False)
        return
    rows = [(e.batch, e.state, e.file, f"{e.arrived:%Y-%m-%d %H:%M}", "; ".join(map(str, e.faults))) for e in entries]
    screens.show_table(("batch", "state", "file", "arrived", "faults"), rows, brief_last=True)


@app.command("show", epilog=example("retrim quarantine show 3f2a91c0"))
def quarantine_show(batch: Batch, as_json: AsJson = False) -> None:
    """Show what is wrong with a batch, and the cure.

    Column, rule, rows and values.
    """
    from retrim import screens
    from retrim.ops.ingest import quarantine_show as op

    entry = op(house_here().workspace, batch)
    if as_json:
        screens.show_json(entry.as_record())
        return
    screens.show_facts(
        [
            ("batch", entry.batch),
            ("file", entry.file),
            ("state", entry.state),
            ("by", entry.by or None),
            ("reason", entry.reason or None),
        ]
    )
    for fault in entry.faults:
        rows = [(example.row, example.key, example.value) for example in fault.examples if example.row is not None]
        if rows:
            title = f"{fault.column}: {fault.rule} ({fault.count} rows)"
            screens.show_table(("row", "key", "value"), rows, title=title)
        else:  # it is about the file as a whole
            screens.show_table(
                (f"{fault.column or 'the file'}: {fault.rule}",), [(each.value,) for each in fault.examples]
            )
        screens.OUT.print(f"  cure: {fault.cure}", highlight=False, markup=False)


@app.command("release", epilog=example("retrim quarantine release 3f2a91c0 --reason 'a true record'"))
def quarantine_release(
    batch: Batch,
    reason: Reason,
    by: By,
    arrived: Annotated[
        str | None, typer.Option("--arrived", metavar="TIME", help="When it arrived (UTC), if not when it came.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Land a batch in spite of its faults.

    It keeps the time at which it came, or takes the one given, whatever has landed since.
    """
    from retrim import screens
    from retrim.ops.ingest import release as op

    house = house_here()
    landed = op(
        batch,
        workspace=house.workspace,
        data=house.params.data,
        now=as_time(None),
        by=by,
        reason=reason,
        reading=house.params.reading,
        arrived=None if arrived is None else past_time(arrived),
    )
    if as_json:
        screens.show_json(landed.as_record())
    else:
        screens.OUT.print(f"{landed.outcome}: {landed.rows} rows, batch {landed.batch}", highlight=False)


@app.command("drop", epilog=example("retrim quarantine drop 3f2a91c0 --reason 'sent twice'"))
def quarantine_drop(
    batch: Batch,
    reason: Reason,
    by: By,
    as_json: AsJson = False,
) -> None:
    """Give a batch up: its report stays, its bytes go."""
    from retrim import screens
    from retrim.ops.ingest import drop as op

    entry = op(batch, workspace=house_here().workspace, now=as_time(None), by=by, reason=reason)
    if as_json:
        screens.show_json(entry.as_record())
    else:
        screens.OUT.print(f"dropped: batch {entry.batch}", highlight=False)
