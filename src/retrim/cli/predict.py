"""Predictions by command: of rows in a file, and of what has landed."""

from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli.base import AsJson, Now, example, past_time, version_number, workspace_here

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer()
MOST = 100_000
"""Predictions that are shown at once, at most."""
SHOWN = 20


@app.command(epilog=example("retrim predict new.csv predicted.csv"))
def predict(
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="[IN]",
            help=(
                "Rows to predict: a file or folder (CSV, JSON lines, Parquet, Arrow), its URL, or a database URL. "
                "Default: the landed rows."
            ),
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Argument(
            metavar="[OUT]",
            help=(
                "Where to write the predictions: a file (.csv, .parquet, .arrow), a folder for Parquet files, its "
                "URL, or a database URL. Required with IN."
            ),
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            "--version",
            metavar="N",
            parser=version_number,
            help="The version that predicts. Default: the live version.",
        ),
    ] = None,
    explained: Annotated[
        int,
        typer.Option(
            "--explain", metavar="K", min=0, help="Write the K largest feature contributions beside each prediction."
        ),
    ] = 0,
    query: Annotated[
        str | None, typer.Option("--query", metavar="SQL", help="If IN is a database: the query that returns the rows.")
    ] = None,
    table: Annotated[
        str | None, typer.Option("--table", metavar="NAME", help="If IN is a database: the table to read.")
    ] = None,
    into: Annotated[
        str, typer.Option("--into", metavar="NAME", help="If OUT is a database: the table to write.")
    ] = "predictions",
    show: Annotated[bool, typer.Option("--show", help="Show stored predictions, newest first.")] = False,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="With --show: only predictions made since this time (UTC)."),
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Predict rows whose label is not known yet.

    Rows with a cell that is unreadable or out of bounds are written to a file beside OUT, with the reason. If the
    command is stopped, run it again: no row is written twice. If IN is omitted, the live version predicts every
    landed row that it was not trained on and has not predicted yet.
    """
    from retrim.cli import render
    from retrim.errors import BadInputError

    if show or since is not None:
        if rows is not None:
            raise BadInputError("--show and --since list stored predictions and read no rows; leave out IN")
        _show_stored(since, as_json=as_json)
        return
    if rows is None:
        if version is not None or explained or query is not None or table is not None:
            raise BadInputError(
                "--version, --explain, --query and --table need IN, the rows to predict; pass IN, or leave these "
                "options out"
            )
        raise typer.Exit(_score_landed(now=past_time(now), as_json=as_json))
    if out is None:
        raise BadInputError("OUT is missing; pass a file to write the predictions to: retrim predict IN OUT")
    workspace, at = workspace_here(), past_time(now)
    with render.progress():
        from retrim.serving.predict import predict as op
        from retrim.stats.codec import to_record

        done = op(
            workspace, rows, out, version=version, explained=explained, query=query, table=table, into=into, now=at
        )
    if as_json:
        render.show_json(to_record(done))
    else:
        again = "predicted before" if done.already else "predicted"
        render.OUT.print(f"{again}: {done.rows:,} rows by version {done.version}, {done.out}")
        if done.rejected_in is not None:
            line = f"rejected: {done.rejected:,} rows; each cell with its reason is in {done.rejected_in}"
            render.ERR.print(line, soft_wrap=True)
        for name, unseen in done.unseen.items():
            line = f"unseen in training: {unseen.rows:,} rows, e.g. {name} = {unseen.example!r}; treated as missing"
            render.ERR.print(line, soft_wrap=True)
    raise typer.Exit(0 if done.rows else 1)


def _show_stored(since: str | None, *, as_json: bool) -> None:
    """The newest stored predictions; without a moment the last few."""
    from rich.table import Table

    from retrim.cli import render
    from retrim.lineage.prediction_log import StoredPrediction

    moment = None if since is None else past_time(since)
    rows = workspace_here().predictions.since(moment, most=SHOWN if since is None else MOST)
    predictions = [StoredPrediction.of(row) for _, row in rows.iterrows()]
    if as_json:
        render.show_json(predictions)
    elif not predictions:
        render.OUT.print("no prediction is stored yet: rows that land are predicted once a version is live")
    else:
        shown = Table("row", "event", "prediction", "version", "made", box=None)
        for prediction in predictions:
            moments = prediction.event, prediction.at
            event, at = (f"{moment:%Y-%m-%d %H:%M}" for moment in moments)
            shown.add_row(prediction.key, event, prediction.in_words, str(prediction.version), at)
        render.OUT.print(shown)


def _score_landed(*, now: "pd.Timestamp", as_json: bool) -> int:
    """Predicts what has landed; gives the exit code."""
    from retrim.checking.score import score
    from retrim.cli import render
    from retrim.cli.screens import lacking
    from retrim.lineage.prediction_copy import copy_or_tell

    workspace = workspace_here()
    scored = score(workspace, now=now)
    copied = copy_or_tell(workspace, now=now)
    if copied.failed is not None:
        render.ERR.print(copied.failed, soft_wrap=True)
    if as_json:
        render.show_json(scored)
    elif scored.version is None:
        render.OUT.print("no version is live, so nothing was predicted; train version 1: retrim retrain")
    else:
        selected = f", {scored.selected} rows selected by its thresholds"
        decided = "" if scored.selected is None else selected
        if scored.lacks:
            render.ERR.print(f"version {scored.version} lacks {lacking(scored.lacks)}")
        apart = f", {scored.left_out} rows left out by data.rows" if scored.left_out else ""
        line = f"version {scored.version}: {scored.written} predictions written{decided}{apart}"
        render.OUT.print(line)
        if not scored.rows:
            render.OUT.print("every landed row that it was not trained on already has a prediction")
    if copied.rows and not as_json:
        render.OUT.print(f"{copied.rows} predictions copied to the table")
    return 1 if scored.version is None else 0
