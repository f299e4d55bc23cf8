"""How many of the newest rows judge: in a run, as its pins say, and in the preview of a check."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.gate import Shown, Size, Used, rows_holding, size_for, uses
from retrim.core.init.sizes import POSITIVES
from retrim.core.modes import RunMode
from retrim.core.training import distinct
from retrim.ops.house import House
from retrim.ops.known import KnownTable, known

KEPT_BACK = 4  # a quarter of the mature rows is what one would keep back at most, were `split.judge_rows` higher


def sized(
    house: House,
    unseen: KnownTable,
    shown: Sequence[Shown],
    *,
    tries: int,
    judged: Sequence[Used],
    eased: bool,
    mature: int,
) -> Size:
    """The newest rows that judge a refit.

    Args:
        house: The house.
        unseen: Mature rows that no model has used.
        shown: What the checks of the champion's life have shown, oldest first, these rows too.
        tries: Challengers.
        judged: Earlier verdicts.
        eased: Whether the account asks, so that what was shown before eases the error.
        mature: Rows that are mature, used or not.
    """
    params = house.params
    most = params.split.judge_rows
    ceiling = unseen.tail(most)
    if not len(ceiling) or not shown:
        return Size(most)
    begin = ceiling.times["_event"].iloc[0]
    return size_for(
        shown,
        [each.before(begin) for each in shown],
        params.gate,
        tries=tries,
        uses=uses(judged, ceiling.times["_event"]),
        eased=eased,
        block_rows=params.judge.block_rows,
        least=_least(house, ceiling),
        most=most,
        there=mature // KEPT_BACK,
    )


def size_of_run(
    house: House,
    champion: Predictor,
    life: Sequence[Shown],
    judged: Sequence[Mapping[str, Any]],
    *,
    as_of: pd.Timestamp,
    mode: RunMode,
    formers: int,
    eased: bool,
) -> Size:
    """The newest rows that judge a run.

    Args:
        house: The house.
        champion: The live version's predictor.
        life: What the checks of its life have shown.
        judged: Earlier verdicts, as pinned.
        as_of: The run's date.
        mode: Of the run.
        formers: Former champions that compete.
        eased: Whether the account asks.
    """
    ripe, params = known(house, as_of=as_of).mature(), house.params
    windows = distinct(params.train.windows, len(ripe), sliding_rows=params.split.sliding_rows)
    recipes = 1 if mode == "refit" else len(params.train.recipes)
    return sized(
        house,
        ripe.only(ripe.times["_event"] > champion.used_until),
        life,
        tries=len(windows) * recipes + min(formers, params.former.judged),
        judged=[Used(each["version"], pd.Timestamp(each["from"]), pd.Timestamp(each["until"])) for each in judged],
        eased=eased,
        mature=len(ripe),
    )


def _least(house: House, ceiling: KnownTable) -> int:
    """Rows that judge at least: all, where limits by group or weights by age were set for so many."""
    params = house.params
    most, least = params.split.judge_rows, params.gate.min_rows
    if params.gate.half_life is not None or (params.fairness.groups and params.fairness.limits()):
        return most
    if params.data.task == "binary":
        return rows_holding(POSITIVES, ceiling.times[params.data.target], least=least)
    return least
