"""Looks at a table of somebody's own and drafts what its params.yaml and suite should say. Writes nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.errors import RefusedError
from retrim.onboarding.desk import (
    Ask,
    InitRequest,
    check_columns,
    choose_aim,
    choose_time,
    open_desk,
    reading_of,
    rows_to_land,
    settle_types,
)
from retrim.onboarding.table import (
    LabelledHistory,
    as_forecast,
    calendar_of,
    choose_horizon,
    choose_key,
    data_of,
    delays_of,
    events_of,
    known_times,
    label_notes,
    labels_of,
)
from retrim.profile.columns_of_raw import Aim, imbalance_notes
from retrim.profile.first_model import FirstFit, LabelDelays, find_leaks, first_fit, leaned_notes, worth_notes
from retrim.profile.leak import Leak
from retrim.profile.leaks import crossing, joined_notes
from retrim.profile.rhythm import Rhythm, TableSeason, alike_rows, alike_rows_of_series, season_of
from retrim.profile.sizes import LEAST_ROWS, Choices, ExpectationDraft, draft_suite, floors_of, judging_rows, sizes
from retrim.profile.table import TableNote
from retrim.reading.raw import RawTable
from retrim.table.data import DataParams, row_keys, with_past
from retrim.table.derived_columns import with_made
from retrim.table.reading import ReadingParams

USUAL_TWINS = 0.2
"""Share of training rows with a twin from which rows are alike by chance, and not because they come twice."""


@dataclass(frozen=True)
class WorkspaceDraft:
    """Everything that was made of a table.

    Args:
        data: The section `data`.
        reading: The section `reading`.
        choices: Other values, by their place in params.yaml.
        aim: What is predicted.
        rhythm: How rows follow one another.
        suite: Drafted expectations, kept and dropped.
        notes: What was seen and decided.
        leaks: Columns that give the answer away and were not allowed to.
        allowed: Those that were.
        frame: Typed rows in the order of the file, `_row` their place in it; rows that cannot land left out.
        worth: The first model against what is simpler.
        season: Of the target.
        known: When each row's label became known, index of `frame`; None: labels come with their rows.
        label_time: The column that says so; empty: none does.
        entity: The column that names what a row is about.
    """

    data: DataParams
    reading: ReadingParams
    choices: Choices
    aim: Aim
    rhythm: Rhythm
    suite: list[ExpectationDraft]
    notes: list[TableNote]
    leaks: list[Leak]
    allowed: list[Leak]
    frame: pd.DataFrame
    worth: FirstFit | None
    season: TableSeason | None
    known: pd.Series | None
    label_time: str
    entity: str | None

    def as_record(self) -> dict[str, Any]:
        return {
            "model": self.data.model,
            "task": self.data.task,
            "target": self.data.target,
            "rows": len(self.frame),
            "loss": self.aim.loss,
            "why_this_loss": self.aim.why,
            "batch_every": self.rhythm.batch_every,
            "season": None if self.season is None else {"span": self.season.span, "gain": self.season.gain},
            "data": self.data.model_dump(mode="json"),
            "reading": self.reading.model_dump(mode="json"),
            "choices": {".".join(place): choice.value for place, choice in self.choices.items()},
            "suite": [draft.as_record() for draft in self.suite],
            "notes": [note.as_record() for note in self.notes],
            "leaks": [leak.as_record() for leak in self.leaks],
            "allowed_leaks": [leak.as_record() for leak in self.allowed],
            "worth": None if self.worth is None else {"gains": self.worth.gains, "bounds": self.worth.bounds},
        }


def draft(
    raw: RawTable, wishes: InitRequest, *, ask: Ask, confidence: float, seed: int, threads: int
) -> WorkspaceDraft:
    """Looks at a table and drafts its settings.

    Args:
        raw: The table as it stands in its file.
        wishes: What the person said.
        ask: Asks where it is unsure.
        confidence: Of the gate, for the first model's bound.
        seed: Of samples and the first model.
        threads: For LightGBM.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be made of it: too few rows, or a target that never varies.
    """
    desk = open_desk(raw, wishes, ask)
    check_columns(desk)
    aim = choose_aim(desk)
    time = choose_time(desk)
    reading = reading_of(desk, time)
    settle_types(desk, reading, aim, time)
    reading = reading_of(desk, time)
    kept, target = rows_to_land(desk, time, aim)
    event, rhythm = events_of(desk, kept, time)
    timed = time in desk.values
    reading = reading.model_copy(update={"calendar": calendar_of(desk, rhythm) if timed else {}})
    known = known_times(desk, kept, event, target, timed=timed)
    delays = None if known is None else delays_of(known, event, target)
    if known is not None:
        desk.notes += label_notes(desk, aim, known, event, target, delays)
    key = choose_key(desk, kept, time)
    data = data_of(desk, aim, time, reading, rhythm, key, labels=labels_of(desk, event, target))
    frame = pd.DataFrame({name: desk.values[name] for name in data.columns if name in desk.values}).iloc[kept]
    frame = frame.assign(_row=kept).reset_index(drop=True)
    if reading.arrival is not None:
        frame[reading.arrival] = event.reset_index(drop=True)
    frame = with_made(frame, data, reading.model_copy(update={"arrival": None}), arrives=pd.Timestamp(0, tz="UTC"))
    frame = frame.assign(_key=row_keys(frame, data.key, "raw"))
    lived = _lived(_table(frame, data), known, delays)
    data, chosen = choose_horizon(desk, aim, rhythm, data, lived, timed=timed, seed=seed, threads=threads)
    table, labelled = _with_past(_table(frame, data), data)
    if len(labelled) < LEAST_ROWS:
        raise RefusedError(
            f"{len(labelled)} labelled rows are too few for a model that can be judged; at least "
            f"{LEAST_ROWS} are needed"
        )
    season = season_of(labelled["_event"], _numbers(labelled, data), rhythm) if timed else None
    data = as_forecast(desk, data, season, rhythm, made=tuple(reading.calendar), timed=timed)
    table, labelled = _with_past(table, data)
    times = None if known is None else known.reindex(table["_row"]).set_axis(table.index)
    rows = judging_rows(len(labelled), rhythm, aim)
    known_entity = wishes.entity if wishes.entity in table else None
    found = find_leaks(
        table,
        data,
        label_time=times,
        entity=known_entity,
        judge_rows=rows,
        made=tuple(reading.calendar),
        allowed=wishes.allow_leak,
        seed=seed,
        threads=threads,
    )
    desk.notes += leaned_notes(found.leaned)
    desk.notes += joined_notes(table, data)
    desk.notes += _crossing_notes(table, data, wishes.entity, rows, reading.calendar)
    worth = (
        None
        if found.refused or not desk.in_order
        else first_fit(labelled, data, loss=aim.loss, season=season, confidence=confidence, seed=seed, threads=threads)
    )
    if not found.refused and desk.in_order:
        floors = floors_of(aim, season)
        desk.notes += worth_notes(
            worth,
            loss=aim.loss,
            confidence=confidence,
            judge_rows=rows,
            floors=floors,
            looks_back=timed and not data.history.features,
        )
    block = _block(worth, labelled["_event"], series=bool(desk.series), judge_rows=rows)
    every = len(labelled) + round(raw.before * len(labelled) / raw.rows)
    choices = sizes(
        every,
        rhythm,
        aim,
        judge_rows=judging_rows(every, rhythm, aim),
        block_rows=max(block, 1),
        season=season,
        features=len(data.features),
    )
    suite = _suite(table, data, reading, rhythm)
    desk.notes.append(TableNote("loss", data.target, aim.why, f"judge.loss: {aim.loss}"))
    desk.notes += imbalance_notes(aim, data.target)
    came = None if known is None else known.reindex(frame["_row"]).set_axis(frame.index)
    return WorkspaceDraft(
        data,
        reading,
        {**choices, **chosen},
        aim,
        rhythm,
        suite,
        desk.notes,
        found.refused,
        found.allowed,
        frame,
        worth,
        season,
        came,
        wishes.label_time or "",
        known_entity,
    )


def _table(frame: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    event = frame[data.time]
    due = frame[data.due] if data.due else event + pd.Timedelta(data.label_horizon or 0)
    table = frame.assign(_event=event, _due=due)
    return table.sort_values(["_event", "_row"], kind="stable", ignore_index=True)


def _lived(table: pd.DataFrame, known: pd.Series | None, delays: LabelDelays | None) -> LabelledHistory | None:
    if known is None or delays is None:
        return None
    return LabelledHistory(table, known.reindex(table["_row"]).set_axis(table.index), delays)


def _block(worth: FirstFit | None, event: pd.Series, *, series: bool, judge_rows: int) -> int:
    """For how many rows the first model's errors stay alike; a twentieth of those that judge where there is none."""
    if worth is None:
        return max(judge_rows // 20, 1)
    most = max(judge_rows // 8, 1)
    if series:
        return alike_rows_of_series(worth.model, event.iloc[-worth.rows :], most=most)
    return alike_rows(worth.model, most=most)


def _with_past(table: pd.DataFrame, data: DataParams) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The table with the features from its past, and of it the rows with a label."""
    table = with_past(table, data, data.history)
    return table, table[table[data.target].notna()].reset_index(drop=True)


def _numbers(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    wanted = data.positive if data.positive is not None else rows[data.target].mode().iloc[0]
    return (rows[data.target] == wanted).to_numpy(dtype="float64")


def _crossing_notes(
    table: pd.DataFrame, data: DataParams, entity: str | None, judge_rows: int, made: Collection[str]
) -> list[TableNote]:
    known = entity if entity in table else None
    counted = crossing(table, data, entity=known, judge_rows=judge_rows, made=made)
    notes = []
    if counted["duplicates"] > 0.01 * judge_rows and len(data.features) - len(made) > 1:
        seen = (
            f"{counted['duplicates']} of {judge_rows} judging rows are in training too, cell for "
            "cell but for time and key"
        )
        if counted["usual"] > USUAL_TWINS:
            done = "so are rows within training: the features have few values, and rows are alike by chance"
            notes.append(TableNote("duplicates", "", seen, done))
        else:
            notes.append(TableNote("duplicates", "", seen, "the judged loss is too good by that much", "warn"))
    if counted.get("shared"):
        seen = f"{counted['shared']} of {judge_rows} judging rows are of entities that training has seen"
        notes.append(
            TableNote("entity", str(entity), seen, "the figures hold for entities that are known, not for new ones")
        )
    return notes


def _suite(table: pd.DataFrame, data: DataParams, reading: ReadingParams, rhythm: Rhythm) -> list[ExpectationDraft]:
    half = len(table) // 2
    later = table.iloc[half:]
    number = ((later["_event"] - later["_event"].iloc[0]) // pd.Timedelta(data.batch_every)).to_numpy()
    if reading.arrival is not None:
        number = np.arange(len(later)) // max(rhythm.batch_rows, 1)
    batches = [rows for _, rows in later.groupby(number, sort=True)]
    return draft_suite(table.iloc[:half], batches, data, reading)
