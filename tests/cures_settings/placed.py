"""Settings that are refused when they are read, where the section stands before the text and the key after it."""

from typing import Any

from tests.cures_settings.case import GONE, Case, Settings
from tests.cures_settings.loading import CATEGORY, DAYS, MEANS

LABELS = {"type": "number", "role": "target"}
FORBIDDEN = {"type": "category", "role": "forbidden"}
ROWS, PAST = "data.rows.where", "data.history.features"


def case(says: str, wrong: Settings, *cures: Settings, task: str = "regression") -> Case:
    return Case(says, wrong, cures, task=task, placed=True)


def group(column: str, *cuts: float) -> dict[str, Any]:
    return {"column": column, "cuts": list(cuts), "least_rows": 20}


def fairness(says: str, wrong: Settings, *cures: Settings, task: str = "binary") -> Case:
    def full(settings: Settings) -> Settings:
        return {f"fairness.{key}": value for key, value in settings.items()}

    return case(says, full(wrong), *map(full, cures), task=task)


def filtered(says: str, wrong: Settings, cure: Settings) -> Case:
    return case(says, {ROWS: [wrong]}, {ROWS: [cure]})


def lagged(says: str, wrong: Settings, cure: Settings, **other: Any) -> Case:
    ahead = {f"data.history.{name}": value for name, value in other.items()}
    return case(says, {PAST: [wrong]} | ahead, {PAST: [cure]})


def resampled(says: str, wrong: Settings, cure: Settings) -> Case:
    return case(says, {"data.rows.resample": {**DAYS, **wrong}}, {"data.rows.resample": {**DAYS, **cure}})


def prepared(says: str, wrong: Settings, cure: Settings) -> Case:
    return case(says, {"prepare.steps": [wrong]}, {"prepare.steps": [cure]})


MONEY = {"gain.money": {"cost": 10.0, "per_unit": 2.0, "currency": "EUR"}}
SPAN = "data.label_horizon"
LAG = {"of": "outcome", "lag": "24h"}
KNOWN = ["level", "slope", "noise", "group"]
PLACED = (
    case("{} is not a span between two times of day; write, for example, '22:00-07:00' (in UTC)",
         {"alerts.quiet": "at night"},
         {"alerts.quiet": "22:00-07:00"}),
    case("gain.money gives a cost of {} in the unit loss, but cost is {} in the unit {}; set `cost: {}` and "
         "`cost_unit: loss`, or `money: null`", MONEY | {"gain.cost": 1.0}, {"gain.cost": 5.0},
         {"gain.money": None}),
    case("tests.{} has the arguments: {}; it must have exactly these: {}",
         {"drift.tests.ks": {"cells": 9, "threshold": 0.1}},
         {"drift.tests.ks": {"threshold": 0.1}}),
    case("tests.{} has no threshold; add tests.{}.threshold, a bound on its effect", {"drift.tests.ks": {}},
         {"drift.tests.ks": {"threshold": 0.15}}),
    case("tests.{}.threshold is {}; write a number above 0", {"drift.tests.ks.threshold": 0.0},
         {"drift.tests.ks.threshold": 0.1}),
    case("{} samplers are set, but exactly 1 is needed; write, for example, {tpe: {}}", {"tune.sampler": {}},
         {"tune.sampler": {"tpe": {}}}),
    case("{} is not [m, n] with 1 <= m <= n; write, for example, [2, 3]",
         {"triggers.drift_checks": [3, 2]}, {"triggers.drift_checks": [2, 3]}),
    case("{} is not in ascending order; write each cut "
         "once, the lowest first", {"fairness.groups": [group("level", 2.0, 1.0)]},
         {"fairness.groups": [group("level", 1.0, 2.0)]}),
    lagged("a lag of {} rows is out of range; write a number from 1 to {}, or a span such as '24h'",
           {"of": "outcome", "lag": 0},
           {"of": "outcome", "lag": 1}),
    lagged("set either lag, or both over and stat: {of: trips, lag: 24h} or {of: trips, over: 7D, stat: mean}",
           {"of": "outcome"},
           {"of": "outcome", "over": "7D", "stat": "mean"}),
    case("entity: a column is listed twice; list each column once", {"data.history.entity": ["group", "group"]},
         {"data.history.entity": ["group"]}),
    case("features: {} is declared {} times; keep one", {PAST: [LAG, LAG]}, {PAST: [LAG]}),
    case("metric {} {}: {}", {"judge.loss": "r2"}, {"judge.loss": "mae"}),
    case("judge: {}", {"judge.loss": "log_loss"}, {"judge.loss": "mae"}),
    case("{} is shorter than a second; write a longer span, such as '1h'",
         {"schedule.ingest": "1ms"}, {"schedule.ingest": "1s"}),
    case("{} is neither a cron expression of five fields nor a span; write, for example, '15 0 * * *' or '6h'",
         {"schedule.ingest": "hourly"}, {"schedule.ingest": "15 0 * * *"}, {"schedule.ingest": "6h"}),
    prepared("{} are not in ascending order; write each edge once, in ascending order",
             {"step": "bins_edges", "columns": ["level"], "edges": [1.0, 0.0]},
             {"step": "bins_edges", "columns": ["level"], "edges": [0.0, 1.0]}),
    prepared("these levels are listed twice: {}; list each level once",
             {"step": "ordinal", "columns": ["group"], "order": ["a", "a"]},
             {"step": "ordinal", "columns": ["group"], "order": ["a", "b"]}),
    prepared("{} is not a known country; write its ISO 3166 code, such as 'DE' or 'US-NY'",
             {"step": "holidays", "columns": ["at"], "country": "Germany", "zone": "UTC"},
             {"step": "holidays", "columns": ["at"], "country": "US-NY", "zone": "UTC"}),
    prepared("{}: {} has no subdivision {}; choose one of: {}",
         {"step": "holidays", "columns": ["at"], "country": "DE-NY", "zone": "UTC"},
             {"step": "holidays", "columns": ["at"], "country": "DE-BY", "zone": "UTC"}),
    case("write a step as {step: NAME, columns: [...], ...arguments}", {"prepare.steps": ["frequency"]},
         {"prepare.steps": [{"step": "frequency", "columns": ["group"]}]}),
    prepared("{} has the arguments: {}; set exactly these: {}", {"step": "frequency", "columns": ["group"], "keep": 3},
             {"step": "frequency", "columns": ["group"]}),
    prepared("{}.{}: {}", {"step": "one_hot", "columns": ["group"], "most_levels": 0},
             {"step": "one_hot", "columns": ["group"], "most_levels": 9}),
    prepared("columns: {} listed twice; list each column once", {"step": "frequency", "columns": ["group", "group"]},
             {"step": "frequency", "columns": ["group"]}),
    prepared("columns: the list is empty; list at least one column, or write all", {"step": "frequency", "columns": []},
             {"step": "frequency", "columns": "all"}),
    case("{} cannot separate cells; write one ASCII character such as ',', ';' or '\\t'", {"reading.separator": "§"},
         {"reading.separator": "\t"}),
    case("{} is not a time zone; write one such as 'UTC' or 'Europe/Berlin'", {"reading.zone": "Berlin"},
         {"reading.zone": "Europe/Berlin"}),
    case("{} is not a text encoding; write one such as 'utf-8' or 'cp1252'", {"reading.encoding": "ansi8"},
         {"reading.encoding": "cp1252"}),
    case("{} is not a time format ({}); write one such as '%d.%m.%Y %H:%M', or {}",
         {"reading.dates": {"at": ["DD.MM."]}},
         {"reading.dates": {"at": ["%d.%m.%Y %H:%M"]}}, {"reading.dates": {"at": ["unix"]}}),
    case("thousands and decimal are both {}; set two different separators", {"reading.thousands": "."},
         {"reading.thousands": ","},
         {"reading.decimal": ","}),
    case("signs of {} are both {}; set two different separators", {"reading.signs": {"level": [",", ","]}},
         {"reading.signs": {"level": [",", "."]}}),
    case("{} cannot be a unit beside a number; write one such as '$', '%' or 'EUR'", {"reading.units": {"level": "5"}},
         {"reading.units": {"level": "$"}}),
    case("parts of {}: {} already includes {}; set only one of the two",
         {"reading.parts": {"at": {"date": "d", "clock": "c", "hour": "h"}}},
         {"reading.parts": {"at": {"date": "d", "hour": "h"}}}),
    case("parts of {}: the parts do not form a date; set the columns of year, month and day, of year and month "
         "alone, or of the date",
         {"reading.parts": {"at": {"year": "y"}}}, {"reading.parts": {"at": {"year": "y", "month": "m"}}},
         {"reading.parts": {"at": {"year": "y", "month": "m", "day": "t"}}}),
    case("parts of {}: a column is used twice, or is {} itself; set a different column for each part",
         {"reading.parts": {"at": {"year": "y", "month": "y", "day": "t"}}},
         {"reading.parts": {"at": {"year": "y", "month": "m", "day": "t"}}}),
    filtered("{} is not a value that a table can contain; to keep every value that is not missing, write "
             "not_missing: true",
             {"column": "level", "among": [float("nan")]}, {"column": "level", "not_missing": True}),
    filtered('put {} in quotes, as it appears in the table, such as "yes"', {"column": "group", "among": [True]},
             {"column": "group", "among": ["yes"]}),
    filtered("a filter must have exactly one condition; write it in one of these forms: {column: km, at_least: 0} (or "
             "at_most, or both)", {"column": "level"},
             {"column": "level", "at_least": 0.0}),
    filtered("at_least {} is above at_most {}, so no row would remain; swap the two",
         {"column": "level", "at_least": 2, "at_most": 1},
             {"column": "level", "at_least": 1, "at_most": 2}),
    case("{} is not a span of time: it has no unit; write one such as '1h' or '14D'", {SPAN: "7"}, {SPAN: "14D"}),
    case("{} is negative; write a span of 0 or more, such as '1h'", {SPAN: "-1h"}, {SPAN: "0h"}),
    case("{} is zero; write a span above 0, such as '1D'", {"release.approval.expires": "0h"},
         {"release.approval.expires": "1D"}),
    case("{} is not a span of time; write one such as '1h' or '14D'", {SPAN: "soon"}, {SPAN: "1h"}),
    case("use only lower-case letters a to z, digits, '_' and '-', and begin with a letter", {"data.model": "Bike"},
         {"data.model": "bike"}),
    case('put the class in quotes, as it appears in the table, such as "yes" or "1"', {"data.positive": True},
         {"data.positive": "yes"}, task="binary"),
    case("the label's due time must be set exactly once: set either label_horizon or the role 'due' for one "
         "column", {SPAN: None}, {SPAN: "1h"},
         {"data.columns.due": {"type": "time", "role": "due"}}),
    case("positive: set it to the positive class for a binary task, and to null for any other task",
         {"data.positive": "yes"}, {"data.positive": None}),
    case("the target of a {} task must have the type category; change the type of {}",
         {"data.columns.outcome.type": "number"},
         {"data.columns.outcome.type": "category"}, task="binary"),
    case("the target of a regression must have the type number or integer", {"data.columns.outcome.type": "category"},
         {"data.columns.outcome.type": "integer"}),
    case("columns: no column has the role 'feature'; set this role for at least 1",
         {f"data.columns.{name}.role": "forbidden" for name in KNOWN}, {"data.columns.level.role": "feature"}),
    case("{} is reserved for the label time in label files; rename this column",
         {"data.columns.outcome": GONE, "data.columns.label_time": LABELS},
         {"data.columns.label_time": GONE, "data.columns.outcome": LABELS}),
    case("columns: {} columns have the role {}; set this role for exactly 1", {"data.columns.level.role": "target"},
         {"data.columns.level.role": "feature"}),
    case("a column has no name; choose one, and use it in the table too", {"data.columns. ": CATEGORY},
         {"data.columns. ": GONE, "data.columns.extra": CATEGORY}),
    case("column {} begins with '_', which is reserved for retrim; rename it", {"data.columns._extra": CATEGORY},
         {"data.columns._extra": GONE, "data.columns.extra": CATEGORY}),
    case("columns: `was` of {} is {}, the name of another column; rename one of the two",
         {"data.columns.extra": {**CATEGORY, "was": "group"}},
         {"data.columns.extra": GONE, "data.columns.other": CATEGORY}),
    case("columns: {} is a time, but a feature must be a number, an integer or a category; change its role",
         {"data.columns.group.type": "time"},
         {"data.columns.group.type": "category"}, {"data.columns.group.role": "forbidden"}),
    case("key: {} is not a column; name one of: {}", {"data.key": ["id"]}, {"data.key": ["number"]}),
    case("key: {} is the target, which corrections may change; choose a column that never changes",
         {"data.key": ["outcome"]},
         {"data.key": ["number"]}),
    case("key: {} is a number, which can be written in many ways; declare "
         "it as integer or category", {"data.key": ["level"]},
         {"data.columns.level.type": "integer"}, {"data.columns.level.type": "category"}),
    case("{} describes a time that never occurs; correct its day and month",
         {"triggers.every": "0 0 31 2 *"}, {"triggers.every": "0 0 28 2 *"}),
    case("{} is not a valid {} in a cron expression", {"triggers.every": "0 0 * * x"}, {"triggers.every": "0 0 * * 1"}),
    case("{} is not a valid {} in a cron expression; write a number from {} to {}", {"triggers.every": "0 24 * * *"},
         {"triggers.every": "0 23 * * *"}),
    case("set low and high, or choices", {"tune.space": {"num_leaves": {"low": 4}}},
         {"tune.space": {"num_leaves": {"low": 4, "high": 9}}}, {"tune.space": {"num_leaves": {"choices": [4]}}}),
    case("low {} is above high {}, or one of them is not finite; set two finite bounds, with the smaller one as low",
         {"tune.space": {"num_leaves": {"low": 9, "high": 4}}},
         {"tune.space": {"num_leaves": {"low": 4, "high": 9}}}),
    case("log: true needs a low above 0, but low is {}; raise low, or remove log",
         {"tune.space": {"lambda_l1": {"low": 0, "high": 9, "log": True}}},
         {"tune.space": {"lambda_l1": {"low": 0.1, "high": 9, "log": True}}},
         {"tune.space": {"lambda_l1": {"low": 0, "high": 9}}}),
    case("{}: {} is not a column; name one of: {}", {"gate.slices.columns": ["region"]},
         {"gate.slices.columns": ["group"]}),
    case("{}: {} is not a column; name one of: {}", {"leaks.entity": "customer"}, {"leaks.entity": "group"}),
    fairness("mitigate: {} needs groups; list columns under groups, or set mitigate to null", {"mitigate": "reweight"},
             {"groups": [group("group")]}, {"mitigate": None}),
    fairness("mitigate: 'reweight' balances classes, but a regression has none; set mitigate to null",
             {"mitigate": "reweight", "groups": [group("group")]}, {"mitigate": None}, task="regression"),
    fairness("mitigate: a {} task has no threshold between two classes; set mitigate to null",
             {"mitigate": "selection_rate", "groups": [group("group")]}, {"mitigate": None}, task="regression"),
    case("{}{}: {} differs from seed, which is {}; retrim uses one seed: set "
         "only the key seed", {"gate.seed": 8}, {"gate.seed": 7}),
    fairness("at_most.{}: not available for a {} task; set it to null. Available: {}",
         {"at_most.mean_absolute_error": 0.1},
             {"at_most.mean_absolute_error": None}),
    fairness("forbidden: {} is not a column; name one of: {}", {"forbidden": ["sex"]}, {"forbidden": []}),
    fairness("groups: {} is not a column; name one of: {}", {"groups": [group("sex")]}, {"groups": [group("group")]}),
    fairness("groups: {} is the target or a time; choose a category or a number", {"groups": [group("outcome")]},
             {"groups": [group("group")]}),
    fairness("groups: {} is listed twice; keep one", {"groups": [group("group"), group("group")]},
             {"groups": [group("group")]}),
    fairness("groups: {} is a number; set the values at which it is split, such as cuts: [30, 60]",
             {"groups": [group("level")]},
             {"groups": [group("level", 30, 60)]}),
    fairness("groups: {} is a category, so each value is a group; set its cuts to []",
         {"groups": [group("group", 1.0)]},
             {"groups": [group("group")]}),
    case("ahead: known_ahead does not list {}; add each feature whose value is known {} before the event of the row, "
         "and set the role of any other to forbidden",
         {"data.history.ahead": "24h", "data.history.known_ahead": KNOWN[:3]},
         {"data.history.known_ahead": KNOWN}, {"data.columns.group.role": "forbidden"}),
    lagged("{} is a {}, but a lag or statistic needs a number; choose a numeric column, or write stat: count",
           {"of": "group", "lag": 1},
           {"of": "group", "over": "7D", "stat": "count"}),
    lagged("the lag {} is not longer than ahead; set a lag longer than {}", {"of": "level", "lag": "24h"},
           {"of": "level", "lag": "25h"}, ahead="24h", known_ahead=KNOWN),
    case("features: {} is also the name of a column in the table; rename that column",
         {PAST: [LAG], "data.columns.outcome lag 24h": CATEGORY}, {"data.columns.outcome lag 24h": GONE}),
    lagged("features: {} is not a column; name one of: {}", {"of": "speed", "lag": 1}, {"of": "level", "lag": 1}),
    case("entity: {} is not a column; name one of: {}", {"data.history.entity": ["depot"]},
         {"data.history.entity": ["group"]}),
    case("known_ahead: {} is not a feature; name one of: {}",
         {"data.history.ahead": "1h", "data.history.known_ahead": [*KNOWN, "x"]},
         {"data.history.known_ahead": KNOWN}),
    case("known_ahead: lists columns, but ahead is null; set ahead to a span, or set known_ahead to []",
         {"data.history.known_ahead": KNOWN}, {"data.history.ahead": "1h"}, {"data.history.known_ahead": []}),
    case("entity: {} has the role {}; choose a column that identifies what a row is about",
         {"data.history.entity": ["outcome"]},
         {"data.history.entity": ["group"]}),
    lagged("the label {} of the row {} earlier is not due yet; set a lag "
           "of at least {}", {"of": "outcome", "lag": "30min"},
           {"of": "outcome", "lag": "1h"}),
    lagged(" plus ahead {}", {"of": "outcome", "lag": "24h30min"}, {"of": "outcome", "lag": "25h"}, ahead="24h",
           known_ahead=KNOWN),
    case("entity: {} is a number, which can be written in many ways; declare it as integer or category",
         {"data.history.entity": ["level"]}, {"data.columns.level.type": "integer"}),
    filtered("where: {} is not a column; name one of: {}", {"column": "km", "at_least": 0},
         {"column": "level", "at_least": 0}),
    filtered("where: {} is the target, which is not known when a row is predicted",
         {"column": "outcome", "at_least": 0},
             {"column": "level", "at_least": 0}),
    filtered("where: {} is a {}, which has no order; use among or not_missing",
             {"column": "group", "at_least": 0}, {"column": "group", "among": ["a"]}),
    filtered("where: {} is a time, which allows only not_missing; use it, or choose a different column",
             {"column": "at", "among": ["2024"]},
             {"column": "at", "not_missing": True}),
    filtered("where: {} has the type {}, so it is never {}; write, for example, among: [1]",
         {"column": "level", "among": ["1"]},
             {"column": "level", "among": [1]}),
    resampled("resample.how: the aggregation of {} is not set; write, for example, {{}: {}}, or set the role of a "
              "feature to forbidden", {"how": MEANS}, {"how": MEANS | {"group": "last"}}),
    case("or set the role of a feature to forbidden", {"data.rows.resample": {**DAYS, "how": MEANS}},
         {"data.columns.group.role": "forbidden"}),
    resampled("resample.by: {} is not a column; name one of: {}", {"by": ["depot"]}, {"by": []}),
    resampled("resample.how: {} is not a column; name one of: {}", {"how": DAYS["how"] | {"km": "mean"}}, {}),
    resampled("resample.by: {} is a {} with the role {}; choose a category that is a feature", {"by": ["level"]},
              {"by": ["group"], "how": MEANS}),
    resampled("resample.how: {} is the event time, the due time or listed in by; remove it", {"by": ["group"]},
              {"by": ["group"], "how": MEANS}),
    resampled("resample.how: {} is a {}, which has no {}; use first or last",
              {"how": MEANS | {"group": "mean"}}, {"how": MEANS | {"group": "first"}}),
)  # fmt: skip
