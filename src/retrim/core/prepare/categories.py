"""Categories as numbers that need no knowledge of the target; and rare and unseen levels taken together."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, Field

from retrim.core.prepare.step import (
    CATEGORIES,
    Frame,
    Learned,
    Made,
    Past,
    Step,
    codes_of,
    counts_of,
    known,
    same,
    step,
)
from retrim.errors import BadInputError


def _all_apart(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} twice; a level has one place")
    return names


Order = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_apart)]


@step("one_hot", takes=CATEGORIES, gives="gone")
class OneHot(Step):
    """`COLUMN=LEVEL` for each of the most frequent levels: 1 or 0; missing where the cell is.

    A row of another level has 0 in all of them.
    """

    def learn(self, past: Past, *, most_levels: Annotated[int, Field(ge=1, le=10_000)]) -> Learned:
        kept = {name: sorted(list(counts_of(values))[:most_levels]) for name, values in past.frame.items()}
        of: dict[str, str] = {}
        for name, levels in kept.items():
            for column in (f"{name}={level}" for level in levels):
                if of.setdefault(column, name) != name:
                    raise BadInputError(
                        f"prepare.steps: one_hot makes {column!r} of {of[column]!r} and of {name!r}; rename one of them"
                    )
        makes = {f"{name}={level}": Made("number", name) for name, levels in kept.items() for level in levels}
        return Learned({"kept": kept}, makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            codes, there = codes_of(values, state["kept"][name]), known(values)
            for place, level in enumerate(state["kept"][name]):
                made[f"{name}={level}"] = np.where(there, (codes == place).astype("float64"), np.nan)
        return made


@step("ordinal", takes=CATEGORIES, gives="number")
class Ordinal(Step):
    """The place of a level in the declared order, from 0 on; missing for a level that is not in it."""

    def learn(self, past: Past, *, order: Order) -> Learned:
        said = {
            name: {"not in order": sorted(set(counts_of(values)) - set(order))[:20]}
            for name, values in past.frame.items()
        }
        return Learned(
            {"order": list(order), "levels": {name: list(order) for name in past.frame}},
            same(past, "number"),
            said=said,
        )

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            codes = codes_of(values, state["order"])
            made[name] = np.where(codes < 0, np.nan, codes.astype("float64"))
        return made


@step("frequency", takes=CATEGORIES, gives="number")
class Frequency(Step):
    """The share of the training rows with a level that had this one; 0 for an unseen level."""

    def learn(self, past: Past) -> Learned:
        shares = {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            shares[name] = {level: count / rows for level, count in counts.items()}
        return Learned({"levels": shares}, same(past, "number"))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {
            name: np.array(
                [np.nan if value is None else state["levels"][name].get(value, 0.0) for value in values],
                dtype="float64",
            )
            for name, values in frame.items()
        }


@step("rare", takes=CATEGORIES, gives="category")
class Rare(Step):
    """Levels under a share of the training rows become one; an unseen level becomes it too, or missing."""

    def learn(
        self,
        past: Past,
        *,
        under: Annotated[float, Field(gt=0, lt=1)],
        into: Annotated[str, Field(min_length=1)],
        unseen: Literal["merge", "missing"],
    ) -> Learned:
        kept, said, levels = {}, {}, {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            kept[name] = sorted(level for level, count in counts.items() if count >= under * rows)
            levels[name] = sorted(counts)
            said[name] = {"levels": len(counts), "kept": len(kept[name])}
        rare = {name: sorted(set(levels[name]) - set(kept[name])) if unseen == "missing" else None for name in kept}
        state = {"kept": kept, "rare": rare, "into": into, "levels": levels}
        return Learned(state, same(past, "category"), said=said)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        made = {}
        for name, values in frame.items():
            kept, rare = set(state["kept"][name]), state["rare"][name]
            merged = None if rare is None else set(rare)
            into = [
                value
                if value is None or value in kept
                else (state["into"] if merged is None or value in merged else None)
                for value in values
            ]
            made[name] = np.array(into, dtype=object)
        return made
