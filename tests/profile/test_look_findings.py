"""Findings: what is planted is found, with its column; what is sound has none; what many share is told once."""

from collections.abc import Callable

import numpy as np
import pytest

from retrim.profile.findings import MOST_ALIKE, ORDER, findings
from retrim.profile.table import TableNote
from retrim.profile.whole import TableProfile
from tests.builders.look_tables import answers, looked

ROWS = 2000
DRAW = np.random.default_rng(1)
SOUND = DRAW.normal(size=ROWS)


def leak() -> TableProfile:
    target = answers(ROWS)
    return looked({"n": SOUND, "copy": np.where(np.array(target) == "yes", 1.0, 0.0)}, target)


def gaps_that_grow() -> TableProfile:
    gone = DRAW.uniform(size=ROWS) < np.where(np.arange(ROWS) > 1500, 0.8, 0.02)
    return looked({"g": np.where(gone, np.nan, SOUND), "n": SOUND}, answers(ROWS))


PLANTED: dict[str, tuple[Callable[[], TableProfile], str, str]] = {
    "a column that gives the answer away": (leak, "leak", "copy"),
    "one value": (lambda: looked({"n": SOUND, "one": [1.0] * ROWS}, answers(ROWS)), "constant", "one"),
    "nearly one value": (
        lambda: looked({"n": SOUND, "one": [1.0] * (ROWS - 2) + [2.0, 3.0]}, answers(ROWS)),
        "near-constant",
        "one",
    ),
    "no value": (lambda: looked({"n": SOUND, "none": [np.nan] * ROWS}, answers(ROWS)), "empty", "none"),
    "gaps that grow": (gaps_that_grow, "missing", "g"),
    "labels to come": (lambda: looked({"n": SOUND}, [*answers(ROWS)[:-50], *[None] * 50]), "unlabelled", "y"),
    "a rare class": (lambda: looked({"n": SOUND}, ["yes"] * 40 + ["no"] * (ROWS - 40)), "rare class", "y"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "about", "column"), PLANTED.values(), ids=PLANTED)
def test_what_was_planted_is_found_with_what_to_do_the_worst_first(
    make: Callable[[], TableProfile], about: str, column: str
) -> None:
    notes = findings(make())
    weights = [ORDER[note.weight] for note in notes]

    assert (about, column) in [(note.about, note.column) for note in notes]
    assert all(note.done for note in notes)
    assert weights == sorted(weights)


def test_a_sound_table_has_no_finding() -> None:
    draw = np.random.default_rng(2)
    one, two = draw.normal(size=ROWS), draw.normal(size=ROWS)
    target = np.where(one + two + draw.normal(size=ROWS) > 0, "yes", "no")
    found = findings(looked({"a": one, "b": two, "c": draw.choice(list("abc"), ROWS)}, list(target)))

    assert [str(note) for note in found if note.weight != "tell"] == []
    assert {note.about for note in found} <= {"label noise"}


@pytest.mark.slow
def test_what_many_columns_share_is_told_once() -> None:
    look = looked({"n": SOUND, **{f"one {number}": [1.0] * ROWS for number in range(40)}}, answers(ROWS))
    told = [note for note in findings(look) if note.about == "constant"]

    assert len(told) == MOST_ALIKE + 1
    assert told[-1].seen.startswith("35 more: ")


def test_what_was_noticed_on_reading_stands_among_them() -> None:
    given = (TableNote("decimal comma", "n", "numbers such as '1,5'", "declared", "warn"),)

    assert given[0] in findings(looked({"n": SOUND}, answers(ROWS), given=given))
