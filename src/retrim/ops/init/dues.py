"""By when an answer is due, where nobody said so: a column that tells it is looked for, and taken or proposed."""

from dataclasses import replace

from retrim.core.init.dues import Due, due_of, surest
from retrim.core.init.notes import Note
from retrim.datasets.cells import typed
from retrim.ops.init.desk import Desk
from retrim.ops.init.spelled import reading_of

MUST = "it has to be known at the event, as files to come have to bring it"


def look_for_due(desk: Desk, time: str) -> None:
    """Takes the likeliest column as the due time where the answers say so, and proposes it where its name does.

    Args:
        desk: With the target and the event time chosen; `wishes.label_due` and the notes are changed.
        time: The column of the event time.
    """
    wishes = desk.wishes
    if wishes.label_due or wishes.horizon:
        return
    found = surest(_candidates(desk, time))
    if found is None:
        return
    name, due = found
    asked = f"does {name!r} say, when a row's event happens, by when its answer is due?"
    if desk.ask(asked, "yes" if due.sure else "no", ("yes", "no")) == "yes":
        desk.wishes = replace(wishes, label_due=name)
        done = f"taken as when an answer is due: {MUST}; say otherwise: --horizon SPAN"
        desk.notes.append(Note("due time", name, due.seen, done, "warn"))
    else:
        done = f"may be when an answer is due; if so: --label-due {name!r} ({MUST})"
        desk.notes.append(Note("due time", name, due.seen, done))


def _candidates(desk: Desk, time: str) -> list[tuple[str, Due]]:
    wishes, reading = desk.wishes, reading_of(desk, time)
    taken = {time, wishes.label_time, wishes.target, *wishes.forbid, *desk.parts.get(time, {}).values()}
    names = [plan.name for plan in desk.plans.values() if plan.type == "time" and not plan.skip]
    names = [name for name in names if name not in taken]
    if not names:
        return []
    values = {}
    for name in (time, *names, *([wishes.label_time] if wishes.label_time in desk.plans else [])):
        times, faults = typed(desk.cells(name), name, "time", reading)
        if not faults:
            values[name] = times
    if time not in values:
        return []
    answers, _ = typed(desk.cells(wishes.target), wishes.target, desk.plans[wishes.target].type, reading)
    answered, known = answers.notna().to_numpy(), values.get(wishes.label_time or "")
    found = [(name, due_of(name, values[time], values[name], answered, known)) for name in names if name in values]
    return [(name, due) for name, due in found if due is not None]
