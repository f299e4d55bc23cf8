"""The probe: what a model retrained before the newest rows would have lost on them, against the champion.

When the probe is asked: only where what it may find could change the decision.

What the gate would say of the newest refits: a run that it would refuse is not worth its cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.decision.loss_comparison import NO_HELP
from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.gate.losses import judge
from retrim.gate.support import Support
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import block_of, mean_error
from retrim.stats.codec import Moment, rows_at
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import FOLLOWS, SettingsSection
from retrim.stats.windows import past_of, spans
from retrim.table.data import DataParams
from retrim.training.recipe import FEWEST_RECENT, Recipe, WindowKind, WindowLengths, fit_recipe, in_parallel

NEEDED, EVERY = "needed", "every"


class ProbeParams(SettingsSection):
    """The cheap refit that shows whether retraining would pay."""

    blocks: int = Field(
        exclude=True,
        default=1,
        ge=1,
        description=(
            "number of blocks into which the newest window is split; each block costs one fit, on the rows "
            "whose labels were due before the block began"
        ),
    )
    min_rows: Annotated[int, FOLLOWS] = Field(
        default=48,
        ge=2,
        description="minimum number of new rows for a check to measure or estimate the loss, or to probe",
    )
    when: Literal["needed", "every"] = Field(
        default="needed",
        description="when a check probes; needed: while the loss is too high or the target or the predictions drift, "
        "and when a gain would pay; else at the second, fourth and eighth check of a champion, then at every eighth; "
        "every: at every check",
    )


@dataclass(frozen=True)
class ProbeResult:
    """What the probe measured on the newest mature rows.

    Args:
        rows: Rows that the probe covers.
        apart: Rows among them that no refit evaluated, because they arrived late; they count like the others, or less.
        weight: Average weight of a row, at most 1: a late row counts less if the champion's loss on late rows is lower.
        champion_loss: The champion's mean loss on the evaluated rows.
        probe_loss: Mean loss of the refits on these rows, each fitted on what was due before its block.
        newest_error: Standard error of the gain on the rows of this check, blocks of rows taken together.
        waited: Rows from checks that did not probe; they are older than the evaluated rows, and no refit evaluated
            them.
        earlier: Gain that the previous probe measured.
    """

    rows: int
    apart: int
    weight: float
    champion_loss: float
    probe_loss: float
    newest_error: float
    waited: int = 0
    earlier: float = 0.0

    @property
    def newest_gain(self) -> float:
        """What retraining would have saved on the rows of this check, in mean loss; negative if it would have cost."""
        return self.weight * (self.champion_loss - self.probe_loss)

    @property
    def gain(self) -> float:
        """The same on all rows: from the probe before to this one it is taken to have changed evenly."""
        between = (self.earlier + self.newest_gain) / 2
        return ((self.rows - self.waited) * self.newest_gain + self.waited * between) / self.rows

    @property
    def error(self) -> float:
        """Standard error of the gain: as on the newest rows, of which half as much counts for each that waited."""
        return self.newest_error * (self.rows - self.waited / 2) / self.rows

    def with_waiting(self, rows: int, *, earlier: float) -> "ProbeResult":
        """The reading of these rows and of others that have waited since the probe before, which found `earlier`."""
        return replace(self, rows=self.rows + rows, waited=rows, earlier=earlier)

    @property
    def reading(self) -> "ProbeReading":
        """What a check keeps of it."""
        return ProbeReading(
            rows=self.rows,
            apart=self.apart,
            weight=self.weight,
            champion_loss=self.champion_loss,
            probe_loss=self.probe_loss,
            gain=self.gain,
            error=self.error,
            waited=self.waited,
            earlier=self.earlier,
        )


@dataclass(frozen=True)
class ProbeReading:
    """The result of a probe, as a check stores it.

    Args:
        rows: Rows that the probe covers.
        apart: Rows among them that no refit evaluated, because they arrived late.
        weight: Average weight of a row, at most 1; rows that no refit evaluated may weigh less.
        champion_loss: The champion's mean loss on the evaluated rows.
        probe_loss: Mean loss of the refits on the evaluated rows.
        gain: What a retraining would have saved on all rows, in mean loss; negative if the refits were worse.
        error: Standard error of the gain.
        waited: Rows from checks that did not probe.
        earlier: Gain that the previous probe measured.
        after_change: Rows from after the change that the refits were fitted on; 0 if nothing is up.
    """

    rows: int
    apart: int
    weight: float
    champion_loss: float
    probe_loss: float
    gain: float
    error: float
    waited: int = 0
    earlier: float = 0.0
    after_change: int = 0


def reading_of(champion_losses: np.ndarray, losses: np.ndarray, *, apart: np.ndarray, block_rows: int) -> ProbeResult:
    """The reading, from the loss of champion and refits on each judged row, both shape (n,), n at least 1.

    On rows that no refit judged the same share of the champion's loss is taken for saved: most are from before, when it
    lost less. Never more than on a judged one, or a single odd row could pay for a retraining.

    Args:
        apart: The champion's on rows that no refit judged, shape (m,), m 0 or more.
    """
    usual = float(champion_losses.mean())
    late = min(float(apart.mean()) / usual, 1.0) if len(apart) and usual > 0 else 1.0
    weight = (len(losses) + late * len(apart)) / (len(losses) + len(apart))
    return ProbeResult(
        rows=len(losses) + len(apart),
        apart=len(apart),
        weight=weight,
        champion_loss=float(champion_losses.mean()),
        probe_loss=float(losses.mean()),
        newest_error=weight * mean_error(champion_losses - losses, block_rows=block_rows),
    )


def apart_in_time(newest: np.ndarray, *, rows: int, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that have waited through checks that did not probe, and the newest, which a fit judges.

    One fit on what was due before all of them would be as old as the wait. So where more have waited than a check has,
    the newest alone are judged, by a fit that knows the others.

    Args:
        newest: Row numbers, ascending, shape (n,).

    Returns:
        Both, ascending.
    """
    at = len(newest) - rows if len(newest) >= rows + least else 0
    return newest[:at], newest[at:]


def with_a_past(table: pd.DataFrame, newest: np.ndarray, data: DataParams, params: ProbeParams) -> np.ndarray:
    """The rows before which enough labels were due to fit on, at least `probe.min_rows` and of two classes, ascending.

    A row that is older than nearly all others has no past. It is judged by no fit, and counts like the others.

    Args:
        newest: Row numbers of the newly mature rows, ascending, shape (n,).
    """
    if len(table) < params.min_rows:
        return newest[:0]
    since = table["_due"].sort_values().iloc[params.min_rows - 1]
    if data.task != "regression":
        firsts = table.groupby(data.target, observed=True)["_due"].min().sort_values()
        since = max(since, firsts.iloc[1]) if len(firsts) > 1 else table["_event"].iloc[-1] + pd.Timedelta("1s")
    found: np.ndarray = newest[(table["_event"].iloc[newest] >= since).to_numpy()]
    return found


def judged_blocks(newest: np.ndarray, *, blocks: int) -> list[np.ndarray]:
    """The blocks in which newly mature rows are judged, each by a fit on what was due before its first row.

    A row that comes late would cut the past of all rows of its block. So a block's oldest rows are taken out of it
    where every other row gains more rows of past than are taken out, those first that give most past to all others
    together. As long as they are at most a third of all rows they are judged by no fit, and count as `reading_of` says.
    More of them are a block of their own.

    So a judged row's fit lacks fewer rows that had been counted before than its block has rows before it, unless
    more than a third came late: it is at most twice as old as without late rows.

    Args:
        newest: Row numbers among all mature rows, ascending, shape (n,), n at least 1.

    Returns:
        Places in `newest`, ascending, block by block.
    """
    before = newest - np.arange(len(newest))
    runs, spare, own = [np.arange(len(newest))], len(newest) // 3, 1
    number = 0
    while number < len(runs):
        run = runs[number]
        gained = before[run] - before[run[0]]
        reach = np.where(gained > np.arange(len(run)), gained * np.arange(len(run), 0, -1), 0)
        cut = int(reach.argmax())
        if reach[cut] and cut <= spare:
            spare -= cut
            runs[number] = run[cut:]
        elif reach[cut] and own:
            own -= 1
            runs[number : number + 1] = [run[:cut], run[cut:]]
        else:
            number += 1
    return [run[part] for run in runs for part in spans(len(run), blocks)]


def refit_losses(
    table: pd.DataFrame,
    newest: np.ndarray,
    recipe: Recipe,
    data: DataParams,
    params: ProbeParams,
    steps: Sequence[StepParams] = (),
    *,
    window: WindowKind,
    sliding_rows: int,
    changed: pd.Timestamp | None = None,
    cores: int,
) -> np.ndarray:
    """Refits the champion's recipe block by block through the newest rows, and gives its loss on those it judges.

    Args:
        newest: Row numbers of the rows to judge, ascending, shape (n,), n at least 1.
        cores: Cores to use; changes no result.

    Returns:
        A loss for each place of `judged_blocks`, in their order.
    """
    parts = judged_blocks(newest, blocks=params.blocks)
    pasts = fitted_rows(table, newest, params, window=window, sliding_rows=sliding_rows, changed=changed)

    def losses_of(job: tuple[np.ndarray, np.ndarray], threads: int) -> np.ndarray:
        part, past = job
        judged, known = table.iloc[newest[part]], past_of(table["_event"], table["_due"], newest[part[0]])
        # All the past, as a run does: a window may hold one class.
        view = FeatureView.learn(rows_at(table, known), data, steps)
        model = fit_recipe(recipe, view, table, take=past, past=known, threads=threads)
        return row_losses(recipe.loss, view.actual(judged), model.predict(view.matrix(judged)))

    return np.concatenate(in_parallel(losses_of, list(zip(parts, pasts, strict=True)), cores=cores))


def fitted_rows(
    table: pd.DataFrame,
    newest: np.ndarray,
    params: ProbeParams,
    *,
    window: WindowKind,
    sliding_rows: int,
    changed: pd.Timestamp | None = None,
) -> list[np.ndarray]:
    """The row numbers that each block's refit is fitted on."""
    pasts = []
    for part in judged_blocks(newest, blocks=params.blocks):
        past = past_of(table["_event"], table["_due"], newest[part[0]])
        lengths = WindowLengths(sliding_rows).since(changed, table["_event"].iloc[past], least=1)
        pasts.append(lengths.rows(past, window))
    return pasts


def probed_windows(
    table: pd.DataFrame,
    newest: np.ndarray,
    windows: Sequence[WindowKind],
    params: ProbeParams,
    *,
    sliding_rows: int,
    changed: pd.Timestamp | None,
) -> list[WindowKind]:
    """The training windows that a probe refits on: those of the same rows count once."""
    first = min(int(newest[part[0]]) for part in judged_blocks(newest, blocks=params.blocks))
    past = past_of(table["_event"], table["_due"], first)
    lengths = WindowLengths(sliding_rows).since(changed, table["_event"].iloc[past], least=FEWEST_RECENT)
    return lengths.competing(windows, len(past))


def chosen_losses(refits: Mapping[str, np.ndarray], *, block_rows: int) -> np.ndarray:
    """The loss of the training window that does best on the other half of the rows, on each row.

    The best of several windows on the rows that chose it would look better than it is. Here odd blocks choose for even
    ones, and even blocks for odd ones.

    Args:
        refits: Loss on each judged row by training window, each shape (n,), in time order.
        block_rows: Rows of a block.

    Returns:
        Losses, shape (n,). With a single block the first window's.

    Source:
        Cox (1975), Biometrika 62(2), 441-444, on splitting rows between choosing and testing.
    """
    names = list(refits)
    blocks = block_of(len(refits[names[0]]), block_rows=block_rows)
    if len(names) == 1 or not len(blocks) or not blocks[-1]:
        return refits[names[0]]
    is_odd = blocks % 2 == 1
    losses = np.empty(len(blocks))
    for half in (is_odd, ~is_odd):
        best = min(names, key=lambda name: refits[name][~half].mean())
        losses[half] = refits[best][half]
    return losses


SELDOM = 8  # checks with new rows of which one probes while nothing is up: a gain that shows in no loss is found then


@dataclass(frozen=True)
class Signs:
    """What a check measured of the champion before it decides whether to probe.

    Args:
        start: Event time of the first of its newly measured rows.
        loss: The champion's mean loss on them.
        is_high: Whether that is above the band of what was expected, or surely above a naive baseline.
        excess: How far it is above the expected loss, or above a naive baseline if that is further; 0 or more.
        ceiling: Top of that band, as a multiple of the expected loss; 1 or more.
        is_drifting: Whether the target or the predictions drift; None: too few rows to test.
    """

    start: pd.Timestamp
    loss: float
    is_high: bool
    excess: float
    ceiling: float
    is_drifting: bool | None


@dataclass(frozen=True)
class ProbeWatch:
    """Why the next check probes, or why it need not.

    Args:
        changed: Event time from which the table differs from what the champion was judged on; None: nothing says so.
        is_high: Whether the loss is too high.
        excess: By how much.
        is_drifting: Whether the target or the predictions drift.
        answered_loss: Loss at which a refit on enough rows after the change showed no gain; a higher one is a new
            change. None: no refit has answered.
        is_drift_answered: Whether such a refit has answered the drift.
        gain: Gain that the newest probe measured, in mean loss; 0 before the first.
        is_gain_sure: Whether that gain exceeded its standard errors.
        pays_after: Checks after which that gain, were it to go on, would pay for a retraining; 1 or more.
        checks: Checks that brought rows since the newest probe.
        lived: Checks that brought rows before it, since the champion went live or the table changed.
    """

    changed: Moment | None = None
    is_high: bool = False
    excess: float = 0.0
    is_drifting: bool = False
    answered_loss: float | None = None
    is_drift_answered: bool = False
    gain: float = 0.0
    is_gain_sure: bool = False
    pays_after: int = 1
    checks: int = 0
    lived: int = 0

    def after_rows(self, signs: Signs) -> "ProbeWatch":
        """The watch once a check has measured new rows."""
        is_drifting = self.is_drifting if signs.is_drifting is None else signs.is_drifting
        answered = self.answered_loss if signs.is_high else None
        is_higher = answered is not None and signs.loss > signs.ceiling * answered
        is_new = is_higher or (signs.is_high and not self.is_high)  # a drift that is seen later is the same change
        if is_higher:
            answered = None
        since = signs.start if is_new else self.changed or signs.start
        return replace(
            self,
            changed=since if signs.is_high or is_drifting else None,
            is_high=signs.is_high,
            excess=signs.excess,
            is_drifting=is_drifting,
            answered_loss=answered,
            is_drift_answered=self.is_drift_answered and is_drifting,
            checks=1 if is_new else self.checks + 1,
            lived=0 if is_new else self.lived,
        )

    @property
    def asks(self) -> bool:
        """Whether this check probes: something is up that no refit answered, a gain would pay by now, or it is time.

        It is time at the second, fourth and eighth check of a champion or after a change, then at every eighth: more
        rows teach soon what the first ones did not.
        """
        is_loss_open = self.is_high and self.answered_loss is None
        is_drift_open = self.is_drifting and not self.is_drift_answered
        is_gaining = self.is_gain_sure and self.checks >= self.pays_after
        is_time = self.checks >= min(SELDOM, max(self.lived, 1))
        return is_loss_open or is_drift_open or is_gaining or is_time

    def after_probe(
        self, gain: float, error: float, *, errors: float, loss: float, is_learned: bool, short: float
    ) -> "ProbeWatch":
        """The watch after a probe whose refit had new rows."""
        is_sure = gain > errors * error
        is_answer = is_learned and not is_sure and (not self.is_high or gain + errors * error < NO_HELP * self.excess)
        due = ceil(short / gain) if is_sure and short < SELDOM * gain else SELDOM
        return replace(
            self,
            answered_loss=loss if is_answer and self.is_high else self.answered_loss,
            is_drift_answered=self.is_drift_answered or (is_answer and self.is_drifting),
            gain=gain,
            is_gain_sure=is_sure,
            pays_after=max(due, 1),
            checks=0,
            lived=self.lived + self.checks,
        )


@dataclass(frozen=True)
class GatePreview:
    """The gate's answer on the rows that the probe evaluated.

    Args:
        passes: Whether the best refit would be promoted.
        reason: What decides, in one sentence.
        short: Why even all rows available for evaluation could not show the measured gain, and which setting would
            help. None if they can, or if this is not known.
    """

    passes: bool
    reason: str
    short: str | None = None


def preview(
    refits: Mapping[str, np.ndarray],
    champion: np.ndarray,
    naive: Mapping[str, np.ndarray],
    gate: GateParams,
    *,
    rows: int,
    draws: int,
    block_rows: int,
    support: Mapping[str, Support],
) -> GatePreview | None:
    """What the gate would say, had these refits been the challengers of a run.

    A run judges its challengers on the newest mature rows, as many as are chosen here; where the probe's window is as
    long, and a run refits, these are the same rows and the same models.

    Args:
        refits: Losses of the probe's refits by training window, each shape (n,), in time order.

    Returns:
        None where the rows are fewer than the gate judges on.
    """
    if rows < gate.min_rows:
        return None
    means = gate.model_copy(update={"min_rows": 2})
    verdict = judge(refits, champion, naive, means, draws=draws, block_rows=block_rows, uses=0.0, support=support)
    return GatePreview(verdict.promote, verdict.reason)
