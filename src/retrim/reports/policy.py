"""Policies tried on the history that has landed; each fit is kept as it comes, so that a rerun goes on."""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.adapters.database import iso
from retrim.adapters.processes import start_reaper
from retrim.checking.totals import fits_of_a_retraining, share_of_refit
from retrim.decision.accumulated_gain import ModelWorth
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
)
from retrim.decision.policy_compare import (
    Policy,
    PolicyChoice,
    PolicyOutcome,
    WindowAlarms,
    choose,
    compare_policies,
    count_windows,
    policies,
)
from retrim.decision.policy_play import (
    GateSimulation,
    PlayedRules,
    Setting,
    known_from,
    label_delay,
    newest_labels,
    require_seen,
    usual_recipe,
)
from retrim.decision.probe import NEEDED
from retrim.drift.profile import ProfileParams
from retrim.errors import RefusedError, RetrimError
from retrim.features.view import FeatureView
from retrim.files import count_cores
from retrim.landing.as_of_view import known_table, labels_came
from retrim.lineage.workspace import Workspace, report_progress
from retrim.release.versions import load_champion, worth_of_live
from retrim.stats.codec import Moment, from_record, to_json, to_record
from retrim.stats.metrics import row_losses
from retrim.table.clock_columns import clock_columns
from retrim.table.data import mature
from retrim.training.baseline import BASELINES
from retrim.training.groups import as_trained
from retrim.training.recipe import Recipe, WindowKind

LEAST_ROWS = 20  # of a window
PARTS = 8  # of a window that are counted apart, and of as many rows before: their series shows how far windows stray


def all_scored(work: FitInputs, kinds: tuple[WindowKind, ...], log: Path, *, cores: int) -> list[FitLosses]:
    """Every fit of a backtest; those that stand in `log` are not made again, the others are added to it.

    Args:
        cores: Processes, each of one thread; changes no result.
    """
    done = read_log(log)
    every = jobs(work.cut, kinds)
    todo = [job for job in every if job not in done]
    report_progress(f"policy: {len(every)} fits, {len(done)} of them made before")
    log.parent.mkdir(parents=True, exist_ok=True)
    _end_last_line(log)
    with log.open("ab", buffering=0) as out:
        for scored in _made(work, todo, cores=min(cores, len(todo))):
            out.write(
                json.dumps(to_record(scored)).encode() + b"\n"
            )  # one write of a file opened to append: whole or not at all
            done[scored.job] = scored
            report_progress("policy: loss matrix", len(done), len(every))
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


def _made(work: FitInputs, todo: list[FitJob], *, cores: int) -> Iterator[FitLosses]:
    if cores <= 1:
        yield from map(work.score, todo)
        return
    # Processes that begin afresh: one that is forked would share the threads' locks of libraries loaded by now.
    start_reaper()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context, initializer=_begin, initargs=(work,)) as pool:
        waiting = [pool.submit(_one, job) for job in todo]
        try:
            for ready in as_completed(waiting):
                yield ready.result()
        finally:
            for future in waiting:
                future.cancel()


# What a process of the pool makes all of its fits from: sent once, as it begins, and not with every job.
_WORK: list[FitInputs] = []


def _begin(work: FitInputs) -> None:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ["OMP_NUM_THREADS"] = "1"
    _WORK.append(work)


def _one(job: FitJob) -> FitLosses:
    return _WORK[0].score(job)


@dataclass(frozen=True)
class PolicyFacts:
    """A policy in a backtest.

    Args:
        name: Name of the policy.
        retrainings: Number of retrainings.
        refused: Runs that the gate would have refused.
        waited: Checks at which a person would have had to start the retraining.
        loss: Mean loss over the windows.
        cost: Loss plus retrainings, in mean loss times checks.
        ratio_to_hindsight: `cost` divided by the cost of the best schedule in hindsight.
        ratio_low: Lower end of the ratio's 95% interval, from how it differs between the stretches of the history.
        ratio_high: Upper end of this interval.
        probe_cost: Cost of its probes, in mean loss times checks.
        ratio_with_probe: The same ratio with the cost of the probes.
        periodic_median: Cost of a periodic schedule with as many retrainings as this policy: median over its phases.
        periodic_best: Cost of the best phase of that schedule.
        decided: Times at which it retrains.
        changes: Settings that switch it on; None if it is only for comparison.
    """

    name: str
    retrainings: int
    refused: int
    waited: int
    loss: float
    cost: float
    ratio_to_hindsight: float
    ratio_low: float
    ratio_high: float
    probe_cost: float
    ratio_with_probe: float
    periodic_median: float
    periodic_best: float
    decided: tuple[Moment, ...]
    changes: dict[str, JsonValue] | None


@dataclass(frozen=True)
class BacktestResult:
    """The result of a backtest.

    Args:
        setting: Losses and delays.
        outcomes: Every policy, the cheapest first.
        choice: The recommended policy.
        retraining_cost: Cost of a retraining, in mean loss times checks.
        loss: Name of the loss.
        digest: Digest of everything that the fits depend on.
        recipe: The recipe that was fitted.
        rows: Rows of the history.
    """

    setting: Setting
    outcomes: tuple[PolicyOutcome, ...]
    choice: PolicyChoice
    retraining_cost: float
    loss: str
    digest: str
    recipe: Recipe
    rows: int

    @property
    def held_back(self) -> float:
        """Windows that a run holds out from training."""
        matrix = self.setting.matrix
        return self.setting.delays.held_back + matrix.back / matrix.cut.blocks

    @property
    def recommended(self) -> Policy | None:
        """The recommended policy; None where there are too few windows to tell."""
        named = (each.policy for each in self.outcomes if each.policy.name == self.choice.recommended)
        return next(named, None)

    def as_record(self) -> dict[str, JsonValue]:
        """The record that `--json` prints.

        Returns:
            policies: Every [policy](#policy), the cheapest first.
            hindsight: The best schedule in hindsight: `retrainings`, `loss`, `cost`, `decided`.
            ratio: Cost of never retraining divided by that of the rule or calendar that the advice is about.
            interval: 95% interval of this ratio; retraining pays if it lies above 1.
            stretches: Stretches of the history, each judged by the policy that was chosen on the others.
            windows: Number of checks in the backtest.
            from: Time of the first check.
            until: Time of the last check.
            label_delay: Windows until labels are known.
        """
        delays, moments = self.setting.delays, self.setting.moments
        hindsight = self.outcomes[0].hindsight
        return {
            "policies": [to_record(self._facts(outcome)) for outcome in self.outcomes],
            "hindsight": {
                "retrainings": len(hindsight.checks),
                "loss": hindsight.loss,
                "cost": hindsight.cost(self.retraining_cost),
                "decided": [iso(moments[check]) for check in hindsight.checks],
            },
            "recommended": self.choice.recommended,
            "sentence": self.choice.sentence,
            "ratio": self.choice.ratio,
            "interval": [self.choice.low, self.choice.high],
            "stretches": len(self.choice.chosen),
            "retraining_cost": self.retraining_cost,
            "loss": self.loss,
            "windows": self.setting.matrix.windows,
            "from": iso(moments[0]),
            "until": iso(moments[-1]),
            "label_delay": delays.labels,
            "held_back": self.held_back,
            "digest": self.digest,
        }

    def _facts(self, outcome: PolicyOutcome) -> PolicyFacts:
        played, policy = outcome.played, outcome.policy
        low, high = outcome.ratio_interval
        return PolicyFacts(
            name=policy.name,
            retrainings=played.retrainings,
            refused=len(played.refused),
            waited=played.waited,
            loss=played.loss,
            cost=outcome.cost,
            ratio_to_hindsight=outcome.ratio,
            ratio_low=low,
            ratio_high=high,
            probe_cost=outcome.probe_cost,
            ratio_with_probe=outcome.ratio_with_probe,
            periodic_median=outcome.periodic.median,
            periodic_best=outcome.periodic.best,
            decided=tuple(self.setting.moments[check] for check in played.checks),
            changes=None if policy.changes is None else dict(policy.changes),
        )


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
    digest = _digest(workspace, work, table)
    kinds = params.train.windows
    kept_back, apart = _kept_back(whole, params.split.judge_rows), 0
    if params.retrain.refit_after:  # what is released keeps nothing back, what is judged does
        kept_back, apart = 0, kept_back
    scored = all_scored(work, kinds, workspace.paths.policy / f"{digest}.jsonl", cores=count_cores())
    again = share_of_refit(workspace)
    setting = Setting(
        matrix=LossMatrix.of(
            kinds, whole, scored, rows_per_check=params.gain.rows_per_check, back=kept_back % whole.blocks
        ),
        kinds=tuple(range(len(kinds))),
        delays=PolicyDelays(delay, kept_back // whole.blocks),
        blocks=params.probe.blocks,
        moments=moments,
        judging=GateSimulation(params.gate, params.split.judge_rows, params.judge.draws, apart, again),
        labels_until=None if label_times is None else newest_labels(label_times, moments),
    )
    retraining_cost = params.gain.cost_in_loss(worth_of_live(workspace) or _worth_of_first(workspace, setting, work))
    rules = PlayedRules(
        params.triggers,
        retraining_cost,
        params.gain.errors,
        params.gain.ahead,
        params.policy.seed,
        probes_if_needed=params.probe.when == NEEDED,
    )
    tried = policies(
        setting,
        rules,
        _alarms(workspace, table, edges),
        window_span=span,
        sliding_rows=params.split.sliding_rows,
        least=params.drift.min_rows,
    )
    fits = fits_of_a_retraining(workspace)
    outcomes = compare_policies(setting, tried, retraining_cost=retraining_cost, fits_per_retraining=fits)
    ranked = tuple(sorted(outcomes, key=lambda outcome: outcome.cost))
    choice = choose(setting, outcomes)
    return BacktestResult(setting, ranked, choice, retraining_cost, params.judge.loss, digest, recipe, len(table))


def _alarms(workspace: Workspace, table: pd.DataFrame, edges: np.ndarray) -> WindowAlarms:
    """The drift tests of params.yaml on the windows of a table, parts of the clock left out."""
    params = workspace.params
    features, reading = params.data.features, params.reading
    clocks = {*reading.calendar, *clock_columns(table.iloc[: edges[0]], list(features), reading.zone)}
    tested = {name: kind for name, kind in features.items() if name not in clocks}
    before = max(round(PARTS * edges[0] * (len(edges) - 1) / (edges[-1] - edges[0])), PARTS)
    counted = count_windows(table, tested, edges, ProfileParams(seed=params.seed), chunks=before, parts=PARTS)
    return WindowAlarms(counted, params.drift, pd.Timedelta(params.data.batch_every), task=params.data.task)


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
    found = load_champion(workspace)
    params = workspace.params
    if found is not None:
        made = found.predictor.recipe
        made = replace(made, loss=params.judge.loss, balance=params.train.balance)
        return replace(made, reweight=params.fairness.reweights)
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


def _digest(workspace: Workspace, work: FitInputs, table: pd.DataFrame) -> str:
    """Of all that the fits rest on: rows, cut, recipe, training windows' length."""
    own = table[[*workspace.params.data.columns, *workspace.params.data.history.columns, "_key", "_event", "_due"]]
    rows = hashlib.sha256(pd.util.hash_pandas_object(own, index=False).to_numpy().tobytes()).hexdigest()
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
