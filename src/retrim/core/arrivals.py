"""What had arrived by a moment: of rows or labels that landed more than once, the first and the latest."""

import pandas as pd


def first_known(rows: pd.DataFrame, labels: pd.DataFrame | None, target: str, as_of: pd.Timestamp) -> pd.DataFrame:
    """`_key` and `_arrived` of the first label of each key."""
    parts = [frame.loc[frame[target].notna(), ["_key", "_arrived"]] for frame in (rows, labels) if frame is not None]
    return first(pd.concat(parts), as_of)


def first(landed: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """`_key` and `_arrived` of the first arrival of each key."""
    seen = landed.loc[landed["_arrived"] <= as_of, ["_key", "_arrived"]]
    if not seen["_key"].duplicated().any():  # as most are, and then they need not be sorted
        return seen
    return seen.sort_values("_arrived", kind="stable").drop_duplicates("_key")


def latest(landed: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The latest arrival of each key, in no order."""
    seen = landed[landed["_arrived"] <= as_of]
    if seen["_key"].duplicated().any():
        seen = seen.sort_values(["_arrived", "_batch"], kind="stable")
        seen = seen.drop_duplicates("_key", keep="last")
    return seen.reset_index(drop=True)
