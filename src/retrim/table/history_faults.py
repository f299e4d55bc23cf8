"""Where features from the past do not fit the table, in sentences."""

from collections.abc import Iterator, Mapping

import pandas as pd

from retrim.table.lags import HistoryParams, PastFeature


def history_faults(
    history: HistoryParams,
    columns: Mapping[str, tuple[str, str]],
    *,
    key: tuple[str, ...],
    task: str,
    horizon: str | None,
) -> list[str]:
    """Everything about `history` that the table cannot give."""
    faults = [*_entity(history, columns, key), *_ahead(history, columns)]
    for name, feature in history.columns.items():
        if name in columns:
            faults.append(f"features: {name!r} is also the name of a column in the table; rename that column")
        if feature.of not in columns:
            faults.append(f"features: {feature.of!r} is not a column; name one of: {', '.join(columns)}")
        else:
            faults += [f"features: {name!r}: {fault}" for fault in _feature(history, feature, columns, task, horizon)]
    return faults


def _entity(history: HistoryParams, columns: Mapping[str, tuple[str, str]], key: tuple[str, ...]) -> Iterator[str]:
    for name in history.entity:
        kind, role = columns.get(name, ("", ""))
        if not role:
            yield f"entity: {name!r} is not a column; name one of: {', '.join(columns)}"
        elif role in ("target", "time", "due"):
            yield f"entity: {name!r} has the role {role!r}; choose a column that identifies what a row is about"
        elif role == "forbidden" and name not in key:
            yield (
                f"entity: {name!r} has the role 'forbidden', and grouping rows by it would reveal it; choose a "
                "feature or a column of data.key"
            )
        elif kind == "number":
            yield f"entity: {name!r} is a number, which can be written in many ways; declare it as integer or category"


def _ahead(history: HistoryParams, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    features = [name for name, (_, role) in columns.items() if role == "feature"]
    for name in history.known_ahead:
        if name not in features:
            yield f"known_ahead: {name!r} is not a feature; name one of: {', '.join(features)}"
    if history.ahead is None:
        if history.known_ahead:
            yield "known_ahead: lists columns, but ahead is null; set ahead to a span, or set known_ahead to []"
        return
    unknown = [name for name in features if name not in history.known_ahead]
    if unknown:
        yield (
            f"ahead: known_ahead does not list {', '.join(map(repr, unknown))}; add each feature whose value is known "
            f"{history.ahead} before the event of the row, and set the role of any other to forbidden under columns "
            "(features of its past may stay)"
        )


def _feature(
    history: HistoryParams, feature: PastFeature, columns: Mapping[str, tuple[str, str]], task: str, horizon: str | None
) -> Iterator[str]:
    kind, role = columns[feature.of]
    binary = role == "target" and task == "binary"
    if kind not in ("number", "integer") and not binary and feature.stat != "count":
        yield (
            f"{feature.of!r} is a {kind}, but a lag or statistic needs a number; choose a numeric column, or write "
            "stat: count"
        )
    if feature.span_back is None:
        return
    back, ahead = pd.Timedelta(feature.span_back), pd.Timedelta(history.ahead or 0)
    if back <= ahead:
        yield f"the lag {feature.span_back} is not longer than ahead; set a lag longer than {history.ahead}"
    elif role in ("target", "forbidden") and horizon is not None and back < ahead + pd.Timedelta(horizon):
        least = f"label_horizon {horizon}" + (f" plus ahead {history.ahead}" if history.ahead else "")
        yield (
            f"the label {feature.of!r} of the row {feature.span_back} earlier is not due yet; set a lag of at least "
            f"{least}"
        )
