"""What a look found, a sentence each, worst first: column, figures, what to do."""

from collections.abc import Callable, Iterator

import numpy as np

from retrim.profile.columns import ColumnLook
from retrim.profile.table import TableNote
from retrim.profile.whole import MOST_BATCHES, TableProfile

NEARLY = 0.995
MUCH, MOVES = 0.5, 0.2
"""Share missing that is much; difference of that share between parts of the history that is a change."""


def cut_name(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:39]}…"


def forbid(name: str) -> str:
    """The setting that keeps a model from a column."""
    return f"set data.columns.{cut_name(name)}.role to forbidden"


def _features(look: TableProfile) -> Iterator[ColumnLook]:
    return (column for column in look.columns if column.role == "feature")


def empty_columns(look: TableProfile) -> Iterator[TableNote]:
    for column in _features(look):
        if not column.rows:
            continue
        if column.missing == column.rows:
            yield TableNote("empty", column.name, f"no value in {column.rows} rows", forbid(column.name), "warn")
        elif column.distinct == 1:
            said = "the same value in every row" if not column.missing else "the same value wherever one is present"
            yield TableNote(
                "constant", column.name, said, forbid(column.name), "warn" if not column.missing else "tell"
            )
        elif column.most_share >= NEARLY:
            said = f"{column.most_share:.2%} of its values are the same"
            yield TableNote(
                "near-constant", column.name, said, f"{forbid(column.name)}, unless the other values matter"
            )


def gaps(look: TableProfile) -> Iterator[TableNote]:
    for column in look.columns:
        share = column.missing_share
        if column.role not in ("feature", "forbidden") or not 0 < share < 1:
            continue
        gap = look.gaps.get(column.name)
        known = column.missing_by
        said = [f"{share:.1%} missing"]
        if len(known) > 1 and known.max() - known.min() >= MOVES:
            at = look.periods.labels[int(known.argmax())]
            said.append(f"from {known.min():.0%} to {known.max():.0%} over time, most in {at}")
        batches = _batches_with_gaps(look, column.name)
        if batches:
            said.append(batches)
        if len(said) == 1 and share < MUCH and (gap is None or not gap.told_by):
            continue
        if gap is not None and gap.told_by:
            said.append(f"systematic: associated with {cut_name(gap.told_by)} (Cramér's V {gap.strength:.2f})")
        elif gap is not None and gap.kind == "random":
            said.append("at random, as far as time, target and other columns show")
        target = gap is not None and gap.told_by == look.table.data.target
        done = (
            "whether a value is missing is associated with the target: make sure that it is known before the event"
            if target
            else "models accept missing values, or prepare.steps can fill them; find out why they are missing"
        )
        yield TableNote("missing", column.name, "; ".join(said), done, "warn" if share >= MUCH or target else "tell")


def _batches_with_gaps(look: TableProfile, name: str) -> str:
    """Batches that miss clearly more than the others, by number of arrival; empty: there are none."""
    by = look.batch_missing.get(name, np.zeros(0))
    if len(by) < 2 or look.table.batches is None:
        return ""
    worst = np.flatnonzero(by >= np.median(by) + MOVES)
    if not len(worst):
        return ""
    batches = int(look.table.batches.max()) + 1
    size = -(-batches // MOST_BATCHES)
    first, last = int(worst[0]) * size + 1, min((int(worst[-1]) + 1) * size, batches)
    counted = f"{len(worst)} of the batches" if size == 1 else f"{len(worst)} groups of {size} batches, within batches"
    return f"most in {counted} {first} to {last} by arrival, up to {by.max():.0%}"


ORDER = {"stop": 0, "warn": 1, "tell": 2}
MOST_ALIKE = 5
"""Findings of one kind that are told one by one; further ones are told together."""
DOUBLES = 0.001
RARE_CLASS = 0.05
WELL_TOLD = 0.5
"""Share of the labels' uncertainty that features take away, from which a contradiction is likely a wrong label."""
Finder = Callable[[TableProfile], Iterator[TableNote]]


def findings(look: TableProfile) -> list[TableNote]:
    """All findings, worst first; what many columns share is told once."""
    found = [note for finder in FINDERS for note in finder(look)]
    told: list[TableNote] = []
    alike: dict[tuple[str, str], list[TableNote]] = {}
    for note in found:
        same = alike.setdefault((note.about, note.weight), [])
        same.append(note)
        if len(same) <= MOST_ALIKE:
            told.append(note)
    for same in alike.values():
        rest = same[MOST_ALIKE:]
        if rest:
            names = ", ".join(dict.fromkeys(cut_name(note.column) for note in rest[:12] if note.column))
            more = f"{len(rest)} more: {names}{' ...' if len(rest) > 12 else ''}"
            told.append(TableNote(rest[0].about, "", more, rest[0].done, rest[0].weight))
    return sorted(told, key=lambda note: ORDER[note.weight])


def _leaks(look: TableProfile) -> Iterator[TableNote]:
    for leak in look.leaks:
        done = " and ".join(forbid(name) for name in leak.columns[:3])
        yield TableNote(
            "leak",
            ", ".join(map(cut_name, leak.columns[:5])),
            f"{leak.seen} (probe: {leak.probe})",
            f"{done}, unless known before the event",
            "stop",
        )


def _personal(look: TableProfile) -> Iterator[TableNote]:
    for column in look.columns:
        if column.hidden.startswith("looks like") and column.role in ("feature", "target"):
            done = (
                f"{forbid(column.name)}, or add it to reading.skip, so that no record contains it; none of its "
                "values is shown"
            )
            yield TableNote("personal", column.name, f"{column.hidden}, and a model may use it", done, "warn")
    noted = {note.column for note in look.given}
    for name, why in look.table.left_out.items():
        if name not in noted:
            yield TableNote("left out", name, why, "listed in reading.skip, so it is never stored")


def _doubles(look: TableProfile) -> Iterator[TableNote]:
    found, rows = look.doubles, max(look.table.rows, 1)
    if found.conflicting:
        yield TableNote(
            "conflicting labels",
            "",
            f"{found.conflicting} rows ({found.conflicting / rows:.2%}) have the same features as a row with a "
            "different target",
            "no model can tell them apart: a feature is missing, or labels are wrong",
            "warn" if found.conflicting > DOUBLES * rows and look.table.data.task != "regression" else "tell",
        )
    if found.rows:
        yield TableNote(
            "duplicates",
            "",
            f"{found.rows} rows ({found.rows / rows:.2%}) occur more than once: identical features and target, "
            "ignoring time and key",
            "if a row was sent twice, list the columns that identify a row in data.key",
            "warn" if found.rows > DOUBLES * rows else "tell",
        )


def _labels(look: TableProfile) -> Iterator[TableNote]:
    noise, data = look.noise, look.table.data
    if noise is not None and noise.suspects:
        what = (
            f"{noise.surest} of them with a probability of 90% or more for a different class"
            if data.task != "regression"
            else "each with a residual of 6 robust standard deviations or more"
        )
        # Where features tell little of the label, what contradicts them is rather rare than wrong.
        likely = noise.told >= WELL_TOLD and noise.surest > DOUBLES * noise.rows
        yield TableNote(
            "label noise",
            data.target,
            f"{noise.suspects} of {noise.rows} sampled labels are suspects, {what}; the features explain "
            f"{noise.told:.0%} of the labels' uncertainty",
            f"check {_first_rows(look)}; land corrected labels: retrim ingest FILE --labels --correction"
            if noise.told >= WELL_TOLD
            else f"probably rare rather than wrong, because the features explain little; check {_first_rows(look)}",
            "warn" if likely else "tell",
        )
    if look.target is None:
        return
    if look.target.labelled < look.table.rows:
        open_ = look.table.rows - look.target.labelled
        yield TableNote(
            "unlabelled", data.target, f"{open_} rows have no label", "land labels: retrim ingest FILE --labels"
        )
    if data.task == "binary" and look.target.classes:
        share = look.target.classes.get(str(data.positive), 0) / max(look.target.labelled, 1)
        if min(share, 1 - share) < RARE_CLASS:
            said = f"{share:.2%} of the labels are {str(data.positive)[:40]!r}"
            yield TableNote(
                "rare class", data.target, said, "set judge.loss to log_loss, and leave accuracy out of judge.metrics"
            )


def _first_rows(look: TableProfile) -> str:
    return f"these rows first: {', '.join(map(cut_name, look.suspects[:MOST_ALIKE]))}"


def _given(look: TableProfile) -> Iterator[TableNote]:
    """Warnings from reading; what else was noticed then stands further down, and duplicates are counted here anew."""
    return (note for note in look.given if note.weight == "warn" and note.about != "duplicates")


FINDERS: tuple[Finder, ...] = (
    _leaks,
    _personal,
    _given,
    _labels,
    _doubles,
    empty_columns,
    gaps,
)
"""What is looked for, in the order in which findings of one weight are told."""
