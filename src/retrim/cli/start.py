"""`retrim init` and `retrim new`: a table of one's own, a workspace of one's own.

`retrim profile`: what is odd about a table, and what to do about that.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from retrim.cli import render
from retrim.cli.base import AsJson, Query, Table, argument, as_time, example, option, workspace_here
from retrim.errors import BadInputError, UnknownNameError
from retrim.files import WorkspacePaths

if TYPE_CHECKING:
    from retrim.onboarding.init import InspectedTable, ReplacedSetup
    from retrim.onboarding.write import WrittenFiles

TASKS = ("regression", "binary", "multiclass")
app = typer.Typer()


def task_name(text: str) -> str:
    if text not in TASKS:
        raise UnknownNameError("task", text, TASKS)
    return text


EventTime = Annotated[str | None, option("--event-time COL", "Column with the event time of each row.")]
TaskName = Annotated[str | None, option("--task NAME", "regression, binary or multiclass.", parser=task_name)]
Positive = Annotated[
    str | None,
    option("--positive CLASS", "Class whose probability is predicted; with more than two, one against the rest."),
]


@app.command("init", epilog=example("retrim init --data deliveries.csv --target minutes --yes"))
def init(
    data: Annotated[str, option("--data PATH", "A file, a folder, or a URL (s3://, sqlite:///).")],
    target: Annotated[str, option("--target COL", "The column to predict.")],
    event_time: EventTime = None,
    label_time: Annotated[
        str | None, option("--label-time COL", "Column with the time when the label became known.")
    ] = None,
    label_due: Annotated[str | None, option("--label-due COL", "Column with the time when the label is due.")] = None,
    horizon: Annotated[
        str | None,
        option("--horizon SPAN", "Instead of --label-due: how long after its event a label is due, such as 30D."),
    ] = None,
    every: Annotated[str | None, option("--every SPAN", "Usual time from one batch to the next, such as 1D.")] = None,
    entity: Annotated[
        str | None, option("--entity COL", "Column that identifies the entity of a row, such as a shop or a person.")
    ] = None,
    task: TaskName = None,
    positive: Positive = None,
    loss: Annotated[str | None, option("--loss", "Loss for tuning and evaluation, such as pinball@0.9.")] = None,
    name: Annotated[str | None, option("--name MODEL", "Name of the model. Default: the file's name.")] = None,
    forbid: Annotated[list[str] | None, option("--forbid COL", "Column that no model may use (repeatable).")] = None,
    keep: Annotated[
        list[str] | None, option("--keep COL", "Use this column although it looks like personal data (repeatable).")
    ] = None,
    allow_leak: Annotated[
        list[str] | None, option("--allow-leak COL", "Use this column although it looks like a leak (repeatable).")
    ] = None,
    reason: Annotated[
        str,
        option("--reason", "With --allow-leak: why these columns are not leaks. The reason is stored in params.yaml."),
    ] = "",
    query: Query = None,
    table: Table = None,
    ahead: Annotated[
        str | None, option("--ahead SPAN", "How long before its event a row is predicted, such as 24h.")
    ] = None,
    known_ahead: Annotated[
        list[str] | None,
        option(
            "--known-ahead COL", "With --ahead: a feature that is already known when the row is predicted (repeatable)."
        ),
    ] = None,
    again: Annotated[bool, option("--again", "Repeat the setup. Refused if a version exists.")] = False,
    no_land: Annotated[bool, option("--no-land", "Do not land the rows.")] = False,
    yes: Annotated[bool, option("--yes", "Ask no questions: accept every proposal and report it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Set up this workspace for your own table, and land its rows.

    The command inspects the table, writes params.yaml and a suite in expectations/, commits both and lands the rows.
    Next: `retrim retrain`.
    """
    from retrim.onboarding.desk import InitRequest
    from retrim.onboarding.init import inspect_table, model_name, settle_request

    workspace = WorkspacePaths.find(Path.cwd())
    asks = not yes and not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    request = InitRequest(
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
        inspected = inspect_table(workspace, data, request, ask=_ask if asks else _decide, query=query, table=table)
    overwrite, commit = _confirm(workspace, inspected, again_of, land=not no_land) if asks else (False, True)
    with render.progress():
        written = settle_request(
            workspace,
            inspected,
            reason=reason,
            land_history=not no_land,
            overwrite=overwrite,
            commit=commit,
            again=again_of,
        )
    if as_json:
        record = {**render.as_record(written), "replaced": again_of}
        render.show_json({**inspected.as_record(), "written": record})
        return
    if not asks:
        _show(inspected)
    _show_written(written)


def _confirm(
    workspace: WorkspacePaths, inspected: "InspectedTable", again_of: "ReplacedSetup | None", *, land: bool
) -> tuple[bool, bool]:
    """Whether to overwrite uncommitted changes, and whether to commit; ends the command where a person says no."""
    from retrim.onboarding.write import unsaved

    _show(inspected)
    lost = unsaved(workspace, workspace.root / inspected.drafted.data.suite)
    question = f"overwrite the uncommitted changes in {', '.join(lost)}" if lost else "write params.yaml and the suite"
    question = question if again_of is None else f"move the current setup aside, {question}"
    if not typer.confirm(f"{question} and land the rows?" if land else f"{question}?", default=not lost):
        raise typer.Exit(1)
    return True, typer.confirm("commit both, so that every version can be checked out?", default=True)


def _to_replace(workspace: WorkspacePaths) -> "ReplacedSetup | None":
    """What `--again` takes the place of, said before anything is done."""
    from retrim.onboarding.init import find_replaced

    replaced = find_replaced(workspace)
    if replaced is None:
        return None
    render.ERR.print(render.harmless(f"again: {replaced}"), soft_wrap=True)
    return replaced


def _checked_name(name: str) -> str:
    from retrim.table.data import check_model_name

    try:
        return check_model_name(name)
    except ValueError as error:
        raise BadInputError(f"--name: {error} (got {name!r})") from error


def _decide(_question: str, proposal: str, _choices: Sequence[str]) -> str:
    return proposal


def _ask(question: str, proposal: str, choices: Sequence[str]) -> str:
    while True:
        among = f" [{', '.join(choices)}]" if choices else ""
        answer = str(typer.prompt(f"{render.harmless(question)}{render.harmless(among)}", default=proposal)).strip()
        if not choices or answer in choices:
            return answer


def _show(inspected: "InspectedTable") -> None:
    """What a person should decide, then what was found, warnings first."""
    from retrim.profile.first_model import WORTH
    from retrim.table.fault import shown_name

    drafted = inspected.drafted
    data = drafted.data
    price = next((f"{note.done}; in the loss: {note.seen}" for note in drafted.notes if note.about == "cost"), "")
    due = f"due at {data.due}" if data.due else f"known within {data.label_horizon} of the event"
    decisive = [
        ("target", f"{data.target}, {data.task}" + (f", probability of {data.positive!r}" if data.positive else "")),
        ("loss", f"{drafted.aim.loss}: {drafted.aim.why}; other: --loss"),
        ("batches", f"every {data.batch_every}, about {drafted.rhythm.batch_rows} rows; other: --every"),
        ("labels", f"{due}; other: --horizon, --label-due, --label-time"),
        *([("price", price)] if price else []),
    ]
    render.say("these choices decide most; init --again changes them:")
    render.show_facts(decisive)
    render.say("the rest:")
    facts = [
        ("table", f"{inspected.raw.rows} rows, {inspected.raw.columns.num_columns} columns, {inspected.raw.kind}"),
        ("event time", data.time if drafted.reading.arrival is None else "none; rows are in order of arrival"),
        ("features", ", ".join(map(shown_name, data.features))),
    ]
    render.show_facts(facts)
    for note in sorted(drafted.notes, key=lambda note: (note.about != WORTH, note.weight != "warn")):
        if note.about not in ("loss", "cost"):
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
    done = "written" if written.commit is None else "written and committed"
    render.OUT.print(f"{done}: {written.params.name}, ./expectations/{written.suite.name}")
    if written.landed and written.first is not None and written.last is not None:
        labels = f", {written.labels} labels in {written.label_files} files" if written.labels else ""
        arrivals = f", with arrival times from {render.moment(written.first)} to {render.moment(written.last)}"
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
    folder: Annotated[Path, argument("DIR", "The folder to create, outside any git repository.")],
    ci: Annotated[
        bool, option("--ci", "Also write the files for CI on GitHub and GitLab. DIR may be an existing workspace.")
    ] = False,
    upgrade: Annotated[
        bool, option("--upgrade", "Upgrade the existing workspace DIR to the installed retrim.")
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
    from retrim.onboarding.new import WHAT, lay_workspace

    began = not (folder / "params.yaml").is_file()
    laid = lay_workspace(folder, ci=ci)
    if as_json:
        render.show_json(laid)
        return
    where = render.harmless(str(folder))
    what = (f"{WHAT}, and CI" if ci else WHAT) if began else "CI"
    render.OUT.print(f"created and committed: {what} ({laid.files} files)")
    then = "retrim init --data TABLE --target COL" if began else "git push"
    render.say(f"next: cd {where}; {then}")


def _upgrade(folder: Path, *, as_json: bool) -> None:
    from retrim.onboarding.new import upgrade_workspace

    done = upgrade_workspace(WorkspacePaths.find(folder), now=as_time(None))
    if as_json:
        render.show_json(done)
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
        render.say(f"the live version {done.champion} predicts its reference rows {how}")
    for package in done.packages:
        render.OUT.print(f"! the installed package differs from the lock: {package}")
    raise typer.Exit(0 if done.as_before else 1)


@app.command(epilog=example("retrim profile"))
def profile(
    data: Annotated[
        str | None, option("--data PATH", "A file that has not landed, as for `retrim init`. Default: the landed rows.")
    ] = None,
    target: Annotated[str | None, option("--target COL", "With --data: the column to predict.")] = None,
    event_time: EventTime = None,
    task: TaskName = None,
    positive: Positive = None,
    forbid: Annotated[
        list[str] | None, option("--forbid COL", "With --data: do not show values of this column (repeatable).")
    ] = None,
    query: Query = None,
    table: Table = None,
    as_of: Annotated[
        str | None, option("--as-of TIME", "Use only the rows that had landed by this time (UTC). Default: now.")
    ] = None,
    rows: Annotated[int, option("--rows N", "Number of rows to sample for slow computations.", min=1)] = 50_000,
    to: Annotated[
        Path | None, option("--to FILE", "Write the rows as Parquet, without personal and forbidden columns.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Profile the table: list findings, each with what to do.

    Findings are about missing values, doubtful labels, leaks, constant columns and duplicates. Values of personal and
    forbidden columns are not shown. --target, --event-time, --task, --positive, --forbid, --query and --table describe
    the file in --data.
    """
    from retrim.cli.screens.versions import profile_report
    from retrim.onboarding.desk import InitRequest
    from retrim.onboarding.init import model_name
    from retrim.onboarding.profile import profile as profile_landed
    from retrim.onboarding.profile import profile_file, write_rows
    from retrim.profile.findings import findings

    if data is None:
        given = {"target": target, "event-time": event_time, "task": task, "positive": positive, "forbid": forbid}
        _refuse_without_data(given | {"query": query, "table": table})
        profiled = profile_landed(workspace_here(), as_of=as_time(as_of), rows=rows)
    elif target is None:
        raise BadInputError("--data needs the column to predict; add --target COL")
    elif as_of is not None:
        raise BadInputError("--as-of is for landed rows, but --data reads a file; leave out one of them")
    else:
        request = InitRequest(
            target=target,
            model=model_name(data if table is None else table.rpartition(".")[2]),
            event_time=event_time,
            task=cast("Any", task),
            positive=positive,
            forbid=tuple(forbid or ()),
        )
        profiled = profile_file(data, request, rows=rows, query=query, table=table)
    dropped = () if to is None else write_rows(profiled, to)
    if as_json:
        render.show_json({**profiled.as_record(), "findings": findings(profiled)})
        return
    render.show_report(profile_report(profiled))
    if to is not None:
        render.say(render.harmless(f"\nwritten: {to}{', without ' if dropped else ''}{', '.join(dropped)}"))


@app.command("example", epilog=example("retrim example deliveries"))
def example_file(
    name: Annotated[str | None, argument("[NAME]", "Which file: deliveries or own-model. Default: list both.")] = None,
) -> None:
    """Write a file to start from: a table, or a model of your own.

    deliveries writes deliveries.csv, 100 days of food deliveries. own-model writes models/my_model.py, a custom model
    for `train.model: own:models/my_model.py`.
    """
    from retrim.onboarding.example import EXAMPLES, write_example

    if name is None:
        render.say("\n".join(f"{each:11} {place}" for each, (place, _) in EXAMPLES.items()))
    elif name not in EXAMPLES:
        raise UnknownNameError("example", name, EXAMPLES)
    else:
        render.say(f"written: {write_example(name, Path.cwd())}")


def _refuse_without_data(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        if value:
            raise BadInputError(
                f"--{name} describes a raw file; pass that file with --data FILE. Landed rows are described by "
                "params.yaml"
            )
