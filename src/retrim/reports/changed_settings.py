"""A changed setting, refitted at several origins beside the settings as they are. Writes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.drift.slices import SliceLoss, slice_table
from retrim.errors import BadInputError, RefusedError
from retrim.files import count_cores
from retrim.gate.change import (
    ChangeVerdict,
    RefitSide,
    changed,
    counted,
    judge_change,
    judged_keys,
    losses_at,
    refuse_facts,
    refuse_other_facts,
    value_at,
    windows_at,
)
from retrim.lineage.workspace import Workspace, report_progress
from retrim.reading.landed_rows import open_landed, without_numbers
from retrim.release.versions import load_champion
from retrim.settings import Params, parse_params, stated_by
from retrim.stats.bootstrap import Resampling
from retrim.stats.windows import past_of
from retrim.table.data import assemble, mature
from retrim.training.groups import as_trained
from retrim.training.midpoint import usual_recipe
from retrim.training.recipe import Recipe, WindowKind, in_parallel

USUAL = {"space", "stop_share", "max_rounds", "patience"}
"""Keys of tune that a recipe from the middle of the search space rests on."""
PLAYED = ("drift", "gain", "gate", "judge", "probe", "retrain", "split", "triggers")
"""Sections whose settings decide in a policy backtest."""


@dataclass(frozen=True)
class RefitComparison:
    """Refits with the current and with the changed settings.

    Args:
        changes: Changed settings by dotted key: the current and the tried value.
        measure: Name of the loss.
        recipe_of: Version whose recipe was used; None for the middle of the search space.
        origins: Number of refits evaluated for each side.
        seconds: Duration of the fits of each side, in seconds.
        change: Both sides on the same rows.
        slices: Losses by slice, worst first.
    """

    changes: dict[str, tuple[JsonValue, JsonValue]]
    measure: str
    recipe_of: int | None
    origins: int
    seconds: tuple[float, float]
    change: ChangeVerdict
    slices: tuple[SliceLoss, ...]


def try_settings(workspace: Workspace, changes: Mapping[str, JsonValue]) -> tuple[Params, bool]:
    """All settings with some values by dotted key of params.yaml changed, and whether a model is fitted otherwise.

    Raises:
        BadInputError: A key or value is wrong, has no effect on history, or cannot be tried on landed rows.
    """
    refuse_facts(changes)
    document = stated_by(workspace.params)
    tried = parse_params(changed(document, changes), "params.yaml as tried")
    _comparable(workspace.params, tried)
    champion = load_champion(workspace)
    live = None if champion is None else champion.predictor.recipe
    refits = _fitted_by(workspace.params, live) != _fitted_by(tried, live)
    if not refits and not any(key.partition(".")[0] in PLAYED for key in changes):
        raise BadInputError(
            f"{', '.join(changes)}: this changes neither how a model is trained nor what a policy decides; change a "
            f"key of data, prepare, train, {', '.join(PLAYED)}"
        )
    return tried, refits


def compare_refits(
    workspace: Workspace, changes: Mapping[str, JsonValue], tried: Params, *, now: pd.Timestamp
) -> RefitComparison:
    """Refits the recipe with and without the changes on what has landed and matured by `now`.

    Args:
        changes: Changed values by dotted key.
        tried: All settings with these changes, as `try_settings` gives them.

    Raises:
        RefusedError: There are too few mature rows.
    """
    params, champion = workspace.params, load_champion(workspace)
    live = None if champion is None else champion.predictor.recipe
    both, document = (params, tried), stated_by(params)
    tables = _tables(workspace, tried, now)
    try:
        judged = judged_keys(tables[0], tables[1:], origins=tried.backtest.origins, rows=params.backtest.origin_rows)
        recipes = _recipes(params, tried, live, tables, judged[0])
        sides = [
            RefitSide(table, side.data, side.prepare.steps, side.train.windows, side.split.sliding_rows, recipe)
            for side, table, recipe in zip(both, tables, recipes, strict=True)
        ]
        (before, after), seconds = _refits(sides, judged, loss=params.judge.loss)
    except ValueError as error:
        raise RefusedError(f"{len(tables[0])} mature rows cannot be compared: {error}; wait for more rows") from error
    rows = tables[0][tables[0]["_key"].isin(pd.concat(judged))].reset_index(drop=True)
    resampling = Resampling(params.judge.draws, params.judge.block_rows, params.gate.seed)
    slices = slice_table(rows, after, before, params.data.features, block_rows=resampling.block_rows)
    is_same_model = champion is not None and recipes[0].model == champion.predictor.recipe.model
    return RefitComparison(
        changes={key: (value_at(document, key), value) for key, value in changes.items()},
        measure=params.judge.loss,
        recipe_of=champion.version if champion is not None and is_same_model else None,
        origins=len(judged),
        seconds=seconds,
        change=judge_change(before, after, params.gate, resampling),
        slices=tuple(
            sorted(slices, key=lambda loss: (0.0 if loss.saved is None else loss.saved[0], loss.column, loss.name))
        ),
    )


def _comparable(params: Params, tried: Params) -> None:
    """Checks that both sides are about the same rows and the same target."""
    old, new = params.data.columns, tried.data.columns
    for name, column in new.items():
        if name not in old or old[name].type != column.type:
            raise BadInputError(
                f"data.columns.{name}: no landed column has this name and the type {column.type}; name one of: "
                + ", ".join(f"{column} ({landed.type})" for column, landed in old.items())
            )
    refuse_other_facts(params.model_dump(mode="json"), tried.model_dump(mode="json"))
    for role in ("target", "time", "due"):
        if getattr(params.data, role) != getattr(tried.data, role):
            raise BadInputError(
                f"data.columns: the role {role} moves to a different column; keep the role as in params.yaml"
            )
    if set(old) != set(new):
        lost = min(set(old) - set(new))
        raise BadInputError(
            f"data.columns: the landed column {lost!r} is missing; keep it, and set its role to forbidden"
        )


def _fitted_by(params: Params, live: Recipe | None) -> dict[str, JsonValue]:
    """All settings that a fit of either side rests on."""
    data = params.data.model_dump(mode="json")
    settings: dict[str, JsonValue] = params.model_dump(mode="json", include={"prepare", "train"})
    settings["data"] = {key: value for key, value in data.items() if not key.startswith("batch_") and key != "suite"}
    settings |= {"sliding_rows": params.split.sliding_rows, "loss": params.judge.loss}
    groups: list[JsonValue] = [group.model_dump(mode="json") for group in params.fairness.groups]
    settings["reweight"] = groups if params.fairness.reweights else None
    if live is None or live.model != params.train.model:
        settings["tune"] = params.tune.model_dump(mode="json", include=USUAL)
    else:
        settings["train"] = params.train.model_dump(mode="json", exclude={"seed"})
    return settings


def _tables(workspace: Workspace, tried: Params, now: pd.Timestamp) -> list[pd.DataFrame]:
    """Mature rows as each side makes them."""
    report_progress("try: reading what has landed")
    tables, files = [], workspace.landing.batches(now)
    for side in (workspace.params, tried) if any(file.kind == "rows" for file in files) else ():
        landed, labels = open_landed(files, side.data, {}, root=workspace.landing.root)
        rows = without_numbers(landed.narrow(landed.columns))
        tables.append(as_trained(mature(assemble(rows, labels, side.data, as_of=now)), side.fairness))
    fewest = min(map(len, tables), default=0)
    if fewest < 4:
        raise RefusedError(
            f"{fewest} rows are mature as of {now.isoformat()}, but at least 4 are needed; wait until labels are due"
        )
    return tables


def _recipes(
    params: Params, tried: Params, live: Recipe | None, tables: list[pd.DataFrame], first: pd.Series
) -> list[Recipe]:
    """What either side fits: the champion's recipe, or the middle of the search space; one, where they can share it."""
    recipes: list[Recipe] = []
    for side, table in zip((params, tried), tables, strict=True):
        shared = recipes and _usual_by(side) == _usual_by(params)
        if live is not None and live.model == side.train.model:
            recipe = live
        elif shared:
            recipe = recipes[0]
        else:
            report_progress("try: the midpoint of tune.space as recipe")
            start = int(table.index[table["_key"].isin(first)][0])
            past = table.iloc[past_of(table["_event"], table["_due"], start)].reset_index(drop=True)
            recipe = usual_recipe(
                past, side.data, side.tune, side.train, side.prepare.steps, loss=side.judge.loss, threads=count_cores()
            )
        recipe = replace(recipe, loss=side.judge.loss, reweight=side.fairness.reweights)
        recipes.append(replace(recipe, balance=side.train.class_balance))
    return recipes


def _usual_by(params: Params) -> tuple[str, int, dict[str, JsonValue]]:
    """All that a recipe from the middle of the search space is made by, but the rows."""
    return params.train.model, params.train.seed, params.tune.model_dump(mode="json", include=USUAL)


def _refits(
    sides: list[RefitSide], judged: list[pd.Series], *, loss: str
) -> tuple[list[np.ndarray], tuple[float, float]]:
    """One loss a row of either side, and the seconds that its fits took."""
    jobs = [(side, keys, kind) for keys in judged for side in sides for kind in windows_at(side, keys)]
    done: list[int] = []

    def work(job: tuple[RefitSide, pd.Series, WindowKind], threads: int) -> tuple[np.ndarray, float]:
        side, keys, kind = job
        begun = perf_counter()
        losses = losses_at(side, keys, kind, loss=loss, threads=threads)
        done.append(1)
        report_progress("try: refits", len(done), len(jobs))
        return losses, perf_counter() - begun

    fits = list(zip(jobs, in_parallel(work, jobs, cores=count_cores()), strict=True))
    by_side = [
        counted(
            [{kind: losses for (of, at, kind), (losses, _) in fits if of is side and at is keys} for keys in judged]
        )
        for side in sides
    ]
    first, second = (sum(seconds for (of, _, _), (_, seconds) in fits if of is side) for side in sides)
    return by_side, (first, second)
