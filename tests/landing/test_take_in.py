"""A large file lands as several batches: the same table as whole, once, each piece judged alone."""

import json
from itertools import islice, pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.landing import examine
from retrim.landing.inbox import TAKEN, take_from_inbox
from retrim.landing.ingest import Landed, release_quarantined
from retrim.landing.take_in import large_file, take_in
from retrim.lineage.workspace import tell_suspicious
from retrim.reading.landed import facts_of
from retrim.table.data import assemble
from retrim.table.derived_columns import APART
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.landed import read_landed

PIECE_MB = 0.002
DAYS = 8
SUITE = '{"name": "none", "expectations": [{"type": "expect_column_values_to_be_between", "kwargs": %s}]}'
BOUND = '{"column": "level", "max_value": 1000}'


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    set_pieces(monkeypatch, PIECE_MB)


def set_pieces(monkeypatch: pytest.MonkeyPatch, megabytes: float) -> None:
    """Cuts files of more than so many megabytes into pieces of this size."""
    monkeypatch.setattr("retrim.landing.take_in.PIECE_MB", megabytes)


def fresh(folder: Path, **changes: Any) -> Desk:
    """A desk at which a file of more than `PIECE_MB` megabytes is large."""
    desk = make_desk(folder, changes={"batches": {"skip": "all"}}, **changes)
    suite = desk.workspace.paths.root / desk.workspace.params.data.suite
    suite.write_text(SUITE % BOUND, encoding="utf-8")
    return desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return fresh(tmp_path / "workspace")


def file_of(desk: Desk, frame: pd.DataFrame, name: str = "history.csv") -> Path:
    path = desk.workspace.paths.root / name
    frame.to_csv(path, index=False)
    return path


def hand_in(desk: Desk, path: Path, **how: Any) -> list[Landed]:
    asked = {"now": desk.day(DAYS), "labels": False, "correction": False, **how}
    return list(take_in(desk.workspace, path, large=large_file(desk.workspace, path), **asked))


def table(desk: Desk) -> pd.DataFrame:
    """All that has landed, without the names of the batches."""
    found = assemble(*read_landed(desk.workspace.landing.root), desk.workspace.params.data, as_of=desk.day(99))
    return found.drop(columns=["_batch", "_arrived"], errors="ignore")


def tree(desk: Desk) -> dict[str, bytes]:
    root = desk.workspace.landing.root
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("rows-*.parquet*")}


class TestAFileInPieces:
    def test_is_the_table_that_it_is_whole(self, desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        frame = desk.rows(0, DAYS)
        pieces = hand_in(desk, file_of(desk, frame))
        whole = fresh(tmp_path / "whole")
        set_pieces(monkeypatch, 1)
        (one,) = hand_in(whole, file_of(whole, frame))

        assert len(pieces) > 5
        assert {each.outcome for each in [*pieces, one]} == {"landed"}
        pd.testing.assert_frame_equal(table(desk), table(whole))

    def test_says_of_each_batch_which_part_it_is(self, desk: Desk) -> None:
        path = file_of(desk, desk.rows(0, DAYS))
        large = large_file(desk.workspace, path)
        parts = [landed.part for landed in hand_in(desk, path)]

        assert large is not None
        assert [part.number for part in parts if part] == list(range(1, len(large.counts) + 1))
        assert {facts_of(batch.path).of for batch in desk.workspace.landing.batches()} == {large.of}

    def test_lands_once(self, desk: Desk) -> None:
        path = file_of(desk, desk.rows(0, DAYS))
        first = hand_in(desk, path)
        before = tree(desk)
        again = hand_in(desk, path, now=desk.day(DAYS + 1))

        assert [each.batch for each in again] == [each.batch for each in first]
        assert {each.outcome for each in again} == {"already"}
        assert tree(desk) == before

    def test_goes_on_where_it_was_ended(self, desk: Desk, tmp_path: Path) -> None:
        other = fresh(tmp_path / "other")
        for each in (desk, other):
            file_of(each, desk.rows(0, DAYS))
        path = desk.workspace.paths.root / "history.csv"
        how: dict[str, Any] = {"now": desk.day(DAYS), "labels": False, "correction": False}
        begun = list(islice(take_in(desk.workspace, path, large=large_file(desk.workspace, path), **how), 2))
        outcomes = [each.outcome for each in hand_in(desk, path)]
        hand_in(other, other.workspace.paths.root / "history.csv")

        assert outcomes == ["already"] * len(begun) + ["landed"] * (len(outcomes) - 2)
        assert tree(desk) == tree(other)

    def test_that_landed_whole_before_is_known(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file_of(desk, desk.rows(0, DAYS))
        set_pieces(monkeypatch, 1)
        (whole,) = hand_in(desk, path)
        set_pieces(monkeypatch, PIECE_MB)

        assert [(each.outcome, each.batch) for each in hand_in(desk, path)] == [("already", whole.batch)]

    def test_that_landed_in_other_pieces_is_refused(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        path = file_of(desk, desk.rows(0, DAYS))
        hand_in(desk, path)
        set_pieces(monkeypatch, PIECE_MB * 2)

        with pytest.raises(
            BadInputError, match=r"different chunks .*cuts files otherwise since; land the missing rows"
        ):
            hand_in(desk, path)

    def test_with_a_key_twice_far_apart_is_set_aside_where_it_comes_again(self, desk: Desk) -> None:
        frame = desk.rows(0, DAYS)
        outcomes = hand_in(desk, file_of(desk, pd.concat([frame, frame.iloc[:1]])))

        assert {each.outcome for each in outcomes[:-1]} == {"landed"}
        assert outcomes[-1].outcome == "quarantined"
        (fault,) = outcomes[-1].faults
        assert (fault.column, "--correction" in fault.cure) == ("_key", True)  # its twin landed in another piece

    def test_of_other_columns_is_looked_at_no_further(self, desk: Desk) -> None:
        (only,) = hand_in(desk, file_of(desk, desk.rows(0, DAYS).rename(columns={"level": "height"})))

        assert only.outcome == "quarantined"

    def test_whose_times_are_made_as_it_lands_keeps_its_order(self, tmp_path: Path) -> None:
        desk = with_params(fresh(tmp_path / "made"), reading={"arrival": "at"})
        frame = desk.rows(0, DAYS)
        hand_in(desk, file_of(desk, frame.drop(columns="at")))
        rows = read_landed(desk.workspace.landing.root)[0].sort_values("number")

        assert rows["at"].max() == desk.day(DAYS)
        assert (rows["at"].diff().dropna() == APART).all()

    def test_with_equal_pieces_is_refused_where_rows_have_no_key(self, desk: Desk) -> None:
        desk = with_params(desk, data={**desk.workspace.params.data.model_dump(), "key": ()})
        path = file_of(desk, pd.concat([desk.rows(0, DAYS).iloc[[0]]] * 1000))

        with pytest.raises(BadInputError, match=r"equal chunks land only once; .*data\.key"):
            hand_in(desk, path)
        assert tree(desk) == {}

    @pytest.mark.slow
    @pytest.mark.parametrize("seconds", [0, 1])
    def test_whose_times_are_made_as_it_lands_follows_the_file_before(self, tmp_path: Path, seconds: float) -> None:
        desk = with_params(fresh(tmp_path / "made"), reading={"arrival": "at"})
        frame = desk.rows(0, DAYS).drop(columns="at")
        for number in range(2):
            now = desk.day(DAYS) + number * pd.Timedelta(seconds=seconds)
            file = frame.assign(number=frame["number"] + number * len(frame))
            hand_in(desk, file_of(desk, file, f"{number}.csv"), now=now)
        rows = read_landed(desk.workspace.landing.root)[0].sort_values("number")

        assert len(rows) == 2 * len(frame)
        assert (rows["at"].diff().dropna() > pd.Timedelta(0)).all()


class TestAFileOfJSONLinesInPieces:
    """Its first half lacks a column."""

    def hand_in(self, desk: Desk, frame: pd.DataFrame) -> list[Landed]:
        lines = frame.astype({"at": "str"}).to_dict("records")
        for line in lines[: len(lines) // 2]:
            del line["level"]
        path = desk.workspace.paths.root / "history.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return hand_in(desk, path)

    def test_lands_whole(self, desk: Desk) -> None:
        pieces = self.hand_in(desk, desk.rows(0, DAYS))

        assert len(pieces) > 5
        assert {each.outcome for each in pieces} == {"landed"}
        assert table(desk)["level"].isna().mean() == 0.5

    def test_may_be_released_in_part(self, desk: Desk) -> None:
        params, workspace = desk.workspace.params, desk.workspace.paths
        suite = workspace.root / params.data.suite
        suite.write_text(SUITE % BOUND.replace("level", "outcome"), encoding="utf-8")
        frame = desk.rows(0, DAYS)
        frame.loc[0, "outcome"] = 2000
        held, *others = self.hand_in(desk, frame)
        released = release_quarantined(
            held.batch, workspace=workspace, data=params.data, now=desk.day(DAYS + 1), by="a test", reason="so it was"
        )

        assert (held.outcome, released.outcome) == ("quarantined", "landed")
        assert {each.outcome for each in others} == {"landed"}


class TestAFaultyPiece:
    @pytest.fixture
    def broken(self, desk: Desk) -> tuple[Desk, int, list[Landed]]:
        frame = desk.rows(0, DAYS)
        at = len(frame) // 2
        frame.loc[at, "level"] = 2000
        return desk, at, hand_in(desk, file_of(desk, frame))

    def test_is_set_aside_and_the_others_land(self, broken: tuple[Desk, int, list[Landed]]) -> None:
        outcomes = [each.outcome for each in broken[2]]

        assert outcomes.count("quarantined") == 1
        assert set(outcomes) == {"landed", "quarantined"}

    def test_alone_lands_when_the_file_comes_again_with_the_cell_corrected(
        self, broken: tuple[Desk, int, list[Landed]]
    ) -> None:
        desk, _, batches = broken
        again = hand_in(desk, file_of(desk, desk.rows(0, DAYS), "corrected.csv"))
        changed = [new.outcome for new, old in zip(again, batches, strict=True) if new.batch != old.batch]

        assert [each.outcome for each in again].count("already") == len(batches) - 1
        assert changed == ["landed"]

    def test_is_a_piece_still_when_it_is_released(self, broken: tuple[Desk, int, list[Landed]]) -> None:
        desk, _, batches = broken
        (held,) = (each for each in batches if each.outcome == "quarantined")
        params, workspace = desk.workspace.params, desk.workspace.paths
        landed = release_quarantined(
            held.batch, workspace=workspace, data=params.data, now=desk.day(DAYS + 1), by="a test", reason="so it was"
        )

        assert facts_of(landed.path).of == facts_of(batches[0].path).of

    def test_keeps_its_place_when_it_is_released_where_times_are_made(self, tmp_path: Path) -> None:
        desk = with_params(fresh(tmp_path / "made"), reading={"arrival": "at"})
        frame = desk.rows(0, DAYS).drop(columns="at")
        frame.loc[len(frame) // 2, "level"] = 2000
        batches = hand_in(desk, file_of(desk, frame))
        (held,) = (each for each in batches if each.outcome == "quarantined")
        params, workspace = desk.workspace.params, desk.workspace.paths
        how = {"data": params.data, "reading": params.reading, "by": "a test", "reason": "so it was"}
        release_quarantined(held.batch, workspace=workspace, now=desk.day(DAYS + 1), **how)
        rows = read_landed(desk.workspace.landing.root)[0].sort_values("number")

        assert (rows["at"].diff().dropna() == APART).all()


class TestACorrectionInPieces:
    def test_replaces_all_rows_a_second_after_one_another(self, desk: Desk) -> None:
        frame = desk.rows(0, DAYS)
        hand_in(desk, file_of(desk, frame))
        right = file_of(desk, frame.assign(level=frame["level"] + 1), "right.csv")
        corrected = hand_in(desk, right, now=desk.day(DAYS + 1), correction=True)
        arrived = [facts_of(each.path).arrived for each in corrected]

        assert len(corrected) > 5
        assert {later - earlier for earlier, later in pairwise(arrived)} == {pd.Timedelta("1s")}
        assert (table(desk)["level"].to_numpy() == frame["level"].to_numpy() + 1).all()

    @pytest.mark.slow
    def test_waits_for_the_clock(self, desk: Desk) -> None:
        frame = desk.rows(0, 2)
        batches = hand_in(desk, file_of(desk, frame), now=None, correction=True)

        assert len(batches) > 2
        assert {each.outcome for each in batches} == {"landed"}


def test_the_inbox_takes_a_large_file_whole(desk: Desk) -> None:
    inbox = desk.workspace.paths.inbox
    inbox.mkdir(parents=True)
    desk.rows(0, DAYS).to_csv(inbox / "history.csv", index=False)
    landed = list(take_from_inbox(desk.workspace, now=desk.day(DAYS)))

    assert len(landed) > 5
    assert [path.name for path in inbox.iterdir()] == [TAKEN]


def test_the_pieces_of_a_file_are_one_batch_of_history(tmp_path: Path) -> None:
    desk = fresh(tmp_path / "look")
    pieces = hand_in(desk, file_of(desk, desk.rows(0, DAYS)))
    params, landing = desk.workspace.params, desk.workspace.landing
    history = examine._history(landing.standing(), params.data, root=landing.root)

    assert len(pieces) > 1
    assert (len(history.ends), history.counts) == (1, [sum(each.rows for each in pieces)])


def test_a_suspicious_batch_lands_and_raises_an_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = with_params(fresh(tmp_path / "look"), batches={"skip": ()})
    set_pieces(monkeypatch, 1)
    hand_in(desk, file_of(desk, desk.rows(0, 40)), now=desk.day(40))
    rows = desk.rows(40, 48).assign(level=lambda rows: rows["level"].mask(rows.index % 2 == 0))
    (landed,) = hand_in(desk, file_of(desk, rows, "week.csv"), now=desk.day(48))
    (told,) = desk.workspace.store.alerts(desk.workspace.model)

    assert (landed.outcome, landed.verdict) == ("landed", "suspicious")
    assert told.kind == "suspicious batch"
    assert landed.batch in told.text


@pytest.mark.parametrize("next_command", ["ingest", "check"])
def test_a_suspicious_batch_whose_alert_was_lost_to_a_kill_is_told_at_the_next_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, next_command: str
) -> None:
    desk = with_params(fresh(tmp_path / "look"), batches={"skip": ()})
    set_pieces(monkeypatch, 1)
    hand_in(desk, file_of(desk, desk.rows(0, 40)), now=desk.day(40))
    rows = desk.rows(40, 48).assign(level=lambda rows: rows["level"].mask(rows.index % 2 == 0))
    week = file_of(desk, rows, "week.csv")
    with monkeypatch.context() as killed:
        killed.setattr("retrim.landing.take_in.tell_suspicious", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            hand_in(desk, week, now=desk.day(48))
    assert desk.workspace.store.alerts(desk.workspace.model) == []

    if next_command == "ingest":
        hand_in(desk, week, now=desk.day(49))
    else:
        tell_suspicious(desk.workspace, now=desk.day(49))  # as `check` and `maintain` do
    (told,) = desk.workspace.store.alerts(desk.workspace.model)
    (batch,) = [batch for batch in desk.workspace.landing.standing() if batch.suspicious]

    assert told.text.startswith(f"{batch.batch} landed; ")
    assert "batches.skip: [level]" in told.text
