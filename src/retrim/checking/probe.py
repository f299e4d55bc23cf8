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
from retrim.decision.accumulated_gain import AccumulatedGain, Band, reference_band
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import CheckRecord, MeasuredWindow, ShownProbe, StoredCheck
from retrim.decision.probation import ServedPredictions, Skew, skews_of
from retrim.decision.probe import (
    GatePreview,
    Outlook,
    ProbeResult,
    apart_in_time,
    fitted_rows,
    judged_blocks,
    preview,
    reading_of,
    refit_losses,
    with_a_past,
)
from retrim.decision.rows_counted import Kind, RowCounts
from retrim.drift.slices import LossChange, SlicedRows, SliceParams, loss_change
from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView
from retrim.files import count_cores
from retrim.gate.support import ShownEvidence, support_of
from retrim.landing.as_of_view import AsOfTable, labels_came
from retrim.lineage.prediction_log import span_of
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.versions import Stored, load_stored_version
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import measure, row_losses
from retrim.training.bundle import Predictor
from retrim.training.groups import as_trained
from retrim.training.recipe import ProbeCost, WindowKind, distinct, in_parallel, retraining_work


@dataclass(frozen=True)
class ProbeOutcome:
    """What a probe found.

    Args:
        readings: By training window.
        said: What the gate would say of these refits; None where it cannot judge on so few rows.
        shown: Its blocks, for the gate of a run to come.
    """

    readings: dict[WindowKind, ProbeResult]
    said: GatePreview | None
    shown: ShownEvidence


def _windows(workspace: Workspace, ripe: pd.DataFrame, predictor: Predictor) -> list[WindowKind]:
    """The training windows that a retraining would try, the champion's first; those of the same rows count once."""
    windows = (predictor.window, *(kind for kind in workspace.params.train.windows if kind != predictor.window))
    return distinct(windows, len(ripe), sliding_rows=workspace.params.split.sliding_rows)


def read_probe(
    workspace: Workspace,
    ripe: AsOfTable,
    newest: np.ndarray,
    predictor: Predictor,
    *,
    unprobed: np.ndarray,
    earlier: float,
    life: Sequence[ShownEvidence],
    now: pd.Timestamp,
) -> ProbeOutcome:
    """The probe's reading with each training window, side by side; and what the gate would say of their refits.

    Args:
        workspace: The workspace.
        ripe: The mature rows.
        newest: Rows that no probe has judged and that have a past, ascending, shape (n,).
        predictor: The champion.
        unprobed: The mature rows that no probe has judged, shape (rows,).
        earlier: The gain that the probe before found.
        life: What the checks before have shown of such refits.
        now: The moment of the check.
    """
    params = workspace.params
    waiting, newest = apart_in_time(newest, rows=_judged_rows(workspace))
    waited = np.isin(np.arange(len(ripe)), waiting)
    places = np.concatenate(judged_blocks(newest, blocks=params.probe.blocks))
    judging = np.isin(np.arange(len(ripe)), newest[places])
    recipe = refitted(workspace, predictor)
    may = params.train.early and params.data.early_labels
    came = labels_came(workspace, ripe.times, as_of=now) if may else None
    past = as_trained(_to_fit(workspace, ripe), params.fairness)
    champion, apart = (
        champions_losses(workspace, ripe.only(rows), predictor) for rows in (judging, unprobed & ~judging & ~waited)
    )

    def refit(window: WindowKind, threads: int) -> np.ndarray:
        return refit_losses(
            past,
            newest,
            recipe,
            params.data,
            params.probe,
            params.prepare.steps,
            window=window,
            sliding_rows=params.split.sliding_rows,
            cores=threads,
            came=came,
        )

    windows, block_rows = _windows(workspace, ripe.times, predictor), params.judge.block_rows
    losses = dict(zip(windows, in_parallel(refit, windows, cores=count_cores()), strict=True))
    events = list(ripe.times["_event"][judging])
    whole = ShownEvidence.of_rows(events, champion, dict(losses), block_rows=block_rows)
    size = sized(
        workspace,
        ripe.only(judging),
        [*life, whole],
        tries=len(losses),
        judged=(),
        eased=True,
        mature=len(ripe),
    )
    kept, before = slice(-size.rows, None), slice(None, -size.rows)
    own = ShownEvidence.of_rows(
        events[before], champion[before], {kind: each[before] for kind, each in losses.items()}, block_rows=block_rows
    )
    shown = [*(each.before(events[kept][0]) for each in life), own]
    most = 0.0 if params.gate.non_inferiority is None else params.gate.non_inferiority.most
    said = preview(
        {kind: each[kept] for kind, each in losses.items()},
        champion[kept],
        params.gate,
        rows=len(champion[kept]),
        draws=params.judge.draws,
        block_rows=block_rows,
        support={kind: support_of(shown, kind, most=most) for kind in losses},
    )
    return ProbeOutcome(
        {
            kind: reading_of(champion, each, apart=apart, block_rows=block_rows).with_waiting(
                len(waiting), earlier=earlier
            )
            for kind, each in losses.items()
        },
        None if said is None else replace(said, short=size.short),
        whole,
    )


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


def _to_fit(workspace: Workspace, ripe: AsOfTable) -> pd.DataFrame:
    """The rows with what a refit takes, text as categories where no step reads it."""
    data, fairness = workspace.params.data, workspace.params.fairness
    coded = [name for name, kind in data.features.items() if kind == "category" and not workspace.params.prepare.steps]
    return ripe.read([*data.features, *(group.column for group in fairness.groups)], coded=coded)


def cost_of(
    workspace: Workspace, ripe: pd.DataFrame, newest: np.ndarray, predictor: Predictor, *, retraining_cost: float
) -> ProbeCost:
    params, rounds = workspace.params, predictor.recipe.rounds
    _, newest = apart_in_time(newest, rows=_judged_rows(workspace))
    pasts = [
        past
        for window in _windows(workspace, ripe, predictor)
        for past in fitted_rows(ripe, newest, params.probe, window=window, sliding_rows=params.split.sliding_rows)
    ]
    retraining = retraining_work(
        max(len(ripe) - params.split.judge_rows, 0),
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
        workspace: The workspace.
        rows: Mature rows with their columns and `_due`, shape (n,), n at least 1.
        champion: The live version.
        version: Its number.

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
        stored: As `_stored_in_time` gives it.
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
class MaturedRows:
    """What matured rows say.

    Args:
        rows: Matured rows that were never measured.
        loss: Mean loss on them of what was served, else of the champion; None where they are too few.
        interval: What that mean lies between, by a block bootstrap; None likewise.
        metrics: Of the same predictions, each of `judge.metrics`; None likewise.
        reading: The probe on matured rows that never entered the accumulated gain; None where not asked or they are too
            few.
        refits: Mean loss of the probe's refits by training window; None likewise.
        counts: The training window that `reading` is of: the one whose refit lost least at the probe before.
        outlook: What the accumulated gain may hold, had the rows that still wait for a probe been judged.
        best: The training window whose refit lost least at the newest probe; None before the first.
        preview: What the gate would say of these refits; None where it cannot judge on so few rows.
        shown: The blocks of the newest probe and of what recipe they are, as a check keeps them; None if not asked.
        pending: Rows that the champion has not seen and whose labels are not due yet.
        cost: What the probe cost; None where there was none.
        taken: By kind, the rows of the table that were measured and those that entered the accumulated gain, shape
            (rows,).
        counted_until: When rows were last probed, and entered the accumulated gain.
        labels_until: When the newest label matured; None if none has.
        measured: The rows that were measured, with the loss on each; None where they are too few.
        served: Which predictions they were measured by; None likewise.
    """

    rows: int
    loss: float | None
    interval: tuple[float, float] | None
    metrics: dict[str, float] | None
    reading: ProbeResult | None
    refits: dict[WindowKind, float] | None
    counts: WindowKind | None
    outlook: Outlook
    best: WindowKind | None
    preview: GatePreview | None
    shown: ShownProbe | None
    pending: int
    cost: ProbeCost | None
    taken: dict[Kind, np.ndarray]
    counted_until: pd.Timestamp
    labels_until: pd.Timestamp | None
    measured: SlicedRows | None
    served: ServedPredictions | None

    def put_into(self, record: CheckRecord) -> CheckRecord:
        """The record of a check with it."""
        return replace(
            record,
            window=None if self.loss is None else MeasuredWindow(self.rows),
            loss=self.loss,
            interval=self.interval,
            metrics=self.metrics,
            served=self.served,
            reading=None if self.reading is None else self.reading.reading,
            refits=self.refits,
            refit_counts=self.counts,
            best_window=self.best,
            outlook=self.outlook,
            preview=self.preview,
            shown=self.shown,
            pending=self.pending,
            probe=self.cost,
            counted_until=self.counted_until,
            labels_until=self.labels_until,
        )


def realise(
    workspace: Workspace,
    table: AsOfTable,
    predictor: Predictor,
    version: int,
    counts: RowCounts,
    *,
    previous: StoredCheck | None,
    drifted: bool,
    accumulated_gain: AccumulatedGain,
    retraining_cost: float,
    now: pd.Timestamp,
) -> MaturedRows:
    """The champion on matured rows that were never measured, and the probe on those that never entered the accumulated
    gain.

    With too few of them nothing is said, and they are taken with the next ones. A row is measured once and probed once,
    whichever version is live.

    Args:
        workspace: The workspace.
        table: As of now.
        predictor: The champion.
        version: Its number.
        counts: What checks have done with the rows so far.
        previous: The check before; None at the first.
        drifted: Whether this check found drift.
        accumulated_gain: Before this check.
        retraining_cost: Of a retraining.
        now: The moment of the check.
    """
    params, known = workspace.params, table.mature()
    ripe = known.times
    counted = _probed_at(workspace, version, previous)
    fresh, unprobed = (counts.waiting(kind)[known.places] for kind in ("measured", "deposited"))
    taken: dict[Kind, np.ndarray] = {}
    loss = interval = metrics = served = reading = refits = window = cost = part = shown = None
    said = _said_before(previous, version)
    best = None if previous is None else previous.record.best_window
    usual, outlook = params.gain.rows_per_check, _outlook(previous, version)
    pending = int(((table.times["_due"] > now).to_numpy() & counts.waiting("deposited")).sum())
    if fresh.sum() >= params.probe.min_rows:
        rows = known.only(fresh).read()
        predicted, served = predictions_of(workspace, rows, predictor, version)
        judged = predictor.view.seen(rows)
        actual = predictor.view.actual(judged)
        losses = row_losses(params.judge.loss, actual, predicted)
        part, loss, interval = SlicedRows(judged, losses), float(losses.mean()), _interval(workspace, losses)
        metrics = measure(params.judge.metrics, actual, predicted, task=predictor.view.task)
        taken["measured"] = known.in_whole(fresh)
        if (fresh & unprobed).any():
            own = champions_losses(workspace, known.only(fresh & unprobed), predictor)
            outlook = outlook.with_rows(float(own.mean()), share=len(own) / usual)
    newest = with_a_past(ripe, np.flatnonzero(unprobed), params.data, params.probe)
    needed = outlook.needs_probe(accumulated_gain, retraining_cost, errors=params.gain.errors, ahead=pending / usual)
    asked = params.probe.is_asked(needed=needed, drifted=drifted, waited=now - counted)
    if asked and len(newest) >= params.probe.min_rows:
        digest = recipe_digest(workspace, predictor)
        life = shown_before(workspace, version, digest)
        probed = read_probe(
            workspace, known, newest, predictor, unprobed=unprobed, earlier=outlook.gain, life=life, now=now
        )
        readings, said = probed.readings, probed.said
        shown = ShownProbe(**vars(probed.shown), of=digest)
        # Chosen on rows before those it is judged on: the best of several on the same rows would be luck in part.
        window = next((kind for kind in readings if kind == best), next(iter(readings)))
        reading, refits = readings[window], {kind: each.probe_loss for kind, each in readings.items()}
        least: WindowKind = min(refits, key=refits.__getitem__)
        best = least
        own_share = (reading.rows - reading.waited) / usual
        outlook = outlook.probed(
            reading.newest_gain, error=reading.newest_error, loss=reading.champion_loss, share=own_share
        )
        cost = cost_of(workspace, ripe, newest, predictor, retraining_cost=retraining_cost)
        counted, taken["deposited"] = now, known.in_whole(unprobed)
    labels_until = pd.Timestamp(ripe["_matured"].max()) if len(ripe) else None
    return MaturedRows(
        rows=int(fresh.sum()),
        loss=loss,
        interval=interval,
        metrics=metrics,
        reading=reading,
        refits=refits,
        counts=window,
        outlook=outlook,
        best=best,
        preview=said,
        shown=shown,
        pending=pending,
        cost=cost,
        taken=taken,
        counted_until=counted,
        labels_until=labels_until,
        measured=part,
        served=served,
    )


def _probed_at(workspace: Workspace, version: int, previous: StoredCheck | None) -> pd.Timestamp:
    """When rows were last probed: as the check before says, or when the champion was made."""
    made = workspace.store.version(workspace.model, version)
    assert made is not None, version
    since = pd.Timestamp(made.as_of)
    kept = None if previous is None else previous.record.counted_until
    return since if kept is None else max(since, kept)


def _outlook(previous: StoredCheck | None, version: int) -> Outlook:
    """What the check before expected of this champion; of another one only how noisy rows are."""
    if previous is None or previous.record.outlook is None:
        return Outlook()
    found = previous.record.outlook
    return found if previous.record.champion == version else found.of_next()


def _said_before(previous: StoredCheck | None, version: int) -> GatePreview | None:
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
    workspace: Workspace, table: AsOfTable, found: Stored, counts: RowCounts, measured: SlicedRows | None, *, rows: int
) -> tuple[Band | None, LossChange]:
    """What the rows that judged the champion say of a loss on `rows` rows.

    Args:
        workspace: The workspace.
        table: As of now.
        found: The champion.
        counts: What checks have done with the rows so far.
        measured: The rows that the loss was measured on; None where it is estimated, or there is none.
        rows: How many; 0 where there is no loss.

    Returns:
        The band to hold it against, None where there is none or too few rows have judged; and its change by column and
        slice, empty where it was not measured.
    """
    if not rows:
        return None, LossChange({}, ())
    judged, judge = _judged_part(workspace, table, found, counts), workspace.params.judge
    band = reference_band(
        judged.losses, rows=rows, block_rows=judge.block_rows, draws=judge.draws, seed=workspace.params.gate.seed
    )
    if measured is None:
        return band, LossChange({}, ())
    features = found.predictor.view.features
    return band, loss_change(judged, measured, features, SliceParams(), block_rows=judge.block_rows)


def _judged_part(workspace: Workspace, table: AsOfTable, found: Stored, counts: RowCounts) -> SlicedRows:
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
