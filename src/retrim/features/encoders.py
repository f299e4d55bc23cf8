"""Our own steps for categories and times."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from retrim.features.step import (
    CATEGORIES,
    TIMES,
    Frame,
    PreprocessingStep,
    StepColumn,
    StepState,
    TrainingRows,
    counts_of,
    same,
    step,
)
from retrim.stats.codec import Number, key
from retrim.table.derived_columns import PARTS, calendar_part
from retrim.table.reading import CalendarPart, known_zone

NEAR = 7
"""Days from a holiday beyond which a day is far from one."""
AHEAD = 20
"""Years after the last of training whose holidays are kept in the bundle; later ones are not known."""
Zone = Annotated[str, AfterValidator(known_zone)]


@dataclass(frozen=True)
class KeptLevels:
    """Levels that stay, those that become `into` (None: all others), and all of training, by column."""

    kept: dict[str, tuple[str, ...]]
    rare: dict[str, tuple[str, ...] | None]
    into: str
    levels: dict[str, tuple[str, ...]]


@step("rare", takes=CATEGORIES, gives="category")
class RareLevels(PreprocessingStep[KeptLevels]):
    """Merges levels below a share of the training rows into one. Unseen levels are merged too, or become missing."""

    learned = KeptLevels

    def learn(
        self,
        past: TrainingRows,
        *,
        under: Annotated[float, Field(gt=0, lt=1)],
        into: Annotated[str, Field(min_length=1)],
        unseen: Literal["merge", "missing"],
    ) -> StepState[KeptLevels]:
        common, rare, levels, said = {}, {}, {}, {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            least = under * sum(counts.values())
            levels[name] = tuple(sorted(counts))
            common[name] = tuple(level for level in levels[name] if counts[level] >= least)
            rare[name] = (
                tuple(level for level in levels[name] if counts[level] < least) if unseen == "missing" else None
            )
            said[name] = {"levels": len(counts), "kept": len(common[name])}
        return StepState(KeptLevels(common, rare, into, levels), same(past, "category"), said=said)

    def apply(self, frame: Frame, state: KeptLevels) -> Frame:
        columns = {}
        for name, values in frame.items():
            rare = state.rare[name]
            merged: dict[str | None, str | None] = dict.fromkeys(rare or (), state.into)
            merged |= {level: level for level in (None, *state.kept[name])}
            other = state.into if rare is None else None
            columns[name] = np.array([merged.get(value, other) for value in values], dtype=object)
        return columns


@dataclass(frozen=True)
class LevelTargets:
    """Rows of each level, and of missing cells, and their means of each outcome `of`; `prior` are the means of all."""

    smoothing: float
    prior: tuple[float, ...]
    levels: dict[str, dict[str, tuple[Number, ...]]]
    missing: dict[str, tuple[Number, ...]]
    of: tuple[str, ...]


@step("target_code", takes=CATEGORIES, gives="gone")
class TargetCode(PreprocessingStep[LevelTargets]):
    """Adds `COLUMN:target`: the level's mean target, shrunk to the overall mean; with several classes, one per class.

    A row that a model is fitted on is coded by rows alone that came before it and whose label was due by its event,
    never by its own label; before any was due the code is missing. Other rows are coded by all training rows. A
    missing cell is a level of its own; an unseen level has the mean of all.

    Source:
        Micci-Barreca (2001), SIGKDD Explorations 3(1), 27-32, with a fixed weight in place of his sigmoid; the order as
        in Prokhorenkova et al. (2018), CatBoost, NeurIPS 31, by time in place of a drawn permutation.
    """

    learned = LevelTargets

    def learn(self, past: TrainingRows, *, smoothing: Annotated[float, Field(ge=0, le=1e9)]) -> StepState[LevelTargets]:
        outcomes = past.outcomes
        prior = tuple(float(outcome.mean()) if past.rows else 0.0 for outcome in outcomes.values())
        levels: dict[str, dict[str, tuple[Number, ...]]] = {}
        missing: dict[str, tuple[Number, ...]] = {}
        for name, values in past.frame.items():
            known_levels = list(counts_of(values))
            codes = _codes(values, known_levels)
            rows = np.bincount(codes, minlength=len(known_levels) + 1)
            means = [
                np.bincount(codes, outcome, minlength=len(known_levels) + 1) / np.maximum(rows, 1)
                for outcome in outcomes.values()
            ]
            shares = [[float(part[code]) for part in means] for code in range(len(known_levels) + 1)]
            levels[name] = {level: (int(rows[code]), *shares[code]) for code, level in enumerate(known_levels)}
            missing[name] = (int(rows[-1]), *shares[-1])
        state = LevelTargets(smoothing, prior, levels, missing, tuple(outcomes))
        makes = tuple(StepColumn("number", name, _name(name, of)) for name in past.frame for of in outcomes)
        return StepState(state, makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: LevelTargets) -> Frame:
        columns = {}
        for name, values in frame.items():
            levels, missing = state.levels[name], state.missing[name]
            unseen = (0, *([0.0] * len(state.of)))
            rows_and_means = np.array(
                [missing if value is None else levels.get(value, unseen) for value in values], dtype="float64"
            ).reshape(len(values), 1 + len(state.of))
            for number, of in enumerate(state.of):
                rows, prior = rows_and_means[:, 0], np.full(len(rows_and_means), state.prior[number])
                columns[_name(name, of)] = _drawn(rows * rows_and_means[:, number + 1], rows, prior, state.smoothing)
        return columns

    def train(self, past: TrainingRows, state: LevelTargets) -> Frame:
        columns, event = {}, past.event.astype("int64")
        # A label that is due with its own event would be known of itself, and of those beside it.
        available = np.maximum(past.due.astype("int64"), event + 1)
        everything = np.zeros(past.rows, dtype="int64")
        outcomes = past.outcomes
        for name, values in past.frame.items():
            codes = _codes(values, list(counts_of(values)))
            for of in state.of:
                rows, sums = _before(codes, event, available, outcomes[of])
                every, total = _before(everything, event, available, outcomes[of])
                prior = np.divide(total, every, out=np.full(past.rows, np.nan), where=every > 0)
                columns[_name(name, of)] = _drawn(sums, rows, prior, state.smoothing)
        return columns


def _name(column: str, of: str) -> str:
    return f"{column}:target={of}" if of else f"{column}:target"


def _codes(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """The place of each value among the levels; the place after the last for a missing one."""
    places = {level: code for code, level in enumerate(levels)}
    return np.array([len(levels) if value is None else places[value] for value in values], dtype="int64")


def _drawn(sums: np.ndarray, rows: np.ndarray, prior: np.ndarray, smoothing: float) -> np.ndarray:
    weight = rows + smoothing
    return np.where(weight > 0, (sums + smoothing * prior) / np.where(weight > 0, weight, 1.0), prior)


def _before(
    codes: np.ndarray, event: np.ndarray, available: np.ndarray, outcome: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of each row: how many rows of its code were available by its event, and the sum of their outcomes."""
    n = len(codes)
    if not n:
        return np.zeros(0), np.zeros(0)
    ranks = np.unique(np.concatenate([event, available]), return_inverse=True)[1]
    width = int(ranks.max()) + 1
    order = np.lexsort((available, codes))
    keys = codes[order] * width + ranks[n:][order]
    # Within each code: of sums that ran over all of them, a code with small outcomes would be what rounding left.
    sums = np.append(pd.Series(outcome[order]).groupby(codes[order], sort=False).cumsum().to_numpy(), 0.0)
    starts = np.searchsorted(codes[order], codes, side="left")
    ends = np.searchsorted(keys, codes * width + ranks[:n], side="right")
    return (ends - starts).astype("float64"), sums[np.where(ends > starts, ends - 1, n)]


def known_country(code: str) -> str:
    """A country, `US`, or a part of it, `US-NY`, that the package `holidays` knows."""
    import holidays

    country, _, part = code.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ValueError(f"{code!r} is not a known country; write its ISO 3166 code, such as 'DE' or 'US-NY'")
    if part and part not in known[country]:
        raise ValueError(
            f"{code!r}: {country} has no subdivision {part!r}; choose one of: {', '.join(known[country]) or 'none'}"
        )
    return code


Country = Annotated[str, AfterValidator(known_country)]


@dataclass(frozen=True)
class CalendarParts:
    """What is made of a time."""

    parts: tuple[CalendarPart, ...]
    circle: bool
    zone: str


@step("calendar", takes=TIMES, gives="same")
class Calendar(PreprocessingStep[CalendarParts]):
    """Adds `COLUMN:PART` for each part; with `circle`, `COLUMN:PART:sin` and `:cos`, so hour 23 is near hour 0."""

    learned = CalendarParts

    def learn(
        self,
        past: TrainingRows,
        *,
        parts: Annotated[tuple[CalendarPart, ...], Field(min_length=1)],
        circle: bool,
        zone: Zone,
    ) -> StepState[CalendarParts]:
        ends = ("sin", "cos") if circle else ("",)
        makes = [
            StepColumn("number", name, f"{name}:{part}:{end}".rstrip(":"))
            for name in past.frame
            for part in dict.fromkeys(parts)
            for end in ends
        ]
        return StepState(CalendarParts(tuple(parts), circle, zone), tuple(makes))

    def apply(self, frame: Frame, state: CalendarParts) -> Frame:
        columns: Frame = {}
        for name, values in frame.items():
            times = pd.Series(pd.DatetimeIndex(values).tz_localize("UTC"))
            for part in state.parts:
                numbers = calendar_part(times, part, zone=state.zone).to_numpy()
                if not state.circle:
                    columns[f"{name}:{part}"] = numbers
                    continue
                low, high = PARTS[part]
                angle = 2 * np.pi * (numbers - low) / (high - low + 1)
                columns |= {f"{name}:{part}:sin": np.sin(angle), f"{name}:{part}:cos": np.cos(angle)}
        return columns


@dataclass(frozen=True)
class KnownHolidays:
    """Dates of the years that are known; without a first year, none is."""

    dates: tuple[str, ...]
    since: Annotated[int | None, key("from")]
    until: int | None
    zone: str


@step("holidays", takes=TIMES, gives="same")
class Holidays(PreprocessingStep[KnownHolidays]):
    """Adds `COLUMN:holiday` (1 or 0) and `COLUMN:to_holiday`, the days to the nearest holiday, at most 7.

    The dates lie in the bundle, so that another release of the package changes no prediction.
    """

    learned = KnownHolidays

    def learn(self, past: TrainingRows, *, country: Country, zone: Zone) -> StepState[KnownHolidays]:
        import holidays

        state = KnownHolidays((), None, None, zone)
        times = [values[~np.isnat(values)] for values in past.frame.values()]
        years = np.concatenate([column.astype("datetime64[Y]").astype("int64") for column in times]) + 1970
        if len(years):
            first, last = int(years.min()) - 1, int(years.max()) + AHEAD
            land, _, part = country.partition("-")
            dates = holidays.country_holidays(land, subdiv=part or None, years=range(first, last + 1))
            state = KnownHolidays(tuple(sorted(day.isoformat() for day in dates)), first, last, zone)
        ends = ("holiday", "to_holiday")
        return StepState(state, tuple(StepColumn("number", of, f"{of}:{end}") for of in past.frame for end in ends))

    def apply(self, frame: Frame, state: KnownHolidays) -> Frame:
        days = np.array(state.dates, dtype="datetime64[D]").astype("int64")
        columns = {}
        for name, values in frame.items():
            there = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(state.zone).tz_localize(None)
            dates = there.to_numpy().astype("datetime64[D]")
            year = dates.astype("datetime64[Y]").astype("int64") + 1970
            known = ~np.isnat(dates)
            if state.since is None or state.until is None:
                known[:] = False
            else:
                known &= (year >= state.since) & (year <= state.until)
            away = np.full(len(dates), float(NEAR))
            if len(days):
                day = dates.astype("int64")
                after = np.searchsorted(days, day)
                for near in (np.clip(after - 1, 0, None), np.clip(after, None, len(days) - 1)):
                    away = np.minimum(away, np.where(known, np.abs(days[near] - np.where(known, day, 0)), NEAR))
            columns[f"{name}:holiday"] = np.where(known, (away == 0).astype("float64"), np.nan)
            columns[f"{name}:to_holiday"] = np.where(known, away, np.nan)
        return columns
