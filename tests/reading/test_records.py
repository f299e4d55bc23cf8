"""A text is cut between records alone, as the reader of CSV sees them, however it is read."""

import csv
import io

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.reading.chunks import LONGEST
from retrim.reading.records import EndlessRecordError, Ends, csv_ends, cut, first_record

CELLS = st.text(st.sampled_from('a",\n\r" \t'), max_size=6)
ROWS = st.lists(st.lists(CELLS, min_size=2, max_size=2).map(lambda row: ["x", *row]), min_size=1, max_size=30)
STRAY = st.text(st.sampled_from('a",\n\r'), max_size=60)


def texts(content: bytes, ends: Ends, *, size: int, step: int = 7, longest: int = LONGEST) -> list[bytes]:
    chunks = cut(io.BytesIO(content), ends, header=b"", begun=b"", size=size, longest=longest, step=step)
    return [chunk.content() for chunk in chunks]


def counts(content: bytes, ends: Ends, **how: int) -> list[int]:
    return [chunk.rows for chunk in cut(io.BytesIO(content), ends, header=b"", begun=b"", longest=LONGEST, **how)]


def cells(content: bytes) -> list[dict[str, str | None]]:
    """The rows of a CSV without a header, as Arrow reads it."""
    table = pacsv.read_csv(
        io.BytesIO(content),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=1 << 20, column_names=["a", "b", "c"]),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip"),
        convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys("abc", pa.string())),
    )
    return list(table.to_pylist())


@given(rows=ROWS, size=st.integers(1, 200), step=st.integers(1, 50), end=st.sampled_from(["\n", "\r\n"]))
@settings(deadline=None)
def test_pieces_put_together_are_the_text_and_each_has_whole_rows(
    rows: list[list[str]], size: int, step: int, end: str
) -> None:
    sink = io.StringIO()
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL  # else a CR alone is not quoted
    csv.writer(sink, lineterminator=end, quoting=quoting).writerows(rows)
    content = sink.getvalue().encode()
    found = texts(content, csv_ends(","), size=size, step=step)
    read = [list(csv.reader(io.StringIO(each.decode(), newline=""))) for each in found]

    assert b"".join(found) == content
    assert [row for part in read for row in part] == rows
    assert counts(content, csv_ends(","), size=size, step=step) == [len(part) for part in read]


@given(content=STRAY.map(lambda text: f"p,q,r\n{text}\n".encode()), size=st.integers(1, 40), step=st.integers(1, 50))
@settings(deadline=None)
def test_a_quote_means_what_it_means_to_the_reader_wherever_it_stands(content: bytes, size: int, step: int) -> None:
    found = texts(content, csv_ends(","), size=size, step=step)

    assert [row for each in found for row in cells(each)] == cells(content)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_ends_by_any_line_end(end: bytes) -> None:
    found = texts(end.join([b"1,2", b"3,4", b"", b'5,"6', b'7"', b"8,9"]), csv_ends(","), size=4)

    assert [each.strip(b"\r\n") for each in found] == [b"1,2", b"3,4", b'5,"6' + end + b'7"', b"8,9"]


def test_a_quote_within_a_cell_opens_nothing() -> None:
    assert counts(b'5" pipe,1\n6" pipe,2\n7,3\n', csv_ends(","), size=10) == [1, 1, 1]


def test_other_bytes_in_one_record_leave_the_other_cuts_where_they_are() -> None:
    lines = [b"%04d,value\n" % number for number in range(1000)]
    before = texts(b"".join(lines), csv_ends(","), size=1000, step=200)
    lines[500] = b"0500,a longer value\n"
    after = texts(b"".join(lines), csv_ends(","), size=1000, step=200)
    changed = [one == other for one, other in zip(before, after, strict=True)]

    assert len(changed) > 10
    assert changed.count(False) == 1


def test_records_that_become_longer_are_cut_before_there_are_twice_as_many_bytes() -> None:
    content = b"1,2\n" * 1000 + (b"x" * 99 + b"\n") * 1000
    lengths = [len(each) for each in texts(content, csv_ends(","), size=1000, step=400)]

    assert max(lengths) <= 2 * 1000 + 100


def test_a_quote_that_never_closes_ends_it_and_says_after_how_many_records() -> None:
    with pytest.raises(EndlessRecordError) as error:
        texts(b'1,2\n3,4\n5,"6\n' + b"7,8\n" * 1000, csv_ends(","), size=10, longest=1000)

    assert error.value.before == 2


def test_a_quote_that_is_not_closed_at_the_end_is_left_to_the_reader() -> None:
    found = texts(b'1,2\n3,"4\n5,6\n', csv_ends(","), size=6)

    assert found == [b"1,2\n", b'3,"4\n5,6\n']


@pytest.mark.parametrize("step", [1, 5, 100])
def test_a_header_may_hold_a_line_end(step: int) -> None:
    header, begun = first_record(io.BytesIO(b'\n\r\n"a\nb",c\n1,2\n'), csv_ends(","), longest=100, step=step)

    assert header == b'"a\nb",c\n'
    assert b"1,2\n".startswith(begun[:4])
