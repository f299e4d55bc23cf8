"""A whole retraining on a table with a harmed group: the verdict names it, and mitigation is shown before and after."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.stats.codec import from_parquet
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
def by_thresholds(tmp_path_factory: pytest.TempPathFactory) -> UnfairRoom:
    table = unfair_stream(ROWS, measured=1.5)
    folder = tmp_path_factory.mktemp("thresholds")
    run_directory = make_unfair_run_directory(folder, table, at_most={MISSES: 0.1}, mitigate=MISSES)
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


def test_a_refusal_on_fairness_is_a_refusal(harmed: UnfairRoom) -> None:
    assert harmed.record("verdict/verdict.json")["promote"] is False


def test_a_group_is_judged_by_a_column_that_no_model_sees(harmed: UnfairRoom) -> None:
    features = [feature["name"] for feature in harmed.record("features/view.json")["features"]]

    assert "sex" not in features


def test_thresholds_by_group_lower_the_difference_on_rows_they_were_not_made_from(by_thresholds: UnfairRoom) -> None:
    before, after = (by_thresholds.apart(of, MISSES)["figure"] for of in (BEFORE, "challenger"))

    assert before > 0.2
    assert after < before / 2
    assert not by_thresholds.failed()


def test_thresholds_by_group_select_about_as_many_rows_as_before(by_thresholds: UnfairRoom) -> None:
    before, after = (by_thresholds.models()[of]["overall"][SELECTED] for of in (BEFORE, "challenger"))

    assert after == pytest.approx(before, abs=0.06)


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


def test_the_backtest_is_weighted_too(reweighted: UnfairRoom, tmp_path: Path) -> None:
    plain = make_unfair_run_directory(tmp_path, unfair_stream(ROWS, judged=0.5))
    plain.run()

    assert plain.record("backtest/backtest.json") != reweighted.record("backtest/backtest.json")
    assert plain.record("tuning/trials.json") != reweighted.record("tuning/trials.json")


def test_a_stored_version_decides_by_the_thresholds_of_its_bundle(by_thresholds: UnfairRoom) -> None:
    found = load_predictor(by_thresholds.bundle)
    table = pd.read_parquet(by_thresholds.paths.table).tail(400)
    predicted = found.predict(table)
    decided = found.decide(table, predicted)
    cuts = {name.removeprefix("sex "): cut for name, cut in found.thresholds.by_group.items()}  # type: ignore[union-attr]

    assert set(cuts) == set(VALUES)
    assert cuts[VALUES[1]] < cuts[VALUES[0]]
    assert decided is not None
    assert decided.tolist() == (predicted >= table["sex"].map(cuts).to_numpy()).tolist()


def test_a_version_without_thresholds_decides_nothing(harmed: UnfairRoom) -> None:
    found = load_predictor(harmed.bundle)
    table = pd.read_parquet(harmed.paths.table).tail(5)

    assert found.decide(table, found.predict(table)) is None


def test_deciding_without_the_column_is_refused_by_name(by_thresholds: UnfairRoom) -> None:
    found = load_predictor(by_thresholds.bundle)
    table = pd.read_parquet(by_thresholds.paths.table).tail(5)
    with pytest.raises(BadInputError, match=r"\bsex\b"):
        found.decide(table.drop(columns="sex"), found.predict(table))


def test_the_champion_stands_beside_the_challenger_with_its_own_thresholds(
    by_thresholds: UnfairRoom, tmp_path: Path
) -> None:
    later = unfair_stream(ROWS + 400, measured=1.5)
    run_directory = make_unfair_run_directory(tmp_path, later, champion=by_thresholds.bundle)
    run_directory.run()
    champion = load_predictor(by_thresholds.bundle)
    judged = from_parquet(run_directory.bundle["verdict/judged.parquet"])
    rows = later.set_index("_key").loc[judged["_key"]].reset_index()
    decided = champion.decide(rows, champion.predict(rows))

    assert decided is not None
    assert run_directory.models()["champion"]["overall"][SELECTED] == pytest.approx(decided.mean())


def test_nothing_is_said_of_groups_where_none_are_declared(tmp_path: Path) -> None:
    run_directory = make_unfair_run_directory(tmp_path, unfair_stream(ROWS, measured=1.5), groups=[])
    run_directory.run()

    assert "verdict/fairness.json" not in run_directory.bundle
