"""What the probe says of a check's rows with each training window, and what that cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.fairness.groups import as_trained
from retrim.core.gate import Shown, support_of
from retrim.core.metrics import row_losses
from retrim.core.preview import Preview, preview
from retrim.core.probe import Reading, apart_in_time, fitted_rows, judged_blocks, reading_of, refit_losses
from retrim.core.training import WindowKind, distinct, in_parallel
from retrim.core.work import ProbeCost, retraining_work
from retrim.machine import cores
from retrim.ops.house import House
from retrim.ops.known import KnownTable
from retrim.ops.shown import refitted
from retrim.ops.sizing import sized


@dataclass(frozen=True)
class Probed:
    """What a probe found.

    Args:
        readings: By training window.
        said: What the gate would say of these refits; None where it cannot judge on so few rows.
        shown: Its blocks, for the gate of a run to come.
    """

    readings: dict[WindowKind, Reading]
    said: Preview | None
    shown: Shown


def _windows(house: House, ripe: pd.DataFrame, predictor: Predictor) -> list[WindowKind]:
    """The training windows that a retraining would try, the champion's first; those of the same rows count once."""
    windows = (predictor.window, *(kind for kind in house.params.train.windows if kind != predictor.window))
    return distinct(windows, len(ripe), sliding_rows=house.params.split.sliding_rows)


def read_probe(
    house: House,
    ripe: KnownTable,
    newest: np.ndarray,
    predictor: Predictor,
    *,
    unprobed: np.ndarray,
    earlier: float,
    life: Sequence[Shown],
) -> Probed:
    """The probe's reading with each training window, side by side; and what the gate would say of their refits.

    Args:
        house: The house.
        ripe: The mature rows.
        newest: Rows that no probe has judged and that have a past, ascending, shape (n,).
        predictor: The champion.
        unprobed: The mature rows that no probe has judged, shape (rows,).
        earlier: The gain that the probe before found.
        life: What the checks before have shown of such refits.
    """
    params = house.params
    waiting, newest = apart_in_time(newest, rows=_judged_rows(house))
    waited = np.isin(np.arange(len(ripe)), waiting)
    places = np.concatenate(judged_blocks(newest, blocks=params.probe.blocks))
    judging = np.isin(np.arange(len(ripe)), newest[places])
    recipe = refitted(house, predictor)
    past = as_trained(_to_fit(house, ripe), params.fairness)
    champion, apart = (
        champions_losses(house, ripe.only(rows), predictor) for rows in (judging, unprobed & ~judging & ~waited)
    )

    def refit(window: WindowKind, threads: int) -> np.ndarray:
        return refit_losses(
            past,
            newest,
            recipe,
            params.data,
            params.probe,
            params.prepare.steps,
            window=window,
            sliding_rows=params.split.sliding_rows,
            cores=threads,
        )

    windows, block_rows = _windows(house, ripe.times, predictor), params.judge.block_rows
    losses = dict(zip(windows, in_parallel(refit, windows, cores=cores()), strict=True))
    events = list(ripe.times["_event"][judging])
    whole = Shown.of_rows(events, champion, dict(losses), block_rows=block_rows)
    size = sized(
        house,
        ripe.only(judging),
        [*life, whole],
        tries=len(losses),
        judged=(),
        eased=True,
        mature=len(ripe),
    )
    kept, before = slice(-size.rows, None), slice(None, -size.rows)
    own = Shown.of_rows(
        events[before], champion[before], {kind: each[before] for kind, each in losses.items()}, block_rows=block_rows
    )
    shown = [*(each.before(events[kept][0]) for each in life), own]
    most = 0.0 if params.gate.harm is None else params.gate.harm.most
    said = preview(
        {kind: each[kept] for kind, each in losses.items()},
        champion[kept],
        params.gate,
        rows=len(champion[kept]),
        draws=params.judge.draws,
        block_rows=block_rows,
        support={kind: support_of(shown, kind, most=most) for kind in losses},
    )
    return Probed(
        {
            kind: reading_of(champion, each, apart=apart, block_rows=block_rows).with_waiting(
                len(waiting), earlier=earlier
            )
            for kind, each in losses.items()
        },
        None if said is None else replace(said, short=size.short),
        whole,
    )


def _judged_rows(house: House) -> int:
    """Rows that a probe judges where more have waited: those of a usual check, and as many as probe and gate need."""
    params = house.params
    return max(params.account.usual_rows, params.probe.min_rows, params.gate.min_rows)


def champions_losses(house: House, ripe: KnownTable, predictor: Predictor) -> np.ndarray:
    """The champion's loss on each row."""
    rows = predictor.view.seen(ripe.read())
    if not len(rows):
        return np.empty(0)
    return row_losses(house.params.judge.loss, predictor.view.actual(rows), predictor.predict(rows))


def _to_fit(house: House, ripe: KnownTable) -> pd.DataFrame:
    """The rows with what a refit takes, text as categories where no step reads it."""
    data, fairness = house.params.data, house.params.fairness
    coded = [name for name, kind in data.features.items() if kind == "category" and not house.params.prepare.steps]
    return ripe.read([*data.features, *(group.column for group in fairness.groups)], coded=coded)


def cost_of(house: House, ripe: pd.DataFrame, newest: np.ndarray, predictor: Predictor, *, price: float) -> ProbeCost:
    params, rounds = house.params, predictor.recipe.rounds
    _, newest = apart_in_time(newest, rows=_judged_rows(house))
    pasts = [
        past
        for window in _windows(house, ripe, predictor)
        for past in fitted_rows(ripe, newest, params.probe, window=window, sliding_rows=params.split.sliding_rows)
    ]
    retraining = retraining_work(
        max(len(ripe) - params.split.judge_rows, 0),
        rounds,
        mode="refit" if params.retrain.mode == "auto" else params.retrain.mode,
        windows=params.train.windows,
        recipes=params.train.recipes,
        sliding_rows=params.split.sliding_rows,
        backtest=params.backtest,
        tune=params.tune,
    )
    return ProbeCost(rounds * sum(map(len, pasts)), retraining, price)
