"""Pruning by command."""

from typing import Annotated

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

app = typer.Typer()
UNITS = ("B", "kB", "MB", "GB")


@app.command(epilog=example("retrim gc --dry-run"))
def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go; remove nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove what no version needs.

    Rooms of runs that are over, trial logs, environments of no version's lock, MLflow's runs that failed, and what
    no version, branch, tag or room names in the DVC cache. What any version needs to be rebuilt stays, and so do the
    landing zone and the store. Refused while a run or a rebuild is going on.
    """
    from retrim import screens
    from retrim.ops.gc import prune

    record = prune(house_here(), dry=dry_run, now=as_time(None)).as_record()
    if as_json:
        screens.show_json(record)
        return
    for title, pieces in (("Would go" if dry_run else "Removed", record["removed"]), ("Kept", record["kept"])):
        groups: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for piece in pieces:
            groups.setdefault((piece["what"], piece["why"]), []).append((piece["name"], piece["bytes"]))
        rows = [
            (what, found[0][0] if len(found) == 1 else len(found), _size(sum(size for _, size in found)), why)
            for (what, why), found in groups.items()
        ]
        if rows:
            screens.show_table(("what", "which or how many", "size", "why"), rows, title=title, brief_last=True)
    word = "would be freed" if dry_run else "freed"
    screens.OUT.print(f"\n{_size(record['freed'])} {word}", highlight=False)


def _size(count: float) -> str:
    place = 0
    while count >= 1000 and place < len(UNITS) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.1f} {UNITS[place]}" if place else f"{count:.0f} {UNITS[0]}"
