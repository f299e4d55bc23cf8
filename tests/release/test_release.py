"""What may go live again: a version that was live, and no other."""

import pytest

from retrim.errors import RefusedError
from retrim.release.release import rollback
from retrim.release.versions import find_live_version
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 was live, 2 is; version 3 was refused by the gate."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day, promote in ((10, True), (11, True), (12, False)):
        desk.make_version(day, promote=promote)
    return desk


def test_the_version_before_goes_live_again(desk: Desk) -> None:
    rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(13))
    now_live = find_live_version(desk.workspace)

    assert now_live is not None
    assert (now_live.version, now_live.previous, now_live.action) == (1, 2, "rollback")


def test_what_the_gate_refused_does_not_go_live_by_a_rollback(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r"version 3 .*gate.*: 1, 2"):
        rollback(desk.workspace, 3, by="a test", reason="a back door", now=desk.day(13))

    assert len(desk.workspace.store.releases("generated")) == 2
