"""How a table's rows follow one another: its rhythm, its series, the season of its target, and settings that follow."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from retrim.profile.aim import Aim
from retrim.profile.table import Notes
from retrim.stats.plugins import SettingChoice, span_text
from retrim.stats.windows import POSITIVES
from retrim.training.baseline import season_cell

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
LEAST_ROWS = 120
"""Rows below which no judging block, no folds and no training rows can be cut that would say anything."""
SEARCHED = 16
"""A search scores one row in that many a fold, at least: about a tenth of the history that version 1 is made from.

A batch alone is too few on a long table: rounds and learning rate are then chosen by its noise.
"""
SERIES_ROWS = 20
"""Rows of a series, on average, from which it is one."""
FILLED, MOST_FILLED = 0.5, 0.9
"""Share of the times from its first row to its last at which a series has one, and share of the series of which that
holds, at least: the later lines of an order are there now and then."""
SHARED = 1.5
"""Rows of one time, on average, from which more than one thing is told of it."""
TRIED_PAIRS = 8
"""Columns that are tried in pairs."""
Choices = Mapping[tuple[str, ...], SettingChoice]


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


def rhythm_of(event: pd.Series) -> tuple[Rhythm, Notes]:
    """The rhythm of event times in any order, UTC, none missing, shape (n,), n at least 1."""
    times = event.sort_values(ignore_index=True)
    distinct = times.drop_duplicates(ignore_index=True)
    steps = distinct.diff().dropna()
    step = steps.mode().iloc[0] if len(steps) else pd.Timedelta("1D")
    regular = bool(len(steps) and _like(steps, step).mean() >= REGULAR)
    every, rows = _batch(times, step)
    rhythm = Rhythm(times.iloc[0], times.iloc[-1], step, regular, every, rows)
    notes = Notes()
    if len(distinct) < len(times):
        seen = f"{len(times) - len(distinct)} of {len(times)} rows share their time with an earlier one "
        done = "rows with the same time are never separated; a label is used from its due time on"
        notes.tell("ties", "", f"{seen}({len(distinct)} distinct times)", done)
    gaps = steps[steps > GAP * step]
    if regular and len(gaps):
        before = distinct[gaps.index[int(gaps.to_numpy().argmax())] - 1]
        seen = f"{len(gaps)} gaps of more than {GAP:g} steps of {span_text(step)}; the longest lasts "
        seen += f"{span_text(_about(gaps.max()))} from {before:%Y-%m-%d}"
        notes.tell("gaps", "", seen, "kept as they are; a missing batch is reported, and no row is invented")
    if not event.is_monotonic_increasing and len(event) > 2:
        back = float((event.diff().dropna() < pd.Timedelta(0)).mean())
        seen = f"{back:.1%} of the rows are earlier than the row above"
        notes.tell("order", "", seen, "sorted by event time wherever order matters")
    return rhythm, notes


def _like(steps: pd.Series, step: pd.Timedelta) -> "pd.Series[bool]":
    """Which steps are that one; a month, a quarter or a year is not always as long as the last."""
    return steps.between(step * SHORT_STEP, step / SHORT_STEP) if step >= MONTH else steps == step


def usual_rows(event: pd.Series, every: str) -> int:
    """Rows of a usual span of that length."""
    number = ((event - event.min()) // pd.Timedelta(every)).to_numpy()
    return int(np.median(np.unique(number, return_counts=True)[1]))


def _batch(times: pd.Series, step: pd.Timedelta) -> tuple[str, int]:
    """The smallest span, not below the step of the times, whose usual batch has rows enough; and how many it has."""
    wanted = int(np.clip(len(times) / BATCHES, LEAST_BATCH, MOST_BATCH))
    total = max((times.iloc[-1] - times.iloc[0]), pd.Timedelta("1s"))
    spans = [every for every in BATCH_SPANS if pd.Timedelta(every) >= step * SHORT_STEP] or [span_text(step)]
    for every in spans:
        usual = usual_rows(times, every)
        if usual >= 0.75 * wanted or pd.Timedelta(every) * 8 > total:
            return every, usual
    return spans[-1], usual


def _about(span: pd.Timedelta) -> pd.Timedelta:
    """The span in whole days or hours, of which there are ten or more; a shorter one as it is."""
    unit = next((unit for unit in ("1D", "1h") if span >= 10 * pd.Timedelta(unit)), None)
    return span if unit is None else span.round(unit)


def season_of(event: pd.Series, target: np.ndarray, rhythm: Rhythm) -> TableSeason | None:
    """The season whose means explain most of what lies ahead of them; None where none explains 5% of its variance.

    Args:
        event: Event times in order, shape (n,).
        target: Shape (n,).
    """
    tried = [("1D", 24, "12h", "8D"), ("7D", 168, "1h", "29D"), ("7D", 7, "1D", "29D"), ("365D", 12, "31D", "800D")]
    cut = int(0.7 * len(target))
    target = target / (float(np.abs(target).max()) or 1.0)  # squares of numbers near the largest would not be finite
    seasons = []
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
            seasons.append(TableSeason(span, cells, 1 - float(np.sum(left**2)) / total))
    best = max(seasons, key=lambda season: season.gain, default=None)
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
    """For how many rows errors in order of time stay alike where series run side by side, in rows of all together."""
    by_time = pd.Series(losses).groupby(event.to_numpy())
    rows = max(int(by_time.size().median()), 1)
    return min(rows * alike_rows(by_time.mean().to_numpy(), most=max(most // rows, 1)), max(most, 1))


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
        seen = "one step of the table: the label is assumed to be known with the next row (--horizon changes this)"
        return span_text(rhythm.step), seen
    return "1D", "assumed: nothing in the table says when the label is known (--horizon changes this)"


def series_of(time: pd.Series, columns: Mapping[str, pd.Series]) -> tuple[str, ...]:
    """The columns that tell the series of a table apart: with its time they name a row. Empty: it holds one.

    Args:
        time: Event times, none missing, shape (n,).
        columns: Those that may tell, likelier ones first, shape (n,) each.
    """
    moment = pd.factorize(time)[0]
    rows = len(moment)
    if rows < SHARED * (int(moment.max(initial=-1)) + 1):
        return ()
    rank = pd.Series(time).rank(method="dense").to_numpy()
    codes = {name: pd.factorize(values)[0] for name, values in columns.items() if not values.isna().any()}
    for names in [*((name,) for name in codes), *combinations(list(codes)[:TRIED_PAIRS], 2)]:
        whose = pd.MultiIndex.from_arrays([codes[name] for name in names]).factorize()[0]
        many = int(whose.max(initial=-1)) + 1
        if many < 2 or rows < SERIES_ROWS * many:
            continue
        if pd.Series(moment.astype("int64") * many + whose).duplicated().any():
            continue
        spans = pd.Series(rank).groupby(whose).agg(["size", "min", "max"])
        if (spans["size"] >= FILLED * (spans["max"] - spans["min"] + 1)).mean() >= MOST_FILLED:
            return names
    return ()


def one_after_another(columns: Mapping[str, pd.Series]) -> tuple[str, int]:
    """The column whose values follow one another in the file, each in one piece of many rows, and how many; else none.

    So lie series one after another, and then the order of the file is none of time.
    """
    for name, values in columns.items():
        codes = pd.factorize(values)[0]
        runs = int((np.diff(codes) != 0).sum()) + 1
        if 2 <= runs == len(np.unique(codes)) and len(codes) >= SERIES_ROWS * runs:
            return name, runs
    return "", 1
