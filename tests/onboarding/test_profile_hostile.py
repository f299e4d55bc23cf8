"""Whatever a table is, `retrim profile --data` ends with findings, or with an error that says what to do."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from retrim.errors import RetrimError
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.profile import raw_table
from retrim.profile.findings import findings
from retrim.profile.whole import profile_table
from retrim.reading.raw import read_raw
from tests.builders.hostile_tables import hostile

EXAMPLES = 6  # each takes a second or two
WANTED = ("target", "event_time", "label_due", "entity", "task", "positive", "forbid")


def outcome(content: bytes, wishes: dict[str, Any]) -> str:
    """`findings` where there are some, of bounded size; else the error, a line."""
    known = {name: value for name, value in wishes.items() if name in WANTED}
    try:
        table, notes = raw_table(read_raw(content, "table"), InitRequest(model="own", **known))
    except RetrimError as error:
        return str(error)
    look = profile_table(table, rows=500, seed=7, threads=1, given=notes)

    assert json.loads(json.dumps(look.as_record()))
    assert len("".join(map(str, findings(look)))) < 100_000
    return "findings"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(hostile())
def test_a_hostile_table_ends_in_findings_or_in_an_error_of_ours(drawn: tuple[bytes, dict[str, Any]]) -> None:
    ended = outcome(*drawn)

    assert ended == "findings" or (ended[0].islower() or not ended[0].isalpha())
