"""Labels up to two years late: the bookings of a hotel, as `retrim init` takes them, and what each label horizon costs.

    python bench/late_labels.py --table shared/bookings.parquet --only horizons   # half a minute
    python bench/late_labels.py --table shared/bookings.parquet --only policies --every 3   # some minutes each

A booking is an event, cancelled or not its answer, known at the latest when the guest has left. *horizons* tries each
horizon at six dates of the history: log loss of a model made from what was due and known by then, on the rows that came
next. *policies* sets a workspace up by `retrim new` and `init` with the horizon that `init` measures, and with some
given ones, and runs the policy backtest with the settings as they ship: 50 windows, the accumulated gain, the gate on.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from retrim.decision.policy_rules import RULE
from retrim.lineage.workspace import open_workspace
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.draft import draft
from retrim.profile.horizons import MOMENTS, LabelHistory, try_horizons
from retrim.reading.raw import open_raw
from retrim.reports.policy import backtest
from retrim.stats.codec import to_record

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys; from retrim.cli.main import main; sys.argv[0] = 'retrim'; main()"
TARGET, EVENT, KNOWN = "IsCanceled", "booking_date", "ReservationStatusDate"
AFTERWARDS = ("ReservationStatus", "AssignedRoomType", "RequiredCarParkingSpaces", "BookingChanges", "Country")
FORBIDDEN = (*AFTERWARDS, "DaysInWaitingList")
GIVEN = ("391D", "120D")  # the 99th percentile of delays, which `init` took before; and one that a person would


def horizons(file: Path) -> None:
    """A line for each horizon that `init` tries."""
    wishes = InitRequest(target=TARGET, model="bookings", event_time=EVENT, label_time=KNOWN, forbid=FORBIDDEN)
    drafted = draft(open_raw(str(file)), wishes, ask=lambda _, given, __: given, confidence=0.95, seed=7, threads=1)
    table = drafted.frame.assign(_event=drafted.frame[EVENT])
    table = table.sort_values(["_event", "_row"], kind="stable", ignore_index=True)
    assert drafted.known is not None
    known = drafted.known.set_axis(drafted.frame["_row"]).reindex(table["_row"]).set_axis(table.index)
    history = LabelHistory(table, known, TARGET)
    spans = history.spans(classes=True)
    tried = try_horizons(
        history,
        drafted.data,
        sorted(set(spans.values())),
        complete=table["_event"].iloc[-1],
        loss=drafted.aim.loss,
        seed=7,
        threads=1,
    )
    print(f"| horizon | labels known by then | log loss, {MOMENTS} dates | by labels still to come | by age |")
    print("|---|---|---|---|---|")
    by_span = {span: share for share, span in spans.items()}
    for one in tried:
        chosen = "**" if one.horizon == pd.Timedelta(drafted.data.label_horizon or 0) else ""
        figures = f"{one.loss:.3f} | {one.bias:+.3f} | {one.stale:+.3f}"
        print(f"| {chosen}{one.horizon.days} days{chosen} | {by_span[one.horizon]:.0%} | {figures} |")


def retrim(folder: Path, *arguments: str) -> str:
    """What a command printed."""
    quiet = {"DO_NOT_TRACK": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DVC_NO_ANALYTICS": "1"}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **quiet, "PYTHONPATH": str(ROOT / "src"), "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"retrim {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def policies(file: Path, folder: Path, others: Sequence[str]) -> None:
    """One line per horizon: cost of the rule, and of others."""
    heads = (
        "horizon",
        "windows late",
        "account / hindsight",
        "its retrainings (hindsight)",
        "total cost",
        "others",
    )
    print(f"| {' | '.join(heads)} | told |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for given in (None, *others):
        place = folder / f"bookings-{given or 'measured'}"
        if not place.exists():
            retrim(ROOT, "new", str(place))
            known = ("--event-time", EVENT, "--label-time", KNOWN, *(("--horizon", given) if given else ()))
            left = sum((("--forbid", name) for name in FORBIDDEN), ())
            retrim(place, "init", "--data", str(file), "--target", TARGET, *known, *left, "--yes")
        workspace = open_workspace(place)
        told = to_record(backtest(workspace, now=pd.Timestamp.now("UTC"), windows=50))
        horizon = workspace.params.data.label_horizon
        lines = {line["name"]: line for line in told["policies"]}
        own = lines.pop(RULE)
        beside = [f"{name} {line['cost']:.4g}" for name, line in lines.items()]
        figures = f"{own['ratio_to_hindsight']:.3f} | {own['retrainings']} ({told['hindsight']['retrainings']})"
        cells = f"{figures} | {own['cost']:.4g} | {', '.join(beside)} | {told['sentence']}"
        name = f"**{horizon}, measured**" if given is None else horizon
        print(f"| {name} | {told['label_delay']} | {cells} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--table", type=Path, required=True, help="bookings.parquet")
    parser.add_argument("--only", choices=("horizons", "policies"), help="one of the two tables")
    parser.add_argument("--given", nargs="*", default=GIVEN, help="horizons beside the measured one")
    parser.add_argument("--every", type=int, default=1, help="one row in that many of the file")
    parser.add_argument("--keep", type=Path, help="folder that keeps the workspaces; default: one that is removed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bookings.parquet"
        pd.read_parquet(given.table).iloc[:: given.every].to_parquet(file)
        if given.only != "policies":
            horizons(file)
        if given.only != "horizons":
            policies(file, given.keep.resolve() if given.keep else Path(folder), given.given)


if __name__ == "__main__":
    main()
