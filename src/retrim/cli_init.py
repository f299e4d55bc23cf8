"""`retrim init` and `retrim new`: a table of one's own, a workspace of one's own."""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from retrim.cli_base import AsJson, example

if TYPE_CHECKING:
    from retrim.ops.init.again import Replaced
    from retrim.ops.init.use import Looked
    from retrim.ops.init.write import Written
    from retrim.paths import Workspace

app = typer.Typer()


@app.command("init", epilog=example("retrim init --data deliveries.csv --target minutes --yes"))
def init(
    data: Annotated[
        str, typer.Option("--data", metavar="PATH", help="A file, a folder, or an address (s3://, sqlite:///).")
    ],
    target: Annotated[str, typer.Option("--target", metavar="COL", help="The column to predict.")],
    event_time: Annotated[
        str | None, typer.Option("--event-time", metavar="COL", help="When a row's event happened.")
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", metavar="COL", help="Without a time: whole numbers in order.")
    ] = None,
    label_time: Annotated[
        str | None, typer.Option("--label-time", metavar="COL", help="When its answer was known.")
    ] = None,
    label_due: Annotated[
        str | None, typer.Option("--label-due", metavar="COL", help="When it had to be known.")
    ] = None,
    horizon: Annotated[
        str | None, typer.Option("--horizon", metavar="SPAN", help="Or: so long after its event, as 30D.")
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="SPAN", help="How often a file comes, as 1D; else as rows do.")
    ] = None,
    entity: Annotated[
        str | None, typer.Option("--entity", metavar="COL", help="What rows are about: a shop, a person.")
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="regression, binary or multiclass.")] = None,
    positive: Annotated[
        str | None, typer.Option("--positive", help="The class whose probability is predicted.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", help="By which all is judged, as pinball@0.9; else it says why.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="MODEL", help="Of the model; else the file's.")] = None,
    forbid: Annotated[
        list[str] | None, typer.Option("--forbid", metavar="COL", help="No model sees it (repeat).")
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option("--keep", metavar="COL", help="Looks personal, is used (repeat).")
    ] = None,
    allow_leak: Annotated[
        list[str] | None, typer.Option("--allow-leak", metavar="COL", help="Used in spite of a probe.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why a leak is none; kept in params.yaml.")] = "",
    query: Annotated[
        str | None, typer.Option("--query", metavar="SQL", help="Of a database: what gives the rows.")
    ] = None,
    table: Annotated[str | None, typer.Option("--table", metavar="NAME", help="Of a database: or its table.")] = None,
    ahead: Annotated[
        str | None, typer.Option("--ahead", metavar="SPAN", help="Forecast: so long before, as 24h.")
    ] = None,
    known_ahead: Annotated[
        list[str] | None, typer.Option("--known-ahead", metavar="COL", help="Known so early (repeat).")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Redo the set-up; no version was made yet.")] = False,
    no_land: Annotated[bool, typer.Option("--no-land", help="Leave the rows where they are.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Decide, and say so, instead of asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Describe a table of your own, and land it.

    Looks at the table, writes params.yaml and a suite in expectations/, and commits both. Then: retrim retrain.
    """
    from retrim import screens
    from retrim.errors import UnknownNameError
    from retrim.ops.init.desk import Wishes
    from retrim.ops.init.use import look, model_name, settle
    from retrim.ops.init.write import unsaved
    from retrim.paths import Workspace

    if task not in (None, "regression", "binary", "multiclass"):
        raise UnknownNameError("task", str(task), ("regression", "binary", "multiclass"))
    workspace = Workspace.find(Path.cwd())
    asks = not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    wishes = Wishes(
        target=target,
        model=_checked_name(name or model_name(data if table is None else table.rpartition(".")[2])),
        event_time=event_time,
        order=order,
        label_time=label_time,
        label_due=label_due,
        horizon=horizon,
        every=every,
        entity=entity,
        task=cast("Any", task),
        positive=positive,
        loss=loss,
        forbid=tuple(forbid or ()),
        keep=tuple(keep or ()),
        allow_leak=tuple(allow_leak or ()),
        reason=reason,
        ahead=ahead,
        known_ahead=tuple(known_ahead or ()),
    )
    again_of = _to_replace(workspace) if again else None
    with nullcontext() if asks else screens.progress():  # a question and a bar would write over one another
        looked = look(workspace, data, wishes, ask=_ask if asks else _decide, query=query, table=table)
    overwrite, commit = False, True
    if asks:
        _show(looked)
        lost = unsaved(workspace, workspace.root / looked.drafted.data.suite)
        saying = f"overwrite {', '.join(lost)}, not committed as it is," if lost else "write params.yaml and the suite"
        saying = saying if again_of is None else f"put away what stands, {saying}"
        overwrite = typer.confirm(f"{saying} and land the rows?" if not no_land else f"{saying}?", default=not lost)
        if not overwrite:
            raise typer.Exit(1)
        commit = typer.confirm("commit both, so that every version can be checked out?", default=True)
    with screens.progress():
        written = settle(
            workspace,
            looked,
            reason=reason,
            land_history=not no_land,
            overwrite=overwrite,
            commit=commit,
            again=again_of,
        )
    if as_json:
        replaced = None if again_of is None else again_of.as_record()
        screens.show_json({**looked.as_record(), "written": {**written.as_record(), "replaced": replaced}})
        return
    if not asks:
        _show(looked)
    _show_written(written)


def _to_replace(workspace: "Workspace") -> "Replaced":
    """What `--again` takes the place of, said before anything is done."""
    from retrim import screens
    from retrim.ops.init.again import go_on, replaced, require_unreleased

    go_on(workspace)
    require_unreleased(workspace)
    found = replaced(workspace)
    screens.ERR.print(screens.harmless(f"again: {found}"), highlight=False, markup=False, soft_wrap=True)
    return found


def _checked_name(name: str) -> str:
    from retrim.core.table import check_model_name
    from retrim.errors import BadInputError

    try:
        return check_model_name(name)
    except ValueError as error:
        raise BadInputError(f"--name: {error} (got {name!r})") from error


def _decide(_question: str, proposal: str, _choices: Sequence[str]) -> str:
    return proposal


def _ask(question: str, proposal: str, choices: Sequence[str]) -> str:
    from retrim import screens

    while True:
        among = f" [{', '.join(choices)}]" if choices else ""
        answer = str(typer.prompt(f"{screens.harmless(question)}{screens.harmless(among)}", default=proposal)).strip()
        if not choices or answer in choices:
            return answer


def _show(looked: "Looked") -> None:
    """What was seen, warnings first, and what was decided."""
    from retrim import screens

    drafted = looked.drafted
    data = drafted.data
    facts = [
        ("table", f"{looked.raw.rows} rows, {looked.raw.columns.num_columns} columns, {looked.raw.kind}"),
        ("target", f"{data.target}, {data.task}" + (f", probability of {data.positive!r}" if data.positive else "")),
        ("loss", f"{drafted.aim.loss}: {drafted.aim.why}"),
        ("event time", data.time if drafted.reading.arrival is None else "none: order of arrival"),
        ("batches", f"every {data.batch_every}, about {drafted.rhythm.batch_rows} rows"),
        ("features", ", ".join(data.features)),
    ]
    screens.show_facts(facts)
    for note in sorted(drafted.notes, key=lambda note: note.weight != "warn"):
        if note.about != "loss":
            sign = "! " if note.weight == "warn" else "  "
            screens.OUT.print(screens.harmless(f"{sign}{note}"), highlight=False, markup=False, soft_wrap=True)
    for leak in drafted.allowed:
        screens.OUT.print(
            screens.harmless(f"! leak allowed: {leak.text}"), highlight=False, markup=False, soft_wrap=True
        )
    dropped = [draft for draft in drafted.suite if not draft.kept]
    kept = len(drafted.suite) - len(dropped)
    batches = drafted.suite[0].batches if drafted.suite else 0
    screens.OUT.print(
        f"  suite: {kept} expectations, none of which blocks any of {batches} held-out past batches", highlight=False
    )
    for draft in dropped:
        kwargs = draft.expectation["kwargs"]
        screens.OUT.print(
            screens.harmless(f"  dropped: {kwargs} would have blocked {draft.blocked} of {draft.batches}"),
            highlight=False,
            markup=False,
        )


def _show_written(written: "Written") -> None:
    from retrim import screens

    record = written.as_record()
    done = "written" if written.commit is None else "written and committed"
    screens.OUT.print(f"{done}: {record['params']}, ./{record['suite']}", highlight=False)
    if written.landed and written.first is not None and written.last is not None:
        labels = f", {record['labels']} labels in {record['label_files']} files" if record["labels"] else ""
        came = f", as they would have come from {screens.moment(written.first.isoformat())} to "
        came += str(screens.moment(written.last.isoformat()))
        if written.at_once:
            came = ", which have all arrived now"
        screens.OUT.print(
            f"landed: {record['rows']} rows in {record['batches']} batches{labels}{came}", highlight=False
        )
        if record["set_aside"]:
            screens.OUT.print(
                f"! {record['set_aside']} pieces were set aside, as they hold what the last rows do not: look at them "
                "with `retrim quarantine list`; correct the file as `retrim quarantine show ID` says, and ingest it "
                "again",
                highlight=False,
                soft_wrap=True,
            )
        screens.OUT.print("next: retrim retrain", highlight=False)
    else:
        screens.OUT.print("next: retrim ingest FILE, then retrim retrain", highlight=False)


@app.command("new", epilog=example("retrim new ~/deliveries"))
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, outside any repository.")],
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="CHECKOUT", help="A checkout of retrim, if it was not run from one."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lay a workspace for a model of your own.

    A git repository with all that a run needs, the code too: runs run the code of their workspace. Then: retrim init.
    """
    from retrim import screens
    from retrim.ops.new import WHAT, lay

    made = lay(folder, source=source)
    if as_json:
        screens.show_json(made.as_record())
        return
    where = screens.harmless(str(folder))
    screens.OUT.print(f"laid and committed: {WHAT} ({made.files} files)", highlight=False)
    screens.OUT.print(
        f"next: cd {where}; retrim init --data TABLE --target COL", highlight=False, markup=False, soft_wrap=True
    )
