"""Settings that are refused when they are read."""

from pathlib import Path
from typing import Any

from retrim.templates import own_model
from tests.cures_settings.case import GONE, Asked, Case, load

CATEGORY = {"type": "category", "role": "feature"}
BINARY: dict[str, Any] = {"task": "binary"}
GROUPS = {"fairness.groups": [{"column": "group", "cuts": [], "least_rows": 20}]}
MEANS = dict.fromkeys(["level", "slope", "noise", "outcome"], "mean")
DAYS: dict[str, Any] = {"every": "1D", "by": [], "how": MEANS | {"group": "last"}}
CUT = {"year": "y", "month": "m", "day": "t"}
OWN = "own:models/m.py"


def load_beside_a_file(asked: Asked) -> None:
    """Read where a model of one's own lies."""
    file = asked.folder / "models" / "m.py"
    file.parent.mkdir()
    file.write_text(Path(own_model.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    load(asked)


LOADING = (
    Case("drift.alarms is {} per {}; with a check every {} days (data.batch_every), that is {} false "
         "alarms per check, but that number must be below 0.5; lower at_most",
         {"drift.alarms.at_most": 1000.0}, ({"drift.alarms.at_most": 1.0}, {"data.batch_every": "1h"})),
    Case("has the role {}; set its role to forbidden in data.columns", {"fairness.forbidden": ["group"]},
         ({"data.columns.group.role": "forbidden"},)),
    Case("is part of data.key, which is in every record; identify rows by a different column",
         {"fairness.forbidden": ["number"]}, ({"data.key": ["at"]},)),
    Case("is used by data.history, and so by the model; remove it from data.history",
         {"fairness.forbidden": ["number"], "data.key": ["at"],
          "data.history.features": [{"of": "number", "lag": "24h"}]},
         ({"data.history.features": []},)),
    Case("reading.dates: {} is not a time column in data.columns", {"reading.dates": {"level": ["%Y"]}},
         ({"reading.dates": {"at": ["%Y"]}}, {"data.columns.level": {"type": "time", "role": "forbidden"}})),
    Case("reading.parts: {} is not a time column in data.columns", {"reading.parts": {"level": CUT}},
         ({"reading.parts": {"at": CUT}}, {"data.columns.level": {"type": "time", "role": "forbidden"}})),
    Case("reading.parts: {} is combined from {}, which no file contains",
         {"reading.parts": {"at": {**CUT, "day": "d"}}, "reading.calendar": {"d": "hour"},
          "data.columns.d": {"type": "integer", "role": "feature"}}, ({"reading.parts": {"at": CUT}},)),
    Case("reading.order: {} must be an integer column in data.columns, and reading.arrival must be set",
         {"reading.order": "number"}, ({"reading.arrival": "at"}, {"reading.order": None})),
    Case("reading.order: {} must be an integer column in data.columns, and reading.arrival must be set",
         {"reading.order": "level", "reading.arrival": "at"},
         ({"data.columns.level.type": "integer"}, {"reading.order": "number"})),
    Case("reading.repeated: {} is not a time column in data.columns",
         {"reading.repeated": {"level": {"column": "group", "later": ["B"]}}},
         ({"reading.repeated": {"at": {"column": "group", "later": ["B"]}}},
          {"data.columns.level": {"type": "time", "role": "forbidden"}})),
    Case("reading.repeated: {} is neither in data.columns nor in reading.skip; add it to one of them",
         {"reading.repeated": {"at": {"column": "clock", "later": ["B"]}}},
         ({"data.columns.clock": CATEGORY}, {"reading.skip": ["clock"]})),
    Case("reading.signs: {} is not a number or an integer in data.columns", {"reading.signs": {"group": [",", "."]}},
         ({"reading.signs": {"level": [",", "."]}}, {"data.columns.group.type": "number"})),
    Case("reading.units: {} is not a number or an integer in data.columns", {"reading.units": {"group": "$"}},
         ({"reading.units": {"level": "$"}}, {"data.columns.group.type": "number"})),
    Case("reading.skip: {} is also in data.columns; keep it in only one of the two", {"reading.skip": ["level"]},
         ({"reading.skip": []}, {"data.columns.level": GONE})),
    Case("reading.arrival: {} is not the column with the role 'time'; set it to {} or null",
         {"reading.arrival": "level"},
         ({"reading.arrival": "at"},)),
    Case("reading.calendar: {} must be an integer with the role 'feature' in data.columns",
         {"reading.calendar": {"level": "hour"}}, ({"data.columns.level.type": "integer"},)),
    Case("is computed when a file lands, so it cannot identify a row; remove it from data.key",
         {"reading.arrival": "at", "data.key": ["at"]}, ({"data.key": ["number"]},)),
    Case("choose a different train.model, because {} supports only {} tasks", {"train.model": "logistic"},
         ({"train.model": "gbm"},)),
    Case("tune.space: a stack blends scores on one scale, but its estimators use several ({}); choose estimators "
         "with the same scale",
         {"train.model": "stack", "tune.space": {"gbm.num_leaves": {"choices": [7]}, "forest.rounds": {"choices": [7]},
                                                 "held_share": {"choices": [0.2]}}},
         ({"tune.space": {"gbm.num_leaves": {"choices": [7]}, "logistic.l2": {"choices": [0.1]},
                          "held_share": {"choices": [0.2]}}},), **BINARY),
    Case("prepare.steps.{}: {}", {"prepare.steps": [{"step": "fill_median", "columns": ["group"]}]},
         ({"prepare.steps": [{"step": "fill_median", "columns": ["level"]}]},)),
    Case("entity: {} has the role 'forbidden', and grouping rows by it would reveal it; choose a feature or a column "
         "of data.key",
         {"data.history.entity": ["number"], "data.key": ["at"]},
         ({"data.history.entity": ["group"]}, {"data.key": ["at", "number"]})),
    Case("resample.by: {} has the role 'forbidden', and grouping rows by it would reveal it; choose a feature or a "
         "column of data.key", {"data.rows.resample": {**DAYS, "by": ["number"]}, "data.key": ["at"]},
         ({"data.rows.resample": {**DAYS, "by": ["group"], "how": MEANS}},
          {"data.key": ["at", "number"]})),
    Case("tune.space is empty; list the hyperparameters of {} to search: docs/reference/models.md", {"tune.space": {}},
         ({"tune.space": {"num_leaves": {"choices": [7]}}},)),
    Case("train.balance: a regression has no classes to balance; set it to null", {"train.balance": "weights"},
         ({"train.balance": None},)),
    Case("train.balance: fairness.mitigate already weights the classes by group; set one of the two to null",
         {"train.balance": "weights", "fairness.mitigate": "reweight", **GROUPS},
         ({"train.balance": None}, {"fairness.mitigate": None}), **BINARY),
    Case("triggers.budget.money: the limit is {}, but the cost of a retraining is not set; compute it with `retrim "
         "policy cost`, which prints gain.money, or set triggers.budget.money to null",
         {"triggers.budget.money": 200.0, "gain.cost": 80.0, "gain.cost_unit": "loss"},
         ({"gain.money": {"cost": 40.0, "per_unit": 0.5, "currency": "EUR"}}, {"triggers.budget.money": None})),
    Case("decide.threshold: a {} task has no threshold between two classes; set it to null",
         {"decide.threshold": 0.5}, ({"decide.threshold": None},)),
    Case("decide.threshold: error costs cannot be combined with fairness.mitigate, which sets a threshold for each "
         "group; set a probability to start from, or set one of the two to null",
         {"decide.threshold": {"false_positive": 1.0, "false_negative": 5.0}, "fairness.mitigate": "selection_rate",
          **GROUPS},
         ({"decide.threshold": 0.2}, {"decide.threshold": None}, {"fairness.mitigate": None}), **BINARY),
    Case("data.suite: {} is not in expectations/, the only folder from which a version takes its suite; move the "
         "file there",
         {"data.suite": "trips.json"}, ({"data.suite": "expectations/trips.json"},)),
    Case("gate.min_rows: {} rows are required, but split.judge_rows holds out only {}, so no version could pass "
         "the gate; lower gate.min_rows or raise split.judge_rows", {"gate.min_rows": 100},
         ({"gate.min_rows": 20}, {"split.judge_rows": 100})),
    Case("train.model: {}", {"train.model": "gmb"}, ({"train.model": "gbm"},)),
    Case("gate.baselines: {} is not a baseline of a {} task; choose one of: {}", {"gate.baselines": ["median"]},
         ({"gate.baselines": ["mean"]},)),
    *(Case("data.rows.resample.how: the aggregation of {}, which {} uses, is not set; write, for example, {{}: "
           "last}, or remove {} from {}",
           {"data.rows.resample": DAYS, "data.columns.extra": {"type": "category", "role": "forbidden"}, key: value},
           ({"data.rows.resample.how": {**DAYS["how"], "extra": "last"}}, {key: without}))
      for key, value, without in (
          ("gate.slices.columns", ["extra"], []),
          ("fairness.groups", [{"column": "extra", "cuts": [], "least_rows": 20}], []),
          ("fairness.forbidden", ["extra"], []),
          ("leaks.entity", "extra", None))),
    Case("train.model: {} is not in {}; create the file (docs/how-to/own-model.md has one to start from), or choose "
         "a different estimator",
         {"train.model": OWN}, ({"train.model": "gbm"},)),
    Case("train.model: {} has SHA-256 {}, but train.model requires {}; write own:{} to use the file as it is",
         {"train.model": f"{OWN}@{'0' * 64}"}, ({"train.model": OWN},), load_beside_a_file),
    Case("train.model: {} is not own:PATH or own:PATH@SHA256 with the PATH of a .py file in the workspace; write, for "
         "example, own:models/my_model.py",
         {"train.model": "own:../m.py"}, ({"train.model": OWN},), load_beside_a_file),
    Case("set batches.skip: all to switch it off", {"batches.look": False},
         ({"batches.look": GONE, "batches.skip": "all"},)),
    Case("tune.sampler now contains them, such as {tpe: {n_startup_trials: 8}}",
         {"tune.options": {"n_startup_trials": 8}},
         ({"tune.options": GONE, "tune.sampler": {"tpe": {"n_startup_trials": 8}}},)),
    Case("decide.threshold now sets the cost of each error, such as {false_positive: 1, false_negative: 5}",
         {"decide.threshold": "cost"}, ({"decide.threshold": {"false_positive": 1, "false_negative": 5}},), **BINARY),
    Case("fairness.mitigate now specifies the rate that thresholds by group equalise, such as false_negative_rate",
         {"fairness.mitigate": "thresholds", **GROUPS}, ({"fairness.mitigate": "false_negative_rate"},), **BINARY),
    Case("they follow from fairness.confidence", {"fairness.proxies.turns": 99}, ({"fairness.proxies.turns": GONE},)),
    Case("drift.tests now lists each test with its arguments and its threshold", {"drift.thresholds": {"ks": 0.1}},
         ({"drift.thresholds": GONE, "drift.tests.ks": {"threshold": 0.1}},)),
    Case("gate.baselines replaces it", {"gate.floor": ["mean"]},
         ({"gate.floor": GONE, "gate.baselines": ["mean"]},)),
    Case("gate.non_inferiority replaces it", {"gate.harm": None},
         ({"gate.harm": GONE, "gate.non_inferiority": None},)),
    Case("set schedule.prove: null to switch it off", {"proof.scheduled": False},
         ({"proof.scheduled": GONE, "schedule.prove": None},)),
)  # fmt: skip
