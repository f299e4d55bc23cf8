"""What functions say of settings that were read well: of columns that have landed, of models, of searches, of steps."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.signing import pack, unpack
from retrim.decision.rules import Decision, ask_to_restore, decide
from retrim.drift.profile import ProfileParams, make_profile
from retrim.drift.verify import verify
from retrim.errors import BadInputError
from retrim.features.fitted import TrainingTargets, learn_steps
from retrim.features.view import FeatureView
from retrim.settings import Params, resolved
from retrim.table.schema import LandedSchema, name_faults, schema_faults
from retrim.templates import own_model
from retrim.training.estimators import MODELS, aim_at
from retrim.training.groups import GroupParams, Thresholds, group_of
from retrim.training.tuning import Score, search
from tests.builders.synthetic import generate
from tests.contracts.test_every_rule import LOUD, NOW, QUIET
from tests.cures_settings.case import GONE, Asked, Case
from tests.cures_settings.loading import CATEGORY, OWN
from tests.training.test_own_model import PARTS

Feature = dict[str, Any]
NUMBER: Feature = {"type": "number", "role": "feature"}
WHOLE: Feature = {"type": "integer", "role": "feature"}
X = np.random.default_rng(1).normal(size=(60, 2))
Y = X[:, 0]
RULES = {"triggers.rules": ["gain"], "triggers.max_wait": None, "triggers.budget": None}


def rows_of(asked: Asked, count: int = 400) -> pd.DataFrame:
    start = pd.Timestamp("2024-01-01", tz="UTC")
    made = generate(task=asked.task, kind="none", size=0.0, since=start, start=start, every="1h", rows=count, seed=3)  # type: ignore[arg-type]
    return made.assign(_event=made["at"], _due=made["at"] + pd.Timedelta("1h"))


# --- columns that have landed


def landed(*batches: LandedSchema) -> Callable[[Asked], None]:
    """The declared columns, where these have landed."""

    def ask(asked: Asked) -> None:
        schemas, data = {f"b{number}": each for number, each in enumerate(batches)}, asked.params.data
        faults = [*schema_faults(schemas, data), *name_faults(schemas.values(), data)]
        if faults:
            raise BadInputError("; ".join(faults))

    return ask


def schema(*gone: str, was: dict[str, tuple[str, ...]] | None = None, **more: str) -> LandedSchema:
    own = {"at": "time", "number": "integer", "level": "number", "slope": "number", "noise": "number"}
    own |= {"group": "category", "outcome": "number"} | more
    types = {name: kind for name, kind in own.items() if name not in gone}
    return LandedSchema(types, was or {}, ("number",), "at", None)


COLUMNS = (
    Case("data.key: batch {} landed with the key [{}], but data.key is now "
         "[{}]. Change data.key back", {"data.key": ["at"]}, ({"data.key": ["number"]},), landed(schema())),
    Case("data.columns: `was` of {} is {}, but no landed batch has such a column; write the name of a landed "
        "column ({}), or remove `was`", {"data.columns.extra": {**NUMBER, "was": "more"}},
         ({"data.columns.extra": {**NUMBER, "was": "mass"}}, {"data.columns.extra": NUMBER}),
         landed(schema(mass="number"))),
    Case("data.columns: {} and {} are names of the same column, because a rename is declared or recorded in a "
         "landed batch; choose a new name for the other column",
         {"data.columns.mass": NUMBER, "data.columns.weight": NUMBER},
         ({"data.columns.weight": GONE, "data.columns.load": NUMBER},),
         landed(schema(weight="number"), schema(mass="number", was={"mass": ("weight",)})),
         then="list all its earlier names"),
    Case("data.columns: batch {} has both {}, but a rename declares that they are one column; remove `was`",
         {"data.columns.mass": {**NUMBER, "was": "weight"}}, ({"data.columns.mass": NUMBER},),
         landed(schema(mass="number", weight="number"))),
    Case("data.columns: {} is {}, but in batch {} it was {}. Change the role back",
         {"data.columns.at.role": "forbidden", "data.columns.seen": {"type": "time", "role": "time"}},
         ({"data.columns.at.role": "time", "data.columns.seen.role": "forbidden"},), landed(schema(seen="time"))),
    Case("data.columns: batch {} lacks column {}, {}, which every row needs; if the column had a different name in "
         "that batch, add `was: OLD_NAME` to it; otherwise declare the earlier column again",
         {"data.columns.outcome": GONE, "data.columns.trips": {"type": "number", "role": "target"}},
         ({"data.columns.trips": {"type": "number", "role": "target", "was": "outcome"}},
          {"data.columns.trips": GONE, "data.columns.outcome": {"type": "number", "role": "target"}}),
         landed(schema())),
    Case("data.columns: {} also landed as {}, under a rename that is no longer declared; list all its earlier "
         "names: `was: [{}]`",
         {"data.columns.mass": NUMBER}, ({"data.columns.mass": {**NUMBER, "was": ["weight"]}},),
         landed(schema(weight="number"), schema(mass="number", was={"mass": ("weight",)}))),
    Case("data.columns: {} landed as {} (batch {}) but is declared {}; {}. Declare it as {} again, or put the "
         "new values in a column with a different name", {"data.columns.extra": WHOLE},
         ({"data.columns.extra": NUMBER}, {"data.columns.extra": GONE, "data.columns.other": WHOLE}),
         landed(schema(extra="number"))),
)  # fmt: skip


# --- groups


def groups(asked: Asked) -> None:
    for group in asked.document["fairness"]["groups"]:
        group_of(rows_of(asked), GroupParams(**group))


def thresholds(asked: Asked) -> None:
    """A model whose thresholds go by `group` meets the columns that are declared."""
    by = (GroupParams(column="group", cuts=(), least_rows=20),)
    Thresholds(by, 0.5, {}, {}).of(rows_of(asked)[list(asked.params.data.columns)])


GROUPED = (
    Case("fairness.groups: the table has no column {}; use a column of the table",
         {"fairness.groups": [{"column": "region", "cuts": [], "least_rows": 20}]},
         ({"fairness.groups": [{"column": "group", "cuts": [], "least_rows": 20}]},), groups),
    Case("fairness.groups: {} is not a number, so it cannot have cuts; set its cuts to []",
         {"fairness.groups": [{"column": "group", "cuts": [1.0], "least_rows": 20}]},
         ({"fairness.groups": [{"column": "group", "cuts": [], "least_rows": 20}]},), groups),
    Case("the model's thresholds depend on columns that the table lacks: {}; keep these columns in data.columns",
         {"data.columns.group": GONE}, ({"data.columns.group": CATEGORY},), thresholds),
)  # fmt: skip


# --- models and searches


def check_space(asked: Asked) -> None:
    MODELS[asked.params.train.model].check_space(asked.params.tune.space)


def fit(actual: np.ndarray) -> Callable[[Asked], None]:
    """The first choice of every hyperparameter is fitted."""

    def ask(asked: Asked) -> None:
        params = asked.params
        MODELS[params.train.model].fit(
            FeatureView({"a": "number", "b": "number"}, {}, "y", "regression", ()),
            X,
            actual,
            loss=params.judge.loss,
            hyperparameters={name: (span.choices or ())[0] for name, span in params.tune.space.items()},
            rounds=5,
            weights=None,
            stop=None,
            patience=1,
            seed=7,
            threads=1,
        )

    return ask


def aim(asked: Asked) -> None:
    """A kind that can be trained for one loss alone."""
    aim_at("one", {"regression": {"mse": "l2"}}, asked.params.data.task, asked.params.judge.loss)


def own(asked: Asked) -> None:
    """A model of one's own, for mean squared errors alone."""
    file = asked.folder / "models" / "m.py"
    file.parent.mkdir()
    file.write_text("".join(PARTS.values()), encoding="utf-8")
    kind = MODELS[asked.params.train.model]
    kind.check_aim("regression", asked.params.judge.loss)
    kind.check_space(asked.params.tune.space)


def stored(asked: Asked) -> None:
    """A model is asked for by the name that stands in the settings, whoever wrote it."""
    template = Path(own_model.__file__).read_text(encoding="utf-8") + "# ours\n"
    (asked.folder / "models").mkdir()
    (asked.folder / "models" / "m.py").write_text(template, encoding="utf-8")
    model = asked.document["train"]["model"]
    if "@" not in model:
        model = resolved(asked.folder, asked.document)["train"]["model"]
    MODELS[model].check_aim("regression", "mse")


def searched(asked: Asked) -> None:
    """A search in which every trial is as good as any."""
    given: dict[str, Any] = {"trials": 8, "first": None, "done": [], "workers": 1, "told": lambda batch: None}
    search(lambda _: Score((0.5,), (1,)), asked.params.tune, **given)


def space(**choices: Any) -> dict[str, Any]:
    return {"tune.space": {name.replace("__", "."): {"choices": [value]} for name, value in choices.items()}}


STACK, LINEAR = {"train.model": "stack"}, {"train.model": "linear"}
BLEND = {"gbm__num_leaves": 7, "linear__l2": 0.1}
NOT_SEARCHED = {
    "judge.loss sets it": "objective",
    "tune.max_rounds and early stopping set it": "num_iterations",
    "the setting seed sets it": "seed",
    "train.balance sets it, and corrects the probabilities": "scale_pos_weight",
}
LEAVES = space(num_leaves=7)
RANGES = {"tune.space": {"num_leaves": {"low": 4, "high": 16}}}
MODELLED = (
    Case("judge.loss: {} cannot train for {} on a {} target; {}", {"judge.loss": "mae"}, ({"judge.loss": "mse"},), aim),
    Case("tune.space: {} is not a parameter of {}{}", LINEAR | space(l1=0.1), (space(l2=0.1),), check_space),
    Case("tune.space: {} needs {}; add it with bounds or choices",
         {"train.model": OWN, "judge.loss": "mse", "tune.space": {}}, (space(share=0.5),), own),
    *(Case(reason, space(num_leaves=7, **{name: 1}), (LEAVES,), check_space) for reason, name in NOT_SEARCHED.items()),
    Case("train.balance sets it, and corrects the probabilities", space(num_leaves=7, is_unbalance=True), (LEAVES,),
         check_space),
    Case("tune.space: {} cannot be searched, because {}; leave it out", space(num_leaves=7, num_threads=2), (LEAVES,),
         check_space),
    Case("LightGBM cannot train on {} rows with {}: {}; check tune.space", space(num_leaves=1), (LEAVES,), fit(Y)),
    Case("tune.space: {} is not a parameter of LightGBM, which would ignore it{}", space(num_leafs=7), (LEAVES,),
         check_space),
    Case("tune.space: {} and {} both mean {}; keep only one of them", space(num_leaves=7, max_leaves=7), (LEAVES,),
         check_space),
    Case("judge.loss: poisson needs target values of 0 or more, but the smallest is {}; choose mse or mae",
         LINEAR | space(l2=0.1) | {"judge.loss": "poisson"}, ({"judge.loss": "mse"}, {"judge.loss": "mae"}), fit(Y)),
    Case("tune.space: l2 is {}; write a number above 0, such as 0.0001", LINEAR | space(l2=0), (space(l2=0.0001),),
         fit(Y)),
    Case("judge.loss: {} cannot train for {} on a {} target; choose one of its LOSSES ({})",
         {"train.model": OWN, "judge.loss": "mae"} | space(share=0.5), ({"judge.loss": "mse"},), own),
    Case("{}{} is not run, because params.yaml does not refer to it; read the code and, if you trust it, set "
         "train.model to own:{} in params.yaml", {"train.model": f"{OWN}@{'1' * 64}"}, ({"train.model": OWN},), stored),
    Case("tune.space: a stack blends two or more estimators, but parameters are listed only for {}; add "
         "parameters of another of these estimators: {}",
         STACK | space(held_share=0.2, gbm__num_leaves=7), (space(held_share=0.2, **BLEND),), check_space),
    Case("tune.space: {} is {}; write a share between 0 and 1, such as 0.2", STACK | space(held_share=2, **BLEND),
         (space(held_share=0.2, **BLEND),), fit(Y)),
    Case("tune.space: stack needs {}, the share of the newest rows to blend on; add it, for example as {choices: "
         "[0.2]}",
         STACK | space(**BLEND),
         (space(held_share=0.2, **BLEND),), check_space),
    Case("tune.space: {} is not a parameter of a stack; write {}, or ESTIMATOR.PARAMETER, such as "
         "gbm.num_leaves, with one of the estimators {}",
         STACK | space(held_share=0.2, num_leaves=7, linear__l2=0.1), (space(held_share=0.2, **BLEND),), check_space),
    Case("tune.space: a grid needs choices for every hyperparameter; set choices for {}",
         {"tune.sampler": "grid", **RANGES}, (LEAVES,), searched),
    Case("tune.sampler: {} cannot search tune.space ({}); choose a different sampler, or change the space",
         {"tune.sampler": "BruteForceSampler", "tune.space": {"rate": {"low": 0.1, "high": 0.2}}},
         ({"tune.sampler": "tpe"}, {"tune.space": {"rate": {"choices": [number / 9 for number in range(9)]}}}),
         searched),
    Case("tune.sampler: the sampler {} refuses its arguments ({}); correct the arguments",
         {"tune.sampler": {"tpe": {"startup": 3}}},
         ({"tune.sampler": "tpe"},), searched),
    Case("tune.sampler: {} does not propose the same trials when a search resumes; use a sampler that does: {}",
         {"tune.sampler": "QMCSampler", **RANGES},
         ({"tune.sampler": "tpe"}, {"tune.sampler": "random"}), searched),
)  # fmt: skip


# --- preparing


def steps(asked: Asked) -> None:
    params, rows = asked.params, rows_of(asked)
    kinds = {params.data.time: "time", **params.data.features}
    levels = {"x": "a=b", "x=a": "b", "empty": None}  # the first two make `x=a=b`, the last makes nothing
    rows = rows.assign(**{name: levels.get(name, rows["group"]) for name in kinds if name not in rows})
    learn_steps(rows, kinds, TrainingTargets(rows["outcome"].to_numpy(), ()), params.prepare.steps, strict=True)  # type: ignore[arg-type]


def hot(*columns: str) -> dict[str, Any]:
    return {"step": "one_hot", "columns": list(columns), "most_levels": 9}


TWO = {"data.columns.group=a": CATEGORY, "prepare.steps": [hot("group")]}
PREPARED = (
    Case("prepare.steps.{}: {}", {"prepare.steps": [hot("group"), {"step": "fill_median", "columns": ["group=z"]}]},
         ({"prepare.steps": [hot("group"), {"step": "fill_median", "columns": ["group=a"]}]},), steps),
    Case("prepare.steps: a step creates column {}, which already exists; rename the existing column, or remove the "
         "step", TWO, ({"prepare.steps": []},), steps),
    Case("prepare.steps: the steps leave no feature for a model; drop fewer columns",
         {f"data.columns.{name}.role": "forbidden" for name in ("level", "slope", "noise", "group")}
         | {"data.columns.empty": CATEGORY, "prepare.steps": [hot("empty")]}, ({"prepare.steps": []},), steps),
    Case("prepare.steps: one_hot creates {} from both {} and {}; rename one of the two",
         {"data.columns.x": CATEGORY, "data.columns.x=a": CATEGORY, "prepare.steps": [hot("x", "x=a")]},
         ({"prepare.steps": [hot("x")]},), steps),
)  # fmt: skip


# --- decisions


def restore(asked: Asked) -> str:
    decision = replace(decide(QUIET, asked.params.triggers), outcome="restore", reason="version 1 led")
    held: Decision = ask_to_restore(decision, 1, asked.params.release.approval)
    return f"{held.reason}; {held.change}"


def decided(evidence: Any) -> Callable[[Asked], str]:
    def ask(asked: Asked) -> str:
        decision = decide(evidence, asked.params.triggers)
        return f"{decision.outcome}: {decision.reason}; {decision.change}"

    return ask


WAITED = replace(LOUD, labels_until=NOW - pd.Timedelta("90D"))
DECIDED = (
    Case("{}; but release.approval asks a person: `retrim versions rollback --to {} --reason ...`",
         {"release.approval.moves": ["restore"]}, ({"release.approval.moves": ["promote"]},), restore),
    Case("release.approval.moves without restore", {"release.approval.moves": ["restore", "first"]},
         ({"release.approval.moves": ["first"]},), restore),
    Case("no label has matured for {} days, triggers.max_wait is {}",
         RULES | {"triggers.rules": [], "triggers.max_wait": "60D"},
         ({"triggers.max_wait": None}, {"triggers.max_wait": "100D"}), decided(WAITED)),
    Case("a rule under triggers.rules", RULES | {"triggers.rules": []}, ({"triggers.rules": ["gain"]},),
         decided(LOUD)),
)  # fmt: skip


# --- others


def archive(asked: Asked) -> None:
    file = asked.folder / "export.tar"
    file.write_bytes(pack({"bundle/model.txt": b"x" * 200_000}))
    unpack(file, most_mb=asked.params.proof.most_mb)


def verified(asked: Asked) -> None:
    params: Params = asked.params
    profile = make_profile(rows_of(asked, 4000), {"level": "number"}, ProfileParams(), time="_event")
    verify(profile, rows=params.gain.rows_per_check, rate=0.05, draws=1000, splits=1, checks=5, seed=1)


OTHERS = (
    Case("{} is {} MB, but at most {} MB can be read; raise proof.most_mb to read it",
         {"proof.most_mb": 0.1}, ({"proof.most_mb": 1.0},),
         archive),
    Case("verifying alarms needs the rows of four checks; train on a longer history, or lower gain.rows_per_check",
         {"gain.rows_per_check": 2000}, ({"gain.rows_per_check": 48},), verified),
)  # fmt: skip

FUNCTIONS = (*COLUMNS, *GROUPED, *MODELLED, *PREPARED, *DECIDED, *OTHERS)
