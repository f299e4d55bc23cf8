"""A version as a server holds it: loaded, tried on its reference rows, ready to answer one row or many."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import orjson
import pandas as pd

from retrim.errors import RefusedError
from retrim.features.view import FeatureView, row_digests
from retrim.gate.reference_rows import REFERENCE_ROWS, TOLERANCE, answers_of, farthest
from retrim.lineage.prediction_log import probabilities_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored, interval_width
from retrim.serving.checked_rows import Breaks, NeededColumns, check_rows
from retrim.serving.one_row import OneRow, PlainRow, UnusualRowError, asker_of, bounds_of, make_one_row, suite_to_ask
from retrim.serving.predict import history_of, needed_columns
from retrim.serving.request_rows import Asked, WrongRequestError, rejected_cells, rows_of_json
from retrim.serving.rows_in import LoadedRows
from retrim.stats.codec import from_parquet
from retrim.table.data import row_keys
from retrim.table.reading import ReadingParams
from retrim.training.bundle import Predictor
from retrim.training.predicted import largest_contributions, predicted_columns


class RowAnswer(NamedTuple):
    """What is said of a row, in the order of the prediction log.

    Args:
        event: In microseconds since 1970.
        label: The class, of several.
        probabilities: By class.
        features: Digest of the features, as the version sees them.
        unseen: Columns with a category that training did not know; None without any.
    """

    key: str
    event: int | None
    prediction: float
    label: str | None
    lower: float | None
    upper: float | None
    probabilities: dict[str, float] | None
    decision: bool | None
    features: str
    unseen: list[str] | None


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers.

    Args:
        version: Its number.
        predictor: Of its bundle.
        needs: What it takes of a row.
        breaks: What asks the suite.
        reading: How text in rows is spelled.
        key: Columns that name a row.
        width: Half the width of the interval around a number.
        one: The short way for a plain row; None where it has none.
    """

    version: int
    predictor: Predictor
    needs: NeededColumns
    breaks: Breaks
    reading: ReadingParams
    key: tuple[str, ...]
    width: float | None
    one: OneRow | None

    @property
    def view(self) -> FeatureView:
        return self.predictor.view

    def answer_one(self, row: Mapping[str, Any], request: str) -> RowAnswer:
        """What is said of a plain row of JSON.

        Raises:
            UnusualRowError: It is not plain; `answer` takes it.
        """
        if self.one is None:
            raise UnusualRowError
        plain = self.one.read(row)
        predicted = self.predictor.model.predict(plain.matrix)
        key = f"{request}:0" if plain.key is None else plain.key
        return self._said_of_one(key, plain, predicted)

    def _said_of_one(self, key: str, row: PlainRow, predicted: np.ndarray) -> RowAnswer:
        """`predicted_columns` for one row."""
        label = lower = upper = shares = decision = None
        if predicted.ndim == 2:
            values = predicted[0].tolist()
            value, label = max(values), self.view.classes[int(predicted[0].argmax())]
            shares = dict(zip(self.view.classes, values, strict=True))
        else:
            value = float(predicted[0])
            if self.predictor.threshold is not None:
                decision = value >= self.predictor.threshold
            elif self.view.task == "regression" and self.width is not None:
                lower, upper = value - self.width, value + self.width
        (features,) = row_digests(row.matrix)
        return RowAnswer(key, row.event, value, label, lower, upper, shares, decision, features, row.unseen)

    def answer(self, loaded: LoadedRows, request: str) -> list[RowAnswer]:
        """What is said of each row of a request.

        Raises:
            WrongRequestError: A cell cannot be used; then nothing is answered.
            BadInputError: A column is stored as what it cannot be.
        """
        frame = self._checked(loaded)
        predicted = self.predictor.predict(frame)
        columns = predicted_columns(self.view, predicted, self.predictor.decide(predicted), self.width)
        shares: list[Any] = [None] * len(frame)
        if self.view.task == "multiclass":
            shares = [dict(pairs) for pairs in probabilities_of(predicted, self.view.classes).to_pylist()]
        told = [columns[name].to_pylist() for name in ("prediction", "class", "lower", "upper")]
        keys, events = self._keys(frame, request), self._events(frame)
        decisions, unseen = columns["decision"].to_pylist(), self._unseen(frame)
        columns_told = (keys, events, *told, shares, decisions, self.view.digests(frame), unseen)
        return [RowAnswer(*each) for each in zip(*columns_told, strict=True)]

    def _unseen(self, frame: pd.DataFrame) -> list[list[str] | None]:
        """Of each row the columns with a category that training did not know; None without any."""
        found: list[list[str] | None] = [None] * len(frame)
        for name, values in self.view.unseen_values(frame.reset_index(drop=True)).items():
            for row in values.index:
                found[row] = [*(found[row] or ()), name]
        return found

    def _checked(self, loaded: LoadedRows) -> pd.DataFrame:
        checked = check_rows(loaded, "the request", self.needs, self.reading, self.breaks)
        if len(checked.rejected):
            raise WrongRequestError(rejected_cells(checked.rejected))
        return checked.frame

    def explain(self, loaded: LoadedRows) -> list[dict[str, float]]:
        """What each feature adds to the raw score of each row, the largest first: as `retrim predict --explain`.

        Raises:
            As `answer`.
            RefusedError: The model has no exact contributions.
        """
        frame = self._checked(loaded)
        matrix = self.view.matrix(frame)
        most = len(self.view.needs)
        columns = largest_contributions(self.predictor, matrix, self.predictor.predict(frame), most)
        told = {name: values.to_pylist() for name, values in columns.items()}
        return [
            {told[f"feature {k}"][row]: told[f"contribution {k}"][row] for k in range(1, most + 1)}
            for row in range(len(frame))
        ]

    def _keys(self, frame: pd.DataFrame, request: str) -> list[str]:
        own = [f"{request}:{row}" for row in range(len(frame))]
        if not self.key or not set(self.key) <= set(frame):
            return own
        keys = row_keys(frame, self.key, "")
        return keys.where(keys.notna(), pd.Series(own, index=keys.index, dtype="str")).tolist()

    def _events(self, frame: pd.DataFrame) -> list[int | None]:
        if self.needs.time not in frame:
            return [None] * len(frame)
        times = frame[self.needs.time]
        micros: list[int | None] = times.dt.tz_convert(None).to_numpy("datetime64[us]").astype("int64").tolist()
        return [None if gone else micro for micro, gone in zip(micros, times.isna(), strict=True)]

    def as_record(self, said: RowAnswer) -> dict[str, Any]:
        """What is said of a row, as an answer has it: without what the version never says."""
        record: dict[str, Any] = {"key": said.key, "prediction": said.prediction}
        if self.view.task == "multiclass":
            record |= {"class": said.label, "probabilities": said.probabilities}
        elif self.view.task == "regression" and self.width is not None:
            record |= {"lower": said.lower, "upper": said.upper}
        if self.predictor.threshold is not None:
            record["decision"] = said.decision
        return record if said.unseen is None else {**record, "unseen": said.unseen}


def said_of(version: ServedVersion, asked: Asked) -> list[RowAnswer]:
    """What a version says of each row of a request, of a plain one by the short way where it has one.

    Raises:
        As `ServedVersion.answer`.
    """
    body, request = asked
    try:
        row = orjson.loads(body)
        if type(row) is dict:
            return [version.answer_one(row, request)]
    except UnusualRowError:
        pass
    return version.answer(rows_of_json(body, version.needs, version.reading), request)


def serve_version(workspace: Workspace, found: Stored) -> ServedVersion:
    """A stored version, loaded and tried.

    Raises:
        RefusedError: It does not answer its reference rows as it did when it was made.
        BadInputError: The suite cannot be read.
    """
    data, reading, predictor = workspace.params.data, workspace.params.reading, found.predictor
    from_past = set(history_of(workspace, found.version).columns)
    needs, _ = needed_columns(workspace, found, from_past, suite_to_ask)
    needs = replace(needs, required={**needs.required, **dict.fromkeys(needs.made, "number")}, made=())
    bounds = bounds_of(needs.suite, needs.required)
    key = data.key
    _try(found)
    return ServedVersion(
        found.version,
        predictor,
        needs,
        asker_of(bounds),
        reading,
        key,
        interval_width(found),
        make_one_row(predictor, needs, bounds, reading, key),
    )


def _try(found: Stored) -> None:
    """Asks a version its reference rows; older bundles have none."""
    if REFERENCE_ROWS not in found.files:
        _ = found.predictor.model
        return
    reference = from_parquet(found.files[REFERENCE_ROWS])
    apart = farthest(found.predictor.predict(reference), answers_of(reference))
    if apart > TOLERANCE:
        raise RefusedError(
            f"predictions of version {found.version} for its stored reference rows differ from the recorded ones by "
            f"{apart:.1e}, more than the {TOLERANCE:.0e} allowed; install the packages in its requirements.lock"
        )
