"""A store begun from another's past: what was decided, run, made and released before a moment."""

from typing import Any

import sqlalchemy as sa

from retrim.adapters.predictions import PredictionLog
from retrim.adapters.schema import COUNTED_ROWS, DECISIONS, ENVELOPES, RELEASES, RUNS, SEALS, USED_ROWS, VERSIONS
from retrim.adapters.store import Row, Store

ENDED = ("deferred", "promoted", "refused", "failed")


def copy_past(source: Store, target: Store, model: str, *, before: str) -> list[Row]:
    """Copies a model's past into an empty store; gives its versions, first to last.

    Alerts are left behind: no decision looks at them. So is a run that had not
    ended by then, with the version it made unless that was live; its decision stays. A version
    that was imported has no run, and comes along if it had been registered by then.

    Args:
        source: The store with the history; it is only read.
        target: The empty one.
        model: Name of the model.
        before: Moment, as the store spells it: a decision counts by its as-of date, a release, and what
            became known of a version, by when it was made, a run by both.
    """
    decisions = [row for row in source.decisions(model) if row.as_of < before]
    known = {row.id for row in decisions}
    runs = [row for row in source.runs(model) if row.decision in known and _ended(row, before)]
    made, every = {row.id for row in runs}, {row.id for row in source.runs(model)}
    releases = [row for row in source.releases(model) if row.at < before]
    released = {row.version for row in releases}
    versions = [
        row
        for row in source.versions(model)
        if row.run in made or row.version in released or (row.run not in every and row.made < before)
    ]
    sealed = source.seals(model)
    seals = [
        {"model": model, "sequence": row.sequence, "seal": sealed[row.sequence]}
        for row in releases
        if row.sequence in sealed
    ]
    known_of = [each for row in versions for each in source.envelope(model, row.version) if each.at < before]
    copied = {DECISIONS: decisions, RUNS: runs, VERSIONS: versions, ENVELOPES: known_of, RELEASES: releases}
    rows = {table: [row.values for row in some] for table, some in copied.items()} | {SEALS: seals}
    rows |= _ledger(source, model, known, {row.version for row in versions})
    with target.begin() as connection:
        for table, values in rows.items():
            if values:
                connection.execute(sa.insert(table), values)
    PredictionLog(target).take_over(PredictionLog(source).before(model, before))
    return versions


def _ledger(source: Store, model: str, decisions: set[str], versions: set[int]) -> dict[sa.Table, list[dict[str, Any]]]:
    """Which landed rows those checks counted, and which ones made those versions."""
    counted, used = (source.all(sa.select(table).where(table.c.model == model)) for table in (COUNTED_ROWS, USED_ROWS))
    return {
        COUNTED_ROWS: [row.values for row in counted if row.decision in decisions],
        USED_ROWS: [row.values for row in used if row.version in versions],
    }


def _ended(run: Row, before: str) -> bool:
    return run.state in ENDED and run.ended is not None and run.ended < before
