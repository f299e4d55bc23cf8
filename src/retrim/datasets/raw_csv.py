"""CSV of which nothing is declared yet: what separates its cells, and its columns as text."""

import csv
import io

import pyarrow as pa
import pyarrow.csv as pacsv

from retrim.datasets.container import BLOCK
from retrim.errors import BadInputError

SEPARATORS = (",", ";", "\t", "|")


def read_csv(text: bytes, where: str) -> tuple[pa.Table, str, int]:
    """Its columns as text, what separates them, and how many ragged lines were left out.

    Raises:
        BadInputError: It has no header.
        pa.ArrowException: It is no table.
    """
    text = text.lstrip(b"\r\n")
    separator = _separator(text)
    header = _header(text, separator)
    if not any(name.strip() for name in header):
        raise BadInputError(f"{where} has no names of columns in its first line; put them there")
    if b"\n" not in text:
        text += b"\n"
    ragged: list[int] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(1)
        return "skip"

    names = list(dict.fromkeys(header))
    table = pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=min(BLOCK, len(text) + 1)),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return table, separator, len(ragged)


def _header(text: bytes, separator: str) -> list[str]:
    line = text.splitlines()[0].decode("utf-8") if text else ""
    csv.field_size_limit(131_072)
    return next(csv.reader([line], delimiter=separator), [])


def _separator(text: bytes) -> str:
    """The sign that cuts the first lines into most cells, as many in each; a comma where none does."""
    lines = [line.decode("utf-8", "replace") for line in text[: 1 << 16].splitlines()[:20] if line.strip()]
    if len(text) > 1 << 16 and len(lines) > 1:
        lines = lines[:-1]
    best, most = ",", 1
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        except csv.Error:
            continue
        usual = widths[0] if widths else 0
        if usual > most and sum(width == usual for width in widths) >= 0.9 * len(widths):
            best, most = separator, usual
    return best
