"""`retrim policy backtest --with` on a landed history: what it shows and refuses, and that it changes nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.cli.policy import assignments
from retrim.errors import BadInputError, RefusedError
from retrim.gate.change import changed
from retrim.reports.changed_settings import RefitComparison, compare_refits, try_settings
from retrim.reports.policy import backtest
from retrim.settings import Params, parse_params, stated_by
from retrim.stats.codec import to_record
from tests.builders.desk import Desk, make_desk
from tests.cli.test_reference import keys, pages  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow  # some seconds: models are fitted

SMALL = {
    "tune": {"max_rounds": 15, "patience": 5},
    "backtest": {"origins": 2, "origin_rows": 60},
}
FORBID = {"data.columns.level.role": "forbidden"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """25 days of rows, one an hour, which `level` says most of; no version was made."""
    made = make_desk(tmp_path_factory.mktemp("try") / "workspace", changes=SMALL)
    made.land(made.rows(0, 25), 25)
    return made


def tried(desk: Desk, changes: dict[str, Any]) -> RefitComparison:
    wanted, _ = try_settings(desk.workspace, changes)
    return compare_refits(desk.workspace, changes, wanted, now=desk.day(25))


def test_a_feature_that_matters_is_missed(desk: Desk) -> None:
    found = tried(desk, FORBID)

    assert (found.change.outcome, found.change.rows, found.origins) == ("worse", 120, 2)
    assert found.slices[0].saved is not None
    assert found.slices[0].saved[0] < 0


def test_nothing_is_written(desk: Desk) -> None:
    before = files(desk.workspace.paths.root)
    tried(desk, FORBID)

    assert files(desk.workspace.paths.root) == before


def test_the_same_call_finds_the_same(desk: Desk) -> None:
    first, again = (replace(tried(desk, FORBID), seconds=(0.0, 0.0)) for _ in range(2))

    assert first == again


def test_a_feature_from_the_past_can_be_tried(desk: Desk) -> None:
    found = tried(desk, {"data.history.features": [{"of": "outcome", "lag": 1}, {"of": "level", "lag": "24h"}]})

    assert found.recipe_of is None
    assert set(found.seconds) != {0.0}


def test_a_preparation_step_can_be_tried(desk: Desk) -> None:
    found = tried(desk, {"prepare.steps": [{"step": "StandardScaler", "columns": ["level"]}], "train.windows": ["all"]})

    assert found.change.gain is not None
    assert found.change.gain.figure == pytest.approx(0, abs=0.2)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"schedule.ingest": "2h"},
            "schedule.ingest: this changes neither",
        ),
        ({"train.windws": ["all"]}, "params.yaml as tried: train.windws: extra inputs are not permitted"),
        ({"train.windows": ["slidin"]}, r"input should be 'all' or 'sliding' \(got 'slidin'\)"),
        ({"reading.numbers": "1234,5"}, "reading.numbers cannot be tried"),
        ({"train.model": "linear", "tune.space": {"l3": {"low": 0.1, "high": 1.0}}}, "tune.space: 'l3' is no"),
        (
            {"data.columns.level.type": "integer"},
            "data.columns.level: no landed column has this name and the type integer",
        ),
        ({"data.columns.level.role": "due", "data.label_horizon": None}, "data.label_horizon cannot be tried"),
    ],
)
def test_what_cannot_be_tried_is_refused(desk: Desk, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        tried(desk, changes)


@pytest.mark.parametrize("change", [{"tune.max_rounds": 1}, {"tune.space.num_leaves": {"low": 2, "high": 3}}])
def test_what_a_recipe_without_a_champion_comes_from_is_used(desk: Desk, change: dict[str, Any]) -> None:
    assert tried(desk, change).change.outcome != "same"


def test_too_few_rows_are_refused(desk: Desk) -> None:
    wanted, _ = try_settings(desk.workspace, FORBID)
    with pytest.raises(RefusedError, match="0 rows are"):
        compare_refits(desk.workspace, FORBID, wanted, now=desk.day(1))


def test_the_record_is_the_documented_one(desk: Desk, pages: dict[str, str]) -> None:  # noqa: F811
    record = to_record(tried(desk, FORBID))

    assert isinstance(record, dict)
    assert record.keys() == keys(pages, "policy backtest --with")


def test_a_setting_that_no_fit_reads_is_played(desk: Desk) -> None:
    wanted, is_fitted_otherwise = try_settings(desk.workspace, {"gain.cost": 0.05})
    changed_workspace = replace(desk.workspace, params=wanted)
    current, cheap = (backtest(side, now=desk.day(26), windows=6) for side in (desk.workspace, changed_workspace))

    assert not is_fitted_otherwise
    assert current.digest == cheap.digest
    assert 0 < cheap.retraining_cost < 0.1 * current.retraining_cost


def test_values_are_read_as_params_yaml_would_have_them() -> None:
    assert assignments(["a.b=[{x: 1}]", "c=null"]) == {"a.b": [{"x": 1}], "c": None}


@pytest.mark.parametrize("text", ["a.b", "=1", "a=[1"])
def test_what_sets_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        assignments([text])


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_another_model_is_tried_with_the_search_space_that_it_has_by_default(desk: Desk) -> None:
    document = stated_by(desk.workspace.params)

    assert "space" not in document["tune"]
    assert parse_params(changed(document, {"train.model": "linear"}), "tried").tune.space.keys() == {"l2"}


def test_what_was_chosen_and_follows_nothing_is_tried_as_it_is(desk: Desk) -> None:
    chosen = Params.model_validate(
        changed(stated_by(desk.workspace.params), {"tune.max_rounds": 33, "gate.min_gain": 0.02})
    )

    assert Params.model_validate(stated_by(chosen)) == chosen
    assert stated_by(chosen)["tune"]["max_rounds"] == 33
    assert stated_by(chosen)["gate"]["min_gain"] == 0.02
