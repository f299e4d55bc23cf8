"""The loop as it runs: what is seen, decided, made, judged and released, through the real flows."""

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from retrim.checking.audit import audit
from retrim.checking.gain import balance
from retrim.checking.history import checks_of
from retrim.decision.check_record import StoredCheck
from retrim.files import file_digest
from retrim.landing.ingest import land_batch
from retrim.reading.landed import Kind
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.shipped import drift_tests
from tests.builders.world import SHIPPED, START, World, make_world, without_cooldown
from tests.e2e.flows_here import at_work, make_check, retrain

pytestmark = pytest.mark.server


def settings(world: World, **sections: dict[str, Any]) -> World:
    """The world after a person edited its params.yaml."""
    file = world.root / "params.yaml"
    document = load_yaml(file.read_text(encoding="utf-8"))
    for name, values in sections.items():
        document[name] |= values
    file.write_text(dump_yaml(document), encoding="utf-8")
    return replace(world)  # reads it anew


def states(world: World) -> list[str]:
    return [run.state for run in world.workspace.store.runs(world.workspace.model)]


WIDE = drift_tests(psi=1.0, ks=0.4, chi2=1.0, psi_categories=1.0, missing_share=0.5)  # 48 rows are noisy


# --- a stream whose labels come later -------------------------------------------------------------


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, Any]:
    """What happened on a stream without labels: shift from day 24 on, labels due after two days."""
    world = make_world(
        tmp_path_factory.mktemp("unlabelled"),
        server=server,
        labels="later",
        drift={"kind": "shift", "size": 3.0, "since": START + pd.Timedelta(24, "D")},
        changes={
            "data": {"label_horizon": "2D"},
            "triggers": {"rules": ["drift"]},
            "drift": {"tests": WIDE, "alarms": None},
            **SHIPPED,
        },
        code=without_cooldown(),
    )
    first = world.rows(None, world.day(24))
    hand_in(world, first.assign(outcome=first["outcome"].where(first["at"] < START + pd.Timedelta(22, "D"))), 24)
    seen: dict[str, Any] = {"world": world, "first": retrain(world, 24, "version 1")}
    seen["quiet"] = make_check(world, 24.5)
    hand_in(world, world.rows(world.day(24), world.day(28)).drop(columns="outcome"), 28)
    seen["drifted"] = make_check(world, 28)
    seen["waiting"] = [make_check(world, 29)]
    hand_in(world, world.rows(world.day(26), world.day(28))[["number", "outcome"]], 29.25, labels=True)
    seen["waiting"].append(make_check(world, 29.5))
    seen["states before"] = states(world)
    seen["awake"] = make_check(world, 30)
    seen["again"] = make_check(world, 30)
    return seen


def hand_in(world: World, frame: pd.DataFrame, day: float, *, labels: bool = False) -> None:
    file = world.root / "var" / "arriving" / f"{'labels' if labels else 'rows'}-{day}.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(file, index=False)
    kind: Kind = "labels" if labels else "rows"
    workspace, now = world.workspace, pd.Timestamp(world.day(day))
    landed = land_batch(file, kind, workspace=workspace.paths, data=workspace.params.data, now=now, correction=False)

    assert landed.outcome == "landed", landed.faults


def test_each_row_of_the_stream_counts_once(unlabelled: dict[str, Any]) -> None:
    workspace = unlabelled["world"].workspace
    versions = [row.version for row in workspace.store.versions(workspace.model)]
    found = audit(workspace, now=pd.Timestamp(unlabelled["world"].day(30)))

    assert found.holds, found.as_record()
    assert found.balances[0].counted >= 96
    assert all(workspace.store.used_rows(workspace.model, version) for version in versions)


def test_prefect_has_a_summary_of_the_last_check(unlabelled: dict[str, Any]) -> None:
    from prefect.artifacts import Artifact

    world = unlabelled["world"]
    last = StoredCheck.of(world.workspace.store.decisions(world.workspace.model, source="check")[-1])
    with at_work(world):
        summary = Artifact.get(f"check-{world.workspace.model}")

    assert summary is not None
    assert summary.description == f"check {last.id}"
    assert last.reason in str(summary.data)


def test_a_shift_without_labels_crosses_the_threshold_and_starts_a_run(unlabelled: dict[str, Any]) -> None:
    assert unlabelled["first"]["state"] == "promoted"
    assert unlabelled["quiet"]["check"]["outcome"] == "none"
    assert unlabelled["drifted"]["check"]["reason"].endswith(", 1 of 1 needed: level, predictions")
    assert unlabelled["drifted"]["run"]["state"] == "deferred"


def test_a_run_with_too_few_mature_rows_ends_deferred_naming_the_date(unlabelled: dict[str, Any]) -> None:
    # Of what has landed, one row an hour comes due from day 28 on.
    reason = unlabelled["drifted"]["run"]["reason"]
    assert [each in reason for each in ("enough by 2024-01-3", "97 labels", "--labels")] == [True] * 3


def test_a_check_before_that_date_asks_again_only_after_labels_have_come(unlabelled: dict[str, Any]) -> None:
    before, after = (each["run"] for each in unlabelled["waiting"])

    assert before is None
    assert after["state"] == "deferred"
    assert after["reason"].startswith("37 mature rows that no model has seen, 48 needed; enough by 2024-01-30T23:00:00")
    assert unlabelled["states before"] == ["promoted", "deferred", "deferred"]


def test_the_first_check_after_that_date_opens_a_new_run_that_is_judged(unlabelled: dict[str, Any]) -> None:
    awake = unlabelled["awake"]

    assert awake["check"]["outcome"] == "retrain"
    assert awake["run"]["state"] in ("promoted", "refused")
    assert "gain over" in awake["run"]["reason"]


def test_no_human_was_asked_and_a_deferral_costs_nothing(unlabelled: dict[str, Any]) -> None:
    decisions = unlabelled["world"].workspace.store.decisions("generated")

    assert [row.source for row in decisions] == ["person"] + ["check"] * 5
    assert [row.record["gain"]["debited"] for row in decisions if row.source == "check"] == [[]] * 5


def test_one_decision_starts_one_run_although_the_flow_runs_twice(unlabelled: dict[str, Any]) -> None:
    world = unlabelled["world"]

    assert unlabelled["again"]["check"]["id"] == unlabelled["awake"]["check"]["id"]
    assert unlabelled["again"]["run"] is None
    assert len(states(world)) == 4


# --- a stream with labels -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, Any]:
    """Three checks without drift, then the concept drifts, and three more."""
    world = make_world(
        tmp_path_factory.mktemp("labelled"),
        server=server,
        drift={"kind": "concept", "size": 4.0, "since": START + pd.Timedelta(32, "D")},
        changes={
            "train": {"windows": ["sliding"]},
            "split": {"sliding_rows": 150},
            "probe": {"when": "every"},
            "gain": {"cost": 1.0},  # dear enough that a challenger has seen the new concept when it is made
        },
        code=without_cooldown(1),
    )
    world.land(world.day(20))
    retrain(world, 20, "version 1")
    done = {day: _beat(world, day) for day in (24, 28, 32, 36, 40, 44)}
    return {"world": world, "quiet": [done[day] for day in (24, 28, 32)], "all": done}


def _beat(world: World, day: int) -> dict[str, Any]:
    world.land(world.day(day), since=world.day(day - 4))
    return make_check(world, day)


def test_without_drift_nothing_is_retrained(labelled: dict[str, Any]) -> None:
    assert [each["check"]["outcome"] for each in labelled["quiet"]] == ["none"] * 3


def test_concept_drift_retrains_once_in_as_many_checks_and_promotes(labelled: dict[str, Any]) -> None:
    runs = {day: each["run"] for day, each in labelled["all"].items() if each["run"]}

    assert [run["state"] for run in runs.values()] == ["promoted"]
    assert min(runs) > 32


def test_it_retrained_because_the_account_exceeded_price_and_errors(labelled: dict[str, Any]) -> None:
    record = next(each["check"] for each in labelled["all"].values() if each["run"])

    assert record["gain"]["now"]["balance"] > record["gain"]["retraining_cost"]
    assert record["gain"]["now"]["balance"] > 2 * record["gain"]["now"]["variance"] ** 0.5


def test_the_account_is_empty_after_the_promotion(labelled: dict[str, Any]) -> None:
    checks = [each["check"] for each in labelled["all"].values()]
    place = next(number for number, each in enumerate(checks) if each["outcome"] == "retrain")

    assert checks[place + 1]["champion"] == 2
    assert checks[place + 1]["gain"]["before"]["balance"] == 0


def test_every_version_has_its_card_beside_its_bundle_as_the_envelope_says(labelled: dict[str, Any]) -> None:
    workspace = labelled["world"].workspace
    for version in (1, 2):
        kept = workspace.store.envelope(workspace.model, version, kind="card")[-1]  # since the newest release
        beside = workspace.registry.bundle_folder(version).parent

        assert {name: file_digest(beside / each["path"]) for name, each in kept.record.items()} == {
            name: each["sha256"] for name, each in kept.record.items()
        }


def test_what_is_new_in_a_version_is_told_with_code_settings_and_rows(labelled: dict[str, Any]) -> None:
    told = labelled["world"].ask("versions", "diff", "1", "2")

    assert told["code"]["files"] == []
    assert told["parameters"] == {}
    assert told["environment"]["packages"] == {}
    assert len(told["data"]["came"]) >= 4
    assert told["metrics"]["2"]["mae"] < told["metrics"]["1"]["mae"]  # the concept has drifted between the two


def test_a_stored_prediction_is_explained_by_the_version_that_made_it(labelled: dict[str, Any]) -> None:
    workspace = labelled["world"].workspace
    key = workspace.predictions.all_keys(1)[-1]
    told = labelled["world"].ask("versions", "explain", f"{key}@1")

    assert told["agrees"] is True
    parts = sum(each["contribution"] for each in told["contributions"])
    assert told["base"] + parts == pytest.approx(told["stored"], abs=1e-6)


# --- refusals -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def refused(labelled: dict[str, Any]) -> dict[str, Any]:
    """The same world with a gate that asks for the impossible, and drift that fires at every check."""
    hard = settings(
        labelled["world"],
        gate={"min_gain": 0.99},
        triggers={"rules": ["drift"]},
        gain={"cost": 1000.0},  # no gain ends the hold
        drift={
            "tests": drift_tests(psi=1e-6, ks=1e-6, chi2=1e-6, psi_categories=1e-6, missing_share=1.0),
            "alarms": None,
        },
    )
    world = replace(hard, table={**hard.table, "size": 6.0, "since": START + pd.Timedelta(44, "D")})
    done = {day: _beat(world, day) for day in (48, 52, 56, 60)}
    eased = settings(world, gate={"min_gain": 0.01})
    released = eased.retrim("retrain", "--as-of", eased.day(60), "--reason", "the gate asked for too much")
    return {"world": eased, "released": released.stdout, **done}


def test_a_refusal_says_why_and_starts_the_cooldown(refused: dict[str, Any]) -> None:
    assert refused[48]["run"]["state"] == "refused"
    assert "(needed: 99.0%, and above 0)" in refused[48]["run"]["reason"]
    assert refused[52]["check"]["reason"].startswith("cooldown, check 1 of 1 after the last run (drift in ")


def test_a_refusal_debits_the_price(refused: dict[str, Any]) -> None:
    paid = refused[48]["check"]["gain"]["now"]["balance"]

    assert refused[52]["check"]["gain"]["before"]["balance"] == max(paid - 1000.0, 0)
    assert len(refused[52]["check"]["gain"]["debited"]) == 1


def test_two_refusals_running_are_held_until_a_person_releases_them(refused: dict[str, Any]) -> None:
    world = refused["world"]

    assert refused[56]["run"]["state"] == "refused"
    assert refused[60]["check"]["outcome"] == "held"
    assert refused[60]["run"] is None
    assert refused["released"].startswith("promoted: ")
    assert states(world)[-1] == "promoted"
    live = world.workspace.store.releases("generated")[-1].version
    assert balance(world.workspace, live, checks_of(world.workspace)).balance == 0
