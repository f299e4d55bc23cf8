"""What the checks of a champion's life have shown of its refits: read from their records, for the gate."""

from dataclasses import replace
from hashlib import sha256

import pandas as pd

from retrim.core.bundle import Predictor
from retrim.core.canonical import to_json
from retrim.core.gate import Shown
from retrim.core.training import Recipe
from retrim.ops.house import House


def refitted(house: House, predictor: Predictor) -> Recipe:
    """The champion's recipe as today's settings refit it: in a probe, and in a run in the mode `refit`."""
    params = house.params
    recipe = replace(predictor.recipe, loss=params.judge.loss, reweight=params.fairness.reweights)
    return replace(recipe, balance=params.train.balance)


def recipe_digest(house: House, predictor: Predictor) -> str:
    """Digest of all that makes a refit what it is but its rows. Evidence counts for the one it was gathered with."""
    params = house.params
    made = {
        "recipe": refitted(house, predictor).as_record(),
        "data": params.data.model_dump(mode="json"),
        "prepare": params.prepare.model_dump(mode="json"),
        "fairness": params.fairness.model_dump(mode="json"),
        "sliding_rows": params.split.sliding_rows,
    }
    return sha256(to_json(made)).hexdigest()


def shown_before(house: House, version: int, digest: str, *, as_of: pd.Timestamp | None = None) -> list[Shown]:
    """What the newest checks in a row on this champion have shown of such refits, oldest first.

    Args:
        house: The house.
        version: The champion.
        digest: Of the recipe.
        as_of: Checks up to this moment; None: all.
    """
    found: list[Shown] = []
    for row in reversed(house.store.decisions(house.model, source="check")):
        if as_of is not None and pd.Timestamp(row.as_of) > as_of:
            continue
        if row.record["champion"] != version:
            break
        shown = row.record.get("shown")
        if shown is not None and shown["of"] == digest:
            found.append(Shown.from_record(shown))
    return found[::-1]
