"""Tables that are odd in every way end in findings of bounded size and a record that is JSON."""

import json

import numpy as np
import pytest

from retrim.profile.findings import findings
from retrim.profile.whole import TableProfile
from tests.builders.look_tables import answers, looked

HOSTILE = "<script>alert('x')</script> \"quoted\" & {{ 7 * 7 }}"
ROWS = 300


def numbers(rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(1).normal(size=rows)


TABLES = {
    "no row": lambda: looked({"n": [], "c": []}, []),
    "one row": lambda: looked({"n": [1.0], "c": ["x"]}, ["yes"]),
    "two rows": lambda: looked({"n": [1.0, np.nan], "c": ["x", "y"]}, ["yes", "no"]),
    "all missing": lambda: looked({"n": [np.nan] * ROWS, "m": numbers()}, [None] * ROWS),
    "constant": lambda: looked({"n": [3.0] * ROWS, "c": ["x"] * ROWS}, ["yes"] * ROWS),
    "constant target of a regression": lambda: looked({"n": numbers()}, [5.0] * ROWS, task="regression"),
    "infinite": lambda: looked({"n": [np.inf, -np.inf, 1.0] * 100}, answers(ROWS)),
    "the largest numbers": lambda: looked(
        {"n": [1.7e308, -1.7e308, 0.0] * 100}, [1e308, -1e308, 1.0] * 100, task="regression"
    ),
    "the smallest numbers": lambda: looked({"n": [5e-324, 0.0, 1e-310] * 100}, answers(ROWS)),
    "an infinite target": lambda: looked({"n": numbers()}, [np.inf] * ROWS, task="regression"),
    "texts of 10,000 signs": lambda: looked({"c": [f"{'long ' * 2000}{n % 7}" for n in range(ROWS)]}, answers(ROWS)),
    "a text of its own in every row": lambda: looked({"c": [f"text {n}" for n in range(ROWS)]}, answers(ROWS)),
    "names that are code": lambda: looked(
        {HOSTILE: numbers(), f"{HOSTILE} 2": [HOSTILE, "b"] * 150}, [HOSTILE, "yes"] * 150
    ),
    "signs of every kind": lambda: looked(
        {"größe 📏 $x$ \\frac": numbers(), "\u202eabc": ["\x00\x1b[31m", "日本", "$a_b$ ^"] * 100}, answers(ROWS)
    ),
    "a name of 5,000 signs": lambda: looked({"n" * 5000: numbers()}, answers(ROWS)),
    "100 classes": lambda: looked({"n": numbers()}, [f"class {n % 100}" for n in range(ROWS)], task="multiclass"),
    "all at one time": lambda: looked({"n": numbers()}, answers(ROWS), every="0h"),
    "centuries": lambda: looked({"n": numbers()[:250]}, answers(250), every="365D"),
}  # fmt: skip


@pytest.fixture(params=TABLES)
def look(request: pytest.FixtureRequest) -> TableProfile:
    return TABLES[request.param]()


def test_any_table_ends_in_findings_and_a_record_that_is_json(look: TableProfile) -> None:
    assert len("".join(map(str, findings(look)))) < 50_000
    assert json.loads(json.dumps(look.as_record()))["rows"] == look.table.rows


@pytest.mark.slow
def test_2000_columns_end_in_findings_of_bounded_size() -> None:
    values = np.random.default_rng(1).normal(size=(60, 2000))
    look = looked({f"column {number}": values[:, number] for number in range(2000)}, answers(60))

    assert len("".join(map(str, findings(look)))) < 50_000
