"""A whole retraining on a table with a harmed group: the verdict names it, and mitigation is shown before and after."""

import pandas as pd
import pytest

from retrim.training.bundle import load_predictor
from tests.builders.unfair import VALUES, UnfairRoom, make_unfair_run_directory, unfair_stream

ROWS = 1600
BEFORE = "challenger before mitigation"
MISSES, SELECTED = "false_negative_rate", "selection_rate"


@pytest.fixture(scope="module")
def harmed(tmp_path_factory: pytest.TempPathFactory) -> UnfairRoom:
    table = unfair_stream(ROWS, measured=1.5)
    run_directory = make_unfair_run_directory(tmp_path_factory.mktemp("harmed"), table, at_most={MISSES: 0.1})
    run_directory.run()
    return run_directory


@pytest.fixture(scope="module")
def reweighted(tmp_path_factory: pytest.TempPathFactory) -> UnfairRoom:
    table = unfair_stream(ROWS, judged=0.5)
    run_directory = make_unfair_run_directory(tmp_path_factory.mktemp("reweighted"), table, mitigate="reweight")
    run_directory.run()
    return run_directory


def test_a_harmed_group_is_refused_by_name(harmed: UnfairRoom) -> None:
    (check,) = harmed.failed()

    assert check["name"] == "fairness: sex false negative rate"
    assert check["text"].startswith(f"false negative rate of sex {VALUES[1]} ")
    assert check["interval"][0] > check["threshold"] == 0.1


def test_a_group_is_judged_by_a_column_that_no_model_sees(harmed: UnfairRoom) -> None:
    features = [feature["name"] for feature in harmed.record("features/view.json")["features"]]

    assert "sex" not in features


def test_reweighting_lowers_the_difference_on_held_out_rows(reweighted: UnfairRoom) -> None:
    before, after = (reweighted.apart(of, SELECTED)["figure"] for of in (BEFORE, "challenger"))

    assert before > 0.25
    assert after < 0.7 * before


def test_what_reweighting_costs_in_loss_is_shown(reweighted: UnfairRoom) -> None:
    before, after = (reweighted.models()[of]["loss"] for of in (BEFORE, "challenger"))
    judged = reweighted.record("verdict/verdict.json")

    assert after > before
    assert after == pytest.approx(judged["losses"][judged["winner"]])


def test_a_reweighted_recipe_says_so(reweighted: UnfairRoom) -> None:
    found = load_predictor(reweighted.bundle)

    assert found.recipe.reweight


def test_a_version_without_thresholds_decides_nothing(harmed: UnfairRoom) -> None:
    found = load_predictor(harmed.bundle)
    table = pd.read_parquet(harmed.paths.table).tail(5)

    assert found.decide(found.predict(table)) is None
