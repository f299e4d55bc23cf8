"""How long after its event a row's label is due: said by a person, measured on the history, or assumed."""

from dataclasses import dataclass

import pandas as pd

from retrim.core.init.delays import SHARES, Delays, known_by, spans_of
from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Rhythm, span_text
from retrim.core.init.sizes import Choice, horizon_of
from retrim.core.init.task import Aim
from retrim.core.init.trade_off import MOMENTS, Tried, least, try_horizons
from retrim.core.section import check_span
from retrim.core.table import DataParams
from retrim.errors import BadInputError
from retrim.ops.init.desk import Desk


@dataclass(frozen=True)
class Lived:
    """A history with label times, as the horizon is measured on it.

    Args:
        table: Typed rows in order of time, with `_event`.
        known: When each label became known, index of `table`; missing where no time says so.
        delays: From event to label.
    """

    table: pd.DataFrame
    known: pd.Series
    delays: Delays


def choose_horizon(
    desk: Desk, aim: Aim, rhythm: Rhythm, data: DataParams, lived: Lived | None, *, timed: bool, seed: int, threads: int
) -> tuple[DataParams, dict[tuple[str, ...], Choice]]:
    """The table with its label horizon, and the reason for it where it was measured; as it is where a column says it.

    Args:
        desk: What the person said; notes what was chosen.
        aim: What is predicted.
        rhythm: How rows follow one another.
        data: What the table is; its horizon does not count.
        lived: The history with label times; None: there are none.
        timed: Whether the events have times of their own.
        seed: Of the models that are tried.
        threads: For LightGBM.

    Raises:
        BadInputError: What the person answers is no span.
    """
    if data.due is not None:
        return data, {}
    if desk.wishes.horizon is not None:
        return data.model_copy(update={"label_horizon": check_span(desk.wishes.horizon)}), {}
    span, seen = horizon_of(rhythm) if timed else ("0h", "by order of arrival a label is known with its row")
    why = ""
    if lived is not None:
        span, seen, why = _from_delays(aim, data, lived, seed=seed, threads=threads)
    said = desk.ask("how long after its event is a row's answer known at the latest?", span, ())
    try:
        check_span(said)
    except ValueError as error:
        raise BadInputError(f"the horizon: {error}") from error
    desk.notes.append(
        Note("horizon", "", f"label_horizon {said}", seen, "warn" if seen.startswith("assumed") else "tell")
    )
    told = Choice(said, why if said == span else "")
    return data.model_copy(update={"label_horizon": said}), {("data", "label_horizon"): told}


def _from_delays(aim: Aim, data: DataParams, lived: Lived, *, seed: int, threads: int) -> tuple[str, str, str]:
    """Horizon, what is said of it, and the reason beside its value."""
    classes = aim.task != "regression"
    spans, each = spans_of(lived.delays, classes=classes), " of each class" if classes else ""
    longest, end = spans[SHARES[-1]], lived.table["_event"].iloc[-1]
    labelled = lived.table[data.target].notna()
    tried = try_horizons(
        lived.table[labelled],
        lived.known[labelled],
        data,
        sorted(set(spans.values())),
        complete=end - longest if len(lived.delays.waiting) else end,
        loss=aim.loss,
        seed=seed,
        threads=threads,
    )
    if len(tried) < 2:
        why = f"{SHARES[-1]:.0%} of the labels{each} are known by then, those still to come counted in"
        return span_text(longest), f"{why}; {known_by(lived.delays, longest)}", why
    best = least(tried)
    share = max(share for share, span in spans.items() if span <= best.horizon)
    why = f"by then {share:.0%} of the labels{each} are known, and a model made so at {MOMENTS} dates lost least"
    beside = [one for one in (tried[0], tried[-1]) if one is not best]
    others = "; ".join(f"{span_text(one.horizon)}: {_figures(one)}" for one in beside)
    shown = f"{why}: {aim.loss} {_figures(best)} ({others}); {known_by(lived.delays, best.horizon)}"
    return span_text(best.horizon), shown, why


def _figures(tried: Tried) -> str:
    return f"{tried.loss:.4g}, of it {tried.bias:+.2g} by labels still to come and {tried.stale:+.2g} by age"
