"""What changed between two versions: what they were made from, what they are, and what they say of the same rows."""

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.card.diff import (
    ChangedLines,
    ComparedRows,
    DiffBatch,
    DiffCode,
    DiffData,
    DiffEnvironment,
    DiffRows,
    MovedRow,
    Pair,
    VersionDiff,
    changes,
    feature_changes,
    flat,
    moved,
    named_prediction,
    packages,
    step_changes,
)
from retrim.decision.stored_rows import VersionRow
from retrim.drift.slices import slice_table
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.landing.as_of_view import batches_of, read_as_of
from retrim.lineage.workspace import Workspace
from retrim.reading.landed import BatchFile
from retrim.release.versions import Stored, load_stored_version
from retrim.stats.codec import from_parquet, from_record, to_record
from retrim.stats.metrics import measure, row_losses
from retrim.training.bundle import SETTINGS, SPLIT, FitRecord, SplitRecord

JUDGED = "verdict/judged.parquet"


def with_common_rows(
    workspace: Workspace, diff: VersionDiff, older: Stored, newer: Stored, *, top: int, now: pd.Timestamp
) -> VersionDiff:
    """The diff with metrics, slices, and the `top` rows that moved most on the same rows; else with a note why not.

    A judging block that came after both is taken before the newer one's own, which chose that version as its best.
    """
    try:
        common = _common(workspace, older, newer, now=now)
    except BadInputError as error:
        return _noted(diff, str(error))
    if common is None:
        return _noted(
            diff,
            "there are no holdout rows with labels that neither version was trained on, so the versions cannot be "
            "compared on the same rows",
        )
    block, block_of = common
    params, rows = workspace.params, newer.predictor.view.seen(block)
    views = older.predictor.view, newer.predictor.view
    try:
        predicted = older.predictor.predict(rows), newer.predictor.predict(rows)
        losses = [row_losses(params.judge.loss, v.actual(rows), p) for v, p in zip(views, predicted, strict=True)]
        metrics = {
            str(stored.version): {params.judge.loss: float(loss.mean())}
            | measure(params.judge.metrics, view.actual(rows), values, task=view.task)
            for stored, view, values, loss in zip((older, newer), views, predicted, losses, strict=True)
        }
    except BadInputError as error:  # a feature that the table no longer has, or a loss of another task
        return _noted(diff, str(error))
    if block_of == newer.version:
        diff = _noted(
            diff, f"these rows chose version {newer.version} as the best of its run, which favours it a little"
        )
    sliced = slice_table(rows, losses[1], losses[0], views[1].features, block_rows=params.judge.block_rows)
    by = moved(predicted[0], predicted[1], *views)
    first = np.argsort(-by, kind="stable")[:top]
    since, until = iso(rows["_event"].iloc[0]), iso(rows["_event"].iloc[-1])
    moves = tuple(
        MovedRow(
            key=str(rows["_key"].iloc[at]),
            event=iso(rows["_event"].iloc[at]),
            actual=_plain(rows[views[1].target].iloc[at]),
            older=named_prediction(predicted[0][at], views[0]),
            newer=named_prediction(predicted[1][at], views[1]),
            by=float(by[at]),
        )
        for at in first
    )
    compared = ComparedRows(block_of, len(rows), since, until, params.judge.loss)
    return replace(diff, rows=compared, metrics=metrics, slices=sliced, moved=moves)


def _noted(diff: VersionDiff, note: str) -> VersionDiff:
    return replace(diff, notes=(f"metrics: {note}", *diff.notes))


def _common(
    workspace: Workspace, older: Stored, newer: Stored, *, now: pd.Timestamp
) -> tuple[pd.DataFrame, int] | None:
    """Rows of the newest judging block, if two or more came after what either version used, and its version."""
    used = max(older.predictor.used_until, newer.predictor.used_until)
    ends = {row.version: row.judged.judged_until for row in workspace.store.versions(workspace.model)}
    until = {version: pd.Timestamp(end) for version, end in ends.items() if end is not None}
    until |= {stored.version: stored.predictor.judged_until for stored in (older, newer)}
    mature_rows = None
    for version in sorted((v for v in until if until[v] > used), key=lambda v: (until[v], v), reverse=True):
        try:
            files = {older.version: older, newer.version: newer}.get(version) or load_stored_version(workspace, version)
        except RefusedError:  # altered: another block will do
            continue
        keys = from_parquet(files.files[JUDGED])[["_key", "_event"]]
        keys = keys[keys["_event"] > used]
        if mature_rows is None:
            mature_rows = read_as_of(workspace, as_of=now).mature()
        rows = mature_rows.only(mature_rows.times["_key"].isin(keys["_key"]))
        if len(rows) >= 2:
            return rows.read(), version
    return None


def _plain(value: Any) -> str | float:
    return str(value) if isinstance(value, str) else float(value)


@dataclass(frozen=True)
class DiffSide:
    """One of the two versions: its record in the store, and its bundle."""

    row: VersionRow
    stored: Stored

    @property
    def number(self) -> int:
        return self.stored.version

    def read(self, name: str) -> Any:
        return json.loads(self.stored.files[name])


def diff(workspace: Workspace, older: int, newer: int, *, top: int, now: pd.Timestamp) -> VersionDiff:
    """What differs; what cannot be told is None, with a sentence under `notes`.

    Raises:
        BadInputError: There is no such version.
        RefusedError: A stored bundle is not the recorded one.
    """
    sides = [_side(workspace, version) for version in (older, newer)]
    notes: list[str] = []
    views = [side.stored.predictor.view for side in sides]
    plain = VersionDiff(
        older=older,
        newer=newer,
        data=_data(workspace, sides, notes),
        code=_code(workspace, sides, notes),
        parameters=_parameters(sides, notes),
        hyperparameters=changes(*({**to_record(s.stored.predictor.recipe), **_hyper(s)} for s in sides)),
        features=feature_changes(*views),
        steps=step_changes(*views),
        environment=_environment(workspace, sides, notes),
        notes=tuple(notes),
        rows=None,
        metrics=None,
        slices=(),
        moved=(),
    )
    return with_common_rows(workspace, plain, *(side.stored for side in sides), top=top, now=now)


def _side(workspace: Workspace, version: int) -> DiffSide:
    stored, row = load_stored_version(workspace, version), workspace.store.version(workspace.model, version)
    assert row is not None, version
    return DiffSide(row, stored)


def _hyper(side: DiffSide) -> dict[str, JsonValue]:
    """Hyperparameters by name, each compared alone."""
    return {"hyperparameters": None, **side.stored.predictor.recipe.hyperparameters}


def _data(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> DiffData:
    """Rows and windows of both, and the batches that had come by the one and not by the other."""
    facts = [_rows_of(side) for side in sides]
    arrived = [{batch.path: batch for batch in batches_of(workspace, side.row)} for side in sides]
    batches = [batch for path, batch in arrived[1].items() if path not in arrived[0]]
    gone = [batch for path, batch in arrived[0].items() if path not in arrived[1]]
    if not any(arrived):
        notes.append(
            "data: the batches are not in this landing zone, so what landed between the two versions is unknown"
        )
    digests = [side.raw_digest for side in facts]
    same = None if None in digests else digests[0] == digests[1]
    return DiffData(facts[0], facts[1], same, tuple(map(_batch, batches)), tuple(map(_batch, gone)))


def _rows_of(side: DiffSide) -> DiffRows:
    split = from_record(SplitRecord, side.read(SPLIT))
    fit = from_record(FitRecord, side.read(f"models/{side.row.judged.winner}/fit.json"))
    made_from = side.row.made_from
    return DiffRows(
        as_of=side.row.as_of,
        raw_digest=made_from.raw_digest,
        rows=split.rows,
        window=side.stored.predictor.window,
        trained_rows=fit.rows,
        trained_from=fit.since,
        trained_until=fit.until,
        judged_from=split.judged_from,
        judged_until=split.judged_until,
        mode=made_from.mode,
        champion=made_from.champion,
        model_sha256=side.row.model_sha256,
    )


def _batch(batch: BatchFile) -> DiffBatch:
    return DiffBatch(batch.batch, batch.kind, batch.rows, iso(batch.arrived))


def _commits(workspace: Workspace, sides: list[DiffSide], what: str, notes: list[str]) -> list[str] | None:
    """The snapshot of each; None, with a note, where one is not at hand."""
    commits = []
    for side in sides:
        commit = side.row.made_from.snapshot
        if commit is None:
            notes.append(f"{what}: version {side.number} has no recorded commit, so this is unknown")
        elif not git.has_commit(workspace.paths.root, commit):
            notes.append(
                f"{what}: commit {commit[:12]} of version {side.number} is not in this repository, so this is "
                f"unknown; fetch the tag {side.row.tag} from the repository that has it"
            )
        else:
            commits.append(commit)
    return commits if len(commits) == len(sides) else None


def _code(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> DiffCode | None:
    commits = _commits(workspace, sides, "code", notes)
    if commits is None:
        return None
    files = git.changed_files(workspace.paths.root, *commits)
    return DiffCode(commits[0], commits[1], tuple(ChangedLines(file.name, file.added, file.removed) for file in files))


def _parameters(sides: list[DiffSide], notes: list[str]) -> dict[str, Pair] | None:
    without = [side for side in sides if SETTINGS not in side.stored.files]
    notes += [
        f"settings: version {side.number} was made before bundles stored settings, so this is unknown"
        for side in without
    ]
    return None if without else changes(*(flat(side.read(SETTINGS)) for side in sides))


def _environment(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> DiffEnvironment:
    texts = _locks(workspace, sides, notes)
    older, newer = (side.row.made_from for side in sides)
    differing = None if texts is None else changes(*(packages(text) for text in texts))
    return DiffEnvironment((older.python, newer.python), (older.platform, newer.platform), differing)


def _locks(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> list[str] | None:
    commits = _commits(workspace, sides, "packages", notes)
    if commits is None:
        return None
    texts = []
    for side, commit in zip(sides, commits, strict=True):
        try:
            texts.append(git.file_at(workspace.paths.root, commit, "requirements.lock").decode(errors="replace"))
        except RetrimError:
            notes.append(f"packages: the commit of version {side.number} has no requirements.lock, so this is unknown")
    return texts if len(texts) == len(sides) else None
