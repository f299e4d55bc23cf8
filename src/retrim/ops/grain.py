"""How rows are put together: a version was made of rows of one grain, and says nothing of rows of another."""

import json
from collections.abc import Mapping
from typing import Any

from retrim.errors import RefusedError
from retrim.ops.house import House

GRAIN = "grain"
"""In a version's lineage: how its rows were put together. Older ones do not say."""


def grain_of(house: House) -> dict[str, Any] | None:
    """How rows are put together, as it stands in a version's lineage; None: as they land."""
    grain = house.params.data.rows.resample
    return None if grain is None else grain.model_dump(mode="json")


def require_grain(house: House, lineage: Mapping[str, Any], of: str) -> None:
    """Checks that a version was made of rows as params.yaml has them now.

    Args:
        house: The house.
        lineage: The version's.
        of: What an error calls it.

    Raises:
        RefusedError: They were put together otherwise.
    """
    grain = grain_of(house)
    if lineage.get(GRAIN, grain) != grain:
        was, is_now = (json.dumps(each) for each in (lineage[GRAIN], grain))
        raise RefusedError(
            f"{of} was made of rows of another grain: data.rows.resample was {was} and is {is_now}. Change it back; "
            "rows of another grain are another model's, in a workspace of its own: retrim new DIR"
        )
