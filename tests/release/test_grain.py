"""A version knows the grain of its rows: under another it is neither asked nor held against anything."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.score import score
from retrim.errors import RefusedError
from retrim.lineage.workspace import ask_for_run
from retrim.release.versions import load_champion, require_grain
from retrim.retraining.retrain import claim_run, defer_run
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.synthetic import FEATURES

pytestmark = pytest.mark.slow  # a champion made with the stages


def grain(every: str | None) -> dict[str, Any]:
    how = {**dict.fromkeys(FEATURES, "mean"), "outcome": "sum"}
    return {"where": [], "resample": None if every is None else {"every": every, "by": ["group"], "how": how}}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = make_desk(tmp_path / "workspace", data={"key": ["number"]})
    made.land(made.rows(0, 10), 10)
    made.make_version(10)
    made.land(made.rows(10, 12), 12)
    return made


def test_rows_of_another_grain_are_refused_while_a_version_is_live(desk: Desk) -> None:
    data = {"rows": grain("2h")}
    other = with_params(desk, data=data)
    with pytest.raises(RefusedError, match=r'^version 1 .* null .*\{"every": "2h".*: retrim new DIR$'):
        score(other.workspace, now=other.day(12))
    with pytest.raises(RefusedError, match="retrim new DIR"):
        other.check(12)
    now = other.day(12)
    run = claim_run(
        other.workspace, ask_for_run(other.workspace, as_of=now, by="a test", reason="a test", now=now), now=now
    )
    with pytest.raises(RefusedError, match="retrim new DIR"):
        defer_run(other.workspace, run, now=now)

    assert score(desk.workspace, now=desk.day(12)).written > 0


def test_a_version_that_does_not_say_is_not_refused(desk: Desk) -> None:
    store = desk.workspace.store
    row = store.version(desk.workspace.model, 1)
    assert row is not None
    row.lineage.pop("grain")
    other = with_params(desk, data={"rows": grain("2h")})
    other.workspace.__dict__["store"] = store
    store.version = lambda *_: row  # type: ignore[method-assign]

    assert load_champion(other.workspace) is not None


def test_an_import_of_another_grain_is_refused_by_name(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r'^v7\.tar .*\{"every": "2h".* null\b'):
        require_grain(desk.workspace, {"grain": grain("2h")["resample"]}, "v7.tar")
