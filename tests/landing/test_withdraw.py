"""A landed batch that is taken back: gone at once, and nothing that was made with it changes."""

import re
from pathlib import Path

import pandas as pd
import pytest

from retrim.cli.answers import find_versions
from retrim.cli.screens.decisions import version_report
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import known_table, read_as_of, withdrawn_batches
from retrim.landing.withdraw import listed_batches, show_batch, withdraw
from retrim.lineage.workspace import Workspace
from retrim.settings import Params
from tests.builders.counter import GOOD, HEADER, NEXT, Counter
from tests.builders.desk import Desk, make_desk

AGAIN = HEADER + "2024-01-01T10:00:00Z,1,0.7,2,NL,9.5\n"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Two batches of two days each, and a label of a row of each that came later."""
    desk = make_desk(tmp_path / "d", labels="later")
    for day in (2, 4):
        desk.land(desk.rows(day - 2, day).assign(outcome=float("nan")), day)
    desk.land(desk.rows(0, 4).iloc[[0, 60]], 5, kind="labels")
    return desk


def batches(desk: Desk) -> list[str]:
    return [batch.batch for batch in listed_batches(desk.workspace)]


def take_back(desk: Desk, name: str, at: float) -> bool:
    return withdraw(desk.workspace, name, by="ada", reason="sent by mistake", now=desk.day(at)).fresh


def test_rows_are_gone_whatever_the_as_of_date(desk: Desk) -> None:
    take_back(desk, batches(desk)[1], 6)

    assert [len(known_table(desk.workspace, as_of=desk.day(day))) for day in (5.9, 6)] == [48, 48]


def test_the_view_as_then_has_rows_until_they_were_withdrawn(desk: Desk) -> None:
    take_back(desk, batches(desk)[1], 6)

    assert [len(read_as_of(desk.workspace, as_of=desk.day(day), as_then=True)) for day in (5.9, 6)] == [96, 48]


def test_a_second_withdrawal_changes_nothing(desk: Desk) -> None:
    name = batches(desk)[0]

    assert [take_back(desk, name, day) for day in (6, 7)] == [True, False]
    assert desk.workspace.landing.withdrawals()[name].at == desk.day(6)


def test_a_view_of_before_is_never_changed(desk: Desk) -> None:
    last = max(batch.arrived for batch in desk.workspace.landing.batches())
    with pytest.raises(BadInputError, match=f"^the time {re.escape(str(desk.day(5)))} .*{re.escape(str(last))}"):
        take_back(desk, batches(desk)[0], 5)


def test_who_and_why_are_asked_and_kept(desk: Desk) -> None:
    name = batches(desk)[0]
    with pytest.raises(BadInputError, match="--reason"):
        withdraw(desk.workspace, name, by="ada", reason=" ", now=desk.day(6))
    take_back(desk, name, 6)
    kept = show_batch(desk.workspace, name).withdrawn

    assert kept is not None
    assert (kept.by, kept.reason, kept.at) == ("ada", "sent by mistake", desk.day(6))


def test_a_withdrawal_that_was_altered_is_refused(desk: Desk) -> None:
    take_back(desk, batches(desk)[0], 6)
    (path,) = (desk.workspace.landing.root / "withdrawn").glob("*.json")
    path.write_text(path.read_text(encoding="utf-8").replace("ada", "eve"), encoding="utf-8")

    with pytest.raises(RefusedError, match="altered"):
        known_table(desk.workspace, as_of=desk.day(7))


def test_versions_made_with_it_are_named(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "d")
    for until in (7, 14):
        desk.land(desk.rows(until - 7, until), until)
    desk.make_version(14)
    take_back(desk, batches(desk)[0], 15)
    desk.land(desk.rows(14, 21), 21)
    desk.make_version(21)
    name = batches(desk)[0]

    assert [record.withdrawn for record in find_versions(desk.workspace)] == [[name], []]
    assert ("withdrawn batches", name) in version_report(desk.workspace, 1)[0].pairs
    assert show_batch(desk.workspace, name).versions == [1]
    assert [len(withdrawn_batches(desk.workspace, version)) for version in (1, 2)] == [1, 0]


def test_a_version_as_of_before_the_withdrawal_is_made_without_the_batch(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "d")
    for until in (7, 14):
        desk.land(desk.rows(until - 7, until), until)
    take_back(desk, batches(desk)[1], 15)
    version = desk.make_version(14)

    assert withdrawn_batches(desk.workspace, version) == []
    assert show_batch(desk.workspace, batches(desk)[1]).versions == []


def test_the_pieces_of_a_large_file_go_together(desk: Desk) -> None:
    frame = desk.rows(4, 6).assign(_key=[f"{n:.0f}" for n in desk.rows(4, 6)["number"]])
    facts = {"arrived": desk.day(6), "correction": False, "released": "", "of": "ab" * 32}
    with desk.workspace.landing.locked():
        for digest, part in (("1" * 64, frame.iloc[:24]), ("2" * 64, frame.iloc[24:])):
            desk.workspace.landing.land("rows", part, digest=digest, **facts)
    take_back(desk, "abab", 7)

    assert sorted(desk.workspace.landing.withdrawals()) == ["1" * 16, "2" * 16]


class TestAtTheCounter:
    @pytest.fixture
    def workspace(self, counter: Counter) -> Workspace:
        return Workspace(counter.workspace, Params.model_construct(data=counter.data), Env())

    def back(self, workspace: Workspace, counter: Counter, which: int) -> None:
        counter.now += pd.Timedelta("1D")
        withdraw(workspace, counter.landed[which], by="ada", reason="another shop", now=counter.now)

    def test_the_earlier_values_are_back_after_a_correction_is_withdrawn(
        self, workspace: Workspace, counter: Counter
    ) -> None:
        counter.land(GOOD)
        counter.land(AGAIN, correction=True)
        self.back(workspace, counter, 1)
        known = known_table(workspace, as_of=counter.now).set_index("_key")

        assert known.loc["1", "weight"] == 0.5

    def test_keys_that_only_it_had_are_free_again(self, workspace: Workspace, counter: Counter) -> None:
        counter.land(GOOD)
        counter.land(NEXT)
        self.back(workspace, counter, 0)

        assert counter.land(AGAIN).outcome == "landed"

    def test_the_same_file_is_refused_with_the_reason(self, workspace: Workspace, counter: Counter) -> None:
        counter.land(GOOD)
        self.back(workspace, counter, 0)

        with pytest.raises(RefusedError, match=r"withdrawn on .* by ada .*another shop"):
            counter.land(GOOD)

    def test_the_cure_of_that_refusal_lands_the_rows(
        self, workspace: Workspace, counter: Counter, tmp_path: Path
    ) -> None:
        counter.land(GOOD)
        self.back(workspace, counter, 0)
        path = tmp_path / "same.parquet"
        pd.read_csv(counter.file(GOOD), parse_dates=["at"]).to_parquet(path)

        assert counter.land(path).outcome == "landed"
