"""`retrim ingest`: the way in for every row and every label. `retrim batch`: what landed, and what is in quarantine."""

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from retrim.cli import render
from retrim.cli.base import (
    AsJson,
    By,
    Now,
    Query,
    Reason,
    Table,
    argument,
    as_time,
    example,
    option,
    past_time,
    workspace_here,
)
from retrim.errors import BadInputError
from retrim.files import name_of

if TYPE_CHECKING:
    import pandas as pd

    from retrim.landing.ingest import Landed
    from retrim.landing.quarantine import QuarantinedBatch
    from retrim.lineage.workspace import Workspace

app = typer.Typer()
batch_app = typer.Typer(help="List, show, withdraw and release batches.")
Batch = Annotated[str, argument("BATCH", "Id of the batch, or its first digits. `retrim batch show` lists the ids.")]
Quarantined = Annotated[str, argument("BATCH", "Id of the batch. `retrim batch show --quarantined` prints the ids.")]


@app.command(epilog=example("retrim ingest trips.csv --arrived 2012-03-01"))
def ingest(
    file: Annotated[
        str | None,
        argument(
            "[FILE]",
            "What to land: a file, the URL of a file (s3://, https://), or the URL of a database (postgresql://). "
            "Default: the files in var/inbox/.",
        ),
    ] = None,
    labels: Annotated[bool, option("--labels", "FILE contains labels for rows that landed earlier.")] = False,
    correction: Annotated[
        bool, option("--correction", "Rows of FILE replace the landed rows with the same key.")
    ] = False,
    arrived: Annotated[str | None, option("--arrived TIME", "When FILE arrived (UTC). Default: now.")] = None,
    query: Query = None,
    table: Table = None,
    as_json: AsJson = False,
) -> None:
    """Land a batch, or quarantine it if it is broken.

    Without FILE, the files in the inbox land now, as they do on the schedule. A suspicious batch lands with a warning.
    If a batch is quarantined, its faults are printed and the exit code is 2. Ingesting the same file again changes
    nothing. A large file lands in chunks, and each chunk is a batch.
    """
    from retrim.landing.inbox import at_hand
    from retrim.landing.take_in import large_file, take_in

    workspace = workspace_here()
    now = None if arrived is None else past_time(arrived)
    if file is None:
        if labels or correction or query is not None or table is not None:
            raise BadInputError("--labels, --correction, --query and --table need a FILE: retrim ingest FILE --labels")
        _take_inbox(workspace, now, as_json=as_json)
    batches = []
    with at_hand(workspace.paths, file, query=query, table=table) as path:
        large = large_file(workspace, path)
        if large is not None:
            line = f"{name_of(path)} is large ({large.rows} rows): it lands as {len(large.counts)} batches"
            (render.ERR if as_json else render.OUT).print(line, soft_wrap=True)
        for landed in take_in(workspace, path, now=now, labels=labels, correction=correction, large=large):
            batches.append(landed)
            if not as_json:
                _show(landed, path.name)
    left = 0 if large is None or batches[-1].part is None else len(large.counts) - len(batches)
    if left:
        line = f"the other {left} chunks were not read, because the first does not match the declared table"
        render.ERR.print(line)
    if as_json:
        render.show_json(batches[0] if large is None else _record(batches, large.of))
    raise typer.Exit(2 if "quarantined" in [batch.outcome for batch in batches] else 0)


def _take_inbox(workspace: "Workspace", now: "pd.Timestamp | None", *, as_json: bool) -> NoReturn:
    """Lands the files of the inbox, and shows each batch."""
    from retrim.landing.inbox import take_from_inbox
    from retrim.landing.quarantine import Quarantine

    batches: list[Landed] = []
    try:
        for landed in take_from_inbox(workspace, now=now):
            batches.append(landed)
            is_aside = landed.outcome == "quarantined"
            if not as_json:
                _show(landed, Quarantine(workspace.paths.quarantine).get(landed.batch).file if is_aside else "")
    finally:  # a file that stays is told last
        if as_json:
            render.show_json(batches)
    if not batches and not as_json:
        render.OUT.print("nothing in var/inbox/ to land")
    raise typer.Exit(2 if "quarantined" in [landed.outcome for landed in batches] else 0)


def _show(landed: "Landed", name: str) -> None:
    """A line for a batch, and one for each of its faults."""
    part = landed.part
    which = "" if part is None else f", chunk {part.number} of {part.count}, from row {part.first}"
    if landed.outcome == "quarantined":
        line = f"quarantined: batch {landed.batch}, {name}{which}"
        render.ERR.print(line, soft_wrap=True)
        for fault in landed.faults:
            render.ERR.print(f"  {fault}; {fault.cure}", soft_wrap=True)
        _show_notes(landed)
        render.ERR.print(f"show it: retrim batch show {landed.batch}")
        return
    _show_notes(landed)
    as_what = {"drifted": ", drifted from earlier batches", "suspicious": ", suspicious"}.get(str(landed.verdict), "")
    render.OUT.print(f"{landed.outcome}: {landed.rows} rows, batch {landed.batch}{which}{as_what}")
    for fault in landed.faults if landed.outcome == "landed" else ():
        render.ERR.print(f"warning: {fault}; {fault.cure}", soft_wrap=True)


def _show_notes(landed: "Landed") -> None:
    for note in landed.notes:
        render.ERR.print(f"note: {note}", soft_wrap=True)


def _record(batches: "list[Landed]", of: str) -> dict[str, object]:
    """What became of a large file, and of each of its pieces; quarantined when one of them was, landed when one did."""
    outcomes = [batch.outcome for batch in batches]
    outcome = next(kind for kind in ("quarantined", "landed", "already") if kind in outcomes)
    return {"outcome": outcome, "digest": of, "batches": batches}


@batch_app.command("show", epilog=example("retrim batch show 3f2a91c0"))
def batch_show(
    batch: Annotated[
        str | None, argument("[BATCH]", "Id of the batch, or its first digits. Default: list all.")
    ] = None,
    quarantined: Annotated[bool, option("--quarantined", "List the batches in quarantine instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the batches, or show one.

    Of a batch, the command shows its columns and the versions made with it. If the batch is in quarantine, it lists
    each fault with its column, rule, row and value, and says how to correct it.
    """
    from retrim.cli.screens.batches import batch_report
    from retrim.landing.quarantine import Quarantine
    from retrim.landing.withdraw import quarantined_batch, show_batch

    workspace = workspace_here()
    if batch is None:
        if quarantined:
            _list_quarantined(Quarantine(workspace.paths.quarantine).entries(), as_json=as_json)
        else:
            _list_landed(workspace, as_json=as_json)
    elif quarantined:
        raise BadInputError("--quarantined lists batches; leave it out to show one batch, or leave out BATCH")
    elif as_json:
        entry = quarantined_batch(workspace, batch)
        render.show_json(show_batch(workspace, batch) if entry is None else entry)
    else:
        render.show_report(batch_report(workspace, batch))


def _list_landed(workspace: "Workspace", *, as_json: bool) -> None:
    from retrim.landing.withdraw import listed_batches

    records = listed_batches(workspace)
    rows = [
        (
            one.batch,
            one.kind + (", correction" if one.correction else ""),
            one.rows,
            render.moment(one.arrived),
            "" if one.withdrawn is None else f"{render.moment(one.withdrawn.at)}: {one.withdrawn.reason}",
        )
        for one in records
    ]
    none = "no batch has landed; land some rows: retrim ingest FILE"
    render.show_list(records, ("batch", "kind", "rows", "arrived", "withdrawn"), rows, none=none, as_json=as_json)


@batch_app.command("withdraw", epilog=example("retrim batch withdraw 3f2a91c0 --reason 'prices of another shop'"))
def batch_withdraw(batch: Batch, by: By, reason: Reason, now: Now = None, as_json: AsJson = False) -> None:
    """Withdraw a landed batch, or remove one from quarantine.

    Its rows no longer count, in tables as of an earlier time too. Versions made with it can still be rebuilt. If you
    withdraw a correction, the earlier values apply again. A withdrawn file cannot land again. Of a batch in quarantine,
    the report stays.
    """
    from retrim.landing.ingest import drop_quarantined
    from retrim.landing.withdraw import quarantined_batch, withdraw

    workspace = workspace_here()
    if quarantined_batch(workspace, batch) is not None:
        entry = drop_quarantined(batch, workspace=workspace.paths, now=as_time(None), by=by, reason=reason)
        render.show(entry, f"dropped: batch {entry.batch}", as_json=as_json)
        return
    done = withdraw(workspace, batch, by=by, reason=reason, now=None if now is None else past_time(now))
    names = ", ".join(one.batch for one in done.withdrawals)
    text = f"withdrawn: {done.rows} rows, batch {names}" if done.fresh else f"already withdrawn: batch {names}"
    if done.versions:
        listed = ", ".join(map(str, done.versions))
        text += f"\nversions made with it: {listed}. They are kept; the next version excludes the batch"
    render.show(done, text, as_json=as_json)


def _list_quarantined(entries: "list[QuarantinedBatch]", *, as_json: bool) -> None:
    rows = [(e.batch, e.state, e.file, render.moment(e.arrived), "; ".join(map(str, e.faults))) for e in entries]
    heads = ("batch", "state", "file", "arrived", "faults")
    render.show_list(entries, heads, rows, none="no batch is in quarantine", as_json=as_json)


@batch_app.command("release", epilog=example("retrim batch release 3f2a91c0 --reason 'a true record'"))
def batch_release(
    batch: Quarantined,
    reason: Reason,
    by: By,
    arrived: Annotated[
        str | None, option("--arrived TIME", "Arrival time of the batch (UTC). Default: the recorded arrival time.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Land a quarantined batch in spite of its faults.

    The batch keeps its recorded arrival time, unless you set a different time with --arrived.
    """
    from retrim.landing.ingest import release_quarantined as op

    workspace = workspace_here()
    landed = op(
        batch,
        workspace=workspace.paths,
        data=workspace.params.data,
        now=as_time(None),
        by=by,
        reason=reason,
        reading=workspace.params.reading,
        arrived=None if arrived is None else past_time(arrived),
        at=workspace.landing_address,
    )
    render.show(landed, f"{landed.outcome}: {landed.rows} rows, batch {landed.batch}", as_json=as_json)
