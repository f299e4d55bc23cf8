"""Features from the past of rows that have not landed: made of what has landed, and of the rows themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from time import monotonic

import numpy as np
import pandas as pd

from retrim.errors import BadInputError
from retrim.lineage.workspace import Workspace, clock
from retrim.table.data import with_past
from retrim.table.keys import row_keys, total_order
from retrim.table.lags import HistoryParams, past_takes

LOOK_SECONDS = 5.0
"""For which what has landed is not asked for again by a server."""


@dataclass(frozen=True)
class LandedPast:
    """What has landed, as far as features from the past are made of it.

    Args:
        landed: Landed rows with their times and what the features are made of, in total order.
    """

    workspace: Workspace
    history: HistoryParams
    landed: pd.DataFrame

    @property
    def see_one_another(self) -> bool:
        """Whether a row's features are made of other rows that have not landed: of a column known before its label."""
        return any(feature.of not in self._late for feature in self.history.features)

    @property
    def _late(self) -> set[str]:
        columns = self.workspace.params.data.columns
        return {name for name, column in columns.items() if column.role in ("target", "forbidden")}

    def narrow(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Of rows, what features from the past are made of."""
        data = self.workspace.params.data
        wanted = {data.time, *data.key, *past_takes(self.history)} - self._late
        return rows[[name for name in rows if name in wanted]]

    def features(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """The features of rows that have not landed, by name, shape (n,); a landed row of the same key is replaced."""
        data = self.workspace.params.data
        named = set(data.key) <= set(rows)
        keys = row_keys(rows, data.key, "") if named else pd.Series([f"\0{n}" for n in range(len(rows))])
        fresh = rows.assign(_key=keys.to_numpy(), _event=rows[data.time], _due=None, _place=np.arange(len(rows)))
        before = self.landed[~self.landed["_key"].isin(fresh["_key"])] if named else self.landed
        for name in self.history.entity:  # rows of other entities say nothing
            before = before[before[name].isin(rows[name])]
        fresh = fresh.reindex(columns=[*before.columns, "_place"])
        fresh = fresh.astype({name: before[name].dtype for name in before})
        table = pd.concat([before.assign(_place=-1), fresh], ignore_index=True)
        table = table.take(total_order(table["_event"], table["_key"])).reset_index(drop=True)
        features = with_past(table, data, self.history)
        asked_rows = features[features["_place"] >= 0].sort_values("_place")
        return {name: asked_rows[name].to_numpy() for name in self.history.columns if name in asked_rows}


def read_past(workspace: Workspace, history: HistoryParams, needed: Iterable[str], *, now: pd.Timestamp) -> LandedPast:
    """What has landed by `now`, for features that a version needs.

    Raises:
        BadInputError: No rows have landed, or a feature is made of a column that the table no longer has.
    """
    from retrim.landing.as_of_view import read_as_of  # for features of the past, which most versions have not

    table = read_as_of(workspace, as_of=now)
    takes = sorted(past_takes(history))
    gone = [name for name in takes if name not in table.times]
    if gone:
        feature = next(name for name in history.columns if name in set(needed))
        raise BadInputError(
            f"the version needs {feature!r}, which is computed from {gone[0]!r}, but the table no longer has "
            f"{gone[0]!r}; add {feature!r} to the rows, or use a different version: --version N"
        )
    columns = dict.fromkeys(["_key", "_event", "_due", workspace.params.data.time, *takes])
    return LandedPast(workspace, history, table.times[[name for name in columns if name in table.times]])


class PastInMemory:
    """What has landed, for a server: read again where something landed since."""

    def __init__(self, workspace: Workspace, history: HistoryParams, needed: Iterable[str]) -> None:
        self._workspace, self._history, self._needed = workspace, history, tuple(needed)
        self._lock, self._looked = Lock(), -LOOK_SECONDS
        self._batches: list[str] = []
        self._past: LandedPast | None = None

    def features(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """As `LandedPast.features`, of what has landed up to some seconds ago.

        Raises:
            BadInputError: As `read_past`.
        """
        with self._lock:
            if monotonic() - self._looked >= LOOK_SECONDS or self._past is None:
                now, self._looked = clock(), monotonic()
                batches = [file.batch for file in self._workspace.landing.standing()]
                if self._past is None or batches != self._batches:
                    self._past = read_past(self._workspace, self._history, self._needed, now=now)
                    self._batches = batches
            past = self._past
        return past.features(past.narrow(rows))
