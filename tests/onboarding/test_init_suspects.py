"""A column on which a first model leans, or that fixes one class, is asked about: is it known before the event?"""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.onboarding.desk import Ask, InitRequest
from retrim.onboarding.draft import WorkspaceDraft, draft
from retrim.profile.class_leaks import class_leak, is_known_before
from retrim.profile.too_good import find_leaks, suspects_of
from retrim.reading.raw import read_raw
from retrim.yaml_files import load_yaml
from tests.builders.leak_forms import declared
from tests.builders.raw_tables import csv, empty_workspace, hours, said, set_up

ROWS = 1200
WHICH = ("load", "speed", "heat", "age", "oil")


def machines(seed: int = 7, rows: int = ROWS) -> pd.DataFrame:
    """Machines that break or not, by five columns alike, all of which are known before."""
    rng = np.random.default_rng(seed)
    columns = {name: rng.normal(size=rows).round(3) for name in WHICH}
    risk = 2 * sum(columns.values()) - 0.5
    broken = rng.random(rows) < 1 / (1 + np.exp(-risk))
    return pd.DataFrame({"at": hours(rows), **columns, "broken": np.where(broken, "yes", "no")})


def with_faults(rows: int = ROWS) -> pd.DataFrame:
    """The same, with what was found when the machine was opened."""
    frame, rng = machines(rows=rows), np.random.default_rng(8)
    found = np.where(frame["broken"] == "yes", rng.poisson(2.2, rows), rng.poisson(0.25, rows))
    return frame.assign(faults_found=found)


def answering(answer: str, asked: list[str]) -> Ask:
    """Answers what is asked about a column, accepts all other proposals; `asked` gets the questions."""

    def ask(question: str, proposal: str, _: Sequence[str]) -> str:
        if "known before the event?" not in question:
            return proposal
        asked.append(question)
        return answer or proposal

    return ask


def looked(frame: pd.DataFrame, answer: str = "") -> tuple[WorkspaceDraft, list[str]]:
    """What is drafted, and what was asked; without an answer the proposal is taken, as with --yes."""
    asked: list[str] = []
    wishes = InitRequest(target="broken", model="own")
    ask = answering(answer, asked)
    drafted = draft(read_raw(csv(frame), "table"), wishes, ask=ask, confidence=0.95, seed=7, threads=1)
    return drafted, asked


def test_a_column_that_is_leant_on_is_the_one_question_and_marked_where_nobody_answers() -> None:
    drafted, asked = looked(with_faults())
    worth = said(drafted, "worth a model")

    assert [question.split(" ")[0] for question in asked] == ["'faults_found'"]
    assert (drafted.data.columns["faults_found"].role, drafted.known_before) == ("feature", {})
    assert [(note.about, note.column) for note in drafted.notes if note.weight == "warn"][:1] == [
        ("known before?", "faults_found")
    ]
    assert worth.startswith("worth a model: only if faults_found is known before the event")
    assert "without: yes" in worth


def test_what_is_known_only_after_the_event_is_forbidden_and_the_rest_is_looked_at_anew() -> None:
    drafted, _ = looked(with_faults(), "no")

    assert drafted.data.columns["faults_found"].role == "forbidden"
    assert "faults_found" not in said(drafted, "leans on")
    assert said(drafted, "worth a model").startswith("worth a model: yes")


def test_what_is_known_before_is_used_without_a_mark() -> None:
    drafted, _ = looked(with_faults(), "yes")

    assert drafted.data.columns["faults_found"].role == "feature"
    assert list(drafted.known_before) == ["faults_found"]
    assert said(drafted, "known before?") == ""


@pytest.mark.parametrize(
    ("answer", "role", "allowed", "questions"), [("yes", "feature", ["faults_found"], 0), ("no", "forbidden", [], 1)]
)
def test_what_was_answered_is_proposed_or_not_asked_anew(
    answer: str, role: str, allowed: list[str], questions: int, tmp_path: Path
) -> None:
    workspace, asked = empty_workspace(tmp_path), list[str]()
    set_up(workspace, csv(with_faults()), target="broken", land=False, ask=answering(answer, []))
    set_up(workspace, csv(with_faults()), target="broken", land=False, again=True, ask=answering("", asked))
    settings = load_yaml(workspace.params.read_text(encoding="utf-8"))

    assert len(asked) == questions
    assert settings["data"]["columns"]["faults_found"]["role"] == role
    assert list(settings.get("leaks", {}).get("allowed", {})) == allowed


# --- a column that fixes one class


def rows_of(columns: dict[str, np.ndarray], answer: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({**columns, "target": answer, "_event": hours(len(answer)), "_due": hours(len(answer))})


def fixed(column: np.ndarray, answer: np.ndarray) -> str:
    leak = class_leak("column", rows_of({"column": column}, answer), declared({"column": column}, answer))
    return "" if leak is None else leak.seen


def answers(share: float, seed: int = 7) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(ROWS) < share, "yes", "no").astype(object)


def one_class_alone() -> dict[str, tuple[np.ndarray, np.ndarray, str]]:
    """Columns, the answers, and what is said of them; nothing where a value has one class by chance or by its time."""
    answer, rng = answers(0.3), np.random.default_rng(8)
    rare, place = answers(0.02), rng.choice(["north", "south", "east"], ROWS, p=[0.1, 0.45, 0.45]).astype(object)
    rare[(rare == "yes") & (place == "north")] = "no"
    early = np.arange(ROWS) < ROWS // 2
    way = np.where((answer == "yes") & (rng.random(ROWS) < 0.3), "escalated", rng.choice(["mail", "phone"], ROWS))
    return {
        "a flag": (np.where((answer == "no") & (rng.random(ROWS) < 0.4), 1, 0), answer, r"is 1 in .* the class 'no'"),
        "a word": (way.astype(object), answer, r".*'escalated'.* the class 'yes'"),
        "a gap": (np.where((answer == "yes") & (rng.random(ROWS) < 0.6), np.nan, 1.0), answer, "is missing in "),
        "too few rows": (place, rare, "$"),
        "the value begins when the class ends": (
            np.where(early, "old", "new").astype(object),
            np.where(early, answers(0.5), "no").astype(object),
            "$",
        ),
    }


@pytest.mark.parametrize(("column", "answer", "seen"), one_class_alone().values(), ids=one_class_alone())
def test_a_value_that_one_class_alone_has_is_a_leak_of_that_class(
    column: np.ndarray, answer: np.ndarray, seen: str
) -> None:
    assert re.match(seen, fixed(column, answer))


# --- honest tables


def test_no_honest_table_is_asked_about() -> None:
    asked = {}
    for seed in range(20):
        frame = machines(seed, rows=600).assign(line=np.random.default_rng(seed).choice(["a", "b"], 600))
        columns = {name: frame[name].to_numpy() for name in (*WHICH, "line")}
        rows, data = rows_of(columns, frame["broken"].to_numpy()), declared(columns, frame["broken"].to_numpy())
        leaks = find_leaks(rows, data, entity=None, judge_rows=60, calendar=(), allowed=(), seed=7, threads=1)
        asked[seed] = suspects_of(rows, data, leaks, calendar=())

    assert {seed: seen for seed, seen in asked.items() if seen} == {}


@pytest.mark.parametrize(
    ("column", "known"),
    [
        (np.arange(ROWS) % 24, True),  # the hour of the event
        (np.roll(np.random.default_rng(7).normal(size=ROWS), 1), True),  # the target of the row before
        (np.random.default_rng(8).normal(size=ROWS), False),
    ],
)
def test_a_column_of_the_calendar_or_of_the_past_is_known(column: np.ndarray, *, known: bool) -> None:
    target = np.random.default_rng(7).normal(size=ROWS)

    assert is_known_before("column", rows_of({"column": column}, target), declared({"column": column}, target)) == known
