"""Local times of the hour that comes twice when clocks go back: which of the two a row is of, by the order of the rows.

02:00  02:15  02:30  02:45  02:00  02:15   the clock went back between the fourth and the fifth: they are the later
02:00  02:00  02:15  02:15                 a source that sorts by local time: of two equal ones the second is it
"""

import numpy as np
import pandas as pd

DAY = 86_400_000_000  # microseconds
USUAL = 1.9  # a local time of that hour has about twice as many rows as others have


def later_hours(
    earlier: pd.Series, later: pd.Series, group: np.ndarray, *, names_rows: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the rows of the later of the two hours, and of those that may be of either, as nothing tells them apart.

    Args:
        earlier: Each row's instant if it is of the earlier one, in the order of the file.
        group: A number a series that rows belong to: each has an order of its own.
    """
    twice = (earlier.notna() & (earlier != later)).to_numpy()
    is_later, either = np.zeros(len(earlier), dtype=bool), np.zeros(len(earlier), dtype=bool)
    if not twice.any():
        return is_later, either
    number, tick = np.arange(len(earlier)), earlier.dt.as_unit("us").astype("int64").to_numpy()
    order = np.lexsort((number, group))
    steps = np.diff(tick[order])[np.diff(group[order]) == 0]
    if (steps < 0).sum() > (steps > 0).sum():  # the newest first
        order = np.lexsort((-number, group))
    marked = twice[order]
    rows = pd.DataFrame({"place": order, "group": group[order], "tick": tick[order]})
    rows["run"] = _runs(rows, marked)
    usual = _stretches(rows[~marked]).median() if (~marked).any() else 1.0
    rows = rows[marked].copy()
    rows["change"] = _changes(rows["tick"])
    went_back = rows.groupby("run")["tick"].diff().lt(0)
    rows["later"] = went_back.groupby(rows["run"]).cummax()
    if names_rows:
        equal = rows.groupby(["group", "change", "tick"])["tick"]
        rows["later"] = rows["later"].where(equal.transform("size") < 2, equal.cumcount() > 0)
    else:
        rows["later"] |= _halves(rows, usual)
    settled = rows.groupby(["group", "change"])["later"].transform("any")
    is_later[rows["place"]] = rows["later"]
    either[rows["place"]] = ~settled
    return is_later, either


def _changes(ticks: pd.Series) -> pd.Series:
    """A number a change of the clock: times of one lie within a day."""
    seen = np.unique(ticks)
    number = np.concatenate([[0], np.cumsum(np.diff(seen) > DAY)])
    return pd.Series(number[np.searchsorted(seen, ticks)], index=ticks.index)


def _runs(rows: pd.DataFrame, marked: np.ndarray) -> np.ndarray:
    """A number a run of neighbours of one series and one change whose hour comes twice."""
    near = rows["group"].diff().eq(0) & rows["tick"].diff().abs().lt(DAY) & marked & np.append(False, marked[:-1])
    return np.cumsum(~near.to_numpy())


def _stretches(rows: pd.DataFrame) -> pd.Series:
    """How many neighbours have the same time, for each such stretch."""
    begins = rows["tick"].diff().ne(0) | rows["group"].diff().ne(0)
    return begins.groupby(begins.cumsum()).size()


def _halves(rows: pd.DataFrame, usual: float) -> pd.Series:
    """The second half of each stretch of equal times, in runs that never go back and have about twice as many rows."""
    begins = rows["tick"].diff().ne(0) | rows["run"].diff().ne(0)
    stretch = begins.cumsum()
    size, number = begins.groupby(stretch).transform("size"), begins.groupby(stretch).cumcount()
    regular = (size.ge(USUAL * usual) & ~rows["later"]).groupby(rows["run"]).transform("all")
    return regular & (number >= size // 2)
