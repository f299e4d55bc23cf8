"""Which versions a rollback took out of service."""

import pytest

from retrim.decision.stored_rows import ReleaseRow
from retrim.release.versions import PROBATION_ROLLBACK, rolled_back_from
from tests.builders.proved import move


def releases(*moves: tuple[int, str]) -> list[ReleaseRow]:
    rows = [move("shop", version, at="2024-01-01", action=action) for version, action in moves]
    about = {"previous": None, "follows": "", "signer": ""}
    return [ReleaseRow(**vars(row), sequence=number, **about) for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("moves", "gone"),
    [
        ([(1, "promote"), (2, "promote")], set()),
        ([(1, "promote"), (2, "promote"), (1, "rollback")], {2}),
        ([(1, "promote"), (2, "promote"), (1, PROBATION_ROLLBACK)], {2}),
        ([(1, "promote"), (2, "promote"), (3, "promote"), (1, "rollback")], {2, 3}),
        ([(1, "promote"), (2, "promote"), (3, "promote"), (2, "rollback")], {3}),
        ([(1, "promote"), (2, "promote"), (1, "rollback"), (3, "promote")], {2}),
        ([(1, "promote"), (2, "promote"), (1, "rollback"), (2, "promote")], set()),
        ([(1, "promote"), (2, "promote"), (1, "rollback"), (2, "rollback")], {1}),
        ([(1, "promote"), (2, "promote"), (1, "restore")], set()),
        ([(1, "promote"), (2, "promote"), (3, "rollback")], {2}),  # to a baseline, which was never live
    ],
)
def test_all_that_were_live_after_the_target_are_out_until_released_again(
    moves: list[tuple[int, str]], gone: set[int]
) -> None:
    assert rolled_back_from(releases(*moves)) == gone
