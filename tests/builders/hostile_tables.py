"""Tables nobody would wish for, drawn by hypothesis: names, cells, sizes, encodings and containers."""

# ruff: noqa: E501  a kind of cells a line

import csv as csv_module
import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

NAMES = (
    "at", "y", "x", "hour", "weekday", "label_time", "_key", "_row", "", " ", "a b", "a,b", 'a"b', "a'b", "a;b", "a|b", "é",
    "温度", "😀", "'; DROP TABLE versions; --", "../../etc/passwd", "C:\\x", "=1+1", "null", "true", "yes", "1", "a\nb", "a\tb",
    "{x}", "%s", "$HOME", "`ls`", "[bold]x[/]", "name", "e-mail", "id", "target", "x" * 300, "\u202eabc", "a: b", "# c", "- d",
    "arrived at", "data", "columns", "\x1b[31m", "a\\", "NaN", "__proto__",
)  # fmt: skip
KINDS: dict[str, Callable[[np.random.Generator, int], list[Any]]] = {
    "numbers": lambda rng, n: [round(float(value), 3) for value in rng.normal(size=n)],
    "counts": lambda rng, n: [int(value) for value in rng.poisson(3, n)],
    "zeros and ones": lambda rng, n: [int(value) for value in rng.integers(0, 2, n)],
    "constant": lambda rng, n: [1] * n,
    "rows": lambda rng, n: list(range(n)),
    "huge": lambda rng, n: [float(value) for value in 10.0 ** rng.uniform(-300, 300, n)],
    "long digits": lambda rng, n: [int(value) * 10**20 for value in rng.integers(1, 9, n)],
    "not numbers": lambda rng, n: rng.choice(
        ["nan", "inf", "-inf", "1e999", "0x10", "1_000", "٣", "½", "--5"], n
    ).tolist(),
    "mixed": lambda rng, n: rng.choice(["1", "2.5", "x", "", "NULL", "1,5", "3.000,1"], n).tolist(),
    "commas": lambda rng, n: [f"{value:.2f}".replace(".", ",") for value in rng.normal(50, 20, n)],
    "words": lambda rng, n: rng.choice(["a", "B", "a ", "é", "😀", "NULL", ""], n).tolist(),
    "booleans": lambda rng, n: rng.choice(["yes", "no"], n).tolist(),
    "prose": lambda rng, n: [f'it\'s "text", number {value}\nwith lines; -- and /* more */' for value in range(n)],
    "blank": lambda rng, n: [""] * n,
    "blanks": lambda rng, n: ["   "] * n,
    "hours": lambda rng, n: [f"2024-01-{1 + hour // 24 % 28:02d} {hour % 24:02d}:00" for hour in range(n)],
    "days": lambda rng, n: [f"{1 + day % 28:02d}/{1 + day // 28 % 12:02d}/{2020 + day // 336}" for day in range(n)],
    "odd days": lambda rng, n: rng.choice(
        ["2024-02-30", "0000-00-00", "9999-12-31", "1-1-1", "2024-01-01"], n
    ).tolist(),
    "far days": lambda rng, n: [f"{year:04d}-01-01" for year in rng.integers(1, 9999, n)],
    "zones": lambda rng, n: [f"2024-01-01T{hour % 24:02d}:00:00{('Z', '+05:30', '')[hour % 3]}" for hour in range(n)],
    "seconds": lambda rng, n: [1_700_000_000 + 60 * row for row in range(n)],
    "mails": lambda rng, n: [f"a{row}@example.org" for row in range(n)],
    "controls": lambda rng, n: rng.choice(
        ["\x1b[2J", "\x07", "\u202e", "a\u0000b".replace("\0", "?"), "\r"], n
    ).tolist(),
    "formulas": lambda rng, n: rng.choice(["=cmd|' /C calc'!A0", "@SUM(1)", "+1", "-1"], n).tolist(),
}
SIZES = (0, 1, 2, 119, 120, 121, 150, 260, 260, 400, 400, 400)
ENCODINGS = (*["utf-8"] * 6, "utf-8-sig", "utf-16", "cp1252", "latin-1", "utf-32")
CONTAINERS = (
    *["csv"] * 9,
    "json",
    "json",
    "parquet",
    "parquet",
    "gzip",
    "cut gzip",
    "cut parquet",
    "bytes",
    "short lines",
)


GOALS = ("numbers", "counts", "zeros and ones", "booleans", "commas", "mixed", "words")
TIMES = ("hours", "days", "zones", "seconds", "odd days", "far days")
WIDTHS = (1, 2, 3, 4, 6, 60)


@st.composite
def hostile(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a file, and what is wished of it."""
    return draw(st.one_of(anything(), hardly_usable(), hardly_usable()))


@st.composite
def anything(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """Any names, any cells, any wishes: hardly ever a table."""
    width = draw(st.sampled_from(WIDTHS))
    names = _names(draw, width, unique=draw(st.integers(0, 9)) > 0)
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=len(names), max_size=len(names)))
    rows = draw(st.sampled_from(SIZES))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    columns = [KINDS[kind](rng, rows) for kind in kinds]
    content = _packed(draw, names, columns, rng)
    target = draw(st.sampled_from(names)) if draw(st.integers(0, 19)) else "nobody"
    wishes: dict[str, Any] = {"target": target}
    for wish in ("event_time", "label_time", "label_due", "entity"):
        if draw(st.integers(0, 14)) == 0:
            wishes[wish] = draw(st.sampled_from(names))
    if draw(st.integers(0, 7)) == 0:
        wishes["task"] = draw(st.sampled_from(["regression", "binary", "multiclass"]))
    if draw(st.integers(0, 9)) == 0:
        wishes["horizon"] = draw(st.sampled_from(["1D", "0h", "-1D", "soon", "9999999D", "'; --"]))
    return content, wishes


@st.composite
def hardly_usable(draw: st.DrawFn) -> tuple[bytes, dict[str, Any]]:
    """A target and perhaps times among columns of any kind, so that most of `retrim init` has to be gone through."""
    width, rows = draw(st.sampled_from(WIDTHS)), draw(st.sampled_from((121, 150, 260, 400, 400)))
    names = ["goal", "when", "known", *(f"{name} " for name in _names(draw, width, unique=True))]
    kinds = [draw(st.sampled_from(GOALS)), draw(st.sampled_from(TIMES)), draw(st.sampled_from(TIMES))]
    kinds += [draw(st.sampled_from(sorted(KINDS))) for _ in range(min(width, 6))]
    kinds += [kinds[3 + place % 6] for place in range(width - min(width, 6))]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    columns = [KINDS[kind](rng, rows) for kind in kinds]
    if draw(st.booleans()):  # some answers are still to come
        gone = rng.random(rows) < draw(st.sampled_from((0.05, 0.5, 0.95)))
        columns[0] = ["" if blank else cell for cell, blank in zip(columns[0], gone, strict=True)]
    wishes: dict[str, Any] = {"target": "goal"}
    timed = draw(st.booleans())
    if timed:
        wishes["event_time"] = "when"
    if timed and draw(st.booleans()):
        wishes["label_time"] = "known"
    elif draw(st.integers(0, 3)) == 0:
        wishes["label_due"] = "known"
    if draw(st.integers(0, 3)) == 0:
        wishes["entity"] = names[-1]
    return _packed(draw, names, columns, rng, whole=True), wishes


def wide(columns: int, rows: int = 130) -> bytes:
    """A CSV of that many columns, of every kind in turn, with a `goal` and a `when`."""
    rng, kinds = np.random.default_rng(7), sorted(KINDS)
    cells = [KINDS["numbers"](rng, rows), KINDS["hours"](rng, rows)]
    cells += [KINDS[kinds[place % len(kinds)]](rng, rows) for place in range(columns - 2)]
    text = io.StringIO()
    writer = csv_module.writer(text)
    writer.writerow(["goal", "when", *(f"column {place}" for place in range(columns - 2))])
    writer.writerows(zip(*cells, strict=True))
    return text.getvalue().encode()


def _names(draw: st.DrawFn, width: int, *, unique: bool) -> list[str]:
    if width >= 60:
        return [f"column {place}" for place in range(width)]
    return list(draw(st.lists(st.sampled_from(NAMES), min_size=width, max_size=width, unique=unique)))


def _packed(
    draw: st.DrawFn, names: list[str], columns: list[list[Any]], rng: np.random.Generator, *, whole: bool = False
) -> bytes:
    container = draw(st.sampled_from(["csv", "csv", "csv", "json", "parquet", "gzip"] if whole else CONTAINERS))
    if container == "bytes":
        return bytes(rng.integers(0, 256, draw(st.sampled_from((0, 1, 7, 900)))).tolist())
    if container == "json":
        lines = zip(*columns, strict=True)
        return "\n".join(json.dumps(dict(zip(names, line, strict=True))) for line in lines).encode()
    if "parquet" in container:
        table = pa.table(
            {name: pa.array([str(cell) for cell in column]) for name, column in zip(names, columns, strict=True)}
        )
        sink = io.BytesIO()
        pq.write_table(table, sink)
        return sink.getvalue()[: -20 if container.startswith("cut") else None]
    text = io.StringIO()
    writer = csv_module.writer(
        text, delimiter=draw(st.sampled_from(",;\t|")), lineterminator=draw(st.sampled_from(("\n", "\r\n")))
    )
    writer.writerow(names)
    for line in zip(*columns, strict=True):
        writer.writerow(line[:-1] if container == "short lines" and rng.random() < 0.3 else line)
    content = text.getvalue().encode(draw(st.sampled_from(ENCODINGS[:-1] if whole else ENCODINGS)), "replace")
    packed = gzip.compress(content) if "gzip" in container else content
    return packed[:-9] if container == "cut gzip" else packed
