"""Columns of any type against earlier windows as long: gone constant, gone missing, categories nobody knows."""

import numpy as np
import pandas as pd

from retrim.core.batches.concern import Concern, Gravity

SURELY = 20.0  # rows with another value that the least varied window promises: none of them is no chance
VARIED = 0.2  # share of other values in the least varied window, below which the commonest may be all for once
STAYS = 2.0  # times as many rows as the longest run of one value ever had
LATELY = 8  # newest windows
GONE = 0.95  # share missing from which a column is gone
MORE_MISSING = 0.4  # share missing that came on top of the most there was of late
UNKNOWN, ALL_UNKNOWN = 0.5, 0.9  # share of rows with unseen categories, on top of the most there ever was
FEW = 20  # values, in a column that is mostly missing: the first of its kind is all of them, and says nothing
SPELT = 0.05  # share of rows whose categories are known but for case, blanks and signs


def missing_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A column whose values are gone, or mostly."""
    share, most = float(values.isna().mean()), max(float(window.isna().mean()) for window in windows)
    if share <= most + MORE_MISSING:
        return None
    verdict: Gravity = "broken" if share >= GONE else "suspicious"
    text = f"{share:.0%} of its values are missing, at most {most:.0%} before"
    return Concern(verdict, "values missing", name, text)


def constant_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A column that has one value, where every window had others and no value ever stayed nearly as long.

    A month, a price list or a dry spell stays for as long as it does: the longest stay there was says how long.
    """
    present = values.dropna()
    if len(present) == 0 or (present != present.iloc[0]).any():
        return None
    others = min(1 - float(window.value_counts(normalize=True, dropna=False).iloc[0]) for window in windows)
    longest = _longest_stay(pd.concat(windows).dropna())
    if others * len(present) < SURELY or len(present) <= STAYS * longest:
        return None
    text = (
        f"all {len(present)} values are {present.iloc[0]!s}; before, at most {1 - others:.0%} were alike, and at most "
        f"{longest} in a row"
    )
    return Concern("broken" if others >= VARIED else "suspicious", "constant", name, text)


def _longest_stay(values: pd.Series) -> int:
    """Rows in the longest run of one value."""
    codes = pd.factorize(values)[0]
    ends = np.flatnonzero(np.diff(codes, append=-2))
    return int(np.diff(ends, prepend=-1).max(initial=0))


def category_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A category column whose categories are unknown, or spelt in another way."""
    present = values.dropna().astype("str")
    if len(present) == 0:
        return None
    known = {str(value) for window in windows for value in window.dropna().unique()}
    unseen = present[~present.isin(known)]
    if not len(unseen):
        return None
    plain = {_plain(value) for value in known}
    spelt = unseen[unseen.map(_plain).isin(plain)]
    if len(spelt) >= SPELT * len(present):
        text = (
            f"{len(spelt) / len(present):.0%} of its values are known but for their spelling, such as {spelt.iloc[0]!r}"
        )
        return Concern("broken", "spelling", name, text)
    if len(present) < FEW:
        return None
    # Where hardly any name was ever expected, what is new stands where nothing stood: it counts among all rows.
    expected = min(float(window.notna().mean()) for window in windows[-LATELY:]) * len(values)
    share, most = len(unseen) / len(present if expected >= FEW else values), _most_unseen(windows)
    if share <= most + UNKNOWN:
        few = share <= 2 * most + 0.01
        return None if few else Concern("drifted", "categories", name, f"{share:.0%} of its values are new")
    verdict: Gravity = "broken" if share >= ALL_UNKNOWN else "suspicious"
    text = f"{share:.0%} of its values were never seen, such as {unseen.iloc[0]!r}; at most {most:.0%} before"
    return Concern(verdict, "categories", name, text)


def _most_unseen(windows: list[pd.Series]) -> float:
    """The largest share of values, in any but the first windows, that no window before had; few values do not count."""
    seen: set[str] = set()
    most = 0.0
    for number, window in enumerate(windows):
        values = window.dropna().astype("str")
        if number >= len(windows) // 4 and number > 0 and len(values) >= FEW:
            most = max(most, float((~values.isin(seen)).mean()))
        seen |= set(values.unique())
    return most


def _plain(value: str) -> str:
    return "".join(sign for sign in value.casefold() if sign.isalnum())
