"""A probe's refit that is kept and judged again at later checks, and probes that are earned: cost, probes, late runs.

    python bench/kept_refits.py --cache FOLDER            # the fits of policies.py
    python bench/kept_refits.py --cache FOLDER --gate     # judged on a window, fitted once more

None of it ships. Runs, prices and columns are those of `policies.py --only spacings`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
from matrices import matrix_of
from policies import PARAMS, SOON, Run, asked_at, delays_to_run, fits_beside, in_words, runs_of, show, spaced
from streams import NAMES, load

from retrim.decision import policy_play as played_by
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.history import CheckHistory
from retrim.decision.policy_compare import usual_fit
from retrim.decision.policy_play import (
    ChampionLife,
    LiveModel,
    PlayedPolicy,
    PolicyView,
    ProbeSpacing,
    Setting,
    _Walk,
    best_kind,
    play_policy,
    probe_rows,
)
from retrim.decision.probe import ProbeResult


@dataclass(frozen=True)
class Design:
    """When a refit is fitted, and what is put into the accumulated gain between.

    Args:
        name: Which.
        kept: Whether the newest refit is judged at each check, and its gain put into the accumulated gain; else rows
            wait.
        latest: Checks after which the next is fitted at the latest, before the first of a champion and after it.
        earned: Share of the champion's loss that probes may cost; then they are asked as soon as they are earned.
        strays: Standard errors of a check's gain that each check may add unseen.
        slope: Share of what a check's gain was last seen to grow by that each check may add unseen.
    """

    name: str
    kept: bool = True
    latest: tuple[int, int] = (8, 16)
    earned: float = 0.0
    strays: float = 1.0
    slope: float = 0.0


RISE = 0.5
DESIGNS = (
    Design("kept, a new one at the 16th check at the latest"),
    Design("kept, at the 8th", latest=(8, 8)),
    Design("kept, at the 4th and as late as the first was", latest=(4, 0)),
    Design("earned, 0.05 of the loss", kept=False, earned=0.05, strays=0.0),
    Design("earned, 0.04, half an error", kept=False, earned=0.04, strays=0.5),
    Design("earned, 0.05, and kept", earned=0.05, strays=0.0),
    Design("earned, 0.05, kept, and the slope of gains", earned=0.05, strays=0.0, slope=1.0),
    Design("earned, 0.04, kept, and half of the slope", earned=0.04, strays=0.0, slope=0.5),
)


class Eye:
    """Looks at a window in place of the shipped probe, for one walk.

    Args:
        design: What it does.
        run: The history.
    """

    def __init__(self, design: Design, run: Run) -> None:
        self.design, self.run = design, run
        self.purse = self.slope = self.error = 0.0
        self.version, self.asked = 0, False
        self.begin()

    def begin(self) -> None:
        """Another champion: no refit of its time is known."""
        self.origin: int | None = None
        self.kind: int | None = None
        self.base: float | None = None
        self.gain = self.unseen = 0.0
        self.waits: list[tuple[float, float]] = []  # gain put in and share, of each check since the fit
        self.life = 0

    def look(
        self,
        setting: Setting,
        walk: _Walk,
        check: int,
        window: int | None,
        *,
        probes: bool,
        spaced: ProbeSpacing | None,
    ) -> PolicyView:
        accumulated_gain = walk.accumulated_gain
        if self.version != walk.version:
            self.version = walk.version
            self.begin()
        if probes and spaced is not None and window is not None and window >= walk.live.model:
            accumulated_gain = self.judge(setting, walk, check, window, spaced)
        deposited = AccumulatedGain(
            max(accumulated_gain.balance - walk.accumulated_gain.balance, 0.0), abs(accumulated_gain.variance)
        )
        past = CheckHistory(tuple(walk.runs), tuple(walk.past), ())
        measured = walk.served[window] if window is not None and setting.delays.labels else walk.live
        return PolicyView(check, window, walk.live, measured, None, walk.said, accumulated_gain, deposited, past)

    def judge(self, setting: Setting, walk: _Walk, check: int, window: int, spaced: ProbeSpacing) -> AccumulatedGain:
        """The accumulated gain after a window: with the kept refit's, or a new one's and that of the rows since."""
        matrix, live, design = setting.matrix, walk.live, self.design
        share = float(matrix.share[window])
        kept = self.reading(setting, live, window, self.origin) if design.kept else None
        loss = matrix.mean_loss(live.model, live.kind, window) if kept is None else kept.probe_loss
        own = 0.0 if kept is None else kept.newest_gain
        self.base = loss if self.base is None else self.base
        self.waits.append((own, share))
        self.life += 1
        accumulated_gain = walk.accumulated_gain
        if kept is not None:
            accumulated_gain = accumulated_gain.deposit(own, error=kept.newest_error, share=share)
        rise = RISE * max(loss - self.base, 0.0) + design.slope * self.slope * len(self.waits)
        self.unseen += share * (rise + design.strays * self.error + (0.0 if design.kept else max(self.gain, 0.0)))
        ahead = float(matrix.share[window + 1 : check].sum())
        cost = spaced.retraining_cost * probe_rows(setting, window)
        cost /= usual_fit(setting) * (1 + PARAMS.backtest.origins)
        self.purse += design.earned * share * matrix.mean_loss(live.model, live.kind, window)
        passes = walk.said is None or walk.said.passes  # else the kept refit's word is old, and a new one is asked
        pays = accumulated_gain.pays(spaced.retraining_cost, errors=spaced.errors, ahead=ahead)
        crossed = design.kept and pays and passes
        most = accumulated_gain.balance + self.unseen + ahead * max(self.gain, 0.0)
        near = most > spaced.retraining_cost and most > spaced.errors * accumulated_gain.error
        due = self.purse >= cost if design.earned else not self.asked or len(self.waits) >= self.latest()
        if crossed or not (near or due):
            return accumulated_gain
        self.purse -= cost
        self.asked = True
        return self.fit(setting, walk, window, own=own, share=share)

    def latest(self) -> int:
        first, later = self.design.latest
        if self.origin is None:
            return first
        return later or max(first, self.life - len(self.waits))

    def fit(self, setting: Setting, walk: _Walk, window: int, *, own: float, share: float) -> AccumulatedGain:
        """A new refit is judged on this window; rows before count with half of what it finds beyond what was put in."""
        origin = max((window - setting.delays.labels) * setting.matrix.cut.blocks, 0)
        fresh = self.reading(setting, walk.live, window, origin)
        assert fresh is not None
        found, waiting = fresh.newest_gain, sum(each for _, each in self.waits[:-1])
        earlier = (found - own) / 2 if self.design.kept else (found + self.gain) / 2
        gain = (found * share + earlier * waiting) / (share + waiting)
        error = fresh.newest_error * (share + waiting / 2) / (share + waiting)
        grown = max(found - own, 0.0) / len(self.waits)
        self.slope = (self.slope + grown) / 2 if self.slope else grown
        self.error, self.gain = float(fresh.newest_error * share**0.5), found
        self.origin, self.unseen, self.waits = origin, 0.0, []
        self.base = fresh.probe_loss if self.design.kept else fresh.champion_loss
        self.kind = best_kind(setting, window)
        walk.shown.append(window)
        walk.probed += probe_rows(setting, window)
        if setting.judging is not None:
            champion = walk.live.model, walk.live.kind
            life = ChampionLife(tuple(walk.shown), setting.delays.labels, setting.blocks)
            walk.said = setting.judging.preview(setting.matrix, setting.kinds, champion, window=window, life=life)
        return walk.accumulated_gain.deposit(gain, error=error, share=share + waiting)

    def reading(self, setting: Setting, live: LiveModel, window: int, origin: int | None) -> ProbeResult | None:
        """The reading of a refit made at a block, of the training window that did best before; None without one."""
        if origin is None:
            return None
        matrix = setting.matrix
        cells = np.flatnonzero(matrix.cut.window == window)
        kind = live.kind if self.kind is None else self.kind
        return matrix.reading(
            window, matrix.model_sums(window, live.kind, live.model), matrix.sums[kind, origin, cells]
        )


def played(run: Run, design: Design) -> PlayedPolicy:
    eye = Eye(design, run)
    with patch.object(played_by, "_look", eye.look):
        return play_policy(
            run.setting, asked_at(run.setting, run.retraining_cost), probes=True, spaced=spaced(run.retraining_cost)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cache", type=Path, required=True, help="folder with the fits of policies.py")
    parser.add_argument("--streams", nargs="*", default=list(NAMES), choices=NAMES)
    parser.add_argument("--gate", action="store_true", help="what is judged on a window, then fitted once more")
    given = parser.parse_args()
    runs: list[Run] = []
    for name in given.streams:
        stream = load(name, given.cache / "packages")
        matrix = matrix_of(stream, given.cache, cores=1)
        runs += runs_of(stream, matrix, blocks=PARAMS.probe.blocks, gated=float(given.gate), after=given.gate)
    print(in_words(float(given.gate), after=given.gate))
    lines = []
    for design in DESIGNS:
        pairs = [(run, played(run, design)) for run in runs]
        ratios = np.array([each.cost(run.retraining_cost) / run.least for run, each in pairs])
        beside = np.array([fits_beside(run.setting, run.retraining_cost, each)[0] / run.least for run, each in pairs])
        late = np.array([checks for pair in pairs for checks in delays_to_run(*pair)])
        line = {"probe": design.name, "cost over hindsight": f"{ratios.mean():.3f} / {ratios.max():.2f}"}
        line |= {"it adds, refit": f"{beside.mean():.3f}", "with probes": f"{(ratios + beside).mean():.3f}"}
        lines.append({**line, f"runs within {SOON} checks": f"{(late <= SOON).mean():.0%} of {len(late)}"})
    show(pd.DataFrame(lines))


if __name__ == "__main__":
    main()
