"""How often a champion is replaced by a model that is no better, in a life of 50 checks, by each design of the gate.

    python bench/gate_lives.py [--lives 200] [--real]

A life is 50 checks of 336 rows in blocks of 24. At each the probe's refits are held against the champion, whose mean
loss is 1; the accumulated gain of params.yaml (two standard errors) and a retraining cost decide whether they pay; the
gate previews its
newest rows; and a run's challenger, another fit, is judged on the same rows: of the variance of its difference to the
champion 80% is that of the probe's. A refusal takes the retraining cost from the accumulated gain. A life ends when a
challenger is
promoted: *equal* ones in at most 5% of lives, *worse* ones (by gate.min_gain) in at most 1%. *Runs* are per life.

Differences are independent rows, or each row resembles the one before by 0.8 (AR(1)), normal, or lognormal turned
so that a loss is rare and large. With --real they are those of `probation.py`: two models of bike, bank or
rodents, their mean taken out; turned by the toss of a coin at each check, or wandering as they do.
"""

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from gate_designs import DESIGNS
from probation import ERRORS, real_years
from scipy.signal import lfilter
from streams import ROOT

from retrim.decision.accumulated_gain import EMPTY
from retrim.decision.policy_play import GateSimulation
from retrim.gate.support import ShownEvidence
from retrim.settings import load_params

PARAMS = load_params(ROOT / "params.yaml")
CHECKS, ROWS, BLOCK, SEED = 50, 336, 24, 7
BLOCKS = ROWS // BLOCK
COMMON = 0.8  # of the variance of a difference: what any refit has against this champion
PRICES = (0.01, 0.1)  # of the champion's loss in one check
HELD = (1.0, 0.5)  # of a check's rows


def drawn(count: int, errors: str, alike: float) -> np.ndarray:
    """Rows of lives with mean 0 and variance 1, shape (count, rows)."""
    made = ERRORS[errors](np.random.default_rng([SEED, count]), (count, CHECKS * ROWS + 200))
    return np.asarray(lfilter([1.0], [1.0, -alike], made, axis=1)[:, 200:] * (1 - alike**2) ** 0.5)


def blocks(rows: np.ndarray) -> np.ndarray:
    """Means of blocks, shape (lives, checks, blocks)."""
    return np.asarray(rows.reshape(len(rows), CHECKS, BLOCKS, BLOCK).mean(axis=3))


def promoted(
    judging: GateSimulation, probe: np.ndarray, run: np.ndarray, *, retraining_cost: float, held: float
) -> tuple[bool, int]:
    """Whether a challenger is ever promoted in one life, and the runs that were made.

    Args:
        judging: The design.
        probe: What the probe's refits save in each block, shape (checks, blocks).
        run: What the challengers of runs save there.
        price: Of a retraining.
        held: Share of a check's rows that judge, at most.
    """
    accumulated_gain, shown, runs = EMPTY, [], 0
    ceiling = round(held * BLOCKS)
    for saved, own in zip(probe, run, strict=True):
        accumulated_gain = accumulated_gain.deposit(
            float(saved.mean()), error=float(saved.std(ddof=1)) / BLOCKS**0.5, share=1.0
        )
        if accumulated_gain.pays(retraining_cost, errors=PARAMS.gain.errors, ahead=PARAMS.gain.ahead):
            early = [*shown, seen(saved[: BLOCKS - ceiling])]
            size = judging.sized([*shown, seen(saved)], early, tries=1, block_rows=BLOCK, there=judging.rows)
            kept = BLOCKS - round(size.rows / BLOCK)
            before = [*shown, seen(saved[:kept])]
            champion = np.ones(BLOCKS - kept)
            if judging.judged({"all": 1 - saved[kept:]}, champion, before).promote:
                runs += 1
                if judging.judged({"all": 1 - own[kept:]}, champion, before).promote:
                    return True, runs
                accumulated_gain = accumulated_gain.debit(retraining_cost)
        shown.append(seen(saved))
    return False, runs


def seen(saved: np.ndarray) -> ShownEvidence:
    return ShownEvidence((), np.ones(len(saved)), {"all": 1 - saved}, BLOCK)


def line(
    name: str,
    probes: np.ndarray,
    challengers: np.ndarray,
    given: argparse.Namespace,
    *,
    worse: float,
    retraining_cost: float,
    held: float,
) -> None:
    cells = []
    for design in (DESIGNS[each] for each in given.designs):
        rows = round(held * ROWS)
        gate = PARAMS.gate.model_copy(update={"min_rows": round(rows * given.least)})
        judging = design(gate, rows, 400)
        ended = [
            promoted(judging, probe - worse, run - worse, retraining_cost=retraining_cost, held=held)
            for probe, run in zip(probes, challengers, strict=True)
        ]
        cells.append(f"{np.mean([each[0] for each in ended]):.1%} ({np.mean([each[1] for each in ended]):.2f})")
    what = "worse" if worse else "equal"
    print(f"| {name} | {what} | {retraining_cost:g} | {held:g} | " + " | ".join(cells) + " |", flush=True)


def simulated(lives: int, only: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, and savings of probes and of challengers, shape (lives, checks, blocks): a row deviates by 0.5."""
    for errors in ("normal", "lognormal, turned"):
        for alike in (0.0, 0.8):
            name = f"{errors}, {'AR(1)' if alike else 'independent'}"
            if only not in name:
                continue
            common, one, other = (blocks(part) for part in np.array_split(drawn(3 * lives, errors, alike), 3))
            probe, run = (0.5 * (COMMON**0.5 * common + (1 - COMMON) ** 0.5 * own) for own in (one, other))
            yield name, probe, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--only", default="", help="differences whose name holds this")
    parser.add_argument("--least", type=float, default=0.5, help="share of those rows that judge at least")
    parser.add_argument("--designs", nargs="*", default=list(DESIGNS), choices=list(DESIGNS))
    parser.add_argument("--real", action="store_true")
    given = parser.parse_args()
    columns: Sequence[str] = ("differences", "refits", "price", "judged", *(f"{name} (runs)" for name in given.designs))
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    if given.real:
        for flipped in (True, False):
            for name in ("bike", "bank", "rodents"):
                saved = -blocks(real_years(name, given.lives, flipped=flipped, checks=CHECKS))
                kind = "turned by check" if flipped else "wandering"
                line(f"{name}: {kind}", saved, saved, given, worse=0.0, retraining_cost=PRICES[0], held=HELD[0])
        return
    for name, probe, run in simulated(given.lives, given.only):
        for worse in (0.0, PARAMS.gate.min_gain):
            for retraining_cost, held in zip(PRICES, HELD, strict=True):
                line(name, probe, run, given, worse=worse, retraining_cost=retraining_cost, held=held)


if __name__ == "__main__":
    main()
