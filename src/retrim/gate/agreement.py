"""A winner's final fit, on the rows that judged too: whether it predicts what the judged fit predicts.

It cannot be judged on rows that it was made with. It predicts on the judged fit's verdict, and only if the two agree:
its predictions of these rows hardly move, and its loss is not worse.
"""

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from retrim.gate.verdict import Check, FinalFit, ScoredModel, Verdict
from retrim.stats.plugins import SettingsSection

MOST = 0.99  # the quantile of the rows' differences that is held against the bound


class AgreementParams(SettingsSection):
    """How far a final fit may be from the judged fit: no settings."""

    difference: float = Field(
        default=0.5,
        gt=0,
        description="maximum 99th percentile of the change in predictions, as a share of their spread",
    )
    loss: float = Field(
        default=0.05,
        ge=0,
        description="maximum relative increase of the final fit's mean loss on the holdout rows",
    )


def aligned(predicted: np.ndarray, classes: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Probabilities of the `wanted` classes, 0 for one that the model does not know: shape (n, wanted)."""
    probabilities = np.zeros((len(predicted), len(wanted)))
    for column, name in enumerate(wanted):
        if name in classes:
            probabilities[:, column] = predicted[:, list(classes).index(name)]
    return probabilities


def changes(judged: ScoredModel, again: ScoredModel) -> tuple[np.ndarray, float]:
    """How far the predictions of each row have moved, shape (n,), and the spread that they are a share of.

    Returns:
        Absolute changes: of a regression's prediction, of a probability, or the largest of a row's probabilities.
        Spread: from the 5th to the 95th percentile of the judged model's predictions; 1 for probabilities.
    """
    if judged.predicted.ndim == 2:
        wanted = sorted({*judged.classes, *again.classes})
        before, after = (aligned(model.predicted, model.classes, wanted) for model in (judged, again))
        return np.abs(after - before).max(axis=1, initial=0.0), 1.0
    moved = np.abs(again.predicted - judged.predicted)
    if judged.classes:
        return moved, 1.0
    low, high = np.quantile(judged.predicted, (0.05, 0.95)) if len(moved) else (0.0, 0.0)
    return moved, float(high - low)


def agree(name: str, judged: ScoredModel, again: ScoredModel, params: AgreementParams) -> Verdict:
    """Whether a final fit agrees with the judged one."""
    n = len(judged.losses)
    checks = [Check("agreement: rows", n > 0, n, 1, f"{n} holdout rows of the judged model, at least 1 needed", None)]
    losses = {}
    if n:
        losses = {name: float(again.losses.mean()), "champion": float(judged.losses.mean())}
        checks += [_difference(*changes(judged, again), params), _loss(losses[name], losses["champion"], params)]
    return Verdict(name, tuple(checks), losses, n, None)


def _difference(moved: np.ndarray, spread: float, params: AgreementParams) -> Check:
    largest = float(np.quantile(moved, MOST))
    share = largest / spread if spread else float(np.finfo(float).max) * (largest > 0)
    shown = f"{share:.1%}" if share < 1000 else "more than 1,000 times"
    text = f"99% of the predictions change by at most {shown} of their spread, {params.difference:.1%} allowed"
    return Check("agreement: predictions", share <= params.difference, share, params.difference, text, None)


def _loss(training: float, judged: float, params: AgreementParams) -> Check:
    worse = (training - judged) / judged if judged else float(np.finfo(float).max) * (training > 0)
    text = (
        f"training error {training:.4g} on the holdout rows, where the judged model had {judged:.4g} without having "
        f"seen them; at most {params.loss:.1%} worse allowed"
    )
    return Check("agreement: loss", worse <= params.loss, worse, params.loss, text, None)


def final_fit(verdict: Verdict, training: dict[str, float]) -> FinalFit:
    """What is recorded of a final fit whose agreement has this verdict.

    Args:
        training: Its metrics and mean loss on the holdout rows, which it has seen.
    """
    agrees = "agrees with the judged fit" if verdict.promote else "does not agree with the judged fit, which predicts"
    texts = "; ".join(check.text for check in verdict.checks[1:] or verdict.checks)
    return FinalFit(verdict.promote, f"the final fit, on all mature rows, {agrees}: {texts}", verdict.checks, training)
