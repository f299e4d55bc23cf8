"""Versions that answered requests beside the live one, held against it on the rows whose labels have come."""

import numpy as np
import pandas as pd

from retrim.checking.score import have_landed_features, stored_values
from retrim.decision.canary import Canary
from retrim.decision.probation import ServedBeside, blocks_side_by_side, compare_beside
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import AsOfTable, read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.canary import end_canary, follow_test, newest_canary
from retrim.release.versions import find_live_version, load_stored_version
from retrim.stats.metrics import row_losses

ORDER = ["_matured", "_event", "_key"]
"""In which labels came: more rows never change the order of those before."""


def compare_shadows(workspace: Workspace, *, now: pd.Timestamp) -> tuple[ServedBeside, ...]:
    """Each version that answered as a shadow of what is live, beside it on the same requests; the newest first.

    A version that cannot be loaded any more is left out.
    """
    live, shadows = find_live_version(workspace), workspace.predictions.of_role("shadow")
    versions = [] if live is None else [version for version in shadows.versions() if version != live.version]
    if live is None or not versions:
        return ()
    table, compared = read_as_of(workspace, as_of=now), []
    for version in reversed(versions):
        answers = shadows.answers(version)
        heard = workspace.predictions.of_role("request").answers(live.version, answers["key"])
        both = answers.merge(heard[["key", "request_id"]], on=["key", "request_id"])["key"]
        try:
            unheard = answered_losses(workspace, table, version, answers[answers["key"].isin(both)])
            heard_losses = answered_losses(workspace, table, live.version, heard[heard["key"].isin(both)])
        except (RefusedError, BadInputError):
            continue
        pairs = unheard.merge(heard_losses, on=ORDER, suffixes=("_shadow", "_live")).sort_values(ORDER)
        order = ("_shadow", "_live") if version > live.version else ("_live", "_shadow")
        new, previous = (pairs[f"loss{name}"].to_numpy() for name in order)
        compared.append(
            compare_beside(
                new,
                previous,
                workspace.params.probation,
                role="shadow",
                version=max(version, live.version),
                against=min(version, live.version),
                rows_per_check=workspace.params.gain.rows_per_check,
            )
        )
    return tuple(compared)


def answered_losses(workspace: Workspace, table: AsOfTable, version: int, answers: pd.DataFrame) -> pd.DataFrame:
    """Losses of what a version answered before the label was due, on the rows whose label has come.

    An answer counts if its request had the features that the row landed with, so that no client chooses the loss.

    Returns:
        `ORDER` and `loss`, a row for each answered row.

    Raises:
        RefusedError: The version was altered.
        BadInputError: It is gone.
    """
    view = load_stored_version(workspace, version).predictor.view
    landed = table.only(table.times["_key"].isin(answers["key"]) & table.times["_matured"].notna()).read()
    places = pd.Index(landed["_key"]).get_indexer(pd.Index(answers["key"]))
    answers = answers[places >= 0].reset_index(drop=True)
    rows = landed.iloc[places[places >= 0]].reset_index(drop=True)
    if not len(rows):
        return landed.iloc[:0][ORDER].assign(loss=np.empty(0))
    values = stored_values(answers, view)
    usable = (answers["at"] < rows["_due"]).to_numpy() & have_landed_features(view, rows, answers["features"])
    usable &= np.isfinite(values.reshape(len(rows), -1)).all(axis=1)
    usable &= ~rows["_key"].where(usable).duplicated().to_numpy()
    rows, values = rows[usable], values[usable]
    losses = row_losses(workspace.params.judge.loss, view.actual(rows), values)
    answered: pd.DataFrame = rows[ORDER].assign(loss=losses)
    return answered


def look_at_canary(workspace: Workspace, table: AsOfTable, *, now: pd.Timestamp) -> None:
    """Ends the canary that goes on, promotes it or raises its share, if its test has come to something."""
    going = newest_canary(workspace)
    if going is None or going.ended is not None:
        return
    try:
        comparison = compare_canary(workspace, table, going)
    except (RefusedError, BadInputError) as error:
        end_canary(workspace, going, "errors", f"it cannot be compared with {going.against}: {error}", now=now)
        return
    outcome = comparison.outcome if comparison.outcome in ("worse", "confirmed", "over") else None
    follow_test(workspace, going, outcome, comparison.said, rows=comparison.rows, now=now)


def compare_canary(workspace: Workspace, table: AsOfTable, canary: Canary) -> ServedBeside:
    """A canary beside the live version: each on the rows that it answered since the canary began.

    Raises:
        As `answered_losses`.
    """
    version, against, since = canary.version, canary.against, pd.Timestamp(canary.began)
    logs = {version: workspace.predictions.of_role("canary"), against: workspace.predictions.of_role("request")}
    parts = []
    for number, log in logs.items():
        answers = log.answers(number)
        answers = answers[answers["at"] >= since]
        parts.append(answered_losses(workspace, table, number, answers).assign(is_new=number == version))
    rows = pd.concat(parts).sort_values(ORDER, kind="stable")
    params, rows_per_check = workspace.params.probation, workspace.params.gain.rows_per_check
    new, previous = blocks_side_by_side(
        rows["is_new"].to_numpy(dtype=bool), rows["loss"].to_numpy(), block_rows=params.block_rows(rows_per_check)
    )
    return compare_beside(
        new, previous, params, role="canary", version=version, against=against, rows_per_check=rows_per_check
    )
