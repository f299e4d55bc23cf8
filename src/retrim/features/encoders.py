"""Preprocessing steps that turn categories, texts and times into numbers."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, Field

from retrim.errors import BadInputError
from retrim.features.step import (
    CATEGORIES,
    TIMES,
    Frame,
    PreprocessingStep,
    StepColumn,
    StepState,
    StoredEstimator,
    TrainingRows,
    counts_of,
    same,
    sample_places,
    step,
    store_estimator,
    transform_texts,
)
from retrim.stats.codec import Number, key
from retrim.table.derived_columns import PARTS, calendar_part
from retrim.table.reading import CalendarPart, known_zone


def _all_apart(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"these levels are listed twice: {', '.join(twice)}; list each level once")
    return names


Order = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_all_apart)]


@dataclass(frozen=True)
class OneEncoderEach:
    """The encoder of each column; of one without levels there is none."""

    fitted: dict[str, StoredEstimator]


@step("one_hot", takes=CATEGORIES, gives="gone")
class OneHot(PreprocessingStep[OneEncoderEach]):
    """`COLUMN=LEVEL` for each of the most frequent levels: 1 or 0, or missing if the cell is missing.

    A row of another level has 0 in all of them.
    """

    learned = OneEncoderEach

    def learn(
        self, past: TrainingRows, *, most_levels: Annotated[int, Field(ge=1, le=10_000)]
    ) -> StepState[OneEncoderEach]:
        from sklearn.preprocessing import OneHotEncoder

        kept = {name: sorted(list(counts_of(values))[:most_levels]) for name, values in past.frame.items()}
        of: dict[str, str] = {}
        for name, levels in kept.items():
            for column in (f"{name}={level}" for level in levels):
                if of.setdefault(column, name) != name:
                    raise BadInputError(
                        f"prepare.steps: one_hot creates {column!r} from both {of[column]!r} and {name!r}; rename one "
                        "of the two"
                    )
        fitted = {
            name: store_estimator(OneHotEncoder(categories=[levels], handle_unknown="ignore", sparse_output=False))
            for name, levels in kept.items()
            if levels
        }
        makes = {name: StepColumn("number", of[name]) for name in of}
        return StepState(OneEncoderEach(fitted), makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: OneEncoderEach) -> Frame:
        made: Frame = {}
        for name, stored in state.fitted.items():
            (levels,) = stored.built.categories_
            encoded = transform_texts([stored], frame[name], width=len(levels), nested=True)
            made |= {f"{name}={level}": encoded[:, place] for place, level in enumerate(levels)}
        return made


@dataclass(frozen=True)
class OneEncoder:
    """The encoder of every column, and the levels that it knows, by column."""

    fitted: tuple[StoredEstimator, ...]
    levels: dict[str, tuple[str, ...]]


@step("ordinal", takes=CATEGORIES, gives="number")
class Ordinal(PreprocessingStep[OneEncoder]):
    """The position of a level in the declared order, from 0; missing for any other level."""

    learned = OneEncoder

    def learn(self, past: TrainingRows, *, order: Order) -> StepState[OneEncoder]:
        from sklearn.preprocessing import OrdinalEncoder

        said = {
            name: {"not in order": sorted(set(counts_of(values)) - set(order))[:20]}
            for name, values in past.frame.items()
        }
        encoder = OrdinalEncoder(categories=[list(order)], handle_unknown="use_encoded_value", unknown_value=-1)
        state = OneEncoder((store_estimator(encoder),), dict.fromkeys(past.frame, tuple(order)))
        return StepState(state, same(past, "number"), said=said)

    def apply(self, frame: Frame, state: OneEncoder) -> Frame:
        codes = {n: transform_texts(state.fitted, values, width=1, nested=True)[:, 0] for n, values in frame.items()}
        return {name: np.where(values < 0, np.nan, values) for name, values in codes.items()}


@dataclass(frozen=True)
class LevelShares:
    """The share of each level, by column."""

    levels: dict[str, dict[str, float]]


@step("frequency", takes=CATEGORIES, gives="number")
class Frequency(PreprocessingStep[LevelShares]):
    """The share of non-missing training rows that have this level; 0 for an unseen level."""

    learned = LevelShares

    def learn(self, past: TrainingRows) -> StepState[LevelShares]:
        shares = {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            shares[name] = {level: count / rows for level, count in counts.items()}
        return StepState(LevelShares(shares), same(past, "number"))

    def apply(self, frame: Frame, state: LevelShares) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            shares = state.levels[name]
            found = [np.nan if value is None else shares.get(value, 0.0) for value in values]
            made[name] = np.array(found, dtype="float64")
        return made


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
        kept, said, levels = {}, {}, {}
        for name, values in past.frame.items():
            counts = counts_of(values)
            rows = sum(counts.values())
            kept[name] = tuple(sorted(level for level, count in counts.items() if count >= under * rows))
            levels[name] = tuple(sorted(counts))
            said[name] = {"levels": len(counts), "kept": len(kept[name])}
        rare = {name: tuple(sorted({*levels[name]} - {*kept[name]})) if unseen == "missing" else None for name in kept}
        return StepState(KeptLevels(kept, rare, into, levels), same(past, "category"), said=said)

    def apply(self, frame: Frame, state: KeptLevels) -> Frame:
        made = {}
        for name, values in frame.items():
            kept, rare = set(state.kept[name]), state.rare[name]
            merged = None if rare is None else set(rare)
            into = [
                value if value is None or value in kept else (state.into if merged is None or value in merged else None)
                for value in values
            ]
            made[name] = np.array(into, dtype=object)
        return made


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
        prior = tuple(float(each.mean()) if past.rows else 0.0 for each in outcomes.values())
        levels: dict[str, dict[str, tuple[Number, ...]]] = {}
        missing: dict[str, tuple[Number, ...]] = {}
        for name, values in past.frame.items():
            found = list(counts_of(values))
            codes = _codes(values, found)
            rows = np.bincount(codes, minlength=len(found) + 1)
            means = [
                np.bincount(codes, each, minlength=len(found) + 1) / np.maximum(rows, 1) for each in outcomes.values()
            ]
            shares = [[float(part[place]) for part in means] for place in range(len(found) + 1)]
            levels[name] = {level: (int(rows[place]), *shares[place]) for place, level in enumerate(found)}
            missing[name] = (int(rows[-1]), *shares[-1])
        state = LevelTargets(smoothing, prior, levels, missing, tuple(outcomes))
        makes = {_name(name, of): StepColumn("number", name) for name in past.frame for of in outcomes}
        return StepState(state, makes, drops=tuple(past.frame))

    def apply(self, frame: Frame, state: LevelTargets) -> Frame:
        made = {}
        for name, values in frame.items():
            levels, missing = state.levels[name], state.missing[name]
            unseen = (0, *([0.0] * len(state.of)))
            found = np.array(
                [missing if value is None else levels.get(value, unseen) for value in values], dtype="float64"
            ).reshape(len(values), 1 + len(state.of))
            for place, of in enumerate(state.of):
                rows, prior = found[:, 0], np.full(len(found), state.prior[place])
                made[_name(name, of)] = _drawn(rows * found[:, place + 1], rows, prior, state.smoothing)
        return made

    def train(self, past: TrainingRows, state: LevelTargets) -> Frame:
        made, event = {}, past.event.astype("int64")
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
                made[_name(name, of)] = _drawn(sums, rows, prior, state.smoothing)
        return made


def _name(column: str, of: str) -> str:
    return f"{column}:target={of}" if of else f"{column}:target"


def _codes(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """The place of each value among the levels; the place after the last for a missing one."""
    places = {level: place for place, level in enumerate(levels)}
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


Components = Annotated[int, Field(ge=1, le=256)]
Words = Annotated[int, Field(ge=2, le=20_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
DIGITS = 9
"""Decimals of an axis that are kept. Processors differ beyond them."""


@dataclass(frozen=True)
class TextAxes:
    """Estimators that make components of a column's texts, one after the other; none where there was no word."""

    columns: dict[str, tuple[StoredEstimator, ...]]
    components: int


class _Text(PreprocessingStep[TextAxes]):
    """scikit-learn's vectorizer, TfidfTransformer and TruncatedSVD on each column."""

    learned = TextAxes

    def _learn(self, past: TrainingRows, size: int, *, components: int, seed: int) -> StepState[TextAxes]:
        columns: dict[str, tuple[StoredEstimator, ...]] = {}
        makes: dict[str, StepColumn] = {}
        said: dict[str, Any] = {}
        for name, values in past.frame.items():
            some = values[sample_places(len(values))]
            columns[name], said[name] = self._learn_column(
                ["" if text is None else text for text in some], size, components, seed
            )
            makes |= {f"{name}:text{number + 1}": StepColumn("number", name) for number in range(components)}
        return StepState(TextAxes(columns, components), makes, drops=tuple(past.frame), said=said)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        """A vectorizer of that many words at most; None where there is no word."""
        raise NotImplementedError

    def _learn_column(
        self, texts: list[str], size: int, components: int, seed: int
    ) -> tuple[tuple[StoredEstimator, ...], dict[str, Any]]:
        from sklearn.decomposition import TruncatedSVD
        from sklearn.feature_extraction.text import TfidfTransformer

        vectorizer = self.vectorizer(texts, size) if texts else None
        counts = None if vectorizer is None else vectorizer.transform(texts)
        if counts is None or not counts.nnz:
            return (), {"words": 0, "share kept": None}
        rarity = TfidfTransformer().fit(counts)
        weights = rarity.transform(counts)
        fitted, share = [vectorizer, rarity], 1.0
        if counts.shape[1] > 1:  # else there is nothing to reduce
            with np.errstate(all="ignore"):  # texts that are all alike have no variance to explain
                axes = TruncatedSVD(min(components, counts.shape[1]), n_iter=7, random_state=seed).fit(weights)
            axes.components_ = np.round(axes.components_, DIGITS)
            axes.explained_variance_ratio_ = np.nan_to_num(axes.explained_variance_ratio_)
            share = float((axes.singular_values_**2).sum() / weights.power(2).sum())
            fitted.append(axes)
        said = {"words": counts.shape[1], "share kept": round(share, DIGITS)}
        return tuple(map(store_estimator, fitted)), said

    def apply(self, frame: Frame, state: TextAxes) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            reduced = transform_texts(state.columns[name], values, width=state.components, nested=False)
            made |= {f"{name}:text{number + 1}": reduced[:, number] for number in range(state.components)}
        return made


@step("text_tfidf", takes=CATEGORIES, gives="gone")
class TextTfidf(_Text):
    """`COLUMN:text1` and so on: the most frequent words of training, weighted by rarity, reduced to components.

    A text without a known word is 0 in all; a missing one is missing.
    """

    def learn(self, past: TrainingRows, *, words: Words, components: Components, seed: Seed) -> StepState[TextAxes]:
        return self._learn(past, words, components=components, seed=seed)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        from sklearn.feature_extraction.text import CountVectorizer

        split = CountVectorizer().build_analyzer()
        counts = pd.Series([word for text in texts for word in split(text)], dtype="str").value_counts()
        # Not by max_features: which of equally frequent words it keeps depends on the processor.
        words = sorted(sorted(counts.index, key=lambda word: (-counts[word], word))[:size])
        return CountVectorizer(vocabulary=words) if words else None


@step("text_hash", takes=CATEGORIES, gives="gone")
class TextHash(_Text):
    """Like `text_tfidf`, but counts each word in the bucket of its hash, so that new words count too."""

    def learn(self, past: TrainingRows, *, buckets: Words, components: Components, seed: Seed) -> StepState[TextAxes]:
        return self._learn(past, buckets, components=components, seed=seed)

    def vectorizer(self, texts: list[str], size: int) -> Any:
        from sklearn.feature_extraction.text import HashingVectorizer

        return HashingVectorizer(n_features=size, norm=None, alternate_sign=False)


NEAR = 7
"""Days from a holiday beyond which a day is far from one."""
AHEAD = 20
"""Years after the last of training whose holidays are kept in the bundle; later ones are not known."""


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


Zone = Annotated[str, AfterValidator(known_zone)]
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
        names = {f"{name}:{part}:{end}".rstrip(":"): name for name in past.frame for part in parts for end in ends}
        makes = {name: StepColumn("number", of) for name, of in names.items()}
        return StepState(CalendarParts(tuple(parts), circle, zone), makes)

    def apply(self, frame: Frame, state: CalendarParts) -> Frame:
        made: Frame = {}
        for name, values in frame.items():
            times = pd.Series(pd.DatetimeIndex(values).tz_localize("UTC"))
            for part in state.parts:
                found = calendar_part(times, part, zone=state.zone).to_numpy()
                if not state.circle:
                    made[f"{name}:{part}"] = found
                    continue
                low, high = PARTS[part]
                angle = 2 * np.pi * (found - low) / (high - low + 1)
                made |= {f"{name}:{part}:sin": np.sin(angle), f"{name}:{part}:cos": np.cos(angle)}
        return made


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
        years = np.concatenate([each.astype("datetime64[Y]").astype("int64") for each in times]) + 1970
        if len(years):
            first, last = int(years.min()) - 1, int(years.max()) + AHEAD
            land, _, part = country.partition("-")
            found = holidays.country_holidays(land, subdiv=part or None, years=range(first, last + 1))
            state = KnownHolidays(tuple(sorted(day.isoformat() for day in found)), first, last, zone)
        makes = {
            f"{name}:{what}": StepColumn("number", name) for name in past.frame for what in ("holiday", "to_holiday")
        }
        return StepState(state, makes)

    def apply(self, frame: Frame, state: KnownHolidays) -> Frame:
        days = np.array(state.dates, dtype="datetime64[D]").astype("int64")
        made = {}
        for name, values in frame.items():
            there = pd.DatetimeIndex(values).tz_localize("UTC").tz_convert(state.zone).tz_localize(None)
            own = there.to_numpy().astype("datetime64[D]")
            year = own.astype("datetime64[Y]").astype("int64") + 1970
            known = ~np.isnat(own)
            if state.since is None or state.until is None:
                known[:] = False
            else:
                known &= (year >= state.since) & (year <= state.until)
            away = np.full(len(own), float(NEAR))
            if len(days):
                day = own.astype("int64")
                after = np.searchsorted(days, day)
                for place in (np.clip(after - 1, 0, None), np.clip(after, None, len(days) - 1)):
                    away = np.minimum(away, np.where(known, np.abs(days[place] - np.where(known, day, 0)), NEAR))
            made[f"{name}:holiday"] = np.where(known, (away == 0).astype("float64"), np.nan)
            made[f"{name}:to_holiday"] = np.where(known, away, np.nan)
        return made
