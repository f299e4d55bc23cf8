"""A store begun from another's past: what was decided, run, made and released before a moment."""

from itertools import takewhile
from typing import Any

import sqlalchemy as sa

from retrim.adapters.predictions import PredictionLog
from retrim.adapters.schema import (
    COUNTED_ROWS,
    DECISIONS,
    ENVELOPES,
    RELEASE_HEADS,
    RELEASES,
    RUNS,
    USED_ROWS,
    VERSIONS,
)
from retrim.adapters.signing import Keys
from retrim.adapters.store import Row, Store
from retrim.core.release_log import SIGNATURE, head_of, signed_bytes

ENDED = ("deferred", "promoted", "refused", "failed")


def copy_past(source: Store, target: Store, model: str, *, before: str, keys: Keys) -> list[Row]:
    """Copies a model's past into an empty store; gives its versions, first to last.

    Alerts are left behind: no decision looks at them. So is a run that had not
    ended by then, with the version it made unless that was live; its decision stays. A version
    that was imported has no run, and comes along if it had been registered by then.

    Args:
        source: The store with the history; it is only read.
        target: The empty one.
        model: Name of the model.
        before: Moment, as the store spells it: a decision counts by its as-of date, releases up to the first with a
            later one, what became known of a version by when it was made, a run by both.
        keys: Sign how many releases were copied; who signed them is kept.
    """
    decisions = [row for row in source.decisions(model) if row.as_of < before]
    known = {row.id for row in decisions}
    runs = [row for row in source.runs(model) if row.decision in known and _ended(row, before)]
    made, every = {row.id for row in runs}, {row.id for row in source.runs(model)}
    releases = list(takewhile(lambda row: row.as_of < before, source.releases(model)))
    released = {row.version for row in releases}
    versions = [
        row
        for row in source.versions(model)
        if row.run in made or row.version in released or (row.run not in every and row.made < before)
    ]
    known_of = [each for row in versions for each in source.envelope(model, row.version) if each.at < before]
    copied = {DECISIONS: decisions, RUNS: runs, VERSIONS: versions, ENVELOPES: known_of, RELEASES: releases}
    rows = {table: [row.values for row in some] for table, some in copied.items()}
    rows |= _ledger(source, model, known, {row.version for row in versions})
    if releases:
        head = head_of(releases[-1].values, signer=str(keys.public))
        rows[RELEASE_HEADS] = [{**head, SIGNATURE: keys.sign(signed_bytes(head))}]
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
