"""Predictions by command: of rows in a file, and of what has landed."""

from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli import render
from retrim.cli.base import (
    AsJson,
    Now,
    PredictingVersion,
    Query,
    Table,
    argument,
    example,
    option,
    past_time,
    workspace_here,
)
from retrim.errors import BadInputError, UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

    from retrim.serving.predict import PredictedRows

app = typer.Typer()
MOST = 100_000  # predictions that are shown at once
SHOWN = 20


Keep = Annotated[
    str | None, option("--keep COLS", "Columns of IN to write beside each prediction, such as name,address.")
]
Sort = Annotated[str | None, option("--sort risk", "Write the highest prediction first. Default: the order of IN.")]


@app.command(epilog=example("retrim predict new.csv predicted.csv"))
def predict(
    rows: Annotated[
        str | None,
        argument(
            "[IN]",
            "Rows to predict: a file or folder (CSV, JSON lines, Parquet, Arrow, Excel), its URL, or a database URL. "
            "Default: the landed rows.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        argument(
            "[OUT]",
            "Where to write the predictions: a file (.csv, .parquet, .arrow), a folder for Parquet files, its "
            "URL, or a database URL. Required with IN.",
        ),
    ] = None,
    version: PredictingVersion = None,
    explained: Annotated[
        int, option("--explain K", "Write the K largest feature contributions beside each prediction.", min=0)
    ] = 0,
    keep: Keep = None,
    sort: Sort = None,
    query: Query = None,
    table: Table = None,
    into: Annotated[str, option("--into NAME", "If OUT is a database: the table to write.")] = "predictions",
    show: Annotated[bool, option("--show", "Show stored predictions, newest first.")] = False,
    since: Annotated[
        str | None, option("--since TIME", "With --show: only predictions made since this time (UTC).")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Predict rows whose label is not known yet.

    Rows with a cell that is unreadable or out of bounds are written to a file beside OUT, with the reason. If the
    command is stopped, run it again: no row is written twice. If IN is omitted, the live version predicts every
    landed row that it was not trained on and has not predicted yet.
    """
    if show or since is not None:
        if rows is not None:
            raise BadInputError("--show and --since list stored predictions and read no rows; leave out IN")
        _show_stored(since, as_json=as_json)
        return
    if rows is None:
        if version is not None or explained or any(option is not None for option in (keep, sort, query, table)):
            raise BadInputError(
                "--version, --explain, --keep, --sort, --query and --table need IN, the rows to predict; pass IN, or "
                "leave these options out"
            )
        raise typer.Exit(_score_landed(now=past_time(now), as_json=as_json))
    if sort not in (None, "risk"):
        raise UnknownNameError("order", str(sort), ("risk",))
    if out is None:
        raise BadInputError("OUT is missing; pass a file to write the predictions to: retrim predict IN OUT")
    with render.progress():
        from retrim.serving.predict import predict as op

        workspace, at = workspace_here(), past_time(now)
        done = op(
            workspace,
            rows,
            out,
            version=version,
            explained=explained,
            query=query,
            table=table,
            into=into,
            now=at,
            keep=tuple(dict.fromkeys(keep.split(","))) if keep else (),
            by_risk=sort is not None,
        )
    again = "predicted before" if done.already else "predicted"
    render.show(done, f"{again}: {done.rows:,} rows by version {done.version}, {done.out}", as_json=as_json)
    if not as_json:
        _warn(done)
    raise typer.Exit(0 if done.rows else 1)


def _warn(done: "PredictedRows") -> None:
    """Which rows were rejected, and which values were treated as missing."""
    if done.rejected_in is not None:
        line = f"rejected: {done.rejected:,} rows; each cell with its reason is in {done.rejected_in}"
        render.ERR.print(line, soft_wrap=True)
    for name, unseen in done.unseen.items():
        line = f"unseen in training: {unseen.rows:,} rows, e.g. {name} = {unseen.example!r}; treated as missing"
        render.ERR.print(line, soft_wrap=True)


def _show_stored(since: str | None, *, as_json: bool) -> None:
    """The newest stored predictions; without a moment the last few."""
    from retrim.lineage.stored_prediction import StoredPrediction

    start = None if since is None else past_time(since)
    stored = workspace_here().predictions.since(start, most=SHOWN if since is None else MOST)
    predictions = [StoredPrediction.of(row) for _, row in stored.iterrows()]
    rows = [
        (one.key, render.moment(one.event), one.in_words, one.version, render.moment(one.at)) for one in predictions
    ]
    none = "no prediction is stored yet: rows that land are predicted once a version is live"
    heads = ("row", "event", "prediction", "version", "made")
    render.show_list(predictions, heads, rows, none=none, as_json=as_json)


def _score_landed(*, now: "pd.Timestamp", as_json: bool) -> int:
    """Predicts what has landed; gives the exit code."""
    from retrim.checking.score import score
    from retrim.cli.screens.status import lacking
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
        decided = "" if scored.selected is None else f", {scored.selected} rows selected by its thresholds"
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
