"""Drafts the params.yaml and the suite of a raw table. Writes nothing."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrim.decision.accumulated_gain import GainParams
from retrim.decision.retraining_cost import WORTH_FLOOR, YEAR_DAYS, ModelWorth, describe_payback
from retrim.errors import RefusedError
from retrim.onboarding.desk import TIMES_AHEAD, Ask, InitRequest, TablePlan, reading_of
from retrim.onboarding.forecast import as_forecast
from retrim.onboarding.labels import choose_horizon, known_times, labels_of
from retrim.onboarding.past import with_past_of_target
from retrim.onboarding.rows import calendar_of, choose_key, plan_table
from retrim.profile.aim import Aim, note_imbalance
from retrim.profile.drafted_suite import ExpectationDraft, draft_suite
from retrim.profile.first_model import FirstFit, first_fit, saves, worth_notes
from retrim.profile.horizons import LabelHistory
from retrim.profile.leaks import count_twins
from retrim.profile.rhythm import (
    LEAST_ROWS,
    Choices,
    Rhythm,
    TableSeason,
    alike_rows,
    alike_rows_of_series,
    floors_of,
    judging_rows,
    season_of,
    sizes,
)
from retrim.profile.table import Leak, Notes
from retrim.profile.too_good import LeaksFound, find_leaks, leaned_notes, suspects_of
from retrim.reading.raw import RawTable
from retrim.stats.codec import to_record
from retrim.table.data import DataParams, with_past
from retrim.table.derived_columns import with_made
from retrim.table.keys import row_keys
from retrim.table.reading import ReadingParams

ANSWERED = "known before the event, as a person answered retrim init"
"""Why a column is allowed of which that was asked."""
FEW_TWINS = 0.01  # of the holdout rows: so many may be in training too before it is said
USUAL_TWINS = 0.2  # of training rows: where so many have a twin, rows are alike by chance


@dataclass(frozen=True)
class WorkspaceDraft:
    """Everything that was made of a table.

    Args:
        data: The section `data`.
        reading: The section `reading`.
        choices: Other values, by their place in params.yaml.
        suite: Drafted expectations, both kept and dropped.
        notes: What was found and decided.
        leaks: Columns that leak the target and were not allowed.
        allowed: Columns that leak the target and were allowed.
        known_before: Columns that looked like a leak and are known before the event, each with who said so.
        frame: Typed rows in the order of the file, `_row` their place in it; rows that cannot land left out.
        worth: The first model against what is simpler.
        season: Of the target.
        known: When each row's label became known, index of `frame`; None: labels come with their rows.
        label_time: The column that says so; empty: none does.
    """

    data: DataParams
    reading: ReadingParams
    choices: Choices
    aim: Aim
    rhythm: Rhythm
    suite: list[ExpectationDraft]
    notes: Notes
    leaks: list[Leak]
    allowed: list[Leak]
    known_before: dict[str, str]
    frame: pd.DataFrame
    worth: FirstFit | None
    season: TableSeason | None
    known: pd.Series | None
    label_time: str

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
            "choices": {".".join(key): choice.value for key, choice in self.choices.items()},
            "suite": [draft.as_record() for draft in self.suite],
            "notes": [to_record(note) for note in self.notes],
            "leaks": [to_record(leak) for leak in self.leaks],
            "allowed_leaks": [to_record(leak) for leak in self.allowed],
            "worth": None if self.worth is None else {"gains": self.worth.gains, "bounds": self.worth.bounds},
        }


def draft(
    raw: RawTable, wishes: InitRequest, *, ask: Ask, confidence: float, seed: int, threads: int
) -> WorkspaceDraft:
    """Looks at a table and drafts its settings.

    Raises:
        BadInputError: A named column is not there, or cannot be what it was named for.
        RefusedError: Nothing can be made of it: too few rows, or a target that never varies.
    """
    desk, aim, event, rhythm = plan_table(raw, wishes, ask)
    calendar = calendar_of(desk, rhythm) if desk.timed else {}
    reading = reading_of(desk).model_copy(update={"calendar": calendar})
    label_time = known_times(desk, event)
    data = data_of(desk, aim, reading, rhythm, choose_key(desk), labels=labels_of(desk, event))
    frame = _frame_to_land(desk, data, reading, event)
    frame["_known"] = pd.NaT if label_time is None else label_time.set_axis(frame.index)
    table = _table(frame, data)
    history = LabelHistory(table, table["_known"], data.target) if frame["_known"].notna().any() else None
    data, horizon = choose_horizon(desk, aim, rhythm, data, history, seed=seed, threads=threads)
    table = with_past(_table(frame, data), data, data.history)
    labelled = _enough(_labelled(table, data))
    season = season_of(labelled["_event"], _target_numbers(labelled, data), rhythm) if desk.timed else None
    data = as_forecast(desk, data, season, rhythm, calendar=tuple(calendar))
    table = with_past(table, data, data.history)
    labelled = _labelled(table, data)
    judge_rows = judging_rows(len(labelled), rhythm, aim)
    data, leaks, known_before, unsure = _ask_about_leaks(
        desk, table, data, calendar=tuple(calendar), judge_rows=judge_rows, seed=seed, threads=threads
    )
    worth = None
    if desk.in_order and not leaks.refused:
        judge = partial(first_fit, loss=aim.loss, season=season, confidence=confidence, seed=seed, threads=threads)
        past = partial(with_past_of_target, season=season, rhythm=rhythm, calendar=tuple(calendar))
        surely = partial(saves, confidence=confidence, seed=seed)
        data, worth = _first_model(desk, data, aim, table, judge, past, surely, unsure, confidence=confidence)
        table = with_past(table, data, data.history)
    _note_cost(worth, floors_of(aim, season), rhythm, loss=aim.loss, notes=desk.notes)
    n = len(labelled) + round(raw.before * len(labelled) / raw.rows)
    sized = partial(sizes, n, rhythm, aim, judge_rows=judging_rows(n, rhythm, aim), season=season)
    block = _block(worth, labelled["_event"], series=bool(desk.series), judge_rows=judge_rows)
    choices = sized(block_rows=block, features=len(data.features))
    desk.notes.tell("loss", data.target, aim.why, f"judge.loss: {aim.loss}")
    note_imbalance(aim, data.target, desk.notes)
    return WorkspaceDraft(
        data=data,
        reading=reading,
        choices={**choices, **horizon},
        aim=aim,
        rhythm=rhythm,
        suite=_suite(table, data, reading, rhythm),
        notes=desk.notes,
        leaks=leaks.refused,
        allowed=leaks.allowed,
        known_before=known_before,
        frame=frame,
        worth=worth,
        season=season,
        known=frame["_known"] if wishes.label_time else None,
        label_time=wishes.label_time or "",
    )


def _enough(labelled: pd.DataFrame) -> pd.DataFrame:
    if len(labelled) < LEAST_ROWS:
        raise RefusedError(
            f"{len(labelled)} labelled rows are too few to train and evaluate a model; pass at least {LEAST_ROWS}"
        )
    return labelled


def data_of(
    desk: TablePlan, aim: Aim, reading: ReadingParams, rhythm: Rhythm, key: list[str], *, labels: str
) -> DataParams:
    """The section; without a column that says when labels are due, the horizon is 0 until one is chosen."""
    columns: dict[str, dict[str, Any]] = {}
    if reading.arrival is not None:
        columns[reading.arrival] = {"type": "time", "role": "time"}
    for name, column in desk.columns.items():
        if not column.skip and name != desk.wishes.label_time:
            columns[name] = {"type": column.type, "role": column.role}
    if aim.rest:
        columns[desk.wishes.target]["rest"] = list(aim.rest)
    columns |= {name: {"type": "integer", "role": "feature"} for name in reading.calendar}
    if all(column["role"] != "feature" for column in columns.values()):
        raise RefusedError(
            "no column is left to predict from; add a usable column to the file. Notes on its columns: "
            + "; ".join(str(note) for note in desk.notes if note.column)[:600]
        )
    return DataParams.model_validate(
        {
            "model": desk.wishes.model,
            "columns": columns,
            "key": key,
            "task": aim.task,
            "positive": aim.positive,
            "labels": labels,
            "label_horizon": None if desk.wishes.label_due else "0h",
            "batch_every": rhythm.batch_every,
            "times_ahead": TIMES_AHEAD,
            "suite": f"expectations/{desk.wishes.model}.json",
            "rows": {"where": []},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
        }
    )


def _note_cost(worth: FirstFit | None, floors: Sequence[str], rhythm: Rhythm, *, loss: str, notes: Notes) -> None:
    """Notes what the default retraining cost is for a first model, if there is one."""
    if worth is None:
        return
    gain = GainParams()
    model = ModelWorth(float(worth.model.mean()), worth.naive_loss(floors))
    cost = gain.cost_in_loss(model)
    checks_of_year = pd.Timedelta(days=YEAR_DAYS) / pd.Timedelta(rhythm.batch_every)
    payback = describe_payback(cost, model, loss=loss, worst_loss=None, checks_of_year=checks_of_year)
    least = "" if model.is_above_floor else f", counted as {WORTH_FLOOR:.0%} of its loss"
    seen = f"{loss} {cost:.3g} over one batch: {gain.cost:g} of what a first model is worth there, {model.worth:.3g}"
    notes.tell("cost", "", f"{seen}{least}", f"a retraining {payback}; from money: retrim settings --cost")


def _frame_to_land(desk: TablePlan, data: DataParams, reading: ReadingParams, event: pd.Series) -> pd.DataFrame:
    """Typed rows that can land, in the order of the file, with what is made of them."""
    typed = desk.values
    frame = pd.DataFrame({name: typed[name] for name in data.columns if name in typed}).iloc[desk.rows]
    frame = frame.assign(_row=desk.rows).reset_index(drop=True)
    if reading.arrival is not None:
        frame[reading.arrival] = event.reset_index(drop=True)
    frame = with_made(frame, data, reading.model_copy(update={"arrival": None}), arrives=pd.Timestamp(0, tz="UTC"))
    return frame.assign(_key=row_keys(frame, data.key, "raw"))


def _ask_about_leaks(
    desk: TablePlan,
    table: pd.DataFrame,
    data: DataParams,
    *,
    calendar: tuple[str, ...],
    judge_rows: int,
    seed: int,
    threads: int,
) -> tuple[DataParams, LeaksFound, dict[str, str], tuple[str, ...]]:
    """Asks of each column that may be known only after the event whether it is known before; notes are added.

    Returns:
        What the table is; what gives the answer away; columns that are known before the event, each with who said so;
        columns of which nobody knows.
    """
    wishes, labelled = desk.wishes, _labelled(table, data)
    search = partial(
        find_leaks,
        table,
        entity=wishes.entity if wishes.entity in table else None,
        judge_rows=judge_rows,
        calendar=calendar,
        allowed=wishes.allow_leak,
        seed=seed,
        threads=threads,
    )
    leaks = search(data)
    reasons = dict(wishes.known_before) | dict.fromkeys(wishes.allow_leak, wishes.reason)
    known_before: dict[str, str] = {}
    unsure: dict[str, str] = {}
    while not leaks.refused:
        suspects = suspects_of(labelled, data, leaks, calendar=(*calendar, wishes.entity or ""))
        known_before |= {name: reasons[name] for name in suspects if name in reasons}
        column = next((name for name in suspects if name not in known_before and name not in unsure), None)
        if column is None:
            break
        seen, proposal = suspects[column], "no" if column in wishes.known_after else "unsure"
        answer = desk.ask(f"{column!r} ({seen}): is it known before the event?", proposal, ("yes", "no", "unsure"))
        # Unless somebody answers, a column stays as params.yaml has it, and is marked where that says nothing.
        if answer == "yes":
            known_before[column] = ANSWERED
        elif answer == "unsure":
            unsure[column] = seen
        else:
            done = f"not known before the event: forbidden; to use it: --allow-leak {column!r} --reason WHY"
            desk.notes.tell("known after", column, seen, done)
            data = _without(data, (column,))
            leaks = search(data)
    for column, seen in unsure.items():
        done = f"kept, but is it known before the event? If not: --forbid {column!r}; if it is: --allow-leak {column!r}"
        desk.notes.warn("known before?", column, seen, f"{done} --reason WHY")
    desk.notes += leaned_notes(leaks.leaned)
    _note_twins(table, data, judge_rows, calendar, desk.notes)
    return data, leaks, known_before, tuple(unsure)


def _without(data: DataParams, names: Collection[str]) -> DataParams:
    """The table with these columns forbidden to the model."""
    columns = {
        name: column.model_copy(update={"role": "forbidden"}) if name in names else column
        for name, column in data.columns.items()
    }
    return data.model_copy(update={"columns": columns})


def _table(frame: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    event = frame[data.time]
    due = frame[data.due] if data.due else event + pd.Timedelta(data.label_horizon or 0)
    table = frame.assign(_event=event, _due=due)
    return table.sort_values(["_event", "_row"], kind="stable", ignore_index=True)


def _block(worth: FirstFit | None, event: pd.Series, *, series: bool, judge_rows: int) -> int:
    """For how many rows the first model's errors stay alike; a twentieth of those that judge where there is none."""
    if worth is None:
        return max(judge_rows // 20, 1)
    most = max(judge_rows // 8, 1)
    if series:
        return alike_rows_of_series(worth.model, event.iloc[-worth.rows :], most=most)
    return alike_rows(worth.model, most=most)


def _labelled(table: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    return table[table[data.target].notna()].reset_index(drop=True)


def _first_model(
    desk: TablePlan,
    data: DataParams,
    aim: Aim,
    table: pd.DataFrame,
    judge: Callable[[pd.DataFrame, DataParams], FirstFit | None],
    past: Callable[..., tuple[DataParams, FirstFit]],
    saves: Callable[[FirstFit, FirstFit], bool],
    unsure: tuple[str, ...],
    *,
    confidence: float,
) -> tuple[DataParams, FirstFit | None]:
    """The section with the past that helps a first model, and that model; notes say whether it is worth training."""

    def fit(section: DataParams) -> FirstFit | None:
        return judge(_labelled(with_past(table, section, section.history), section), section)

    worth = fit(data)
    if worth is not None:
        data, worth = past(desk, data, _labelled(table, data), worth, fit, saves)
    without = fit(_without(data, unsure)) if unsure else None
    desk.notes += worth_notes(worth, loss=aim.loss, confidence=confidence, unsure=unsure, without=without)
    return data, worth


def _target_numbers(rows: pd.DataFrame, data: DataParams) -> np.ndarray:
    if data.task == "regression":
        return rows[data.target].to_numpy(dtype="float64")
    wanted = data.positive if data.positive is not None else rows[data.target].mode().iloc[0]
    return (rows[data.target] == wanted).to_numpy(dtype="float64")


def _note_twins(
    table: pd.DataFrame, data: DataParams, judge_rows: int, calendar: tuple[str, ...], notes: Notes
) -> None:
    """Notes holdout rows that stand in training too, where they are too few to be a leak."""
    counted = count_twins(table.iloc[:-judge_rows], table.iloc[-judge_rows:], data, calendar)
    if counted is None or counted[0] <= FEW_TWINS * judge_rows:
        return
    seen = f"{counted[0]} of {judge_rows} holdout rows are in training too, identical except for time and key"
    if counted[1] > USUAL_TWINS:
        done = "training rows repeat as often: the features have few values, so rows are identical by chance"
        notes.tell("duplicates", "", seen, done)
    else:
        notes.warn("duplicates", "", seen, "the measured loss is therefore too low")


def _suite(table: pd.DataFrame, data: DataParams, reading: ReadingParams, rhythm: Rhythm) -> list[ExpectationDraft]:
    half = len(table) // 2
    later = table.iloc[half:]
    number = ((later["_event"] - later["_event"].iloc[0]) // pd.Timedelta(data.batch_every)).to_numpy()
    if reading.arrival is not None:
        number = np.arange(len(later)) // max(rhythm.batch_rows, 1)
    batches = [rows for _, rows in later.groupby(number, sort=True)]
    return draft_suite(table.iloc[:half], batches, data, reading)
