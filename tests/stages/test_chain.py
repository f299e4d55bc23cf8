"""A whole retraining, stage after stage: what is cut apart, what each mode does, what is refused, the same bytes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError, RefusedError
from retrim.stats.codec import to_json
from retrim.training.bundle import load_predictor
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1: searched, no champion."""
    return make_run_directory(tmp_path_factory.mktemp("first"), stream(ROWS)).run()


@pytest.fixture(scope="module")
def second(first: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2: refitted 60 rows later, against version 1."""
    return make_run_directory(
        tmp_path_factory.mktemp("second"), stream(ROWS + 60), mode="refit", champion=first.bundle
    ).run()


# --- what is cut apart


def test_every_row_trains_judges_or_lies_in_the_embargo(first: Room) -> None:
    assert first.record("features/split.json")["rows"] == {"train": 399, "embargo": 1, "judge": 80}
    assert first.view["_part"].tolist() == ["train"] * 399 + ["embargo"] + ["judge"] * 80


def test_no_training_label_was_due_after_the_first_judged_event(first: Room) -> None:
    view = first.view
    train, judged = (view[view["_part"] == part] for part in ("train", "judge"))

    assert train["_due"].max() <= judged["_event"].min()


def test_judging_rows_lie_after_what_the_champion_used(first: Room, second: Room) -> None:
    judged = second.view[second.view["_part"] == "judge"]
    used_until = pd.Timestamp(first.record("features/split.json")["used_until"])

    assert judged["_event"].min() > used_until
    assert len(judged) == 80


def test_a_champion_that_used_newer_rows_leaves_fewer_to_judge(first: Room, tmp_path: Path) -> None:
    champion = dict(first.bundle)
    split = first.record("features/split.json") | {"used_until": stream(ROWS)["_event"].iloc[449].isoformat()}
    champion["features/split.json"] = to_json(split)
    run_directory = make_run_directory(tmp_path, stream(ROWS), mode="refit", champion=champion)
    run_directory.features()

    assert run_directory.view.loc[run_directory.view["_part"] == "judge", "_key"].tolist() == [
        str(number) for number in range(450, 480)
    ]


def test_levels_are_learned_on_training_rows_alone(tmp_path: Path) -> None:
    table = stream(ROWS)
    table.loc[ROWS - 1, "group"] = "seen only by the judge"
    run_directory = make_run_directory(tmp_path, table)
    run_directory.features()

    assert run_directory.record("features/view.json")["levels"] == {"group": ["a", "b", "c"]}


def test_a_forbidden_column_is_no_feature(first: Room) -> None:
    assert "number" not in first.view.columns


# --- what is made


def test_each_challenger_says_what_it_was_fitted_on(first: Room) -> None:
    made = {kind: first.record(f"models/{kind}/fit.json") for kind in ("all", "sliding")}

    assert {kind: record["rows"] for kind, record in made.items()} == {"all": 399, "sliding": 200}
    assert made["all"]["until"] == made["sliding"]["until"] == first.record("features/split.json")["used_until"]


def test_the_verdict_names_the_losses_of_all_that_were_compared(second: Room) -> None:
    verdict = second.record("verdict/verdict.json")

    assert set(verdict["losses"]) == {"all", "sliding", "champion", "mean"}
    assert [check["name"] for check in verdict["checks"]] == [
        "rows",
        "gain",
        "worst fold",
        "baseline: mean",
        "re-use",
        "worst slice",
        "churn",
        "calibration",
        "calibration kept",
    ]


def test_the_champion_is_scored_with_its_own_preprocessing(tmp_path: Path) -> None:
    # It knew the groups b, c and z: with the codes of today it would take a for b, and b for c.
    past, table = stream(ROWS), stream(ROWS + 60)
    champion = make_run_directory(tmp_path / "past", past.assign(group=past["group"].replace("a", "z"))).run().bundle
    found = make_run_directory(tmp_path / "now", table, mode="refit", champion=champion).run()
    judged = table.iloc[-80:]
    loss = np.abs(load_predictor(champion).predict(judged) - judged["outcome"]).mean()

    assert found.record("features/view.json")["levels"] == {"group": ["a", "b", "c"]}
    assert found.record("verdict/verdict.json")["losses"]["champion"] == pytest.approx(loss)


def test_the_backtest_looks_at_training_rows_alone(first: Room) -> None:
    origins = first.record("backtest/backtest.json")["origins"]

    assert max(origin["end"] for origin in origins) <= first.record("features/split.json")["used_until"]
    assert [set(origin["losses"]) for origin in origins] == [{"all", "sliding"}] * 2


def test_a_task_of_two_classes_goes_the_same_way(tmp_path: Path) -> None:
    run_directory = make_run_directory(
        tmp_path,
        stream(ROWS, task="binary"),
        task="binary",
        judge={"loss": "log_loss", "metrics": ["auc", "accuracy"]},
        gate={"baselines": ["mean", "seasonal_mean"]},
    ).run()
    verdict = run_directory.record("verdict/verdict.json")

    assert verdict["promote"]
    assert verdict["metrics"][verdict["winner"]]["auc"] > 0.8


def test_a_task_of_many_classes_goes_the_same_way_also_past_a_class_that_training_never_saw(tmp_path: Path) -> None:
    table = stream(ROWS)
    outcome = pd.cut(table["outcome"], [-np.inf, -1, 2, np.inf], labels=["low", "middle", "high"]).astype("str")
    outcome.iloc[-1] = "new"
    settings = {
        "judge": {"loss": "log_loss", "metrics": ["accuracy"]},
        "gate": {"baselines": ["mean", "seasonal_mean"]},
    }
    first = make_run_directory(tmp_path / "1", table.assign(outcome=outcome), task="multiclass", **settings).run()
    later = stream(ROWS + 60)
    table = later.assign(outcome=[*outcome, *["low"] * 60])
    second = make_run_directory(
        tmp_path / "2", table, task="multiclass", mode="refit", champion=first.bundle, **settings
    ).run()

    assert first.record("features/view.json")["classes"] == ["high", "low", "middle"]
    assert first.record("verdict/verdict.json")["promote"]
    assert set(second.record("verdict/verdict.json")["losses"]) == {
        "all",
        "sliding",
        "champion",
        "mean",
        "seasonal_mean",
    }


def test_one_class_alone_is_refused(tmp_path: Path) -> None:
    run_directory = make_run_directory(
        tmp_path,
        stream(ROWS).assign(outcome="low"),
        task="multiclass",
        judge={"loss": "log_loss", "metrics": ["accuracy"]},
    )

    with pytest.raises(RefusedError, match=r"only 1 \(low\)"):
        run_directory.features()


# --- modes


def test_a_search_keeps_the_trial_with_the_least_loss(first: Room) -> None:
    trials = first.record("tuning/trials.json")
    chosen = first.record("tuning/hyperparameters.json")

    assert chosen["loss"] == min(trial["loss"] for trial in trials)
    assert chosen["hyperparameters"] == trials[chosen["trial"]]["hyperparameters"]


def test_a_refit_takes_the_champions_hyperparameters_and_rounds(first: Room, second: Room) -> None:
    before, after = (run_directory.record("tuning/hyperparameters.json") for run_directory in (first, second))

    assert after == {key: before[key] for key in ("hyperparameters", "rounds")} | {"model": "gbm"}
    assert second.record("tuning/trials.json") == []


def test_a_refit_without_a_champion_is_refused(tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, stream(ROWS), mode="refit")
    run_directory.features()

    with pytest.raises(BadInputError, match=r"'refit' .*\bno champion\b"):
        run_directory.tune()


# --- too few rows


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (1, "only 0 of 1 mature rows had a label due before"),
        (80, "only 0 of 80 mature rows had a label due before the 80 holdout rows"),
    ],
)
def test_too_few_rows_to_train_on_are_refused(tmp_path: Path, rows: int, message: str) -> None:
    with pytest.raises(RefusedError, match=message):
        make_run_directory(tmp_path, stream(rows)).features()


def test_too_few_rows_for_the_backtest_are_refused(tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, stream(ROWS), backtest={"origins": 300})
    run_directory.features()
    run_directory.tune()

    with pytest.raises(RefusedError, match=r"^backtest: 399 rows .*300 folds"):
        run_directory.backtest()


def test_a_champion_that_used_every_row_leaves_a_verdict_that_says_what_is_missing(first: Room, tmp_path: Path) -> None:
    champion = dict(first.bundle)
    split = first.record("features/split.json") | {"used_until": "2030-01-01T00:00:00+00:00"}
    champion["features/split.json"] = to_json(split)
    verdict = (
        make_run_directory(tmp_path, stream(ROWS), mode="refit", champion=champion).run().record("verdict/verdict.json")
    )

    assert not verdict["promote"]
    assert verdict["reason"].startswith("0 holdout rows, ")


def test_a_champion_whose_feature_validate_left_out_is_refused(first: Room, second: Room, tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, stream(ROWS + 60), mode="refit", champion=first.bundle).run()
    pd.read_parquet(run_directory.paths.table).drop(columns="slope").to_parquet(run_directory.paths.table)

    with pytest.raises(BadInputError, match="needs: slope"):
        run_directory.compare()


# --- the same bytes


def test_another_build_on_two_cores_is_equal_byte_for_byte(first: Room, tmp_path: Path) -> None:
    assert make_run_directory(tmp_path, stream(ROWS)).run(cores=2).bundle == first.bundle


def test_one_altered_value_makes_another_model(first: Room, tmp_path: Path) -> None:
    table = stream(ROWS)
    table.loc[5, "level"] += 3.0
    other = make_run_directory(tmp_path, table).run().bundle

    assert other["models/all/model.txt"] != first.bundle["models/all/model.txt"]


def test_a_bundle_does_not_tell_where_it_was_made(second: Room) -> None:
    places = [str(second.paths.root).encode(), str(Path.home()).encode() + b"/"]

    assert not [name for name, content in second.bundle.items() for place in places if place in content]


# --- what else is kept of the judged rows


def judged_rows(run_directory: Room) -> pd.DataFrame:
    return pd.read_parquet(run_directory.paths.verdict / "judged.parquet")


def test_the_champions_loss_is_kept_of_every_judged_row(first: Room, second: Room) -> None:
    judged, verdict = judged_rows(second), second.record("verdict/verdict.json")

    assert judged["_champion_loss"].mean() == pytest.approx(verdict["losses"]["champion"])
    assert "_champion_loss" not in judged_rows(first)


def test_every_slice_says_what_both_models_lost_in_it(second: Room, tmp_path: Path) -> None:
    rows, wide = stream(ROWS + 260), {"judge_rows": 200}  # slices of thirty rows and more
    third = make_run_directory(tmp_path, rows, mode="refit", champion=second.bundle, split=wide).run()
    judged, view = judged_rows(third), third.view[third.view["_part"] == "judge"].reset_index(drop=True)
    told = third.record("verdict/slices.json")["slices"]
    winner = third.record("verdict/verdict.json")["winner"]
    (a,) = [each for each in told if (each["column"], each["name"]) == ("group", "a")]
    inside = (view["group"] == "a").to_numpy()

    assert a["rows"] == inside.sum()
    assert a["loss"] == pytest.approx((judged[winner] - judged["actual"])[inside].abs().mean())
    assert a["saved"][0] == pytest.approx(a["other"] - a["loss"])


def test_the_importance_is_the_mean_absolute_contribution_on_judged_rows(second: Room) -> None:
    kept = second.record("verdict/importance.json")
    rows = second.view[second.view["_part"] == "judge"].iloc[np.arange(80)]
    model = load_predictor(second.bundle)
    added = model.model.contributions(model.view.matrix(rows))

    assert kept["weights"] == pytest.approx(
        dict(zip(model.view.features, np.abs(added[:, 0, :-1]).mean(axis=0), strict=True))
    )
    assert (kept["rows"], kept["of"]) == (80, 80)


def test_the_last_value_of_several_series_is_that_of_each(tmp_path: Path) -> None:
    gate = {"baselines": ["last_value"]}
    run_directory = replace(make_run_directory(tmp_path, stream(ROWS), gate=gate), key=("group", "at")).run()
    rows = stream(ROWS)
    parts = rows.assign(part=rows["_key"].map(run_directory.view.set_index("_key")["_part"]))
    train, judged = (parts[parts["part"] == part] for part in ("train", "judge"))
    newest = train.groupby("group")["outcome"].last()
    assert len(newest) > 1

    told = run_directory.record("verdict/verdict.json")["losses"]["last_value"]
    assert told == pytest.approx((judged["outcome"] - judged["group"].map(newest)).abs().mean())
