"""`retrim init` and `retrim new`: a table of one's own, a workspace of one's own.

`retrim profile`: what is odd about a table, and what to do about that.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from retrim.cli.base import AsJson, as_time, example, workspace_here

if TYPE_CHECKING:
    from pydantic import JsonValue

    from retrim.files import WorkspacePaths
    from retrim.onboarding.init import InspectedTable, ReplacedSetup
    from retrim.onboarding.write import WrittenFiles

app = typer.Typer()


@app.command("init", epilog=example("retrim init --data deliveries.csv --target minutes --yes"))
def init(
    data: Annotated[
        str, typer.Option("--data", metavar="PATH", help="A file, a folder, or a URL (s3://, sqlite:///).")
    ],
    target: Annotated[str, typer.Option("--target", metavar="COL", help="The column to predict.")],
    event_time: Annotated[
        str | None, typer.Option("--event-time", metavar="COL", help="Column with the event time of each row.")
    ] = None,
    label_time: Annotated[
        str | None,
        typer.Option("--label-time", metavar="COL", help="Column with the time when the label became known."),
    ] = None,
    label_due: Annotated[
        str | None, typer.Option("--label-due", metavar="COL", help="Column with the time when the label is due.")
    ] = None,
    horizon: Annotated[
        str | None,
        typer.Option(
            "--horizon",
            metavar="SPAN",
            help="Instead of --label-due: how long after its event a label is due, such as 30D.",
        ),
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="SPAN", help="Usual time from one batch to the next, such as 1D.")
    ] = None,
    entity: Annotated[
        str | None,
        typer.Option(
            "--entity", metavar="COL", help="Column that identifies the entity of a row, such as a shop or a person."
        ),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="regression, binary or multiclass.")] = None,
    positive: Annotated[
        str | None, typer.Option("--positive", help="For a binary task: the class whose probability is predicted.")
    ] = None,
    loss: Annotated[
        str | None, typer.Option("--loss", help="Loss for tuning and evaluation, such as pinball@0.9.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="MODEL", help="Name of the model. Default: the file's name.")
    ] = None,
    forbid: Annotated[
        list[str] | None, typer.Option("--forbid", metavar="COL", help="Column that no model may use (repeatable).")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep", metavar="COL", help="Use this column although it looks like personal data (repeatable)."
        ),
    ] = None,
    allow_leak: Annotated[
        list[str] | None,
        typer.Option("--allow-leak", metavar="COL", help="Use this column although it looks like a leak (repeatable)."),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(
            "--reason",
            help="With --allow-leak: why these columns are not leaks. The reason is stored in params.yaml.",
        ),
    ] = "",
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="SQL", help="If PATH is a database: the query that returns the rows."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="If PATH is a database: the table to read.")
    ] = None,
    ahead: Annotated[
        str | None,
        typer.Option("--ahead", metavar="SPAN", help="How long before its event a row is predicted, such as 24h."),
    ] = None,
    known_ahead: Annotated[
        list[str] | None,
        typer.Option(
            "--known-ahead",
            metavar="COL",
            help="With --ahead: a feature that is already known when the row is predicted (repeatable).",
        ),
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat the setup. Refused if a version exists.")] = False,
    no_land: Annotated[bool, typer.Option("--no-land", help="Do not land the rows.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask no questions: accept every proposal and report it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set up this workspace for your own table, and land its rows.

    The command inspects the table, writes params.yaml and a suite in expectations/, commits both and lands the rows.
    Next: `retrim retrain`.
    """
    from retrim.cli import render
    from retrim.errors import UnknownNameError
    from retrim.files import WorkspacePaths
    from retrim.onboarding.desk import InitRequest
    from retrim.onboarding.init import inspect_table, model_name, settle_request
    from retrim.onboarding.write import unsaved
    from retrim.stats.codec import to_record

    if task not in (None, "regression", "binary", "multiclass"):
        raise UnknownNameError("task", str(task), ("regression", "binary", "multiclass"))
    workspace = WorkspacePaths.find(Path.cwd())
    asks = not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    wishes = InitRequest(
        target=target,
        model=_checked_name(name or model_name(data if table is None else table.rpartition(".")[2])),
        event_time=event_time,
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
    with nullcontext() if asks else render.progress():  # a question and a bar would write over one another
        looked = inspect_table(workspace, data, wishes, ask=_ask if asks else _decide, query=query, table=table)
    overwrite, commit = False, True
    if asks:
        _show(looked)
        lost = unsaved(workspace, workspace.root / looked.drafted.data.suite)
        saying = (
            f"overwrite the uncommitted changes in {', '.join(lost)}" if lost else "write params.yaml and the suite"
        )
        saying = saying if again_of is None else f"move the current setup aside, {saying}"
        overwrite = typer.confirm(f"{saying} and land the rows?" if not no_land else f"{saying}?", default=not lost)
        if not overwrite:
            raise typer.Exit(1)
        commit = typer.confirm("commit both, so that every version can be checked out?", default=True)
    with render.progress():
        written = settle_request(
            workspace,
            looked,
            reason=reason,
            land_history=not no_land,
            overwrite=overwrite,
            commit=commit,
            again=again_of,
        )
    if as_json:
        replaced = None if again_of is None else to_record(again_of)
        render.show_json({**looked.as_record(), "written": {**to_record(written), "replaced": replaced}})
        return
    if not asks:
        _show(looked)
    _show_written(written)


def _to_replace(workspace: "WorkspacePaths") -> "ReplacedSetup | None":
    """What `--again` takes the place of, said before anything is done."""
    from retrim.cli import render
    from retrim.onboarding.init import find_replaced

    replaced = find_replaced(workspace)
    if replaced is None:
        return None
    render.ERR.print(render.harmless(f"again: {replaced}"), soft_wrap=True)
    return replaced


def _checked_name(name: str) -> str:
    from retrim.errors import BadInputError
    from retrim.table.data import check_model_name

    try:
        return check_model_name(name)
    except ValueError as error:
        raise BadInputError(f"--name: {error} (got {name!r})") from error


def _decide(_question: str, proposal: str, _choices: Sequence[str]) -> str:
    return proposal


def _ask(question: str, proposal: str, choices: Sequence[str]) -> str:
    from retrim.cli import render

    while True:
        among = f" [{', '.join(choices)}]" if choices else ""
        answer = str(typer.prompt(f"{render.harmless(question)}{render.harmless(among)}", default=proposal)).strip()
        if not choices or answer in choices:
            return answer


def _show(looked: "InspectedTable") -> None:
    """What was seen, warnings first, and what was decided."""
    from retrim.cli import render
    from retrim.profile.first_model import WORTH
    from retrim.table.fault import shown_name

    drafted = looked.drafted
    data = drafted.data
    facts = [
        ("table", f"{looked.raw.rows} rows, {looked.raw.columns.num_columns} columns, {looked.raw.kind}"),
        ("target", f"{data.target}, {data.task}" + (f", probability of {data.positive!r}" if data.positive else "")),
        ("loss", f"{drafted.aim.loss}: {drafted.aim.why}"),
        ("event time", data.time if drafted.reading.arrival is None else "none; rows are in order of arrival"),
        ("batches", f"every {data.batch_every}, about {drafted.rhythm.batch_rows} rows"),
        ("features", ", ".join(map(shown_name, data.features))),
    ]
    render.show_facts(facts)
    for note in sorted(drafted.notes, key=lambda note: (note.about != WORTH, note.weight != "warn")):
        if note.about != "loss":
            sign = "! " if note.weight == "warn" else "  "
            render.say(render.harmless(f"{sign}{note}"))
    for leak in drafted.allowed:
        render.say(render.harmless(f"! leak allowed: {leak.text}"))
    dropped = [draft for draft in drafted.suite if not draft.kept]
    rules_left = len(drafted.suite) - len(dropped)
    batches = drafted.suite[0].batches if drafted.suite else 0
    render.OUT.print(f"  suite: {rules_left} expectations, met by each of {batches} held-out past batches")
    for draft in dropped:
        kwargs = draft.expectation.kwargs
        render.OUT.print(
            render.harmless(f"  dropped: {kwargs} would have blocked {draft.blocked} of {draft.batches} batches")
        )


def _show_written(written: "WrittenFiles") -> None:
    from retrim.cli import render

    done = "written" if written.commit is None else "written and committed"
    render.OUT.print(f"{done}: {written.params.name}, ./expectations/{written.suite.name}")
    if written.landed and written.first is not None and written.last is not None:
        labels = f", {written.labels} labels in {written.label_files} files" if written.labels else ""
        arrivals = f", with arrival times from {render.moment(written.first.isoformat())} to "
        arrivals += str(render.moment(written.last.isoformat()))
        if written.at_once:
            arrivals = ", all with the current time as arrival time"
        render.OUT.print(f"landed: {written.rows} rows in {written.batches} batches{labels}{arrivals}")
        if written.set_aside:
            render.OUT.print(
                f"! {written.set_aside} chunks are in quarantine, because they contain values that do not occur in the "
                "newest rows. List them with `retrim batch show --quarantined`, correct the file as `retrim batch show "
                "ID` says, and ingest it again",
                soft_wrap=True,
            )
        render.OUT.print("next: retrim retrain")
    else:
        render.OUT.print("next: retrim ingest FILE, then retrim retrain")


@app.command("new", epilog=example("retrim new ~/deliveries --ci"))
def new(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to create, outside any git repository.")],
    ci: Annotated[
        bool,
        typer.Option(
            "--ci", help="Also write the files for CI on GitHub and GitLab. DIR may be an existing workspace."
        ),
    ] = False,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Upgrade the existing workspace DIR to the installed retrim.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Create a workspace for your own model, or upgrade one.

    A workspace is a small git repository. It includes the wheel of the installed retrim, tracked by DVC, so that every
    version can be rebuilt. Next: `retrim init`.

    --upgrade replaces the wheel in data/code/ by that of the installed retrim. The package lock and the DVC stages
    change with it. All changes are committed. Every changed file is first copied to var/upgrade/. The exit code is 1 if
    the live version predicts its reference rows differently than before.
    """
    if upgrade:
        _upgrade(folder, as_json=as_json)
        return
    from retrim.cli import render
    from retrim.onboarding.new import WHAT, lay_workspace
    from retrim.stats.codec import to_record

    began = not (folder / "params.yaml").is_file()
    laid = lay_workspace(folder, ci=ci)
    if as_json:
        render.show_json(to_record(laid))
        return
    where = render.harmless(str(folder))
    what = (f"{WHAT}, and CI" if ci else WHAT) if began else "CI"
    render.OUT.print(f"created and committed: {what} ({laid.files} files)")
    then = "retrim init --data TABLE --target COL" if began else "git push"
    render.say(f"next: cd {where}; {then}")


def _upgrade(folder: Path, *, as_json: bool) -> None:
    from retrim.cli import render
    from retrim.files import WorkspacePaths
    from retrim.onboarding.new import upgrade_workspace
    from retrim.stats.codec import to_record

    done = upgrade_workspace(WorkspacePaths.find(folder), now=as_time(None))
    if as_json:
        render.show_json(to_record(done))
        raise typer.Exit(0 if done.as_before else 1)
    if done.changed:
        not_copied = ", but not the store, which is not a file: back it up with the tools of its database"
        store_note = " and the store" if done.store_copied else not_copied
        render.OUT.print(f"copied to {done.backup}: the previous files{store_note}")
        render.OUT.print(f"written and committed: {', '.join(done.changed)}")
        render.OUT.print(f"upgraded: retrim {done.before} to {done.after}")
    else:
        render.OUT.print(f"nothing to do: this workspace already uses the installed retrim {done.after}")
    if done.champion is not None:
        how = "as before" if done.as_before else f"differently: {done.answers}"
        outcome = f"predicts its reference rows {how}"
        render.say(f"the live version {done.champion} {outcome}")
    for package in done.packages:
        render.OUT.print(f"! the installed package differs from the lock: {package}")
    raise typer.Exit(0 if done.as_before else 1)


if TYPE_CHECKING:
    from retrim.profile.whole import TableProfile


@app.command(epilog=example("retrim profile"))
def profile(
    data: Annotated[
        str | None,
        typer.Option(
            "--data",
            metavar="PATH",
            help="A file that has not landed, as for `retrim init`. Default: the landed rows.",
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", metavar="COL", help="With --data: the column to predict.")
    ] = None,
    event_time: Annotated[
        str | None,
        typer.Option("--event-time", metavar="COL", help="With --data: column with the event time of each row."),
    ] = None,
    task: Annotated[str | None, typer.Option("--task", help="With --data: regression, binary or multiclass.")] = None,
    positive: Annotated[
        str | None, typer.Option("--positive", help="With --data: the class whose probability is predicted.")
    ] = None,
    forbid: Annotated[
        list[str] | None,
        typer.Option("--forbid", metavar="COL", help="With --data: do not show values of this column (repeatable)."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option("--query", metavar="SQL", help="If --data is a database: the query that returns the rows."),
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="If --data is a database: the table to read.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="TIME", help="Use only the rows that had landed by this time (UTC). Default: now."
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", metavar="N", min=1, help="Number of rows to sample for slow computations.")
    ] = 50_000,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="FILE", help="Write the rows as Parquet, without personal and forbidden columns."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Profile the table: list findings, each with what to do.

    Findings are about missing values, doubtful labels, leaks, constant columns and duplicates. Values of personal and
    forbidden columns are not shown.
    """
    from retrim.cli import render
    from retrim.cli.version_screens import profile_report
    from retrim.onboarding.profile import profile as op
    from retrim.onboarding.profile import write_rows

    if data is None:
        _refuse_without_data(
            target=target, event_time=event_time, task=task, positive=positive, forbid=forbid, query=query, table=table
        )
        look = op(workspace_here(), as_of=as_time(as_of), rows=rows)
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
    dropped = () if to is None else write_rows(look, to)
    if as_json:
        render.show_json({**look.as_record(), "findings": show_findings(look)})
        return
    render.show_report(profile_report(look))
    if to is not None:
        without = f", without {', '.join(dropped)}" if dropped else ""
        render.say(render.harmless(f"\nwritten: {to}{without}"))


def show_findings(look: "TableProfile") -> "list[dict[str, JsonValue]]":
    """The findings as records."""
    from retrim.profile.findings import findings
    from retrim.stats.codec import to_record

    return [to_record(note) for note in findings(look)]


def _refuse_without_data(**given: object) -> None:
    from retrim.errors import BadInputError

    for name, value in given.items():
        if value:
            raise BadInputError(
                f"--{name.replace('_', '-')} describes a raw file; pass that file with --data FILE. Landed rows are "
                "described by params.yaml"
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
) -> "TableProfile":
    from retrim.errors import BadInputError, UnknownNameError
    from retrim.onboarding.desk import InitRequest
    from retrim.onboarding.init import model_name
    from retrim.onboarding.profile import profile_file

    if target is None:
        raise BadInputError("--data needs the column to predict; add --target COL")
    if as_of is not None:
        raise BadInputError("--as-of is for landed rows, but --data reads a file; leave out one of them")
    if task not in (None, "regression", "binary", "multiclass"):
        raise UnknownNameError("task", str(task), ("regression", "binary", "multiclass"))
    name = model_name(data if table is None else table.rpartition(".")[2])
    wishes = InitRequest(target=target, model=name, task=cast("Any", task), **given)
    return profile_file(data, wishes, rows=rows, query=query, table=table)
