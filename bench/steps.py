"""Preprocessing steps on 100,000 rows of 20 columns: processor time to learn and to apply each.

    python bench/steps.py [--against REF]

With `--against`, the code of that git commit is unpacked and timed too, on the same columns, one step after the other
in turn; each figure is the least of three. Text has 2 columns, powers have 4. Below stands scikit-learn's own way where
code of ours stayed (`--others`: that alone).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROWS, COLUMNS, TURNS = 100_000, 20, 3
NUMBERS = ("log", "sqrt", "minmax", "zscore", "fill_mean", "fill_median", "fill_mode", "bins_width", "bins_frequency")
STEPS: dict[str, tuple[str, int, dict[str, Any]]] = {  # kind of column, columns, arguments
    **{name: ("number", COLUMNS, {"bins": 10} if name.startswith("bins") else {}) for name in NUMBERS},
    "yeojohnson": ("number", 4, {}),
    "outlier_cap": ("number", COLUMNS, {"by": "iqr", "reach": 3.0, "at_most": 0.1}),
    "one_hot": ("category", COLUMNS, {"most_levels": 8}),
    "ordinal": ("category", COLUMNS, {"order": tuple("abcdefgh")}),
    "frequency": ("category", COLUMNS, {}),
    "rare": ("category", COLUMNS, {"under": 0.05, "into": "other", "unseen": "merge"}),
    "target_code": ("category", COLUMNS, {"smoothing": 20.0}),
    "text_tfidf": ("text", 2, {"words": 1000, "components": 8, "seed": 7}),
    "text_hash": ("text", 2, {"buckets": 256, "components": 8, "seed": 7}),
    "select_mutual": ("number", COLUMNS, {"keep": 5}),
    "select_uncorrelated": ("number", COLUMNS, {"at_most": 0.9}),
}


def make_frame(kind: str, columns: int) -> dict[str, np.ndarray]:
    """Columns of which a tenth is missing."""
    draw = np.random.default_rng(7)
    frame = {}
    for place in range(columns):
        missing = draw.random(ROWS) < 0.1
        if kind == "number":
            frame[f"c{place}"] = np.where(missing, np.nan, draw.gamma(2.0, 3.0, ROWS))
            continue
        words = np.array(["ring", "dog", "gate", "desk", "bell", "key", "door", "lift", "yard", "note"], dtype=object)
        if kind == "text":
            values = np.array([" ".join(row) for row in words[draw.integers(0, 10, (ROWS, 4))]], dtype=object)
        else:
            values = np.array(list("abcdefghij"), dtype=object)[draw.integers(0, 10, ROWS)]
        frame[f"c{place}"] = np.where(missing, None, values)
    return frame


def time_step(name: str) -> list[float]:
    """Seconds of the processor to learn a step and to apply it."""
    from retrim.features.step import STEPS as REGISTERED
    from retrim.features.step import TrainingRows

    kind, columns, arguments = STEPS[name]
    frame = make_frame(kind, columns)
    draw = np.random.default_rng(8)
    event = np.datetime64("2024-01-01", "us") + np.arange(ROWS) * np.timedelta64(1, "h")
    past = TrainingRows(frame, draw.normal(size=ROWS), (), event, event + np.timedelta64(1, "h"))
    step = REGISTERED[name]
    learn, state = least_time(lambda: step.learn(past, **arguments).state)
    return [learn, least_time(lambda: step.apply(frame, state))[0]]


def least_time(run: Callable[[], Any]) -> tuple[float, Any]:
    """The least of some turns, and what the last gave."""
    found, result = [], None
    for _ in range(TURNS):
        start = time.process_time()
        result = run()
        found.append(time.process_time() - start)
    return min(found), result


def time_others() -> dict[str, float]:
    """scikit-learn's own way where a step of ours stayed, on as many rows and columns unless the line says so."""
    from sklearn.feature_selection import mutual_info_regression
    from sklearn.impute import KNNImputer
    from sklearn.preprocessing import KBinsDiscretizer, PowerTransformer

    frame = make_frame("number", COLUMNS)
    full = np.column_stack([np.nan_to_num(values) for values in frame.values()])
    holes = np.column_stack(list(frame.values()))
    target = np.random.default_rng(8).normal(size=ROWS)
    positive = full[:, :4] + 1e-3
    return {
        "mutual_info_regression, 50,000 rows": least_time(
            lambda: mutual_info_regression(full[::2], target[::2], random_state=7)
        )[0],
        "KNNImputer, 5,000 rows": least_time(lambda: KNNImputer().fit(holes[:5000]).transform(holes[:5000]))[0],
        "PowerTransformer box-cox, 4 columns": least_time(
            lambda: PowerTransformer("box-cox", standardize=False).fit_transform(positive)
        )[0],
        "KBinsDiscretizer quantile, nothing missing": least_time(
            lambda: KBinsDiscretizer(
                10, encode="ordinal", quantile_method="averaged_inverted_cdf", subsample=None
            ).fit_transform(full)
        )[0],
    }


def time_quantile() -> dict[str, float]:
    """A median by a linear program, and by `models.solving`, on 5,000 rows of 20 terms: seconds, once."""
    from sklearn.linear_model import QuantileRegressor

    from retrim.training.linear import quantile

    draw = np.random.default_rng(7)
    terms = draw.normal(size=(5000, COLUMNS))
    target = terms @ draw.normal(size=COLUMNS) + draw.normal(size=5000)
    found = {}
    for name, run in {
        "QuantileRegressor, 5,000 rows": lambda: QuantileRegressor(quantile=0.5, alpha=0.0).fit(terms, target),
        "quantile of retrim, 5,000 rows": lambda: quantile(terms, target, np.ones(5000), l2=1e-9, level=0.5),
    }.items():
        start = time.process_time()
        run()
        found[name] = time.process_time() - start
    return found


def share_of_rows_that_differ() -> float:
    """Share of 1,000 rows whose score by a matrix product has other last digits alone than among the others."""
    draw = np.random.default_rng(7)
    terms, coefficients = draw.normal(size=(1000, COLUMNS)), draw.normal(size=COLUMNS)
    alone = np.array([(terms[place : place + 1] @ coefficients)[0] for place in range(1000)])
    return float((terms @ coefficients != alone).mean())


def time_one_row(name: str) -> float:
    """Milliseconds of the processor to apply a step to one row of 20 columns, the mean of 20 times."""
    from retrim.features.step import STEPS as REGISTERED
    from retrim.features.step import TrainingRows

    kind, columns, arguments = STEPS[name]
    frame = {column: values[:5000] for column, values in make_frame(kind, columns).items()}
    event = np.datetime64("2024-01-01", "us") + np.arange(5000) * np.timedelta64(1, "h")
    state = REGISTERED[name].learn(TrainingRows(frame, np.arange(5000.0), (), event, event), **arguments).state
    row = {column: values[:1] for column, values in frame.items()}
    return least_time(lambda: [REGISTERED[name].apply(row, state) for _ in range(20)])[0] * 1000 / 20


def count_narrow_bins() -> tuple[int, int]:
    """Bins of ten that scikit-learn and retrim make of a column in a small unit."""
    from sklearn.preprocessing import KBinsDiscretizer

    from retrim.features.step import STEPS as REGISTERED
    from retrim.features.step import TrainingRows

    values = np.random.default_rng(7).gamma(2.0, 3.0, 1000) * 1e-9
    theirs = KBinsDiscretizer(10, encode="ordinal", quantile_method="averaged_inverted_cdf").fit(values[:, None])
    event = np.datetime64("2024-01-01", "us") + np.arange(1000) * np.timedelta64(1, "h")
    past = TrainingRows({"c": values}, values, (), event, event)
    ours = REGISTERED["bins_frequency"].learn(past, bins=10).state.edges["c"]
    return int(theirs.n_bins_[0]), len(ours) + 1


def run_at(source: Path, name: str) -> list[float]:
    """`time_step` in a process that imports retrim from `source`."""
    done = subprocess.run(
        [sys.executable, __file__, "--step", name],
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return list(json.loads(done.stdout))


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", default=None)
    parser.add_argument("--step", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--others", action="store_true")
    given = parser.parse_args()
    if given.step:
        print(json.dumps(time_step(given.step)))
        return
    if not given.others:
        print_steps(given.against)
    for name, seconds in {**time_others(), **time_quantile()}.items():
        print(f"{name}: {seconds:.2f} s")
    for name in ("zscore", "fill_median", "one_hot"):
        print(f"{name} of one row of 20 columns: {time_one_row(name):.2f} ms")
    print("bins of ten in a unit of 1e-9: KBinsDiscretizer {}, bins_frequency {}".format(*count_narrow_bins()))
    print(f"rows that a matrix product scores otherwise alone: {share_of_rows_that_differ():.0%}")


def print_steps(against: str | None) -> None:
    """Prints a line a step."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        if against:
            packed = subprocess.run(
                ["git", "-C", str(root), "archive", against, "src"], check=True, capture_output=True
            )
            subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        print("| step | learn, s | apply, s | before: learn, s | apply, s | ratio of the sums |")
        print("|---|---|---|---|---|---|")
        for name in STEPS:
            own = run_at(root / "src", name)
            line = f"| `{name}` | {own[0]:.3f} | {own[1]:.3f} |"
            if against:
                before = run_at(Path(folder) / "src", name)
                line += f" {before[0]:.3f} | {before[1]:.3f} | {sum(own) / sum(before):.2f} |"
            print(line, flush=True)


if __name__ == "__main__":
    main()
