"""Stored predictions as tests make them."""

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from retrim.lineage.prediction_log import SCHEMA


def predicted_rows(
    keys: Sequence[str],
    values: Sequence[float],
    *,
    event: pd.Timestamp | pd.DatetimeIndex,
    at: pd.Timestamp,
    batch: str | None = None,
    request: str = "r",
    features: str | None = None,
) -> pa.Table:
    """Predictions of rows of one event, or of one each; those of a request have `features`."""
    n = len(keys)
    events = [event] * n if isinstance(event, pd.Timestamp) else list(event)
    given = {"key": list(keys), "prediction": list(values), "batch": [batch] * n, "request_id": [request] * n}
    given |= {"features": [features] * n}
    given |= {"event_time": [each.to_pydatetime() for each in events], "at": [at.to_pydatetime()] * n}
    return pa.table({field.name: pa.array(given.get(field.name, [None] * n), field.type) for field in SCHEMA})
