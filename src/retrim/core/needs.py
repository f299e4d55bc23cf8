"""Which columns of the table a stored version reads: its features, what they are made of, its target, its groups."""

import json
from collections.abc import Mapping

from retrim.core.bundle_format import HISTORY, THRESHOLDS, VIEW
from retrim.core.lags import HistoryParams, past_takes
from retrim.core.table import ColumnType

READ = (VIEW, HISTORY, THRESHOLDS)
"""Files of a bundle that say it."""


def needs_of(files: Mapping[str, bytes]) -> dict[str, ColumnType]:
    """Columns of landed rows that predicting and judging with a bundle take, and their types when it was made.

    A column that is only the source of a feature from the past, or makes groups, is a number where nothing says
    otherwise: read as such it holds what can be read of it.

    Args:
        files: Of the bundle, by relative name.
    """
    view = json.loads(files[VIEW])
    history = HistoryParams.model_validate_json(files[HISTORY]) if HISTORY in files else None
    made = set() if history is None else set(history.columns)
    needs: dict[str, ColumnType] = {each["name"]: each["type"] for each in view["features"] if each["name"] not in made}
    needs[view["target"]] = "number" if view["task"] == "regression" else "category"
    if view.get("time"):
        needs[view["time"]] = "time"
    if history is not None:
        for name in sorted(past_takes(history)):
            needs.setdefault(name, "category" if name in history.entity else "number")
    for thresholds in json.loads(files.get(THRESHOLDS, b"{}")).values():
        for group in thresholds["groups"] if thresholds else ():
            needs.setdefault(group["column"], "number" if group["cuts"] else "category")
    return needs
