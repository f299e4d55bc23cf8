"""What a look found, a sentence each, worst first: column, figures, what to do."""

from collections.abc import Callable, Iterator

import numpy as np

from retrim.core.init.notes import Note
from retrim.core.look.odd_columns import cut_name, empty_columns, far_values, forbid, gaps, levels
from retrim.core.look.over_time import first_part
from retrim.core.look.related import STRONG
from retrim.core.look.whole import Look

ORDER = {"stop": 0, "warn": 1, "tell": 2}
MOST_ALIKE = 5
"""Findings of one kind that are told one by one; further ones are told together."""
DOUBLES = 0.001
TELLING = 0.002
RARE_CLASS = 0.05
WELL_TOLD = 0.5
"""Share of the labels' uncertainty that features take away, from which a contradiction is likely a wrong label."""
INFLATED = 10.0
Finder = Callable[[Look], Iterator[Note]]


def findings(look: Look) -> list[Note]:
    """All findings, worst first; what many columns share is told once."""
    found = [note for finder in FINDERS for note in finder(look)]
    told: list[Note] = []
    alike: dict[tuple[str, str], list[Note]] = {}
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
            told.append(Note(rest[0].about, "", more, rest[0].done, rest[0].weight))
    return sorted(told, key=lambda note: ORDER[note.weight])


def _leaks(look: Look) -> Iterator[Note]:
    for leak in look.leaks:
        done = "; ".join(forbid(name) for name in leak.columns[:3])
        yield Note(
            "leak",
            ", ".join(map(cut_name, leak.columns[:5])),
            f"{leak.seen} (probe: {leak.probe})",
            f"{done}; unless it is known before the event",
            "stop",
        )


def _personal(look: Look) -> Iterator[Note]:
    for column in look.columns:
        if column.hidden.startswith("looks like") and column.role in ("feature", "target"):
            done = (
                f"{forbid(column.name)}, or reading.skip: no record holds it then; none of its values is on this page"
            )
            yield Note("personal", column.name, f"{column.hidden}, and a model may use it", done, "warn")
    noted = {note.column for note in look.given}
    for name, why in look.table.left_out.items():
        if name not in noted:
            yield Note("left out", name, why, "reading.skip: it is never kept")


def _drift(look: Look) -> Iterator[Note]:
    labels, first = look.periods.labels, first_part(look.periods)
    until = f"{labels[0]} to {labels[first - 1]}" if first > 1 else labels[0] if labels else ""
    ranked = sorted(look.moved.items(), key=lambda item: -np.nan_to_num(item[1].effects).max(initial=0.0))
    for name, moved in ranked:
        parts = np.flatnonzero(moved.beyond)
        if not len(parts):
            continue
        worst = int(np.nanargmax(np.where(moved.beyond, moved.effects, np.nan)))
        target = name == look.table.data.target
        said = (
            f"{len(parts)} of {int(np.isfinite(moved.effects).sum())} parts lie off the first ({until}) by "
            f"{moved.effects[parts].min():.2f} to {moved.effects[worst]:.2f}, most in {labels[worst]}"
        )
        done = (
            "retrim policy backtest says what retraining is worth; let a sliding window compete: train.windows"
            if target
            else "a season does that too: hold it against a year before; train.windows: [all, sliding]"
        )
        yield Note("target moves" if target else "drift", name, said, done, "warn" if target else "tell")


def _related(look: Look) -> Iterator[Note]:
    target = look.table.data.target
    for one, other, strength in look.related.strong():
        if target in (one, other):
            name = other if one == target else one
            yield Note(
                "near the target",
                name,
                f"hangs together with the target by {strength:.3f}",
                f"make sure it is known before the event; else {forbid(name)}",
                "warn",
            )
        else:
            said = f"says nearly the same as {cut_name(other)}: {strength:.3f} (bound {STRONG})"
            yield Note("twin columns", one, said, f"one of them is enough: {forbid(one)}")


def _sums(look: Look) -> Iterator[Note]:
    if look.collinear is None:
        return
    for name, factor in look.collinear.inflation.items():
        if factor >= INFLATED:
            how = "exactly" if not np.isfinite(factor) else f"but for 1 / {factor:.0f} of its variance"
            said = f"a weighted sum of other numbers gives it {how} (variance inflation)"
            done = (
                "trees do not mind; a linear model's weights do: prepare.steps, such as select_uncorrelated, leave one "
                "out"
            )
            yield Note("collinear", name, said, done)


def _doubles(look: Look) -> Iterator[Note]:
    found, rows = look.doubles, max(look.table.rows, 1)
    if found.conflicting:
        yield Note(
            "conflicting labels",
            "",
            f"{found.conflicting} rows ({found.conflicting / rows:.2%}) have features that another row has with "
            "another target",
            "no model can tell them apart: a feature is missing, or labels are wrong",
            "warn" if found.conflicting > DOUBLES * rows and look.table.data.task != "regression" else "tell",
        )
    if found.rows:
        yield Note(
            "duplicates",
            "",
            f"{found.rows} rows ({found.rows / rows:.2%}) are there again, features and target, time and key aside",
            "if a row was sent twice, name what tells rows apart: data.key",
            "warn" if found.rows > DOUBLES * rows else "tell",
        )
    if found.near > 2 * found.near_chance and found.near > DOUBLES * found.near_rows:
        by = ", ".join(f"{cut_name(name)} ({count})" for name, count in found.near_by[:3])
        yield Note(
            "near-duplicates",
            "",
            f"{found.near} of the newest {found.near_rows} rows are as another in all features but one, mostly {by}; "
            f"by chance it would be {found.near_chance}",
            "rows of one entity on both sides of a split make the judged loss too good: say what they are about",
        )


def _labels(look: Look) -> Iterator[Note]:
    noise, data = look.noise, look.table.data
    if noise is not None and noise.suspects:
        what = (
            f"{noise.surest} with a probability of 90 % or more of another class"
            if data.task != "regression"
            else "a residual of 6 robust standard deviations or more"
        )
        # Where features tell little of the label, what contradicts them is rather rare than wrong.
        likely = noise.told >= WELL_TOLD and noise.surest > DOUBLES * noise.rows
        yield Note(
            "label noise",
            data.target,
            f"{noise.suspects} of {noise.rows} sampled labels are suspects, {what}; the features take away "
            f"{noise.told:.0%} of the labels' uncertainty",
            "look at the rows below; land what was wrong again: retrim ingest FILE --labels --correction"
            if noise.told >= WELL_TOLD
            else "rather rare than wrong, as the features tell so little; look at the first rows below",
            "warn" if likely else "tell",
        )
    if look.target is None:
        return
    if look.target.labelled < look.table.rows:
        open_ = look.table.rows - look.target.labelled
        yield Note("unlabelled", data.target, f"{open_} rows have no label", "land labels: retrim ingest FILE --labels")
    if data.task == "binary" and look.target.classes:
        rows = dict(look.target.classes)
        share = rows.get(str(data.positive), 0) / max(sum(rows.values()), 1)
        if min(share, 1 - share) < RARE_CLASS:
            said = f"{share:.2%} of the labels are {str(data.positive)[:40]!r}"
            yield Note("rare class", data.target, said, "judge.loss: log_loss, and no accuracy under judge.metrics")
    if look.pairs and max(look.strength.values()) < TELLING:
        best = max(look.strength.values())
        said = f"no feature alone tells more than {best:.2%} of the target's uncertainty"
        yield Note("no signal", data.target, said, "features may tell it together; else a model is the wrong tool")


def _given(look: Look) -> Iterator[Note]:
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
    levels,
    far_values,
    _drift,
    _related,
    _sums,
)
"""What is looked for, in the order in which findings of one weight are told."""
