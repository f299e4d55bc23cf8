"""All that is looked for in a table that gives the answer away, by `init` and by every run."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from retrim.core.init.leak import Leak, apart
from retrim.core.init.leaks import leaks_of
from retrim.core.init.too_good import first_look
from retrim.core.table import DataParams


@dataclass(frozen=True)
class LeaksFound:
    """What gives the answer away.

    Args:
        refused: Not allowed.
        allowed: One of their columns is.
        leaned: Columns that a first model without any of these leans on most, and their shares.
    """

    refused: list[Leak]
    allowed: list[Leak]
    leaned: dict[str, float]


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
        data: What the table is.
        label_time: When each label was known, index of `table`; None: not known.
        entity: The column that names what a row is about; None: none was named.
        judge_rows: The newest rows, which judge.
        made: Features made of the event time.
        allowed: Columns that are used all the same.
        seed: Same seed, same answer.
        threads: For LightGBM.
    """
    found = leaks_of(table, data, label_time=label_time, entity=entity, judge_rows=judge_rows, made=made)
    labelled = table[table[data.target].notna()].reset_index(drop=True)
    without = {name for leak in found for name in leak.columns}
    while True:
        look = first_look(labelled, data, without=without, made=made, seed=seed, threads=threads)
        if look.leak is None:
            return LeaksFound(*apart(found, allowed), look.leaned)
        found.append(look.leak)
        without |= set(look.leak.columns)
