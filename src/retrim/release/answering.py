"""A stored version in a fresh process: loads its bundle, answers its reference rows, says what that takes. It imports
what predicting takes and nothing else, and prints one JSON record. The system ends it with SIGXCPU once it has used
SECONDS of processor time, and it ends itself after PATIENCE seconds by the clock, should its parent be gone.

    python -m retrim.release.answering FOLDER DIGEST SECONDS PATIENCE
"""

import json
import math
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from retrim.decision.release_checks import FreshAnswers, Latency
from retrim.files import collect_seldom, digest_of_files, lightgbm_alone, read_folder
from retrim.gate.reference_rows import REFERENCE_ROWS, answers_of, farthest
from retrim.stats.codec import from_parquet, to_record
from retrim.training.bundle import Predictor, load_predictor
from retrim.training.estimators import trust_all

TIMED = ((1, 50), (1000, 10))
"""Rows of a prediction that is timed, and how often it is, at most."""
TIMING_SECONDS = 5.0
"""Once so much processor time went into the tries, no other begins."""


def main(folder: str, digest: str, seconds: str, patience: str) -> None:
    """Prints what the bundle in `folder` answers; ends with exit code 1 and why if it is not the one with `digest`."""
    signal.setitimer(signal.ITIMER_REAL, float(patience))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # SIGXCPU would leave a core file
    _allow(float(seconds))
    collect_seldom()
    files = read_folder(Path(folder))
    if digest_of_files(files) != digest:
        sys.exit(f"the stored bundle has hash {digest_of_files(files)[:12]}, but {digest[:12]} is recorded")
    lightgbm_alone()
    trust_all(files)  # whoever asks has the hash on record, or has looked through an import
    predictor = load_predictor(files)
    if REFERENCE_ROWS in files:
        answers = _asked(predictor, files[REFERENCE_ROWS], float(seconds))
    else:
        answers = FreshAnswers(None, seconds=_processor_seconds())
    sys.stdout.write(json.dumps(to_record(answers)))


def _asked(predictor: Predictor, content: bytes, seconds: float) -> FreshAnswers:
    reference = from_parquet(content)
    rows = reference[list(predictor.view.needs)]
    apart = farthest(predictor.predict(rows), answers_of(reference))
    answers = FreshAnswers(None, len(rows), apart, _processor_seconds())
    latency = []
    for count, tries in TIMED:
        sample = rows.iloc[np.arange(count) % len(rows)].reset_index(drop=True)
        _allow(_processor_seconds() + seconds)
        times = _timed(lambda asked=sample: predictor.predict(asked), tries)  # type: ignore[misc]
        latency.append((count, Latency(min(times), float(np.median(times)), len(times))))
    return replace(answers, latency=tuple(latency))


def _timed(work: Callable[[], Any], tries: int) -> list[float]:
    """Milliseconds of processor time that each try took, at least one."""
    work()  # the first pays for what is set up once
    times: list[float] = []
    while not times or (len(times) < tries and sum(times) < 1000 * TIMING_SECONDS):
        begun = _processor_seconds()
        work()
        times.append(1000 * (_processor_seconds() - begun))
    return times


def _processor_seconds() -> float:
    """Processor time of this process, of all its threads, and of the processes that it started and that have ended."""
    # Not `time.process_time`: under a limit on processor time, Linux counts that in ticks of some milliseconds.
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _allow(seconds: float) -> None:
    """Has the system end this process once it has used so much processor time since its start."""
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    soft = max(math.ceil(seconds), 1)
    resource.setrlimit(resource.RLIMIT_CPU, (soft if most == resource.RLIM_INFINITY else min(soft, most), most))


if __name__ == "__main__":
    main(*sys.argv[1:])
