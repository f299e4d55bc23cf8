"""A table's own rhythm: how its rows follow one another, the season of its target, and settings that follow."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.profile.columns_of_raw import Aim
from retrim.profile.table import TableNote
from retrim.stats.codec import to_record
from retrim.stats.plugins import SettingChoice
from retrim.stats.windows import POSITIVES
from retrim.table.data import DataParams
from retrim.table.derived_columns import PARTS
from retrim.table.fault import Expectation, Suite
from retrim.table.reading import ReadingParams
from retrim.training.baseline import season_cell

BINDS = "types, keys and physical bounds; never the distribution or the levels of a reference window"
BATCH_SPANS = ("1h", "6h", "1D", "7D", "14D", "30D", "60D", "90D", "180D")
"""Spans between batches, from which the smallest is taken that holds enough rows."""
BATCHES = 50
"""Batches that a history should be cut into, at least, so that there is something to check."""
LEAST_BATCH, MOST_BATCH = 100, 5000
MONTH, SHORT_STEP = pd.Timedelta("28D"), 0.9
"""The shortest, and its share of the longest. A batch that covers less than a step would be late when none is due."""
REGULAR = 0.6
"""Share of the steps between neighbouring times that are the same, for a rhythm to be regular."""
GAP = 3.0
"""Steps without a row that make a gap."""
SEASON_GAIN = 0.05
"""Share of the variance ahead that a season has to explain."""
AUTOCORRELATION = 0.2
"""Below this, errors of rows so far apart do not know one another."""
SERIES = 8
"""So many series may take turns in a table."""


@dataclass(frozen=True)
class TableSeason:
    """A season and how many parts it is cut into; `gain` is the share of the variance ahead that it explains."""

    span: str
    cells: int
    gain: float


@dataclass(frozen=True)
class Rhythm:
    """How rows follow one another.

    Args:
        first: Event time of the first row.
        last: Of the last.
        step: Commonest step between neighbouring distinct times.
        regular: Whether most steps are that one.
        batch_every: Span that a batch should cover.
        batch_rows: Rows of a usual batch.
    """

    first: pd.Timestamp
    last: pd.Timestamp
    step: pd.Timedelta
    regular: bool
    batch_every: str
    batch_rows: int

    @property
    def span(self) -> pd.Timedelta:
        return self.last - self.first


def rhythm_of_order(event: pd.Series) -> Rhythm:
    """The rhythm of rows of which only the order is known: batches are a fiftieth of them, a day apart."""
    rows = int(np.clip(len(event) / BATCHES, LEAST_BATCH, MOST_BATCH))
    return Rhythm(event.min(), event.max(), pd.Timedelta("1ms"), regular=True, batch_every="1D", batch_rows=rows)


def at_rhythm(rhythm: Rhythm, event: pd.Series, every: str) -> Rhythm:
    """The same rhythm of rows, with files that come `every` span."""
    number = ((event - rhythm.first) // pd.Timedelta(every)).to_numpy()
    usual = int(np.median(np.unique(number, return_counts=True)[1]))
    return replace(rhythm, batch_every=every, batch_rows=usual)


def rhythm_of(event: pd.Series) -> tuple[Rhythm, list[TableNote]]:
    """The rhythm of event times in any order, UTC, none missing, shape (n,), n at least 1."""
    times = event.sort_values(ignore_index=True)
    distinct = times.drop_duplicates(ignore_index=True)
    steps = distinct.diff().dropna()
    step = steps.mode().iloc[0] if len(steps) else pd.Timedelta("1D")
    regular = bool(len(steps) and _like(steps, step).mean() >= REGULAR)
    every, rows = _batch(times, step)
    rhythm = Rhythm(times.iloc[0], times.iloc[-1], step, regular, every, rows)
    return rhythm, [*_tie_notes(times, distinct), *_gap_notes(distinct, steps, rhythm), *_unit_notes(event)]


def _like(steps: pd.Series, step: pd.Timedelta) -> "pd.Series[bool]":
    """Which steps are that one; a month, a quarter or a year is not always as long as the last."""
    return steps.between(step * SHORT_STEP, step / SHORT_STEP) if step >= MONTH else steps == step


def _batch(times: pd.Series, step: pd.Timedelta) -> tuple[str, int]:
    """The smallest span, not below the step of the times, whose usual batch has rows enough; and how many it has."""
    wanted = int(np.clip(len(times) / BATCHES, LEAST_BATCH, MOST_BATCH))
    total = max((times.iloc[-1] - times.iloc[0]), pd.Timedelta("1s"))
    usual = len(times)
    spans = [every for every in BATCH_SPANS if pd.Timedelta(every) >= step * SHORT_STEP] or [span_text(step)]
    for every in spans:
        number = ((times - times.iloc[0]) // pd.Timedelta(every)).to_numpy()
        usual = int(np.median(np.unique(number, return_counts=True)[1]))
        if usual >= 0.75 * wanted or pd.Timedelta(every) * 8 > total:
            return every, usual
    return spans[-1], usual


def _tie_notes(times: pd.Series, distinct: pd.Series) -> list[TableNote]:
    tied = len(times) - len(distinct)
    if not tied:
        return []
    seen = f"{tied} of {len(times)} rows share their time with an earlier one ({len(distinct)} distinct times)"
    return [
        TableNote(
            "ties",
            "",
            seen,
            "rows with the same time are never separated; a label is used from its due time on",
        )
    ]


def _gap_notes(distinct: pd.Series, steps: pd.Series, rhythm: Rhythm) -> list[TableNote]:
    if not rhythm.regular:
        return []
    wide = steps[steps > GAP * rhythm.step]
    if not len(wide):
        return []
    largest = int(wide.to_numpy().argmax())
    before = distinct[steps.index[(steps > GAP * rhythm.step).to_numpy()][largest] - 1]
    seen = (
        f"{len(wide)} gaps of more than {GAP:g} steps of {span_text(rhythm.step)}; the longest "
        f"lasts {span_text(_about(wide.max()))} from {before:%Y-%m-%d}"
    )
    return [TableNote("gaps", "", seen, "kept as they are; a missing batch is reported, and no row is invented")]


def _about(span: pd.Timedelta) -> pd.Timedelta:
    """The span in whole days or hours, of which there are ten or more; a shorter one as it is."""
    unit = next((unit for unit in ("1D", "1h") if span >= 10 * pd.Timedelta(unit)), None)
    return span if unit is None else span.round(unit)


def _unit_notes(event: pd.Series) -> list[TableNote]:
    if event.is_monotonic_increasing or len(event) < 3:
        return []
    back = float((event.diff().dropna() < pd.Timedelta(0)).mean())
    return [
        TableNote(
            "order",
            "",
            f"{back:.1%} of the rows are earlier than the row above",
            "sorted by event time wherever order matters",
        )
    ]


def daylight_saving(walls: pd.Series, zones: Sequence[str]) -> str:
    """The first zone whose clock changes show in regular wall times: an hour skipped in spring, one twice in autumn.

    Args:
        walls: Wall times taken as UTC, shape (n,).

    Returns:
        The zone; empty where no change shows, as for times in UTC.
    """
    seen = pd.DatetimeIndex(walls.dt.tz_localize(None).unique()).sort_values()
    if len(seen) < 2 or seen[-1] - seen[0] < pd.Timedelta("180D"):
        return ""
    if pd.Series(seen).diff().median() > pd.Timedelta("2h"):
        return ""
    hours = pd.DatetimeIndex(walls.dt.tz_localize(None).dt.floor("h"))
    counts = pd.Series(1, index=hours).groupby(level=0).sum()
    usual = float(counts.median())
    best, most = "", 1
    for zone in zones:
        skipped, twice = _changes(zone, seen[0], seen[-1])
        around = [
            hour
            for hour in skipped
            if hour - pd.Timedelta("1h") in counts.index and hour + pd.Timedelta("1h") in counts.index
        ]
        empty = sum(hour not in counts.index for hour in around)
        doubled = sum(counts.get(hour, 0) >= 1.9 * usual for hour in twice)
        if empty == len(around) and empty + doubled > most and (doubled or not _common(counts)):
            best, most = zone, empty + doubled
    return best


def _common(counts: "pd.Series[int]") -> bool:
    """Whether hours without rows are common, so that a missing one says nothing."""
    hours = (counts.index[-1] - counts.index[0]) / pd.Timedelta("1h") + 1
    return bool(len(counts) < 0.98 * hours)


def _changes(zone: str, first: pd.Timestamp, last: pd.Timestamp) -> tuple[list[pd.Timestamp], list[pd.Timestamp]]:
    """Wall hours that a zone skipped, and those it had twice, between two wall times."""
    days = pd.date_range(first.floor("D"), last.ceil("D"), freq="D")
    placed = days.tz_localize("UTC").tz_convert(zone).tz_localize(None).to_numpy()
    changed = days[:-1].to_numpy()[np.diff(placed) != np.timedelta64(1, "D")]
    # Hours of these days alone: one row of long ago would make them many.
    hours = pd.DatetimeIndex((changed[:, None] + np.arange(25) * np.timedelta64(1, "h")).ravel(), tz="UTC")
    walls = hours.tz_convert(zone).tz_localize(None).to_numpy().reshape(-1, 25)
    before, steps = walls[:, :-1], np.diff(walls)
    skipped = pd.DatetimeIndex(before[steps == np.timedelta64(2, "h")]) + pd.Timedelta("1h")
    return list(skipped), list(pd.DatetimeIndex(before[steps == np.timedelta64(0, "h")]))


def season_of(event: pd.Series, target: np.ndarray, rhythm: Rhythm) -> TableSeason | None:
    """The season whose means explain most of what lies ahead of them; None where none explains 5% of its variance.

    Args:
        event: Event times in order, shape (n,).
        target: The target as a number, shape (n,).
    """
    tried = [("1D", 24, "12h", "8D"), ("7D", 168, "1h", "29D"), ("7D", 7, "1D", "29D"), ("365D", 12, "31D", "800D")]
    cut = int(0.7 * len(target))
    target = target / (float(np.abs(target).max()) or 1.0)  # squares of numbers near the largest would not be finite
    found = []
    for span, cells, finest, least in tried:
        if rhythm.step > pd.Timedelta(finest) or rhythm.span < pd.Timedelta(least) or cut < 4 * cells:
            continue
        length = pd.Timedelta(span)
        cell = season_cell(event, length, cells)
        sums, counts = np.bincount(cell[:cut], target[:cut], cells), np.bincount(cell[:cut], minlength=cells)
        means = np.where(counts > 0, sums / np.maximum(counts, 1), target[:cut].mean())[cell[cut:]]
        ahead = target[cut:] - target[cut:].mean()
        left = ahead - (means - means.mean())
        total = float(np.sum(ahead**2))
        if total > 0:
            found.append(TableSeason(span, cells, 1 - float(np.sum(left**2)) / total))
    best = max(found, key=lambda season: season.gain, default=None)
    return best if best is not None and best.gain >= SEASON_GAIN else None


def alike_rows(losses: np.ndarray, *, most: int) -> int:
    """For how many rows errors stay alike: the lag from which their autocorrelation is below 0.2, at most `most`.

    It has to stay below for `SERIES` lags: where several series take turns, the row before is of another one.
    """
    if not np.isfinite(losses).all():
        return 1
    centred = (losses - losses.mean()) / (float(losses.std()) or 1.0)
    power = float(np.mean(centred**2))
    if power == 0 or len(losses) < 4:
        return 1
    again = max(AUTOCORRELATION, 3 / np.sqrt(len(losses)))  # beyond what chance gives errors that are not alike
    last = 0  # the newest lag at which they were alike
    for lag in range(1, min(most, len(losses) // 4)):
        alike = float(np.mean(centred[lag:] * centred[:-lag])) / power
        if alike >= (AUTOCORRELATION if lag == last + 1 else again):
            last = lag
        elif lag - last >= SERIES:
            break
    return last + 1


def alike_rows_of_series(losses: np.ndarray, event: pd.Series, *, most: int) -> int:
    """The same where several series run side by side: how many times apart, in rows of all series together.

    Args:
        losses: Shape (n,), in order of time.
        event: Event times, shape (n,).
        most: Rows, at most.
    """
    by_time = pd.Series(losses).groupby(event.to_numpy())
    rows = max(int(by_time.size().median()), 1)
    return min(rows * alike_rows(by_time.mean().to_numpy(), most=max(most // rows, 1)), max(most, 1))


def span_text(span: pd.Timedelta) -> str:
    """A span as params.yaml writes it, in the largest unit that makes it whole."""
    seconds = int(span.total_seconds())
    for unit, length in (("D", 86_400), ("h", 3600), ("min", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{max(seconds, 0)}s"


LEAST_ROWS = 120
"""Rows below which no judging block, no folds and no training rows can be cut that would say anything."""
BLOCKS = 8
"""Blocks that a judging block should hold, so that the gate's bound means something."""

SEARCHED = 16
"""A search scores one row in that many a fold, at least: about a tenth of the history that version 1 is made from.

A batch alone is too few on a long table: rounds and learning rate are then chosen by its noise.
"""


Choices = Mapping[tuple[str, ...], SettingChoice]


def judging_rows(n: int, rhythm: Rhythm, aim: Aim) -> int:
    """Rows to keep back for the gate: a usual batch or two, enough of the rarer class, and an eighth of all at most."""
    wanted = max(200, rhythm.batch_rows if rhythm.batch_rows >= 150 else 2 * rhythm.batch_rows)
    if aim.task == "binary" and aim.rarest:
        wanted = max(wanted, int(POSITIVES / aim.rarest))
    return int(np.clip(wanted, 24, max(n // 8, 24)))


def floors_of(aim: Aim, season: TableSeason | None) -> list[str]:
    """Naive baselines that the gate asks a model to beat."""
    floors = ["last_value"] if aim.task == "regression" else []
    return [*floors, "seasonal_mean" if season is not None else "mean"]


def sizes(
    n: int, rhythm: Rhythm, aim: Aim, *, judge_rows: int, block_rows: int, season: TableSeason | None, features: int
) -> Choices:
    """Every value that depends on the number of rows, by its place in params.yaml."""
    usual = max(rhythm.batch_rows, 2)
    rounds = 800 if aim.task == "regression" else 400 if aim.task == "binary" else 150
    leaves = (7, 31) if n < 2000 else (15, 127)
    leaf = int(np.clip(n // 100, 20, 200))
    floors = floors_of(aim, season)
    chosen: dict[tuple[str, ...], SettingChoice] = {
        ("split", "judge_rows"): SettingChoice(judge_rows, f"of {n} rows; a usual batch has {usual}"),
        ("split", "sliding_rows"): SettingChoice(max(n // 4, 4 * judge_rows), f"a quarter of {n}"),
        ("judge", "loss"): SettingChoice(aim.loss, ""),
        ("judge", "metrics"): SettingChoice(list(aim.metrics), ""),
        ("judge", "block_rows"): SettingChoice(
            block_rows, "the autocorrelation of a first model's errors falls below 0.2 at this distance"
        ),
        ("tune", "fold_rows"): SettingChoice(
            max(judge_rows, n // SEARCHED), f"a {SEARCHED}th of {n}, and at least as many as the holdout rows"
        ),
        ("tune", "max_rounds"): SettingChoice(rounds, ""),
        ("tune", "space", "num_leaves"): SettingChoice({"low": leaves[0], "high": leaves[1], "log": True}, ""),
        ("tune", "space", "min_child_samples"): SettingChoice({"low": 5, "high": leaf, "log": True}, ""),
        ("tune", "space", "feature_fraction"): SettingChoice({"low": 0.5 if features < 40 else 0.3, "high": 1.0}, ""),
        ("gate", "baselines"): SettingChoice(floors, ""),
        ("gain", "rows_per_check"): SettingChoice(usual, f"a batch of {rhythm.batch_every}"),
    }
    if season is not None:
        chosen[("gate", "season")] = SettingChoice(
            season.span, f"the season explains {season.gain:.0%} of the variance of later rows"
        )
    return chosen


def horizon_of(rhythm: Rhythm) -> tuple[str, str]:
    """A label's horizon where no label time is known, and why: a step of the rhythm, or a day."""
    if rhythm.regular:
        return span_text(
            rhythm.step
        ), "one step of the table: the label is assumed to be known with the next row (--horizon changes this)"
    return "1D", "assumed: nothing in the table says when the label is known (--horizon changes this)"


STORED = {"number": "float64", "integer": "float64", "category": "str", "time": "Timestamp"}
HELD_OUT = 0.5
"""Share of the history, its newest, on which an expectation drafted from the older part is tried."""
MEANT: tuple[tuple[str, float, float, str], ...] = (
    (r"(^|[_ -])(hour|hr)($|[_ -])", 0, 23, "a day has 24 hours"),
    (r"(^|[_ -])(weekday|dayofweek|dow)$", 0, 7, "a week has 7 days"),
    (r"(^|[_ -])month$", 1, 12, "a year has 12 months"),
    (r"(^|[_ -])(percent|pct)($|[_ -])", 0, 100, "percent"),
    (r"(^|[_ -])(lat|latitude)$", -90, 90, "degrees of latitude"),
    (r"(^|[_ -])(lon|lng|longitude)$", -180, 360, "degrees of longitude"),
    (r"(^|[_ -])age$", 0, 130, "longer than any documented life"),
    (r"(^|[_ -])humidity($|[_ -])", 0, 100, "relative humidity is a share"),
)
"""What a name says of a number, where the older rows agree."""
COUNTS = re.compile(
    r"(^|[_ -])(count|number|num|qty|quantity|volume|distance|duration|weight|height|length|price|amount|speed|pressure"
    r"|trips|rides|sales|visits)s?($|[_ -])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ExpectationDraft:
    """A drafted expectation, and how many past batches it would have quarantined.

    Args:
        expectation: As the suite holds it.
        blocked: Held-out past batches that break it.
        batches: Number of held-out past batches.
    """

    expectation: Expectation
    blocked: int
    batches: int

    @property
    def kept(self) -> bool:
        """Whether the draft is kept: an expectation that any held-out batch breaks is dropped."""
        return self.blocked == 0

    def as_record(self) -> dict[str, Any]:
        return {**to_record(self.expectation), "blocked": self.blocked, "batches": self.batches, "kept": self.kept}


def draft_suite(
    older: pd.DataFrame, held_out: Sequence[pd.DataFrame], data: DataParams, reading: ReadingParams
) -> list[ExpectationDraft]:
    """Expectations drafted from the older rows, each tried on every later batch."""
    drafted: list[Expectation] = [
        _expect("not_be_null", "_key"),
        _expect("be_unique", "_key", source="a key names one row of a batch"),
    ]
    for name, column in data.columns.items():
        drafted.append(_expect("be_of_type", name, type_=STORED[column.type]))
        if column.role in ("time", "due") or name in reading.calendar:
            drafted.append(_expect("not_be_null", name))
        if column.type in ("number", "integer"):
            drafted += _bounds(name, older[name].dropna(), reading)
        elif column.role == "target" and older[name].nunique() == 2:
            drafted.append(
                _expect("be_in_set", name, value_set=sorted(older[name].dropna().unique()), source="one of two values")
            )
    return [ExpectationDraft(one, sum(breaks(batch, one) for batch in held_out), len(held_out)) for one in drafted]


def _expect(kind: str, column: str, *, source: str = "", **kwargs: Any) -> Expectation:
    meta: dict[str, JsonValue] | None = {"source": source} if source else None
    return Expectation(f"expect_column_values_to_{kind}", {"column": column, **kwargs}, meta)


def _bounds(name: str, values: pd.Series, reading: ReadingParams) -> list[Expectation]:
    if name in reading.calendar:
        low, high = PARTS[reading.calendar[name]]
        return [_expect("be_between", name, min_value=low, max_value=high, source="a part of the calendar")]
    if not len(values):
        return []
    for pattern, least, most, source in MEANT:
        if re.search(pattern, name, re.IGNORECASE) and values.between(least, most).all():
            return [_expect("be_between", name, min_value=least, max_value=most, source=source)]
    if COUNTS.search(name) and (values >= 0).all():
        return [_expect("be_between", name, min_value=0, source="its name says that it counts or measures from 0")]
    return []


def breaks(batch: pd.DataFrame, expectation: Expectation) -> bool:
    """Whether a batch of typed rows breaks an expectation of a kind that is drafted here."""
    asked = expectation.arguments
    if asked.column == "_key":
        return False  # keys are made or were checked before
    values = batch[asked.column]
    if expectation.kind == "not_be_null":
        return bool(values.isna().any())
    present = values.dropna()
    if expectation.kind == "be_between":
        low, high = asked.min_value, asked.max_value
        return bool(
            ((present < low).any() if low is not None else False)
            or ((present > high).any() if high is not None else False)
        )
    if expectation.kind == "be_in_set":
        return bool((~present.isin(asked.value_set)).any())
    return False


def suite_of(name: str, drafts: Sequence[ExpectationDraft]) -> Suite:
    """The suite of those that are kept, each with the batches it was tried on."""
    kept = []
    for draft in drafts:
        if draft.kept:
            meta = {**(draft.expectation.meta or {}), "false_blocks": f"0 of {draft.batches} held-out batches"}
            kept.append(replace(draft.expectation, meta=meta) if draft.batches else draft.expectation)
    return Suite(name, {"binds": BINDS}, tuple(kept))
