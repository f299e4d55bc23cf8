"""The probe: what a model retrained before the newest rows would have lost on them, and what the gate would say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.features.fitted import StepParams
from retrim.features.view import FeatureView
from retrim.gate.losses import judge
from retrim.gate.support import Support
from retrim.gate.verdict import GateParams
from retrim.stats.bootstrap import block_of, mean_error
from retrim.stats.codec import rows_at
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
class ProbeReading:
    """The result of a probe on the newest mature rows.

    Args:
        rows: Rows that the probe covers.
        apart: Rows among them that no refit evaluated, because they arrived late; they count like the others, or less.
        weight: Average weight of a row, at most 1: a late row counts less if the champion's loss on late rows is lower.
        champion_loss: The champion's mean loss on the evaluated rows.
        probe_loss: Mean loss of the refits on these rows, each fitted on what was due before its block.
        gain: What a retraining would have saved on all rows, in mean loss; negative if the refits were worse.
        error: Standard error of the gain.
        waited: Rows from checks that did not probe; they are older than the evaluated rows, and no refit evaluated
            them.
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

    @classmethod
    def of_newest(
        cls, *, rows: int, apart: int, weight: float, champion_loss: float, probe_loss: float, error: float
    ) -> "ProbeReading":
        """The reading of a probe whose rows all came since the one before."""
        return cls(rows, apart, weight, champion_loss, probe_loss, weight * (champion_loss - probe_loss), error)

    @property
    def newest_gain(self) -> float:
        """What retraining would have saved on the rows of this check, in mean loss."""
        return self.weight * (self.champion_loss - self.probe_loss)

    @property
    def newest_error(self) -> float:
        """Standard error of `newest_gain`, blocks of rows taken together."""
        return self.error / ((self.rows - self.waited / 2) / self.rows)

    def with_waiting(self, waited: int, *, earlier: float) -> "ProbeReading":
        """The reading of these rows and of others that have waited since the probe before, which found `earlier`.

        From that probe to this one the gain is taken to have changed evenly. For the error, half as much counts of each
        row that waited.
        """
        rows, newest = self.rows + waited, self.newest_gain
        gain = (self.rows * newest + waited * (earlier + newest) / 2) / rows
        error = self.error * (rows - waited / 2) / rows
        return replace(self, rows=rows, waited=waited, earlier=earlier, gain=gain, error=error)


def reading_of(champion_losses: np.ndarray, losses: np.ndarray, *, apart: np.ndarray, block_rows: int) -> ProbeReading:
    """The reading, from the loss of champion and refits on each judged row, both shape (n,), n at least 1.

    On rows that no refit judged the same share of the champion's loss is taken for saved: most are from before, when it
    lost less. Never more than on a judged one, or a single odd row could pay for a retraining.

    Args:
        apart: The champion's on rows that no refit judged, shape (m,), m 0 or more.
    """
    usual = float(champion_losses.mean())
    late = min(float(apart.mean()) / usual, 1.0) if len(apart) and usual > 0 else 1.0
    weight = (len(losses) + late * len(apart)) / (len(losses) + len(apart))
    return ProbeReading.of_newest(
        rows=len(losses) + len(apart),
        apart=len(apart),
        weight=weight,
        champion_loss=float(champion_losses.mean()),
        probe_loss=float(losses.mean()),
        error=weight * mean_error(champion_losses - losses, block_rows=block_rows),
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
    with_past: np.ndarray = newest[(table["_event"].iloc[newest] >= since).to_numpy()]
    return with_past


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
    runs, spare, apart = [np.arange(len(newest))], len(newest) // 3, 1
    number = 0
    while number < len(runs):
        run = runs[number]
        gained = before[run] - before[run[0]]
        reach = np.where(gained > np.arange(len(run)), gained * np.arange(len(run), 0, -1), 0)
        cut = int(reach.argmax())
        if reach[cut] and cut <= spare:
            spare -= cut
            runs[number] = run[cut:]
        elif reach[cut] and apart:
            apart -= 1
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
