"""Fairness: false refusals for equal groups, power for a stated difference, and both mitigations on bank.

    python bench/fairness.py [--worlds 500] [--only check bank]

`check`: worlds of calibrated chances, outcomes of neighbouring rows alike (a random walk moves the log odds), two or
four groups. Equal groups differ in nothing; in a harmed world the chances of one group are told too low, such that
its rate of misses lies as much higher as stated. The refusal is that of the gate: beside it stands the figure alone,
held against the limit without an interval.

`bank`: the shipped table with the settings of data/samples/bank.params.yaml and the hyperparameters of its middle;
folds in order of time, each fitted on its past, thresholds from the fold before, all figures on rows never fitted on.
"""

import argparse
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from streams import Stream, load

from retrim.features.view import FeatureView
from retrim.files import read_yaml
from retrim.gate.fairness import Bootstrap, drawn, furthest
from retrim.settings import Params
from retrim.stats.metrics import row_losses
from retrim.training.groups import GROUP, FairnessParams, GroupParams, Outcomes, group_thresholds, with_groups
from retrim.training.recipe import Recipe, fit_recipe

ROOT = Path(__file__).resolve().parents[1]
MISSES, SELECTED = "false_negative_rate", "selection_rate"
LIMIT = 0.1
SEED = 7


def fairness() -> FairnessParams:
    return Params.model_validate(read_yaml(ROOT / "data/samples/bank.params.yaml")).fairness


def world(seed: int, *, rows: int, groups: int, by: float) -> tuple[Outcomes, np.ndarray]:
    """Outcomes of one world, and the group of each row; those of the last group are told too low in log odds."""
    draw = np.random.default_rng(seed)
    names = np.array([f"g{place}" for place in range(groups)], dtype=object)[draw.integers(groups, size=rows)]
    slow = np.cumsum(draw.normal(scale=0.05, size=rows)) if rows <= 10_000 else np.zeros(rows)
    odds = draw.normal(scale=1.2, size=rows) + slow - slow.mean() - 0.5
    actual = (draw.uniform(size=rows) < 1 / (1 + np.exp(-odds))).astype(int)
    told = 1 / (1 + np.exp(by * (names == f"g{groups - 1}") - odds))
    return Outcomes.of("binary", actual, told, threshold=0.5), names


@cache
def shift_of(non_inferiority: float, measure: str) -> float:
    """By how much log odds must be told too low for the measure to lie `harm` apart, in a world of 400,000 rows."""
    low, high = 0.0, 6.0
    for _ in range(20):
        middle = (low + high) / 2
        outcomes, names = world(1, rows=400_000, groups=2, by=middle)
        values, weights = outcomes.parts(measure)
        rates = [values[names == name].sum() / weights[names == name].sum() for name in ("g0", "g1")]
        low, high = (middle, high) if abs(rates[1] - rates[0]) < non_inferiority else (low, middle)
    return high if non_inferiority else 0.0


def refusals(worlds: int, **how: Any) -> tuple[float, float]:
    """Shares of worlds refused: by the interval, and by the figure alone."""
    limit, measure, rows = how.pop("limit"), how.pop("measure"), how["rows"]
    how["by"] = shift_of(how.pop("harm"), measure)
    bootstrap = Bootstrap(20, 500, SEED)
    certain = bare = 0
    for seed in range(worlds):
        outcomes, names = world(seed, **how)
        found = drawn(outcomes, names, tuple(sorted(set(names))), measure, bootstrap)
        apart = furthest(found, found.counts >= 30, bootstrap, rows=rows, confidence=0.95)
        certain += apart is not None and apart.interval[0] > limit
        bare += bool(found.values.max() - found.values.min() > limit)
    return certain / worlds, bare / worlds


def show_check(worlds: int) -> None:
    print(f"\n{worlds} worlds a line\n")
    print("| groups | rows | truth | measure | limit | refused by retrim | by the figure alone |")
    print("|---|---|---|---|---|---|---|")
    for rows in (600, 2000):
        for groups in (2, 4):
            for measure in (MISSES, SELECTED):
                for non_inferiority, limit in ((0.0, 0.0), (0.0, LIMIT), (0.1, LIMIT), (0.2, LIMIT), (0.3, LIMIT)):
                    ours, bare = refusals(
                        worlds, rows=rows, groups=groups, non_inferiority=non_inferiority, measure=measure, limit=limit
                    )
                    truth = f"{non_inferiority} apart" if non_inferiority else "equal"
                    said = measure.replace("_", " ")
                    print(f"| {groups} | {rows} | {truth} | {said} | {limit} | {ours:.1%} | {bare:.1%} |", flush=True)


RATES = (SELECTED, "false_positive_rate", MISSES, "error_rate")
STEPS = ("none", "reweight", "thresholds: false negatives", "thresholds: selected")


def show_bank() -> None:
    stream = load("bank", Path())
    params = fairness().model_copy(update={"threshold": 0.2})
    asked = {
        "marital": (GroupParams(column="marital", cuts=(), least_rows=50),),
        "age": (GroupParams(column="age", cuts=(30, 60), least_rows=50),),
    }
    print("\nbank, four folds of 2,000 rows in order of time, selected at a probability of 0.2 or more\n")
    print(
        "| groups | mitigation | selected, largest difference | false positives | false negatives | error | log loss |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, groups in asked.items():
        for step in STEPS:
            judged = [_fold(stream, groups, step, params, *cut) for cut in folds(len(stream.table), count=4, size=2000)]
            outcomes = Outcomes(*("binary", *(np.concatenate([each[place] for each in judged]) for place in range(3))))
            names, losses = (np.concatenate([each[place] for each in judged]) for place in (3, 4))
            known = tuple(sorted(set(names)))
            apart = []
            for measure in RATES[:3]:
                values = drawn(outcomes, names, known, measure, Bootstrap(20, 2, SEED)).values
                apart.append(f"{np.nanmax(values) - np.nanmin(values):.3f}")
            top, bottom = outcomes.parts("error_rate")
            figures = " | ".join([*apart, f"{top.sum() / bottom.sum():.3f}", f"{losses.mean():.4f}"])
            print(f"| {name} | {step} | {figures} |", flush=True)


def _fold(
    stream: Stream,
    groups: tuple[GroupParams, ...],
    step: str,
    params: FairnessParams,
    fit: np.ndarray,
    tune: np.ndarray,
    judge: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Actual, predicted, selected, group and loss of the judged rows."""
    table = with_groups(stream.table, groups)
    fitted, held, judged = (table.iloc[part] for part in (fit, tune, judge))
    view = FeatureView.learn(fitted, stream.data)
    settings = {"num_leaves": 31, "learning_rate": 0.05, "min_child_samples": 20}
    recipe = Recipe("gbm", stream.loss, settings, 120, SEED, reweight=step == "reweight")
    model = fit_recipe(recipe, view, fitted, threads=1)
    actual, predicted = view.actual(judged), model.predict(view.matrix(judged))
    cuts: float | np.ndarray = params.threshold
    if step.startswith("thresholds"):
        rate = MISSES if "false" in step else SELECTED
        told, names = model.predict(view.matrix(held)), held[GROUP].to_numpy()
        found = group_thresholds(
            told,
            view.actual(held),
            names,
            groups,
            default=params.threshold,
            equalise=rate,  # type: ignore[arg-type]
        )
        cuts = found.of(judged)
    outcomes = Outcomes.of("binary", actual, predicted, threshold=cuts)
    losses = row_losses(stream.loss, actual, predicted)
    return outcomes.actual, predicted, outcomes.selected, judged[GROUP].to_numpy(), losses


def folds(rows: int, *, count: int, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Row numbers fitted on, thresholds from, judged; each after the one before."""
    for number in range(count):
        start = rows - (count - number) * size
        yield np.arange(start - size), np.arange(start - size, start), np.arange(start, start + size)


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--worlds", type=int, default=500)
    asked.add_argument("--only", nargs="*", default=["check", "bank"])
    given = asked.parse_args()
    if "check" in given.only:
        show_check(given.worlds)
    if "bank" in given.only:
        show_bank()


if __name__ == "__main__":
    main()
