"""Previous champions of this workspace: they compete in probes and runs, and go live again where one wins."""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.alerts import AlertKind
from retrim.decision.previous_champions import COMPETING, CONSIDERED, may_compete, shortlist
from retrim.decision.stored_rows import VersionRow
from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.gate.verdict import score_stored
from retrim.landing.as_of_view import AsOfTable, withdrawn_batches
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.release import make_live
from retrim.release.versions import LiveVersion, Stored, champions_before, find_live_version, load_stored_version
from retrim.training.bundle import predicting


def forbidden_in(workspace: Workspace, features: Sequence[str]) -> list[str]:
    """Those of a model's features whose role is forbidden by now."""
    columns = workspace.params.data.columns
    return sorted(name for name in features if name in columns and columns[name].role == "forbidden")


def previous_losses(
    workspace: Workspace, mature: AsOfTable, judging: np.ndarray, version: int
) -> dict[str, np.ndarray]:
    """The loss of the previous champion that competes with the refits of a probe, as `version 3`; empty without one.

    It is chosen as a run chooses it: it has seen none of the judged rows, and did best on the rows just before them.

    Args:
        judging: Whether a row of the table is judged, shape (rows,).
    """
    earlier = champions_before(workspace.store.releases(workspace.model), version)
    stored = {number: previous.predictor for number, previous in _usable(workspace, earlier)}
    if not stored:
        return {}
    judged, loss = mature.only(judging).read(), workspace.params.judge.loss
    judged_from = judged["_event"].iloc[0]
    able, _ = may_compete(stored, columns=list(judged.columns), judged_from=judged_from)
    before = mature.only(mature.times["_event"] < judged_from).tail(len(judged)).read()
    losses = {}
    with suppress(RefusedError, BadInputError):  # code of one's own that may not run, or predict no number
        competing, _ = shortlist(able, before, loss=loss, most=COMPETING, rows=len(judged))
        for number, predictor in competing.items():
            losses[f"version {number}"] = score_stored(predictor, judged, loss=loss).losses
    return losses


def _usable(workspace: Workspace, versions: Sequence[int]) -> Iterator[tuple[int, Stored]]:
    """The newest versions, but for those that were altered, use a forbidden column, or hold a withdrawn batch."""
    for number in versions[:CONSIDERED]:
        with suppress(RefusedError):
            previous = load_stored_version(workspace, number)
            forbidden = forbidden_in(workspace, list(previous.predictor.view.features))
            if not forbidden and not withdrawn_batches(workspace, number):
                yield number, previous


def files_for_run(
    workspace: Workspace, champion: LiveVersion | None, *, before: pd.Timestamp | None
) -> dict[str, bytes]:
    """What predicting with the previous champions takes, for a run's run directory: `v3/features/view.json` and so on.

    One whose stored bundle was altered, that uses a column that is forbidden by now, or that holds a withdrawn batch,
    is left out, as in a probe. Whether it has seen rows that judge, or lacks a column, `compare` finds out.

    Args:
        champion: The version that is live for the run; it is none of them.
        before: As things stood just before this moment; None for now.
    """
    if champion is None:
        return {}
    releases = [row for row in workspace.store.releases(workspace.model) if before is None or row.as_of < iso(before)]
    return {
        f"v{number}/{name}": content
        for number, previous in _usable(workspace, champions_before(releases, champion.version))
        for name, content in predicting(previous.files).items()
    }


def restore_after_run(workspace: Workspace, row: VersionRow, *, by: str, now: pd.Timestamp) -> int | None:
    """Carries out a run's verdict that a previous champion is to go live again; gives its version, or None."""
    looked_at = row.judged.previous_champions
    version = None if looked_at is None else looked_at.restore
    if version is None:
        return None
    reason = next(check.text for check in row.judged.checks if check.name == "previous champion")
    why = f"{reason}; the new model is version {row.version}, which was refused"
    _bring_back(workspace, version, against=row.made_from.champion, by=by, reason=why, now=now)
    return version


def _bring_back(
    workspace: Workspace, version: int, *, against: int | None, by: str, reason: str, now: pd.Timestamp
) -> None:
    """Makes a previous champion live again, if what it was judged against still is; once it is live, a no-op."""
    now_live = find_live_version(workspace)
    if now_live is not None and now_live.version == version:
        return
    if now_live is None or now_live.version != against:
        shown = "no version" if now_live is None else f"version {now_live.version}"
        raise RefusedError(
            f"version {version} was judged against version {against}, but {shown} is live now; run a check again"
        )
    try:
        make_live(workspace, version, action="restore", expected=against, by=by, reason=reason, now=now)
    except BusyError:
        raise
    except RefusedError as error:
        text = f"version {version} is better again, but version {against} stays live: {error}"
        record_alert(workspace, AlertKind.ROLLBACK_REFUSED, text, now=now)
        raise
