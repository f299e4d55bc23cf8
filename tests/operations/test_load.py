"""Which load needs what machine: sums worked by hand."""

from dataclasses import replace

import pytest

from retrim.operations.load import BASE_GB, IDLE_GB, PER_MODEL_GB, CoreRates, ModelLoad, machine_for

RATES = CoreRates(
    landing=10_000.0,
    predicting=100_000.0,
    requests=2_000.0,
    fitting=1_000_000.0,
    check_seconds=10.0,
    retraining_work=36_000_000,
    rows=1_000_000,
    features=10,
    row_bytes=100.0,
)
LOAD = ModelLoad(
    models=10, rows_a_day=864_000.0, requests_a_second=100.0, checks_a_day=1.0, retrainings_a_month=30.0, years=1.0
)


def test_cores_at_work_are_what_is_asked_over_what_a_core_does() -> None:
    need = machine_for(LOAD, RATES)

    assert need.landing == pytest.approx(10 * 10 / 10_000)  # 10 rows a second of 10 models
    assert need.predicting == pytest.approx(10 * 10 / 100_000)
    assert need.requests == pytest.approx(10 * 100 / 2_000)
    assert need.checks == pytest.approx(10 * 10 / 86_400)


def test_a_retraining_grows_with_the_rows_that_are_kept() -> None:
    need = machine_for(replace(LOAD, models=1, rows_a_day=10_000_000 / 365), RATES)

    assert need.retraining == pytest.approx(36 * 10 / 86_400)  # 36 s at a million rows, once a day


def test_no_core_is_at_work_for_more_than_six_tenths_of_the_time() -> None:
    need = machine_for(replace(LOAD, requests_a_second=240.0), RATES)

    assert need.cores == 5  # 2.5 at work
    assert need.busy / need.cores < 0.6


def test_a_server_takes_memory_for_each_model_only_where_there_are_requests() -> None:
    with_server, without = (machine_for(replace(LOAD, requests_a_second=each), RATES) for each in (1.0, 0.0))
    rows = 864_000 * 365

    assert with_server.memory_gb - without.memory_gb == pytest.approx(10 * PER_MODEL_GB)
    assert without.memory_gb == pytest.approx(IDLE_GB + BASE_GB + rows * 10 * 12 / 1e9)


def test_what_was_not_measured_counts_as_nothing() -> None:
    need = machine_for(LOAD, replace(RATES, landing=None, requests=None))

    assert (need.landing, need.requests) == (0.0, 0.0)
