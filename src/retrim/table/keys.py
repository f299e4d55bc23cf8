"""Rows by key: the first and the latest arrival of each, a column looked up by it, and rows in total order."""

import numpy as np
import pandas as pd


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


def at_keys(keys: pd.Series, known: pd.DataFrame, column: str) -> pd.Series:
    """A column of `known` for each of `keys`, with its type; missing where `known` has no such key.

    Returns:
        Shape (n,), with the index of `keys`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    # One length of text for both: pandas has long ones, a frame without rows may have others.
    wanted, among = (pa.array(texts.astype("str")).cast(pa.large_string()) for texts in (keys, known["_key"]))
    places = pc.fill_null(pc.index_in(wanted, value_set=_one(among)), -1).to_numpy(zero_copy_only=False)
    values = known[column].reset_index(drop=True)
    return values.reindex(places).set_axis(keys.index)  # reindex keeps the type, also where nothing is found


def _one(array: "object") -> "object":
    import pyarrow as pa

    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def total_order(event: pd.Series, key: pd.Series) -> np.ndarray:
    """Row numbers in order of event time, rows of one time in order of their key, shape (n,)."""
    at = event.to_numpy(dtype="datetime64[ns]" if event.dt.unit == "ns" else "datetime64[us]")
    order = np.argsort(at, kind="stable")
    alike = at[order][1:] == at[order][:-1]
    tied = np.flatnonzero(np.append(alike, False) | np.append(False, alike))
    if len(tied):  # keys are text, dear to sort: only those that decide
        within = pd.DataFrame({"event": at[order[tied]], "key": key.to_numpy()[order[tied]]})
        within["key"] = within["key"].astype("str")
        order[tied] = order[tied][within.sort_values(["event", "key"], kind="stable").index.to_numpy()]
    return order


def row_keys(rows: pd.DataFrame, key: tuple[str, ...], batch: str) -> pd.Series:
    r"""The key of each row as one string: values joined by `|`, times in ISO 8601.

    A `|` within a value of several is written `\|`.

    Returns:
        Strings, shape (n,), index of `rows`.
    """
    if not key:
        return pd.Series([f"{batch}:{number}" for number in range(len(rows))], index=rows.index, dtype="str")
    parts = [_as_text(rows[name]) for name in key]
    if len(parts) > 1:
        # Else ("a|b", "c") and ("a", "b|c") were one key.
        parts = [part.str.replace("\\", "\\\\").str.replace("|", "\\|") for part in parts]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "|" + part
    return joined


def _as_text(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        text = values.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str.removesuffix(".000000")
        return pd.Series(text, dtype="str")
    if pd.api.types.is_float_dtype(values):
        numbers = values.map(lambda value: repr(int(value)) if value == int(value) else repr(value), na_action="ignore")
        return pd.Series(numbers, dtype="str")
    return values.astype("str")
