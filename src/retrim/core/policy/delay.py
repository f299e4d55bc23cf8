"""How late labels come in windows, and whether enough windows are left to tell policies apart."""

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


def label_delay(table: pd.DataFrame, span: pd.Timedelta, *, later: bool) -> int:
    """Windows until labels are known: where they come with their rows, until they are due."""
    known = table["_matured"] if later else table["_due"]
    late = pd.Timedelta((known - table["_event"]).median())
    return int(max(np.ceil(late / span - ALMOST), 0))


def known_from(table: pd.DataFrame, cut: Cut, *, delay: int) -> np.ndarray:
    """The first block, counted through all windows, before which a fit may know the label of each row, shape (n,).

    A fit before a block is made `delay` windows after it: a label that had not come by then, though it was due, cannot
    be known to it. Where the answer decides how late labels come, what is left is no fair sample, here as it is live.

    Args:
        table: Mature rows in total order.
        cut: Its windows and blocks.
        delay: Windows until labels are known.
    """
    begins = table["_event"].iloc[cut.starts]
    return np.asarray(np.searchsorted(begins, table["_matured"], side="left") - delay * cut.blocks)
