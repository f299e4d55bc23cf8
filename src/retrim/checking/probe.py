"""The probe of a check: what refits of the champion's recipe, by training window, gain on its rows; and its cost."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.checking.measure import naive_losses_on
from retrim.checking.previous_champions import previous_losses
from retrim.checking.sizing import recipe_digest, refitted, shown_before, sized
from retrim.decision.check_record import ProbeLosses, StoredCheck
from retrim.decision.probe import (
    GatePreview,
    ProbeReading,
    apart_in_time,
    chosen_losses,
    fitted_rows,
    judged_blocks,
    preview,
    probed_windows,
    reading_of,
    refit_losses,
    with_a_past,
)
from retrim.decision.probe_watch import ProbeWatch
from retrim.decision.rows_counted import RowCounts
from retrim.files import count_cores
from retrim.gate.support import ShownEvidence, support_of
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.stats.metrics import row_losses
from retrim.stats.windows import past_of
from retrim.training.bundle import Predictor
from retrim.training.groups import as_trained
from retrim.training.recipe import ProbeCost, WindowKind, in_parallel, retraining_work


@dataclass(frozen=True)
class ProbeOutcome:
    """What a probe found, and what of it a check keeps.

    Args:
        reading: The gain of a refit over the champion.
        refits: Mean loss of the refits by training window, and of a previous champion.
        preview: What the gate would say of these refits; None where it cannot judge on so few rows.
        losses: Its blocks and the recipe that was refitted, for the gate of a run to come.
        taken: Rows of the table that enter the accumulated gain, shape (rows,).
    """

    reading: ProbeReading
    refits: dict[str, float]
    preview: GatePreview | None
    losses: ProbeLosses
    cost: ProbeCost
    taken: np.ndarray


def run_probe(
    workspace: Workspace,
    mature: AsOfTable,
    predictor: Predictor,
    version: int,
    counts: RowCounts,
    *,
    watch: ProbeWatch,
    retraining_cost: float,
) -> ProbeOutcome | None:
    """Refits the champion's recipe before the newest rows and compares both on them.

    Returns:
        None where too few rows wait, or where a refit would have no more rows than the champion: it would say nothing.
    """
    params, block_rows = workspace.params, workspace.params.judge.block_rows
    unprobed = counts.waiting("deposited")[mature.places]
    newest = with_a_past(mature.times, np.flatnonzero(unprobed), params.data, params.probe)
    if len(newest) < params.probe.min_rows:
        return None
    waiting, judged = apart_in_time(newest, rows=_judged_rows(workspace), least=params.probe.min_rows)
    parts = judged_blocks(judged, blocks=params.probe.blocks)
    past = past_of(mature.times["_event"], mature.times["_due"], max(int(judged[part[0]]) for part in parts))
    events = mature.times["_event"].iloc[past]
    is_new = (events > predictor.used_until).to_numpy() | ~counts.used[mature.places][past]
    if is_new.sum() < params.probe.min_rows:
        return None
    changed = change_of(watch, predictor)
    judging, waited = (np.isin(np.arange(len(mature)), rows) for rows in (judged[np.concatenate(parts)], waiting))
    champion, apart = (
        champions_losses(workspace, mature.only(rows), predictor) for rows in (judging, unprobed & ~judging & ~waited)
    )
    refits = _refit(workspace, mature, judged, predictor, changed=changed)
    event_times = list(mature.times["_event"][judging])
    digest = recipe_digest(workspace, predictor)
    whole = ShownEvidence.of_rows(event_times, champion, refits, block_rows=block_rows)
    life = shown_before(workspace, version, digest)
    candidates = refits | previous_losses(workspace, mature, judging, version)
    chosen = chosen_losses(candidates, block_rows=block_rows)
    reading = reading_of(champion, chosen, apart=apart, block_rows=block_rows)
    after_change = 0 if watch.changed is None else int((events >= watch.changed).sum())
    return ProbeOutcome(
        reading=replace(reading.with_waiting(len(waiting), earlier=watch.gain), after_change=after_change),
        refits={kind: float(losses.mean()) for kind, losses in candidates.items()},
        preview=_preview(workspace, mature, predictor, judging, champion, refits, candidates, [*life, whole]),
        losses=ProbeLosses(**vars(whole), of=digest),
        cost=_cost_of(workspace, mature.times, judged, predictor, changed=changed, retraining_cost=retraining_cost),
        taken=mature.in_whole(unprobed),
    )


def change_of(watch: ProbeWatch, predictor: Predictor) -> pd.Timestamp | None:
    """Event time from which rows are a training window of their own.

    It is that of the change that is up, else that of the change after which the champion was fitted.
    """
    if watch.changed is not None:
        return watch.changed
    return predictor.trained_from if predictor.window == "recent" else None


def _refit(
    workspace: Workspace,
    mature: AsOfTable,
    judged: np.ndarray,
    predictor: Predictor,
    *,
    changed: pd.Timestamp | None,
) -> dict[str, np.ndarray]:
    """The loss of a refit on each judged row, by training window."""
    params = workspace.params
    recipe = refitted(workspace, predictor)
    rows = as_trained(_to_fit(workspace, mature), params.fairness)
    windows = _windows(workspace, mature.times, judged, predictor, changed=changed)

    def refit(window: WindowKind, threads: int) -> np.ndarray:
        return refit_losses(
            rows,
            judged,
            recipe,
            params.data,
            params.probe,
            params.prepare.steps,
            window=window,
            sliding_rows=params.split.sliding_rows,
            changed=changed,
            cores=threads,
        )

    return dict(zip(windows, in_parallel(refit, windows, cores=count_cores()), strict=True))


def _windows(
    workspace: Workspace,
    times: pd.DataFrame,
    judged: np.ndarray,
    predictor: Predictor,
    *,
    changed: pd.Timestamp | None,
) -> list[WindowKind]:
    """The training windows that a retraining would try, the champion's first."""
    params = workspace.params
    champions: tuple[WindowKind, ...] = () if predictor.window == "recent" else (predictor.window,)
    windows = tuple(dict.fromkeys((*champions, *params.train.windows)))
    return probed_windows(times, judged, windows, params.probe, sliding_rows=params.split.sliding_rows, changed=changed)


def _preview(
    workspace: Workspace,
    mature: AsOfTable,
    predictor: Predictor,
    judging: np.ndarray,
    champion: np.ndarray,
    refits: dict[str, np.ndarray],
    candidates: dict[str, np.ndarray],
    life: Sequence[ShownEvidence],
) -> GatePreview | None:
    """What the gate would say of all candidates on as many of the newest rows as would judge a run."""
    params, block_rows = workspace.params, workspace.params.judge.block_rows
    unseen = mature.only(judging)
    size = sized(workspace, unseen, life, tries=len(candidates), judged=(), eased=True, mature=len(mature))
    naive = naive_losses_on(workspace, mature, predictor, predictor.view.seen(unseen.read()))
    judging_part, before = slice(-size.rows, None), slice(None, -size.rows)
    events = list(unseen.times["_event"])
    newest = ShownEvidence.of_rows(
        events[before],
        champion[before],
        {kind: values[before] for kind, values in refits.items()},
        block_rows=block_rows,
    )
    shown = [*(evidence.before(events[judging_part][0]) for evidence in life[:-1]), newest]
    most = 0.0 if params.gate.non_inferiority is None else params.gate.non_inferiority.most
    answer = preview(
        {kind: values[judging_part] for kind, values in candidates.items()},
        champion[judging_part],
        {name: naive[name][judging_part] for name in params.gate.baselines if name in naive},
        params.gate,
        rows=len(champion[judging_part]),
        draws=params.judge.draws,
        block_rows=block_rows,
        support={kind: support_of(shown, kind, most=most) for kind in refits},
    )
    if answer is None:
        return None
    best, least = (
        min((float(np.mean(values[judging_part])) for values in by_name.values()), default=np.inf)
        for by_name in (candidates, naive)
    )
    return replace(answer, short=size.short if best < least else None)  # else more rows would not help


def _judged_rows(workspace: Workspace) -> int:
    """Rows that a probe judges where more have waited: those of a usual check, and as many as probe and gate need."""
    params = workspace.params
    return max(params.gain.rows_per_check, params.probe.min_rows, params.gate.min_rows)


def champions_losses(workspace: Workspace, table: AsOfTable, predictor: Predictor) -> np.ndarray:
    """The champion's loss on each row."""
    rows = predictor.view.seen(table.read())
    if not len(rows):
        return np.empty(0)
    return row_losses(workspace.params.judge.loss, predictor.view.actual(rows), predictor.predict(rows))


def _to_fit(workspace: Workspace, mature: AsOfTable) -> pd.DataFrame:
    """The rows with what a refit takes, text as categories where no step reads it."""
    data, fairness = workspace.params.data, workspace.params.fairness
    coded = [name for name, kind in data.features.items() if kind == "category" and not workspace.params.prepare.steps]
    return mature.read([*data.features, *(group.column for group in fairness.groups)], coded=coded)


def _cost_of(
    workspace: Workspace,
    times: pd.DataFrame,
    judged: np.ndarray,
    predictor: Predictor,
    *,
    changed: pd.Timestamp | None,
    retraining_cost: float,
) -> ProbeCost:
    params, rounds = workspace.params, refitted(workspace, predictor).rounds
    pasts = [
        past
        for window in _windows(workspace, times, judged, predictor, changed=changed)
        for past in fitted_rows(
            times,
            judged,
            params.probe,
            window=window,
            sliding_rows=params.split.sliding_rows,
            changed=changed,
        )
    ]
    retraining = retraining_work(
        max(len(times) - params.split.judge_rows, 0),
        rounds,
        mode=params.retrain.mode,
        windows=params.train.windows,
        recipes=params.train.recipes,
        sliding_rows=params.split.sliding_rows,
        backtest=params.backtest,
        tune=params.tune,
    )
    return ProbeCost.of(rounds * sum(map(len, pasts)), retraining, retraining_cost=retraining_cost)


def last_probed(workspace: Workspace, version: int, previous: StoredCheck | None) -> pd.Timestamp:
    """When rows were last probed: as the check before says, or when the champion was made."""
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    since = pd.Timestamp(row.as_of)
    until = None if previous is None else previous.record.probe.until
    return since if until is None else max(since, until)


def watch_before(previous: StoredCheck | None, version: int) -> ProbeWatch:
    """What the check before left to watch; nothing where another champion is live by now."""
    if previous is None or previous.record.champion != version:
        return ProbeWatch()
    return previous.record.probe.watch


def preview_before(previous: StoredCheck | None, version: int) -> GatePreview | None:
    """What the gate would have said at the newest probe of this champion: it holds until the next one."""
    return None if previous is None or previous.record.champion != version else previous.record.probe.preview
