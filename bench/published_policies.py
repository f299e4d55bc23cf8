"""Retraining policies as their papers describe them, asked on the same loss matrices as the accumulated gain.

CARA: Mahadevan and Mathioudakis, Cost-effective retraining of machine learning models, arXiv 2310.04216. Staleness of a
window is what the live model lost there beyond a model made just before it, on the newest labelled rows. Three rules,
each with one parameter, which is the one that cost least on an initial stretch, and is kept.

UPF: Regol, Schwinn, Sprague, Coates and Markovich, When to retrain a machine learning model, ICML 2025, PMLR
267:51369-51404; for classification. A regression on pairs (model, window) foretells what any model will lose in any
window; a retraining is started where a quantile of what it would save over a horizon, less its cost, is above zero.

Chosen here, as the papers leave it open, so as to favour them: parameters are tried on 20 windows with the prices and
delays of the others; UPF sees a model made at every window, in that stretch and since (with pairs of the
live models alone it retrained hardly ever, as one model cannot tell age from time), and its quantile and horizon are
chosen there; its losses are log losses, bounded at half as much again as the largest seen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from sklearn.linear_model import BayesianRidge

from retrim.decision.policy_play import (
    Asks,
    LiveModel,
    PolicyAnswer,
    PolicyView,
    Setting,
    at_checks,
    every,
    play_policy,
)

QUANTILES, HORIZONS, RECENT, FEWEST = (0.5, 0.3, 0.1), (5, 10, 20), 3, 10
NEVER = float("inf")


def staleness(setting: Setting, seen: PolicyView) -> float:
    """What the live model lost in the newest labelled window beyond one made before it, in mean loss times share."""
    window, live, matrix = seen.window, seen.live, setting.matrix
    if window is None or window < live.model:
        return 0.0
    fresh = matrix.probe_sums(window, live.kind, labels=setting.delays.labels, blocks=1).sum() / matrix.rows_per_check
    return float(matrix.totals[live.kind, live.model, window] - fresh)


def threshold(setting: Setting, bound: float) -> Asks:
    """CARA: retrains when the staleness of this window is above the bound."""
    return lambda seen: PolicyAnswer(retrain=staleness(setting, seen) > bound)


@dataclass
class _Sum:
    live: LiveModel | None = None
    total: float = 0.0


def cumulative(setting: Setting, bound: float) -> Asks:
    """CARA: retrains when the staleness summed since the last retraining is above the bound."""
    kept = _Sum()

    def ask(seen: PolicyView) -> PolicyAnswer:
        if seen.live != kept.live:
            kept.live, kept.total = seen.live, 0.0
        kept.total += staleness(setting, seen)
        return PolicyAnswer(retrain=kept.total > bound)

    return ask


def periodic(setting: Setting, span: float) -> Asks:
    """CARA: retrains after that many windows."""
    return at_checks(()) if span == NEVER else every(int(span), setting.matrix.windows)


def cara(name: str, first: Setting, retraining_cost: float) -> Callable[[Setting], Asks]:
    """One of the three rules, with the parameter that cost least on `first`."""
    rule = {"threshold": threshold, "cumulative": cumulative, "periodic": periodic}[name]
    tried: Iterable[float] = range(1, first.matrix.windows)
    if name != "periodic":
        seen: list[float] = []

        def note(each: PolicyView) -> PolicyAnswer:
            seen.append(staleness(first, each))
            return PolicyAnswer(retrain=False)

        play_policy(first, note, probes=False)
        top = max(seen) if name == "threshold" else float(np.cumsum(seen).max())
        tried = np.linspace(0.0, max(top, retraining_cost), 41)
    best = min(
        [*tried, NEVER], key=lambda each: play_policy(first, rule(first, each), probes=False).cost(retraining_cost)
    )
    return lambda setting: rule(setting, best)


@dataclass(frozen=True)
class Known:
    """What UPF may see, once it is labelled: models made at every window of an initial stretch and of a history.

    Args:
        totals: Loss of model i on window j of initial stretch and history, shape (windows, windows).
        first: Windows before the history that is played.
    """

    totals: np.ndarray
    first: int


@dataclass
class _Foretells:
    """The regression at one check, fitted on what is labelled by then: windows before `until`."""

    totals: np.ndarray
    until: int
    lag: int
    fitted: BayesianRidge | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        pairs = [(i, j) for i in range(self.until) for j in range(max(i, 1 + self.lag), self.until)]
        if len(pairs) >= FEWEST:
            features = np.array([self._features(i, j, j - self.lag) for i, j in pairs])
            losses = np.array([self.totals[i, j] for i, j in pairs])
            self.fitted = BayesianRidge().fit(features / self.scale, losses / self.scale[-1])

    @property
    def scale(self) -> np.ndarray:
        """Of age, its logarithm, window, and the recent loss: all features, and the loss, near or below 1."""
        most = 1.5 * float(np.nanmax(self.totals[: self.until, : self.until]))
        return np.array([self.until, np.log1p(self.until), self.until, most])

    def _features(self, model: int, window: int, at: int) -> list[float]:
        """Age, time, and the mean loss of the model on the windows before `at`; of the newest before it, if on none."""
        age = window - model
        last = min(model, at - 1)
        recent = self.totals[last, max(last, at - RECENT) : at].mean()
        return [age, float(np.log1p(age)), window, float(recent)]

    def losses(self, model: int, windows: range) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of a model's loss on each window."""
        assert self.fitted is not None
        features = np.array([self._features(model, j, self.until) for j in windows])
        mean, sd = self.fitted.predict(features / self.scale, return_std=True)
        return np.clip(mean, 0.0, 1.0) * self.scale[-1], np.square(sd * self.scale[-1])


def foretelling(setting: Setting, known: Known, retraining_cost: float, *, quantile: float, horizon: int) -> Asks:
    """UPF on a history that follows the stretch it has seen."""
    normal = {0.5: 0.0, 0.3: -0.5244, 0.1: -1.2816}[quantile]

    def ask(seen: PolicyView) -> PolicyAnswer:
        now, live = known.first + seen.check, known.first + seen.live.model
        until = now - setting.delays.labels
        ahead = range(now, min(now + horizon, len(known.totals)))
        if until < 1:
            return PolicyAnswer(retrain=False)
        told = _Foretells(known.totals, until, setting.delays.labels)
        if told.fitted is None:
            return PolicyAnswer(retrain=False)
        kept, kept_variance = told.losses(live, ahead)
        fresh, fresh_variance = told.losses(max(now - setting.delays.age, 0), ahead)
        saved = float((kept - fresh).sum()) - retraining_cost
        return PolicyAnswer(retrain=saved + normal * float(np.sqrt((kept_variance + fresh_variance).sum())) > 0)

    return ask


def upf(first: Setting, whole: Setting, retraining_cost: float) -> Callable[[Setting], Asks]:
    """UPF, with the quantile and the horizon that cost least on `first`, which is the beginning of `whole`."""
    totals, stretch = whole.matrix.totals[whole.kinds[0]], first.matrix.windows
    options = [(quantile, horizon) for quantile in QUANTILES for horizon in HORIZONS]

    def cost(option: tuple[float, int]) -> float:
        known = Known(totals[:stretch, :stretch], 0)
        asks = foretelling(first, known, retraining_cost, quantile=option[0], horizon=option[1])
        return play_policy(first, asks, probes=False).cost(retraining_cost)

    quantile, horizon = min(options, key=cost)
    seen = Known(totals, max(stretch - whole.delays.labels, 0))
    return lambda setting: foretelling(setting, seen, retraining_cost, quantile=quantile, horizon=horizon)
