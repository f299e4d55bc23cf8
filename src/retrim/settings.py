"""params.yaml and the environment, read once. `Params` changes results; `Env` says where things are."""

from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from retrim.core.account import AccountParams
from retrim.core.backtest import BacktestParams
from retrim.core.batches import BatchParams
from retrim.core.card import CardParams
from retrim.core.contest import FormerParams
from retrim.core.contributions import ExplainParams
from retrim.core.decide import DecideParams
from retrim.core.drift.params import DriftParams
from retrim.core.drift.profile import ProfileParams
from retrim.core.fairness.fits import require_fit
from retrim.core.fairness.params import FairnessParams
from retrim.core.gate import GateParams
from retrim.core.init.leak import LeakParams
from retrim.core.made import faults_of
from retrim.core.metrics import JudgeParams, require
from retrim.core.models import MODELS
from retrim.core.models.baseline import BASELINES
from retrim.core.models.stack import StackKind
from retrim.core.own_code import is_own
from retrim.core.plan import DemoParams, RetrainParams, RoomParams, ScheduleParams
from retrim.core.policy.params import PolicyParams
from retrim.core.prepare import PrepareParams
from retrim.core.prepare.params import faults_of as prepare_faults_of
from retrim.core.probation import ProbationParams
from retrim.core.probe import ProbeParams
from retrim.core.proof import ProofParams
from retrim.core.reading import ReadingParams
from retrim.core.release_checks import ReleaseParams
from retrim.core.section import Section, explain
from retrim.core.skew import ServedParams
from retrim.core.slices import SliceParams
from retrim.core.table import DataParams
from retrim.core.training import TrainParams
from retrim.core.triggers import TriggerParams
from retrim.core.tuning import TuneParams
from retrim.core.windows import SplitParams
from retrim.errors import BadInputError
from retrim.mapping import read_yaml
from retrim.own import resolved


class Params(Section):
    """All of params.yaml."""

    data: DataParams
    reading: ReadingParams
    batches: BatchParams
    prepare: PrepareParams
    leaks: LeakParams
    split: SplitParams
    judge: JudgeParams
    tune: TuneParams
    train: TrainParams
    profile: ProfileParams
    backtest: BacktestParams
    gate: GateParams
    fairness: FairnessParams
    decide: DecideParams
    served: ServedParams
    probe: ProbeParams
    account: AccountParams
    drift: DriftParams
    triggers: TriggerParams
    policy: PolicyParams
    slices: SliceParams
    explain: ExplainParams
    card: CardParams
    former: FormerParams
    probation: ProbationParams
    retrain: RetrainParams
    release: ReleaseParams
    room: RoomParams
    proof: ProofParams
    schedule: ScheduleParams
    demo: DemoParams

    @model_validator(mode="after")
    def _judge_fits_the_task(self) -> "Params":
        try:
            require([self.judge.loss], task=self.data.task, rows=True)
            require(self.judge.metrics, task=self.data.task, rows=False)
        except BadInputError as wrong:
            raise ValueError(f"judge: {wrong}") from wrong
        return self

    @model_validator(mode="after")
    def _model_fits_the_task(self) -> "Params":
        if is_own(self.train.model):  # its code is run where a run begins, not by every command
            return self
        try:
            kind = MODELS[self.train.model]
            kind.check_aim(self.data.task, self.judge.loss)
            if isinstance(kind, StackKind):
                kind.check_bases(self.tune.space, self.data.task, self.judge.loss)
        except BadInputError as wrong:
            raise ValueError(f"train.model: {wrong}") from wrong
        if not self.tune.space:
            raise ValueError(f"tune.space: is empty; name what is searched for a {self.train.model}: docs/models.md")
        return self

    @model_validator(mode="after")
    def _decisions_fit_the_task(self) -> "Params":
        task, mitigate = self.data.task, self.fairness.mitigate
        if self.train.balance is not None and task == "regression":
            raise ValueError("train.balance: a regression has no classes to balance; set it to null")
        if self.train.balance is not None and mitigate == "reweight":
            raise ValueError(
                "train.balance: fairness.mitigate weighs classes already, by group; set one of both to null"
            )
        if self.decide.threshold is not None and task != "binary":
            raise ValueError(f"decide.threshold: decides between two classes, and this task is {task}; set it to null")
        if self.decide.threshold is not None and mitigate == "thresholds":
            raise ValueError("decide.threshold: fairness.mitigate makes a threshold a group; set one of both to null")
        return self

    @model_validator(mode="after")
    def _suite_is_part_of_a_version(self) -> "Params":
        path = PurePosixPath(self.data.suite)
        if path.parts[:1] != ("expectations",) or ".." in path.parts:
            raise ValueError(
                f"data.suite: {self.data.suite!r} does not lie in expectations/, and only what lies there goes into "
                "a version; move it, and write such as expectations/trips.json"
            )
        return self

    @model_validator(mode="after")
    def _reading_fits_the_table(self) -> "Params":
        found = faults_of(self.data, self.reading)
        if found:
            raise ValueError("; ".join(found))
        return self

    @model_validator(mode="after")
    def _steps_fit_the_table(self) -> "Params":
        found = prepare_faults_of(self.prepare, self.data)
        if found:
            raise ValueError("; ".join(found))
        return self

    @model_validator(mode="after")
    def _floors_fit_the_task(self) -> "Params":
        for name in self.gate.floor:
            fitting = [entry.name for entry in BASELINES if self.data.task in entry.facts["tasks"]]
            if name not in fitting:
                raise ValueError(
                    f"gate.floor: {name!r} is no baseline of a {self.data.task} task; those are: {', '.join(fitting)}"
                )
        return self

    @model_validator(mode="after")
    def _what_is_looked_at_are_columns(self) -> "Params":
        looked = dict.fromkeys(self.gate.slices.columns, "gate.slices.columns")
        looked |= {} if self.leaks.entity is None else {self.leaks.entity: "leaks.entity"}
        for name, key in looked.items():
            if name not in self.data.columns:
                raise ValueError(f"{key}: {name!r} is no column; columns: {', '.join(self.data.columns)}")
        return self

    @model_validator(mode="after")
    def _rows_put_together_keep_what_is_used(self) -> "Params":
        grain = self.data.rows.resample
        if grain is None:
            return self
        used = {group.column: "fairness.groups" for group in self.fairness.groups}
        used |= dict.fromkeys(self.fairness.forbidden, "fairness.forbidden")
        used |= dict.fromkeys(self.gate.slices.columns, "gate.slices.columns")
        used |= {} if self.leaks.entity is None else {self.leaks.entity: "leaks.entity"}
        for name, key in used.items():
            if name not in (*grain.by, *grain.how, self.data.time):
                raise ValueError(
                    f"data.rows.resample.how: nothing says how {name!r} is put together, and {key} looks at it; write "
                    f"such as {{{name}: last}}, or take it out of {key}"
                )
        return self

    @model_validator(mode="after")
    def _fairness_fits_the_table(self) -> "Params":
        try:
            require_fit(self.fairness, self.data)
        except BadInputError as wrong:
            raise ValueError(str(wrong)) from wrong
        return self

    @model_validator(mode="after")
    def _alarms_fit_the_checks(self) -> "Params":
        if self.drift.alarms is not None:
            try:
                self.drift.alarms.rate(pd.Timedelta(self.data.batch_every))
            except BadInputError as wrong:
                raise ValueError(str(wrong)) from wrong
        return self

    @model_validator(mode="after")
    def _enough_rows_judge(self) -> "Params":
        if self.gate.min_rows > self.split.judge_rows:
            raise ValueError(
                f"gate.min_rows: {self.gate.min_rows} rows are asked for and split.judge_rows keeps back "
                f"{self.split.judge_rows}, so the gate could never open; lower the first or raise the second"
            )
        return self


class Env(BaseSettings):
    """Where things are. Every address has an embedded default under `var/`; none changes a result."""

    model_config = SettingsConfigDict(env_prefix="RETRIM_", env_ignore_empty=True, frozen=True)

    store_url: str | None = None
    mlflow_url: str | None = None
    mlflow_artifacts: str | None = None
    prefect_url: str | None = None


def load_params(path: Path) -> Params:
    """The settings in a params.yaml.

    Raises:
        BadInputError: The file is missing, no YAML, or a section is wrong; names key, value and what is allowed.
    """
    return parse_params(resolved(path.parent, read_yaml(path)), path.name)


def parse_params(document: dict[str, Any], name: str) -> Params:
    """The settings in what a params.yaml called `name` holds.

    Raises:
        BadInputError: A section is wrong; names key, value and what is allowed.
    """
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        raise BadInputError(f"{name}: {explain(error)}") from error
