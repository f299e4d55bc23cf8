"""A regime that returns: the previous champion competes with what is newly fitted, on the same rows."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.stats.codec import to_json
from retrim.training.bundle import predicting
from tests.builders.fairness import settings as fairness_settings
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 540


def of_regimes(*, back_at: int) -> pd.DataFrame:
    """A table whose outcome has the other sign from row 300 until row `back_at`."""
    table = stream(ROWS)
    away = (table.index >= 300) & (table.index < back_at)
    return table.assign(outcome=table["outcome"].where(~away, -table["outcome"]))


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1, of the first regime."""
    return make_run_directory(tmp_path_factory.mktemp("first"), stream(300)).run()


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2, of the other regime."""
    table = of_regimes(back_at=ROWS).iloc[:450].assign(outcome=-stream(450)["outcome"])
    return make_run_directory(tmp_path_factory.mktemp("second"), table).run()


def laid(run_directory: Room, version: int = 1) -> dict[str, bytes]:
    return {f"v{version}/{name}": content for name, content in predicting(run_directory.bundle).items()}


def third(
    folder: Path, champion: Room, previous_champion: dict[str, bytes] | None, *, back_at: int, **changed: Any
) -> Any:
    table = of_regimes(back_at=back_at)
    run_directory = make_run_directory(
        folder, table, mode="refit", champion=champion.bundle, previous_champion=previous_champion, **changed
    ).run()
    return run_directory.record("verdict/verdict.json")


@pytest.fixture(scope="module")
def returned(first: Room, second: Room, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return third(tmp_path_factory.mktemp("returned"), second, laid(first), back_at=ROWS - 80)


def test_one_whose_regime_returned_wins(returned: Any) -> None:
    assert returned["previous_champions"]["restore"] == 1
    assert returned["previous_champions"]["verdict"]["promote"]


def test_then_the_new_one_is_refused_with_a_reason_that_names_it(returned: Any) -> None:
    assert not returned["promote"]
    assert "version 1," in returned["reason"]
    assert returned["winner"] in ("all", "sliding")


def test_one_whose_regime_did_not_return_competes_and_loses(first: Room, second: Room, tmp_path: Path) -> None:
    found = third(tmp_path, second, laid(first), back_at=ROWS)

    assert found["previous_champions"]["restore"] is None
    assert found["previous_champions"]["losses"]["1"] > found["losses"]["champion"]
    assert next(check for check in found["checks"] if check["name"] == "previous champion")["passed"]


def test_one_that_has_seen_rows_that_judge_does_not_compete(first: Room, second: Room, tmp_path: Path) -> None:
    previous_champion = laid(first)
    split = first.record("features/split.json") | {"used_until": stream(ROWS)["_event"].iloc[-80].isoformat()}
    previous_champion["v1/features/split.json"] = to_json(split)
    found = third(tmp_path, second, previous_champion, back_at=ROWS - 80)

    assert found["previous_champions"]["losses"] == {}
    assert split["used_until"] in found["previous_champions"]["left_out"]["1"]


def test_they_count_among_the_tries_that_the_gate_corrects_for(first: Room, second: Room, tmp_path: Path) -> None:
    texts = []
    for name, previous_champion in (("without", None), ("with", laid(first))):
        found = third(tmp_path / name, second, previous_champion, back_at=ROWS, judge={"draws": 500})
        texts += [check["text"] for check in found["checks"] if check["name"] == "gain"]

    # 90% asked of two challengers, and of three.
    assert "95.0% confidence" in texts[0]
    assert "96.7% confidence" in texts[1]


def test_it_is_held_to_the_limits_of_fairness_as_a_new_one_is(first: Room, second: Room, tmp_path: Path) -> None:
    groups = [{"column": "group", "cuts": [], "least_rows": 5}]
    limits = fairness_settings(groups=groups, at_most={"mean_error": 0.0})
    found = third(tmp_path, second, laid(first), back_at=ROWS - 80, fairness=limits)
    names = [check["name"] for check in found["previous_champions"]["verdict"]["checks"]]

    assert "fairness: group mean error" in names
