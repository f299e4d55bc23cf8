"""What a retraining costs beyond the bare script that does the same fits: one run, both sides, a table.

    python bench/overhead.py [--rows 17000 1700000] [--trials 20]

Bare: read one Parquet file with pandas, search with Optuna, fit with LightGBM, score. Ours: the retrain flow
(run directory, six DVC stages, MLflow, store) on the same rows, folds, trials, rounds and parameters, with the Prefect
server warm. Both fit as many models at once as there are cores, one thread each.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.training.tuning import TuneParams
from retrim.yaml_files import dump_yaml

ROOT = Path(__file__).resolve().parent.parent
TAKEN = ("src", "flows", "expectations", "dvc.yaml", "requirements.lock", ".dvc", ".dvcignore", ".gitignore", "data")
IGNORED = shutil.ignore_patterns("__pycache__", "cache", "tmp", "*.csv.gz")
NOW = pd.Timestamp("2024-01-01", tz="UTC")
HERE = "import json, sys; from overhead import run_here; print(json.dumps(run_here(sys.argv[1])))"


def table(rows: int) -> pd.DataFrame:
    """An hourly-like stream: ten numbers, two categories, a target with seasons and noise. Same rows, same values."""
    draw = np.random.default_rng(7)
    time_of = pd.date_range(end="2023-12-30", periods=rows, freq="1min" if rows > 100_000 else "1h", tz="UTC")
    frame = pd.DataFrame({"at": time_of})
    for place in range(10):
        frame[f"x{place}"] = draw.normal(size=rows).round(6)
    frame["shop"] = draw.choice([f"shop{n}" for n in range(20)], size=rows)
    frame["weekday"] = time_of.day_name()
    hour = time_of.hour.to_numpy()
    frame["y"] = (
        10 * np.sin(hour / 24 * 2 * np.pi) + 3 * frame["x0"] * frame["x1"] + frame["x2"] + draw.normal(size=rows)
    ).round(6)
    return frame


def settings(rows: int, trials: int) -> dict[str, Any]:
    """The project's params.yaml with this table's columns, so that nothing else is tuned for the benchmark."""
    from retrim.settings import load_params

    params: dict[str, Any] = load_params(ROOT / "params.yaml").as_stated()
    columns = {"at": {"type": "time", "role": "time"}, "y": {"type": "number", "role": "target"}}
    columns |= {f"x{place}": {"type": "number", "role": "feature"} for place in range(10)}
    columns |= {name: {"type": "category", "role": "feature"} for name in ("shop", "weekday")}
    params["data"] |= {"model": "bench", "columns": columns, "key": ["at"], "suite": "expectations/bench.json"}
    block = max(rows // 50, 336)
    params["split"] = {"judge_rows": block, "sliding_rows": rows // 2}
    params["tune"] |= {"trials": trials, "fold_rows": block, "max_rounds": 40 if rows > 100_000 else 400}
    return params


def bare(parquet: Path, params: dict[str, Any], tried: list[dict[str, Any]]) -> dict[str, float]:
    """The same search, fits and scores in one script; gives seconds in all and in fits.

    The search is made to ask what ours asked (`tried`), so that both sides do the same fits.
    """
    started = time.perf_counter()
    fixed = TuneParams()
    tune = {**params["tune"]} | {name: getattr(fixed, name) for name in ("batch", "folds", "patience", "stop_share")}
    backtest = {**params["backtest"], "origin_rows": params["split"]["judge_rows"]}
    given = json.dumps({**params, "tune": tune, "backtest": backtest, "tried": tried})
    code = BARE.replace("@PARQUET@", str(parquet)).replace("@PARAMS@", given)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    return {"all": time.perf_counter() - started, **json.loads(done.stdout.splitlines()[-1])}


BARE = r'''
import json, os, time
import lightgbm, numpy as np, optuna, pandas as pd
from concurrent.futures import ThreadPoolExecutor
optuna.logging.set_verbosity(optuna.logging.WARNING)
params = json.loads(r"""@PARAMS@""")
tune, split, backtest = params["tune"], params["split"], params["backtest"]
frame = pd.read_parquet("@PARQUET@").sort_values("at")
names = [c for c in frame if c not in ("at", "y")]
for name in ("shop", "weekday"):
    frame[name] = frame[name].astype("category").cat.codes
x, y = frame[names].to_numpy(dtype="float64"), frame["y"].to_numpy()
n, cores = len(frame) - split["judge_rows"] - params["embargo"], len(os.sched_getaffinity(0))
places = [names.index("shop"), names.index("weekday")]
spent, embargo = [], params["embargo"]

def fit(rows, given, rounds, stop=None):
    began = time.perf_counter()
    data = lightgbm.Dataset(x[rows], y[rows], categorical_feature=places)
    fixed = {"objective": "l1", "bagging_freq": 1, "seed": 7, "deterministic": True, "force_row_wise": True}
    fixed |= {"num_threads": 1, "verbosity": -1}
    extra = {}
    if stop is not None:
        stopping = lightgbm.early_stopping(tune["patience"], first_metric_only=True, verbose=False)
        extra = {"valid_sets": [data.create_valid(x[stop], y[stop])], "callbacks": [stopping]}
    model = lightgbm.train({**given, **fixed}, data, num_boost_round=rounds, **extra)
    spent.append(time.perf_counter() - began)
    return model

folds = []
for number in range(tune["folds"]):
    start = n - (tune["folds"] - number) * tune["fold_rows"]
    past = start - embargo
    spans = np.array_split(np.arange(past), 5)
    stops = np.concatenate([span[-max(int(len(span) * tune["stop_share"]), 1):] for span in spans])
    folds.append((np.setdiff1d(np.arange(past), stops), stops, np.arange(start, start + tune["fold_rows"])))

def evaluate(given):
    losses, rounds = [], []
    for rows, stop, scored in folds:
        model = fit(rows, given, tune["max_rounds"], stop)
        losses.append(float(np.abs(y[scored] - model.predict(x[scored], num_threads=1)).mean()))
        rounds.append(model.best_iteration)
    return float(np.mean(losses)), int(np.median(rounds))

space = {}
for name, span in tune["space"].items():
    whole = isinstance(span["low"], int)
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    space[name] = kind(span["low"], span["high"], log=span.get("log", False))
study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=7, multivariate=True, n_startup_trials=8))
for hyperparameters in params["tried"]:
    study.enqueue_trial(hyperparameters)
best = None
with ThreadPoolExecutor(cores) as pool:
    for _ in range(tune["trials"] // tune["batch"]):
        asked = [study.ask(space) for _ in range(tune["batch"])]
        for trial, (loss, rounds) in zip(asked, pool.map(evaluate, [t.params for t in asked])):
            study.tell(trial, loss)
            if best is None or loss < best[0]:
                best = loss, trial.params, rounds
    loss, given, rounds = best
    jobs = [np.arange(n), np.arange(n)[-split["sliding_rows"]:]]
    for number in range(backtest["origins"]):
        past = np.arange(n - (backtest["origins"] - number) * backtest["origin_rows"] - embargo)
        jobs += [past, past[-split["sliding_rows"]:]]
    models = list(pool.map(lambda rows: fit(rows, given, rounds), jobs))
judged = np.arange(len(frame) - split["judge_rows"], len(frame))
print([float(np.abs(y[judged] - m.predict(x[judged])).mean()) for m in models[:2]])
print(json.dumps({"fits": sum(spent) / cores, "rounds": rounds}))
'''


def ours(parquet: Path, params: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The retrain flow in a workspace of its own; gives seconds in all and by task."""
    for name in TAKEN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=IGNORED)
        else:
            shutil.copyfile(source, folder / name)
    (folder / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    rules = [{"type": "expect_column_values_to_not_be_null", "kwargs": {"column": name}} for name in ("at", "y")]
    suite = {"name": "bench", "expectations": rules, "meta": {}}
    (folder / "expectations" / "bench.json").write_text(json.dumps(suite), encoding="utf-8")
    author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*author, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    path = os.pathsep.join(str(place) for place in (folder / "src", folder / "flows", ROOT / "bench"))
    done = subprocess.run(
        [sys.executable, "-c", HERE, str(parquet)], cwd=folder, capture_output=True, text=True, check=False,
        env={**environment(), "PYTHONPATH": path},
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout[-3000:] + done.stderr[-5000:])
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run_here(parquet: str) -> dict[str, Any]:
    """Lands the table in the workspace that this process stands in, and retrains."""
    from prefect.client.orchestration import get_client

    from retrim.adapters import prefect_server
    from retrim.landing.ingest import land_batch
    from retrim.lineage.workspace import ask_for_run, open_workspace

    workspace = open_workspace(Path.cwd())
    began = time.perf_counter()
    landed = land_batch(Path(parquet), workspace=workspace.paths, data=workspace.params.data, now=NOW, correction=False)
    assert landed.outcome == "landed", landed.faults
    landing = time.perf_counter() - began
    with prefect_server.reachable(workspace.paths.prefect, None) as api:
        os.environ.update(prefect_server.settings(workspace.paths.prefect, api.url))
        os.environ[prefect_server.LOGIN_VARIABLE] = str(api.login)
        from retrim_flows.retrain import retrain

        workspace.registry.aliases()
        decision = ask_for_run(workspace, as_of=NOW, by="bench", reason="benchmark", now=NOW)
        began = time.perf_counter()
        outcome = retrain(decision, NOW.isoformat())
        spent = time.perf_counter() - began
        with get_client(sync_client=True) as client:
            tasks = {run.name: run.total_run_time.total_seconds() for run in client.read_task_runs(limit=200)}
        assert outcome.version is not None, outcome.sentence
        trials = json.loads((workspace.registry.bundle_folder(outcome.version) / "tuning" / "trials.json").read_text())
    tried = [trial["hyperparameters"] for trial in trials]
    return {"all": spent, "landing": landing, "state": outcome.state, "tasks": tasks, "tried": tried}


def environment() -> dict[str, str]:
    """One OpenMP policy for both, and bytecode kept, as a person would have it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "OMP_WAIT_POLICY": "passive"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[17_000, 1_700_000])
    parser.add_argument("--trials", type=int, default=20)
    given = parser.parse_args()
    print("| rows | bare, s | of it fits | ours, s | overhead, s | allowed (30 s + 10% of fits) | landing, s |")
    print("|" + "---|" * 7)
    stages = []
    for rows in given.rows:
        with tempfile.TemporaryDirectory(prefix="retrim-bench-") as scratch:
            parquet, params = Path(scratch) / "table.parquet", settings(rows, given.trials)
            table(rows).to_parquet(parquet, index=False)
            folder = Path(scratch) / "workspace"
            folder.mkdir()
            mine = ours(parquet, params, folder)
            embargo = {"embargo": 60 if rows > 100_000 else 1}  # rows in label_horizon, an hour
            theirs = bare(parquet, params | embargo, mine["tried"])
        over = mine["all"] - theirs["all"]
        print(
            f"| {rows:,} | {theirs['all']:.1f} | {theirs['fits']:.1f} | {mine['all']:.1f} | {over:.1f} "
            f"| {30 + 0.1 * theirs['fits']:.1f} | {mine['landing']:.1f} |",
            flush=True,
        )
        stages.append((rows, mine["tasks"]))
    for rows, tasks in stages:
        named = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(tasks.items(), key=lambda item: -item[1]))
        print(f"\n{rows:,} rows, seconds by task: {named}")


if __name__ == "__main__":
    main()
