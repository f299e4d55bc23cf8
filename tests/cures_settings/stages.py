"""What a run says: its stages, the room they are in, and the watch over them."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from retrim.adapters.dask_cluster import opened_cluster
from retrim.adapters.processes import Heartbeat
from retrim.files import DASK_VARIABLE
from retrim.profile.leaks import LeakParams
from retrim.stages.validate import _refuse_leaks
from retrim.stats.codec import to_json, to_record
from retrim.training.bundle import FitRecord
from retrim.training.mode import limits_of_stage
from retrim.training.recipe import Recipe
from tests.builders.run_directory import Room, make_run_directory, stream
from tests.cures_settings.case import Asked, Case
from tests.cures_settings.functions import LINEAR, rows_of, space

CHAMPION = {
    "verdict/verdict.json": to_json(
        {"winner": "all", "promote": True, "reason": "", "losses": {"all": 1.0}, "rows": 1}
    ),
    "models/all/fit.json": to_json(to_record(FitRecord(Recipe("gbm", "mae", {"num_leaves": 4}, 5, 7), 9, "", ""))),
}


def run_directory(*stages: Callable[[Room], None], **made: Any) -> Callable[[Asked], None]:
    """Stages in a room of 300 rows, one an hour."""

    def ask(asked: Asked) -> None:
        sections = {key.partition(".")[0] for key in asked.settings}
        changes = {name: asked.params.model_dump(mode="json")[name] for name in sections}
        found = make_run_directory(asked.folder, stream(300), **made, **changes)
        for stage in stages:
            stage(found)

    return ask


def leaks(asked: Asked) -> None:
    rows = rows_of(asked, 600).assign(_known=lambda rows: rows["_due"])
    rows = rows.assign(copy=rows["outcome"])
    _refuse_leaks(rows, asked.params.data, LeakParams(**asked.document["leaks"]), 48, (), 1)


def watched(asked: Asked) -> str:
    """A process that does nothing for two seconds."""
    retrain = asked.params.retrain
    limits = limits_of_stage(retrain.stage_limit, retrain.stage_heartbeat, earlier=[])
    process = subprocess.Popen(["sleep", "2"], start_new_session=True, text=True)
    with Heartbeat(process, limits) as heartbeat:
        process.wait()
    return heartbeat.why or ""


def search(found: Room) -> None:
    found.tune()


def evaluate(found: Room) -> None:
    """Earlier origins of a model that the search gave."""
    found.paths.tuning.mkdir(parents=True)
    tuned = {"hyperparameters": {"num_leaves": 4}, "rounds": 5, "champion": None}
    (found.paths.tuning / "hyperparameters.json").write_bytes(to_json(tuned))
    found.backtest()


def on_dask(missing: str, address: str) -> Callable[[Asked], None]:
    """A stage is told of a cluster at an address, as a retraining with these settings tells it."""

    def ask(asked: Asked) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(DASK_VARIABLE, address if asked.params.compute.engine == "dask" else "")
            patch.setattr("retrim.adapters.dask_cluster.START_SECONDS", 1)
            if missing:
                patch.setitem(sys.modules, missing, None)
            with opened_cluster(asked.folder, []):
                pass

    return ask


TUNE = {"tune.folds": 2, "tune.fold_rows": 40, "tune.trials": 2, "tune.max_rounds": 5}
COPY = {"data.columns.copy": {"type": "number", "role": "feature"}}
STAGES = (
    Case("backtest: {}; wait for more rows or lower backtest.origins",
         {"backtest.origins": 300, "split.judge_rows": 40}, ({"backtest.origins": 2},),
         run_directory(Room.features, evaluate)),
    Case("only {} of {} mature rows had a label due before the {} holdout rows; wait for more rows, or lower "
        "split.judge_rows",
         {"split.judge_rows": 299}, ({"split.judge_rows": 50},), run_directory(Room.features)),
    Case("tune: {}; wait for more rows or lower tune.folds", TUNE | {"tune.folds": 300}, ({"tune.folds": 2},),
         run_directory(Room.features, search)),
    Case("which is for {}, but train.model is {}; search with `retrim retrain --mode search`, or set train.model: {}",
         LINEAR | space(l2=0.1), ({"train.model": "gbm"},), run_directory(search, mode="refit", champion=CHAMPION)),
    Case("the role of {} to forbidden in data.columns", COPY, ({"data.columns.copy.role": "forbidden"},), leaks),
    Case("or, if the value is known before the event, set leaks.allowed: {{}: WHY} in params.yaml", COPY,
         ({"leaks.allowed": {"copy": "the meter shows it"}},), leaks),
    Case("compute.engine is dask, but {} is not installed; run pip install 'retrim[dask]', or set compute.engine: "
         "local",
         {"compute.engine": "dask"}, ({"compute.engine": "local"},), on_dask("distributed", "workers:1")),
    Case(", or set compute.engine: local", {"compute.engine": "dask"}, ({"compute.engine": "local"},),
         on_dask("", "tcp://127.0.0.1:1")),
    Case("retrain.stage_limit allows {}", {"retrain.stage_limit": "1s"}, ({"retrain.stage_limit": "1h"},), watched),
    Case("or raise retrain.stage_limit in params.yaml", {"retrain.stage_limit": "1s"},
         ({"retrain.stage_limit": "1h"},), watched),
)  # fmt: skip
