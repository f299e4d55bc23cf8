"""`retrim batch`: what has landed, batch by batch, and taking one back."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, By, Now, Reason, example, house_here, past_time

app = typer.Typer(help="Batches that have landed: list, show, withdraw, redate.")
Batch = Annotated[str, typer.Argument(help="The batch, as `retrim batch list` names it, or how it begins.")]


@app.command("list", epilog=example("retrim batch list"))
def batch_list(as_json: AsJson = False) -> None:
    """List the landed batches, in order of arrival."""
    from retrim import screens
    from retrim.ops.withdraw import batch_records

    records = batch_records(house_here())
    if as_json:
        screens.show_json(records)
        return
    if not records:
        screens.OUT.print("nothing has landed; land some rows: retrim ingest FILE", highlight=False)
        return
    rows = [
        (
            r["batch"],
            r["kind"] + (", correction" if r["correction"] else ""),
            r["rows"],
            screens.moment(r["arrived"]),
            "" if r["withdrawn"] is None else f"{screens.moment(r['withdrawn']['at'])}: {r['withdrawn']['reason']}",
        )
        for r in records
    ]
    screens.show_table(("batch", "kind", "rows", "arrived", "withdrawn"), rows, brief_last=True)


@app.command("show", epilog=example("retrim batch show 3f2a91c0"))
def batch_show(batch: Batch, as_json: AsJson = False) -> None:
    """Show a landed batch, its columns and the versions made with it."""
    from retrim import screens
    from retrim.ops.withdraw import batch_record

    record = batch_record(house_here(), batch)
    if as_json:
        screens.show_json(record)
        return
    back = record["withdrawn"]
    screens.show_facts(
        [
            ("batch", record["batch"]),
            ("kind", record["kind"] + (", correction" if record["correction"] else "")),
            ("rows", str(record["rows"])),
            ("arrived", screens.moment(record["arrived"])),
            ("released", record["released"] or None),
            ("columns", ", ".join(f"{name} ({kind})" for name, kind in record["columns"].items())),
            ("versions", ", ".join(map(str, record["versions"])) or "none was made with it"),
            ("withdrawn", None if back is None else f"{screens.moment(back['at'])} by {back['by']}"),
            ("because", None if back is None else back["reason"]),
        ]
    )


@app.command("withdraw", epilog=example("retrim batch withdraw 3f2a91c0 --reason 'prices of another shop'"))
def batch_withdraw(batch: Batch, by: By, reason: Reason, now: Now = None, as_json: AsJson = False) -> None:
    """Take a landed batch back: views from now on leave it out.

    Views as of a moment before still hold it, and versions made with it still rebuild. A withdrawn correction gives
    the earlier values back. The same file does not land again.
    """
    from retrim import screens
    from retrim.ops.withdraw import withdraw

    done = withdraw(house_here(), batch, by=by, reason=reason, now=None if now is None else past_time(now))
    if as_json:
        screens.show_json(done.as_record())
        return
    names = ", ".join(each.batch for each in done.withdrawals)
    said = f"withdrawn: {done.rows} rows, batch {names}" if done.fresh else f"already: batch {names} was withdrawn"
    screens.OUT.print(said, highlight=False)
    if done.versions:
        listed = ", ".join(map(str, done.versions))
        screens.OUT.print(
            f"made with it, and as they were: version {listed}; the next version does without", highlight=False
        )


@app.command("redate", epilog=example("retrim batch redate"))
def batch_redate(
    by: By,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, it is only said.")] = False,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the record.")] = "the clock ran ahead",
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Give what arrived or was checked later than now a date of now.

    For a clock that ran ahead: until then no file lands and no check looks. Batches, withdrawals, decisions and runs
    keep their order. Versions still rebuild as of their own dates; those that lie ahead are named.
    """
    from retrim import screens
    from retrim.ops.arrival import clock
    from retrim.ops.clock_repair import plan_repair, repair

    house, at = house_here(), clock() if now is None else past_time(now)
    plan = repair(house, by=by, reason=reason, now=at) if yes else plan_repair(house, now=at)
    if as_json:
        screens.show_json(plan.as_record())
        return
    if not plan.moves:
        screens.OUT.print("nothing is dated later than now", highlight=False)
    for line in (*map(str, plan.moves), *plan.stays):
        screens.OUT.print(line, highlight=False, markup=False, soft_wrap=True)
    if plan.moves and not yes:
        cure = "nothing was changed; to do it: retrim batch redate --yes"
        screens.OUT.print(cure if now is None else f"{cure} --now {now}", highlight=False, soft_wrap=True)
