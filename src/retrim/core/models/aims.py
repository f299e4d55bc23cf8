"""What a kind of model can be trained for, checked the same way for all of them."""

from collections.abc import Mapping
from difflib import get_close_matches

import numpy as np

from retrim.errors import BadInputError, RefusedError

Losses = Mapping[str, Mapping[str, str]]
"""By task, by loss without what stands after its `@`: what a kind minimises for it."""


def aim_at(kind: str, losses: Losses, task: str, loss: str) -> tuple[str, float | None]:
    """What a kind minimises for a loss, and the value after its `@`.

    Raises:
        BadInputError: It has no such task, or cannot train for this loss.
    """
    name, _, value = loss.partition("@")
    known = losses.get(task, {})
    if name not in known:
        can = f"it can for {', '.join(known)}" if known else f"it is for a {' or '.join(losses)} task: train.model"
        raise BadInputError(f"judge.loss: {kind} cannot train a {task} for {loss!r}; {can}")
    return known[name], float(value) if value else None


def check_classes(task: str, classes: int) -> None:
    """Refuses a multiclass model of fewer than two classes.

    Raises:
        RefusedError: The training rows hold one or none.
    """
    if task == "multiclass" and classes < 2:
        raise RefusedError(f"the training rows hold {classes} class; a multiclass model needs at least 2")


def check_target(kind: str, actual: np.ndarray) -> None:
    """Refuses targets beyond single precision: LightGBM keeps them so, and squares of larger ones are infinite.

    Raises:
        BadInputError: Names the largest.
    """
    largest = float(np.abs(actual).max(initial=0))
    if largest > float(np.finfo(np.float32).max):
        raise BadInputError(f"the target reaches {largest:.3g}; {kind} holds up to 3.4e38; give it in a larger unit")


def check_names(kind: str, names: list[str], known: list[str]) -> None:
    """Refuses a search space whose names are not the kind's own, or lack one of them.

    Raises:
        BadInputError: Names the first.
    """
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}"
            raise BadInputError(f"tune.space: {name!r} is no parameter of {kind}{hint}")
    for name in known:
        if name not in names:
            raise BadInputError(f"tune.space: {kind} needs {name!r}; give it bounds or choices")
