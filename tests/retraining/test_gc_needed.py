"""Whose versions `retrim versions gc` may pass over: those that another repository made, and nobody else's."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.decision.stored_rows import VersionRow
from retrim.errors import RefusedError
from retrim.release.versions import REPOSITORY
from retrim.retraining.gc import needed
from tests.builders.desk import Desk, make_desk

NONE = "0" * 40
"""A commit that no repository has."""


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = make_desk(tmp_path / "workspace")
    root = made.workspace.paths.root
    git.git(root, "init", "--quiet")
    git.git(root, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "--quiet", "--allow-empty", "-m", "first")
    return made


def add(desk: Desk, *, model: str, **lineage: Any) -> None:
    """A version of a model, whose commit is not here."""
    at = "2024-01-01T00:00:00+00:00"
    digests = {"bundle": "b" * 64, "model_sha256": "c" * 64}
    row = {"model": model, "version": 1, "run": f"run-{model}", "tag": f"retrim/{model}/v1", "as_of": at, "made": at}
    desk.workspace.store.add_version(VersionRow(**row, **digests, lineage={"commit": NONE, **lineage}, verdict={}))


def test_a_version_of_another_model_made_in_another_repository_is_passed_over(desk: Desk) -> None:
    add(desk, model="other", repository="f" * 40)

    assert {"HEAD", "the workspace"} <= set(needed(desk.workspace))
    assert not [who for who in needed(desk.workspace) if "other" in who]


@pytest.mark.parametrize("model", ["generated", "other"])
@pytest.mark.parametrize("said", ["ours", "nothing"])
def test_nothing_is_known_while_a_version_that_may_be_ours_cannot_be_read(desk: Desk, model: str, said: str) -> None:
    own = git.first_commit(desk.workspace.paths.root)
    add(desk, model=model, **({} if said == "nothing" else {REPOSITORY: own}))

    with pytest.raises(RefusedError, match=f" version 1 of {model} "):
        needed(desk.workspace)


def test_the_own_model_is_not_passed_over_whatever_repository_it_names(desk: Desk) -> None:
    add(desk, model="generated", repository="f" * 40)

    with pytest.raises(RefusedError, match="version 1 of generated"):
        needed(desk.workspace)
