"""Columns that say by when an answer is due: at or after the event, and answers are there once they have passed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

CALLED = frozenset(
    {"due", "deadline", "maturity", "matures", "expiry", "expires", "expiration", "arrival", "arrives", "expected"}
    | {"promised", "end", "ends", "until", "checkout", "return", "faellig", "echeance", "vencimiento"}
)
WORDS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
BLANK, EARLY = 0.01, 0.005
"""Shares of rows without such a time, and with one before the event, at most: none of them can land."""
LATER = 0.5
"""Share of rows whose time lies after the event, at least: what came with the event is no due time."""
LEAST = 20
"""Rows with an answer, and without one, from which it can be told what goes with an answer."""
TAIL = 0.02
"""Share of rows without an answer, and of delays, that may be odd."""
BEFORE, HALF = 0.8, 0.5
"""Share of answers that are due before the rows without one, at least; and what is left of what the event leaves."""
AHEAD = 0.05
"""Share of answered rows that are due after the table ends, at most."""
SOON, SLOW = pd.Timedelta("1D"), 0.1
"""How long after its due time an answer is there, or a fiftieth of its delay; and the share of them that may not be."""


@dataclass(frozen=True)
class Due:
    """A column that may say by when answers are due.

    Args:
        seen: What speaks for it, in a sentence.
        sure: Whether the answers themselves do.
        left: Of what the event leaves unexplained, the share that it leaves too; 1: the answers say nothing.
    """

    seen: str
    sure: bool
    left: float


def is_called_due(name: str) -> bool:
    """Whether a column is called as due times are."""
    return any(word.lower() in CALLED for word in WORDS.findall(name))


def due_of(
    name: str, event: pd.Series, due: pd.Series, answered: np.ndarray, known: pd.Series | None = None
) -> Due | None:
    """What speaks for a column as the due time; None: nothing, or rows could not land with it.

    Args:
        name: Of the column.
        event: Event times, shape (n,).
        due: The column, likewise.
        answered: Whether the answer is there, shape (n,).
        known: When it became known; None: nothing says so.
    """
    there = (event.notna() & due.notna()).to_numpy()
    if there.sum() < LEAST or there.sum() < (1 - BLANK) * event.notna().sum():
        return None
    event, due, answered = event[there], due[there], answered[there]
    after = (due - event).dt.total_seconds().to_numpy()
    if (after < 0).mean() > EARLY or (after > 0).mean() < LATER:
        return None
    called = is_called_due(name)
    waiting, ends = ~answered, event.max()
    if min(waiting.sum(), answered.sum()) >= LEAST:
        left, of_event = _left(due, answered), _left(event, answered)
        if left <= min(1 - BEFORE, HALF * of_event) and of_event * answered.sum() >= LEAST:
            slow = float((due[waiting] < ends - SOON).mean())
            seen = (
                f"{1 - left:.1%} of the answered rows are due before the {waiting.sum()} without an answer "
                f"({1 - of_event:.1%} by their event); of these {slow:.1%} were due when the table ended"
            )
            return Due(seen, sure=slow <= SLOW, left=left / of_event)
    come = answered & (np.zeros(len(answered), dtype=bool) if known is None else known[there].notna().to_numpy())
    if known is not None and come.sum() >= LEAST:
        at = known[there][come]
        after_due, after_event = (_latest(at - since[come]) for since in (due, event))
        ends = max(ends, at.max())
        if after_due <= HALF * after_event:
            told = f"{_text(after_due)} after it, {_text(after_event)} after their event"
            sure = called and after_due <= max(SOON, TAIL * after_event)
            return Due(f"{1 - TAIL:.0%} of the answers are known {told}", sure, after_due / after_event)
    if called and float((due[answered] > ends).mean()) <= AHEAD:
        return Due("it is called as due times are, and nearly all that are answered have passed it", False, 1.0)
    return None


def surest(found: Sequence[tuple[str, Due]]) -> tuple[str, Due] | None:
    """The column that is surest, and of these the one that leaves least."""
    return min(found, key=lambda each: (not each[1].sure, each[1].left), default=None)


def _left(times: pd.Series, answered: np.ndarray) -> float:
    """The share of answered rows that do not come before the rows without an answer, a few odd ones left out."""
    first = times[~answered].quantile(TAIL)
    return float((times[answered] >= first).mean())


def _latest(delays: pd.Series) -> pd.Timedelta:
    return pd.Timedelta(max(float(delays.dt.total_seconds().quantile(1 - TAIL)), 0.0), "s")


def _text(span: pd.Timedelta) -> str:
    return f"{span / pd.Timedelta('1D'):.3g} days"
