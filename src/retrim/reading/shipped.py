"""The tables that ship with retrim, and their cut into the batches that would have come.

Stages do not import it, so a new table makes none of them stale.
"""

import gzip
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd


@dataclass(frozen=True)
class Shipped:
    """One shipped table.

    Args:
        sample: Its gzipped CSV, from the root of the workspace; `data` is its params.yaml.
        time: The column of the event time.
        start: Months of history that version 1 of a demo is trained on.
        every: Span between the checks of a demo.
    """

    sample: str
    data: str
    time: str
    start: int
    every: str

    def text(self, root: Path) -> pd.DataFrame:
        """The cells as they stand in the file, all text; blank is missing."""
        content = gzip.decompress((root / self.sample).read_bytes())
        return pd.read_csv(io.BytesIO(content), dtype="str", keep_default_na=False, na_values=[""])

    def pieces(self, root: Path, *, start: int, every: str) -> Iterator["ShippedFile"]:
        """The table as files that come one after another: `start` months first, then one `every` span."""
        frame = self.text(root)
        events = pd.to_datetime(frame[self.time], format="ISO8601", utc=True).dt.as_unit("us")
        first = (events.min() + pd.DateOffset(months=start)).normalize()
        over = events.max().floor("D") + pd.Timedelta("1D")  # the last piece comes when the table ends
        for end, rows in batches(frame, events, start=first, every=every):
            yield ShippedFile(min(end, over), len(rows), rows.to_csv(index=False, lineterminator="\n").encode("utf-8"))


@dataclass(frozen=True)
class ShippedFile:
    """A file of CSV that comes at the end of the span it covers, UTC."""

    arrives: pd.Timestamp
    rows: int
    content: bytes


def batches(
    frame: pd.DataFrame, events: pd.Series, *, start: pd.Timestamp, every: str
) -> Iterator[tuple[pd.Timestamp, pd.DataFrame]]:
    """Cuts rows in time, by `events` in UTC: all before `start`, then half-open spans of length `every`.

    Returns:
        End of the span and its rows, oldest first; spans without rows are left out.
    """
    number = ((events - start) // pd.Timedelta(every)).clip(lower=-1)
    for span in sorted(number.unique()):
        yield start + (int(span) + 1) * pd.Timedelta(every), frame[number == span]


DATASETS: Mapping[str, Shipped] = {
    # hourly bike rentals, 2011-2012: the system grows, and there are seasons
    "bike": Shipped("data/samples/bike.csv.gz", "params.yaml", time="hour_start", start=6, every="14D"),
    # calls of a bank, 2008-2010: a crisis, then fewer and better aimed calls; with fewer months the gate finds nothing
    # better than the mean
    "bank": Shipped("data/samples/bank.csv.gz", "data/samples/bank.params.yaml", time="date", start=10, every="30D"),
    # rodents of 12 species, 1977-2002: one comes that was never seen before
    "rodents": Shipped(
        "data/samples/rodents.csv.gz", "data/samples/rodents.params.yaml", time="date", start=60, every="180D"
    ),
}
