"""Measures what one core does with a copy of a workspace, and prints cores, memory and disk for a load: an estimate.

python deploy/capacity.py WORKSPACE [--models N] [--rows PER_DAY] [--requests PER_SECOND] [--checks PER_DAY]
                                   [--retrainings PER_MONTH] [--years N]

Commands are measured whole, by the larger of processor and elapsed seconds: busy neighbours make the plan larger, never
smaller. A check is measured without what it decides. A retraining takes as long as the longest one recorded, on every
core of this machine. Cores are those of a table as large as this workspace's: checks and retrainings take longer as it
grows, so measure a workspace that is as large as yours will be. Memory and disk are of the rows of all years. What
cannot be measured is named, and its cores are missing from the sum.
"""

import argparse
import os
import resource
import time
from math import ceil
from pathlib import Path

import psutil
from gameday import Copy, copied, serving

from retrim.parquet import read_parquet
from retrim.release.versions import load_champion

DAY, MONTH_DAYS = 86_400, 30
USED = 0.5  # share of a core that work may take on average: above it what comes at once waits long
REQUESTS = 500
SERVICES_GB = 1.2  # Prefect, MLflow, a worker and the pages, before any work
RETRAINING_GB = 0.6  # before it has read a row
CELL_BYTES = 12  # memory of a retraining per row and feature: the most of its stages in `python bench/scale.py`
ROW_COPIES = 4  # a landed row lies in the landing zone, in DVC's cache, in a run directory and beside its prediction


def seconds_of(copy: Copy, *words: str) -> float | None:
    """The larger of processor and elapsed seconds of a command; None where it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code, _ = copy.run(*words)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return max(worked, time.monotonic() - began) if code in (0, 1) else None


def request_seconds(copy: Copy) -> tuple[float | None, float]:
    """Processor seconds of the server for a request of one row, None where it refuses; and its memory in GB."""
    with serving(copy) as (pid, ask):
        if any(ask() != 200 for _ in range(20)):
            return None, 0.0
        server = psutil.Process(pid)
        before = server.cpu_times()
        for _ in range(REQUESTS):
            ask()
        after = server.cpu_times()
        memory = server.memory_info().rss / 1e9
    return (after.user + after.system - before.user - before.system) / REQUESTS, memory


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("workspace", type=Path)
    given.add_argument("--models", type=int, default=1)
    given.add_argument("--rows", type=float, default=1000.0, help="rows a day for each model")
    given.add_argument("--requests", type=float, default=0.0, help="requests of one row a second for each model")
    given.add_argument("--checks", type=float, default=24.0, help="checks a day for each model")
    given.add_argument("--retrainings", type=float, default=4.0, help="retrainings a month for each model")
    given.add_argument("--years", type=float, default=3.0, help="years of rows that are kept")
    load = given.parse_args()
    with copied(load.workspace.resolve()) as copy:
        workspace = copy.workspace()
        champion = load_champion(workspace)
        if champion is None:
            given.error(f"no version of {workspace.model} is live; train one with `retrim retrain`")
        batches = [batch for batch in workspace.landing.batches() if batch.kind == "rows"]
        rows = sum(len(read_parquet(batch.path)) for batch in batches)
        row_bytes = sum(batch.path.stat().st_size for batch in batches) / rows
        recorded = workspace.store.seconds_of_runs(workspace.model).values()
        workspace.store.close()
        file = copy.fresh_file()
        landed = len(read_parquet(Path(file)))
        measured = {
            "landing a batch": seconds_of(copy, "ingest", file, "--correction"),
            "predicting its rows": seconds_of(copy, "predict"),
            "a check": seconds_of(copy, "check", "--dry-run"),
        }
        peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9
        measured["a request"], server_gb = request_seconds(copy) if load.requests else (0.0, 0.0)
    measured["a retraining"] = max(recorded) * (os.cpu_count() or 1) if recorded else None
    final = max(load.rows * 365 * load.years, rows)
    batches_a_day = max(load.checks, load.rows / max(landed, 1))
    times_a_second = {
        "landing a batch": batches_a_day / DAY,
        "predicting its rows": batches_a_day / DAY,
        "a check": load.checks / DAY,
        "a request": load.requests,
        "a retraining": load.retrainings / MONTH_DAYS / DAY,
    }
    busy = 0.0
    print(f"{workspace.model}, version {champion.version}: {rows:,} rows have landed, {landed:,} in the newest batch")
    if final > 2 * rows:
        print(f"{final:,.0f} rows are expected: checks and retrainings will take longer than measured here")
    for what, seconds in measured.items():
        cores = load.models * times_a_second[what] * (seconds or 0.0)
        busy += cores
        print(f"{what}: {'NOT MEASURED' if seconds is None else f'{seconds:.3g} core seconds'}, {cores:.3g} cores")
    features = len(champion.predictor.view.features)
    retraining_gb = RETRAINING_GB + final * features * CELL_BYTES / 1e9
    memory = SERVICES_GB + max(retraining_gb, peak_gb) + load.models * server_gb
    disk = load.models * final * row_bytes * ROW_COPIES / 1e9
    print(
        f"an estimate: {max(ceil(busy / USED), 1)} cores ({busy:.3g} busy), {memory:.1f} GB memory, {disk:.1f} GB disk"
    )
    missing = [what for what, seconds in measured.items() if seconds is None]
    if missing:
        print(f"too small: not measured, and not in the cores: {', '.join(missing)}")
    print("not counted: the start of several retrainings at once, backups, other versions' data, growth of the store")


if __name__ == "__main__":
    main()
