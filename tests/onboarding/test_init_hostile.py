"""Whatever a table is, `retrim init` ends with settings that hold, or with an error that says what to do."""

from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings

from retrim.errors import RetrimError
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.draft import draft
from retrim.onboarding.history import contents
from retrim.onboarding.write import new_params
from retrim.reading.raw import read_raw
from retrim.reading.table import read_content
from retrim.table.fault import Fault
from tests.builders.hostile_tables import hostile
from tests.builders.raw_tables import ROWS, csv, table

PARAMS = (Path(__file__).parents[2] / "params.yaml").read_text(encoding="utf-8")
EXAMPLES = 20


def outcome(content: bytes, wishes: dict[str, Any]) -> str:
    """`settings` where they were drafted and hold on the whole table; else the error, a line."""
    try:
        raw = read_raw(content, "table")
        drafted = draft(
            raw,
            InitRequest(model="own", **wishes),
            ask=lambda _, proposal, __: proposal,
            confidence=0.95,
            seed=7,
            threads=1,
        )
        new_params(PARAMS, drafted, reason="", name="params.yaml")
    except RetrimError as error:
        return str(error)
    faults: list[Fault] = []
    for piece, file in contents(drafted, raw, now=pd.Timestamp("2100-01-01", tz="UTC")):
        labels = piece.kind == "labels"
        faults += read_content(file, drafted.data, labels=labels, reading=drafted.reading).faults

    assert faults == [], "; ".join(map(str, faults))
    return "settings"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(hostile())
def test_a_hostile_table_ends_in_settings_or_in_an_error_of_ours(drawn: tuple[bytes, dict[str, Any]]) -> None:
    ended = outcome(*drawn)

    assert ended == "settings" or (ended[0].islower() or not ended[0].isalpha())
    assert "Traceback" not in ended


def test_a_column_called_as_label_times_are_is_no_target_and_no_key() -> None:
    named = table().rename(columns={"minutes": "label_time"})
    counted = table(label_time=range(ROWS))

    assert "rename the target column" in outcome(csv(named), {"target": "label_time"})
    assert outcome(csv(counted), {"target": "minutes"}) == "settings"
