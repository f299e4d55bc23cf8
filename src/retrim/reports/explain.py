"""Explains a prediction: of a landed row, of a row that a person gives, or one that was stored."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import AsOfTable, read_as_of
from retrim.lineage.stored_prediction import StoredPrediction
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored, load_stored_version
from retrim.serving.checked_rows import check_rows
from retrim.serving.needed_columns import NeededColumns, version_to_ask
from retrim.serving.request_rows import rows_of_json, typed_rows
from retrim.serving.rows_in import open_rows
from retrim.stats.codec import to_record
from retrim.stats.plugins import near_keys
from retrim.table.data import DataParams
from retrim.table.fault import Suite
from retrim.table.keys import row_keys
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
        token: Name of the token that the request came with; None if it had none.
        batch: The landed batch of its row; None if it is not known.
        version: The version that made it.
        run: The run that made the version.
        commit: The code and settings of that run; None for an imported version.
        raw_digest: SHA-256 of the rows that the version was made from; None if it was not recorded.
        bundle: SHA-256 of the version's bundle.
        verdict: The gate's verdict on the version.
    """

    request: str | None
    token: str | None
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
    origin = row.made_from
    return PredictionLineage(
        request=prediction.request,
        token=prediction.token,
        at=iso(prediction.at),
        batch=prediction.batch,
        version=prediction.version,
        run=row.run,
        commit=origin.snapshot,
        raw_digest=origin.raw_digest,
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
        fields = {name: getattr(self, name) for name in ("version", "key", "event", "as_of", "stored", "agrees")}
        lineage = None if self.lineage is None else to_record(self.lineage)
        return fields | {"lineage": lineage} | to_record(self.explanation)


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
    if what.lstrip().startswith(("{", "[")) or _is_file(what):
        stored = version_to_ask(workspace, version)
        explanation = explain_row(stored.predictor, _given_row(workspace, stored, what), asked=asked)
        return ExplainedRow(stored.version, None, None, None, None, None, explanation)
    table = read_as_of(workspace, as_of=now)
    keys = table.landed_keys()
    spelt = _spelt(what, keys, workspace.params.data)
    if spelt is None:
        prediction = _named_prediction(workspace, what, version=version)
        if prediction is None:
            raise _no_row(what, keys)
        return _stored(workspace, prediction, asked, now=now)
    return _landed(version_to_ask(workspace, version), table, spelt, asked, None, iso(now))


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte in it
        return False


def _given_row(workspace: Workspace, stored: Stored, what: str) -> pd.DataFrame:
    """The one row that is given as JSON or as a file, read as rows that are to be predicted."""
    needs = NeededColumns(stored.predictor.view.needs, {}, (), {}, workspace.params.data.time, frozenset(), Suite(""))
    reading, text = workspace.params.reading, what
    if _is_file(what):
        text = Path(what).read_text(encoding="utf-8", errors="replace") if what.lower().endswith(".json") else ""
    if text:
        return _one(what if text != what else "the JSON", typed_rows(rows_of_json(text.encode()), needs, reading))
    rows_in = open_rows(what, reading, query=None, table=None, spool=workspace.paths.tmp / "explained")
    frames = []
    for load in rows_in.parts(needs.columns):
        frame, _, rejected = check_rows(load(), needs, reading)
        if len(rejected):
            cell = rejected.slice(0, 1).to_pylist()[0]
            raise BadInputError(f"{what}: {cell['column']}: {cell['value']!r} {cell['reason']}; correct it")
        frames.append(frame)
    return _one(what, pd.concat(frames))


def _one(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    if len(rows) != 1:
        raise BadInputError(f"{name} has {len(rows)} rows, but one row is explained at a time; keep only that one")
    return rows


def _landed(
    version: Stored, table: AsOfTable, key: str, asked: str | None, prediction: StoredPrediction | None, as_of: str
) -> ExplainedRow:
    row = table.only(table.times["_key"] == key).read()
    if not len(row):
        raise RefusedError(
            f"row {key!r} had not landed by {as_of}, or data.rows leaves it out; change data.rows, or pass the row "
            "as a file"
        )
    explanation = explain_row(version.predictor, row, asked=asked)
    agrees = None
    if prediction is not None:
        agrees = bool(np.allclose(prediction.as_value(), version.predictor.predict(row)[0], rtol=SAME, atol=1e-12))
    value = None if prediction is None else prediction.as_value()
    return ExplainedRow(version.version, key, iso(row["_event"].iloc[0]), as_of, value, agrees, explanation)


def _stored(
    workspace: Workspace, prediction: StoredPrediction, asked: str | None, *, now: pd.Timestamp
) -> ExplainedRow:
    """Explains a stored prediction from the row as it was then; from the row as it is, where it landed later."""
    at, table = prediction.at, read_as_of(workspace, as_of=prediction.at, as_then=True)
    if prediction.key not in set(table.times["_key"]):
        at, table = now, read_as_of(workspace, as_of=now)
    stored = load_stored_version(workspace, prediction.version)
    explained = _landed(stored, table, prediction.key, asked, prediction, iso(at))
    return replace(explained, lineage=lineage_of(workspace, prediction))


def _named_prediction(workspace: Workspace, what: str, *, version: int | None) -> StoredPrediction | None:
    """The stored prediction that KEY@N, a request's id or KEY@ID names; None where it names none."""
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
    logs, keys = (workspace.predictions, *workspace.predictions.of_every_role()), None if key is None else [key]
    return next((first for log in logs if (first := log.first(request=request, keys=keys)) is not None), None)


def _prediction(workspace: Workspace, key: str, version: int) -> StoredPrediction:
    """A stored prediction, by the key as a person spells it; that of the landed row before those of requests."""
    for log in (workspace.predictions, *workspace.predictions.of_every_role()):
        for spelt in _spellings(key, workspace.params.data):
            prediction = log.first(version=version, keys=[spelt])
            if prediction is not None:
                return prediction
    predicted_keys = workspace.predictions.all_keys(version)
    if not predicted_keys:
        raise BadInputError(
            f"version {version} has no stored predictions; to explain what it would predict, replace @{version} with "
            f"--version {version}"
        )
    near = ", ".join(near_keys(predicted_keys, key, most=3))
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
