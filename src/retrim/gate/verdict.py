"""The gate's records: what it looks at, its checks, the verdict that they make, and what a bundle keeps of it.

The section `gate` of params.yaml stands here too.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Protocol

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.drift.slices import SliceLoss
from retrim.features.view import FeatureView
from retrim.stats.codec import Number, from_record, written
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import FOLLOWS, Seed, SettingsSection, SomeSpan
from retrim.table.data import ColumnType
from retrim.training.baseline import BASELINES
from retrim.training.bundle import BACKTEST, Predictor, judged_in
from retrim.training.recipe import StatedErrors, competed_as


@dataclass(frozen=True)
class Check:
    """One check of a verdict: the figure, its threshold and a sentence.

    Args:
        name: Name of the check, such as `gain`.
        passed: Whether the challenger passes this check.
        figure: The measured figure.
        threshold: Limit for the figure; None if the figure is only reported, in which case the check always passes.
        text: The result in one sentence.
        interval: Interval of the true figure, low and high, each at the check's one-sided confidence; None if nothing
            is estimated or there are too few rows.
    """

    name: str
    passed: bool
    figure: Number
    threshold: Number | None
    text: str
    interval: tuple[float, float] | None = None


class Judged(Protocol):
    """A check of any kind: whether it passed, and what it is held against."""

    @property
    def passed(self) -> bool: ...
    @property
    def threshold(self) -> float | None: ...


def mark_of(check: Judged) -> str:
    """How a check came out: `passed`, `failed`, or `reported` where it is held against nothing."""
    if not check.passed:
        return "failed"
    return "reported" if check.threshold is None else "passed"


@dataclass(frozen=True)
class Verdict:
    """The gate's answer, with all its checks.

    Args:
        winner: The challenger with the lowest loss on the holdout rows.
        checks: All checks; each runs even if an earlier one failed.
        losses: Mean loss on the holdout rows, by name: challengers, baselines, and `champion` if there is one.
        rows: Holdout rows.
        corrected_gain: The winner's gain over the champion, corrected for choosing the best of several challengers;
            None before the first version, and if there are too few rows.
    """

    winner: str
    checks: tuple[Check, ...]
    losses: dict[str, float]
    rows: int
    corrected_gain: float | None

    @written
    def promote(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    @written
    def reason(self) -> str:
        """What decided, in one sentence: every failed check, else the gain over the champion or the naive baseline."""
        failed = [check.text for check in self.checks if not check.passed]
        if failed:
            return "; ".join(failed)
        weightiest = min(self.checks, key=lambda check: (check.name != "gain", not check.name.startswith("baseline")))
        return f"all {len(self.checks)} checks passed; {weightiest.text}"

    def with_checks(self, checks: Sequence[Check]) -> "Verdict":
        """The same verdict with more checks at its end; it promotes if these pass too."""
        return replace(self, checks=(*self.checks, *checks))


@dataclass(frozen=True)
class StatedInterval:
    """The interval about a prediction that a regression promised when it was made."""

    level: float  # share of rows that it was to hold
    low: float  # what actual minus predicted was not to be below, in units of the target
    high: float  # nor above

    @classmethod
    def of(cls, record: StatedErrors, challenger: str) -> "StatedInterval | None":
        """What a backtest says for a challenger by its name; None where it does not.

        One whose window held all rows of every earlier past was backtested as the one on all rows.
        """
        if record.interval is None:
            return None
        residuals = record.interval.residuals
        residuals_of = residuals.get(competed_as(challenger, residuals))
        return None if residuals_of is None else cls(record.interval.level, *residuals_of)

    @classmethod
    def in_bundle(cls, files: Mapping[str, bytes]) -> "StatedInterval | None":
        """What the winner of a bundle promised; None where nothing."""
        stated = from_record(StatedErrors, json.loads(files.get(BACKTEST, b"{}")))
        return cls.of(stated, judged_in(files).winner)


@dataclass(frozen=True)
class ScoredModel:
    """One model on the judged rows, as its own feature view codes them."""

    predicted: np.ndarray  # numbers or probabilities of the positive class, shape (n,); a multiclass task: (n, classes)
    actual: np.ndarray  # targets in this model's own coding, shape (n,); -1 for a class that it never saw
    classes: tuple[str, ...]  # its classes by code; empty for a regression
    losses: np.ndarray  # shape (n,)
    # the interval that a regression promised; None with classes, and where its bundle does not say
    stated: StatedInterval | None
    threshold: float | None = None  # probability from which it selects a row; None where it was not asked for one

    @property
    def labels(self) -> np.ndarray:
        """The class it calls each row, as text, so that models of different classes compare: shape (n,)."""
        codes = (self.predicted >= 0.5).astype(int) if self.predicted.ndim == 1 else self.predicted.argmax(axis=1)
        return np.asarray(np.array(self.classes, dtype=object)[codes])


@dataclass(frozen=True)
class HoldoutJudgement:
    """The judging block."""

    # whole rows of the table in time order, with `_key` and `_event`: columns that are no features too
    rows: pd.DataFrame
    features: Mapping[str, ColumnType]  # the feature columns of today's view and their types
    task: str
    challengers: Mapping[str, ScoredModel]  # by training window, or by version
    champion: ScoredModel | None  # None before the first version
    floors: Mapping[str, np.ndarray]  # loss of each row of the naive baselines, shape (n,)


def score(
    view: FeatureView,
    rows: pd.DataFrame,
    predicted: np.ndarray,
    *,
    loss: str,
    stated: StatedInterval | None = None,
    threshold: float | None = None,
) -> ScoredModel:
    """A model's predictions for judged rows, held against what its own view makes of their targets."""
    actual = view.actual(rows)
    return ScoredModel(predicted, actual, view.classes, row_losses(loss, actual, predicted), stated, threshold)


def score_stored(
    model: Predictor, rows: pd.DataFrame, *, loss: str, stated: StatedInterval | None = None
) -> ScoredModel:
    """A stored version on judged rows: the live one, one that was live, or an imported one."""
    predicted = model.predict(rows)
    return score(model.view, rows, predicted, loss=loss, stated=stated, threshold=model.threshold)


class NonInferiorityParams(SettingsSection):
    """How surely a challenger is not worse."""

    most: float = Field(
        default=0.005,
        ge=0,
        lt=1,
        description="maximum relative increase in loss over the champion that a challenger may have and still pass",
    )
    confidence: float = Field(
        exclude=True,
        default=0.99,
        gt=0.5,
        lt=1,
        description=(
            "required one-sided confidence that the increase in a challenger's loss is at most "
            "gate.non_inferiority.most; higher than gate.confidence, because harm costs more than a missed "
            "gain"
        ),
    )


class GateParams(SettingsSection):
    """What a challenger must show to pass the gate."""

    min_rows: Annotated[int, FOLLOWS] = Field(
        default=168, ge=2, description="minimum number of holdout rows for a challenger to pass"
    )
    min_gain: float = Field(
        default=0.01, ge=0, lt=1, description="minimum relative gain over the champion for a challenger to pass"
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="required one-sided confidence that the gain is above zero"
    )
    non_inferiority: NonInferiorityParams | None = Field(
        default=NonInferiorityParams(),
        description="limits of the non-inferiority check, which guards against lucky challengers if rows are "
        "few or noisy; null: the check is not made",
    )
    reuse: float = Field(
        exclude=True,
        default=2.0,
        ge=0,
        description=(
            "exponent by which the gate grows stricter each time it judges on the same rows; with 2, all verdicts "
            "on the same rows together err at most 1.64 times as often as a single verdict; 0: no correction"
        ),
    )
    baselines: tuple[str, ...] = Field(
        default=("last_value", "seasonal_mean"), min_length=1, description="naive baselines that a challenger must beat"
    )
    season: SomeSpan = Field(default="7D", description="length of a season for the baseline seasonal_mean")
    season_cells: Annotated[int, FOLLOWS] = Field(
        default=168, ge=1, description="number of parts into which a season is divided"
    )
    seed: Seed = Field(default=7, description="seed of the bootstrap")


@dataclass(frozen=True)
class LookAtPrevious:
    """What is read of a verdict on previous champions: the version that goes live again; None: none does."""

    restore: int | None


@dataclass(frozen=True)
class DetectableGain:
    """The smallest relative gain over the champion that could have been seen, and the sentence on it of its day."""

    gain: float
    text: str


@dataclass(frozen=True)
class FinalFit:
    """The winner of a promotion, fitted again on all mature rows: whether it predicts in place of the judged fit.

    Args:
        used: Whether it predicts: all checks passed.
        reason: What decided, in a sentence.
        checks: How it agrees with the judged fit.
        training: Its metrics and mean loss (`loss`) on the holdout rows, which it has seen.
    """

    used: bool
    reason: str
    checks: tuple[Check, ...]
    training: dict[str, float]


@dataclass(frozen=True)
class VerdictRecord:
    """A verdict as its bundle and the store keep it; what is younger than the oldest bundle has a default."""

    winner: str  # the challenger with the least loss on the judging rows
    promote: bool  # whether it may go live
    reason: str  # what decided, in a sentence
    losses: dict[str, float]  # mean loss on the judging rows, by model
    rows: int
    checks: tuple[Check, ...] = ()
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)  # of each challenger, by name
    judged_from: str | None = None  # event time of the first judging row; None without any
    judged_until: str | None = None  # of the last
    detectable: DetectableGain | None = None  # the smallest gain that could have been seen; None where nothing was live
    notes: tuple[str, ...] = ()  # sentences beside the checks
    previous_champions: LookAtPrevious | None = None  # previous champions that it looked at; None where there were none
    final: FinalFit | None = None  # the winner fitted again on all mature rows; None where that was not done

    @property
    def loss(self) -> float:
        """Mean loss of the winner on the judging rows, which the fit that was judged had not seen."""
        return self.losses[self.winner]

    @property
    def naive_loss(self) -> float | None:
        """Lowest mean loss of a naive baseline on the judging rows; None where none was judged."""
        return min((loss for name, loss in self.losses.items() if name in BASELINES), default=None)


@dataclass(frozen=True)
class SlicesRecord:
    """Mean losses by slice, of the winner and the champion, and what they are called."""

    loss: str
    slices: tuple[SliceLoss, ...]

    @property
    def worse(self) -> list[SliceLoss]:
        """Those in which the winner clearly loses more than the champion."""
        return [sliced for sliced in self.slices if sliced.saved is not None and sliced.saved[2] < 0]
