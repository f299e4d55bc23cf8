"""Whatever a table is, `retrim profile --data` ends with a page, or with an error that says what to do."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings

from retrim.errors import RetrimError
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.profile import html, raw_table
from retrim.profile.page import page_of
from retrim.profile.whole import profile_table
from retrim.reading.raw import read_raw
from tests.builders.hostile_tables import hostile

EXAMPLES = 6  # a page takes a second or two
WANTED = ("target", "event_time", "label_due", "entity", "task", "positive", "forbid")


def outcome(content: bytes, wishes: dict[str, Any]) -> str:
    """`page` where there is one, of bounded size and without a script; else the error, a line."""
    known = {name: value for name, value in wishes.items() if name in WANTED}
    try:
        table, notes = raw_table(read_raw(content, "table"), InitRequest(model="own", **known))
    except RetrimError as error:
        return str(error)
    look = profile_table(table, rows=500, seed=7, threads=1, champion=None, prepared=(), given=notes)
    page = html(page_of(look))

    assert json.loads(json.dumps(look.as_record()))
    assert len(page) < 3_000_000
    assert "<script" not in page
    return "page"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(hostile())
def test_a_hostile_table_ends_in_a_page_or_in_an_error_of_ours(drawn: tuple[bytes, dict[str, Any]]) -> None:
    ended = outcome(*drawn)

    assert ended == "page" or (ended[0].islower() or not ended[0].isalpha())
