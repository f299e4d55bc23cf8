"""Stored predictions have one reader: their storage may change behind it."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "retrim"
MAY = {"adapters/store.py", "adapters/schema.py"}


def test_nothing_but_the_prediction_log_names_the_table_of_predictions() -> None:
    table = re.compile(r"\b(PREDICTIONS|SELECTIONS)\b|\bfrom\s+(predictions|selections)\b")
    naming = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "migrations" not in path.parts and table.search(path.read_text(encoding="utf-8"))
    }

    assert naming == MAY
