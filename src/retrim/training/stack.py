"""A blend of models of other kinds: raw scores in shares that suit the newest of the training rows best."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from retrim.errors import BadInputError
from retrim.features.view import FeatureView, Matrix
from retrim.stats.codec import from_record, to_json, to_record
from retrim.stats.metrics import row_losses
from retrim.training import linear, trees
from retrim.training.estimators import MODELS, Estimator, FittedModel, Hyperparameters, Link, Model, outputs

FILE = "stack.json"
HELD = "held_share"
PARTS = 20
"""Shares are whole twentieths: finer ones are noise in rows held back, and each can be tried for any loss."""
BASES = {"forest": trees.FOREST_LINKS, "gbm": trees.GBM_LINKS, "linear": linear.LINKS, "logistic": linear.LINKS}
"""What is blended, and what its scores are in each task."""
OF_COUNTS = ("gbm", "linear")
"""Kinds that score the logarithm of a count."""


@dataclass(frozen=True)
class StackRecord:
    """A blend without its bases.

    Args:
        kinds: Of the bases.
        shares: Of each, 0 to 1; they sum to 1.
        link: What the scores of all of them are.
    """

    kinds: tuple[str, ...]
    shares: tuple[float, ...]
    link: Link


@dataclass(frozen=True)
class Stack:
    """A fitted blend: models by kind, and as in its record their shares and link."""

    bases: dict[str, Model]
    shares: tuple[float, ...]
    link: Link

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        record = to_record(StackRecord(tuple(self.bases), self.shares, self.link))
        own = {f"{kind}.{name}": content for kind, base in self.bases.items() for name, content in base.files().items()}
        return {FILE: to_json(record), **own}

    def gains(self) -> np.ndarray:
        """Each kind's gains as shares of their sum, blended."""
        found = [base.gains() / (base.gains().sum() or 1.0) for base in self.bases.values()]
        return np.asarray(sum(share * gains for share, gains in zip(self.shares, found, strict=True)))

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        return _blended([base.scores(matrix) for base in self.bases.values()], self.shares)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Exact, as those of every base are, and the score is their blend."""
        return _blended([base.contributions(matrix) for base in self.bases.values()], self.shares)


class StackEstimator:
    """Fits and loads blends of models; each base model has its own rounds and early stopping.

    Each base is fitted on the older rows; the shares are those with the least loss on the newest, which it has not
    seen; then each base is fitted on all rows. Parameters are named with their kind, such as `gbm.num_leaves`.

    Source:
        Breiman (1996), Stacked regressions, Machine Learning 24, 49-64: shares of 0 or more, from rows held back. Those
        here are the newest ones, and the shares sum to 1.
    """

    def fit(
        self,
        view: FeatureView,
        matrix: Matrix,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: Hyperparameters,
        rounds: int,
        weights: np.ndarray | None,
        stop: tuple[Matrix, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> FittedModel:
        self.check_aim(view.task, loss)
        named = _by_kind(hyperparameters)
        held = float(hyperparameters[HELD] or 0)
        if not 0 < held < 1:
            raise BadInputError(f"tune.space: {HELD} is {held:g}; write a share between 0 and 1, such as 0.2")
        matrix = np.asarray(matrix)
        cut = len(matrix) - max(int(len(matrix) * held), 1)

        def fit(rows: slice) -> dict[str, FittedModel]:
            own = None if weights is None else weights[rows]
            return {
                kind: MODELS[kind].fit(
                    view,
                    matrix[rows],
                    actual[rows],
                    loss=loss,
                    hyperparameters=given,
                    weights=own,
                    stop=stop,
                    rounds=rounds,
                    patience=patience,
                    seed=seed,
                    threads=threads,
                )
                for kind, given in named.items()
            }

        whole = fit(slice(None))
        link = _common_link({kind: each.model.link for kind, each in whole.items()})
        if cut < 2:  # nothing is known of what suits
            return _fitted(whole, (1 / len(whole),) * len(whole), link)
        scores = [each.model.scores(matrix[cut:]) for each in fit(slice(cut)).values()]
        weighed = None if weights is None else weights[cut:]

        def lost(shares: tuple[float, ...]) -> float:
            losses = row_losses(loss, actual[cut:], outputs(_blended(scores, shares), link))
            return float(np.average(losses, weights=weighed))

        return _fitted(whole, min(_simplex(len(named)), key=lost), link)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Stack:
        record = from_record(StackRecord, json.loads(files[FILE]))
        bases: dict[str, Model] = {}
        for kind in record.kinds:
            own = {
                name.removeprefix(f"{kind}."): content for name, content in files.items() if name.startswith(f"{kind}.")
            }
            bases[kind] = MODELS[kind].load(view, own)
        return Stack(bases, record.shares, record.link)

    def check_space(self, names: Iterable[str]) -> None:
        given = list(names)
        if HELD not in given:
            raise BadInputError(
                f"tune.space: stack needs {HELD!r}, the share of the newest rows to blend on; add it, for example as "
                "{choices: [0.2]}"
            )
        for kind, own in _by_kind(dict.fromkeys(given)).items():
            try:
                MODELS[kind].check_space(own)
            except BadInputError as wrong:
                raise BadInputError(f"in a stack, for {kind}: {wrong}") from wrong

    def check_bases(self, names: Iterable[str], task: str, loss: str) -> None:
        """Refuses kinds that cannot be trained for this, or whose scores cannot be blended.

        Raises:
            BadInputError: Names them.
        """
        kinds = sorted({name.partition(".")[0] for name in names} & set(BASES))
        for kind in kinds:
            try:
                MODELS[kind].check_aim(task, loss)
            except BadInputError as wrong:
                raise BadInputError(f"in a stack, for {kind}: {wrong}") from wrong
        if kinds:
            _common_link({kind: link_of(kind, task, loss) for kind in kinds})

    def check_aim(self, task: str, loss: str) -> None:
        """Refuses what no base can be trained for; each base looks for itself when it is fitted."""
        kind: Estimator = MODELS["gbm"]
        try:
            kind.check_aim(task, loss)
        except BadInputError as wrong:
            raise BadInputError(str(wrong).replace("gbm cannot", "stack cannot")) from wrong


def _fitted(whole: dict[str, FittedModel], shares: tuple[float, ...], link: Link) -> FittedModel:
    blend = Stack({kind: each.model for kind, each in whole.items()}, shares, link)
    return FittedModel(blend, max(each.rounds for each in whole.values()))


def _by_kind(named: Hyperparameters) -> dict[str, Hyperparameters]:
    """Parameters by the kind that they are of, kinds in order of their names.

    Raises:
        BadInputError: A name says no kind that can be blended, or there are fewer than two of them.
    """
    found: dict[str, dict[str, int | float | str | bool | None]] = {}
    for name, value in named.items():
        if name == HELD:
            continue
        kind, dot, own = name.partition(".")
        if not dot or kind not in BASES:
            raise BadInputError(
                f"tune.space: {name!r} is not a parameter of a stack; write {HELD}, or ESTIMATOR.PARAMETER, such as "
                f"gbm.num_leaves, with one of the estimators {', '.join(BASES)}"
            )
        found.setdefault(kind, {})[own] = value
    if len(found) < 2:
        raise BadInputError(
            "tune.space: a stack blends two or more estimators, but parameters are listed only for "
            f"{', '.join(found) or 'none'}; add parameters of another of these estimators: {', '.join(BASES)}"
        )
    return dict(sorted(found.items()))


def link_of(kind: str, task: str, loss: str) -> Link:
    """What the scores of a base will be."""
    return "log" if loss == "poisson" and kind in OF_COUNTS else BASES[kind][task]


def _common_link(links: dict[str, Link]) -> Link:
    """What the scores of all are.

    Raises:
        BadInputError: Those of two kinds are unlike, so that their sum would mean nothing.
    """
    if len(set(links.values())) > 1:
        said = ", ".join(f"{kind}: {link}" for kind, link in links.items())
        raise BadInputError(
            f"tune.space: a stack blends scores on one scale, but its estimators use several ({said}); choose "
            "estimators with the same scale"
        )
    return next(iter(links.values()))


def _blended(parts: list[np.ndarray], shares: tuple[float, ...]) -> np.ndarray:
    found = np.zeros_like(parts[0])
    for part, share in zip(parts, shares, strict=True):
        found += share * part
    return found


def _simplex(kinds: int) -> Iterator[tuple[float, ...]]:
    """Every way to share `PARTS` among the kinds."""

    def ways(left: int, kinds: int) -> Iterator[tuple[int, ...]]:
        if kinds == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *rest) for rest in ways(left - first, kinds - 1))

    return (tuple(part / PARTS for part in way) for way in ways(PARTS, kinds))


MODELS.register("stack", tasks=("regression", "binary", "multiclass"), seeded=True)(StackEstimator())
