"""A stored version in a fresh process: loads its bundle, answers its reference rows, says how long that takes.

    python -m retrim.release.answering FOLDER DIGEST SECONDS

It imports what predicting takes and nothing else, prints one JSON record, and ends itself after SECONDS, should
the process that started it be gone.
"""

import json
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from retrim.decision.release_checks import FreshAnswers, Latency
from retrim.files import collect_seldom, digest_of_files, lightgbm_alone, read_folder
from retrim.gate.reference_rows import REFERENCE_ROWS, answers_of, farthest
from retrim.stats.codec import from_parquet, to_record
from retrim.training.bundle import Predictor, load_predictor
from retrim.training.estimators import trust_all

TIMED = ((1, 50), (1000, 10))
"""Rows of a prediction that is timed, and how often it is."""


def main(folder: str, digest: str, seconds: str) -> None:
    """Prints what the bundle in `folder` answers; ends with exit code 1 and why if it is not the one with `digest`."""
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    begun = perf_counter()
    collect_seldom()
    files = read_folder(Path(folder))
    if digest_of_files(files) != digest:
        sys.exit(f"the stored bundle has hash {digest_of_files(files)[:12]}, but {digest[:12]} is recorded")
    lightgbm_alone()
    trust_all(files)  # whoever asks has the hash on record, or has looked through an import
    predictor = load_predictor(files)
    said = _asked(predictor, files[REFERENCE_ROWS]) if REFERENCE_ROWS in files else FreshAnswers(None)
    sys.stdout.write(json.dumps(to_record(replace(said, seconds=perf_counter() - begun))))


def _asked(predictor: Predictor, content: bytes) -> FreshAnswers:
    reference = from_parquet(content)
    rows = reference[list(predictor.view.needs)]
    apart = farthest(predictor.predict(rows), answers_of(reference))
    latency = []
    for count, tries in TIMED:
        asked = rows.iloc[np.arange(count) % len(rows)].reset_index(drop=True)
        times = _timed(lambda asked=asked: predictor.predict(asked), tries)  # type: ignore[misc]
        latency.append((count, Latency(float(np.median(times)), float(np.quantile(times, 0.99)), tries)))
    return FreshAnswers(None, len(rows), apart, latency=tuple(latency))


def _timed(work: Callable[[], Any], tries: int) -> np.ndarray:
    """Milliseconds that each try took, shape (tries,)."""
    work()  # the first pays for what is set up once
    times = np.empty(tries)
    for number in range(tries):
        begun = perf_counter()
        work()
        times[number] = 1000 * (perf_counter() - begun)
    return times


if __name__ == "__main__":
    main(*sys.argv[1:])
