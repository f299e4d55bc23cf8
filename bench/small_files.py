"""What landing a row and the check after it cost once many batches of one row have landed, with packs and without.

    .venv/bin/python bench/small_files.py --batches 1000

Processor seconds of one process, medians of five. Without packs each landed file is opened.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Collection
from hashlib import sha256
from pathlib import Path
from statistics import median
from unittest.mock import patch

import pandas as pd
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1]))
from retrim.adapters.landing_zone import LandingIndex
from retrim.checking.check import check
from retrim.landing.inbox import take_from_inbox
from retrim.reading import landed, packs
from tests.builders.desk import Desk, make_desk

FIRST = 25
MINUTE = pd.Timedelta("1min")


def begin(folder: Path) -> Desk:
    """A desk with a version of 25 days."""
    desk = make_desk(folder)
    desk.land(desk.rows(0, FIRST), FIRST)
    desk.make_version(FIRST)
    desk.workspace.paths.inbox.mkdir(parents=True)
    return desk


def moment(desk: Desk, number: int) -> pd.Timestamp:
    return pd.Timestamp(desk.day(FIRST + 0.1)) + number * MINUTE


def step(desk: Desk, rows: pd.DataFrame, number: int) -> tuple[float, float]:
    """Lands a row and checks; processor seconds of both."""
    at = moment(desk, number)
    rows.iloc[number : number + 1].to_csv(desk.workspace.paths.inbox / f"{number}.csv", index=False)
    began = time.process_time()
    (taken,) = take_from_inbox(desk.workspace, now=at)
    assert taken.outcome == "landed", taken.faults
    between = time.process_time()
    check(desk.workspace, by="bench", now=at)
    return between - began, time.process_time() - between


def fill(desk: Desk, rows: pd.DataFrame, count: int) -> None:
    """Lands rows without looking at them, as files like that of the row that was landed before."""
    landing = desk.workspace.landing
    with landing.batches()[-1].path.open("rb") as file:
        like = pq.ParquetFile(file).read().to_pandas()
    own = [name for name in like if not name.startswith("_")]
    with (
        landing.locked(),
        patch.object(LandingIndex, "add", return_value=1),  # the next that lands notes them all
        patch.object(landing, "find", return_value=None),
    ):
        for number in range(1, count):
            row = rows.iloc[number : number + 1][own].astype({name: like[name].dtype for name in own})
            row.insert(0, "_key", pd.Series([f"filled {number}"], index=row.index, dtype=like["_key"].dtype))
            landing.land_rows(
                row,
                digest=sha256(str(number).encode()).hexdigest(),
                arrived=moment(desk, number),
                correction=False,
                released="",
                data=desk.workspace.params.data,
            )


def no_packs(root: Path, names: Collection[str]) -> dict[str, packs.PackedFile]:
    return {}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--batches", type=int, default=1000)
    count = asked.parse_args().batches
    with tempfile.TemporaryDirectory() as name:
        desk = begin(Path(name) / "workspace")
        rows = desk.rows(FIRST, FIRST + (count + 2 * packs.FAN + 10) / 24)
        rows = rows.assign(**{desk.workspace.params.data.time: [moment(desk, number) for number in range(len(rows))]})
        step(desk, rows, 0)
        fill(desk, rows, count)
        for number in range(packs.FAN):  # until packs are made
            step(desk, rows, count + number)
        for what, found in (("with packs", packs.packed_files), ("without", no_packs)):
            with patch.object(landed, "packed_files", found):
                taken = [step(desk, rows, next_row) for next_row in range(count + packs.FAN, count + packs.FAN + 5)]
            count += 5
            landing, checking = (median(each) for each in zip(*taken, strict=True))
            print(f"{what}: landing a row {landing:.2f} s of a core, a check {checking:.2f} s", flush=True)


if __name__ == "__main__":
    main()
