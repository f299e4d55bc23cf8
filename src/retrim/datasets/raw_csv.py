"""CSV of which nothing is declared yet: what separates its cells, and its columns as text."""

import csv
import io
from collections.abc import Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.csv as pacsv

from retrim.datasets.container import BLOCK
from retrim.errors import BadInputError

SEPARATORS = (",", ";", "\t", "|")
HEAD, LINES, SAME = 1 << 18, 20, 0.6
"""Bytes and lines looked at for the separator, and the share of lines with as many cells as the first has."""


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
    return next(_lines(text, separator), [])


def _lines(text: bytes, separator: str) -> Iterator[list[str]]:
    """The first lines as cells; a quoted cell may hold line ends."""
    head = io.StringIO(text[:HEAD].decode("utf-8", "ignore"), newline="")
    return csv.reader(head, delimiter=separator)


def _separator(text: bytes) -> str:
    """The sign that cuts the first lines into most cells, as many in each; a comma where none does."""
    best, most = ",", 1
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in islice(_lines(text, separator), LINES) if row]
        except csv.Error:
            continue
        if len(text) > HEAD and 1 < len(widths) < LINES:
            widths = widths[:-1]  # it is cut
        usual = widths[0] if widths else 0
        if usual > most and sum(width == usual for width in widths) >= SAME * len(widths):
            best, most = separator, usual
    return best
