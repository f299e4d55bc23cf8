"""How late labels come in windows, and whether enough windows are left to tell policies apart."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from retrim.core.policy.cut import Cut
from retrim.errors import RefusedError

COUNTED = 5  # of so many windows one has to count, and three in all
ALMOST = 0.1  # of a window: labels that come sooner count as immediate


def require_seen(delay: int, windows: int, span: pd.Timedelta) -> None:
    """Refuses a history of which labels come too late for anything to be said.

    Raises:
        RefusedError: Too few windows are left that tell policies apart.
    """
    left, least = max(windows - delay, 0), max(windows // COUNTED, 3)
    if left < least:
        raise RefusedError(
            f"labels come {delay} windows late, of {span / pd.Timedelta(1, 'D'):.3g} days each, so that {left} of "
            f"{windows} windows tell policies apart, and {least} are needed: nothing can be said of retraining; wait "
            "for more history, or say when labels come with --label-delay"
        )


def label_delay(event: pd.Series, came: pd.Series, span: pd.Timedelta) -> int:
    """Windows until labels are known.

    Args:
        event: Of each row, shape (n,).
        came: When its label was due and known, shape (n,).
        span: Of a window.
    """
    return int(max(np.ceil(pd.Timedelta((came - event).median()) / span - ALMOST), 0))


def newest_labels(came: pd.Series, moments: Sequence[pd.Timestamp]) -> list[pd.Timestamp]:
    """When the newest label had come by each moment; before the first of them, the moment itself.

    Args:
        came: When each label was due and known.
        moments: Ascending.
    """
    ordered = came.sort_values(ignore_index=True)
    places = ordered.searchsorted(pd.Series(moments), side="right")
    return [ordered.iloc[place - 1] if place else moment for place, moment in zip(places, moments, strict=True)]


def known_from(event: pd.Series, came: pd.Series, cut: Cut, *, delay: int) -> np.ndarray:
    """The first block, counted through all windows, before which a fit may know the label of each row, shape (n,).

    A fit before a block is made `delay` windows after it: a label that had not come by then, though it was due, cannot
    be known to it. Where the answer decides how late labels come, what is left is no fair sample, here as it is live.

    Args:
        event: Of each row, in total order, shape (n,).
        came: When its label was due and known, shape (n,).
        cut: Its windows and blocks.
        delay: Windows until labels are known.
    """
    begins = event.iloc[cut.starts].reset_index(drop=True)
    return np.asarray(begins.searchsorted(came, side="left") - delay * cut.blocks)
