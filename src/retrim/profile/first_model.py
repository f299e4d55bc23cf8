"""What a quick model says of a table: fitted on the older rows, asked about the newest.

- Whether a model is the right tool: against the naive baseline, a rule, and chance.
- Leaks: a model that is too good to be true, and the columns that give the answer away. `init` and every run look.
- Label horizons: how long labels take to come, and what a shorter or longer wait costs (`try_horizons`).
  `onboarding.draft.choose_horizon` proposes one of them.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.profile.leaks import Leak, apart, class_leak, is_known_before, leaks_of, own_features
from retrim.profile.rhythm import TableSeason, span_text
from retrim.profile.table import TableNote
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import row_losses
from retrim.stats.windows import keep_back
from retrim.table.data import DataParams
from retrim.training.baseline import baselines_of, season_cell
from retrim.training.estimators import MODELS, FitTask, FittedModel, Hyperparameters, Model

JUDGED = 0.25
MODEL = {
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_child_samples": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
}
ROUNDS, PATIENCE = 400, 30


@dataclass(frozen=True)
class FirstRows:
    """Rows to fit on and rows to judge, as numbers.

    Args:
        fitted: Older rows, whose labels were due before the first judged event.
        judged: The newest rows.
        view: How they become numbers, learned on `fitted`.
        matrix: Shape (fitted rows, features).
        actual: Targets of `fitted`.
        asked: Shape (judged rows, features).
        truth: Targets of `judged`.
    """

    fitted: pd.DataFrame
    judged: pd.DataFrame
    view: FeatureView
    matrix: np.ndarray
    actual: np.ndarray
    asked: np.ndarray
    truth: np.ndarray

    def without(self, names: Collection[str]) -> "FirstRows":
        """The same rows without these features."""
        kept = [place for place, name in enumerate(self.view.features) if name not in names]
        view = replace(
            self.view,
            features={name: kind for name, kind in self.view.features.items() if name not in names},
            levels={name: levels for name, levels in self.view.levels.items() if name not in names},
        )
        return replace(self, view=view, matrix=self.matrix[:, kept], asked=self.asked[:, kept])

    def fit(
        self,
        *,
        loss: str,
        hyperparameters: Hyperparameters,
        rounds: int,
        seed: int,
        threads: int,
        held: np.ndarray | None = None,
    ) -> FittedModel:
        """A model of all fitted rows, or of all but those `held` back, which say when to stop."""
        fitted = slice(None) if held is None else np.setdiff1d(np.arange(len(self.matrix)), held)
        return MODELS["gbm"].fit(
            self.view,
            self.matrix[fitted],
            self.actual[fitted],
            FitTask(
                loss,
                hyperparameters,
                rounds,
                seed,
                threads,
                stop=None if held is None else (self.matrix[held], self.actual[held]),
                patience=PATIENCE,
            ),
        )

    def first_model(self, *, loss: str, seed: int, threads: int) -> Model:
        """As a run does: rounds from rows held back, then all rows. What is newest may matter most."""
        _, held = keep_back(np.arange(len(self.matrix)), share=0.1)
        fit = partial(self.fit, loss=loss, hyperparameters=MODEL, seed=seed, threads=threads)
        return fit(rounds=max(fit(rounds=ROUNDS, held=held).rounds, 1)).model


def first_rows(
    table: pd.DataFrame,
    data: DataParams,
    *,
    most_fitted: int,
    most_judged: int,
    features: Collection[str] | None = None,
) -> FirstRows | None:
    """Cuts the newest quarter off; None where too little is left to fit or to judge.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
        most_fitted: Rows to fit on, at most: the newest.
        most_judged: Rows to judge, at most.
        features: Those to use; None: all.
    """
    judged = table.iloc[len(table) - min(int(len(table) * JUDGED), most_judged) :]
    fitted = table.iloc[: len(table) - len(judged)]
    fitted = fitted[fitted["_due"] <= judged["_event"].iloc[0]].iloc[-most_fitted:] if len(judged) else fitted
    if len(judged) < 8 or len(fitted) < 9 or fitted[data.target].nunique() < 2:
        return None
    view = FeatureView.learn(fitted, data)
    if features is not None:
        view = replace(
            view,
            features={name: kind for name, kind in view.features.items() if name in features},
            levels={name: levels for name, levels in view.levels.items() if name in features},
        )
    return FirstRows(
        fitted, judged, view, view.matrix(fitted), view.actual(fitted), view.matrix(judged), view.actual(judged)
    )


MOST_FITTED, MOST_JUDGED = 50_000, 20_000
RULE = {
    "num_leaves": 8,
    "learning_rate": 1.0,
    "min_child_samples": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
}
DRAWS = 1000
WORTH = "worth a model"
"""What the note is about that says whether a model is the right tool: yes or no first."""
GATE = " This is one quick fit: the gate judges a tuned model, and may still promote it"
LOOK_BACK = " The model sees no earlier values of the target; to add those known when predicting: --ahead SPAN."


@dataclass(frozen=True)
class FirstFit:
    """Losses of the newest rows, by a model and by what is simpler.

    Args:
        rows: Judged rows.
        model: Loss of each by a quick model, shape (rows,), in order of time.
        others: The same by naive baselines, and by a `rule` of one tree with 8 leaves.
        gains: Share of the model's loss against each of them.
        bounds: What that gain lies above with the gate's confidence.
    """

    rows: int
    model: np.ndarray
    others: dict[str, np.ndarray]
    gains: dict[str, float]
    bounds: dict[str, float]

    def naive_loss(self, floors: Sequence[str]) -> float | None:
        """Lowest mean loss of these naive baselines; None if none of them was fitted."""
        return min((float(self.others[name].mean()) for name in floors if name in self.others), default=None)

    @property
    def useless(self) -> list[str]:
        """The simpler ones that the model does not certainly beat."""
        return [name for name, low in self.bounds.items() if low <= 0]


def first_fit(
    table: pd.DataFrame,
    data: DataParams,
    *,
    loss: str,
    season: TableSeason | None,
    confidence: float,
    seed: int,
    threads: int,
) -> FirstFit | None:
    """Fits on the older three quarters and judges on the rest; None where too little is left to do so.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
    """
    rows = first_rows(table, data, most_fitted=MOST_FITTED, most_judged=MOST_JUDGED)
    if rows is None:
        return None
    view, fitted, judged, truth = rows.view, rows.fitted, rows.judged, rows.truth

    def losses(predicted: np.ndarray) -> np.ndarray:
        return row_losses(loss, truth, predicted)

    model = losses(rows.first_model(loss=loss, seed=seed, threads=threads).predict(rows.asked))
    others = {}
    if data.task != "multiclass":
        tree = rows.fit(loss=loss, hyperparameters=RULE, rounds=1, seed=seed, threads=threads).model
        others["rule"] = losses(_by_leaf(tree, rows.matrix, rows.actual, rows.asked, loss=loss))
    length, cells = (pd.Timedelta(season.span), season.cells) if season else (pd.Timedelta("1D"), 1)
    for name, baseline in baselines_of(data.task).items():
        if season is not None or name != "seasonal_mean":
            others[name] = losses(baseline(view, fitted, judged, season=length, cells=cells, entity=data.series))
    block = max(len(judged) // 20, 1)
    gains, bounds = {}, {}
    for name, other in others.items():
        saved = other - model
        base = float(other.mean()) or 1.0
        low = mean_bound(saved, confidence=confidence, block_rows=block, draws=DRAWS, seed=seed)
        gains[name], bounds[name] = float(saved.mean()) / base, low / base
    return FirstFit(len(judged), model, others, gains, bounds)


def _by_leaf(tree: Any, fitted: np.ndarray, actual: np.ndarray, judged: np.ndarray, *, loss: str) -> np.ndarray:
    """What one tree says as a rule: median, quantile or mean of each leaf, by the loss; of classes their share."""
    own, asked = (tree.booster.predict(rows, pred_leaf=True).reshape(len(rows), -1)[:, 0] for rows in (fitted, judged))
    level = 0.5 if loss == "mae" else float(loss.partition("@")[2] or 0)
    middle: Callable[[np.ndarray], Any] = partial(np.quantile, q=level) if level else np.mean
    usual = float(middle(actual))
    # A share, or a mean count, starts from one row of the usual, so that no leaf is sure of what it has not seen.
    said = {
        leaf: float(middle(actual[own == leaf]))
        if level or loss == "mse"
        else float((actual[own == leaf].sum() + usual) / ((own == leaf).sum() + 1))
        for leaf in np.unique(own)
    }
    return np.array([said.get(leaf, usual) for leaf in asked])


def _words(name: str) -> str:
    return name.replace("_", " ")


def worth_notes(
    fit: FirstFit | None,
    *,
    loss: str,
    confidence: float,
    looks_back: bool,
    unsure: Collection[str] = (),
    without: FirstFit | None = None,
) -> list[TableNote]:
    """Whether a model is the right tool, in sentences.

    Args:
        fit: The first model; None: there was none.
    """
    if fit is None:
        seen = "unknown: too few labelled rows for a first model in order of time"
        return [TableNote(WORTH, "", seen, "land more labelled rows", "warn")]
    naive = [name for name in fit.useless if name != "rule"]
    said = {
        name: f"{fit.gains[name]:z.1%} (above {fit.bounds[name]:z.1%} with {confidence:.0%} confidence)"
        for name in fit.gains
    }
    if naive:
        best = min(fit.others, key=lambda name: float(fit.others[name].mean()))
        done = f"a model is the wrong tool unless that changes (lowest loss: {_words(best)})."
        if looks_back and "last_value" in naive:
            done += LOOK_BACK
        done += GATE
        return [TableNote(WORTH, "", f"no: {_naive_is_as_good(fit, naive, loss, said)}", done, "warn")]
    if "rule" in fit.useless:
        seen = f"no: one rule of at most 8 cases does as well: a first model gains {said['rule']} over it in {loss}"
        done = f"a rule may be the better tool, because people can read it.{GATE}"
        return [TableNote(WORTH, "", seen, done, "warn")]
    worst = min(fit.bounds, key=lambda name: fit.bounds[name])
    seen = (
        f"a first model on the {fit.rows} newest rows: {loss} {fit.model.mean():.4g}, gain over the "
        f"{_words(worst)} {said[worst]}"
    )
    if not unsure:
        return [TableNote(WORTH, "", f"yes: {seen}", "a model is worth training")]
    columns = ", ".join(unsure)
    left = _worth_without(without, loss)
    return [TableNote(WORTH, "", f"only if {columns} is known before the event: {seen}", f"without: {left}", "warn")]


def _worth_without(fit: FirstFit | None, loss: str) -> str:
    """Whether a first model without some columns is worth training, and its figures."""
    if fit is None:
        return "unknown, as no feature is left that a first model can use"
    worst = min(fit.bounds, key=lambda name: fit.bounds[name])
    answer = "no" if fit.useless else "yes"
    return f"{answer}, {loss} {fit.model.mean():.4g}, gain over the {_words(worst)} {fit.gains[worst]:z.1%}"


def _naive_is_as_good(fit: FirstFit, naive: Sequence[str], loss: str, said: Mapping[str, str]) -> str:
    """By which of the naive rules a first model is no better, and by how much."""
    if "mean" in naive and fit.gains["mean"] <= 0.005:
        return f"no signal beyond chance: a first model gains {said['mean']} over the mean in {loss}"
    worst = min(naive, key=lambda name: fit.gains[name])
    how = "does as well" if fit.gains[worst] > 0 else "does better"
    return f"the naive {_words(worst)} {how}: a first model gains {said[worst]} over it in {loss}"


TENTH, SURE = 0.1, 0.99
"""Of the naive rule's loss or errors, and the area under the ROC curve: beyond them a first model is too good."""
TWICE = 2.0
"""How much more is left without a column that carries it."""
FELT = 0.05
"""What it adds at least, of the bar that the model is under: of hardly anything, twice is hardly anything."""
LEANED = 5
"""Columns that a first model leans on most: those that are shown, and those that may carry it."""
LEAST_JUDGED, LEAST_ERRORS = 30, 20
"""Rows that judge; errors of the naive rule, or rows of each class."""
GAPS = 0.02
"""Share of judged rows without a column, from which those that have it are judged by themselves."""
MOST_REFITTED, MOST_REJUDGED = 20_000, 8_000
CELLS, FEWEST = 2_000_000, 2_000
"""Cells of the rows to fit on, at most: of a wide table fewer rows are taken, but not fewer than this."""
LEANS_ON = "leans on"
"""What the note on these columns is about."""
LEANS_ALONE = 0.4
"""Share of all gains above which a first model leans on one column alone."""
SIGNAL = 0.8
"""Share of the best naive rule's loss below which a first model has something to lean on."""
SEASONS = (("1D", 24), ("7D", 168), ("365D", 52))
"""Spans of the seasonal means among the naive rules, and their parts."""


@dataclass(frozen=True)
class FirstLook:
    """What a first model leans on, and whether it is too good.

    Args:
        leaned: Columns that it leans on most and their share of all gains, the most first; those that retrim made of
            the event time are left out.
        leak: The columns that carry it where it is too good; else None.
        has_signal: Whether it loses clearly less than every naive rule.
    """

    leaned: dict[str, float]
    leak: Leak | None
    has_signal: bool = False


@dataclass(frozen=True)
class TooGoodQuestion:
    """What is measured on a part of the judged rows.

    Args:
        what: In words.
        value: Of a model's predictions for all judged rows, less is better.
        bar: Below it a model is too good.
        says: The value in words.
    """

    what: str
    value: Callable[[np.ndarray], float]
    bar: float
    says: Callable[[float], str]


def first_look(
    table: pd.DataFrame, data: DataParams, *, without: Collection[str], made: Collection[str], seed: int, threads: int
) -> FirstLook:
    """Fits a first model on the columns that rows bring along, and looks for what carries it where it is too good.

    It is held against naive rules: a constant, the season's mean, the newest label that was due. It is judged on all
    judged rows, and on those that have a column it leans on: cells that are missing do not hide what the others give
    away.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
    """
    features = [name for name in own_features(table, data) if name not in without]
    if not features:
        return FirstLook({}, None)
    most = min(MOST_REFITTED, max(CELLS // len(features), FEWEST))
    rows = first_rows(table, data, most_fitted=most, most_judged=MOST_REJUDGED, features=features)
    if rows is None:
        return FirstLook({}, None)
    loss = "mae" if data.task == "regression" else "log_loss"
    model = rows.first_model(loss=loss, seed=seed, threads=threads)
    gains = model.gains()
    whole = float(gains.sum()) or 1.0
    named = [(name, float(gain) / whole) for name, gain in zip(features, gains, strict=True) if name not in made]
    leaned = dict(sorted((one for one in named if one[1] > 0), key=lambda one: -one[1])[:LEANED])

    @cache
    def predicted(left_out: frozenset[str]) -> np.ndarray:
        fewer = rows.without(left_out)
        if not fewer.view.features:
            return _constant(rows)
        return fewer.first_model(loss=loss, seed=seed, threads=threads).predict(fewer.asked)

    full = model.predict(rows.asked)
    naive = _naive(rows, table, data)
    lost, *others = (float(row_losses(loss, rows.truth, said).mean()) for said in (full, *naive.values()))
    has_signal = lost < SIGNAL * min(others)
    for having, part in _parts(rows, leaned).items():
        for asked in _questions(rows, part, naive, loss=loss):
            value = asked.value(full)
            if not value < asked.bar:
                continue
            carriers = _carriers(asked, value, list(leaned), having, predicted)
            if carriers:
                leak = _leak(carriers, asked, value, asked.value(predicted(frozenset(carriers))), having)
                return FirstLook(leaned, leak, has_signal)
    return FirstLook(leaned, None, has_signal)


def leaned_notes(leaned: dict[str, float]) -> list[TableNote]:
    """The columns that a first model leans on most, with what has to hold for each."""
    if not leaned:
        return []
    said = ", ".join(f"{name} {share:.0%}" for name, share in leaned.items())
    return [
        TableNote(
            LEANS_ON,
            "",
            f"a first model relies most on {said}",
            "each of them must be known before the event; leave out a column that is not: --forbid COL",
        )
    ]


def _leak(carriers: tuple[str, ...], asked: TooGoodQuestion, value: float, without: float, having: str | None) -> Leak:
    of = "" if having is None else f" on the rows with a value of {having}"
    them = "it" if len(carriers) == 1 else "them"
    seen = (
        f"a first model is too good{of}: {asked.what} {asked.says(value)}, or {asked.says(without)} without {them}; "
        f"{asked.says(asked.bar)} is already suspicious"
    )
    return Leak(carriers, "too good", seen)


def _carriers(
    asked: TooGoodQuestion,
    value: float,
    leaned: list[str],
    having: str | None,
    predicted: Callable[[frozenset[str]], np.ndarray],
) -> tuple[str, ...]:
    """The columns without which twice as much is left: each by itself, else two together, else the first few."""

    def carries(names: Collection[str]) -> bool:
        left = asked.value(predicted(frozenset(names)))
        return left >= TWICE * value and left - value >= FELT * asked.bar

    alone = tuple(name for name in leaned if carries([name]))
    if alone and (having is None or having in alone):
        return alone
    for pair in combinations(leaned, 2):
        if (having is None or having in pair) and carries(pair):
            return pair
    for many in range(3, len(leaned) + 1):
        if (having is None or having in leaned[:many]) and carries(leaned[:many]):
            return tuple(leaned[:many])
    return ()


def _parts(rows: FirstRows, leaned: Collection[str]) -> dict[str | None, np.ndarray]:
    """All judged rows, and those that have a column whose cells are missing in some, or new in others."""
    parts: dict[str | None, np.ndarray] = {None: np.ones(len(rows.judged), dtype=bool)}
    places = {name: place for place, name in enumerate(rows.view.features)}
    for name in leaned:
        there = ~np.isnan(rows.asked[:, places[name]])
        if there.sum() >= LEAST_JUDGED and 1 - there.mean() >= GAPS:
            parts[name] = there
    return parts


def _constant(rows: FirstRows) -> np.ndarray:
    """The best constant for every judged row: the median, the chance, or the shares of the classes."""
    if rows.view.task == "regression":
        return np.full(len(rows.truth), float(np.median(rows.actual)))
    if rows.view.task == "binary":
        return np.full(len(rows.truth), float(rows.actual.mean()))
    shares = np.bincount(rows.actual, minlength=len(rows.view.classes)) / len(rows.actual)
    return np.tile(shares, (len(rows.truth), 1))


def _naive(rows: FirstRows, table: pd.DataFrame, data: DataParams) -> dict[str, np.ndarray]:
    """What naive rules predict for the judged rows: a constant, the season's mean, by the newest label due by then."""
    told = {"constant": _constant(rows)}
    targets = np.eye(len(rows.view.classes))[rows.actual] if data.task == "multiclass" else rows.actual
    how = "median" if data.task == "regression" else "mean"
    for span, cells in SEASONS:
        length = pd.Timedelta(span)
        by = pd.DataFrame(targets).groupby(season_cell(rows.fitted["_event"], length, cells)).agg(how)
        told[span] = _found(by, season_cell(rows.judged["_event"], length, cells), told["constant"])
    old, new = (_newest(table, part, rows.view.actual(table)) for part in (rows.fitted, rows.judged))
    if data.task == "regression":
        told["newest"] = np.where(np.isnan(new), told["constant"], new)
    else:  # the chances of the classes after each
        told["newest"] = _found(pd.DataFrame(targets).groupby(old).mean(), new, told["constant"])
    return told


def _found(by: pd.DataFrame, keys: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The row of each key, or what stands in its place where there is none."""
    found = by.reindex(keys).to_numpy(dtype="float64")
    found = found if otherwise.ndim == 2 else found[:, 0]
    return np.where(np.isnan(found), otherwise, found)


def _newest(table: pd.DataFrame, part: pd.DataFrame, actual: np.ndarray) -> np.ndarray:
    """The newest target, or code of a class, that was due before each of these rows; missing where none was."""
    order = table["_due"].argsort(kind="stable").to_numpy()
    newest = np.searchsorted(table["_due"].to_numpy()[order], part["_event"].to_numpy(), side="left") - 1
    return np.where(newest >= 0, actual.astype("float64")[order][newest], np.nan)


def _questions(rows: FirstRows, part: np.ndarray, naive: dict[str, np.ndarray], *, loss: str) -> list[TooGoodQuestion]:
    """What is asked of a model on these rows; nothing where they are too few to say."""
    truth = rows.truth[part]
    if len(truth) < LEAST_JUDGED:
        return []

    def mean_loss(predicted: np.ndarray) -> float:
        return float(row_losses(loss, truth, predicted[part]).mean())

    bar = TENTH * min(map(mean_loss, naive.values()))
    if rows.view.task == "regression":
        return [TooGoodQuestion("its mean absolute error is", mean_loss, bar, "{:.4g}".format)]
    asked = [TooGoodQuestion("its log loss is", mean_loss, bar, "{:.4g}".format)]

    def errors(predicted: np.ndarray) -> float:
        return float((_said(predicted[part]) != truth).mean())

    usual = min(map(errors, naive.values()))
    if usual * len(truth) >= LEAST_ERRORS:
        asked.append(TooGoodQuestion("the share of rows it gets wrong is", errors, TENTH * usual, "{:.2%}".format))
    if rows.view.task == "binary" and min(truth.sum(), (1 - truth).sum()) >= LEAST_ERRORS:
        from retrim.stats.metrics import auc

        def missing(predicted: np.ndarray) -> float:
            return 1 - auc(truth, predicted[part])

        bar = min(1 - SURE, TENTH * min(map(missing, naive.values())))
        asked.append(TooGoodQuestion("the area under its ROC curve is", missing, bar, _as_area))
    return asked


def _said(predicted: np.ndarray) -> np.ndarray:
    return predicted.argmax(axis=1) if predicted.ndim == 2 else (predicted >= 0.5).astype("int64")


def _as_area(missing: float) -> str:
    return f"{1 - missing:.4f}"


@dataclass(frozen=True)
class LeaksFound:
    """What gives the answer away.

    Args:
        refused: Not allowed.
        allowed: One of their columns is.
        leaned: Columns that a first model without any of these leans on most, and their shares.
        has_signal: Whether that model loses clearly less than every naive rule.
    """

    refused: list[Leak]
    allowed: list[Leak]
    leaned: dict[str, float]
    has_signal: bool


def find_leaks(
    table: pd.DataFrame,
    data: DataParams,
    *,
    label_time: pd.Series | None,
    entity: str | None,
    judge_rows: int,
    made: Collection[str],
    allowed: Collection[str],
    seed: int,
    threads: int,
) -> LeaksFound:
    """Asks each column and each pair, then first models, until one without what was found is not too good.

    Args:
        table: Typed rows in order of time, labelled and not, with `_event` and `_due`.
        label_time: When each label was known, index of `table`; None: not known.
        entity: The column that names what a row is about; None: none was named.
    """
    found = leaks_of(table, data, label_time=label_time, entity=entity, judge_rows=judge_rows, made=made)
    labelled = table[table[data.target].notna()].reset_index(drop=True)
    without = {name for leak in found for name in leak.columns}
    while True:
        look = first_look(labelled, data, without=without, made=made, seed=seed, threads=threads)
        if look.leak is None:
            return LeaksFound(*apart(found, allowed), look.leaned, look.has_signal)
        found.append(look.leak)
        without |= set(look.leak.columns)


def suspects_of(
    labelled: pd.DataFrame, data: DataParams, found: LeaksFound, *, made: Collection[str]
) -> dict[str, str]:
    """Columns that may be known only after the event, and what was seen; a person has to say whether they are.

    Args:
        labelled: Labelled rows in order of time, with `_event`.
    """
    caught = {name for leak in (*found.refused, *found.allowed) for name in leak.columns} | set(made)
    names = [name for name in own_features(labelled, data) if name not in caught]
    seen = {
        name: f"a first model leans on it for {share:.0%}"
        for name, share in found.leaned.items()
        if name in names and share > LEANS_ALONE and found.has_signal
    }
    for name in names:
        leak = class_leak(name, labelled, data)
        if leak is not None:
            seen[name] = f"{leak.seen}; {seen[name]}" if name in seen else leak.seen
    return {name: text for name, text in seen.items() if not is_known_before(name, labelled, data)}


SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the answers that a horizon may wait for: which of them is tried on the history, where it is long enough."""
UNITS = (pd.Timedelta("1D"), pd.Timedelta("1h"), pd.Timedelta("1min"))


@dataclass(frozen=True)
class LabelDelays:
    """From event to label.

    Args:
        known: Of rows whose label is known, 0 or more, shape (n,).
        answers: Their targets, index of `known`.
        waiting: How long rows without a label have waited when the history ends, shape (m,).
    """

    known: pd.Series
    answers: pd.Series
    waiting: pd.Series


def spans_of(delays: LabelDelays, *, classes: bool) -> dict[float, pd.Timedelta]:
    """The span after which each of `SHARES` of the answers are known, of every class too, rounded up to a unit.

    Rows that still wait are counted as answers that take at least that long (Kaplan and Meier 1958), so that a
    history cut off today does not make answers look quick.

    Args:
        delays: At least one known.
    """
    seconds, waiting = delays.known.dt.total_seconds(), delays.waiting.dt.total_seconds().to_numpy()
    found = {}
    for share in SHARES:
        latest = _quantile(seconds.to_numpy(), waiting, share)
        if classes:
            latest = max(latest, float(seconds.groupby(delays.answers.astype("str")).quantile(share).max()))
        span = pd.Timedelta(np.ceil(latest), "s")
        unit = next((unit for unit in UNITS if span > unit), UNITS[-1])
        found[share] = max(-(-span // unit), 1) * unit
    return found


def known_by(delays: LabelDelays, horizon: pd.Timedelta) -> str:
    """How many of the labels that are known were so by then, in words."""
    share = float((delays.known <= horizon).mean())
    return f"of the {len(delays.known)} known labels, {share:.1%} were, the latest after {_text(delays.known.max())}"


def _quantile(known: np.ndarray, waiting: np.ndarray, share: float) -> float:
    """The delay that such a share of all answers do not exceed; the longest known where that many are not known yet."""
    from scipy.stats import CensoredData, ecdf

    left = ecdf(CensoredData(uncensored=known, right=waiting)).sf
    reached = np.flatnonzero(left.probabilities <= 1 - share + 1e-12)
    return float(min(left.quantiles[reached[0]] if len(reached) else np.inf, known.max()))


def _text(span: pd.Timedelta) -> str:
    """A span to the nearest of its own unit, as people say it."""
    unit = next((unit for unit in UNITS if span >= 2 * unit), pd.Timedelta("1s"))
    return span_text(pd.Timedelta(round(span / unit) * unit))


MOST_ROWS = 20_000
"""Rows of the history that are tried, spread evenly."""
LEAST_ROWS = 60
"""Rows that a model is made from, or that judge, at least."""
FIRST_SHARE = 0.4
"""Of the rows, before the first moment."""
MOMENTS = 6
TIE = 0.01
"""Share of the loss by which a shorter horizon has to be better than a longer one."""
FIT = {**MODEL, "learning_rate": 0.1}
HORIZON_ROUNDS = 60


@dataclass(frozen=True)
class HorizonTrial:
    """A horizon on the history, mean over the moments, in units of the loss.

    Args:
        horizon: Which.
        loss: Of a model made from the rows that were due and known by each moment, on the rows that came next.
        bias: What it lost beyond one that knows the labels of all rows due by then.
        stale: What that one lost beyond one that knows the labels of all rows.
    """

    horizon: pd.Timedelta
    loss: float
    bias: float
    stale: float


def try_horizons(
    table: pd.DataFrame,
    known: pd.Series,
    data: DataParams,
    horizons: Sequence[pd.Timedelta],
    *,
    complete: pd.Timestamp,
    loss: str,
    seed: int,
    threads: int,
) -> list[HorizonTrial]:
    """Each horizon at several moments of the history, as a loop would have trained there and then.

    Args:
        table: Labelled rows in order of time, with `_event`.

    Returns:
        The horizons that leave enough rows at every moment, in their order; none where the history is too short.
    """
    taken = np.unique(np.linspace(0, len(table) - 1, min(len(table), MOST_ROWS)).astype("int64"))
    rows, came = table.iloc[taken].reset_index(drop=True), known.iloc[taken].reset_index(drop=True)
    until = int((rows["_event"] <= complete).sum())
    edges = np.linspace(FIRST_SHARE * until, until, MOMENTS + 1).astype("int64")
    if edges[1] - edges[0] < LEAST_ROWS:
        return []
    lost = [
        _at_moment(rows, came, data, horizons, begin=begin, end=end, loss=loss, seed=seed, threads=threads)
        for begin, end in pairwise(edges.tolist())
    ]
    means = np.mean(lost, axis=0)
    return [
        HorizonTrial(horizon, own, own - due, due - at_once)
        for horizon, (own, due, at_once) in zip(horizons, means, strict=True)
        if np.isfinite(own)
    ]


def least(tried: Sequence[HorizonTrial]) -> HorizonTrial:
    """The longest of those that lose as little as the best, to within a hundredth.

    Args:
        tried: At least one.
    """
    best = min(one.loss for one in tried)
    return max((one for one in tried if one.loss <= best + TIE * abs(best)), key=lambda one: one.horizon)


def _at_moment(
    rows: pd.DataFrame,
    came: pd.Series,
    data: DataParams,
    horizons: Sequence[pd.Timedelta],
    *,
    begin: int,
    end: int,
    loss: str,
    seed: int,
    threads: int,
) -> np.ndarray:
    """Losses on the rows `[begin, end)` with each horizon, shape (horizons, 3): due and known, due, all; NaN: too few.

    `begin` is the moment: rows before it are there, and labels as far as they had become known.
    """
    past, judged, moment = rows.iloc[:begin], rows.iloc[begin:end], rows["_event"].iloc[begin]
    view = FeatureView.learn(past, data)
    matrix, actual, asked, truth = view.matrix(past), view.actual(past), view.matrix(judged), view.actual(judged)

    def lost(fitted: np.ndarray) -> float:
        if len(fitted) < LEAST_ROWS or len(np.unique(actual[fitted])) < max(len(view.classes), 2):
            return np.nan
        part = FirstRows(past, judged, view, matrix[fitted], actual[fitted], asked, truth)
        model = part.fit(loss=loss, hyperparameters=FIT, rounds=HORIZON_ROUNDS, seed=seed, threads=threads).model
        return float(row_losses(loss, truth, model.predict(asked)).mean())

    at_once = lost(np.arange(begin))
    found = np.full((len(horizons), 3), np.nan)
    for place, horizon in enumerate(horizons):
        due = (past["_event"] + horizon <= moment).to_numpy()
        there = due & (came.iloc[:begin].isna() | (came.iloc[:begin] <= moment)).to_numpy()
        own = lost(np.flatnonzero(there))
        found[place] = own, own if there.sum() == due.sum() else lost(np.flatnonzero(due)), at_once
    return found
