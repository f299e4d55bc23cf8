"""A log of signed rows: whatever is changed, added, moved or taken away is found, and where."""

from dataclasses import replace
from hashlib import sha256
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.decision.release_log import FIRST, BrokenLog, digest_of_row, first_broken, head_of, signed_bytes
from retrim.decision.stored_rows import ReleaseHeadRow, ReleaseRow
from tests.builders import proved

Log = tuple[list[ReleaseRow], ReleaseHeadRow | None]
R = TypeVar("R", ReleaseRow, ReleaseHeadRow)


def fault(key: str, content: bytes, signature: str) -> str | None:
    """A signature that only who knows the signer's secret can make: here its name, upside down."""
    return None if signature == signed(key, content) else "is not what was signed"


def signed(key: str, content: bytes) -> str:
    return sha256(key[::-1].encode() + content).hexdigest()


def with_signature(row: R) -> R:
    return replace(row, signature=signed(row.signer, signed_bytes(row)))


def a_log(count: int) -> Log:
    rows: list[ReleaseRow] = []
    for number in range(1, count + 1):
        move = vars(proved.move("shop", number * 2, at="2024-01-01T00:00:00+00:00", reason=f"why {number}"))
        follows = digest_of_row(rows[-1]) if rows else FIRST
        rows.append(with_signature(ReleaseRow(**move, sequence=number, previous=None, follows=follows, signer="me")))
    return rows, with_signature(head_of(rows[-1], signer="me")) if rows else None


def broken(log: Log, copies: dict[int, Any] | None = None) -> BrokenLog | None:
    return first_broken(*log, copies or {}, fault=fault)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_log_as_it_was_signed_holds(count: int) -> None:
    rows, head = a_log(count)

    assert broken((rows, head), {row.sequence: digest_of_row(row) for row in rows}) is None


@given(count=st.integers(1, 6), data=st.data())
def test_a_changed_field_breaks_its_own_row(count: int, data: st.DataObject) -> None:
    rows, head = a_log(count)
    place = data.draw(st.integers(0, count - 1))
    name = data.draw(st.sampled_from(["version", "reason", "model", "signer", "follows", "signature"]))
    rows[place] = replace(rows[place], **{name: "other"})
    found = broken((rows, head))

    assert found is not None
    assert found.row == place + 1


@given(count=st.integers(1, 6), data=st.data())
def test_rows_that_are_gone_break_at_the_first_of_them(count: int, data: st.DataObject) -> None:
    rows, head = a_log(count)
    gone = sorted(data.draw(st.sets(st.integers(1, count), min_size=1)))
    kept = [row for row in rows if row.sequence not in gone]

    assert broken((kept, head)) == BrokenLog(gone[0], "is gone")


@given(order=st.permutations([1, 2, 3, 4]))
def test_rows_in_another_order_break(order: list[int]) -> None:
    rows, head = a_log(4)
    rows = [replace(row, sequence=number) for row, number in zip(rows, order, strict=True)]

    assert (broken((rows, head)) is None) == (order == [1, 2, 3, 4])


def test_a_row_signed_anew_alone_breaks_the_one_after() -> None:
    rows, head = a_log(3)
    rows[1] = with_signature(replace(rows[1], version=99))

    assert broken((rows, head)) == BrokenLog(3, "does not follow the row before it")


def test_a_row_that_was_added_is_not_in_the_head() -> None:
    rows, head = a_log(2)
    added = with_signature(replace(rows[1], sequence=3, follows=digest_of_row(rows[1])))

    assert broken(([*rows, added], head)) == BrokenLog(
        None, "was signed over 2 rows, and does not match the 3 rows of the log"
    )


def test_the_tail_cut_off_under_a_head_of_before_is_told_by_the_copies() -> None:
    rows, _ = a_log(3)
    shorter = a_log(2)

    assert broken(shorter) is None
    assert broken(shorter, {3: digest_of_row(rows[2])}) == BrokenLog(3, "is gone")


def test_a_log_without_its_head_is_broken() -> None:
    rows, _ = a_log(2)

    assert broken((rows, None)) == BrokenLog(None, "is gone")


def test_a_head_that_was_written_anew_is_broken() -> None:
    rows, head = a_log(2)
    assert head is not None

    assert broken((rows[:1], replace(head, sequence=1))) == BrokenLog(None, "is not what was signed")


@pytest.mark.parametrize("kept", ["unreadable", "another", "the next"])
def test_another_copy_than_the_row_is_broken(kept: str) -> None:
    rows, head = a_log(2)
    copies = {"another": replace(rows[0], reason="other"), "the next": rows[1]}
    copy = digest_of_row(copies[kept]) if kept in copies else None

    assert broken((rows, head), {1: copy}) == BrokenLog(1, "differs from the copy that was kept")


def test_a_row_without_a_copy_is_no_fault() -> None:
    rows, head = a_log(2)

    assert broken((rows, head), {1: digest_of_row(rows[0])}) is None
