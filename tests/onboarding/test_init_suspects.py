"""A column on which a first model leans, or that fixes one class, is asked about: is it known before the event?"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.files import WorkspacePaths, load_yaml
from retrim.onboarding.desk import Ask, InitRequest
from retrim.onboarding.draft import WorkspaceDraft, draft
from retrim.onboarding.init import inspect_table, replaced, settle_request
from retrim.profile.class_leaks import class_leak, is_known_before
from retrim.profile.too_good import find_leaks, suspects_of
from retrim.reading.raw import read_raw
from tests.builders.leak_forms import declared
from tests.builders.raw_tables import csv, hours, said
from tests.builders.world import REPOSITORY

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


def test_a_column_that_is_leant_on_is_the_one_question() -> None:
    _, asked = looked(with_faults())

    assert [question.split(" ")[0] for question in asked] == ["'faults_found'"]


def test_where_nobody_answers_it_is_kept_and_marked() -> None:
    drafted, _ = looked(with_faults())

    assert drafted.data.columns["faults_found"].role == "feature"
    assert [(note.about, note.column) for note in drafted.notes if note.weight == "warn"][:1] == [
        ("known before?", "faults_found")
    ]
    assert drafted.known_before == {}


def test_what_a_model_is_worth_hangs_on_the_answer() -> None:
    drafted, _ = looked(with_faults())

    assert said(drafted, "worth a model").startswith("worth a model: only if faults_found is known before the event")
    assert "without: yes" in said(drafted, "worth a model")


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


class TestAgain:
    @pytest.fixture
    def workspace(self, tmp_path: Path) -> WorkspacePaths:
        for name in ("params.yaml", "dvc.yaml"):
            (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
        (tmp_path / "machines.csv").write_bytes(csv(with_faults()))
        return WorkspacePaths(tmp_path)

    def set_up(self, workspace: WorkspacePaths, answer: str, *, again: bool = False) -> list[str]:
        """The questions that were asked."""
        asked: list[str] = []
        wishes, what = InitRequest(target="broken", model="own"), replaced(workspace) if again else None
        table = inspect_table(workspace, str(workspace.root / "machines.csv"), wishes, ask=answering(answer, asked))
        settle_request(workspace, table, reason="", land_history=False, overwrite=True, commit=False, again=what)
        return asked

    def test_what_is_known_before_is_not_asked_anew(self, workspace: WorkspacePaths) -> None:
        self.set_up(workspace, "yes")
        asked = self.set_up(workspace, "", again=True)

        assert asked == []
        assert list(load_yaml(workspace.params.read_text(encoding="utf-8"))["leaks"]["allowed"]) == ["faults_found"]

    def test_what_is_known_after_stays_forbidden(self, workspace: WorkspacePaths) -> None:
        self.set_up(workspace, "no")
        self.set_up(workspace, "", again=True)
        columns = load_yaml(workspace.params.read_text(encoding="utf-8"))["data"]["columns"]

        assert columns["faults_found"]["role"] == "forbidden"


# --- a column that fixes one class


def rows_of(columns: dict[str, np.ndarray], answer: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({**columns, "target": answer, "_event": hours(len(answer)), "_due": hours(len(answer))})


def fixed(column: np.ndarray, answer: np.ndarray) -> str:
    leak = class_leak("column", rows_of({"column": column}, answer), declared({"column": column}, answer))
    return "" if leak is None else leak.seen


def answers(share: float, seed: int = 7) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(ROWS) < share, "yes", "no").astype(object)


def test_a_flag_that_is_0_wherever_the_answer_is_yes_is_a_leak_of_the_other_class() -> None:
    answer = answers(0.3)
    flag = np.where((answer == "no") & (np.random.default_rng(8).random(ROWS) < 0.4), 1, 0)

    assert fixed(flag, answer).startswith("is 1 in ")
    assert "a leak of the class 'no'" in fixed(flag, answer)


def test_a_word_that_one_class_alone_has_is_a_leak_of_that_class() -> None:
    answer, rng = answers(0.3), np.random.default_rng(8)
    way = np.where((answer == "yes") & (rng.random(ROWS) < 0.3), "escalated", rng.choice(["mail", "phone"], ROWS))

    assert "'escalated'" in fixed(way.astype(object), answer)


def test_a_missing_cell_that_one_class_alone_has_is_a_leak_of_that_class() -> None:
    answer, rng = answers(0.3), np.random.default_rng(8)
    when = np.where((answer == "yes") & (rng.random(ROWS) < 0.6), np.nan, rng.normal(size=ROWS))

    assert fixed(when, answer).startswith("is missing in ")


def test_a_value_with_too_few_rows_may_have_one_class_by_chance() -> None:
    answer = answers(0.02)
    place = np.random.default_rng(8).choice(["north", "south", "east"], ROWS, p=[0.1, 0.45, 0.45]).astype(object)
    answer[(answer == "yes") & (place == "north")] = "no"

    assert fixed(place, answer) == ""


def test_a_value_that_begins_when_a_class_ends_is_no_leak() -> None:
    answer = np.where(np.arange(ROWS) < ROWS // 2, answers(0.5), "no").astype(object)
    system = np.where(np.arange(ROWS) < ROWS // 2, "old", "new").astype(object)

    assert fixed(system, answer) == ""


# --- honest tables


def test_no_honest_table_is_asked_about() -> None:
    asked = {}
    for seed in range(20):
        frame = machines(seed, rows=600).assign(line=np.random.default_rng(seed).choice(["a", "b"], 600))
        columns = {name: frame[name].to_numpy() for name in (*WHICH, "line")}
        rows, data = rows_of(columns, frame["broken"].to_numpy()), declared(columns, frame["broken"].to_numpy())
        leaks = find_leaks(
            rows, data, label_time=None, entity=None, judge_rows=60, calendar=(), allowed=(), seed=7, threads=1
        )
        asked[seed] = suspects_of(rows, data, leaks, calendar=())

    assert {seed: seen for seed, seen in asked.items() if seen} == {}


@pytest.mark.parametrize(
    "column",
    [np.arange(ROWS) % 24, np.roll(np.random.default_rng(7).normal(size=ROWS), 1)],
    ids=["the hour of the event", "the target of the row before"],
)
def test_a_column_that_can_be_no_leak_is_known(column: np.ndarray) -> None:
    target = np.random.default_rng(7).normal(size=ROWS)

    assert is_known_before("column", rows_of({"column": column}, target), declared({"column": column}, target))


def test_another_column_may_be_one() -> None:
    column, target = np.random.default_rng(7).normal(size=(2, ROWS))

    assert not is_known_before("column", rows_of({"column": column}, target), declared({"column": column}, target))
