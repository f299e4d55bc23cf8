"""The accumulated gain of this workspace, and the retraining cost that it is held against."""

from collections.abc import Sequence

from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.check_record import StoredCheck
from retrim.decision.probe import ProbeReading
from retrim.decision.stored_rows import RunRow
from retrim.lineage.workspace import Workspace
from retrim.release.versions import worth_of_live


def balance(workspace: Workspace, version: int, past: Sequence[StoredCheck]) -> AccumulatedGain:
    """The accumulated gain now: empty after a promotion, debited by the retraining cost after a refusal."""
    return balance_after(version, past, refused_since(workspace, past))


def balance_after(version: int, past: Sequence[StoredCheck], refused: Sequence[RunRow]) -> AccumulatedGain:
    """The accumulated gain of the newest check, debited once for each of these runs; empty after a promotion."""
    if not past or past[-1].record.champion != version:
        return AccumulatedGain.empty()
    newest = past[-1].record.gain
    accumulated_gain = newest.now
    for _ in refused:
        accumulated_gain = accumulated_gain.debit(newest.retraining_cost)
    return accumulated_gain


def refused_since(workspace: Workspace, past: Sequence[StoredCheck]) -> list[RunRow]:
    """Runs refused since the first check of the newest one's champion that no check has debited.

    Further checks may be made before a run ends, and it is debited at the first one after. A version may wait for a
    person until another is live: then its end counts, not its beginning. A run that brought a previous champion back is
    not among them: nobody paid in vain.
    """
    if not past:
        return []
    refused = workspace.store.runs(workspace.model, state="refused")
    mine = [run for run in refused if run.detail.restored is None]
    first = _first_of_champion(past).as_of if mine else ""
    left = {run.id: run for run in mine if run.as_of >= first or (run.answered or "") >= first}
    for check in reversed(past):  # newest first: those of a champion are debited while it is live, or dated ahead
        if not left:
            break
        for debited in check.earlier.gain.debited:
            left.pop(debited, None)
    return list(left.values())


def _first_of_champion(past: Sequence[StoredCheck]) -> StoredCheck:
    """The first check of the champion of the newest, with no other champion's in between.

    A check dated before an earlier one has no champion.
    """
    first = past[-1]
    for check in reversed(past[:-1]):
        if check.earlier.champion not in (None, first.earlier.champion):
            break
        first = first if check.earlier.champion is None else check
    return first


def retraining_cost_now(workspace: Workspace) -> float:
    """The retraining cost in mean loss times checks; without a version, `gain.cost` as it stands."""
    model = worth_of_live(workspace)
    return workspace.params.gain.cost if model is None else workspace.params.gain.cost_in_loss(model)


def deposit(workspace: Workspace, accumulated_gain: AccumulatedGain, reading: ProbeReading) -> AccumulatedGain:
    """The accumulated gain with what a probe measured."""
    share = reading.rows / workspace.params.gain.rows_per_check
    return accumulated_gain.deposit(reading.gain, error=reading.error, share=share)
