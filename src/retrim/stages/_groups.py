"""The groups of rows for the stages that mitigate: read from the whole table, as no view holds a forbidden column."""

from collections.abc import Sequence

import pandas as pd

from retrim.core.fairness.groups import with_groups
from retrim.core.fairness.params import GroupParams, Mitigation
from retrim.core.fairness.reweight import GROUP
from retrim.paths import Paths


def grouped(
    rows: pd.DataFrame, paths: Paths, groups: Sequence[GroupParams], mitigate: Mitigation | None
) -> pd.DataFrame:
    """Rows of the view with the group of each in the column `GROUP`; as they are where nothing is mitigated."""
    if mitigate is None:
        return rows
    columns = ["_key", *(group.column for group in groups)]
    whole = pd.read_parquet(paths.table, columns=columns).set_index("_key").loc[rows["_key"]].reset_index()
    return rows.assign(**{GROUP: with_groups(whole, groups)[GROUP].to_numpy()})
