"""What a raw column is taken for, and what is said of it."""

import pyarrow as pa
import pytest

from retrim.profile.raw_columns import plan_columns, spelling_of
from retrim.profile.table import Notes
from retrim.reading.raw import look_of


@pytest.mark.parametrize(
    ("kind", "called"), [(pa.duration("s"), "durations"), (pa.time32("s"), "times of day"), (pa.binary(), "bytes")]
)
def test_what_is_left_out_is_called_what_it_is(kind: pa.DataType, called: str) -> None:
    look = look_of("took", pa.chunked_array([pa.nulls(1, kind)]))
    notes = Notes()
    columns = plan_columns([look], spelling_of([look]), notes)

    assert columns["took"].skip
    assert called in notes[0].seen
