"""Which column is the target, and which says when: asked where it is unsure."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.errors import BadInputError, UnknownNameError
from retrim.onboarding.desk import TablePlan, reading_of, spelt_as
from retrim.profile.aim import Aim, aim_of
from retrim.profile.dates import DateSpelling, is_called_due, likeliest
from retrim.profile.raw_columns import OTHER, target_cells
from retrim.reading.table import typed
from retrim.stats.metrics import require
from retrim.training.estimators import MODELS


def choose_aim(desk: TablePlan) -> Aim:
    """What the target asks for.

    Raises:
        BadInputError: It is stored as what cannot be predicted, or the positive class is not there.
        RefusedError: Nothing can be learned of it.
    """
    wishes, name = desk.wishes, desk.wishes.target
    column = desk.columns[name]
    if column.look.stored == "other":
        raise BadInputError(f"the target {name!r} contains {OTHER}; choose a column of numbers or text")
    kind, words, numbers = target_cells(column, desk.spelling)
    aim = aim_of(name, kind, words, numbers, wishes.task, wishes.positive)
    if aim.task == "regression" and aim.unsure:
        seen = f"{len(words)} distinct whole numbers: they could be classes"
        desk.notes.warn("unsure", name, seen, "treated as numbers; to change this: --task multiclass")
        question = f"is {name!r} a number to predict, or one of {len(words)} classes?"
        if desk.ask(question, "regression", ("regression", "multiclass")) == "multiclass":
            aim = aim_of(name, kind, words, numbers, "multiclass")
    if aim.task != "regression" and column.look.stored == "number":
        raise BadInputError(
            f"the target {name!r} is stored as floating-point numbers, which cannot be classes; store it as "
            "whole numbers or text"
        )
    if aim.rest:
        done = f"{aim.positive!r} is predicted against all of them together; declared, columns: `rest`"
        desk.notes.tell("classes", name, f"{len(aim.rest)} other classes: {', '.join(aim.rest)}", done)
    elif aim.task == "binary":
        aim = replace(aim, positive=_positive(desk, aim, [str(word) for word in words.index]))
    if wishes.loss is not None:
        aim = _with_loss(aim, wishes.loss, numbers)
    column.type, column.role, column.skip, column.dates = aim.type, "target", False, None
    return aim


def _with_loss(aim: Aim, loss: str, numbers: np.ndarray | None) -> Aim:
    """The same with the loss that a person names."""
    try:
        (metric,) = require([loss], task=aim.task, rows=True)
        MODELS["gbm"].check_aim(aim.task, loss)
    except BadInputError as wrong:
        raise BadInputError(f"--loss: {wrong}") from wrong
    if not metric.signed and numbers is not None and len(numbers) and numbers.min() < 0:
        raise BadInputError(
            f"--loss: {loss!r} is for targets of 0 or more, but the target contains {numbers.min():g}; use mse or mae"
        )
    return replace(aim, loss=loss, metrics=tuple(dict.fromkeys([loss, *aim.metrics])), why="as requested")


def _positive(desk: TablePlan, aim: Aim, classes: list[str]) -> str:
    """The class whose probability is predicted."""
    wishes = desk.wishes
    if wishes.positive is not None:
        if wishes.positive not in classes:
            raise UnknownNameError(f"class of {wishes.target!r}:", wishes.positive, classes)
        return wishes.positive
    if not aim.unsure:
        return str(aim.positive)
    done = f"taken as {aim.positive!r}; to change this: --positive CLASS"
    desk.notes.warn("unsure", wishes.target, aim.unsure, done)
    question = f"for which class of {wishes.target!r} should the probability be predicted?"
    return desk.ask(question, str(aim.positive), tuple(classes))


def choose_time(desk: TablePlan) -> None:
    """Sets the column of the event time, and the roles of all columns of times.

    Raises:
        BadInputError: A named column holds no times, or labels are due by a column and events have no time.
    """
    wishes, columns = desk.wishes, desk.columns
    name = wishes.event_time or _event_time(desk)
    for what, named in (("event time", name), ("label time", wishes.label_time), ("due time", wishes.label_due)):
        if named is not None:
            _as_time(desk, named, what)
    if name is None and wishes.label_due is not None:
        raise BadInputError(
            f"--label-due {wishes.label_due!r} needs the time of each event, but no column is known to contain it; "
            "set that column with --event-time COL"
        )
    if wishes.label_due is not None:
        columns[wishes.label_due].role = "due"
    if name is None:
        return
    desk.time, column = name, columns[name]
    column.role = "time"
    if column.dates is not None and column.dates.unsure:
        formats = column.dates.formats[0], column.dates.unsure
        chosen = desk.ask(f"which format do the dates of {name!r} have?", formats[0], formats)
        column.dates = replace(column.dates, formats=(chosen,), unsure="")


def _event_time(desk: TablePlan) -> str | None:
    """The likeliest column of times; None where there is none."""
    named = {desk.wishes.label_time, desk.wishes.label_due, desk.wishes.target}
    columns = desk.columns.values()
    times = [
        column.name for column in columns if column.type == "time" and not column.skip and column.name not in named
    ]
    times.sort(key=is_called_due)
    if len(times) < 2:
        if times:
            desk.notes.tell("event time", times[0], "the only column of times", "taken as the event time")
        return next(iter(times), None)
    unlike_dues = [time for time in times if not is_called_due(time)] or times
    proposal, why = likeliest({time: _times_of(desk, time) for time in unlike_dues})
    name = desk.ask("which column says when a row's event happened?", proposal, tuple(times))
    seen = f"{len(times)} columns are times: {', '.join(times[:6])}"
    done = (
        f"taken: {name} ({why if name == proposal else 'as stated'}); to change this: --event-time COL. The others are "
        "not features. If one of them says when the label was known: --label-time COL; when it is due: --label-due COL"
    )
    desk.notes.warn("event time", name, seen, done)
    return name


def _times_of(desk: TablePlan, name: str) -> pd.Series:
    return typed(desk.raw.columns.column(name), spelt_as(desk, name), "time", reading_of(desk))[0]


def _as_time(desk: TablePlan, name: str, what: str) -> None:
    column = desk.columns[name]
    column.role, column.skip = "forbidden", False
    if column.type == "time":
        return
    if not column.unix:
        shown = repr(str(column.look.counts.index[0])[:40]) if column.look.distinct else "nothing"
        raise BadInputError(
            f"the {what} {name!r} contains {shown}, which is not a time in a known format; write times such as "
            "2024-05-01T13:00:00Z"
        )
    column.type, column.dates = "time", DateSpelling((column.unix,), (), naive=False, unsure="")
    seen = f"whole numbers that are {'seconds' if column.unix == 'unix' else 'milliseconds'} since 1970"
    desk.notes.tell("dates", name, seen, f"declared, reading.dates: [{column.unix}]")
