"""Explains a prediction: of a landed row, of a row that a person gives, or one that was stored.

Two versions on the same rows: the newest judging block that neither was trained, tuned or stopped on.

What changed between two versions: what they were made from, what they are, and what they say of the same rows.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
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
    packages,
    said,
    step_changes,
)
from retrim.decision.stored_rows import VersionRow
from retrim.drift.slices import SLICE_CONFIDENCE, SliceLoss, SliceParams, slice_table
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.landing.as_of_view import AsOfTable, batches_of, read_as_of
from retrim.lineage.prediction_log import StoredPrediction
from retrim.lineage.workspace import Workspace
from retrim.reading.landed import BatchFile
from retrim.reading.table import row_of_file, row_of_json
from retrim.release.versions import Stored, find_live_version, load_stored_version
from retrim.stats.codec import from_parquet, from_record, to_record
from retrim.stats.metrics import measure, row_losses
from retrim.stats.plugins import near_keys
from retrim.table.data import ColumnType, DataParams, row_keys
from retrim.training.bundle import SETTINGS, SPLIT, FitRecord, SplitRecord
from retrim.training.predicted import Explanation, explain_row

LONGEST = 9  # digits of a version's number: a database holds no whole number of any length
REQUEST = re.compile(r"[0-9a-f]{16}")
SAME = 1e-9
"""By how much a stored prediction may differ from what the version says now, as a share of it."""


@dataclass(frozen=True)
class PredictionLineage:
    """The origin of a stored prediction.

    Args:
        request: Id of the call that made it; None if it was made before calls had ids.
        at: When it was made.
        batch: The landed batch of its row; None if it is not known.
        version: The version that made it.
        run: The run that made the version.
        commit: The code and settings of that run; None for an imported version.
        raw_digest: SHA-256 of the rows that the version was made from; None if it was not recorded.
        bundle: SHA-256 of the version's bundle.
        verdict: The gate's verdict on the version.
    """

    request: str | None
    at: str
    batch: str | None
    version: int
    run: str
    commit: str | None
    raw_digest: str | None
    bundle: str
    verdict: str


def lineage_of(workspace: Workspace, prediction: StoredPrediction) -> PredictionLineage | None:
    """From a stored prediction to version, run, code, data and verdict; None where the version is not recorded."""
    row = workspace.store.version(workspace.model, prediction.version)
    if row is None:
        return None
    made = row.made_from
    return PredictionLineage(
        request=prediction.request,
        at=iso(prediction.at),
        batch=prediction.batch,
        version=prediction.version,
        run=row.run,
        commit=made.snapshot,
        raw_digest=made.raw_digest,
        bundle=row.bundle,
        verdict=row.judged.reason,
    )


@dataclass(frozen=True)
class ExplainedRow:
    """An explained prediction.

    Args:
        version: The version that made the prediction.
        key: Key of the landed row; None if the row was given.
        event: Event time of the row; None if the row was given.
        as_of: As-of time of the features: when the row was predicted, or now; None if the request has the row itself.
        stored: The stored prediction: a number, or one number per class; None if none was stored.
        agrees: Whether the version predicts the same now from the same features; None if none was stored.
        explanation: The parts.
        lineage: Where the stored prediction came from; None where nothing was stored.
    """

    version: int
    key: str | None
    event: str | None
    as_of: str | None
    stored: Any
    agrees: bool | None
    explanation: Explanation
    lineage: PredictionLineage | None = None

    def as_record(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("version", "key", "event", "as_of", "stored", "agrees")}
        lineage = None if self.lineage is None else to_record(self.lineage)
        return own | {"lineage": lineage} | to_record(self.explanation)


def explain(
    workspace: Workspace, what: str, *, version: int | None, asked: str | None, now: pd.Timestamp
) -> ExplainedRow:
    """Explains `what`.

    Args:
        asked: The class to explain; None: the predicted one.

    Raises:
        BadInputError: There is no such row, prediction, version or class.
        RefusedError: The bundle was altered, or its model has no exact contributions.
    """
    if what.lstrip().startswith(("{", "[")):
        found = _version(workspace, version)
        return _given(found, row_of_json(what, *_columns(workspace, found)), asked)
    if _is_file(what):
        found = _version(workspace, version)
        return _given(found, row_of_file(Path(what), *_columns(workspace, found)), asked)
    table = read_as_of(workspace, as_of=now)
    keys = table.landed_keys()
    spelt = _spelt(what, keys, workspace.params.data)
    if spelt is None:
        prediction = _named_prediction(workspace, what, version=version)
        if prediction is None:
            raise _no_row(what, keys)
        return _stored(workspace, prediction, asked, now=now)
    return _landed(_version(workspace, version), table, spelt, asked, None, iso(now))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte in it
        return False


def _version(workspace: Workspace, version: int | None) -> Stored:
    if version is not None:
        return load_stored_version(workspace, version)
    champion = find_live_version(workspace)
    if champion is None:
        raise BadInputError(
            f"no version of {workspace.model} is live; choose one with --version N, or train one: retrim retrain"
        )
    return load_stored_version(workspace, champion.version)


def _columns(workspace: Workspace, found: Stored) -> tuple[dict[str, ColumnType], dict[str, ColumnType]]:
    """The columns that a version needs, and the other columns a row may have."""
    needed = found.predictor.view.needs
    others = {name: column.type for name, column in workspace.params.data.columns.items() if name not in needed}
    return needed, others


def _given(found: Stored, row: pd.DataFrame, asked: str | None) -> ExplainedRow:
    return ExplainedRow(found.version, None, None, None, None, None, explain_row(found.predictor, row, asked=asked))


def _landed(
    found: Stored, table: AsOfTable, key: str, asked: str | None, prediction: StoredPrediction | None, as_of: str
) -> ExplainedRow:
    row = table.only(table.times["_key"] == key).read()
    if not len(row):
        raise RefusedError(
            f"row {key!r} had not landed by {as_of}, or data.rows leaves it out; change data.rows, or pass the row "
            "as a file"
        )
    said = explain_row(found.predictor, row, asked=asked)
    agrees = None
    if prediction is not None:
        agrees = bool(np.allclose(prediction.as_value(), found.predictor.predict(row)[0], rtol=SAME, atol=1e-12))
    value = None if prediction is None else prediction.as_value()
    return ExplainedRow(found.version, key, iso(row["_event"].iloc[0]), as_of, value, agrees, said)


def _stored(
    workspace: Workspace, prediction: StoredPrediction, asked: str | None, *, now: pd.Timestamp
) -> ExplainedRow:
    """Explains a stored prediction from the row as it was then; from the row as it is, where it landed later."""
    at, table = prediction.at, read_as_of(workspace, as_of=prediction.at, as_then=True)
    if prediction.key not in set(table.times["_key"]):
        at, table = now, read_as_of(workspace, as_of=now)
    found = load_stored_version(workspace, prediction.version)
    explained = _landed(found, table, prediction.key, asked, prediction, iso(at))
    return replace(explained, lineage=lineage_of(workspace, prediction))


def _named_prediction(workspace: Workspace, what: str, *, version: int | None) -> StoredPrediction | None:
    """The stored prediction that KEY@N, a request's id or KEY@ID names; None where it names none.

    Raises:
        BadInputError: It names another version than `version`, or one that has no prediction of the key.
    """
    key, at, name = what.rpartition("@")
    if REQUEST.fullmatch(name):
        prediction = _of_request(workspace, name, key=key if at else None)
        number = "" if prediction is None else str(prediction.version)
    elif at and name.isdecimal() and len(name) <= LONGEST:
        prediction, number = None, name
    else:
        return None
    if number and version is not None:
        raise BadInputError(f"{what!r} refers to version {number}, but --version is {version}; use only one of the two")
    return _prediction(workspace, key, int(number)) if number and prediction is None else prediction


def _of_request(workspace: Workspace, request: str, *, key: str | None = None) -> StoredPrediction | None:
    """The first prediction of a request, or that of a key: what was answered, before what a shadow would have said."""
    for log in (workspace.predictions, *workspace.predictions.of_every_role()):
        rows = log.of_request(request)
        if key is not None:
            rows = rows[rows["key"] == key]
        if len(rows):
            return StoredPrediction.of(rows.iloc[0])
    return None


def _prediction(workspace: Workspace, key: str, version: int) -> StoredPrediction:
    """A stored prediction, by the key as a person spells it; that of the landed row before those of requests."""
    for log in (workspace.predictions, *workspace.predictions.of_every_role()):
        for spelt in _spellings(key, workspace.params.data):
            found = log.one(version, spelt)
            if found is not None:
                return found
    made = workspace.predictions.all_keys(version)
    if not made:
        raise BadInputError(
            f"version {version} has no stored predictions; to explain what it would predict, replace @{version} with "
            f"--version {version}"
        )
    near = ", ".join(near_keys(made, key, most=3))
    raise BadInputError(
        f"version {version} has no stored prediction of {key!r}; similar keys are {near}. To explain what the "
        f"version would predict, replace @{version} with --version {version}"
    )


def _no_row(what: str, keys: pd.Series) -> BadInputError:
    near = ", ".join(near_keys(keys.tolist(), what, most=3))
    return BadInputError(
        f"no landed row has the key {what!r}, and no file has that name; pass a key or a file. Similar keys: {near}"
    )


def _spelt(what: str, keys: pd.Series, data: DataParams) -> str | None:
    """The key as the table spells it; None where no row has it."""
    return next((spelt for spelt in _spellings(what, data) if (keys == spelt).any()), None)


def _spellings(what: str, data: DataParams) -> Iterator[str]:
    """How the table may spell a key: as it was given, or with its times written out."""
    yield what
    parts = re.split(r"(?<!\\)\|", what) if len(data.key) > 1 else [what]
    if len(parts) != len(data.key):
        return
    values: dict[str, pd.Series] = {}
    for name, part in zip(data.key, parts, strict=True):
        if data.columns[name].type == "time":
            times = pd.to_datetime(pd.Series([part]), format="ISO8601", utc=True, errors="coerce")
            if times.isna().any():
                return
            values[name] = times
        else:
            values[name] = pd.Series([part.replace("\\|", "|").replace("\\\\", "\\")], dtype="str")
    yield str(row_keys(pd.DataFrame(values), data.key, "").iloc[0])


JUDGED = "verdict/judged.parquet"


@dataclass(frozen=True)
class ComparedVersions:
    """Two versions on the same rows: metrics by version, slices, rows that moved most; or a note why not."""

    rows: ComparedRows | None = None
    metrics: dict[str, dict[str, float]] | None = None
    slices: tuple[SliceLoss, ...] = ()
    moved: tuple[MovedRow, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommonRows:
    """Rows that neither of two versions has used, and the version whose judging block they are from."""

    rows: pd.DataFrame
    block_of: int


def compare_on_common_rows(
    workspace: Workspace, older: Stored, newer: Stored, *, top: int, now: pd.Timestamp
) -> ComparedVersions:
    """Metrics, slices, and the `top` rows that moved most, of both versions on the same rows; else a note why not.

    A judging block that came after both is taken before the newer one's own, which chose that version as its best.
    """
    try:
        found = _common(workspace, older, newer, now=now)
    except BadInputError as error:
        return ComparedVersions(notes=(f"metrics: {error}",))
    if found is None:
        note = (
            "metrics: there are no holdout rows with labels that neither version was trained on, so the versions "
            "cannot be compared on the same rows"
        )
        return ComparedVersions(notes=(note,))
    params, rows, notes = workspace.params, newer.predictor.view.seen(found.rows), []
    views = older.predictor.view, newer.predictor.view
    try:
        predicted = older.predictor.predict(rows), newer.predictor.predict(rows)
        losses = [row_losses(params.judge.loss, v.actual(rows), p) for v, p in zip(views, predicted, strict=True)]
        metrics = {
            str(each.version): {params.judge.loss: float(loss.mean())}
            | measure(params.judge.metrics, view.actual(rows), said_, task=view.task)
            for each, view, said_, loss in zip((older, newer), views, predicted, losses, strict=True)
        }
    except BadInputError as error:  # a feature that the table no longer has, or a loss of another task
        return ComparedVersions(notes=(f"metrics: {error}",))
    if found.block_of == newer.version:
        notes.append(
            f"metrics: these rows chose version {newer.version} as the best of its run, which favours it a little"
        )
    sliced = slice_table(
        rows,
        losses[1],
        losses[0],
        views[1].features,
        SliceParams(),
        confidence=SLICE_CONFIDENCE,
        block_rows=params.judge.block_rows,
    )
    by = moved(predicted[0], predicted[1], *views)
    first = np.argsort(-by, kind="stable")[:top]
    since, until = iso(rows["_event"].iloc[0]), iso(rows["_event"].iloc[-1])
    moves = tuple(
        MovedRow(
            key=str(rows["_key"].iloc[at]),
            event=iso(rows["_event"].iloc[at]),
            actual=_plain(rows[views[1].target].iloc[at]),
            older=said(predicted[0][at], views[0]),
            newer=said(predicted[1][at], views[1]),
            by=float(by[at]),
        )
        for at in first
    )
    compared = ComparedRows(found.block_of, len(rows), since, until, params.judge.loss)
    return ComparedVersions(compared, metrics, sliced, moves, tuple(notes))


def _common(workspace: Workspace, older: Stored, newer: Stored, *, now: pd.Timestamp) -> CommonRows | None:
    """The newest judging block with two or more rows after what either version used, as the landing zone has them."""
    used = max(older.predictor.used_until, newer.predictor.used_until)
    ends = {row.version: row.judged.judged_until for row in workspace.store.versions(workspace.model)}
    until = {version: pd.Timestamp(end) for version, end in ends.items() if end is not None}
    until |= {each.version: each.predictor.judged_until for each in (older, newer)}
    ripe = None
    for version in sorted((v for v in until if until[v] > used), key=lambda v: (until[v], v), reverse=True):
        try:
            files = {older.version: older, newer.version: newer}.get(version) or load_stored_version(workspace, version)
        except RefusedError:  # altered: another block will do
            continue
        keys = from_parquet(files.files[JUDGED])[["_key", "_event"]]
        keys = keys[keys["_event"] > used]
        if ripe is None:
            ripe = read_as_of(workspace, as_of=now).mature()
        found = ripe.only(ripe.times["_key"].isin(keys["_key"]))
        if len(found) >= 2:
            return CommonRows(found.read(), version)
    return None


def _plain(value: Any) -> str | float:
    return str(value) if isinstance(value, str) else float(value)


@dataclass(frozen=True)
class DiffSide:
    """One of the two versions: its record in the store, and its bundle."""

    row: VersionRow
    found: Stored

    @property
    def number(self) -> int:
        return self.found.version

    def read(self, name: str) -> Any:
        return json.loads(self.found.files[name])


def diff(workspace: Workspace, older: int, newer: int, *, top: int, now: pd.Timestamp) -> VersionDiff:
    """What differs; what cannot be told is None, with a sentence under `notes`.

    Raises:
        BadInputError: There is no such version.
        RefusedError: A stored bundle is not the recorded one.
    """
    sides = [_side(workspace, version) for version in (older, newer)]
    notes: list[str] = []
    views = [side.found.predictor.view for side in sides]
    compared = compare_on_common_rows(workspace, *(side.found for side in sides), top=top, now=now)
    notes += compared.notes
    return VersionDiff(
        older=older,
        newer=newer,
        data=_data(workspace, sides, notes),
        code=_code(workspace, sides, notes),
        parameters=_parameters(sides, notes),
        hyperparameters=changes(*({**to_record(s.found.predictor.recipe), **_hyper(s)} for s in sides)),
        features=feature_changes(*views),
        steps=step_changes(*views),
        environment=_environment(workspace, sides, notes),
        notes=tuple(notes),
        rows=compared.rows,
        metrics=compared.metrics,
        slices=compared.slices,
        moved=compared.moved,
    )


def _side(workspace: Workspace, version: int) -> DiffSide:
    found = load_stored_version(workspace, version)
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    return DiffSide(row, found)


def _hyper(side: DiffSide) -> dict[str, JsonValue]:
    """Hyperparameters by name; the mapping itself is left out, so that each is compared alone."""
    return {"hyperparameters": None, **side.found.predictor.recipe.hyperparameters}


def _data(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> DiffData:
    """Rows and windows of both, and the batches that had come by the one and not by the other."""
    facts = [_rows_of(side) for side in sides]
    arrived = [{batch.path: batch for batch in batches_of(workspace, side.row)} for side in sides]
    came = [batch for path, batch in arrived[1].items() if path not in arrived[0]]
    gone = [batch for path, batch in arrived[0].items() if path not in arrived[1]]
    if not any(arrived):
        notes.append(
            "data: the batches are not in this landing zone, so what landed between the two versions is unknown"
        )
    digests = [each.raw_digest for each in facts]
    same = None if None in digests else digests[0] == digests[1]
    return DiffData(facts[0], facts[1], same, tuple(map(_batch, came)), tuple(map(_batch, gone)))


def _rows_of(side: DiffSide) -> DiffRows:
    split = from_record(SplitRecord, side.read(SPLIT))
    fit = from_record(FitRecord, side.read(f"models/{side.row.judged.winner}/fit.json"))
    made_from = side.row.made_from
    return DiffRows(
        as_of=side.row.as_of,
        raw_digest=made_from.raw_digest,
        rows=split.rows,
        window=side.found.predictor.window,
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
    return DiffCode(commits[0], commits[1], tuple(ChangedLines(each.name, each.added, each.removed) for each in files))


def _parameters(sides: list[DiffSide], notes: list[str]) -> dict[str, Pair] | None:
    without = [side for side in sides if SETTINGS not in side.found.files]
    notes += [
        f"settings: version {side.number} was made before bundles stored settings, so this is unknown"
        for side in without
    ]
    return None if without else changes(*(flat(side.read(SETTINGS)) for side in sides))


def _environment(workspace: Workspace, sides: list[DiffSide], notes: list[str]) -> DiffEnvironment:
    texts = _files(workspace, sides, "requirements.lock", "packages", notes)
    older, newer = (side.row.made_from for side in sides)
    differing = None if texts is None else changes(*(packages(text) for text in texts))
    return DiffEnvironment((older.python, newer.python), (older.platform, newer.platform), differing)


def _files(workspace: Workspace, sides: list[DiffSide], name: str, what: str, notes: list[str]) -> list[str] | None:
    commits = _commits(workspace, sides, what, notes)
    if commits is None:
        return None
    texts = []
    for side, commit in zip(sides, commits, strict=True):
        try:
            texts.append(git.file_at(workspace.paths.root, commit, name).decode(errors="replace"))
        except RetrimError:
            notes.append(f"{what}: the commit of version {side.number} has no {name}, so this is unknown")
    return texts if len(texts) == len(sides) else None
