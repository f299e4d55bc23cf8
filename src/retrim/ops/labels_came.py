"""When labels were known, whenever their files landed: a history that lands in a day was not learned in a day."""

import pandas as pd

from retrim.core.keyed import at_keys
from retrim.core.table import LABEL_TIME
from retrim.datasets.landed import read_labels
from retrim.ops.house import House


def labels_came(house: House, table: pd.DataFrame, *, as_of: pd.Timestamp) -> pd.Series:
    """When each label was due and, as its first file says, known.

    Args:
        house: Where labels have landed.
        table: Mature rows as `assemble` gives them.
        as_of: Files that landed later do not count.

    Returns:
        Shape (n,), index of `table`; of a label that came with its row, when it was due. Of rows that are put together
        from others, when they matured.
    """
    labels = read_labels(house.landing.batches(as_of), house.params.data)
    if labels is None:
        return table["_due"]
    if house.params.data.rows.resample is not None:
        return table["_matured"]
    first = labels.sort_values("_arrived", kind="stable").drop_duplicates("_key")
    stated = at_keys(table["_key"], first, LABEL_TIME)
    return pd.concat([table["_due"], stated.set_axis(table.index)], axis=1).max(axis=1)
