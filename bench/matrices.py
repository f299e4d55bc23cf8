"""Loss matrices of the streams, kept in a folder so that reruns are cheap."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from streams import Stream

from retrim.decision.policy_backtest import FitInputs, FitJob, FitLosses, LossMatrix, WindowCuts, cut, equal_rows, jobs
from retrim.stats.codec import to_record
from retrim.training.recipe import Recipe, WindowKind

FIRST, WINDOWS, BLOCKS = 0.2, 50, 4
KINDS: tuple[WindowKind, ...] = ("all", "sliding")
HYPERPARAMETERS = {"num_leaves": 31, "learning_rate": 0.1, "min_child_samples": 20}
ROUNDS = {"rodents": 30}  # of twelve classes 30 rounds are 360 trees
USUAL_ROUNDS = 100


def recipe_of(stream: Stream) -> Recipe:
    """LightGBM with its own defaults, the same for every stream but for the rounds of some."""
    rounds = ROUNDS.get(stream.name.partition(",")[0], USUAL_ROUNDS)
    return Recipe("gbm", stream.loss, HYPERPARAMETERS, rounds, 7)


def cut_of(stream: Stream, blocks: int) -> WindowCuts:
    """50 windows of equal rows after the first 20%, each in that many blocks."""
    n = len(stream.table)
    return cut(equal_rows(n, first=round(n * FIRST), windows=WINDOWS), blocks=blocks, block_rows=stream.block_rows)


def matrix_of(stream: Stream, cache: Path, *, cores: int, blocks: int = BLOCKS, between: bool = True) -> LossMatrix:
    """The loss matrix of a stream; fits that are in `cache` already are not made again.

    Args:
        stream: Its name is that of the file in the cache.
        cache: Folder.
        cores: Fits at once.
        blocks: Blocks of each window; 1 where no probe is asked, for a quarter of the fits.
        between: Whether there are fits inside windows too; else that made before the window stands for them: a
            probe of one block never asks them, a gate that judges on part of a window does.
    """
    whole = cut_of(stream, blocks)
    file = cache / f"{stream.name.replace(', ', '-')}.jsonl"
    cache.mkdir(parents=True, exist_ok=True)
    done = [_read(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    known = {each.job for each in done}
    wanted = [job for job in jobs(whole, KINDS) if between or job.origin % blocks == 0]
    todo = [job for job in wanted if job not in known]
    if todo:
        with ProcessPoolExecutor(cores, initializer=_start, initargs=(stream, whole)) as pool, file.open("a") as out:
            for number, scored in enumerate(pool.map(_work, todo)):
                done.append(scored)
                out.write(json.dumps(to_record(scored)) + "\n")
                out.flush()
                if number % 50 == 0:
                    print(f"{stream.name}: fit {number + 1} of {len(todo)}", flush=True)
    if not between:
        done = [
            _as_of(each, each.origin + inside, whole)
            for each in done
            if each.origin % blocks == 0
            for inside in range(blocks)
        ]
    rows = (len(stream.table) - int(whole.starts[0])) / WINDOWS
    return LossMatrix.of(KINDS, whole, done, rows_per_check=rows, back=0)


def _as_of(each: FitLosses, origin: int, whole: WindowCuts) -> FitLosses:
    """A fit taken for one made at a later block."""
    since = whole.first_cell(origin) - whole.first_cell(each.origin)
    return FitLosses(each.kind, origin, each.fitted_rows, each.sums[since:])


def _read(line: str) -> FitLosses:
    stored = json.loads(line)
    return FitLosses(stored["kind"], stored["origin"], stored["fitted_rows"], np.array(stored["sums"]))


_OF: dict[str, tuple[Stream, WindowCuts]] = {}


def _start(stream: Stream, whole: WindowCuts) -> None:
    _OF["stream"] = stream, whole


def _work(job: FitJob) -> FitLosses:
    stream, whole = _OF["stream"]
    sliding_rows = round(len(stream.table) * FIRST)
    return FitInputs(stream.table, whole, recipe_of(stream), stream.data, sliding_rows).score(job)
