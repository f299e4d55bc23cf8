"""Stored predictions have one reader and writer: how they lie may change behind it."""

from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "retrim"


def test_nothing_but_the_prediction_log_knows_how_predictions_lie() -> None:
    naming = {
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "month={" in path.read_text(encoding="utf-8") or "/version=" in path.read_text(encoding="utf-8")
    }

    assert naming == {"lineage/prediction_log.py"}
