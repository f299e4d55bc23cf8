"""What a look found, a sentence each, worst first: column, figures, what to do."""

from collections.abc import Iterator

from retrim.profile.table import Notes, TableNote
from retrim.profile.whole import ColumnLook, TableProfile

ORDER = {"stop": 0, "warn": 1, "tell": 2}
MOST_ALIKE = 5
"""Findings of one kind that are told one by one; further ones are told together."""
NEARLY = 0.995
MUCH, MOVES = 0.5, 0.2
"""Share missing that is much; difference of that share between parts of the history that is a change."""
DOUBLES = 0.001
RARE_CLASS = 0.05
WELL_TOLD = 0.5
"""Share of the labels' uncertainty that features take away, from which a contradiction is likely a wrong label."""


def findings(look: TableProfile) -> list[TableNote]:
    """All findings, worst first; what many columns share is told once."""
    notes = Notes(_leaks(look))
    _note_personal(look, notes)
    # Warnings from reading; what else was noticed then stands further down, and duplicates are counted here anew.
    notes += [note for note in look.given if note.weight == "warn" and note.about != "duplicates"]
    _note_labels(look, notes)
    _note_doubles(look, notes)
    for column in look.columns.values():
        if column.role == "feature" and column.rows:
            _note_empty(column, notes)
    for column in look.columns.values():
        if column.role in ("feature", "forbidden") and 0 < column.missing_share < 1:
            _note_gaps(column, look, notes)
    return sorted(_first_of_each_kind(notes), key=lambda note: ORDER[note.weight])


def _first_of_each_kind(notes: Notes) -> list[TableNote]:
    alike: dict[tuple[str, str], list[TableNote]] = {}
    for note in notes:
        alike.setdefault((note.about, note.weight), []).append(note)
    shown = [note for note in notes if any(note is first for first in alike[note.about, note.weight][:MOST_ALIKE])]
    for same in alike.values():
        rest = same[MOST_ALIKE:]
        if rest:
            names = ", ".join(dict.fromkeys(cut_name(note.column) for note in rest[:12] if note.column))
            more = f"{len(rest)} more: {names}{' ...' if len(rest) > 12 else ''}"
            shown.append(TableNote(rest[0].about, "", more, rest[0].done, rest[0].weight))
    return shown


def cut_name(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def forbid(name: str) -> str:
    """The setting that keeps a model from a column."""
    return f"set data.columns.{cut_name(name)}.role to forbidden"


def _leaks(look: TableProfile) -> Iterator[TableNote]:
    for leak in look.leaks:
        columns = ", ".join(map(cut_name, leak.columns[:5]))
        done = f"{' and '.join(forbid(name) for name in leak.columns[:3])}, unless known before the event"
        yield TableNote("leak", columns, f"{leak.seen} (probe: {leak.probe})", done, "stop")


def _note_personal(look: TableProfile, notes: Notes) -> None:
    for column in look.columns.values():
        if column.hidden.startswith("looks like") and column.role in ("feature", "target"):
            done = (
                f"{forbid(column.name)}, or add it to reading.skip, so that no record contains it; none of its values "
            )
            notes.warn("personal", column.name, f"{column.hidden}, and a model may use it", f"{done}is shown")
    noted = {note.column for note in look.given}
    for name, why in look.table.left_out.items():
        if name not in noted:
            notes.tell("left out", name, why, "listed in reading.skip, so it is never stored")


def _note_labels(look: TableProfile, notes: Notes) -> None:
    noise, data = look.noise, look.table.data
    if noise is not None and noise.suspects:
        what = f"{noise.surest} of them with a probability of 90% or more for a different class"
        if data.task == "regression":
            what = "each with a residual of 6 robust standard deviations or more"
        seen = f"{noise.suspects} of {noise.rows} sampled labels are suspects, {what}; the features explain "
        seen += f"{noise.explained:.0%} of the labels' uncertainty"
        rows = f"check these rows first: {', '.join(map(cut_name, noise.keys[:MOST_ALIKE]))}"
        done = f"{rows}; land corrected labels: retrim ingest FILE --labels --correction"
        # Where features tell little of the label, what contradicts them is rather rare than wrong.
        if noise.explained < WELL_TOLD:
            done = f"probably rare rather than wrong, because the features explain little; {rows}"
        likely = noise.explained >= WELL_TOLD and noise.surest > DOUBLES * noise.rows
        notes.append(TableNote("label noise", data.target, seen, done, "warn" if likely else "tell"))
    if look.labelled is None:
        return
    if look.labelled < look.table.rows:
        seen = f"{look.table.rows - look.labelled} rows have no label"
        notes.tell("unlabelled", data.target, seen, "land labels: retrim ingest FILE --labels")
    if data.task == "binary" and look.classes:
        share = look.classes.get(str(data.positive), 0) / max(look.labelled, 1)
        if min(share, 1 - share) < RARE_CLASS:
            seen = f"{share:.2%} of the labels are {str(data.positive)[:40]!r}"
            done = "set judge.loss to log_loss, and leave accuracy out of judge.metrics"
            notes.tell("rare class", data.target, seen, done)


def _note_doubles(look: TableProfile, notes: Notes) -> None:
    rows = max(look.table.rows, 1)
    if look.conflicting:
        seen = f"{look.conflicting} rows ({look.conflicting / rows:.2%}) have the same features as a row with a "
        done = "no model can tell them apart: a feature is missing, or labels are wrong"
        many = look.conflicting > DOUBLES * rows and look.table.data.task != "regression"
        note = notes.warn if many else notes.tell
        note("conflicting labels", "", f"{seen}different target", done)
    if look.repeated:
        seen = (
            f"{look.repeated} rows ({look.repeated / rows:.2%}) occur more than once: identical features and target, "
        )
        done = "if a row was sent twice, list the columns that identify a row in data.key"
        note = notes.warn if look.repeated > DOUBLES * rows else notes.tell
        note("duplicates", "", f"{seen}ignoring time and key", done)


def _note_empty(column: ColumnLook, notes: Notes) -> None:
    name = column.name
    if column.missing == column.rows:
        notes.warn("empty", name, f"no value in {column.rows} rows", forbid(name))
    elif column.distinct == 1 and column.missing:
        notes.tell("constant", name, "the same value wherever one is present", forbid(name))
    elif column.distinct == 1:
        notes.warn("constant", name, "the same value in every row", forbid(name))
    elif column.most_share >= NEARLY:
        seen = f"{column.most_share:.2%} of its values are the same"
        notes.tell("near-constant", name, seen, f"{forbid(name)}, unless the other values matter")


def _note_gaps(column: ColumnLook, look: TableProfile, notes: Notes) -> None:
    share, by, gap = column.missing_share, column.missing_by, look.gaps.get(column.name)
    told_by = None if gap is None else gap.told_by
    seen = [f"{share:.1%} missing"]
    if len(by) > 1 and by.max() - by.min() >= MOVES:
        seen.append(f"from {by.min():.0%} to {by.max():.0%} over time, most in {look.periods[int(by.argmax())]}")
    if len(seen) == 1 and share < MUCH and told_by is None:
        return
    if gap is not None and told_by is not None:
        seen.append(f"systematic: associated with {cut_name(told_by)} (Cramér's V {gap.strength:.2f})")
    elif gap is not None and gap.kind == "random":
        seen.append("at random, as far as time, target and other columns show")
    done = "models accept missing values, or prepare.steps can fill them; find out why they are missing"
    if told_by == look.table.data.target:
        done = "whether a value is missing is associated with the target: make sure that it is known before the event"
    note = notes.warn if share >= MUCH or told_by == look.table.data.target else notes.tell
    note("missing", column.name, "; ".join(seen), done)
