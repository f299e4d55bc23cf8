"""`retrim profile`: a look at a table, as a page and in the terminal."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from retrim.cli_base import AsJson, as_time, example, house_here

if TYPE_CHECKING:
    from retrim.core.look import Look

app = typer.Typer()
PAGE = "profile.html"


@app.command(epilog=example("retrim profile"))
def profile(
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="A raw file, as init takes it; else what has landed.")
    ] = None,
    target: Annotated[str | None, typer.Option("--target", metavar="COL", help="With --data: its target.")] = None,
    event_time: Annotated[
        str | None, typer.Option("--event-time", metavar="COL", help="With --data: when a row happened.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="With --data: regression, binary or multiclass.")] = None,
    positive: Annotated[
        str | None, typer.Option("--positive", help="With --data: the class whose probability is asked.")
    ] = None,
    forbid: Annotated[
        list[str] | None, typer.Option("--forbid", metavar="COL", help="With --data: no value is shown (repeat).")
    ] = None,
    query: Annotated[
        str | None, typer.Option("--query", metavar="SQL", help="With --data, a database: what gives the rows.")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="With --data, a database: or its table.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", metavar="TIME", help="What had landed by then (UTC); default now.")
    ] = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Rows drawn for what takes long.")] = 50_000,
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Of the page; default var/profile.html.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at the table: a page of pictures, and what to do.

    Types, gaps, laws, the target, what tells it, leaks, drift, duplicates, labels that may be wrong: each finding with
    its figures. The page needs nothing else. Personal and forbidden columns: no value is shown.
    """
    from retrim import screens
    from retrim.ops.profile import profile as op
    from retrim.ops.profile import write_page
    from retrim.profile_screen import show_look

    where = _place(to)
    if data is None:
        _refuse_without_data(
            target=target, event_time=event_time, task=task, positive=positive, forbid=forbid, query=query, table=table
        )
        look = op(house_here(), as_of=as_time(as_of), rows=rows)
    else:
        look = _raw(
            data,
            as_of=as_of,
            rows=rows,
            target=target,
            task=task,
            query=query,
            table=table,
            event_time=event_time,
            positive=positive,
            forbid=tuple(forbid or ()),
        )
    write_page(look, where)
    here = Path.cwd()
    page = where.relative_to(here) if where.is_relative_to(here) else where
    if as_json:
        screens.show_json({**look.as_record(), "findings": show_findings(look), "page": str(page)})
        return
    show_look(look)
    screens.OUT.print(f"\nthe page: {screens.harmless(str(page))}", highlight=False, markup=False, soft_wrap=True)


def show_findings(look: "Look") -> list[dict[str, Any]]:
    """The findings as records."""
    from retrim.core.look.findings import findings

    return [note.as_record() for note in findings(look)]


def _place(to: Path | None) -> Path:
    """Where the page goes; in the workspace if nowhere is said, and then the folder is made."""
    from retrim.files import make_private_folder
    from retrim.paths import Workspace

    if to is not None:
        return to
    var = Workspace.find(Path.cwd()).var
    make_private_folder(var)
    return var / PAGE


def _refuse_without_data(**given: object) -> None:
    from retrim.errors import BadInputError

    for name, value in given.items():
        if value:
            raise BadInputError(
                f"--{name.replace('_', '-')} is for a raw file, so name that too: --data FILE; of what has landed "
                "params.yaml says it"
            )


def _raw(
    data: str,
    *,
    as_of: str | None,
    rows: int,
    target: str | None,
    task: str | None,
    query: str | None,
    table: str | None,
    **given: Any,
) -> "Look":
    from retrim.errors import BadInputError, UnknownNameError
    from retrim.ops.init.desk import Wishes
    from retrim.ops.init.use import model_name
    from retrim.ops.profile import profile_file

    if target is None:
        raise BadInputError("--data needs to know what is to be predicted: --target COL")
    if as_of is not None:
        raise BadInputError("--as-of is for what has landed; leave it out beside --data")
    if task not in (None, "regression", "binary", "multiclass"):
        raise UnknownNameError("task", str(task), ("regression", "binary", "multiclass"))
    name = model_name(data if table is None else table.rpartition(".")[2])
    wishes = Wishes(target=target, model=name, task=cast("Any", task), **given)
    return profile_file(data, wishes, rows=rows, query=query, table=table)
