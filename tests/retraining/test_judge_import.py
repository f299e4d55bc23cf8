"""An imported version is judged as its own run would have been: by its own interval, on rows that few have judged."""

import json
from typing import Any

import pytest

from retrim.release.versions import load_stored_version
from retrim.retraining.judge_import import judge_import
from retrim.stats.codec import to_json
from retrim.training.bundle import BACKTEST, VERDICT
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 2 is live; six days of rows have come since."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 20), 20)
    desk.make_version(20)
    desk.make_version(20.5)
    desk.land(desk.rows(20.5, 26), 26)
    return desk


def check_of(desk: Desk, files: dict[str, bytes], name: str) -> Any:
    record = judge_import(desk.workspace, files, load_stored_version(desk.workspace, 2), now=desk.day(26)).verdict
    assert record is not None
    return next(check for check in record["checks"] if check["name"] == name)


def test_a_refit_that_won_is_held_to_its_own_interval(desk: Desk) -> None:
    files = {
        name.replace("models/all/", "models/refit-all/"): own
        for name, own in load_stored_version(desk.workspace, 1).files.items()
    }
    verdict = json.loads(files[VERDICT])
    files[VERDICT] = to_json(verdict | {"winner": "refit-all", "losses": {"refit-all": 1.0}})
    stated = {"level": 0.8, "residuals": {"all": [-1e9, 1e9], "refit-all": [1e8, 1e9]}}
    files[BACKTEST] = to_json({"interval": stated})

    # No row lies within it, and all of them within that of the other recipe.
    assert check_of(desk, files, "calibration")["text"].startswith("0.0% of rows lie within the ")


def test_a_model_with_features_from_the_past_is_judged_where_none_are_declared(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory
) -> None:
    history = {"entity": [], "ahead": None, "known_ahead": [], "features": [{"of": "level", "lag": 1}]}
    elsewhere = make_desk(tmp_path_factory.mktemp("elsewhere") / "workspace", data={"history": history})
    elsewhere.land(elsewhere.rows(0, 20), 20)
    elsewhere.make_version(20)
    files = dict(load_stored_version(elsewhere.workspace, 1).files)

    assert (
        judge_import(desk.workspace, files, load_stored_version(desk.workspace, 2), now=desk.day(26)).verdict
        is not None
    )
