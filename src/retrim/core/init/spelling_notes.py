"""What a table spells otherwise than landing takes by default, in sentences."""

from collections.abc import Sequence

from retrim.core.init.columns import ColumnPlan
from retrim.core.init.dates import DateSpelling
from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.init.spelling import SURE_MISSING, Spelling


def spelling_notes(looks: Sequence[Look], plans: Sequence[ColumnPlan], spelling: Spelling) -> list[Note]:
    """What the table spells otherwise than landing takes by default, with the columns that show it."""
    notes: list[Note] = []
    texts = [(look, plan) for look, plan in zip(looks, plans, strict=True) if look.stored == "text"]
    numeric = [look for look, plan in texts if plan.type in ("number", "integer")]
    usual = [look for look in numeric if look.name not in spelling.own]
    for about, sign, key in (
        ("decimal comma", ",", spelling.decimal),
        ("thousands separator", spelling.thousands, spelling.thousands),
    ):
        if key == sign and sign:
            shown = [look for look in usual if look.words.index.str.contains(sign, regex=False).any()]
            for look in shown[:5]:
                seen = next(word for word in look.words.index if sign in word)
                declared = f"reading.{'decimal' if about.startswith('decimal') else 'thousands'}: {sign!r}"
                notes.append(Note(about, look.name, f"numbers such as {seen!r}", f"declared, {declared}"))
    for look in numeric:
        if look.name in spelling.own:
            decimal, thousands = spelling.own[look.name]
            sign = decimal if look.words.index.str.contains(decimal, regex=False).any() else thousands
            seen = f"numbers such as {next(word for word in look.words.index if sign in word)!r}, unlike other columns"
            declared = f"declared, reading.signs: [{decimal!r}, {thousands!r}]"
            notes.append(Note("other signs", look.name, seen, declared, "warn"))
    for word in spelling.missing:
        holds = [look for look, _ in texts if word in look.words.index]
        unsure = word.lower() not in SURE_MISSING and any(
            plan.type == "category" for look, plan in texts if word in look.words.index
        )
        cells = sum(int(look.words[word]) for look in holds)
        notes.append(
            Note(
                "missing",
                holds[0].name if len(holds) == 1 else "",
                f"{word!r} stands for a missing cell {cells} times",
                f"declared, reading.missing: [{word!r}]" + (", in columns of text too" if unsure else ""),
                "warn" if unsure else "tell",
            )
        )
    for look, plan in texts:
        _note_padded(look, plan, notes)
        if plan.dates is not None:
            _note_dates(look, plan.dates, notes)
    return notes


def _note_padded(look: Look, plan: ColumnPlan, notes: list[Note]) -> None:
    words = look.counts.index.astype("str")
    cells = int(look.counts[words != words.str.strip()].sum())
    if not cells or plan.skip:
        return
    if plan.type == "category":
        seen, done = f"{cells} cells have blanks around their text", "cut off, reading.trim: true"
    else:
        seen = f"{cells} cells have blanks around their {'times' if plan.type == 'time' else 'numbers'}"
        done = "read without them"
    notes.append(Note("padded", look.name, seen, done))


def _note_dates(look: Look, dates: DateSpelling, notes: list[Note]) -> None:
    if dates.formats:
        done = f"declared, reading.dates: {list(dates.formats)}"
        if len(dates.formats) > 1:
            notes.append(Note("dates", look.name, f"times in {len(dates.formats)} formats", done, "warn"))
        else:
            notes.append(Note("dates", look.name, f"times such as {look.words.index[0]!r}", done))
    if dates.unsure:
        notes.append(
            Note(
                "dates",
                look.name,
                f"day and month could be exchanged: {dates.unsure} fits as well",
                f"read as {dates.formats[0]}; change reading.dates if that is wrong",
                "warn",
            )
        )
    if len(dates.zones) > 1 or (dates.zones and dates.naive):
        named = ", ".join(dates.zones) + (" and none" if dates.naive else "")
        notes.append(
            Note(
                "mixed zones",
                look.name,
                f"times name different zones: {named}",
                "all become UTC; those that name none are taken in reading.zone",
                "warn",
            )
        )
