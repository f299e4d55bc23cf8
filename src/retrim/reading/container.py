"""Opens a file that may be anything: CSV, JSON lines, Parquet, Arrow or Excel gives columns, the rest gives faults.

What a file is, is told by its content; CSV and JSON lines may be gzipped.
"""

import csv
import gzip
import io
import re
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather as paf
import pyarrow.json as pajson

from retrim.parquet import parquet_table
from retrim.reading.excel import SheetError, is_workbook, sheets_of
from retrim.table.data import LABEL_TIME
from retrim.table.fault import Example, Fault, of_rows, shown_name, whole_file
from retrim.table.reading import PLAIN, ReadingParams

GZIP, PARQUET, ARROW, UTF8_MARK = b"\x1f\x8b", b"PAR1", b"ARROW1", b"\xef\xbb\xbf"
JSON_LINE = re.compile(rb"\s*\{\s*[\"}]")
JSON_ARRAY = re.compile(rb"\s*\[\s*\{")
OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
BLOCK = 64 << 20
"""Bytes of the longest line of a text."""
MOST_WHOLE = 512 << 20
"""Bytes, unpacked, of a file that is read at once: some copies of it are held in memory. Larger ones are cut into
pieces; what cannot be cut has a line without an end, or an encoding of several bytes a sign."""
STEP = 8 << 20
MIXED = re.compile(r"Column\((.*)\) changed from (\w+) to (\w+) in row")
TWICE = re.compile(r"Column\(/?(.*)\) was specified twice in row")
"""What Arrow says of lines of JSON that are whole, but no table."""
STORED_AS = {"parquet": "Parquet", "arrow": "Arrow", "json": "JSON lines", "excel": "Excel"}
AS_LINES = "write JSON lines: each row as an object on its own line"
SAVE_AS = "save it as CSV in UTF-8, separated by commas, or as Parquet"
SHOWN = 12
ALIKE = 0.6  # of two names, as difflib has it: the same column, likely, under another name


class NoTableError(ValueError):
    """The content cannot be read as a table; carries the fault."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


def columns_of(
    content: bytes,
    *,
    required: Iterable[str],
    optional: Iterable[str],
    reading: ReadingParams = PLAIN,
    elsewhere: Collection[str] = (),
) -> pa.Table:
    """The columns of `content`: text from CSV, as stored from the others.

    Args:
        elsewhere: Columns that other chunks of the same JSON lines have: where this one has none, they are missing.

    Raises:
        NoTableError: It is not a table, or lacks a required column.
    """
    if not content:
        raise NoTableError(whole_file("contains a table", value="an empty file", cure="send the file again"))
    names = tuple(required), (*optional, *reading.skip)
    content = unpacked(content)
    kind = stored_kind(content)
    if kind is None:
        content = utf8_text(content, reading.encoding)
        if (endless := _long_line(content)) is not None:
            raise NoTableError(endless)
        if JSON_ARRAY.match(content):
            raise NoTableError(whole_file("is a table of text", value="a JSON array", cure=AS_LINES))
        if not JSON_LINE.match(content):
            return _from_csv(content, *names, separator=reading.separator)
    table = read_stored(kind or "json", content, required=names[0])
    for name in (name for name in names[0] if name in elsewhere and name not in table.column_names):
        table = table.append_column(name, pa.nulls(table.num_rows))
    _check_names(table.column_names, *names)
    return table


def unpacked(content: bytes) -> bytes:
    """The content of a gzip file, whose size is counted first: a small file may unpack to any size.

    Raises:
        NoTableError: It is damaged, or too large.
    """
    if not content.startswith(GZIP):
        return content
    try:
        size = 0
        with gzip.open(io.BytesIO(content)) as file:
            while step := len(file.read(STEP)):
                size += step
                if size > MOST_WHOLE:
                    raise NoTableError(too_large(f"more than {size >> 20} MB"))
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        cure = "send the file again: it was truncated or damaged"
        raise NoTableError(whole_file("is a complete gzip file", value=str(error), cure=cure)) from error


def too_large(value: str) -> Fault:
    """The fault of a file that cannot be cut into pieces and is too large to be read at once."""
    rule = f"is at most {MOST_WHOLE >> 20} MB when unpacked, if it cannot be cut between lines of UTF-8"
    cure = "end each row with a line end and close every quote, in UTF-8; or store the table as Parquet"
    return whole_file(rule, value=value, cure=cure)


def _long_line(text: bytes) -> Fault | None:
    """The first line that is too long to be read, as a fault."""
    start = 0
    while start + BLOCK < len(text):
        end = max(text.rfind(sign, start, start + BLOCK) for sign in (b"\n", b"\r"))
        if end < 0:
            number = 1 + max(text.count(sign, 0, start) for sign in (b"\n", b"\r"))
            rule = f"has lines of at most {BLOCK >> 20} MB"
            cure = "end each row with a line end, and close every quote"
            return whole_file(rule, value=f"a longer one, line {number}", cure=cure)
        start = end + 1
    return None


def stored_kind(content: bytes) -> Literal["parquet", "arrow", "excel"] | None:
    """What a file of typed columns is; None: it is text."""
    if content.startswith(PARQUET):
        return "parquet"
    return "arrow" if content.startswith(ARROW) else "excel" if is_workbook(content) else None


def read_stored(
    kind: Literal["parquet", "arrow", "json", "excel"], content: bytes, *, required: Collection[str] = ()
) -> pa.Table:
    """The columns of Parquet, Arrow, a workbook or lines of JSON in UTF-8, as they are stored.

    Args:
        required: Of a workbook with several tables it is the one that has these columns.

    Raises:
        NoTableError: It is damaged, or no table.
    """
    try:
        if kind == "json":
            table = read_json(content)
        elif kind == "parquet":
            table = parquet_table(content)
        elif kind == "excel":
            table = _sheet(content, required)
        else:
            table = paf.read_table(pa.BufferReader(content), use_threads=False)  # which copies nothing
    except (pa.ArrowException, OSError, UnicodeError) as error:
        if mixed := MIXED.search(str(error)):
            name, *kinds = mixed.groups()
            cure = "write the values of each column in one JSON type, and each line as an object"
            rule, value = "has values of one JSON type", " and ".join(kinds)
            raise NoTableError(whole_file(rule, column=name.removeprefix("/"), value=value, cure=cure)) from error
        if twice := TWICE.search(str(error)):
            raise _named_twice([twice[1]]) from error
        rule, cure = f"is a complete {STORED_AS[kind]} file", "send the file again: it was truncated or damaged"
        raise NoTableError(whole_file(rule, value=str(error), cure=cure)) from error
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        rule, cure = "has text in UTF-8 and complete columns", "store text as UTF-8"
        raise NoTableError(whole_file(rule, value=str(error), cure=cure)) from error
    return without_views(table)


def _sheet(content: bytes, required: Collection[str]) -> pa.Table:
    try:
        sheets = sheets_of(content, most=MOST_WHOLE)
    except SheetError as error:
        cure = "open and save it in Excel again, with the table in one sheet and its column names in the first line"
        raise NoTableError(whole_file("is a workbook with a table", value=str(error), cure=cure)) from error
    fitting = [name for name, table in sheets.items() if set(required) <= set(table.column_names)] or list(sheets)
    if len(fitting) > 1:
        rule, cure = "has one sheet with the table", "keep the sheet with the table, and remove the others"
        raise NoTableError(whole_file(rule, value=f"several: {', '.join(map(repr, fitting))}", cure=cure))
    return sheets[fitting[0]]


def without_views(table: pa.Table) -> pa.Table:
    """The same table with plain text for text in views, as polars writes it: Arrow computes little on views."""
    for number, field in enumerate(table.schema):
        plain = _without_view(field.type)
        if plain != field.type:
            table = table.set_column(number, field.name, table.column(number).cast(plain))
    return table


def _without_view(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _without_view(kind.value_type), ordered=kind.ordered)
    return pa.large_string() if pa.types.is_string_view(kind) else kind


def read_json(content: bytes) -> pa.Table:
    """The columns of JSON lines, whose text stays text also where it looks like times."""
    table = _inferred(content)
    times = [field.name for field in table.schema if pa.types.is_timestamp(field.type)]
    if times:  # Arrow made them of text, and their zones are lost
        as_text = pa.schema([(name, pa.string()) for name in times])
        texts = _inferred(content, explicit_schema=as_text, unexpected_field_behavior="ignore")
        for name in times:
            table = table.set_column(table.column_names.index(name), name, texts[name])
    return table


def _inferred(content: bytes, **how: Any) -> pa.Table:
    return pajson.read_json(
        pa.BufferReader(content),
        read_options=pajson.ReadOptions(use_threads=False, block_size=min(BLOCK, len(content) + 1)),
        parse_options=pajson.ParseOptions(**how),
    )


def json_names(content: bytes, encoding: str) -> frozenset[str]:
    """What the columns of JSON lines are called; empty where `content` is something else, or damaged."""
    if not JSON_LINE.match(content):
        return frozenset()
    try:
        return frozenset(_inferred(utf8_text(content, encoding)).column_names)
    except (NoTableError, pa.ArrowException, UnicodeError):
        return frozenset()


def utf8_text(content: bytes, encoding: str) -> bytes:
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        try:
            content = content.decode(encoding).encode("utf-8")
        except UnicodeError as error:
            raise NoTableError(whole_file(f"is text in {encoding}", value=str(error), cure=SAVE_AS)) from error
    for mark, name in OTHER_MARKS.items():
        if content.startswith(mark):
            raise NoTableError(whole_file("is UTF-8 text", value=f"a byte order mark of {name}", cure=SAVE_AS))
    content = content.removeprefix(UTF8_MARK)
    if b"\0" in content:
        raise NoTableError(
            whole_file("is a table of text", value=f"binary data, a zero byte at {content.index(0)}", cure=SAVE_AS)
        )
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        value = f"byte 0x{content[error.start]:02x} in line {line}"
        raise NoTableError(whole_file("is UTF-8 text", value=value, cure=SAVE_AS)) from error
    if not content.strip():
        raise NoTableError(whole_file("contains a table", value="only blank lines", cure="send the file again"))
    return content


def _from_csv(content: bytes, required: tuple[str, ...], optional: tuple[str, ...], *, separator: str) -> pa.Table:
    content = content.lstrip(b"\r\n")
    try:
        header = header_of(content, separator)
    except csv.Error as error:
        raise NoTableError(whole_file("has a header of column names", value=str(error), cure=SAVE_AS)) from error
    _check_names(header, required, optional, separator=separator)
    try:
        table, ragged = read_texts(content, header, separator)
    except pa.ArrowException as error:
        raise NoTableError(whole_file("is a table of text", value=str(error), cure=SAVE_AS)) from error
    if len(ragged) == 1 and ragged[0].actual_columns < len(header) and content.endswith(ragged[0].text.encode()):
        rule, cure = "ends with a whole row", "send the file again: its last row is cut off"
        raise NoTableError(whole_file(rule, value=ragged[0].text[:60], cure=cure))
    if ragged:
        lines = ((row.number - 2, None, row.text) for row in ragged)
        rule = f"has exactly one value for each of the {len(header)} columns"
        cure = "correct the lines; put text that contains the separator in quotes"
        raise NoTableError(of_rows("", rule, lines, count=len(ragged), releasable=False, cure=cure))
    return table


def header_of(text: bytes, separator: str) -> list[str]:
    """The cells of the first line of a CSV in UTF-8; a quoted name may hold a line end."""
    lines = io.TextIOWrapper(io.BytesIO(text), "utf-8", newline="")
    return next(csv.reader(lines, delimiter=separator), [])


def read_texts(content: bytes, names: Iterable[str], separator: str) -> tuple[pa.Table, list[pacsv.InvalidRow]]:
    """The columns of CSV as text, blank ones missing, and the lines left out, with another number of cells."""
    if b"\n" not in content:
        content += b"\n"
    ragged: list[pacsv.InvalidRow] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(row)
        return "skip"

    table = pacsv.read_csv(
        pa.BufferReader(content),
        # One thread: only so are the lines of ragged rows known.
        read_options=pacsv.ReadOptions(use_threads=False, block_size=min(BLOCK, len(content) + 1)),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return table, ragged


def _check_names(
    names: list[str], required: tuple[str, ...], optional: tuple[str, ...], *, separator: str = ","
) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise _named_twice(twice)
    there, declared = set(names), {*required, *optional}
    missing = [name for name in required if name not in there]
    extra = [name for name in names if name not in declared]
    if not missing and not extra:
        return
    examples = tuple(Example(None, None, f"missing: {shown_name(name)}") for name in missing)
    examples += tuple(Example(None, None, f"not declared: {shown_name(name)}") for name in extra)
    cure = "send the file with these columns, or declare the columns of the file in params.yaml (data.columns)"
    if extra and not missing:
        cure += "; to land the file without these columns, list them in reading.skip"
    apart, alike = hint_of_separator(names, separator), hint_of_spelling(missing, extra)
    if apart:
        cure = apart
    elif missing and LABEL_TIME not in optional and set(optional) & set(names) and set(extra) <= {LABEL_TIME}:
        cure = f"if these are labels, land them with `retrim ingest FILE --labels`; otherwise {cure}"
    elif alike:
        cure += f"; {alike}"
    elif renamed := hint_of_names(missing, extra):
        cure = f"{renamed}; else {cure}"
    rule = f"has the columns {_listed(required)}" + (f" (and may have {_listed(optional)})" if optional else "")
    raise NoTableError(Fault("", rule, len(examples), examples[:20], releasable=False, cure=cure))


def _named_twice(names: Iterable[str]) -> NoTableError:
    cure = "rename or remove the repeated columns"
    return NoTableError(whole_file("names each column once", value=", ".join(names), cure=cure))


def hint_of_separator(names: Sequence[str], separator: str) -> str:
    """What to do where a header is not cut at the sign that it was written with; empty where it is."""
    if len(names) != 1 or not any(mark in names[0] for mark in ",;\t|"):
        return ""
    by = "commas" if separator == "," else repr(separator)
    return f"separate the columns with {by}; the header is {names[0][:60]!r}"


def hint_of_spelling(missing: Iterable[str], others: Iterable[str]) -> str:
    """Which columns are there but for blanks and capitals; empty if none is."""
    spelt = {name.strip().casefold(): name for name in others}
    plain = ((name.strip().casefold(), name) for name in missing)
    alike = [f"{spelt[word]!r} is not {name!r}" for word, name in plain if word in spelt]
    return f"column names must match exactly, including blanks and capitals: {_listed(alike)}" if alike else ""


def hint_of_names(missing: Sequence[str], others: Sequence[str]) -> str:
    """What to declare where missing columns are likely called otherwise by now; empty where none is."""
    pairs = [(name, likely[0]) for name in missing if (likely := get_close_matches(name, others, 1, ALIKE))]
    if not pairs and len(missing) == len(others) == 1:
        pairs = [(missing[0], others[0])]
    shown = [(shown_name(name), shown_name(now)) for name, now in pairs]
    lines = [f"{name} may be called {now} now: `{now}: {{..., was: {name}}}`" for name, now in shown]
    return f"{', '.join(lines)}; if so, rename it so in data.columns of params.yaml" if lines else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(shown_name, names[:SHOWN])) + more
