"""The fits of a policy backtest: in processes of one thread, each kept as it comes, so that a rerun goes on."""

import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from retrim.adapters.reaper import start_reaper
from retrim.core.policy.cut import Cut
from retrim.core.policy.fitting import Job, Scored, jobs, score_job
from retrim.core.prepare import StepParams
from retrim.core.table import DataParams
from retrim.core.training import Recipe, WindowKind
from retrim.ops.progress import tell


@dataclass(frozen=True)
class Work:
    """What every fit of a backtest is made from."""

    table: pd.DataFrame
    cut: Cut
    recipe: Recipe
    data: DataParams
    sliding_rows: int
    steps: tuple[StepParams, ...]
    at_event: bool
    known: np.ndarray | None

    def of(self, job: Job) -> Scored:
        """One fit, on one thread."""
        return score_job(
            job,
            self.table,
            self.cut,
            self.recipe,
            self.data,
            self.steps,
            sliding_rows=self.sliding_rows,
            threads=1,
            at_event=self.at_event,
            known=self.known,
        )


def all_scored(work: Work, kinds: tuple[WindowKind, ...], log: Path, *, cores: int) -> list[Scored]:
    """Every fit of a backtest; those that stand in `log` are not made again, the others are added to it.

    Args:
        work: What they are made from.
        kinds: Training windows.
        log: A line of JSON a fit; one that a kill cut short is made anew.
        cores: Processes, each of one thread; changes no result.
    """
    done = read_log(log)
    every = jobs(work.cut, kinds)
    todo = [job for job in every if job not in done]
    tell(f"policy: {len(every)} fits, {len(done)} of them made before")
    log.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(log)
    with log.open("ab", buffering=0) as out:
        for scored in _made(work, todo, cores=min(cores, len(todo))):
            out.write(_line(scored))  # one write of a file opened to append: whole or not at all
            done[scored.job] = scored
            tell("policy: loss matrix", len(done), len(every))
    return [done[job] for job in every]


def read_log(log: Path) -> dict[Job, Scored]:
    """The fits of a log, by job; a line that was cut short is left out."""
    if not log.exists():
        return {}
    found = {}
    for line in log.read_bytes().split(b"\n"):
        try:
            stored = json.loads(line)
        except ValueError:
            continue
        job = Job(stored["kind"], stored["origin"])
        found[job] = Scored(job, np.array(stored["sums"]), stored["fitted_rows"])
    return found


def _line(scored: Scored) -> bytes:
    record = {
        "kind": scored.job.kind,
        "origin": scored.job.origin,
        "fitted_rows": scored.fitted_rows,
        "sums": scored.sums.tolist(),
    }
    return json.dumps(record).encode() + b"\n"


def _end_last_line(log: Path) -> None:
    if log.exists() and log.stat().st_size and not log.read_bytes().endswith(b"\n"):
        with log.open("ab") as out:
            out.write(b"\n")


def _made(work: Work, todo: list[Job], *, cores: int) -> Iterator[Scored]:
    if cores <= 1:
        yield from map(work.of, todo)
        return
    # Processes that begin afresh: one that is forked would share the threads' locks of libraries loaded by now.
    start_reaper()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(work,)) as pool:
        waiting = [pool.submit(_one, job) for job in todo]
        try:
            for ready in as_completed(waiting):
                yield ready.result()
        finally:
            for future in waiting:
                future.cancel()


# What a process of the pool makes all of its fits from: sent once, as it begins, and not with every job.
_WORK: list[Work] = []


def _begin(work: Work) -> None:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["OMP_NUM_THREADS"] = "1"
    _WORK.append(work)


def _one(job: Job) -> Scored:
    return _WORK[0].of(job)
