"""The predictions that matured rows are measured by: as served, where one was before the label was due."""

from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pandas as pd

from retrim.checking.score import have_landed_features, stored_values
from retrim.decision.served_predictions import ServedPredictions, Skew, skews_of
from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView
from retrim.lineage.prediction_log import span_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import load_stored_version
from retrim.training.bundle import Predictor


def predictions_of(
    workspace: Workspace, rows: pd.DataFrame, champion: Predictor, version: int, *, now: pd.Timestamp
) -> tuple[np.ndarray, ServedPredictions]:
    """The prediction of each row as it was served; where none was stored in time, as of now.

    In time is before the label was due, or of a table whose rows land with their labels, before this check.

    The oldest counts: a later champion predicts rows again that are still without a label, and nobody acted on that. An
    answer to a request counts if the request had the features that the row landed with, so that no client chooses it.

    Args:
        rows: Mature rows with their columns and `_due`, shape (n,), n at least 1.

    Returns:
        Shape (n,) or (n, classes), in the classes of the live version; and what they are.
    """
    now_by_champion = champion.predict(champion.view.seen(rows))
    predicted = np.array(now_by_champion)
    stored = _stored_in_time(workspace, rows, now=now)
    versions: list[int] = sorted(stored["version"].unique().tolist())
    makers = {number: champion if number == version else _predictor(workspace, number) for number in versions}
    chosen = _served_or_unlike(stored, rows, makers)
    by_version, unreadable, compared = {}, 0, []
    for number, maker in makers.items():
        part = chosen[chosen["version"] == number]
        if not len(part):
            continue
        view = champion.view if maker is None else maker.view
        values = stored_values(part, view)
        usable = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        unreadable += int((~usable & part["counts"].to_numpy()).sum())
        if not usable.any() or not _comparable(view, champion.view):
            continue
        part, values = part[usable], values[usable]
        if maker is not None and set(maker.view.needs) <= set(rows.columns):
            landed = rows.iloc[part["place"]]
            again = now_by_champion[part["place"]] if maker is champion else maker.predict(maker.view.seen(landed))
            compared.append(part.assign(skew=skews_of(values, again)))
        counts = part["counts"].to_numpy()
        predicted[part["place"].to_numpy()[counts]] = in_classes(values[counts], view, champion.view)
        if counts.any():
            by_version[number] = int(counts.sum())
    return predicted, ServedPredictions(
        by_version, len(rows) - sum(by_version.values()), unreadable, _skew(workspace, compared)
    )


def _stored_in_time(workspace: Workspace, rows: pd.DataFrame, *, now: pd.Timestamp) -> pd.DataFrame:
    """Predictions of rows that were stored in time, the oldest first.

    Returns:
        As `PredictionLog.answers`, with `place`, the number of the row, and `is_request`.
    """
    logs, span = workspace.predictions, span_of(rows["_event"])
    every = pd.concat(
        [
            logs.answers(None, rows["_key"], span).assign(is_request=False),
            logs.of_role("request").answers(None, rows["_key"], span).assign(is_request=True),
        ]
    ).sort_values(["at", "version"], kind="stable", ignore_index=True)
    every["place"] = pd.Index(rows["_key"]).get_indexer(pd.Index(every["key"]))
    is_in_time = (every["at"] < rows["_due"].iloc[every["place"]].to_numpy()).to_numpy()
    if workspace.params.data.labels != "later":  # labels land with their rows, so that no landed row is without
        is_of_landing = ~every["is_request"].to_numpy(dtype=bool)
        is_in_time = is_in_time | (is_of_landing & (every["at"] < now).to_numpy())
    in_time: pd.DataFrame = every[is_in_time]
    return in_time


def _served_or_unlike(stored: pd.DataFrame, rows: pd.DataFrame, makers: Mapping[int, Predictor | None]) -> pd.DataFrame:
    """Of each row the prediction that counts, and the newest request with other features where all had others.

    Args:
        rows: Mature rows, shape (n, columns).
        makers: By version; None where its bundle is gone, so that its requests cannot be compared.

    Returns:
        Columns of `stored`, with `counts`; the requests that do not count come last.
    """
    counts = ~stored["is_request"].to_numpy()
    for number, maker in makers.items():
        requests = np.flatnonzero(stored["is_request"].to_numpy() & (stored["version"] == number).to_numpy())
        if maker is not None:
            landed = rows.iloc[stored["place"].iloc[requests]]
            counts[requests] = have_landed_features(maker.view, landed, stored["features"].iloc[requests])
    like = set(stored["place"][stored["is_request"] & counts])
    served = stored[counts].drop_duplicates("place").assign(counts=True)
    unlike = stored[~counts & ~stored["place"].isin(like)].drop_duplicates("place", keep="last").assign(counts=False)
    return pd.concat([served, unlike])


def _predictor(workspace: Workspace, version: int) -> Predictor | None:
    """A version's predictor; None where its bundle is gone or altered: what it served stands anyway."""
    with suppress(BadInputError, RefusedError):
        predictor = load_stored_version(workspace, version).predictor
        _ = predictor.model  # loaded here, where it may fail
        return predictor
    return None


def _comparable(view: FeatureView, champion: FeatureView) -> bool:
    """Whether predictions of one are such of the other: of several classes they may know others."""
    return view.task == champion.task and (view.task == "multiclass" or view.classes == champion.classes)


def in_classes(served: np.ndarray, view: FeatureView, champion: FeatureView) -> np.ndarray:
    """Probabilities in the live version's classes; one that a version did not know had none."""
    if view.task != "multiclass" or view.classes == champion.classes:
        return served
    numbers = {name: number for number, name in enumerate(view.classes)}
    columns = [served[:, numbers[name]] if name in numbers else np.zeros(len(served)) for name in champion.classes]
    return np.column_stack(columns)


def _skew(workspace: Workspace, compared: list[pd.DataFrame]) -> Skew | None:
    if not compared:
        return None
    each_once = pd.concat(compared).sort_values("counts", kind="stable").drop_duplicates("place")
    keys, versions = each_once["key"].tolist(), each_once["version"].tolist()
    ids = zip(each_once["request_id"], each_once["is_request"], strict=True)
    requests = [str(request) if is_request else None for request, is_request in ids]
    return Skew.of(keys, versions, requests, each_once["skew"].to_numpy(), workspace.params.served)
