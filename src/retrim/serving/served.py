"""A version as a server holds it: loaded, tried on its reference rows, ready to answer one row or many."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import isfinite, nan
from typing import Any, NamedTuple

import pandas as pd

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.features.view import FeatureView, row_digests
from retrim.gate.reference_rows import REFERENCE_ROWS, TOLERANCE, answers_of, farthest
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored, interval_width
from retrim.serving.needed_columns import NeededColumns, history_of, needed_columns
from retrim.serving.one_row import OneRow, ReadRows, UnusualRowError
from retrim.serving.past_features import PastInMemory
from retrim.serving.request_rows import typed_rows
from retrim.serving.rules import rule_of
from retrim.stats.codec import from_parquet
from retrim.table.keys import row_keys
from retrim.table.reading import ReadingParams
from retrim.training.bundle import Predictor
from retrim.training.estimators import is_own
from retrim.training.predicted import base_values, largest_contributions


class RowAnswer(NamedTuple):
    """What is said of a row, in the order of the prediction log.

    Args:
        event: In microseconds since 1970.
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
        key: Columns that name a row.
        width: Half the width of the interval around a number.
        one: The short way for a plain row; None where it has none.
        past: Makes the features from the past of rows that do not bring them; None: the version has none.
        past_needs: What such rows need in their place.
    """

    version: int
    predictor: Predictor
    needs: NeededColumns
    reading: ReadingParams
    key: tuple[str, ...]
    width: float | None
    one: OneRow | None
    past: PastInMemory | None = None
    past_needs: NeededColumns | None = None

    @property
    def view(self) -> FeatureView:
        return self.predictor.view

    def answer(self, rows: Sequence[Mapping[str, Any]], request: str) -> list[RowAnswer]:
        """What is said of each row of a request.

        Raises:
            WrongRequestError: A cell cannot be used; then nothing is answered.
            BadInputError: A column is stored as what it cannot be.
        """
        matrix, keys, events, unseen_columns = self._read(rows)
        predicted, digests = self.predictor.model.predict(matrix).tolist(), row_digests(matrix)
        classes = self.view.classes
        answers = []
        for row, (output, key, event, features, unseen) in enumerate(
            zip(predicted, keys, events, digests, unseen_columns, strict=True)
        ):
            value, label, lower, upper, shares, decision = output, None, None, None, None, None
            if self.view.task == "multiclass":
                value = max(output)
                label, shares = classes[output.index(value)], dict(zip(classes, output, strict=True))
            elif self.predictor.threshold is not None:
                decision = value >= self.predictor.threshold
            elif self.width is not None:
                lower, upper = value - self.width, value + self.width
            name = f"{request}:{row}" if key is None else key
            answers.append(RowAnswer(name, event, value, label, lower, upper, shares, decision, features, unseen))
        return answers

    def _read(self, rows: Sequence[Mapping[str, Any]]) -> ReadRows:
        """Rows of a request, a plain one the short way."""
        if self.one is not None and len(rows) == 1:
            with suppress(UnusualRowError):
                return self.one.read(rows[0])
        frame = self._frame(rows)
        return self.view.matrix(frame), self._keys(frame), self._events(frame), self._unseen(frame)

    def _frame(self, rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
        """The rows as the version takes them; features from the past are made where a row does not bring all."""
        if self.past is None or self.past_needs is None:
            return typed_rows(rows, self.needs, self.reading)
        made = [name for name in self.needs.required if name not in self.past_needs.required]
        if all(name in row for row in rows for name in made):
            return typed_rows(rows, self.needs, self.reading)
        frame = typed_rows(rows, self.past_needs, self.reading)
        features = self.past.features(frame)
        return frame.assign(**{name: features[name] for name in made})

    def explain(self, rows: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, float]], list[float]]:
        """What each feature adds to the raw score of each row, the largest first: as `retrim predict --explain`.

        Returns:
            Contributions by feature, and of each row the base value: both together are the raw score.

        Raises:
            WrongRequestError: A cell cannot be used.
            RefusedError: The model has no exact contributions.
        """
        frame = self._frame(rows)
        matrix, most = self.view.matrix(frame), len(self.view.needs)
        predicted = self.predictor.predict(frame)
        columns = largest_contributions(self.predictor, matrix, predicted, most)
        parts = {name: values.to_pylist() for name, values in columns.items()}
        contributions = [
            {parts[f"feature {k}"][row]: parts[f"contribution {k}"][row] for k in range(1, most + 1)}
            for row in range(len(frame))
        ]
        return contributions, base_values(self.predictor, matrix, predicted).tolist()

    def checked_default(self, value: float | str) -> float | str:
        """A declared answer, as this version would give one: a number, a probability, or a class.

        Raises:
            BadInputError: It is none.
        """
        if self.view.task == "multiclass":
            if value not in self.view.classes:
                raise UnknownNameError("class", str(value), self.view.classes)
            return value
        try:
            number = float(value)
        except ValueError:
            number = nan
        if not isfinite(number) or (self.view.task == "binary" and not 0 <= number <= 1):
            what = "a probability from 0 to 1" if self.view.task == "binary" else "a number"
            raise BadInputError(f"the default {value!r} is not {what}, which this model predicts; pass one")
        return number

    def _keys(self, frame: pd.DataFrame) -> list[str | None]:
        if not self.key or not set(self.key) <= set(frame):
            return [None] * len(frame)
        keys = row_keys(frame, self.key, "")
        return [None if blank else key for key, blank in zip(keys, keys.isna(), strict=True)]

    def _unseen(self, frame: pd.DataFrame) -> list[list[str] | None]:
        unseen: list[list[str] | None] = [None] * len(frame)
        for name, values in self.view.unseen_values(frame.reset_index(drop=True)).items():
            for row in values.index:
                unseen[row] = [*(unseen[row] or ()), name]
        return unseen

    def _events(self, frame: pd.DataFrame) -> list[int | None]:
        if self.needs.time not in frame:
            return [None] * len(frame)
        times = frame[self.needs.time]
        micros: list[int | None] = times.dt.tz_convert(None).to_numpy("datetime64[us]").astype("int64").tolist()
        return [None if gone else micro for micro, gone in zip(micros, times.isna(), strict=True)]

    def as_record(self, answer: RowAnswer) -> dict[str, Any]:
        """What is said of a row, as an answer has it: without what the version never says."""
        record: dict[str, Any] = {"key": answer.key, "prediction": answer.prediction}
        if self.view.task == "multiclass":
            record |= {"class": answer.label, "probabilities": answer.probabilities}
        elif self.view.task == "regression" and self.width is not None:
            record |= {"lower": answer.lower, "upper": answer.upper}
        if self.predictor.threshold is not None:
            record["decision"] = answer.decision
        return record if answer.unseen is None else {**record, "unseen": answer.unseen}


def serve_version(workspace: Workspace, stored: Stored) -> ServedVersion:
    """A stored version, loaded and tried.

    Raises:
        RefusedError: It does not answer its reference rows as it did when it was made.
        BadInputError: The suite cannot be read.
    """
    data, reading, predictor = workspace.params.data, workspace.params.reading, stored.predictor
    past = history_of(workspace, stored.version)
    needs, _ = needed_columns(workspace, stored, set(past.columns))
    past_needs, history = needed_columns(workspace, stored, set())
    needs = replace(needs, required={**needs.required, **dict.fromkeys(needs.past, "number")}, past=())
    rules = [rule_of(expectation, needs.required) for expectation in needs.suite.expectations]
    one, in_memory = None, None
    if history is not None:
        in_memory = PastInMemory(workspace, history, stored.predictor.view.needs)
    elif None not in rules and not predictor.view.steps and not is_own(predictor.recipe.model):
        one = OneRow(predictor, needs, [rule for rule in rules if rule is not None], reading, data.key)
    _try(stored)
    width = interval_width(stored)
    return ServedVersion(stored.version, predictor, needs, reading, data.key, width, one, in_memory, past_needs)


def _try(stored: Stored) -> None:
    """Asks a version its reference rows; older bundles have none."""
    if REFERENCE_ROWS not in stored.files:
        _ = stored.predictor.model
        return
    reference = from_parquet(stored.files[REFERENCE_ROWS])
    apart = farthest(stored.predictor.predict(reference), answers_of(reference))
    if apart > TOLERANCE:
        raise RefusedError(
            f"predictions of version {stored.version} for its stored reference rows differ from the recorded ones by "
            f"{apart:.1e}, more than the {TOLERANCE:.0e} allowed; install the packages in its requirements.lock"
        )
