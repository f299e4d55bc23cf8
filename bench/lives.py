"""Whole lives with shipped settings on made tables with a known truth: what was said, when answered, at what cost.

    python bench/lives.py                                    # eight worlds, twenty seeds, 52 checks each: hours
    python bench/lives.py --worlds step --seeds 5 --checks 14

`tests/lives` says what the worlds are. A life is one process on one core; `--jobs` plays several at once.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from retrim.decision.model_health import find_model_faults
from tests.lives.life import begin_life
from tests.lives.outcome import beside_hindsight, find_answer, retrainings
from tests.lives.worlds import WORLDS

CHECKS, LONG = 52, {"nothing": 104}


@dataclass(frozen=True)
class Played:
    """What came of a life; None where there was no change, nothing was said or answered, or nobody asked."""

    world: str
    seed: int
    said: int | None  # checks from the change to the first fault that was said
    answered: int | None  # checks from the change to the promotion
    ratio: float | None  # loss of the four checks after it, further retrainings included, over a model that knew
    fresh_ratio: float | None  # the same over one that is fitted anew at each check, at no price
    cost: float | None  # of the whole life, over that of the best schedule in hindsight
    hindsight: int | None  # retrainings of that schedule
    retrainings: int  # promoted and refused ones
    probes: int  # checks that probed
    faults: int  # checks with a fault of the model


def play(world: str, seed: int, checks: int, *, hindsight: bool) -> Played:
    """One life, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="retrim-life-") as folder:
        life = begin_life(Path(folder), WORLDS[world](seed, checks))
        played = life.play(checks)
        changed = life.world.changed
        answer = None if changed is None else find_answer(life)
        wrong = [each.number for each in played if find_model_faults(each.outcome.record)]
        beside = beside_hindsight(life) if hindsight else None
        after = [] if changed is None else [number - changed + 1 for number in wrong if number >= changed]
        return Played(
            world,
            seed,
            min(after, default=None),
            None if answer is None else answer.after,
            None if answer is None else answer.ratio,
            None if answer is None else answer.fresh_ratio,
            None if beside is None else beside.cost,
            None if beside is None else beside.retrainings,
            retrainings(life),
            sum(each.outcome.record.probe.reading is not None for each in played),
            len(wrong),
        )


def quietly(world: str, seed: int, checks: int, *, hindsight: bool) -> Played:
    """A life of which only the end is printed."""
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        return play(world, seed, checks, hindsight=hindsight)


def show(lives: list[Played]) -> None:
    """A line for each world."""
    worlds: dict[str, list[Played]] = defaultdict(list)
    for life in lives:
        worlds[life.world].append(life)
    columns = (
        *("world", "lives", "said at check", "answered at check", "by the 4th", "loss after, over a model that knew"),
        *("over one fitted anew at each check", "at most 1.25 of the first", "cost over hindsight", "retrainings"),
        *("at most one", "in hindsight", "probes", "lives with a fault"),
    )
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for name, own in worlds.items():
        answers = [each.answered for each in own if each.answered is not None]
        by_fourth = sum(each <= 4 for each in answers)
        cells = (
            name,
            len(own),
            figures([each.said for each in own]),
            figures(answers),
            f"{by_fourth} of {len(own)}" if answers else "-",
            figures([each.ratio for each in own], digits=2),
            figures([each.fresh_ratio for each in own], digits=2),
            f"{sum(each.ratio is not None and each.ratio <= 1.25 for each in own)} of {len(own)}" if answers else "-",
            figures([each.cost for each in own], digits=2),
            figures([each.retrainings for each in own]),
            f"{sum(each.retrainings <= 1 for each in own)} of {len(own)}",
            figures([each.hindsight for each in own]),
            figures([each.probes for each in own]),
            sum(each.faults > 0 for each in own),
        )
        print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def figures(values: list[float | None] | list[int | None] | list[int] | list[float], digits: int = 1) -> str:
    """Mean and largest value."""
    known = [each for each in values if each is not None]
    if len(known) == 1:
        return f"{known[0]:.{digits}f}"
    return f"{np.mean(known):.{digits}f}, at most {max(known):.{digits}f}" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--worlds", nargs="*", default=list(WORLDS), choices=list(WORLDS))
    parser.add_argument("--seeds", type=int, default=20, help="lives of each world")
    parser.add_argument("--checks", type=int, default=None, help="checks of a life; default: 52, 104 where nothing is")
    parser.add_argument("--jobs", type=int, default=2, help="lives at once")
    parser.add_argument("--no-hindsight", action="store_true", help="leave out the best schedule: half the time")
    given = parser.parse_args()
    jobs = [
        (world, seed, given.checks or LONG.get(world, CHECKS))
        for world in given.worlds
        for seed in range(1, given.seeds + 1)
    ]
    lives: list[Played] = []
    with ProcessPoolExecutor(given.jobs, max_tasks_per_child=1) as pool:
        for life in pool.map(partial(quietly, hindsight=not given.no_hindsight), *zip(*jobs, strict=True)):
            lives.append(life)
            print(
                f"{life.world} {life.seed}: said {life.said}, answered {life.answered}, after "
                f"{figures([life.ratio], 2)}, fresh {figures([life.fresh_ratio], 2)}, "
                f"cost {figures([life.cost], 2)}, retrainings {life.retrainings}, in hindsight "
                f"{figures([life.hindsight], 0)}, faults {life.faults}",
                file=sys.stderr,
                flush=True,
            )
    show(lives)


if __name__ == "__main__":
    main()
