"""Whether the section `fairness` fits the table: columns, types, measures, mitigation."""

import math
from collections.abc import Iterator

from retrim.core.fairness.outcomes import MEASURES
from retrim.core.fairness.params import FairnessParams
from retrim.core.table import DataParams
from retrim.errors import BadInputError

NUMBERS = ("number", "integer")


def require_fit(fairness: FairnessParams, data: DataParams) -> None:
    """Refuses a section that this table cannot have.

    Raises:
        BadInputError: Names the key, what is wrong, what is allowed.
    """
    for fault in _faults(fairness, data):
        raise BadInputError(f"fairness.{fault}")


def _faults(fairness: FairnessParams, data: DataParams) -> Iterator[str]:
    yield from _faults_of_groups(fairness, data)
    for measure in fairness.limits():
        if data.task not in MEASURES[measure]:
            fitting = ", ".join(name for name, tasks in MEASURES.items() if data.task in tasks)
            yield f"at_most.{measure}: does not fit a {data.task} task; set it to null; those that fit: {fitting}"
    if fairness.mitigate is not None and not fairness.groups:
        yield f"mitigate: {fairness.mitigate!r} needs groups; name some, or set it to null"
    if fairness.reweights and data.task == "regression":
        yield "mitigate: 'reweight' balances classes, and a regression has none; set it to null"
    if fairness.mitigate == "thresholds" and data.task != "binary":
        yield f"mitigate: 'thresholds' decide between two classes, and this task is {data.task}; set it to null"
    for name in fairness.forbidden:
        known = data.columns.get(name)
        if known is None:
            yield f"forbidden: {name!r} is no column; columns: {', '.join(data.columns)}"
        elif known.role != "forbidden":
            yield f"forbidden: {name!r} has the role {known.role!r}; give it the role forbidden under data.columns"
        elif name in data.key:
            yield f"forbidden: {name!r} is part of data.key, which stands in every record; name rows by another column"
        elif any(name in (feature.of, *data.history.entity) for feature in data.history.features):
            yield f"forbidden: {name!r} is used by data.history, and so by the model; take it out there"
    needed = math.ceil(1 / (1 - fairness.confidence) - 1 - 1e-9)
    if fairness.forbidden and fairness.proxies.turns < needed:
        yield (
            f"proxies.turns: {fairness.proxies.turns} turns cannot tell a proxy from chance with confidence "
            f"{fairness.confidence:g}, so none would ever be found; {needed} or more are needed"
        )


def _faults_of_groups(fairness: FairnessParams, data: DataParams) -> Iterator[str]:
    columns = [group.column for group in fairness.groups]
    for group in fairness.groups:
        name = group.column
        known = data.columns.get(name)
        if known is None:
            yield f"groups: {name!r} is no column; columns: {', '.join(data.columns)}"
            continue
        if name == data.target or known.type == "time":
            yield f"groups: {name!r} is the target or a time; name a category or a number"
        if columns.count(name) > 1:
            yield f"groups: {name!r} stands there twice; keep one"
        if known.type in NUMBERS and not group.cuts:
            yield f"groups: {name!r} is a number; say where it is cut, such as cuts: [30, 60]"
        if known.type == "category" and group.cuts:
            yield f"groups: {name!r} is a category, whose values are the groups; give it cuts: []"
