"""A run directory on a generated stream, small enough that a whole retraining takes a second."""

import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

import retrim
from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JointParams
from retrim.features.fitted import PrepareParams
from retrim.files import (
    NO_CHAMPION,
    Paths,
    code_digest,
    file_digest,
    folder_digest,
    read_folder,
    write_file,
    write_folder,
)
from retrim.gate.verdict import GateParams
from retrim.settings import stated_digest
from retrim.stages import backtest, compare, features, train, tune
from retrim.stats.codec import to_json, to_parquet, to_record
from retrim.stats.metrics import JudgeParams
from retrim.stats.windows import SplitParams
from retrim.table.data import DataParams
from retrim.table.keys import row_keys
from retrim.training.bundle import FORMAT, BundleFormat
from retrim.training.classes import DecideParams
from retrim.training.groups import FairnessParams
from retrim.training.recipe import BacktestParams, TrainParams
from retrim.training.tuning import TuneParams
from tests.builders.fairness import settings as fairness_settings
from tests.builders.gates import settings as gate_settings
from tests.builders.synthetic import data_section, generate

START = pd.Timestamp("2024-01-01", tz="UTC")
SETTINGS: dict[str, dict[str, Any]] = {
    "split": {"judge_rows": 80, "sliding_rows": 200},
    "judge": {"loss": "mae", "metrics": ["mae"], "draws": 200, "block_rows": 8},
    "train": {
        "model": "gbm",
        "windows": ["all", "sliding"],
        "recipes": ["found", "champion"],
        "balance": None,
        "seed": 7,
    },
    "backtest": {"origins": 2, "origin_rows": 40},
    "gate": gate_settings(
        min_rows=40,
        min_gain=0.0,
        non_inferiority=None,
        confidence=0.9,
        season="1D",
        season_cells=24,
    ),
    "fairness": fairness_settings(),
    "prepare": {"steps": []},
    "tune": {
        "trials": 5,
        "batch": 2,
        "folds": 2,
        "fold_rows": 40,
        "stop_share": 0.1,
        "max_rounds": 20,
        "patience": 5,
        "seed": 7,
        "space": {
            "num_leaves": {"low": 4, "high": 16},
            "learning_rate": {"low": 0.05, "high": 0.5, "log": True},
            "bagging_fraction": {"low": 0.5, "high": 1.0},
        },
    },
    "decide": {"threshold": None},
    "gain": {"rows_per_check": 40},
    "retrain": {"refit_after": False},
    "reading": {"calendar": {}, "zone": "UTC"},
    "drift": {
        "alarms": {"at_most": 1, "draws": 1000, "seed": 7},
        "joint": {"tests": {"correlation": {}}, "windows": 8, "seed": 7},
    },
}


def stream(rows: int, *, task: Any = "regression", horizon: str = "2h") -> pd.DataFrame:
    """Mature rows in total order, as the stage validate writes them."""
    made = generate(task=task, kind="none", size=0.0, since=START, start=START, every="1h", rows=rows, seed=3)
    keys = row_keys(made.assign(number=made["number"].astype("int64")), ("number",), "b")
    return made.assign(_key=keys, _event=made["at"], _due=made["at"] + pd.Timedelta(horizon))


@dataclass(frozen=True)
class Room:
    """A run directory and its settings."""

    paths: Paths
    task: Any
    settings: dict[str, dict[str, Any]]
    key: tuple[str, ...] = ("number",)
    labels: str = "with_rows"
    horizon: str = "2h"

    def section(self, name: str, kind: Callable[..., Any]) -> Any:
        return kind(**self.settings[name])

    @property
    def data(self) -> DataParams:
        document = data_section(self.task, labels=self.labels, horizon=self.horizon)
        return DataParams.model_validate({**document, "key": self.key})

    @property
    def trials(self) -> Path:
        return self.paths.root / "var" / "trials"

    @property
    def log(self) -> Path:
        (found,) = self.trials.glob("*.jsonl")
        return found

    @property
    def fairness(self) -> FairnessParams:
        found: FairnessParams = self.section("fairness", FairnessParams)
        return found

    def features(self) -> None:
        features.run(
            self.data,
            self.section("split", SplitParams),
            self.section("prepare", PrepareParams),
            self.paths,
            retrain__refit_after=self.settings["retrain"]["refit_after"],
        )

    def tune(self, *, cores: int = 1) -> None:
        tune.run(
            self.section("tune", TuneParams),
            self.section("train", TrainParams),
            self.section("judge", JudgeParams),
            self.fairness.groups,
            self.fairness.mitigate,
            self.paths,
            cores,
            self.trials,
        )

    def train(self, *, cores: int = 1) -> None:
        train.run(
            self.section("train", TrainParams),
            self.section("judge", JudgeParams),
            self.section("split", SplitParams),
            self.settings["gain"]["rows_per_check"],
            AlarmParams(**self.settings["drift"]["alarms"]),
            JointParams(**self.settings["drift"]["joint"]),
            self.fairness.groups,
            self.fairness.mitigate,
            {},
            "UTC",
            self.paths,
            cores,
        )

    def backtest(self, *, cores: int = 1) -> None:
        backtest.run(
            self.section("backtest", BacktestParams),
            self.section("train", TrainParams),
            self.section("judge", JudgeParams),
            self.section("split", SplitParams),
            self.fairness.groups,
            self.fairness.mitigate,
            self.section("decide", DecideParams),
            self.paths,
            cores,
        )

    def compare(self, *, cores: int = 1) -> None:
        compare.run(
            self.section("gate", GateParams),
            self.section("judge", JudgeParams),
            self.fairness,
            self.section("split", SplitParams),
            self.section("train", TrainParams),
            self.settings["gain"]["rows_per_check"],
            AlarmParams(**self.settings["drift"]["alarms"]),
            JointParams(**self.settings["drift"]["joint"]),
            {},
            "UTC",
            self.paths,
            cores,
            retrain__refit_after=self.settings["retrain"]["refit_after"],
        )

    def run(self, *, cores: int = 1) -> "Room":
        """All stages after validate."""
        self.features()
        self.tune(cores=cores)
        self.train(cores=cores)
        self.backtest(cores=cores)
        self.compare(cores=cores)
        return self

    @property
    def bundle(self) -> dict[str, bytes]:
        return read_folder(self.paths.candidate)

    def record(self, name: str) -> Any:
        return json.loads(self.bundle[name])

    @property
    def view(self) -> pd.DataFrame:
        return pd.read_parquet(self.paths.view)


def lay_settings(paths: Paths, document: dict[str, Any]) -> None:
    """Lays a params.yaml that is as it was pinned."""
    write_file(paths.root / "params.yaml", to_json(document))
    write_file(paths.settings, to_json(document))
    digests = {"params_digest": stated_digest(document), "settings_digest": file_digest(paths.settings)}
    write_file(paths.pins, to_json({**json.loads(paths.pins.read_bytes()), **digests}))


def make_run_directory(
    root: Path,
    table: pd.DataFrame,
    *,
    mode: str = "search",
    champion: dict[str, bytes] | None = None,
    previous_champion: dict[str, bytes] | None = None,
    task: Any = "regression",
    **changed: dict[str, Any],
) -> Room:
    """A room as it is after validate: the table, the champion's bundle, the pins."""
    paths = Paths(root)
    write_folder(paths.champion, champion or {NO_CHAMPION: to_json({"champion": None})})
    write_folder(paths.previous, previous_champion or {NO_CHAMPION: to_json({"previous": None})})
    write_folder(paths.raw, {"batch.parquet": to_parquet(table)})
    write_file(paths.table, to_parquet(table))
    write_file(paths.format, to_json(to_record(BundleFormat(FORMAT))))
    (root / "requirements.lock").write_text("lightgbm==0\n", encoding="utf-8")
    pins = {
        "as_of": "2024-06-01T00:00:00+00:00",
        "mode": mode,
        "champion": None if champion is None else 1,
        "python": platform.python_version(),
        "raw_digest": folder_digest(paths.raw),
        "champion_digest": folder_digest(paths.champion),
        "previous_digest": folder_digest(paths.previous),
        "code_digest": code_digest(Path(retrim.__file__).parent),
    }
    write_file(paths.pins, to_json(pins))
    return Room(paths, task, {name: {**section, **changed.get(name, {})} for name, section in SETTINGS.items()})
