"""Previous champions of this workspace: scored at checks and in runs, and promoted again where one is better."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import pandas as pd

from retrim import __version__
from retrim.adapters.database import iso
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import StoredCheck
from retrim.decision.history import RunOutcome
from retrim.decision.previous_champions import PreviousChampions, judge_previous_champions
from retrim.decision.stored_rows import VersionRow
from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.gate.fairness import limit_checks
from retrim.gate.verdict import Check, ScoredModel, score_stored
from retrim.landing.as_of_view import AsOfTable, withdrawn_batches
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.pause import refuse_while_paused
from retrim.release.release import make_live
from retrim.release.versions import LiveVersion, champions_before, find_live_version, load_stored_version
from retrim.stats.codec import to_json
from retrim.training.bundle import Predictor, predicting


def group_checks(workspace: Workspace, scored: ScoredModel, rows: pd.DataFrame) -> list[Check]:
    """The gate's checks on fairness, as `fairness` in params.yaml has them; none where it sets no limit.

    Args:
        rows: Whole rows of the table that it has not seen, in time order.
    """
    params = workspace.params
    return limit_checks(scored, rows, params.data.task, params.fairness, params.judge, params.gate)


def forbidden_in(workspace: Workspace, features: Sequence[str]) -> list[str]:
    """Those of a model's features whose role is forbidden by now."""
    columns = workspace.params.data.columns
    return sorted(name for name in features if name in columns and columns[name].role == "forbidden")


def score_previous_champions(
    workspace: Workspace, table: AsOfTable, champion: Predictor, version: int, *, previous: StoredCheck | None
) -> PreviousChampions | None:
    """Previous champions on the newest mature rows that neither they nor the live version have seen.

    Each is loaded from its stored bundle, whose hash is checked; one that was altered, or
    whose features the table no longer has, is left out, and so is one that uses a column that is forbidden by now or
    that holds a withdrawn batch.
    What the check before says of the same rows, versions and settings holds: then none of them predicts again.

    Args:
        previous: The check before; None at the first.
    """
    params = workspace.params
    releases = workspace.store.releases(workspace.model)
    numbers = champions_before(releases, version)
    if not params.previous_champions.most or not numbers:
        return None
    judged = table.only(table.times["_event"] > champion.judged_until).mature().tail(params.split.judge_rows).read()
    previous_champions = {}
    for number in numbers[: params.previous_champions.most]:
        with suppress(RefusedError, BadInputError):
            previous_champion = load_stored_version(workspace, number).predictor
            forbidden = forbidden_in(workspace, list(previous_champion.view.features))
            lacks = set(previous_champion.columns) - set(judged.columns)
            if forbidden or lacks or withdrawn_batches(workspace, number):
                continue
            if previous_champion.judged_until <= champion.judged_until:
                previous_champions[number] = previous_champion
    rests_on = _digest(workspace, judged, [version, *previous_champions])
    before = None if previous is None else previous.record.previous_champions
    if before is not None and before.rests_on == rests_on:
        return before
    scored = {}
    for number, previous_champion in previous_champions.items():
        with suppress(RefusedError, BadInputError):  # code of one's own that may not run, or predict no number
            scored[number] = score_stored(previous_champion, judged, loss=params.judge.loss)
    if not scored:
        return None
    comparison = judge_previous_champions(
        {number: each.losses for number, each in scored.items()},
        score_stored(champion, judged, loss=params.judge.loss).losses,
        params.gate,
        draws=params.judge.draws,
        block_rows=params.judge.block_rows,
    )
    if comparison is None:
        return None
    checks = group_checks(workspace, scored[comparison.best], judged)
    return replace(comparison, verdict=comparison.verdict.with_checks(checks), rests_on=rests_on)


def _digest(workspace: Workspace, judged: pd.DataFrame, versions: Sequence[int]) -> str:
    """Of all that scores of previous champions follow from: rows, versions, settings, and how it is computed."""
    rows = pd.util.hash_pandas_object(judged, index=False).to_numpy().tobytes()
    types = {name: str(kind) for name, kind in judged.dtypes.items()}
    bundles = {row.version: row.bundle for row in workspace.store.versions(workspace.model) if row.version in versions}
    facts = {"rows": sha256(rows).hexdigest(), "types": types, "versions": list(versions), "bundles": bundles}
    content = to_json({**facts, "settings": workspace.params.model_dump_json(), "retrim": __version__})
    return sha256(content).hexdigest()


def files_for_run(
    workspace: Workspace, champion: LiveVersion | None, *, before: pd.Timestamp | None
) -> dict[str, bytes]:
    """What predicting with the previous champions takes, for a run's run directory: `v3/features/view.json` and so on.

    One whose stored bundle was altered, that uses a column that is forbidden by now, or that holds a withdrawn batch,
    is left out, as at a check. Whether it has seen rows that judge, or lacks a column, `compare` finds out.

    Args:
        champion: The version that is live for the run; it is none of them.
        before: As things stood just before this moment; None for now.
    """
    params = workspace.params.previous_champions
    if champion is None:
        return {}
    releases = [row for row in workspace.store.releases(workspace.model) if before is None or row.as_of < iso(before)]
    numbers = champions_before(releases, champion.version)
    files: dict[str, bytes] = {}
    for number in numbers[: params.most]:
        with suppress(RefusedError):
            previous = load_stored_version(workspace, number)
            forbidden = forbidden_in(workspace, list(previous.predictor.view.features))
            if not forbidden and not withdrawn_batches(workspace, number):
                files |= {f"v{number}/{name}": content for name, content in predicting(previous.files).items()}
    return files


def led_before(previous: StoredCheck | None, champion: int, version: int) -> bool:
    """Whether a previous champion had less loss than the same live version at the check before."""
    previous_champions = (
        None if previous is None or previous.record.champion != champion else previous.record.previous_champions
    )
    return (
        previous_champions is not None
        and previous_champions.losses.get(version, float("inf")) < previous_champions.champion_loss
    )


def checks_since_release(workspace: Workspace, past: Sequence[StoredCheck]) -> int | None:
    """Checks since something went live, the one that is made now counted; None before anything did."""
    now_live = find_live_version(workspace)
    return None if now_live is None else 1 + sum(row.as_of > now_live.as_of for row in past)


def restore_champions(workspace: Workspace, decision: str, *, now: pd.Timestamp) -> RunOutcome:
    """Carries out a decision to restore: the previous champion goes live if what it was judged against still is.

    Raises:
        RefusedError: Something else is live by now, or it cannot go live; that is told, too.
    """
    row = workspace.store.decision(decision)
    assert row is not None, decision
    refuse_while_paused(workspace, decision)
    record = StoredCheck.of(row).record
    assert record.previous_champions is not None, decision
    assert record.champion is not None, decision
    version, against = record.previous_champions.best, record.champion
    _bring_back(workspace, version, against=against, by=row.actor, reason=row.reason, now=now)
    return RunOutcome(None, "restored", row.reason, version)


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
