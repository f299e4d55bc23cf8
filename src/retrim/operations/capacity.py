"""What one core of this machine does with this workspace, measured on its own rows and its live version.

All times are those that the processor worked, so other work on the machine changes little. What a measurement writes
goes to a folder that ends with it.
"""

import http.client
import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import copytree

import numpy as np
import pandas as pd
import psutil

from retrim.checking.drift import find_drift
from retrim.checking.history import CHECK, row_counts
from retrim.decision.check_record import ProbedCheck
from retrim.decision.stored_rows import DecisionRow
from retrim.errors import BadInputError, RetrimError
from retrim.files import RETRIM, WorkspacePaths
from retrim.landing.as_of_view import AsOfTable, read_as_of
from retrim.landing.ingest import land_batch
from retrim.lineage.workspace import Workspace, report_progress
from retrim.operations.costs import MonthCost, StoredPart, costs_by_month, stored_parts
from retrim.operations.load import CoreRates, MachineNeed, ModelLoad, machine_for
from retrim.release.versions import Stored, load_champion
from retrim.stats.codec import read_record, to_parquet
from retrim.training.recipe import fit_recipe, retraining_work

MOST_ROWS = 20_000
"""Rows that are measured with, at most."""
FIT_ROUNDS = 50
LEAST_SECONDS = 1.0
"""What is fast is repeated until the processor has worked as long."""
REQUESTS = 2_000
SERVER = (sys.executable, "-P", "-m", "retrim.operations.scratch_server")
"""Without -P a file of the workspace such as random.py would take the place of Python's."""
START_SECONDS, ANSWER_SECONDS, STOP_SECONDS = 120.0, 60.0, 10.0
SHOWN = 2_000
"""Characters of the server's log that an error shows."""
STEPS = ("landing", "predictions", "requests", "a fit", "a check")


@dataclass(frozen=True)
class CapacityAnswer:
    """Measured rates of one core, the machine that a load needs, and what the model has cost so far.

    Args:
        model: Name of the model.
        version: The live version, which was measured.
        rates: Measured rates of one core.
        load: The load that was asked about.
        need: The machine that this load needs.
        months: What the model cost in each calendar month, newest last.
        stored: Disk space of each folder of the workspace, largest first.
        disk_money: Monthly cost of the disk space that the load needs; None if `gain.money.gb_month` is not set.
    """

    model: str
    version: int
    rates: CoreRates
    load: ModelLoad
    need: MachineNeed
    months: tuple[MonthCost, ...]
    stored: tuple[StoredPart, ...]
    disk_money: float | None


@dataclass(frozen=True)
class AskedLoad:
    """A load as far as somebody states it; None: as it is today."""

    models: int
    rows_a_day: float | None
    requests_a_second: float
    checks_a_day: float | None
    retrainings_a_month: float | None
    years: float


def find_capacity(workspace: Workspace, asked: AskedLoad, *, now: pd.Timestamp, months: int) -> CapacityAnswer:
    """Measures, and works out the machine for a load.

    Raises:
        BadInputError: No version is live, or no rows have landed.
    """
    champion = load_champion(workspace)
    if champion is None:
        raise BadInputError("no version is live, so there is nothing to measure; train one with `retrim retrain`")
    table = read_as_of(workspace, as_of=now)
    rates = measure(workspace, champion, table)
    load, money = _load(workspace, asked, table, now=now), workspace.params.gain.money
    need = machine_for(load, rates)
    return CapacityAnswer(
        workspace.model,
        champion.version,
        rates,
        load,
        need,
        costs_by_month(workspace, now=now, months=months),
        stored_parts(workspace),
        None if money is None or money.gb_month is None else money.gb_month * need.disk_gb,
    )


def measure(workspace: Workspace, champion: Stored, table: AsOfTable) -> CoreRates:
    """What one core does here.

    Args:
        workspace: The workspace.
        champion: The live version.
        table: All rows that have landed.
    """
    newest = table.tail(MOST_ROWS).read()
    found: list[float | None] = []
    with tempfile.TemporaryDirectory(prefix="retrim-capacity-") as folder:
        scratch = Path(folder)
        steps: tuple[Callable[[], float | None], ...] = (
            lambda: _landing(workspace, newest, scratch),
            lambda: _predicting(champion, newest),
            lambda: _requests(workspace, champion, newest, scratch),
            lambda: _fitting(workspace, champion, table),
            lambda: _check(workspace, champion, table),
        )
        for number, (name, step) in enumerate(zip(STEPS, steps, strict=True)):
            report_progress(f"measuring {name}", number, len(STEPS))
            found.append(step())
    landing, predicting, requests, fitting, check = found
    assert predicting is not None
    assert fitting is not None
    assert check is not None
    probe = _probe(workspace.store.decisions(workspace.model, source=CHECK))
    return CoreRates(
        landing=landing,
        predicting=predicting,
        requests=requests,
        fitting=fitting,
        check_seconds=check + probe / fitting,
        retraining_work=_work(workspace, champion, len(table)),
        rows=len(table),
        features=len(champion.predictor.view.features),
        row_bytes=_landed_bytes(workspace) / max(len(table), 1),
    )


def _worked(work: Callable[[], object]) -> float:
    """Seconds of the processor for one call; what is fast is called again and again."""
    began, calls = time.process_time(), 0
    while True:
        work()
        calls += 1
        took = time.process_time() - began
        if took >= LEAST_SECONDS:
            return took / calls


def _landing(workspace: Workspace, newest: pd.DataFrame, scratch: Path) -> float | None:
    """Rows a second that land in an empty folder; None where these rows are made of others, or land no more."""
    columns = [name for name in workspace.params.data.columns if name in newest]
    if workspace.params.data.rows.resample is not None or len(newest) < 2:
        return None
    paths = WorkspacePaths(scratch / "landing")
    expectations = workspace.paths.root / "expectations"
    if expectations.is_dir():
        copytree(expectations, paths.root / "expectations")
    took = 0.0
    half = len(newest) // 2
    for part in (newest[:half], newest[half:]):  # the first loads what checks a batch
        file, began = scratch / "rows.parquet", time.process_time()
        file.write_bytes(to_parquet(part[columns]))
        try:
            landed = land_batch(
                file,
                workspace=paths,
                data=workspace.params.data,
                now=None,
                correction=False,
                batches=workspace.params.batches,
                reading=workspace.params.reading,
            )
        except RetrimError:
            return None
        if landed.outcome != "landed":
            return None
        took = time.process_time() - began
    return (len(newest) - half) / took


def _predicting(champion: Stored, newest: pd.DataFrame) -> float:
    predictor = champion.predictor
    rows = predictor.view.seen(newest)
    predictor.predict(rows.head(2))  # loads the model
    return len(rows) / _worked(lambda: predictor.predict(rows))


def _fitting(workspace: Workspace, champion: Stored, table: AsOfTable) -> float:
    """Rows times rounds a second of the live version's recipe on the newest mature rows."""
    predictor = champion.predictor
    ripe = predictor.view.seen(table.mature().tail(MOST_ROWS).read())
    rounds = min(predictor.recipe.rounds, FIT_ROUNDS)
    recipe = replace(predictor.recipe, rounds=rounds, reweight=False)
    return len(ripe) * rounds / _worked(lambda: fit_recipe(recipe, predictor.view, ripe, threads=1))


def _check(workspace: Workspace, champion: Stored, table: AsOfTable) -> float:
    """Seconds of a check without its probe: the start of a process, reading all rows, and drift."""
    began = time.process_time()
    with suppress(RetrimError):
        find_drift(workspace, table, champion, row_counts(workspace, table, champion))
    drift = time.process_time() - began
    start = psutil.Popen(
        [*RETRIM, "status"],
        cwd=workspace.paths.root,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    spent = psutil.Process().cpu_times()
    start.wait()
    after = psutil.Process().cpu_times()
    begin = after.children_user + after.children_system - spent.children_user - spent.children_system
    return float(begin) + drift + _worked_reading(table)


def _worked_reading(table: AsOfTable) -> float:
    began = time.process_time()
    table.read()
    return time.process_time() - began


def _requests(workspace: Workspace, champion: Stored, newest: pd.DataFrame, scratch: Path) -> float | None:
    """Requests of one row a second that a core answers; None where a request cannot carry such a row."""
    needs = list(champion.predictor.view.needs)
    row = json.loads(newest[needs].dropna().head(1).to_json(orient="records", date_format="iso"))
    if not row or (champion.files and "features/history.json" in champion.files):
        return None
    body = json.dumps(row[0])
    with _server(workspace, scratch) as (process, port):
        if port is None:
            return None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_SECONDS)
        if any(_ask(connection, body) != http.client.OK for _ in range(50)):
            return None
        began = process.cpu_times()
        for _ in range(REQUESTS):
            _ask(connection, body)
        after = process.cpu_times()
    worked = after.user + after.system - began.user - began.system
    return float(REQUESTS / worked) if worked else None


def _ask(connection: http.client.HTTPConnection, body: str) -> int:
    connection.request("POST", "/predict", body, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


@contextmanager
def _server(workspace: Workspace, scratch: Path) -> Iterator[tuple[psutil.Popen, int | None]]:
    """A server whose records go to the folder, and its port; None where it does not start.

    Raises:
        RetrimError: It neither starts nor ends in time, or stops answering; shows the end of its log.
    """
    served, log = str(scratch / "served"), scratch / "server.log"
    with log.open("wb") as written:
        process = psutil.Popen(
            [*SERVER, str(workspace.paths.root), served],
            cwd=workspace.paths.root,
            stdout=subprocess.PIPE,
            stderr=written,
            text=True,
        )
    try:
        if not select.select([process.stdout], [], [], START_SECONDS)[0]:
            raise TimeoutError(f"it did not start within {START_SECONDS:g} s")
        line = process.stdout.readline().strip()
        yield process, int(line) if line.isdecimal() else None
    except (OSError, http.client.HTTPException) as error:
        end = log.read_text(encoding="utf-8", errors="replace").strip()[-SHOWN:] or "(the log is empty)"
        raise RetrimError(
            f"the prediction server to measure did not respond: {error}; correct the error at the end of its log: {end}"
        ) from error
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _work(workspace: Workspace, champion: Stored, rows: int) -> int:
    """Rows times rounds of a retraining as the settings ask for it."""
    params = workspace.params
    return retraining_work(
        max(rows - params.split.judge_rows, 0),
        champion.predictor.recipe.rounds,
        mode="refit" if params.retrain.mode == "auto" else params.retrain.mode,
        windows=params.train.windows,
        recipes=params.train.recipes,
        sliding_rows=params.split.sliding_rows,
        backtest=params.backtest,
        tune=params.tune,
    )


def _probe(checks: list[DecisionRow]) -> float:
    """Rows times rounds of the newest probe, spread over the checks since the one before."""
    for ago, check in enumerate(reversed(checks), 1):
        found = read_record(ProbedCheck, check.text).probe
        if found is not None:
            return found.work / ago
    return 0.0


def _landed_bytes(workspace: Workspace) -> int:
    return sum(batch.path.stat().st_size for batch in workspace.landing.batches() if batch.kind == "rows")


def _load(workspace: Workspace, asked: AskedLoad, table: AsOfTable, *, now: pd.Timestamp) -> ModelLoad:
    """The load that was asked about; what nobody stated is as the newest rows and the timetable say."""
    event = table.times["_event"]
    newest = event.iloc[len(event) // 2 :]
    days = max((newest.iloc[-1] - newest.iloc[0]) / pd.Timedelta("1D"), 1 / 24)
    paid = costs_by_month(workspace, now=now, months=12)
    every = pd.Timedelta(workspace.params.data.batch_every)
    return ModelLoad(
        models=asked.models,
        rows_a_day=len(newest) / days if asked.rows_a_day is None else asked.rows_a_day,
        requests_a_second=asked.requests_a_second,
        checks_a_day=pd.Timedelta("1D") / every if asked.checks_a_day is None else asked.checks_a_day,
        retrainings_a_month=(
            float(np.mean([month.retrainings for month in paid]))
            if asked.retrainings_a_month is None
            else asked.retrainings_a_month
        ),
        years=asked.years,
    )
