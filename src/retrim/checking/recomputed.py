"""Stored predictions made again: each has to be what its version says of the row as it was known then, to the bit."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.alerting.kinds import AlertKind
from retrim.checking.score import stored_values
from retrim.errors import RetrimError
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.prediction_log import SERVED, span_of
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.versions import load_stored_version

NAME = "recomputed predictions"
MOST = 100
DRAWN = 20
"""Predictions that are drawn, of which the first tells the call; those of requests cannot be made again."""
DAY = pd.Timedelta("1D")


@dataclass(frozen=True)
class RecomputedSample:
    """What became of a sample.

    Args:
        version: Whose predictions; None where none is stored.
        at: When they were made; None likewise.
        rows: Predictions that were made again.
        differing: Keys of those that differ.
    """

    version: int | None
    at: pd.Timestamp | None
    rows: int
    differing: tuple[str, ...]


NOTHING = RecomputedSample(None, None, 0, ())


def recompute_daily(workspace: Workspace, *, now: pd.Timestamp) -> RecomputedSample | None:
    """One sample a day, and an alert where one differs or cannot be made again; None where that day had its own."""
    done = workspace.store.done_until(workspace.model, NAME)
    if done is not None and now < pd.Timestamp(done) + DAY:
        return None
    try:
        sample = recompute(workspace, seed=int(now.timestamp() // DAY.total_seconds()))
    except RetrimError as error:  # what else is due must not wait for it
        sample = NOTHING
        text = f"stored predictions could not be made again: {error}"
        record_alert(workspace, AlertKind.PREDICTIONS_DIFFER, text, now=now, about=NAME)
    if sample.differing:
        one = f"{sample.differing[0]}@{sample.version}"
        record_alert(
            workspace,
            AlertKind.PREDICTIONS_DIFFER,
            f"{len(sample.differing)} of {sample.rows} stored predictions of version {sample.version} are not what it "
            f"says of the same rows: `retrim versions explain '{one}'` shows both; the file was altered, or the "
            "version predicts otherwise on this machine: restore var/predictions from a backup, or prove the version "
            f"with `retrim reproduce {sample.version} --prove`",
            now=now,
        )
    workspace.store.mark_done(workspace.model, NAME, until=iso(now))
    return sample


def recompute(workspace: Workspace, *, seed: int) -> RecomputedSample:
    """Makes stored predictions of one call again, up to `MOST` of them, drawn by `seed`."""
    drawn = workspace.predictions.drawn(DRAWN, seed=seed)
    drawn = drawn[drawn["batch"] != SERVED]
    if not len(drawn):
        return NOTHING
    first = drawn.iloc[0]
    version, at = int(first["version"]), pd.Timestamp(first["at"])
    same = workspace.predictions.made_at(version, at)
    same = same[same["batch"] != SERVED]
    places = np.sort(np.random.default_rng(seed).permutation(len(same))[:MOST])
    kept = same.iloc[places]
    table = read_as_of(workspace, as_of=at)
    start, end = span_of(kept["event_time"])
    near = table.only(table.times["_event"].between(start, end) & table.times["_key"].isin(kept["key"]))
    rows = near.read()
    predictor = load_stored_version(workspace, version).predictor
    kept = kept.set_index("key").loc[rows["_key"]].reset_index()
    stored, said = stored_values(kept, predictor.view), predictor.predict(rows)
    agrees = (stored == said).reshape(len(rows), -1).all(axis=1)
    return RecomputedSample(version, at, len(rows), tuple(rows["_key"][~agrees]))
