"""Leaks of every form are found in generated tables, with noise, missing cells and drift; honest tables pass."""

import pandas as pd
import pytest

from retrim.profile.too_good import LeaksFound, find_leaks
from retrim.table.data import DataParams
from tests.builders.leak_forms import CLASSES, HONEST, NUMBERS, STATES, Form, Made, frame_of

LEAKS = NUMBERS | CLASSES


def search(frame: pd.DataFrame, data: DataParams, *allowed: str) -> LeaksFound:
    return find_leaks(
        frame,
        data,
        entity=None,
        judge_rows=300,
        calendar=(),
        allowed=allowed,
        seed=7,
        threads=1,
    )


def named(found: LeaksFound) -> set[str]:
    return {name for leak in found.refused for name in leak.columns}


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("form", LEAKS.values(), ids=LEAKS)
def test_a_leak_is_named_and_nothing_honest_is(form: Form, state: str) -> None:
    found = named(search(*frame_of(form, Made(state))))

    assert found
    assert not found & {"hint", "where", "other"}


@pytest.mark.slow
@pytest.mark.parametrize("state", ["plain", "missing", "drift"])
@pytest.mark.parametrize("form", HONEST.values(), ids=HONEST)
def test_an_honest_table_has_no_leak(form: Form, state: str) -> None:
    assert [leak.text for leak in search(*frame_of(form, Made(state))).refused] == []


def test_a_state_that_hardly_changes_is_told_by_nothing() -> None:
    found = [search(*frame_of(HONEST["sticky"], Made("missing", rows=400, seed=seed))) for seed in range(3)]

    assert [leak.text for one in found for leak in one.refused] == []
