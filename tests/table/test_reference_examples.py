"""The settings that docs/reference/history.md and rows.md show are read as they stand."""

import re
from pathlib import Path
from typing import Any

from retrim.table.granularity import RowParams
from retrim.table.lags import HistoryParams
from retrim.yaml_files import load_yaml

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


def example(page: str) -> dict[str, Any]:
    """The section `data` of a page's settings."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (REFERENCE / page).read_text(encoding="utf-8"), re.DOTALL)
    section: dict[str, Any] = load_yaml(text)["data"]
    return section


def test_the_features_of_the_past_are_read_as_they_stand() -> None:
    assert len(HistoryParams.model_validate(example("history.md")["history"]).features) == 2


def test_the_rows_are_read_as_they_stand() -> None:
    assert len(RowParams.model_validate(example("rows.md")["rows"]).where) == 3
