import pandas as pd
import pytest

from retrim.profile.drafted_suite import draft_suite
from retrim.table.reading import ReadingParams
from tests.builders.look_tables import section


def bounds(older: list[float], name: str) -> list[tuple[object, object]]:
    rows = pd.DataFrame({"id": [1.0, 2.0, 3.0], name: older, "y": "yes"})
    drafted = [draft.expectation for draft in draft_suite(rows, [], section({name: "number"}), ReadingParams())]
    found = [one.arguments for one in drafted if one.kind == "be_between" and one.arguments.column == name]
    return [(one.min_value, one.max_value) for one in found]


@pytest.mark.parametrize(
    ("name", "least", "most"), [("hour", 0, 23), ("age", 0, 130), ("humidity", 0, 100), ("lat", -90, 90)]
)
def test_what_a_name_says_bounds_a_number_only_where_the_older_rows_agree(name: str, least: int, most: int) -> None:
    assert bounds([least, 5.0, most], name) == [(least, most)]
    assert bounds([least - 1.0, 5.0, most], name) == []
    assert bounds([least, 5.0, most + 1.0], name) == []
