"""What had arrived by a moment: of rows or labels that landed more than once, the first and the latest."""

import pandas as pd


def first_known(
    rows: pd.DataFrame, labels: pd.DataFrame | None, target: str, as_of: pd.Timestamp
) -> "pd.Series[pd.Timestamp]":
    """When a label of each key first arrived, by key."""
    parts = [frame.loc[frame[target].notna(), ["_key", "_arrived"]] for frame in (rows, labels) if frame is not None]
    return first(pd.concat(parts), as_of)


def first(landed: pd.DataFrame, as_of: pd.Timestamp) -> "pd.Series[pd.Timestamp]":
    """When each key first arrived, by key."""
    seen = landed.loc[landed["_arrived"] <= as_of, ["_key", "_arrived"]].sort_values("_arrived", kind="stable")
    return seen.drop_duplicates("_key").set_index("_key")["_arrived"]


def latest(landed: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The latest arrival of each key."""
    seen = landed[landed["_arrived"] <= as_of]
    seen = seen.sort_values(["_arrived", "_batch"], kind="stable")
    return seen.drop_duplicates("_key", keep="last").reset_index(drop=True)
