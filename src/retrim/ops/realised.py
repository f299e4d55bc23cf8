"""What the champion lost on rows that matured, what the probe says of them, and the band to hold the loss against."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.account import Account
from retrim.core.band import Band, reference_band
from retrim.core.bundle import Predictor
from retrim.core.metrics import measure, row_losses
from retrim.core.outlook import Outlook
from retrim.core.preview import Preview
from retrim.core.probe import Reading, with_a_past
from retrim.core.resample import mean_bound
from retrim.core.row_ledger import Kind, RowCounts
from retrim.core.slices import LossChange, Part, loss_change
from retrim.core.training import WindowKind
from retrim.core.work import ProbeCost
from retrim.ops.champion import Stored
from retrim.ops.house import House
from retrim.ops.known import KnownTable
from retrim.ops.probing import champions_losses, cost_of, read_probe
from retrim.ops.served import Served, predictions_of
from retrim.ops.shown import recipe_digest, shown_before

CONFIDENCE = 0.95  # one-sided, at either end: the interval holds the mean loss with 90 %


@dataclass(frozen=True)
class Realised:
    """What matured rows say.

    Args:
        rows: Matured rows that were never measured.
        loss: Mean loss on them of what was served, else of the champion; None where they are too few.
        interval: What that mean lies between, by a block bootstrap; None likewise.
        metrics: Of the same predictions, each of `judge.metrics`; None likewise.
        reading: The probe on matured rows that never entered the account; None where not asked or they are too few.
        refits: Mean loss of the probe's refits by training window; None likewise.
        counts: The training window that `reading` is of: the one whose refit lost least at the probe before.
        outlook: What the account may hold, had the rows that still wait for a probe been judged.
        best: The training window whose refit lost least at the newest probe; None before the first.
        preview: What the gate would say of these refits; None where it cannot judge on so few rows.
        shown: The blocks of the newest probe and of what recipe they are, as a check keeps them; None if not asked.
        pending: Rows that the champion has not seen and whose labels are not due yet.
        cost: What the probe cost; None where there was none.
        taken: By kind, the rows of the table that were measured and those that entered the account, shape (rows,).
        counted_until: When rows were last probed, and entered the account.
        labels_until: When the newest label matured; None if none has.
        measured: The rows that were measured, with the loss on each; None where they are too few.
        served: Which predictions they were measured by; None likewise.
    """

    rows: int
    loss: float | None
    interval: tuple[float, float] | None
    metrics: dict[str, float] | None
    reading: Reading | None
    refits: dict[WindowKind, float] | None
    counts: WindowKind | None
    outlook: Outlook
    best: WindowKind | None
    preview: Preview | None
    shown: dict[str, Any] | None
    pending: int
    cost: ProbeCost | None
    taken: dict[Kind, np.ndarray]
    counted_until: pd.Timestamp
    labels_until: pd.Timestamp | None
    measured: Part | None
    served: Served | None

    def as_record(self) -> dict[str, Any]:
        """The fields of a check's record that stand for it."""
        return {
            "window": None if self.loss is None else {"rows": self.rows},
            "loss": self.loss,
            "interval": None if self.interval is None else list(self.interval),
            "metrics": self.metrics,
            "served": None if self.served is None else self.served.as_record(),
            "reading": None if self.reading is None else self.reading.as_record(),
            "refits": self.refits,
            "refit_counts": self.counts,
            "best_window": self.best,
            "outlook": self.outlook.as_record(),
            "preview": None if self.preview is None else self.preview.as_record(),
            "shown": self.shown,
            "pending": self.pending,
            "probe": None if self.cost is None else self.cost.as_record(),
            "counted_until": iso(self.counted_until),
            "labels_until": None if self.labels_until is None else iso(self.labels_until),
        }


def realise(
    house: House,
    table: KnownTable,
    predictor: Predictor,
    version: int,
    counts: RowCounts,
    *,
    previous: Row | None,
    drifted: bool,
    account: Account,
    price: float,
    now: pd.Timestamp,
) -> Realised:
    """The champion on matured rows that were never measured, and the probe on those that never entered the account.

    With too few of them nothing is said, and they are taken with the next ones. A row is measured once and probed once,
    whichever version is live.

    Args:
        house: The house.
        table: As of now.
        predictor: The champion.
        version: Its number.
        counts: What checks have done with the rows so far.
        previous: The check before; None at the first.
        drifted: Whether this check found drift.
        account: Before this check.
        price: Of a retraining.
        now: The moment of the check.
    """
    params, known = house.params, table.mature()
    ripe = known.times
    counted = _probed_at(house, version, previous)
    fresh, unprobed = (counts.waiting(kind)[known.places] for kind in ("measured", "deposited"))
    taken: dict[Kind, np.ndarray] = {}
    loss = interval = metrics = served = reading = refits = window = cost = part = shown = None
    said = _said_before(previous, version)
    best = None if previous is None else previous.record.get("best_window")
    usual, outlook = params.account.usual_rows, _outlook(previous, version)
    pending = int(((table.times["_due"] > now).to_numpy() & counts.waiting("deposited")).sum())
    if fresh.sum() >= params.probe.min_rows:
        rows = known.only(fresh).read()
        predicted, served = predictions_of(house, rows, predictor, version)
        judged = predictor.view.seen(rows)
        actual = predictor.view.actual(judged)
        losses = row_losses(params.judge.loss, actual, predicted)
        part, loss, interval = Part(judged, losses), float(losses.mean()), _interval(house, losses)
        metrics = measure(params.judge.metrics, actual, predicted, task=predictor.view.task)
        taken["measured"] = known.in_whole(fresh)
        if (fresh & unprobed).any():
            own = champions_losses(house, known.only(fresh & unprobed), predictor)
            outlook = outlook.with_rows(float(own.mean()), share=len(own) / usual)
    newest = with_a_past(ripe, np.flatnonzero(unprobed), params.data, params.probe)
    needed = outlook.needs_probe(account, price, errors=params.account.errors, ahead=pending / usual)
    asked = params.probe.is_asked(needed=needed, drifted=drifted, waited=now - counted)
    if asked and len(newest) >= params.probe.min_rows:
        digest = recipe_digest(house, predictor)
        life = shown_before(house, version, digest)
        probed = read_probe(house, known, newest, predictor, unprobed=unprobed, earlier=outlook.gain, life=life)
        readings, said = probed.readings, probed.said
        shown = {"of": digest, **probed.shown.as_record()}
        # Chosen on rows before those it is judged on: the best of several on the same rows would be luck in part.
        window = best if best in readings else next(iter(readings))
        reading, refits = readings[window], {kind: each.probe_loss for kind, each in readings.items()}
        best = min(readings, key=lambda kind: readings[kind].probe_loss)
        own_share = (reading.rows - reading.waited) / usual
        outlook = outlook.probed(
            reading.newest_gain, error=reading.newest_error, loss=reading.champion_loss, share=own_share
        )
        cost = cost_of(house, ripe, newest, predictor, price=price)
        counted, taken["deposited"] = now, known.in_whole(unprobed)
    labels_until = pd.Timestamp(ripe["_matured"].max()) if len(ripe) else None
    return Realised(
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


def _probed_at(house: House, version: int, previous: Row | None) -> pd.Timestamp:
    """When rows were last probed: as the check before says, or when the champion was made."""
    made = house.store.version(house.model, version)
    assert made is not None, version
    kept = None if previous is None else previous.record.get("counted_until")
    return max(pd.Timestamp(made.as_of), pd.Timestamp(kept or made.as_of))


def _outlook(previous: Row | None, version: int) -> Outlook:
    """What the check before expected of this champion; of another one only how noisy rows are."""
    kept = None if previous is None else previous.record.get("outlook")
    if previous is None or kept is None:
        return Outlook()
    found = Outlook.from_record(kept)
    return found if previous.record["champion"] == version else found.of_next()


def _said_before(previous: Row | None, version: int) -> Preview | None:
    """What the gate would have said at the newest probe of this champion: it holds until the next one."""
    if previous is None or previous.record["champion"] != version or not previous.record.get("preview"):
        return None
    return Preview(**previous.record["preview"])


def _interval(house: House, losses: np.ndarray) -> tuple[float, float]:
    judge = house.params.judge
    low, high = (
        sign
        * mean_bound(
            sign * losses,
            confidence=CONFIDENCE,
            block_rows=judge.block_rows,
            draws=judge.draws,
            seed=house.params.gate.seed,
        )
        for sign in (1, -1)
    )
    return low, high


def beside_judged(
    house: House, table: KnownTable, found: Stored, counts: RowCounts, measured: Part | None, *, rows: int
) -> tuple[Band | None, LossChange]:
    """What the rows that judged the champion say of a loss on `rows` rows.

    Args:
        house: The house.
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
    judged, judge = _judged_part(house, table, found, counts), house.params.judge
    band = reference_band(
        judged.losses, rows=rows, block_rows=judge.block_rows, draws=judge.draws, seed=house.params.gate.seed
    )
    if measured is None:
        return band, LossChange({}, ())
    features = found.predictor.view.features
    return band, loss_change(judged, measured, features, house.params.slices, block_rows=judge.block_rows)


def _judged_part(house: House, table: KnownTable, found: Stored, counts: RowCounts) -> Part:
    """The rows that judged the champion, as far as they are in the table, with its loss on each.

    Of one that was fitted once more, on these rows too, the losses are those of the model that was judged.
    """
    ripe, predictor = table.mature(), found.predictor
    if found.judged_losses is not None:
        kept = predictor.view.seen(ripe.only(ripe.times["_key"].isin(found.judged_losses.index)).read())
        return Part(kept, found.judged_losses.loc[kept["_key"]].to_numpy())
    span = ripe.times["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")
    judging = predictor.view.seen(ripe.only(span & counts.used[ripe.places]).read())  # others came since
    losses = row_losses(house.params.judge.loss, predictor.view.actual(judging), predictor.predict(judging))
    return Part(judging, losses)
