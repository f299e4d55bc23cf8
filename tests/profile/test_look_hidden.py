"""Columns that may not be shown: their names stand in the record, their values nowhere."""

import json

import numpy as np
import pytest

from retrim.profile.findings import findings
from retrim.profile.table import TableNote
from retrim.profile.whole import TableProfile
from tests.builders.look_tables import answers, looked

ROWS = 400
MAIL = [f"zzqx{number}@example.org" for number in range(ROWS)]
WAITING = "+49 170 999 9999"
SECRET = ["zzqx-one" if number % 3 else "zzqx-two" for number in range(ROWS)]
HIDDEN = {"mail": MAIL, "sex": SECRET, "n": np.random.default_rng(1).normal(size=ROWS)}


def everything(look: TableProfile) -> str:
    return json.dumps(look.as_record()) + "\n".join(map(str, findings(look)))


@pytest.mark.slow
def test_values_of_forbidden_and_personal_columns_stand_nowhere() -> None:
    told = everything(looked(HIDDEN, answers(ROWS), roles={"sex": "forbidden"}))

    assert ("zzqx" in told, '"mail"' in told, '"sex"' in told) == (False, True, True)


def test_a_personal_column_that_a_model_may_use_is_a_warning() -> None:
    found = findings(looked(HIDDEN, answers(ROWS), roles={"sex": "forbidden"}))

    assert [note.column for note in found if note.about == "personal" and note.weight == "warn"] == ["mail"]


@pytest.mark.slow
@pytest.mark.parametrize("about", ["mixed", "dates", "id"])
def test_what_was_noticed_of_a_hidden_column_is_not_told_with_its_values(about: str) -> None:
    note = TableNote(about, "sex", "cells such as 'zzqx-one'", "a category", "warn")

    assert "zzqx" not in everything(looked(HIDDEN, answers(ROWS), roles={"sex": "forbidden"}, given=(note,)))


def test_a_target_that_looks_personal_is_not_shown() -> None:
    told = everything(looked({"n": HIDDEN["n"]}, MAIL, task="multiclass"))

    assert "zzqx" not in told


@pytest.mark.slow
def test_a_feature_from_the_past_of_a_hidden_column_is_hidden_too() -> None:
    columns = {"n": HIDDEN["n"], "wage": np.full(ROWS, 987654321.0)}
    look = looked(columns, answers(ROWS), roles={"wage": "forbidden"}, past=[{"of": "wage", "lag": 1}])

    assert look.columns["wage lag 1"].hidden
    assert "987654321" not in everything(look)


@pytest.mark.slow
def test_a_column_whose_values_a_sample_holds_few_of_is_judged_on_all_rows() -> None:
    # 25 addresses, all but one of them on few rows: 20 drawn rows cannot hold the more than 20 that make it personal.
    mail = [MAIL[row // 4 % 24] if row % 4 == 0 else MAIL[24] for row in range(ROWS)]
    look = looked({"mail": mail, "n": HIDDEN["n"]}, answers(ROWS), rows=20)

    assert look.columns["mail"].hidden == "looks like an email address"
    assert "zzqx" not in everything(look)


@pytest.mark.slow
def test_a_leak_of_a_hidden_column_is_told_without_its_value() -> None:
    phone = [f"+49 170 {row:03d} 1234" for row in range(ROWS)]
    waits = [row > ROWS // 2 and row % 3 == 0 for row in range(ROWS)]
    columns = {"phone": [WAITING if open_ else own for open_, own in zip(waits, phone, strict=True)], "n": HIDDEN["n"]}
    target = [None if open_ else answer for open_, answer in zip(waits, answers(ROWS), strict=True)]
    look = looked(columns, target)

    assert [(leak.columns, leak.probe) for leak in look.leaks] == [(("phone",), "known later")]
    assert " 100% " in look.leaks[0].seen
    assert WAITING not in everything(look)
