"""When labels are known: whether missing ones are still to come, and how long a row waits for its label."""

from typing import Literal

import numpy as np
import pandas as pd

from retrim.errors import BadInputError
from retrim.onboarding.desk import TablePlan, checked_span
from retrim.profile.aim import Aim
from retrim.profile.horizons import MOMENTS, SHARES, HorizonTrial, LabelHistory, least, try_horizons
from retrim.profile.leaks import unanswered_tail
from retrim.profile.rhythm import Rhythm, horizon_of
from retrim.stats.plugins import SettingChoice, check_span, span_text
from retrim.table.data import LABEL_TIME, DataParams


def labels_of(desk: TablePlan, event: pd.Series) -> Literal["or_never", "later"]:
    """Whether an answer that is missing never comes, or is still to come; notes are added.

    Args:
        event: Event times of the rows that can land, shape (n,).
    """
    name = desk.wishes.target
    # An older row whose answer is missing while those after it have theirs never gets one, as where a reading failed.
    missing = desk.target.isna().to_numpy()[np.argsort(event.to_numpy(), kind="stable")]
    tail = unanswered_tail(missing)
    to_come = int(missing[len(missing) - tail :].sum())
    never = int(missing.sum()) - to_come
    if never:
        seen = f"{never} rows have no label, although later rows have one: these labels are missing and will not arrive"
        desk.notes.tell("labels", name, seen, "kept as rows without a label; nothing waits for their labels")
    if to_come:
        seen = f"{to_come} of the newest {tail} rows have no label yet: their labels are still to come"
        desk.notes.tell("labels", name, seen, "declared, data.labels: later; land these labels as label files")
    return "later" if to_come or desk.wishes.label_time else "or_never"


def known_times(desk: TablePlan, event: pd.Series) -> pd.Series | None:
    """When the label of each row that can land became known, not before its event; missing where no time says so.

    Notes are added on what a person should know of these times, and how the labels will land.

    Args:
        event: Event times, shape (n,).

    Returns:
        UTC times, index `desk.rows`; None where no label time was named.

    Raises:
        BadInputError: There is no event time to count from.
    """
    column = desk.wishes.label_time
    if column is None:
        return None
    if not desk.timed:
        raise BadInputError(
            f"the label time {column!r} needs the time of each event, but no column is known to contain it; set "
            "that column with --event-time COL"
        )
    stated, answered = desk.landing(column), desk.target.notna()
    began = event.set_axis(stated.index)
    labels = {
        "labels are older than their event": (stated < began, "known with their row; check both columns"),
        "labels have no time at which they were known": (answered & stated.isna(), "known when they were due"),
        "rows have a label time and no label": (
            ~answered & stated.notna(),
            "rows without a label; check both columns",
        ),
    }
    for what, (rows, done) in labels.items():
        if rows.any():
            desk.notes.warn("label time", column, f"{int(rows.sum())} {what}", f"treated as {done}")
    done = "rows land first, then their labels as label files, at the times when they became known"
    done += "" if column == LABEL_TIME else f"; in later label files, call this column {LABEL_TIME}"
    seen = f"{int((answered & stated.notna()).sum())} labels have a time at which they were known"
    desk.notes.tell("label time", column, seen, done)
    return stated.where(answered).clip(lower=began).where(stated.notna())


def choose_horizon(
    desk: TablePlan,
    aim: Aim,
    rhythm: Rhythm,
    data: DataParams,
    history: LabelHistory | None,
    *,
    seed: int,
    threads: int,
) -> tuple[DataParams, dict[tuple[str, ...], SettingChoice]]:
    """The table with its label horizon, and the reason for it where it was measured; as it is where a column says it.

    Raises:
        BadInputError: What the person answers is no span.
    """
    if data.due is not None:
        return data, {}
    if desk.wishes.horizon is not None:
        return data.model_copy(update={"label_horizon": check_span(desk.wishes.horizon)}), {}
    span, seen, why = "0h", "rows are used in order of arrival, so a label is known with its row", ""
    if desk.timed:
        span, seen = horizon_of(rhythm)
    if history is not None:
        span, seen, why = _from_delays(aim, data, history, seed=seed, threads=threads)
    answer = desk.ask("how long after its event is a row's label known at the latest?", span, ())
    checked_span("the horizon", answer)
    note = desk.notes.warn if seen.startswith("assumed") else desk.notes.tell
    note("horizon", "", f"label_horizon {answer}", seen)
    choice = SettingChoice(answer, why if answer == span else "")
    return data.model_copy(update={"label_horizon": answer}), {("data", "label_horizon"): choice}


def _from_delays(aim: Aim, data: DataParams, history: LabelHistory, *, seed: int, threads: int) -> tuple[str, str, str]:
    """Horizon, what is said of it, and the reason beside its value."""
    classes = aim.task != "regression"
    spans, of_each = history.spans(classes=classes), " of each class" if classes else ""
    longest, end = spans[SHARES[-1]], history.table["_event"].iloc[-1]
    trials = try_horizons(
        history,
        data,
        sorted(set(spans.values())),
        complete=end - longest if len(history.waiting) else end,
        loss=aim.loss,
        seed=seed,
        threads=threads,
    )
    if len(trials) < 2:
        why = f"{SHARES[-1]:.0%} of the labels{of_each} are known by then, counting those still to come"
        return span_text(longest), f"{why}; {history.known_by(longest)}", why
    best = least(trials)
    share = max(share for share, span in spans.items() if span <= best.horizon)
    why = (
        f"by then {share:.0%} of the labels{of_each} are known, and models trained with this horizon at {MOMENTS} "
        "dates had the lowest loss"
    )
    others = [f"{span_text(t.horizon)}: {_figures(t)}" for t in (trials[0], trials[-1]) if t is not best]
    seen = f"{why}: {aim.loss} {_figures(best)} ({'; '.join(others)}); {history.known_by(best.horizon)}"
    return span_text(best.horizon), seen, why


def _figures(trial: HorizonTrial) -> str:
    parts = f"{trial.bias:+.2g} from labels still to come and {trial.stale:+.2g} from leaving out the newest rows"
    return f"{trial.loss:.4g}, including {parts}"
