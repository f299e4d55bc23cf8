"""A set-up that is redone before the first version: all of the new one stands, or all of the old."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.decision.stored_rows import VersionRow
from retrim.environment import Env
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace
from retrim.onboarding import init as op
from retrim.onboarding import write as writing
from retrim.onboarding.init import find_replaced, go_on, replaced, require_unreleased
from retrim.onboarding.write import WrittenFiles
from retrim.settings import load_params
from tests.builders.raw_tables import csv, empty_workspace, set_up, table

ROWS = 600
pytestmark = pytest.mark.slow  # lands by a suite


class KilledError(BaseException):
    """As if the process had been killed."""


def init(workspace: WorkspacePaths, *, again: bool, seed: int = 7, **wishes: Any) -> WrittenFiles:
    return set_up(workspace, csv(table(ROWS, seed=seed)), again=again, **wishes)


def standing(workspace: WorkspacePaths) -> tuple[list[str], bytes]:
    """The batches that have landed, and the settings."""
    return [batch.batch for batch in Landing(workspace.landing).batches()], workspace.params.read_bytes()


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    paths = empty_workspace(tmp_path)
    init(paths, again=False)
    return paths


def add_version(paths: WorkspacePaths) -> None:
    workspace = Workspace(paths, load_params(paths.params), Env())
    text = dict.fromkeys(("run", "tag", "as_of", "bundle", "model_sha256", "made"), "x")
    workspace.store.add_version(VersionRow(**text, model="own", version=1, lineage={}, verdict={}))


def test_the_new_set_up_stands_and_the_old_one_is_kept(workspace: WorkspacePaths) -> None:
    before, _ = standing(workspace)
    init(workspace, again=True, seed=8, forbid=("km",))
    after, _ = standing(workspace)
    (kept,) = (workspace.var / "init").glob("before-*")

    assert not set(before) & set(after)
    assert sum(batch.rows for batch in Landing(workspace.landing).batches()) == ROWS
    assert load_params(workspace.params).data.columns["km"].role == "forbidden"
    assert [batch.batch for batch in Landing(kept / "landing").batches()] == before
    assert load_params(kept / "params.yaml").data.columns["km"].role == "feature"
    assert not (workspace.var / "init" / "again").exists()


def test_it_says_first_what_is_put_away_and_the_same_table_may_be_set_up_again(workspace: WorkspacePaths) -> None:
    before, what = standing(workspace), replaced(workspace)
    init(workspace, again=True)

    assert f"{len(before[0])} landed batches with {ROWS} rows" in str(what)
    assert "ingested again" in str(what)
    assert standing(workspace) == before
    workspace.params.write_text("data:\n")
    assert find_replaced(workspace) is None


def test_a_kill_before_all_is_ready_leaves_the_old_one(
    workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, real, landed = standing(workspace), writing.land_batch, [0]

    def land(*given: Any, **named: Any) -> Any:
        landed[0] += 1
        if landed[0] == 3:
            raise KilledError
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(writing, "land_batch", land)
        with pytest.raises(KilledError):
            init(workspace, again=True, seed=8)

    assert standing(workspace) == before
    assert not go_on(workspace)
    init(workspace, again=True, seed=8)
    assert standing(workspace)[0] != before[0]


@pytest.mark.parametrize("step", range(6))
def test_a_kill_at_any_step_of_the_move_is_gone_on_from(
    step: int, workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, done = standing(workspace), [0]

    def counted(real: Any) -> Any:
        def stepped(*given: Any, **named: Any) -> Any:
            if op.READY not in str(given) and (workspace.var / "init" / "again" / op.READY).exists():
                done[0] += 1
                if done[0] == step + 1:
                    raise KilledError
            return real(*given, **named)

        return stepped

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", counted(Path.rename))
        patched.setattr(op, "write_file", counted(op.write_file))
        with pytest.raises(KilledError):
            init(workspace, again=True, seed=8)
    assert go_on(workspace)
    after = standing(workspace)
    (kept,) = (workspace.var / "init").glob("before-*")

    assert not set(before[0]) & set(after[0])
    assert sum(batch.rows for batch in Landing(workspace.landing).batches()) == ROWS
    assert [batch.batch for batch in Landing(kept / "landing").batches()] == before[0]
    assert (kept / "params.yaml").read_bytes() == before[1]
    assert not go_on(workspace)


def test_a_history_that_is_set_aside_changes_nothing(
    workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = standing(workspace)

    def aside(_: Any, *given: Any, **named: Any) -> Any:
        return writing_land(workspace.root / "broken.csv", *given, **named)

    writing_land = writing.land_batch
    (workspace.root / "broken.csv").write_bytes(b"a,b\n1,2\n")
    with monkeypatch.context() as patched:
        patched.setattr(writing, "land_batch", aside)
        with pytest.raises(RefusedError, match="Nothing was replaced"):
            init(workspace, again=True, seed=8)

    assert standing(workspace) == before


def test_it_is_refused_once_there_is_a_version(workspace: WorkspacePaths) -> None:
    require_unreleased(workspace)
    add_version(workspace)

    with pytest.raises(RefusedError, match="version 1 of own"):
        require_unreleased(workspace)
    with pytest.raises(RefusedError, match="version 1 of own"):
        init(workspace, again=True)
