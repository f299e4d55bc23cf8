"""Fairness in use: a decision stands beside the probability, and a forbidden column has no way back."""

from typing import Any

import pytest

from retrim.checking.score import score
from retrim.errors import RefusedError
from retrim.release.card import make_card
from retrim.release.versions import load_stored_version
from retrim.retraining.judge_import import judge_import
from retrim.training.groups import AtMostParams
from tests.builders.desk import Desk, make_desk, with_params

pytestmark = pytest.mark.slow  # versions are made with the stages

NONE = dict.fromkeys(AtMostParams.model_fields)
GROUPS = [{"column": "group", "cuts": [], "least_rows": 5}]


def make(folder: Any, *, threshold: float | None = None, **fairness: Any) -> Desk:
    changes = {"fairness": {"groups": GROUPS, **fairness}, "backtest": {"origins": 2, "origin_rows": 60}}
    changes["decide"] = {"threshold": threshold}
    return make_desk(folder / "workspace", task="binary", changes=changes, version_at=20)


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make(tmp_path_factory.mktemp("deciding"), threshold=0.4, mitigate="reweight")


def test_scoring_writes_the_decision_beside_the_probability(deciding: Desk) -> None:
    workspace = deciding.workspace
    done = score(workspace, now=deciding.day(20))
    stored = workspace.predictions.since(None, most=10**9).set_index("key")
    kept, decided = stored["prediction"], stored["decision"].to_dict()
    assert load_stored_version(workspace, 1).predictor.threshold == 0.4
    expected = {key: float(chance) >= 0.4 for key, chance in kept.items()}

    assert decided == expected
    assert done.selected == sum(expected.values()) > 0


def test_a_version_that_only_predicts_writes_no_decision(tmp_path_factory: pytest.TempPathFactory) -> None:
    desk = make(tmp_path_factory.mktemp("predicting"), mitigate=None)
    done = score(desk.workspace, now=desk.day(20))

    assert done.written > 0
    assert done.selected is None
    assert desk.workspace.predictions.since(None, most=10**9)["decision"].isna().all()


def test_the_card_of_a_version_has_groups_before_and_after(deciding: Desk) -> None:
    card = make_card(deciding.workspace, 1, pictures={}).markdown

    assert [name for name in ("challenger, by ", "challenger before mitigation, by ") if name in card] == [
        "challenger, by ",
        "challenger before mitigation, by ",
    ]


def test_the_probe_weights_its_rows_as_a_retraining_would(tmp_path_factory: pytest.TempPathFactory) -> None:
    readings = []
    for mitigate in (None, "reweight"):
        desk = make(tmp_path_factory.mktemp("probe"), mitigate=None)
        desk.land(desk.rows(20, 24), 24)
        readings.append(with_params(desk, fairness={"mitigate": mitigate}).check(24).record["probe"]["reading"])
    plain, weighted = readings

    assert weighted["champion_loss"] == plain["champion_loss"]
    assert weighted["probe_loss"] != plain["probe_loss"]


def test_an_imported_version_is_held_to_the_limits_here(tmp_path_factory: pytest.TempPathFactory) -> None:
    desk = make(tmp_path_factory.mktemp("imported"), mitigate=None)
    desk.land(desk.rows(20, 26), 26)
    strict = with_params(desk, fairness={"at_most": NONE | {"selection_rate": 0.0}})
    verdict = judge_import(
        strict.workspace, load_stored_version(desk.workspace, 1).files, None, now=desk.day(26)
    ).verdict

    assert verdict is not None
    assert "fairness: group selection rate" in [check["name"] for check in verdict["checks"]]


def test_an_imported_version_that_uses_a_forbidden_column_is_refused(deciding: Desk) -> None:
    columns = deciding.workspace.params.data.model_dump(mode="json")["columns"]
    columns["group"]["role"] = "forbidden"
    strict = with_params(deciding, data={"columns": columns})
    with pytest.raises(RefusedError, match=r"uses group, .*data\.columns"):
        judge_import(strict.workspace, load_stored_version(deciding.workspace, 1).files, None, now=deciding.day(20))
