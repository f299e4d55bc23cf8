"""Policies tried on the history that has landed; each fit is kept as it comes, so that a rerun goes on."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Annotated

import numpy as np
import pandas as pd

from retrim.checking.sizing import refitted
from retrim.checking.totals import fits_of_a_retraining
from retrim.decision.policy_backtest import (
    FitInputs,
    FitJob,
    FitLosses,
    LossMatrix,
    PolicyDelays,
    WindowCuts,
    cut,
    equal_rows,
    jobs,
    known_from,
    label_delay,
    newest_labels,
    require_seen,
)
from retrim.decision.policy_compare import PolicyOutcome, best_in_hindsight, choose, compare_policies
from retrim.decision.policy_gate import GateSimulation, Setting
from retrim.decision.policy_play import Drifted, PlayedRules
from retrim.decision.policy_rules import drift_of_windows, policies
from retrim.decision.probe import NEEDED
from retrim.decision.retraining_cost import ModelWorth
from retrim.errors import RefusedError, RetrimError
from retrim.features.view import FeatureView
from retrim.files import count_cores
from retrim.landing.as_of_view import known_table, labels_came
from retrim.lineage.workspace import Workspace, report_progress
from retrim.release.versions import load_champion, worth_of_live
from retrim.stats.codec import Moment, Unwritten, from_record, key, to_json, to_record
from retrim.stats.metrics import row_losses
from retrim.table.clock_columns import clock_columns
from retrim.table.data import mature
from retrim.training.baseline import BASELINES
from retrim.training.groups import as_trained
from retrim.training.midpoint import usual_recipe
from retrim.training.recipe import Recipe, WindowKind, in_parallel

LEAST_ROWS = 20  # of a window


def all_scored(work: FitInputs, kinds: tuple[WindowKind, ...], log: Path, *, cores: int) -> list[FitLosses]:
    """Every fit of a backtest; those that stand in `log` are not made again, the others are added to it.

    Args:
        cores: Fits at once, each of one thread; changes no result.
    """
    done = read_log(log)
    every = jobs(work.cut, kinds)
    report_progress(f"policy: {len(every)} fits, {len(done)} of them made before")
    log.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(log)
    turn = Lock()
    with log.open("ab", buffering=0) as out:

        def fit(job: FitJob, _threads: int) -> None:
            scored = work.score(job)
            line = json.dumps(to_record(scored)).encode() + b"\n"
            with turn:
                out.write(line)  # one write of a file opened to append: whole or not at all
                done[job] = scored
                report_progress("policy: loss matrix", len(done), len(every))

        in_parallel(fit, [job for job in every if job not in done], cores=cores)
    return [done[job] for job in every]


def read_log(log: Path) -> dict[FitJob, FitLosses]:
    """The fits of a log, by job; a line that was cut short, or is of another version of retrim, is left out."""
    if not log.exists():
        return {}
    fits = {}
    for line in log.read_bytes().split(b"\n"):
        try:
            scored = from_record(FitLosses, json.loads(line))
        except (ValueError, RetrimError):
            continue
        fits[scored.job] = scored
    return fits


def _end_last_line(log: Path) -> None:
    if log.exists() and log.stat().st_size and not log.read_bytes().endswith(b"\n"):
        with log.open("ab") as out:
            out.write(b"\n")


@dataclass(frozen=True)
class BestSchedule:
    """The best schedule in hindsight.

    Args:
        retrainings: Number of retrainings.
        loss: Mean loss over the windows.
        cost: Loss plus retrainings, in mean loss times checks.
        decided: Times at which it retrains.
    """

    retrainings: int
    loss: float
    cost: float
    decided: tuple[Moment, ...]


@dataclass(frozen=True)
class BacktestResult:
    """The result of a backtest.

    Args:
        policies: Every [policy](#policy), the cheapest first.
        hindsight: The best schedule in hindsight: `retrainings`, `loss`, `cost`, `decided`.
        recommended: The recommended policy, which may be never to retrain; None if there are too few windows to tell.
        sentence: The advice, and what the choices would have cost.
        ratio: Cost of never retraining divided by that of the rule or calendar that the advice is about.
        interval: 95% interval of this ratio; retraining pays if it lies above 1.
        stretches: Stretches of the history, each judged by the policy that was chosen on the others.
        retraining_cost: Cost of a retraining, in mean loss times checks.
        loss: Name of the loss.
        windows: Number of checks in the backtest.
        since: Time of the first check.
        until: Time of the last check.
        label_delay: Windows until labels are known.
        held_back: Windows that a run holds out from training.
        digest: Digest of everything that the fits depend on.
        rows: Rows of the history.
        kinds: Training windows.
        uncounted: First windows that do not count, as their labels come later.
        checks: Usual checks that the other windows count for.
    """

    policies: tuple[PolicyOutcome, ...]
    hindsight: BestSchedule
    recommended: str | None
    sentence: str
    ratio: float
    interval: tuple[float, float]
    stretches: int
    retraining_cost: float
    loss: str
    windows: int
    since: Annotated[Moment, key("from")]
    until: Moment
    label_delay: int
    held_back: float
    digest: str
    rows: Unwritten[int]
    kinds: Unwritten[tuple[str, ...]]
    uncounted: Unwritten[int]
    checks: Unwritten[float]


def backtest(
    workspace: Workspace, *, now: pd.Timestamp, windows: int | None = None, since: pd.Timestamp | None = None
) -> BacktestResult:
    """Tries every policy on what has landed and matured by `now`.

    Fits that an earlier call made from the same rows and settings are not made again.

    Args:
        windows: After the first part; None: as params.yaml has it.
        since: Oldest event that counts.

    Raises:
        RefusedError: The history is too short for the windows.
    """
    params = workspace.params
    table = mature(known_table(workspace, as_of=now))
    if since is not None:
        table = table[table["_event"] >= since].reset_index(drop=True)
    edges = _edges(table, params.policy.first, windows or params.policy.windows)
    moments = [*table["_event"].iloc[edges[:-1]], table["_event"].iloc[-1]]
    span = (moments[-1] - moments[0]) / (len(edges) - 1)
    label_times = None
    if params.data.labels == "later":
        label_times = labels_came(workspace, table, as_of=now).clip(lower=table["_due"])
    delay = label_delay(table["_event"], table["_due"] if label_times is None else label_times, span)
    require_seen(delay, len(edges) - 1, span)
    whole = cut(edges, blocks=params.probe.blocks, block_rows=params.judge.block_rows)
    recipe = _recipe(workspace, table.iloc[: edges[0]])
    table = as_trained(table, params.fairness)
    work = FitInputs(
        table,
        whole,
        recipe,
        params.data,
        params.split.sliding_rows,
        params.prepare.steps,
        at_event=delay > 0,  # the delay in windows keeps fits back; an embargo within the window would do so twice
        known=None if label_times is None else known_from(table["_event"], label_times, whole, delay=delay),
    )
    digest = _digest(workspace, work)
    setting = _setting(workspace, work, digest, moments, label_times, delay=delay)
    return _compared(workspace, setting, work, digest)


def _setting(
    workspace: Workspace,
    work: FitInputs,
    digest: str,
    moments: Sequence[pd.Timestamp],
    label_times: pd.Series | None,
    *,
    delay: int,
) -> Setting:
    """The loss matrix, and what policies are played under; fits that are missing are made.

    Args:
        delay: Windows until labels are known.
    """
    params, blocks, kinds = workspace.params, work.cut.blocks, workspace.params.train.windows
    kept_back, apart = _kept_back(work.cut, params.split.judge_rows), 0
    if params.retrain.refit_after:  # what is released keeps nothing back, what is judged does
        kept_back, apart = 0, kept_back
    scored = all_scored(work, kinds, workspace.paths.policy / f"{digest}.jsonl", cores=count_cores())
    usual = params.gain.rows_per_check
    return Setting(
        matrix=LossMatrix.of(kinds, work.cut, scored, rows_per_check=usual, back=kept_back % blocks),
        kinds=tuple(range(len(kinds))),
        delays=PolicyDelays(delay, kept_back // blocks),
        blocks=params.probe.blocks,
        moments=moments,
        judging=GateSimulation(params.gate, params.split.judge_rows, params.judge.draws, apart),
        labels_until=None if label_times is None else newest_labels(label_times, moments),
    )


def _compared(workspace: Workspace, setting: Setting, work: FitInputs, digest: str) -> BacktestResult:
    """Every policy over a history, and the advice."""
    params, matrix, moments = workspace.params, setting.matrix, setting.moments
    retraining_cost = params.gain.cost_in_loss(worth_of_live(workspace) or _worth_of_first(workspace, setting, work))
    rules = PlayedRules(
        params.triggers,
        retraining_cost,
        params.gain.errors,
        params.policy.seed,
        probes_if_needed=params.probe.when == NEEDED,
    )
    edges = np.append(work.cut.starts[:: work.cut.blocks], len(work.table))
    span = (moments[-1] - moments[0]) / matrix.windows
    hindsight = best_in_hindsight(setting.totals, setting.delays, retraining_cost=retraining_cost)
    outcomes = compare_policies(
        setting,
        policies(setting, rules, _drifted(workspace, work.table, edges, setting), window_span=span),
        hindsight,
        retraining_cost=retraining_cost,
        fits_per_retraining=fits_of_a_retraining(workspace),
    )
    choice = choose(setting, outcomes)
    return BacktestResult(
        policies=tuple(sorted(outcomes, key=lambda outcome: outcome.cost)),
        hindsight=BestSchedule(
            len(hindsight.checks),
            hindsight.loss,
            hindsight.cost(retraining_cost),
            tuple(moments[check] for check in hindsight.checks),
        ),
        recommended=choice.recommended,
        sentence=choice.sentence,
        ratio=choice.ratio,
        interval=(choice.low, choice.high),
        stretches=len(choice.chosen),
        retraining_cost=retraining_cost,
        loss=params.judge.loss,
        windows=matrix.windows,
        since=moments[0],
        until=moments[-1],
        label_delay=setting.delays.labels,
        held_back=setting.delays.held_back + matrix.back / matrix.cut.blocks,
        digest=digest,
        rows=len(work.table),
        kinds=matrix.kinds,
        uncounted=setting.begin,
        checks=float(matrix.share[setting.begin :].sum()),
    )


def _drifted(workspace: Workspace, table: pd.DataFrame, edges: np.ndarray, setting: Setting) -> Drifted:
    """The drift tests of params.yaml on the windows of a table, parts of the clock left out."""
    params = workspace.params
    features, reading = params.data.features, params.reading
    clocks = {*reading.calendar, *clock_columns(table.iloc[: edges[0]], list(features), reading.zone)}
    return drift_of_windows(
        table,
        edges,
        setting,
        {name: kind for name, kind in features.items() if name not in clocks},
        params.drift,
        every=pd.Timedelta(params.data.batch_every),
        task=params.data.task,
        sliding_rows=params.split.sliding_rows,
        seed=params.seed,
    )


def _edges(table: pd.DataFrame, share: float, windows: int) -> np.ndarray:
    first = round(len(table) * share)
    if len(table) - first < windows * LEAST_ROWS or first < 2:
        raise RefusedError(
            f"{len(table)} mature rows are too few for {windows} windows of {LEAST_ROWS} rows after the first "
            f"{share:.0%}; set a lower number with --windows, or land more history"
        )
    return equal_rows(len(table), first=first, windows=windows)


def _kept_back(whole: WindowCuts, judge_rows: int) -> int:
    """Blocks that a run keeps back to judge its models on, to the nearest whole, at least one."""
    return max(round(judge_rows * len(whole.starts) / float(whole.rows.sum())), 1)


def _recipe(workspace: Workspace, first: pd.DataFrame) -> Recipe:
    """The champion's recipe, as a retraining would refit it; before a version that from the middle of the space."""
    champion, params = load_champion(workspace), workspace.params
    if champion is not None:
        return refitted(workspace, champion.predictor)
    try:
        usual = usual_recipe(
            first,
            params.data,
            params.tune,
            params.train,
            params.prepare.steps,
            loss=params.judge.loss,
            threads=count_cores(),
        )
    except ValueError as error:
        raise RefusedError(
            f"the first {params.policy.first:.0%} of the history is too short to fit a model on: {error}; land more "
            "history"
        ) from error
    return replace(usual, reweight=params.fairness.reweights)


def _worth_of_first(workspace: Workspace, setting: Setting, work: FitInputs) -> ModelWorth:
    """What the first model of the backtest is worth on the first window, where no version says it."""
    gate, data, starts = workspace.params.gate, workspace.params.data, work.cut.starts
    first, window = work.table.iloc[: starts[0]], work.table.iloc[starts[0] : starts[setting.blocks]]
    view = FeatureView.learn(first, data)
    cut = {"season": pd.Timedelta(gate.season), "cells": gate.season_cells, "entity": data.series}
    naive = [
        row_losses(work.recipe.loss, view.actual(window), BASELINES[name](view, first, window, **cut)).mean()
        for name in gate.baselines
    ]
    loss = setting.matrix.mean_loss(0, 0, 0)
    return ModelWorth(loss, float(min(naive)))


def _digest(workspace: Workspace, work: FitInputs) -> str:
    """Of all that the fits rest on: rows, cut, recipe, training windows' length."""
    columns = [*workspace.params.data.columns, *workspace.params.data.history.columns, "_key", "_event", "_due"]
    hashes = pd.util.hash_pandas_object(work.table[columns], index=False).to_numpy()
    rows = hashlib.sha256(hashes.tobytes()).hexdigest()
    facts = {
        "rows": rows,
        "cells": [work.cut.starts.tolist(), work.cut.cells.tolist()],
        "recipe": to_record(work.recipe),
        "data": workspace.params.data.model_dump(mode="json"),
        "sliding_rows": work.sliding_rows,
        "at_event": work.at_event,
        **({} if work.known is None else {"known": hashlib.sha256(work.known.tobytes()).hexdigest()}),
        **({"prepare": [step.model_dump(mode="json") for step in work.steps]} if work.steps else {}),
        "groups": [group.model_dump(mode="json") for group in workspace.params.fairness.groups]
        if work.recipe.reweight
        else [],
    }
    return hashlib.sha256(to_json(facts)).hexdigest()[:16]
