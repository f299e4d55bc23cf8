"""Batches that come in another rhythm than the history before them did: the real ones as they came, and broken ones.

    python bench/rhythms.py --packages FOLDER [--before COMMIT [--by COMMIT]] [--tables ...] [--sampled 500] [--show]

Every table is cut by hour, day, week and calendar month; what lies before a batch landed in files of another rhythm.
The batch comes an hour after its end, a day, or twenty days, as files do that wait. Those of 50 rows or more are
damaged as verdicts.py does, after a history of six batches at least. With `--before` the code of a commit gives its
verdicts too, on the same batches, asked by the bench/ of that commit, or of `--by`: 79fa6862 by 7a15cd87.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from batch_changes import BOUNDS, BROKEN
from streams import NAMES, load

from retrim.batches.concern import BatchParams
from retrim.batches.verdict import History, look_at
from retrim.settings import load_params
from retrim.table.data import DataParams

RHYTHMS = {"hour": "1h", "day": "1D", "week": "7D", "month": "MS"}
FILES = ("6h", "1D", "7D", "14D", "30D", "90D")  # rhythms of the history, as `init` cuts one
FIRST = 0.15  # of the rows lie before any batch that is judged
AT_ONCE = 12  # newest files of a history, at least, as landing/ingest.py reads them
LEAST_ROWS = 50  # of a batch that is damaged
LEAST_BATCHES = 6  # batches as long before one that is damaged
LATE = pd.Timedelta("1h")  # after its end a file of the history comes
WAITS = ("1h", "1h", "1D", "20D")  # after its end a batch comes, one of these
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """A batch and what lay before it."""

    batch: pd.DataFrame
    history: History
    arrives: pd.Timestamp


def table_of(name: str, packages: Path) -> tuple[pd.DataFrame, DataParams]:
    """Typed rows in order of event time, and what they are."""
    stream = load(name, packages)
    frame, data = stream.table.drop(columns=["_event", "_due"]), stream.data
    numeric = frame.select_dtypes("number")
    BOUNDS[data.model] = {
        column: (0.0 if numeric[column].min() >= 0 else None, 100.0 if numeric[column].max() == 100 else None)
        for column in numeric
    }
    return frame, data


def cases(
    frame: pd.DataFrame, data: DataParams, rhythm: str, params: BatchParams, *, sampled: int, least: int, own: bool
) -> Iterator[Case]:
    """Batches of a rhythm after a history of another (`own`: of their own), evenly over the table, whole ones alone."""
    times = frame[data.time]
    numbers = _numbers(times, rhythm)
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    bounds = np.append(starts, len(frame))
    after = round(len(frame) * FIRST)
    # the first and the last may be parts of batches
    rows = np.diff(bounds)
    places = [
        k
        for k in range(1, len(starts) - 1)
        if starts[k] >= max(after, LEAST_BATCHES * rows[k] if least > 1 else 0) and rows[k] >= least
    ]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(sampled, len(places))).round().astype(int))
    others = [each for each in FILES if each != RHYTHMS[rhythm] and not (rhythm == "month" and each == "30D")]
    cut = {each: _numbers(times, each) for each in ([rhythm] if own else others)}
    for place in (places[k] for k in chosen):
        start, end = starts[place], bounds[place + 1]
        draw = np.random.default_rng([place, len(frame)])
        files = rhythm if own else str(draw.choice(others))
        already = (
            0 if own else min(int(draw.choice([0, 1, 3, 10])), place)
        )  # batches of the new rhythm that have landed
        turn = starts[place - already]
        first = max(0, start - params.history_rows)
        files_of = np.where(np.arange(len(frame)) < turn, cut[files], 10**9 + numbers)[:start]
        batches = np.flatnonzero(np.diff(files_of, prepend=-(10**15)))
        kept = min(int(np.searchsorted(batches, first, side="right")) - 1, max(len(batches) - AT_ONCE, 0))
        edges = np.append(batches[kept:], start)
        ends = [pd.Timestamp(times.iloc[edge - 1]) for edge in edges[1:]]
        history = History(frame.iloc[first:start], ends, [LATE] * len(ends), np.diff(edges).tolist())
        waits = LATE if own else pd.Timedelta(str(draw.choice(WAITS)))
        yield Case(frame.iloc[start:end], history, pd.Timestamp(times.iloc[end - 1]) + waits)


def _numbers(times: pd.Series, rhythm: str) -> np.ndarray:
    """A number for the span in which each row lies."""
    if rhythm == "month":
        return np.asarray(times.dt.year * 12 + times.dt.month)
    span = pd.Timedelta(RHYTHMS.get(rhythm, rhythm))
    return np.asarray((times - times.iloc[0].floor("D")) // span)


def verdicts(
    frame: pd.DataFrame, data: DataParams, rhythm: str, params: BatchParams, *, sampled: int, damaged: int
) -> dict[str, list[dict[str, Any]]]:
    """What becomes of batches as they came, and of damaged ones.

    A load that is cut short shows by its rhythm, so its history has the same.
    """
    whole = cases(frame, data, rhythm, params, sampled=sampled, least=1, own=False)
    real = [_record(case.batch, case, data, params) for case in whole]
    broken = []
    for own in (False, True):
        for case in cases(frame, data, rhythm, params, sampled=damaged, least=LEAST_ROWS, own=own):
            before = case.history.rows
            for name, change in BROKEN.items():
                if (name == "cut short") != own:
                    continue
                made = change(case.batch, before, data, np.random.default_rng([len(before), len(name)]))
                if made is not None and not made.equals(case.batch):
                    broken.append({"change": name, **_record(made, case, data, params)})
    return {"real": real, "broken": broken}


def _record(batch: pd.DataFrame, case: Case, data: DataParams, params: BatchParams) -> dict[str, Any]:
    verdict = look_at(batch, case.history, data, params, arrives=case.arrives)
    why = "; ".join(f"{each.verdict} {each.column}: {each.text}" for each in verdict.concerns[:3])
    start = str(case.batch[data.time].iloc[0])
    return {"kind": verdict.kind, "holds": verdict.holds, "rows": len(batch), "start": start, "why": why}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--packages", type=Path, required=True, help="folder that keeps the packages of the tables")
    asked.add_argument("--tables", nargs="*", default=list(NAMES), choices=NAMES)
    asked.add_argument("--before", metavar="COMMIT", help="whose verdicts stand beside")
    asked.add_argument("--by", metavar="COMMIT", help="whose bench/ asks the code of --before (default: its own)")
    asked.add_argument("--sampled", type=int, default=500, help="batches of a table and rhythm as they came, at most")
    asked.add_argument("--damaged", type=int, default=6, help="places at which a table's batches are damaged")
    asked.add_argument("--show", action="store_true", help="every real batch that is held and damaged one that is not")
    asked.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    given = asked.parse_args()
    params = load_params(ROOT / "params.yaml").batches
    if not given.json:
        print(
            "| table | cut by | batches | held, before | held | suspicious | damaged | found, before | found | held |"
        )
        print("|---|---|---|---|---|---|---|---|---|---|")
    total: dict[str, list[dict[str, Any]]] = {}
    for name in given.tables:
        before = _before(given, name) if given.before else {}
        frame, data = table_of(name, given.packages)
        after = {
            rhythm: verdicts(frame, data, rhythm, params, sampled=given.sampled, damaged=given.damaged)
            for rhythm in RHYTHMS
        }
        if given.json:
            print(json.dumps(after))
            continue
        for rhythm, found in after.items():
            then = before.get(rhythm, {"real": [], "broken": []})
            print(_line(f"{name} | {rhythm}", found, then), flush=True)
            for kind, records in [*found.items(), *((f"before {kind}", records) for kind, records in then.items())]:
                total.setdefault(kind, []).extend(records)
            if given.show:
                _show(found)
    if total:
        then = {kind: total.get(f"before {kind}", []) for kind in ("real", "broken")}
        print(_line("all | all", total, then))
        for change in BROKEN:
            made = [each for each in total["broken"] if each["change"] == change]
            print(f"{change}: found {_share(made, _is_found)}, held {_share(made, _is_held)}")


def _before(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """The verdicts on a table of the code of a commit."""
    with tempfile.TemporaryDirectory() as beside:
        folder = Path(beside) / "retrim"
        folder.mkdir()
        (folder.parent / "shared").symlink_to(ROOT.parent / "shared")
        for commit, parts in ((given.before, ["src", "params.yaml", "data"]), (given.by or given.before, ["bench"])):
            packed = subprocess.run(["git", "archive", commit, *parts], cwd=ROOT, check=True, capture_output=True)
            subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        command = [sys.executable, folder / "bench" / Path(__file__).name, "--json", "--packages", given.packages]
        sizes = ["--sampled", str(given.sampled), "--damaged", str(given.damaged), "--tables", name]
        environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
        told = subprocess.run([*command, *sizes], env=environment, check=True, capture_output=True, text=True)
    verdicts_before: dict[str, Any] = json.loads(told.stdout)
    return verdicts_before


def _is_held(record: dict[str, Any]) -> bool:
    return bool(record["holds"])


def _is_found(record: dict[str, Any]) -> bool:
    return record["kind"] not in ("ok", "drifted")


def _share(records: list[dict[str, Any]], claim: Callable[[dict[str, Any]], bool]) -> str:
    if not records:
        return "-"
    count = sum(claim(record) for record in records)
    return f"{count} of {len(records)}, {count / len(records):.1%}"


def _line(name: str, found: dict[str, list[dict[str, Any]]], before: dict[str, list[dict[str, Any]]]) -> str:
    real, broken = found["real"], found["broken"]
    suspicious = sum(record["kind"] == "suspicious" for record in real)
    cells = [
        f"{len(real)} | {_share(before['real'], _is_held)} | {_share(real, _is_held)} | {suspicious}",
        f"{len(broken)} | {_share(before['broken'], _is_found)} | {_share(broken, _is_found)}",
        _share(broken, _is_held),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _show(found: dict[str, list[dict[str, Any]]]) -> None:
    wrong = [record for record in found["real"] if _is_held(record)]
    wrong += [record for record in found["broken"] if not _is_found(record)]
    for record in wrong:
        print(f"    {record.get('change', 'as it came')}, {record['rows']} rows, {record['start']}: {record['why']}")


if __name__ == "__main__":
    main()
