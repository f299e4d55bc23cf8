"""What the probe says of a check's rows with each training window, and what that cost.

What matured rows are measured by: the prediction that was served, where one was before the label was due.

What the champion lost on rows that matured, what the probe says of them, and the band to hold the loss against.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from retrim.checking.history import recipe_digest, refitted, shown_before, sized
from retrim.checking.score import have_landed_features, stored_values
from retrim.decision.accumulated_gain import Band, reference_band
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import MeasuredWindow, ShownProbe, StoredCheck
from retrim.decision.probation import ServedPredictions, Skew, skews_of
from retrim.decision.probe import (
    GatePreview,
    ProbeResult,
    ProbeWatch,
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
from retrim.decision.rows_counted import RowCounts
from retrim.drift.slices import LossChange, SlicedRows, SliceParams, loss_change
from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView
from retrim.files import count_cores
from retrim.gate.support import ShownEvidence, support_of
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.prediction_log import span_of
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.versions import Stored, load_stored_version
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import measure, row_losses
from retrim.stats.windows import past_of
from retrim.training.baseline import baselines_of
from retrim.training.bundle import Predictor
from retrim.training.groups import as_trained
from retrim.training.recipe import ProbeCost, WindowKind, in_parallel, retraining_work


@dataclass(frozen=True)
class ProbeOutcome:
    """What a probe found, and what of it a check keeps.

    Args:
        reading: The gain of a refit over the champion.
        refits: Mean loss of the refits by training window.
        preview: What the gate would say of these refits; None where it cannot judge on so few rows.
        shown: Its blocks and the recipe that was refitted, for the gate of a run to come.
        cost: What the probe cost.
        rows_after_change: Rows from after the change that the refits had; 0 where no change is known.
        taken: Rows of the table that enter the accumulated gain, shape (rows,).
    """

    reading: ProbeResult
    refits: dict[str, float]
    preview: GatePreview | None
    shown: ShownProbe
    cost: ProbeCost
    rows_after_change: int
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
    chosen = chosen_losses(refits, block_rows=block_rows)
    reading = reading_of(champion, chosen, apart=apart, block_rows=block_rows)
    return ProbeOutcome(
        reading=reading.with_waiting(len(waiting), earlier=watch.gain),
        refits={kind: float(each.mean()) for kind, each in refits.items()},
        preview=_preview(workspace, mature, predictor, judging, champion, refits, [*life, whole]),
        shown=ShownProbe(**vars(whole), of=digest),
        cost=_cost_of(workspace, mature.times, judged, predictor, changed=changed, retraining_cost=retraining_cost),
        rows_after_change=0 if watch.changed is None else int((events >= watch.changed).sum()),
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
    own: tuple[WindowKind, ...] = () if predictor.window == "recent" else (predictor.window,)
    windows = tuple(dict.fromkeys((*own, *params.train.windows)))
    return probed_windows(times, judged, windows, params.probe, sliding_rows=params.split.sliding_rows, changed=changed)


def _preview(
    workspace: Workspace,
    mature: AsOfTable,
    predictor: Predictor,
    judging: np.ndarray,
    champion: np.ndarray,
    losses: dict[str, np.ndarray],
    life: Sequence[ShownEvidence],
) -> GatePreview | None:
    """What the gate would say of the refits on as many of the newest rows as would judge a run."""
    params, block_rows = workspace.params, workspace.params.judge.block_rows
    unseen = mature.only(judging)
    size = sized(workspace, unseen, life, tries=len(losses), judged=(), eased=True, mature=len(mature))
    naive = naive_losses_on(workspace, mature, predictor, predictor.view.seen(unseen.read()))
    kept, before = slice(-size.rows, None), slice(None, -size.rows)
    events = list(unseen.times["_event"])
    own = ShownEvidence.of_rows(
        events[before], champion[before], {kind: each[before] for kind, each in losses.items()}, block_rows=block_rows
    )
    shown = [*(each.before(events[kept][0]) for each in life[:-1]), own]
    most = 0.0 if params.gate.non_inferiority is None else params.gate.non_inferiority.most
    answer = preview(
        {kind: each[kept] for kind, each in losses.items()},
        champion[kept],
        {name: naive[name][kept] for name in params.gate.baselines if name in naive},
        params.gate,
        rows=len(champion[kept]),
        draws=params.judge.draws,
        block_rows=block_rows,
        support={kind: support_of(shown, kind, most=most) for kind in losses},
    )
    if answer is None:
        return None
    best, least = (min((float(np.mean(each[kept])) for each in by.values()), default=np.inf) for by in (losses, naive))
    return replace(answer, short=size.short if best < least else None)  # else more rows would not help


def _judged_rows(workspace: Workspace) -> int:
    """Rows that a probe judges where more have waited: those of a usual check, and as many as probe and gate need."""
    params = workspace.params
    return max(params.gain.rows_per_check, params.probe.min_rows, params.gate.min_rows)


def champions_losses(workspace: Workspace, ripe: AsOfTable, predictor: Predictor) -> np.ndarray:
    """The champion's loss on each row."""
    rows = predictor.view.seen(ripe.read())
    if not len(rows):
        return np.empty(0)
    return row_losses(workspace.params.judge.loss, predictor.view.actual(rows), predictor.predict(rows))


STRAGGLERS = 0.05  # of some rows: so many may be older than where the rows are taken to begin


def start_without_stragglers(events: pd.Series) -> pd.Timestamp:
    """When rows begin, but for the oldest 5%: as far before the others as evenly spaced rows would, no further.

    Args:
        events: Their event times in order, shape (n,), n at least 1.
    """
    first, rest, last = (pd.Timestamp(events.iloc[place]) for place in (0, int(STRAGGLERS * len(events)), -1))
    return max(first, rest - (last - rest) * (STRAGGLERS / (1 - STRAGGLERS)))


def naive_losses_on(
    workspace: Workspace, mature: AsOfTable, predictor: Predictor, rows: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Loss on each row of every baseline of the task, fitted on the labels that were due before these rows.

    Args:
        rows: Mature rows in time order, shape (n, columns), n at least 1.

    Returns:
        Losses by baseline, each shape (n,); empty if no label was due before.
    """
    view, gate, entity = predictor.view, workspace.params.gate, workspace.params.data.series
    first = start_without_stragglers(rows["_event"])
    before = (mature.times["_due"] <= first) & ~mature.times["_key"].isin(rows["_key"])
    if not before.any():
        return {}
    fitted = mature.only(before)
    is_renamed = view.target not in fitted.times
    train = fitted.read([*entity, *([view.target] if is_renamed else [])]) if entity or is_renamed else fitted.times
    cut = {"season": pd.Timedelta(gate.season), "cells": gate.season_cells, "entity": entity}
    return {
        name: losses_on(workspace, predictor, rows, baseline(view, train, rows, **cut))
        for name, baseline in baselines_of(view.task).items()
    }


def losses_on(workspace: Workspace, predictor: Predictor, rows: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
    """The loss of some predictions on each row."""
    return row_losses(workspace.params.judge.loss, predictor.view.actual(rows), predicted)


def _to_fit(workspace: Workspace, ripe: AsOfTable) -> pd.DataFrame:
    """The rows with what a refit takes, text as categories where no step reads it."""
    data, fairness = workspace.params.data, workspace.params.fairness
    coded = [name for name, kind in data.features.items() if kind == "category" and not workspace.params.prepare.steps]
    return ripe.read([*data.features, *(group.column for group in fairness.groups)], coded=coded)


def _cost_of(
    workspace: Workspace,
    times: pd.DataFrame,
    judged: np.ndarray,
    predictor: Predictor,
    *,
    changed: pd.Timestamp | None,
    retraining_cost: float,
) -> ProbeCost:
    params, rounds = workspace.params, predictor.recipe.rounds
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
        mode="refit" if params.retrain.mode == "auto" else params.retrain.mode,
        windows=params.train.windows,
        recipes=params.train.recipes,
        sliding_rows=params.split.sliding_rows,
        backtest=params.backtest,
        tune=params.tune,
    )
    return ProbeCost.of(rounds * sum(map(len, pasts)), retraining, retraining_cost=retraining_cost)


def predictions_of(
    workspace: Workspace, rows: pd.DataFrame, champion: Predictor, version: int
) -> tuple[np.ndarray, ServedPredictions]:
    """The prediction of each row as it was served; where none was stored before its label was due, as of now.

    The oldest counts: a later champion predicts rows again that are still without a label, and nobody acted on that. An
    answer to a request counts if the request had the features that the row landed with, so that no client chooses it.

    Args:
        rows: Mature rows with their columns and `_due`, shape (n,), n at least 1.

    Returns:
        Shape (n,) or (n, classes), in the classes of the live version; and what they are.
    """
    now_by_champion = champion.predict(champion.view.seen(rows))
    predicted = np.array(now_by_champion)
    stored = _stored_in_time(workspace, rows)
    versions: list[int] = sorted(stored["version"].unique().tolist())
    makers = {number: champion if number == version else _predictor(workspace, number) for number in versions}
    chosen = _served_or_unlike(stored, rows, makers)
    by_version, unreadable, compared = {}, 0, []
    for number, maker in makers.items():
        part = chosen[chosen["version"] == number]
        if not len(part):
            continue
        view = champion.view if maker is None else maker.view
        values = stored_values(part, view)
        usable = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        unreadable += int((~usable & part["counts"].to_numpy()).sum())
        if not usable.any() or not _comparable(view, champion.view):
            continue
        part, values = part[usable], values[usable]
        if maker is not None and set(maker.view.needs) <= set(rows.columns):
            own = rows.iloc[part["place"]]
            now = now_by_champion[part["place"]] if maker is champion else maker.predict(maker.view.seen(own))
            compared.append(part.assign(skew=skews_of(values, now)))
        counts = part["counts"].to_numpy()
        predicted[part["place"].to_numpy()[counts]] = in_classes(values[counts], view, champion.view)
        if counts.any():
            by_version[number] = int(counts.sum())
    return predicted, ServedPredictions(
        by_version, len(rows) - sum(by_version.values()), unreadable, _skew(workspace, compared)
    )


def _stored_in_time(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """Predictions of rows that were stored before the label was due, the oldest first.

    Returns:
        As `PredictionLog.of_rows`, with `place`, the number of the row, and `is_request`.
    """
    logs, span = workspace.predictions, span_of(rows["_event"])
    every = pd.concat(
        [
            logs.of_rows(rows["_key"], span).assign(is_request=False),
            logs.of_role("request").of_rows(rows["_key"], span).assign(is_request=True),
        ]
    ).sort_values(["at", "version"], kind="stable", ignore_index=True)
    every["place"] = pd.Index(rows["_key"]).get_indexer(pd.Index(every["key"]))
    in_time: pd.DataFrame = every[(every["at"] < rows["_due"].iloc[every["place"]].to_numpy()).to_numpy()]
    return in_time


def _served_or_unlike(stored: pd.DataFrame, rows: pd.DataFrame, makers: Mapping[int, Predictor | None]) -> pd.DataFrame:
    """Of each row the prediction that counts, and the newest request with other features where all had others.

    Args:
        rows: Mature rows, shape (n, columns).
        makers: By version; None where its bundle is gone, so that its requests cannot be compared.

    Returns:
        Columns of `stored`, with `counts`; the requests that do not count come last.
    """
    counts = ~stored["is_request"].to_numpy()
    for number, maker in makers.items():
        own = np.flatnonzero(stored["is_request"].to_numpy() & (stored["version"] == number).to_numpy())
        if maker is not None:
            landed = rows.iloc[stored["place"].iloc[own]]
            counts[own] = have_landed_features(maker.view, landed, stored["features"].iloc[own])
    like = set(stored["place"][stored["is_request"] & counts])
    served = stored[counts].drop_duplicates("place").assign(counts=True)
    unlike = stored[~counts & ~stored["place"].isin(like)].drop_duplicates("place", keep="last").assign(counts=False)
    return pd.concat([served, unlike])


def tell_skew(workspace: Workspace, served: ServedPredictions | None, *, now: pd.Timestamp) -> None:
    """Alerts where served predictions are further from those of now than `served.skew` allows, or are none."""
    if served is None:
        return
    if served.skew is not None and served.skew.over:
        skew, worst = served.skew, served.skew.worst
        assert worst is not None
        record_alert(
            workspace,
            AlertKind.SKEW,
            f"{skew.over} of {skew.rows} served predictions differ from what their version predicts now by more than "
            f"{skew.bound:g} of the mean prediction, the largest difference being {skew.largest:.3g} of it. Run "
            f"`retrim versions explain '{worst.key}@{worst.request or worst.version}'` to see whether the features of "
            "that row differed then, or its stored prediction was altered",
            now=now,
            about="served predictions",
        )
    if served.unreadable:
        text = f"{served.unreadable} stored predictions are not numbers: they were altered; restore them from a backup"
        record_alert(workspace, AlertKind.SKEW, text, now=now, about="stored predictions")


def _predictor(workspace: Workspace, version: int) -> Predictor | None:
    """A version's predictor; None where its bundle is gone or altered: what it served stands anyway."""
    with suppress(BadInputError, RefusedError):
        found = load_stored_version(workspace, version).predictor
        _ = found.model  # loaded here, where it may fail
        return found
    return None


def _comparable(view: FeatureView, champion: FeatureView) -> bool:
    """Whether predictions of one are such of the other: of several classes they may know others."""
    return view.task == champion.task and (view.task == "multiclass" or view.classes == champion.classes)


def in_classes(served: np.ndarray, view: FeatureView, champion: FeatureView) -> np.ndarray:
    """Probabilities in the live version's classes; one that a version did not know had none."""
    if view.task != "multiclass" or view.classes == champion.classes:
        return served
    own = {name: place for place, name in enumerate(view.classes)}
    columns = [served[:, own[name]] if name in own else np.zeros(len(served)) for name in champion.classes]
    return np.column_stack(columns)


def _skew(workspace: Workspace, compared: list[pd.DataFrame]) -> Skew | None:
    if not compared:
        return None
    each_once = pd.concat(compared).sort_values("counts", kind="stable").drop_duplicates("place")
    keys, versions = each_once["key"].tolist(), each_once["version"].tolist()
    ids = zip(each_once["request_id"], each_once["is_request"], strict=True)
    requests = [str(request) if is_request else None for request, is_request in ids]
    return Skew.of(keys, versions, requests, each_once["skew"].to_numpy(), workspace.params.served)


CONFIDENCE = 0.95  # one-sided, at either end: the interval holds the mean loss with 90%


@dataclass(frozen=True)
class MeasuredRows:
    """The champion on matured rows that no check has measured.

    Args:
        window: How many rows, and from when to when.
        loss: Mean loss on them of what was served, else of the champion.
        interval: What that mean lies between, by a block bootstrap.
        metrics: Of the same predictions, each of `judge.metrics`.
        served: Which predictions they were measured by.
        part: The rows with the loss on each.
        taken: Rows of the table that were measured, shape (rows,).
    """

    window: MeasuredWindow
    loss: float
    interval: tuple[float, float]
    metrics: dict[str, float]
    served: ServedPredictions
    part: SlicedRows
    taken: np.ndarray


def measure_champion(
    workspace: Workspace, mature: AsOfTable, predictor: Predictor, version: int, counts: RowCounts
) -> MeasuredRows | None:
    """The champion's loss on the matured rows that no check has measured; None where those are too few."""
    params, fresh = workspace.params, counts.waiting("measured")[mature.places]
    if fresh.sum() < params.probe.min_rows:
        return None
    rows = mature.only(fresh).read()
    predicted, served = predictions_of(workspace, rows, predictor, version)
    judged = predictor.view.seen(rows)
    actual = predictor.view.actual(judged)
    losses = row_losses(params.judge.loss, actual, predicted)
    return MeasuredRows(
        window=MeasuredWindow(len(rows), start_without_stragglers(rows["_event"]), rows["_event"].iloc[-1]),
        loss=float(losses.mean()),
        interval=_interval(workspace, losses),
        metrics=measure(params.judge.metrics, actual, predicted, task=predictor.view.task),
        served=served,
        part=SlicedRows(judged, losses),
        taken=mature.in_whole(fresh),
    )


def last_probed(workspace: Workspace, version: int, previous: StoredCheck | None) -> pd.Timestamp:
    """When rows were last probed: as the check before says, or when the champion was made."""
    made = workspace.store.version(workspace.model, version)
    assert made is not None, version
    since = pd.Timestamp(made.as_of)
    kept = None if previous is None else previous.record.counted_until
    return since if kept is None else max(since, kept)


def watch_before(previous: StoredCheck | None, version: int) -> ProbeWatch:
    """What the check before left to watch; nothing where another champion is live by now."""
    if previous is None or previous.record.champion != version:
        return ProbeWatch()
    return previous.record.watch


def preview_before(previous: StoredCheck | None, version: int) -> GatePreview | None:
    """What the gate would have said at the newest probe of this champion: it holds until the next one."""
    return None if previous is None or previous.record.champion != version else previous.record.preview


def _interval(workspace: Workspace, losses: np.ndarray) -> tuple[float, float]:
    judge = workspace.params.judge
    low, high = (
        sign
        * mean_bound(
            sign * losses,
            confidence=CONFIDENCE,
            block_rows=judge.block_rows,
            draws=judge.draws,
            seed=workspace.params.gate.seed,
        )
        for sign in (1, -1)
    )
    return low, high


def beside_judged(
    workspace: Workspace, found: Stored, judged: SlicedRows, measured: SlicedRows | None, *, rows: int
) -> tuple[Band | None, LossChange]:
    """What the rows that judged the champion say of a loss on `rows` rows.

    Args:
        measured: The rows that the loss was measured on; None where it is estimated, or there is none.
        rows: How many, at least 1.

    Returns:
        The band to hold it against, None where there is none or too few rows have judged; and its change by column and
        slice, empty where it was not measured.
    """
    judge = workspace.params.judge
    band = reference_band(
        judged.losses, rows=rows, block_rows=judge.block_rows, draws=judge.draws, seed=workspace.params.gate.seed
    )
    if measured is None:
        return band, LossChange({}, ())
    features = found.predictor.view.features
    return band, loss_change(judged, measured, features, SliceParams(), block_rows=judge.block_rows)


def judged_rows(workspace: Workspace, table: AsOfTable, found: Stored, counts: RowCounts) -> SlicedRows:
    """The rows that judged the champion, as far as they are in the table, with its loss on each.

    Of one that was fitted once more, on these rows too, the losses are those of the model that was judged.
    """
    ripe, predictor = table.mature(), found.predictor
    if found.judged_losses is not None:
        kept = predictor.view.seen(ripe.only(ripe.times["_key"].isin(found.judged_losses.index)).read())
        return SlicedRows(kept, found.judged_losses.loc[kept["_key"]].to_numpy())
    span = ripe.times["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")
    judging = predictor.view.seen(ripe.only(span & counts.used[ripe.places]).read())  # others came since
    losses = row_losses(workspace.params.judge.loss, predictor.view.actual(judging), predictor.predict(judging))
    return SlicedRows(judging, losses)
