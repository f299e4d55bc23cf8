import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.drift.alarms import AlarmRequest
from retrim.drift.findings import DriftFinding, findings
from retrim.drift.params import DriftParams
from retrim.drift.profile import ProfileParams, make_profile
from retrim.errors import BadInputError
from retrim.stats.codec import to_record
from retrim.table.data import ColumnType

GIVEN: dict[str, Any] = {
    "tests": {
        "psi": {"cells": 10, "threshold": 0.2},
        "ks": {"threshold": 0.15},
        "chi2": {"threshold": 0.15},
        "missing_share": {"threshold": 0.05},
    },
    "alarms": None,
    "min_rows": 100,
}
COLUMNS: dict[str, ColumnType] = {"heat": "number", "hour": "integer", "kind": "category"}
KEPT = ProfileParams(
    cells=120, levels=100, buckets=64, block="1D", most_blocks=100, block_rows=10, sample_rows=50, seed=7
)


def window(start: str, *, rows: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    times = pd.date_range(start, periods=rows, freq="h", tz="UTC")
    return pd.DataFrame(
        {
            "_event": times,
            "heat": random.normal(size=rows),
            "hour": times.hour,
            "kind": random.choice(["a", "b"], size=rows),
        }
    )


BEFORE, AFTER = window("2026-01-01", rows=2400, seed=1), window("2026-05-01", rows=480, seed=2)


def found(
    before: pd.DataFrame, after: pd.DataFrame, *, importances: dict[str, float] | None = None, **changed: Any
) -> list[DriftFinding]:
    columns = {name: COLUMNS.get(name, "number") for name in before.columns if name != "_event"}
    profile = make_profile(before, columns, KEPT, time="_event")
    params = DriftParams(**{**GIVEN, **changed})
    return findings(profile, after, params, time="_event", importances=importances or {}, alarms=None)


def test_each_column_meets_the_tests_of_its_type():
    tested = {(f.column, f.test) for f in found(BEFORE, AFTER)}

    assert tested == {
        ("heat", "psi"),
        ("heat", "ks"),
        ("heat", "missing_share"),
        ("hour", "psi"),
        ("hour", "ks"),
        ("hour", "missing_share"),
        ("kind", "chi2"),
        ("kind", "missing_share"),
    }


def test_nothing_is_over_when_nothing_has_moved():
    assert [f for f in found(BEFORE, AFTER) if f.over] == []


def test_what_has_moved_most_comes_first() -> None:
    moved = AFTER.assign(heat=AFTER["heat"] + 3, kind=AFTER["kind"].replace("a", "b"))
    ratios = [f.effect / f.threshold for f in found(BEFORE, moved)]

    assert ratios == sorted(ratios, reverse=True)
    assert found(BEFORE, moved)[0].column == "heat"


def test_what_the_model_leans_on_comes_before_what_moved_more() -> None:
    moved = AFTER.assign(heat=AFTER["heat"] + 3, kind=AFTER["kind"].replace("a", "b"))
    importances = {"heat": 0.01, "kind": 0.9, "hour": 0.09}

    assert found(BEFORE, moved, importances=importances)[0].column == "kind"


def test_what_is_over_its_threshold_comes_before_what_is_not() -> None:
    moved = AFTER.assign(heat=AFTER["heat"] + 3)
    over = [f.over for f in found(BEFORE, moved, importances={"heat": 0.0, "kind": 0.5, "hour": 0.5})]

    assert over == sorted(over, reverse=True)
    assert over[0]


def test_a_rank_is_importance_times_effect_over_threshold() -> None:
    moved = AFTER.assign(heat=AFTER["heat"] + 3)
    first = found(BEFORE, moved, importances={"heat": 0.25})[0]

    assert first.rank == pytest.approx(0.25 * first.effect / first.threshold)


def test_a_column_that_has_moved_is_over():
    over = {(f.column, f.test) for f in found(BEFORE, AFTER.assign(heat=AFTER["heat"] + 1)) if f.over}

    assert over == {("heat", "psi"), ("heat", "ks")}


def test_an_effect_at_its_threshold_is_not_over():
    late = AFTER.assign(heat=AFTER["heat"].mask(AFTER.index < 240))
    share = next(
        f for f in found(BEFORE, late, tests={**GIVEN["tests"], "missing_share": {"threshold": 0.5}}) if f.effect == 0.5
    )

    assert not share.over


def test_the_order_of_findings_does_not_depend_on_the_order_of_columns() -> None:
    turned = found(BEFORE[list(reversed(BEFORE.columns))], AFTER)

    assert turned == found(BEFORE, AFTER)


def test_scores_are_tested_where_both_windows_have_them():
    before, after = (rows.assign(predictions=rows["heat"]) for rows in (BEFORE, AFTER))

    assert [f.test for f in found(before, after) if f.column == "predictions"] == ["ks"]


def test_a_column_of_one_window_alone_is_left_out() -> None:
    assert {f.column for f in found(BEFORE, AFTER.assign(predictions=1.0).drop(columns="heat"))} == {"hour", "kind"}


def test_a_target_is_tested_by_its_type_and_not_for_missing_labels() -> None:
    before, after = (rows.assign(target=rows["heat"]) for rows in (BEFORE, AFTER))

    assert {f.test for f in found(before, after) if f.column == "target"} == {"psi", "ks"}


def test_a_current_window_below_the_least_rows_finds_nothing():
    assert found(BEFORE, AFTER.iloc[:99]) == []


def test_a_current_window_of_the_least_rows_is_looked_at():
    assert found(BEFORE, AFTER.iloc[:100]) != []


def test_a_finding_says_what_its_windows_held():
    current = found(BEFORE, AFTER)[0].current

    assert (current.first, current.last, current.rows) == (
        pd.Timestamp("2026-05-01T00:00Z"),
        pd.Timestamp("2026-05-20T23:00Z"),
        480,
    )


def test_a_record_is_plain_json():
    before, after = (rows.assign(predictions=rows["heat"]) for rows in (BEFORE, AFTER))
    records = [to_record(f) for f in found(before, after)]

    assert json.loads(json.dumps(records, allow_nan=False)) == records


def test_a_record_holds_every_field():
    assert list(to_record(found(BEFORE, AFTER)[0])) == [
        "column",
        "test",
        "statistic",
        "effect",
        "p_value",
        "threshold",
        "over",
        "contrast",
        "shift",
        "seen",
        "unit",
        "promise",
        "rank",
        "reference",
        "current",
        "loss_change",
    ]


def test_the_windows_are_left_as_they_are():
    before, after = BEFORE.copy(), AFTER.copy()
    found(before, after)

    pd.testing.assert_frame_equal(before, BEFORE)
    pd.testing.assert_frame_equal(after, AFTER)


def test_a_window_without_times_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"current window .*_event"):
        found(BEFORE, AFTER.drop(columns="_event"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pis": {"threshold": 1}}, "unknown drift test 'pis'; known: chi2, .*, domain"),
        ({"psi": {"threshold": 0.2}}, r"tests\.psi has the arguments: none; it must have exactly these: cells"),
        (
            {"ks": {"cells": 3, "threshold": 0.1}},
            r"tests\.ks has the arguments: cells; it must have exactly these: none",
        ),
        ({"ks": {}}, r"tests\.ks has no threshold; add tests\.ks\.threshold"),
        ({"ks": {"threshold": 0}}, r"tests\.ks\.threshold is 0; write a number above 0"),
        (
            {"domain": {"rows": 9, "threshold": 1}},
            r"tests\.domain has the arguments: rows; it must have exactly these: folds, leaves, ro",
        ),
        ({"correlation": {}}, r"tests\.correlation has no threshold; add tests\.correlation\.threshold"),
        ({"psi": {"cells": "ten", "threshold": 1}}, r"tests\.psi\.cells: .*integer.* \(got 'ten'\)"),
        ({"psi": {"cells": 1, "threshold": 1}}, r"tests\.psi\.cells: .* or equal to 2 \(got 1\)"),
        (
            {"domain": {"rounds": 9, "leaves": 9, "folds": 2, "rows": 1, "threshold": 1}},
            r"tests\.domain\.rows: .* or equal to 2 \(got 1\)",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(changed: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        DriftParams(**{**GIVEN, "tests": changed})


def test_a_test_looks_at_the_columns_of_its_kind() -> None:
    params = DriftParams.model_validate({"tests": {**GIVEN["tests"], "correlation": {"threshold": 0.3}}})

    assert params.of_columns("numeric") == {"psi": {"cells": 10}, "ks": {}}
    assert (params.of_columns("categorical"), params.of_columns("any")) == ({"chi2": {}}, {"missing_share": {}})
    assert params.joint.tests == {"correlation": {}}
    assert params.threshold_of("correlation") == 0.3


# --- calibrated


def asked(rate: float = 0.01) -> AlarmRequest:
    return AlarmRequest(rate=rate, share=1.0, draws=1000, seed=1)


def calibrated_found(
    before: pd.DataFrame, after: pd.DataFrame, alarms: AlarmRequest
) -> dict[tuple[str, str], DriftFinding]:
    profile = make_profile(before, COLUMNS, KEPT, time="_event")
    params = DriftParams(**GIVEN)
    every = findings(profile, after, params, time="_event", importances={}, alarms=alarms)
    return {(finding.column, finding.test): finding for finding in every}


def test_a_calibrated_finding_is_over_where_its_column_is_alarmed():
    moved = AFTER.assign(heat=AFTER["heat"] + 0.5)
    by_test = calibrated_found(BEFORE, moved, asked())

    assert {key for key, finding in by_test.items() if finding.over} == {("heat", "psi"), ("heat", "ks")}


def test_a_calibrated_finding_says_what_moved_by_how_much_and_what_could_have_been_seen():
    finding = calibrated_found(BEFORE, AFTER.assign(heat=AFTER["heat"] + 0.5), asked())["heat", "ks"]

    assert (finding.contrast, finding.unit, finding.promise) == ("location", "sd", "extrapolated")
    assert finding.shift == pytest.approx(0.5, abs=0.1)
    # 480 independent rows: 0.8 sd of the standard normal and the limit of 1 in 100 over some 40 contrasts
    assert 0.15 < (finding.seen or 0) < 0.25


def test_a_share_of_the_alarms_makes_p_values_larger():
    whole = calibrated_found(BEFORE, AFTER, asked())["heat", "ks"]
    part = calibrated_found(BEFORE, AFTER, AlarmRequest(rate=0.01, share=0.25, draws=1000, seed=1))["heat", "ks"]

    assert part.p_value == pytest.approx(min(4 * (whole.p_value or 0), 1))


def test_a_history_of_a_few_blocks_keeps_thresholds_and_promises_nothing():
    short = BEFORE.iloc[:60]
    finding = calibrated_found(short, AFTER.assign(heat=AFTER["heat"] + 5), asked())["heat", "ks"]

    assert finding.over
    assert (finding.p_value, finding.promise) == (None, "cannot be promised")
