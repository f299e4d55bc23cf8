"""The policy backtest over a landed history: resumed, the same on any cores, and told in full."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.cli.policy import assignments
from retrim.decision.policy_backtest import FitInputs, FitLosses
from retrim.errors import RefusedError
from retrim.reports import policy
from retrim.reports.policy import BacktestResult, backtest, read_log
from retrim.reports.policy_report import command_for
from retrim.stats.codec import to_record
from tests.builders.desk import START, Desk, make_desk, with_params
from tests.cli.test_reference import keys, pages  # noqa: F401 - a fixture

pytestmark = pytest.mark.slow  # some seconds: each makes the fits of a small matrix

SMALL: dict[str, dict[str, Any]] = {
    "policy": {"windows": 6, "first": 0.4},
    "probe": {"blocks": 2},
    "tune": {"max_rounds": 15, "patience": 5},
    "train": {"windows": ["all", "sliding"]},
}
TURN = {"kind": "concept", "size": 4.0, "since": START + pd.Timedelta(16, "D")}
Make = Callable[..., Desk]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A desk with 25 days of rows, one an hour; what they say turns on day 16."""
    monkeypatch.setenv("RETRIM_CORES", "1")

    def made(**dials: Any) -> Desk:
        changes = {**SMALL, **dials.pop("changes", {})}
        desk = make_desk(tmp_path / f"workspace-{len(list(tmp_path.iterdir()))}", drift=TURN, changes=changes, **dials)
        desk.land(desk.rows(0, 25), 25)
        return desk

    return made


def tried(desk: Desk, **how: Any) -> BacktestResult:
    return backtest(desk.workspace, now=desk.day(26), **how)


def log_of(desk: Desk, done: BacktestResult) -> Path:
    return desk.workspace.paths.policy / f"{done.digest}.jsonl"


def test_it_goes_on_where_it_was_killed(make: Make) -> None:
    desk = make()
    whole = tried(desk)
    log = log_of(desk, whole)
    content = log.read_bytes()
    log.write_bytes(content[: len(content) // 3])  # cut in the middle of a line
    kept = read_log(log)
    again = tried(desk)

    assert 0 < len(kept) < len(read_log(log)) == 6 * 2 * 2
    assert to_record(again) == to_record(whole)


def test_a_line_of_another_version_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "fits.jsonl"
    whole = b'{"kind": "all", "origin": 1, "fitted_rows": 9, "sums": [1.0]}\n'
    log.write_bytes(b'{"kind": "expanding", "origin": 1}\n' + whole)

    assert [job.origin for job in read_log(log)] == [1]


def test_what_was_fitted_is_not_fitted_again(make: Make) -> None:
    desk = make()
    log = log_of(desk, tried(desk))
    before = log.read_bytes()
    tried(with_params(desk, gain={"cost": 7.0}))

    assert log.read_bytes() == before


def test_cores_change_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = tried(make())
    monkeypatch.setenv("RETRIM_CORES", "2")

    assert to_record(tried(make())) == to_record(alone)


def test_the_record_says_of_every_policy_what_it_costs(make: Make) -> None:
    desk = make()
    record = json.loads(json.dumps(to_record(tried(desk))))
    names = [line["name"] for line in record["policies"]]

    assert {"never", "always", "every-2", "gain", "drift", "performance"} <= set(names)
    assert record["recommended"] is None  # of 6 windows
    assert all(line["ratio_low"] <= line["ratio_to_hindsight"] <= line["ratio_high"] for line in record["policies"])
    assert all(line["ratio_to_hindsight"] >= 1 - 1e-9 for line in record["policies"])
    assert [line["cost"] for line in record["policies"]] == sorted(line["cost"] for line in record["policies"])
    for line in record["policies"]:
        assert line["cost"] == pytest.approx(line["loss"] + record["retraining_cost"] * line["retrainings"])
        assert len(line["decided"]) == line["retrainings"]


def test_the_document_names_the_keys_of_its_record(make: Make, pages: dict[str, str]) -> None:  # noqa: F811
    assert keys(pages, "policy backtest") == to_record(tried(make())).keys()


def test_where_the_stream_turns_the_account_retrains_after_it(make: Make) -> None:
    record = tried(with_params(make(), gain={"cost": 0.05}))
    policy = next(policy for policy in record.policies if policy.name == "gain")

    assert [date for date in policy.decided if date > pd.Timestamp("2024-01-17", tz="UTC")] != []


def test_older_rows_are_left_out(make: Make) -> None:
    desk = make()
    done = tried(desk, since=desk.day(10))

    assert done.rows == 15 * 24
    assert done.since > desk.day(10)


def test_labels_that_come_with_their_rows_are_late_by_their_horizon(make: Make) -> None:
    # A window is 2.5 days: labels due after an hour are there at once, those due after 6 days 3 windows late.
    soon, late = make(), make(data={"label_horizon": "6D"})

    assert (tried(soon).label_delay, tried(late).label_delay) == (0, 3)


def test_steps_go_by_when_labels_were_due_also_where_windows_delay_them(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FitInputs] = []

    def none_is_fitted(work: FitInputs, *said: object, **also: object) -> list[FitLosses]:
        seen.append(work)
        raise RefusedError("enough was seen")

    monkeypatch.setattr(policy, "all_scored", none_is_fitted)
    with pytest.raises(RefusedError, match="enough"):
        tried(make(data={"label_horizon": "6D"}))

    assert seen[0].at_event
    assert (seen[0].table["_due"] - seen[0].table["_event"]).unique().tolist() == [pd.Timedelta("6D")]


def test_a_history_that_is_too_short_says_what_to_do(make: Make) -> None:
    with pytest.raises(RefusedError, match="--windows"):
        tried(make(), windows=50)


def test_the_command_of_a_policy_sets_its_values() -> None:
    changes = {"triggers.rules": ["schedule"], "triggers.every": "5D", "triggers.budget": None}

    assert assignments(shlex.split(command_for(changes))[2:]) == changes


def test_where_labels_come_after_nearly_all_windows_nothing_is_said_of_retraining(make: Make) -> None:
    with pytest.raises(RefusedError, match="wait for more history"):
        tried(make(data={"label_horizon": "9D"}))
