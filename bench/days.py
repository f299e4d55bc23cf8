"""What landing a day costs on the first days and after years: the whole use case, in a process each.

    python bench/days.py [--days 1095] [--rows 10000] [--timed 5]

The days between are landed too, without their contract, to save time. Seconds and core seconds are those inside the
use case, without what Python and Great Expectations take to load; core seconds hardly depend on other work.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import pandas as pd
from scale import FIRST, ROOT, settings, suite, write_file

from retrim.files import dump_yaml

LAND = """
import sys, time; from pathlib import Path; import pandas as pd
from retrim.adapters.great_expectations import read_suite
from retrim.landing.ingest import land_batch
from retrim.files import WorkspacePaths
from retrim.settings import load_params
root, file, now = Path(sys.argv[1]), Path(sys.argv[2]), pd.Timestamp(sys.argv[3])
params = load_params(root / "params.yaml")
read_suite(root / params.data.suite)
began, worked = time.perf_counter(), time.process_time()
paths = WorkspacePaths(root)
done = land_batch(file, workspace=paths, data=params.data, now=now, correction=False, batches=params.batches)
assert done.outcome == "landed", done.faults
print(time.perf_counter() - began, time.process_time() - worked)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=1095)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--timed", type=int, default=5)
    given = parser.parse_args()
    from retrim.adapters.landing_zone import Landing
    from retrim.files import WorkspacePaths

    with tempfile.TemporaryDirectory(prefix="retrim-days-") as scratch:
        root, file = Path(scratch), Path(scratch) / "day.parquet"
        (root / "expectations").mkdir()
        (root / "params.yaml").write_text(dump_yaml(settings(100_000, search=False)), encoding="utf-8")
        (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        (root / "expectations" / "bench.json").write_text(json.dumps(suite()), encoding="utf-8")
        landing, took = Landing(WorkspacePaths(root).landing), []
        for day in range(given.days):
            write_file(file, day * given.rows, given.rows, given.days * given.rows)
            arrived = FIRST + pd.Timedelta(day + 1, "D")
            # The first days have too little history to be looked at: the early ones that count come after 20 of them.
            if 20 <= day < 20 + given.timed or day >= given.days - given.timed:
                done = subprocess.run(
                    [sys.executable, "-c", LAND, str(root), str(file), arrived.isoformat()],
                    env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                seconds, worked = map(float, done.stdout.split()[-2:])
                took.append((seconds, worked))
                said = f"{seconds:.2f} s, {worked:.2f} core seconds, load {os.getloadavg()[0]:.1f}"
                print(f"day {day + 1}: {said}", flush=True)
            else:
                frame = pd.read_parquet(file)
                facts = {"digest": sha256(file.read_bytes()).hexdigest(), "correction": False, "released": ""}
                with landing.locked():
                    landing.land_rows(frame.assign(_key=frame["id"]), arrived=arrived, **facts)
    early, late = (map(min, zip(*part, strict=True)) for part in (took[: given.timed], took[given.timed :]))
    print(f"| least of {given.timed} days | after 20 days | after {given.days - given.timed} days |\n|---|---|---|")
    for name, first, last in zip(("seconds", "core seconds"), early, late, strict=True):
        print(f"| {name} | {first:.2f} | {last:.2f} |")


if __name__ == "__main__":
    main()
