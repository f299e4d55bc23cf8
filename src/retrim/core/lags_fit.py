"""Where features from the past do not fit the table, in sentences."""

from collections.abc import Iterator, Mapping

import pandas as pd

from retrim.core.lags import HistoryParams, PastFeature


def history_faults(
    history: HistoryParams,
    columns: Mapping[str, tuple[str, str]],
    *,
    key: tuple[str, ...],
    task: str,
    horizon: str | None,
) -> list[str]:
    """Everything about `history` that the table cannot give.

    Args:
        history: What is asked for.
        columns: Type and role of each column of the table.
        key: Columns that name a landed row, known with it whatever their role.
        task: regression, binary or multiclass.
        horizon: Span after which a label is due; None where a column says it.
    """
    found = [*_entity(history, columns, key), *_ahead(history, columns)]
    for name, feature in history.columns.items():
        if name in columns:
            found.append(f"features: a column of the table is called {name!r} too; rename that one")
        if feature.of not in columns:
            found.append(f"features: {feature.of!r} is no column; columns: {', '.join(columns)}")
        else:
            found += [f"features: {name!r}: {fault}" for fault in _feature(history, feature, columns, task, horizon)]
    return found


def _entity(history: HistoryParams, columns: Mapping[str, tuple[str, str]], key: tuple[str, ...]) -> Iterator[str]:
    for name in history.entity:
        kind, role = columns.get(name, ("", ""))
        if not role:
            yield f"entity: {name!r} is no column; columns: {', '.join(columns)}"
        elif role in ("target", "time", "due"):
            yield f"entity: {name!r} has the role {role!r}; name a column that says what a row is about"
        elif role == "forbidden" and name not in key:
            yield (
                f"entity: {name!r} has the role 'forbidden', and rows grouped by it tell it; name a feature or a part "
                "of data.key"
            )
        elif kind == "number":
            yield f"entity: {name!r} is a number, which has many spellings; declare it integer or category"


def _ahead(history: HistoryParams, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    own = [name for name, (_, role) in columns.items() if role == "feature"]
    for name in history.known_ahead:
        if name not in own:
            yield f"known_ahead: {name!r} is no feature; features: {', '.join(own)}"
    if history.ahead is None:
        if history.known_ahead:
            yield "known_ahead: says what is known before the event, but ahead is null; give the span, or leave it []"
        return
    unknown = [name for name in own if name not in history.known_ahead]
    if unknown:
        yield (
            f"ahead: nothing says that {', '.join(map(repr, unknown))} is known {history.ahead} before its row's event"
            "; list each feature in known_ahead, or give it the role forbidden under columns (features from its past "
            "may stay)"
        )


def _feature(
    history: HistoryParams, feature: PastFeature, columns: Mapping[str, tuple[str, str]], task: str, horizon: str | None
) -> Iterator[str]:
    kind, role = columns[feature.of]
    binary = role == "target" and task == "binary"
    if kind not in ("number", "integer") and not binary and feature.stat != "count":
        yield f"{feature.of!r} is a {kind}; a lag or statistic is of a number, only stat: count of anything"
    if feature.span_back is None:
        return
    back, ahead = pd.Timedelta(feature.span_back), pd.Timedelta(history.ahead or 0)
    if back <= ahead:
        yield f"the row {feature.span_back} back is not known {history.ahead} ahead; write a lag above {history.ahead}"
    elif role in ("target", "forbidden") and horizon is not None and back < ahead + pd.Timedelta(horizon):
        least = f"label_horizon {horizon}" + (f" and ahead {history.ahead}" if history.ahead else "")
        yield (
            f"{feature.of!r} of the row {feature.span_back} back is not due by then; write a lag of at least {least}"
            + (" together" if history.ahead else "")
        )
