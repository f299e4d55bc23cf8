"""Which column is the target, and which says when: asked where it is unsure."""

from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.core.init.dates import DateSpelling
from retrim.core.init.dues import is_called_due
from retrim.core.init.event_time import likeliest
from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.init.spelling import Spelling, number_pattern, plain_numbers
from retrim.core.init.task import Aim, aim_of
from retrim.core.metrics import require
from retrim.core.models import MODELS
from retrim.core.table import ColumnType
from retrim.datasets.cells import typed
from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.ops.init.desk import ARRIVAL, Desk
from retrim.ops.init.dues import look_for_due
from retrim.ops.init.parts import declared_parts
from retrim.ops.init.spelled import reading_of, spelt_as

EXACT = 2.0**53


def choose_aim(desk: Desk) -> Aim:
    """What the target asks for.

    Raises:
        BadInputError: It is stored as what cannot be predicted, or the positive class is not there.
        RefusedError: Nothing can be learned of it.
    """
    wishes, name = desk.wishes, desk.wishes.target
    look = desk.looks[name]
    if look.stored == "other":
        raise BadInputError(f"the target {name!r} holds lists, records or bytes; name a column of numbers or text")
    kind, words, numbers = _cells(look, desk.plans[name].type, desk.spelling.of(name))
    made = aim_of(look, kind, words, numbers, wishes.task)
    if isinstance(made, str):
        raise RefusedError(made)
    if made.task == "regression" and made.unsure:
        saying = f"{len(words)} distinct whole numbers: they could be classes"
        desk.notes.append(Note("unsure", name, saying, "taken as numbers; say otherwise: --task multiclass", "warn"))
        asked = f"is {name!r} a number to be met, or one of {len(words)} classes?"
        if desk.ask(asked, "regression", ("regression", "multiclass")) == "multiclass":
            again = aim_of(look, kind, words, numbers, "multiclass")
            made = again if isinstance(again, Aim) else made
    if made.task != "regression" and look.stored == "number":
        raise BadInputError(
            f"the target {name!r} is stored as floating numbers, which no class can be; store it as "
            "whole numbers or text"
        )
    if made.task == "binary":
        made = replace(made, positive=_positive(desk, made, [str(word) for word in words.index]))
    if wishes.loss is not None:
        made = _asked_for(made, wishes.loss, numbers)
    desk.plans[name] = replace(desk.plans[name], type=made.type, role="target", skip=False, dates=None)
    return made


def _asked_for(aim: Aim, loss: str, numbers: np.ndarray | None) -> Aim:
    """The same with the loss that a person names.

    Raises:
        UnknownNameError: There is none of that name.
        BadInputError: It does not fit the task or the target.
    """
    try:
        (metric,) = require([loss], task=aim.task, rows=True)
        MODELS["gbm"].check_aim(aim.task, loss)
    except BadInputError as wrong:
        raise BadInputError(f"--loss: {wrong}") from wrong
    if not metric.signed and numbers is not None and len(numbers) and numbers.min() < 0:
        raise BadInputError(
            f"--loss: {loss!r} is for 0 or more, and the target holds {numbers.min():g}; choose mse or mae"
        )
    return replace(aim, loss=loss, metrics=tuple(dict.fromkeys([loss, *aim.metrics])), why="as was asked for")


def _positive(desk: Desk, aim: Aim, classes: list[str]) -> str:
    """The class whose probability is predicted."""
    wishes = desk.wishes
    if wishes.positive is not None:
        if wishes.positive not in classes:
            raise UnknownNameError(f"class of {wishes.target!r}", wishes.positive, classes)
        return wishes.positive
    if not aim.unsure:
        return str(aim.positive)
    saying = f"taken as {aim.positive!r}; say otherwise: --positive"
    desk.notes.append(Note("unsure", wishes.target, aim.unsure, saying, "warn"))
    return desk.ask(f"which class of {wishes.target!r} is the probability of?", str(aim.positive), tuple(classes))


def _cells(look: Look, kind: ColumnType, spelling: Spelling) -> "tuple[ColumnType, pd.Series[int], np.ndarray | None]":
    """Type, distinct cells and numbers of a target, which is no id whatever it is called."""
    words = look.words[~look.words.index.isin(spelling.missing)]
    if look.stored in ("number", "integer"):
        values = look.cells.dropna()
    elif look.stored == "text" and len(words) and _all_numbers(words, spelling):
        values = plain_numbers(words, spelling)
    else:
        return "category" if kind in ("number", "integer") else kind, words, None
    values = values[np.isfinite(values)]
    whole = bool((values % 1 == 0).all()) and float(values.abs().max() if len(values) else 0) < EXACT
    if look.stored != "text":
        words = values.map(lambda value: str(int(value)) if whole else repr(float(value))).value_counts()
    return ("integer" if whole else "number"), words, values.to_numpy()


def _all_numbers(words: "pd.Series[int]", spelling: Spelling) -> bool:
    return bool(words.index.to_series().str.fullmatch(number_pattern(spelling.decimal, spelling.thousands)).all())


def choose_time(desk: Desk) -> str:
    """The column of the event time; `ARRIVAL` where there is none."""
    wishes, plans = desk.wishes, desk.plans
    taken = {wishes.label_time, wishes.label_due, wishes.target}
    name = wishes.event_time
    if wishes.order is not None:
        _as_order(desk, wishes.order)
    elif name is None:
        times = [
            plan.name for plan in plans.values() if plan.type == "time" and plan.name not in taken and not plan.skip
        ]
        clocked = {parts["date"]: one for one, parts in desk.parts.items() if "date" in parts}
        times = [one for one in times if one not in clocked]  # a day whose clock stands beside it is none by itself
        whole = [one for one in times if one not in desk.parts or one in clocked.values()]
        times = whole or times  # one that is spread over columns where none stands in one
        times.sort(key=is_called_due)
        name = times[0] if times else None
        if len(times) > 1 and name is not None:
            unlike_dues = [one for one in times if not is_called_due(one)] or times
            name, why = likeliest({one: _times_of(desk, one) for one in unlike_dues})
            told = desk.ask("when did a row's event happen?", name, tuple(times))
            name, why = told, why if told == name else "as was said"
            desk.notes.append(
                Note(
                    "event time",
                    name,
                    f"{len(times)} columns are times: {', '.join(times[:6])}",
                    f"taken: {name}, {why}; say otherwise: --event-time. The others are no features; if one says when "
                    "the answer was known: --label-time COL",
                    "warn",
                )
            )
        elif name is not None:
            desk.notes.append(Note("event time", name, "the only column of times", "taken as the event time"))
    if name is not None and wishes.order is None:
        look_for_due(desk, name)
        wishes = desk.wishes
    for role, column in (("event time", name), ("label time", wishes.label_time), ("due time", wishes.label_due)):
        if column is not None:
            _as_time(desk, column, role)
    if name is None and wishes.label_due is not None:
        raise BadInputError(
            f"--label-due {wishes.label_due!r} is counted from a row's event, and no column says when that was; name "
            "it: --event-time"
        )
    if name is not None:
        plans[name] = replace(plans[name], role="time", skip=False)
    if wishes.label_due is not None:
        plans[wishes.label_due] = replace(plans[wishes.label_due], role="due", skip=False)
    desk.parts, seen = declared_parts(plans, desk.parts, wishes.keep, label_time=wishes.label_time)
    desk.notes += seen
    if name is None:
        return ARRIVAL
    plan = plans[name]
    if plan.dates is not None and plan.dates.unsure:
        chosen = desk.ask(
            f"how does {name!r} spell a day?", plan.dates.formats[0], (plan.dates.formats[0], plan.dates.unsure)
        )
        plans[name] = replace(plan, dates=DateSpelling((chosen,), plan.dates.zones, plan.dates.naive, ""))
    return name


def _times_of(desk: Desk, name: str) -> pd.Series:
    return typed(desk.cells(name), spelt_as(desk, name), "time", reading_of(desk, ARRIVAL))[0]


def _as_order(desk: Desk, name: str) -> None:
    plan, look = desk.plans[name], desk.looks[name]
    _, words, numbers = _cells(look, "integer", desk.spelling.of(name))
    if numbers is None or (numbers % 1 != 0).any() or np.abs(numbers).max(initial=0) >= EXACT:
        shown = repr(str(words.index[0])[:40]) if len(words) else "nothing"
        raise BadInputError(f"--order: {name!r} holds {shown}, and rows are put in order by whole numbers below 2^53")
    desk.plans[name] = replace(plan, type="integer", role="forbidden", skip=False)
    seen = f"{len(np.unique(numbers))} whole numbers from {numbers.min():.0f} to {numbers.max():.0f} put rows in order"
    desk.notes.append(Note("order", name, seen, "declared, reading.order; rows of one number came together"))


def _as_time(desk: Desk, name: str, role: str) -> None:
    plan = desk.plans[name]
    if plan.type == "time":
        desk.plans[name] = replace(plan, role="forbidden", skip=False)
        return
    if plan.unix:
        desk.plans[name] = replace(
            plan,
            type="time",
            role="forbidden",
            skip=False,
            dates=DateSpelling((plan.unix,), (), naive=False, unsure=""),
        )
        desk.notes.append(
            Note(
                "dates",
                name,
                f"whole numbers that are {'seconds' if plan.unix == 'unix' else 'milliseconds'} since 1970",
                f"declared, reading.dates: [{plan.unix}]",
            )
        )
        return
    look = desk.looks[name]
    shown = repr(str(look.counts.index[0])[:40]) if look.distinct else "nothing"
    raise BadInputError(
        f"the {role} {name!r} holds {shown}, which is no time that is known; write times such as 2024-05-01T13:00:00Z"
    )
