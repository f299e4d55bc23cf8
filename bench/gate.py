"""How often the gate opens, for challengers whose true gain is known. No model is fitted.

    python bench/gate.py [--trials 1000] [--draws 500] [--seed 7] [--only binary] [--rows 2000]

Champion and challenger answer alike on 90% of the rows. On the others each leans to one side, and the truth is
drawn between them: in the middle (*equal*), or so that the challenger's mean loss is higher by the minimum effect of
params.yaml (*worse*), or lower by twice the gain that the gate says it can see on such rows (*better*). Errors are
independent or follow one another (AR(1), 0.8 from row to row: where the models differ, who leans where, the
noise). All checks of the gate are on, by default, and the rows have never judged. In the same trials: a bare
comparison of the means.

*Promoted* is the share of trials with its 95% interval; *refused by* the share in which a check refused, and in
brackets that in which it alone did, and so what it costs; where the losses alone already close the gate, the checks
that look at rows and predictions are not made.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.stats import beta, norm

from retrim.gate.losses import judge
from retrim.gate.models import judge_models
from retrim.gate.size import detectable
from retrim.gate.verdict import GateParams, HoldoutJudgement, ScoredModel, StatedInterval
from retrim.settings import load_params
from retrim.stats.metrics import row_losses

ROOT = Path(__file__).parents[1]
BLOCK = 24
LEAN = {"mae": 1.0, "log_loss": 2.5}  # how far either model leans: in sd of the noise, or log-odds
STICKS = 0.8  # from row to row, where errors follow one another
CLASSES = ("no", "yes")
FEATURES = {**{f"x{place}": "number" for place in range(4)}, "k0": "category", "k1": "category"}


@dataclass(frozen=True)
class Kind:
    """A loss, and whether errors follow one another."""

    loss: str
    sticks: bool

    @property
    def name(self) -> str:
        return f"{'binary' if self.binary else 'regression'}, {self.loss}, {'AR(1)' if self.sticks else 'independent'}"

    @property
    def binary(self) -> bool:
        return self.loss != "mae"


KINDS = tuple(Kind(loss, sticks) for sticks in (True, False) for loss in ("log_loss", "mae"))


def wander(draw: np.random.Generator, n: int, *, sticks: bool) -> np.ndarray:
    """Standard normal numbers, each alone or each like the one before it."""
    if not sticks:
        return draw.normal(size=n)
    made = lfilter([(1 - STICKS**2) ** 0.5], [1.0, -STICKS], draw.normal(size=n + 100))
    return np.asarray(made)[100:]


@dataclass(frozen=True)
class Drawn:
    """Two features, targets, and what challenger and champion predict."""

    features: dict[str, np.ndarray]
    actual: np.ndarray
    own: np.ndarray
    its: np.ndarray


def models(kind: Kind, n: int, leaning: float, draw: np.random.Generator) -> Drawn:
    """Models that differ on 10% of rows, where the truth lies `leaning`, -1 to 1, to the challenger."""
    features = {f"x{place}": wander(draw, n, sticks=kind.sticks) for place in range(2)}
    middle = 1.5 * (features["x0"] + features["x1"]) / 2**0.5
    differ = np.abs(wander(draw, n, sticks=kind.sticks)) > norm.isf(0.05)
    side = np.where(wander(draw, n, sticks=kind.sticks) > 0, LEAN[kind.loss], -LEAN[kind.loss]) * differ
    noise = wander(draw, n, sticks=kind.sticks)
    if not kind.binary:
        return Drawn(features, middle + leaning * side + noise, middle + side, middle - side)
    middle = np.where(differ, 0.0, middle)  # where they differ they call another class
    own, its = (1 / (1 + np.exp(-(middle + sign * side))) for sign in (1, -1))
    truth = (1 + leaning) / 2 * own + (1 - leaning) / 2 * its
    return Drawn(features, (norm.cdf(noise) < truth).astype("int64"), own, its)


def leaning_of(kind: Kind, gain: float) -> float:
    """Where the truth lies for a relative gain, from the expected losses themselves."""

    def away(leaning: float) -> float:
        own, its = expected(kind, leaning), expected(kind, -leaning)
        return 1 - own / its - gain

    return float(brentq(away, -1.0, 1.0, xtol=1e-6))


def expected(kind: Kind, leaning: float) -> float:
    """Expected loss of the model that the truth leans to: on 90% of rows both are right, on the others it is off."""
    if not kind.binary:
        off = (1 - leaning) * LEAN[kind.loss]
        same, other = (2 * norm.pdf(each) + each * (1 - 2 * norm.cdf(-each)) for each in (0.0, off))
        return float(0.9 * same + 0.1 * other)
    given = 1 / (1 + np.exp(-LEAN[kind.loss]))
    truth = (1 + leaning) / 2 * given + (1 - leaning) / 2 * (1 - given)
    places = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    chances = 1 / (1 + np.exp(-1.5 * places))
    same = -(chances * np.log(chances) + (1 - chances) * np.log(1 - chances)).mean()
    other = -(truth * np.log(given) + (1 - truth) * np.log(1 - given))
    return float(0.9 * same + 0.1 * other)


def judged(kind: Kind, drawn: Drawn, draw: np.random.Generator) -> HoldoutJudgement:
    """Everything that the gate looks at: two more numbers and two categories beside."""
    n = len(drawn.actual)
    rows = pd.DataFrame({**drawn.features, **{f"x{place}": wander(draw, n, sticks=kind.sticks) for place in (2, 3)}})
    rows["k0"] = draw.choice(list("abcd"), size=n)
    rows["k1"] = draw.choice(list("efghij"), size=n, p=[0.4, 0.2, 0.2, 0.1, 0.05, 0.05])
    rows["_event"] = pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC")
    stated = None if kind.binary else StatedInterval(0.8, float(norm.ppf(0.1)), float(norm.ppf(0.9)))
    own, its, naive = losses(kind, drawn)
    classes = CLASSES if kind.binary else ()
    scored = [
        ScoredModel(predicted, drawn.actual, classes, each, stated)
        for predicted, each in ((drawn.own, own), (drawn.its, its))
    ]
    task = "binary" if kind.binary else "regression"
    return HoldoutJudgement(rows, FEATURES, task, {"all": scored[0]}, scored[1], {"mean": naive})


def losses(kind: Kind, drawn: Drawn) -> list[np.ndarray]:
    """Of the challenger, the champion, and a naive forecast."""
    naive = np.full(len(drawn.actual), 0.5 if kind.binary else 0.0)
    return [row_losses(kind.loss, drawn.actual, each) for each in (drawn.own, drawn.its, naive)]


@dataclass(frozen=True)
class Trials:
    """What became of many trials: promoted by the gate, by a bare comparison; checks that refused."""

    promoted: int
    bare: int
    refused: Counter[str]
    alone: Counter[str]
    count: int


def play(kind: Kind, n: int, leaning: float, gate: GateParams, *, trials: int, draws: int, seed: int) -> Trials:
    draw = np.random.default_rng([seed, n, KINDS.index(kind), int(1e4 * (leaning + 1))])
    promoted = bare = 0
    refused: Counter[str] = Counter()
    alone: Counter[str] = Counter()
    for _ in range(trials):
        drawn = models(kind, n, leaning, draw)
        own, its, naive = losses(kind, drawn)
        how = {"draws": draws, "block_rows": BLOCK, "uses": 0.0}
        verdict = judge({"all": own}, its, {"mean": naive}, gate, **how)
        if verdict.promote:  # the other checks cannot open a gate that these have closed
            verdict = judge_models(judged(kind, drawn, draw), gate, **how)
        failed = [check.name for check in verdict.checks if not check.passed]
        refused.update(failed)
        alone.update(failed if len(failed) == 1 else [])
        promoted += verdict.promote
        bare += (its - own).mean() >= 0
    return Trials(promoted, bare, refused, alone, trials)


def seen(kind: Kind, n: int, gate: GateParams, *, draws: int, seed: int) -> float:
    """The gain that the gate says it can see, in the mean over 50 blocks with equal models."""
    draw, found = np.random.default_rng(seed), []
    events = pd.Series(pd.date_range("2024-01-01", periods=n, freq="1h", tz="UTC"))
    for _ in range(50):
        own, its, _ = losses(kind, models(kind, n, 0.0, draw))
        said = detectable(own, its, events, gate, challengers=1, uses=0.0, draws=draws, block_rows=BLOCK)
        assert said is not None
        found.append(said.gain)
    return float(np.mean(found))


def share(count: int, of: int) -> str:
    low = 0.0 if count == 0 else float(beta.ppf(0.025, count, of - count + 1))
    high = 1.0 if count == of else float(beta.ppf(0.975, count + 1, of - count))
    return f"{count / of:.1%} ({low:.1%} to {high:.1%})"


def rows_of(kind: Kind, n: int, gate: GateParams, *, trials: int, draws: int, seed: int) -> Iterator[dict[str, str]]:
    twice = 2 * seen(kind, n, gate, draws=draws, seed=seed)
    for name, gain in (("equal", 0.0), ("worse", -gate.min_gain), ("better", twice)):
        leaning = leaning_of(kind, gain) if gain else 0.0
        found = play(kind, n, leaning, gate, trials=trials, draws=draws, seed=seed)
        yield {
            "kind": kind.name,
            "rows": f"{n:,}",
            "challenger": f"{name} ({gain:+.1%})",
            "promoted": share(found.promoted, trials),
            "bare >=": f"{found.bare / trials:.1%}",
            "refused by (alone)": ", ".join(
                f"{check} {count / trials:.1%} ({found.alone[check] / trials:.1%})"
                for check, count in found.refused.most_common()
            ),
        }


def show(rows: list[dict[str, str]]) -> None:
    print("\n| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for row in rows:
        print("| " + " | ".join(row.values()) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument(
        "--draws", type=int, default=500, help="bootstrap draws; params.yaml has more, which changes little"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    parser.add_argument("--rows", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--set", default="{}", help='settings of the gate, as JSON: {"harm_confidence": 0.95}')
    asked = parser.parse_args()
    document = load_params(ROOT / "params.yaml").model_dump(mode="json")
    gate = GateParams.model_validate({**document["gate"], "min_rows": 2, **json.loads(asked.set)})
    begun, table = perf_counter(), []
    kinds = [kind for kind in KINDS if asked.only in kind.name]
    for kind, n in sorted(product(kinds, asked.rows), key=lambda pair: (not pair[0].sticks, pair[1])):
        own = {"trials": asked.trials, "draws": asked.draws, "seed": asked.seed}
        part = list(rows_of(kind, n, gate, **own))
        table += part
        show(part)
    print(f"\n{perf_counter() - begun:.0f} s; all of it:")
    show(table)


if __name__ == "__main__":
    main()
