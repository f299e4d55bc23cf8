"""A replay's workspace: a clone of this one under `var/replay/`, with its past up to a date, and other settings.

What a replay found: both sides at every moment, what each lost and cost, and why they differ.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.adapters.mlflow_registry import adopt
from retrim.adapters.store import copy_past
from retrim.alerting.telling import tell_nobody
from retrim.card.replay import (
    Change,
    Cost,
    ReplayMoment,
    ReplaySide,
    ServedLosses,
    Summary,
    changes,
    explain,
    losses_as_served,
    merged,
    pair,
)
from retrim.checking.check import retraining_cost_now
from retrim.checking.history import CHECK, as_check
from retrim.checking.mode import share_of_refit
from retrim.decision.stored_rows import DecisionRow, ReleaseRow
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths, dump_yaml, link, load_yaml, read_yaml
from retrim.landing.as_of_view import known_table
from retrim.lineage.workspace import BESIDE_RUNS, Workspace, clone
from retrim.reading.landed import hash_file, withdrawal_file
from retrim.release.release import sync_aliases
from retrim.release.versions import load_stored_version, stored_bundle, trusted_keys
from retrim.settings import Env, Params, parse_params, resolved, section_in
from retrim.stats.codec import to_record
from retrim.stats.metrics import row_losses
from retrim.table.data import DataParams, mature
from retrim.training.bundle import Predictor

# What a column is, and what a row is called, stands in what has landed: it cannot be otherwise afterwards.
FIXED = ("model", "key", "task", "positive", "labels")
SEEN = ("feature", "forbidden")
"""Roles that say only what a model may see, not what has landed."""


@dataclass(frozen=True)
class Replay:
    """A replay that is ready to run.

    Args:
        here: The workspace with the history.
        there: The clone's.
        since: From when on it decides anew.
        until: The last moment of history that it repeats.
        moments: Decisions of history in `[since, until]`, a person's included, oldest first.
        changed: Settings that differ.
    """

    here: Workspace
    there: Workspace
    since: pd.Timestamp
    until: pd.Timestamp
    moments: tuple[DecisionRow, ...]
    changed: tuple[Change, ...]


def make_replay(
    workspace: Workspace, *, since: pd.Timestamp, until: pd.Timestamp | None, other: Path | None, url: str | None
) -> Replay:
    """Clones the workspace, uncommitted edits included, and lays into it what was known and live before `since`.

    Args:
        workspace: The workspace with the history; it is only read.
        since: Decisions before it are kept as they are, those from it on are taken anew.
        until: Nothing after it is repeated; None: all of history.
        other: A params.yaml, whole or only with the sections and keys that differ; None: the settings as they are now.
        url: Address of the Prefect server that the replay uses; None: one of its own.

    Raises:
        BadInputError: There is no history to replay, or the other settings are none, or of another table.
    """
    moments = tuple(
        row
        for row in workspace.store.decisions(workspace.model)
        if row.as_of >= iso(since) and (until is None or row.as_of <= iso(until)) and row.source not in BESIDE_RUNS
    )
    if not any(row.source == CHECK for row in moments):
        raise BadInputError(_no_history(workspace, since))
    text, params = _settings(workspace, other)
    asked = f"{text}\n{'' if until is None else iso(until)}"  # another span or other settings: another folder
    folder = workspace.paths.replays / f"{since:%Y%m%dT%H%M%S}-{sha256(asked.encode()).hexdigest()[:8]}"
    clone(workspace, folder)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    its_own = Env.model_construct(prefect_url=url)  # which does not read the environment
    there = Workspace(WorkspacePaths(folder), params, its_own)
    lay_batches(workspace, there, after=None, until=since - pd.Timedelta("1us"))
    _adopt_past(workspace, there, since)
    changed = changes(workspace.params.model_dump(mode="json"), params.model_dump(mode="json"))
    last = pd.Timestamp(moments[-1].as_of)
    listed = {change.key: change for change in (*changed, *roles_changed(_columns_of(workspace, moments), params.data))}
    return Replay(workspace, there, since, last, moments, tuple(listed.values()))


def lay_batches(here: Workspace, there: Workspace, *, after: pd.Timestamp | None, until: pd.Timestamp) -> None:
    """Lets what arrived in `(after, until]` land in the replay too, with its arrival time: the very files, linked.

    So are the withdrawals of that span.
    """
    landed = [batch.path for batch in here.landing.batches() if _within(batch.arrived, after, until)]
    for batch, found in here.landing.withdrawals().items():
        if _within(found.at, after, until):
            landed.append(withdrawal_file(here.landing.root, batch))
    for file in landed:
        for path in (file, hash_file(file)):
            if path.is_file():
                link(path, there.landing.root / path.relative_to(here.landing.root))


def _within(moment: pd.Timestamp, after: pd.Timestamp | None, until: pd.Timestamp) -> bool:
    return moment <= until and (after is None or moment > after)


def _no_history(workspace: Workspace, since: pd.Timestamp) -> str:
    checks = workspace.store.decisions(workspace.model, source=CHECK)
    if not checks:
        return "no check has run yet, so there is no history to replay; run `retrim check` or `retrim schedule` first"
    return (
        f"no check ran at or after {iso(since)} in the span to replay; the checks run from {checks[0].as_of} to "
        f"{checks[-1].as_of}: set an earlier --from"
    )


def _settings(workspace: Workspace, other: Path | None) -> tuple[str, Params]:
    """The replay's params.yaml and what it says."""
    text = workspace.paths.params.read_text(encoding="utf-8")
    if other is None:
        return text, workspace.params
    document = merged(read_yaml(workspace.paths.params), read_yaml(other))
    params = parse_params(resolved(workspace.paths.root, document), other.name)
    differing = [name for name in FIXED if getattr(params.data, name) != getattr(workspace.params.data, name)]
    mine, others = (_as_landed(each.data) for each in (workspace.params, params))
    differing += [f"columns.{name}" for name in [*mine, *others] if mine.get(name) != others.get(name)]
    if differing:
        raise BadInputError(
            f"{other.name}: data.{differing[0]} differs from params.yaml, which describes the landed rows; remove "
            f"the section data from {other.name}, or change only the roles feature and forbidden in that section"
        )
    return dump_yaml(document), params


def _as_landed(data: DataParams) -> dict[str, tuple[str, str]]:
    """Type and role of each column as far as they bear on what has landed."""
    return {name: (column.type, "" if column.role in SEEN else column.role) for name, column in data.columns.items()}


def roles_changed(then: Mapping[str, JsonValue], data: DataParams) -> tuple[Change, ...]:
    """Columns that had another role in history than they have in the replay.

    Args:
        then: `data.columns` of a params.yaml of then, as it is written.
        data: What the table is in the replay.
    """
    roles = {
        name: (section_in(then, name).get("role"), data.columns[name].role) for name in then if name in data.columns
    }
    return tuple(Change(f"data.columns.{name}.role", *pair) for name, pair in roles.items() if pair[0] != pair[1])


def _columns_of(workspace: Workspace, moments: Sequence[DecisionRow]) -> Mapping[str, JsonValue]:
    """`data.columns` of the newest version that history had by its last moment; empty where there is none."""
    made = [row for row in workspace.store.versions(workspace.model) if row.as_of <= moments[-1].as_of]
    commit = git.commit_of(workspace.paths.root, made[-1].tag) if made else None
    if commit is None:
        return {}
    document = load_yaml(git.file_at(workspace.paths.root, commit, workspace.paths.params.name))
    return section_in(section_in(document, "data"), "columns")


def _adopt_past(here: Workspace, there: Workspace, since: pd.Timestamp) -> None:
    """Lays the store's past and the bundles of the versions that were live into the replay, under the same numbers."""
    there.paths.var.mkdir(exist_ok=True)
    there.keys.know([*here.keys.known(), *trusted_keys(here)])  # who signed what is copied counts there too
    past = copy_past(here.store, there.store, here.model, before=iso(since), keys=there.keys)
    here.predictions.copy_before(there.predictions, since)
    here.predictions.of_role("request").copy_before(there.predictions.of_role("request"), since)
    versions = {row.version: row for row in past}
    was_live = {row.version for row in there.store.releases(there.model)}
    for number in range(1, max(versions, default=0) + 1):
        row = versions.get(number)
        adopt(
            there.registry,
            number,
            stored_bundle(here, number) if number in was_live else None,
            run=f"lost-{number}" if row is None else row.run,
            bundle_id=None if row is None else row.bundle,
        )
    sync_aliases(there)


def alone() -> None:
    """Forgets where this process was told that store and models are: a replay keeps its own, and touches no other.

    Nor is anybody told what happens in it.
    """
    stores = ("STORE_URL", "MLFLOW_URL", "MLFLOW_ARTIFACTS", "PREDICTIONS", "PREDICTIONS_TABLE", "LANDING")
    for name in (f"RETRIM_{store}" for store in stores):
        os.environ.pop(name, None)
        os.environ.pop(f"{name}_FILE", None)
    tell_nobody()


@dataclass(frozen=True)
class ReplayRun:
    """A finished replay.

    Args:
        replay: What was asked.
        moments: Both sides.
        losses: Mean loss of history and replay, of the rows that happened since the moment before; by moment.
        summary: Totals of the replay.
    """

    replay: Replay
    moments: tuple[ReplayMoment, ...]
    losses: tuple[tuple[float, float] | None, ...]
    summary: Summary

    def why(self, moment: ReplayMoment) -> tuple[str, ...]:
        """Why the sides differ at a moment."""
        return explain(moment, self.replay.changed)

    def as_record(self) -> dict[str, Any]:
        """The record that `--json` prints.

        Returns:
            folder: Workspace of the replay, relative to this one.
            from: First moment of the replay.
            until: Last moment of the replay.
            settings: Settings that differ: `key`, `history`, `replay`.
            moments: By moment: `at`, both sides under `history` and `replay`, `losses`, `differs`, `why`.
        """
        replay = self.replay
        return {
            "folder": str(replay.there.paths.root.relative_to(replay.here.paths.root)),
            "from": iso(replay.since),
            "until": iso(replay.until),
            "settings": [to_record(change) for change in replay.changed],
            "moments": [
                {
                    "at": moment.at,
                    "history": None if moment.history is None else moment.history.as_record(),
                    "replay": None if moment.replay is None else moment.replay.as_record(),
                    "losses": None if means is None else list(means),
                    "differs": moment.differs,
                    "why": list(self.why(moment)),
                }
                for moment, means in zip(self.moments, self.losses, strict=True)
            ],
            "summary": self.summary.as_record(),
            "sentence": self.summary.sentence,
        }


def report(replay: Replay) -> ReplayRun:
    """Puts both stores side by side, and judges both on the same rows, with the loss of the workspace's params.yaml."""
    moments = pair(_sides(replay.here, replay), _sides(replay.there, replay))
    served = _served(replay)
    means, since = [], replay.since
    for moment in moments:
        until = pd.Timestamp(moment.at)
        means.append(served.between(since, until).means)
        since = until
    params = replay.here.params
    summary = Summary(
        since=replay.since,
        until=replay.until,
        loss=params.judge.loss,
        rows=served.rows,
        rows_per_check=params.gain.rows_per_check,
        retraining_cost=retraining_cost_now(replay.here),
        history=_cost([moment.history for moment in moments], served.history, again=share_of_refit(replay.here)),
        replay=_cost([moment.replay for moment in moments], served.replay, again=share_of_refit(replay.there)),
        compared=sum(moment.compared for moment in moments),
        differing=sum(moment.differs for moment in moments),
    )
    return ReplayRun(replay, moments, tuple(means), summary)


def _sides(workspace: Workspace, replay: Replay) -> list[tuple[str, ReplaySide]]:
    """What happened in a workspace in the replayed span, from its store alone."""
    releases = workspace.store.releases(workspace.model)
    since, until = iso(replay.since), iso(replay.until)
    found = [
        (row.as_of, _side(workspace, row, releases))
        for row in workspace.store.decisions(workspace.model)
        if since <= row.as_of <= until and row.source not in BESIDE_RUNS
    ]
    back = [row for row in releases if row.action == "rollback" and since <= row.as_of <= until]
    return found + [(row.as_of, _rollback(row)) for row in back]


def _rollback(row: ReleaseRow) -> ReplaySide:
    """A release that a person made, beside the decisions."""
    return ReplaySide(
        outcome="rollback",
        reason=row.reason,
        by_person=True,
        state=None,
        came="",
        live=row.version,
        since=row.as_of,
        check=None,
    )


def _side(workspace: Workspace, row: DecisionRow, releases: list[ReleaseRow]) -> ReplaySide:
    run = workspace.store.run(f"run-{row.id}")
    now_live = next((each for each in reversed(releases) if each.as_of <= row.as_of), None)
    return ReplaySide(
        outcome=row.outcome,
        reason=row.reason,
        by_person=row.source != CHECK,
        state=None if run is None else run.state,
        came="" if run is None else run.detail.reason or "",
        live=None if now_live is None else now_live.version,
        since=None if now_live is None else now_live.as_of,
        check=as_check(row).record if row.source == CHECK else None,
    )


def _served(replay: Replay) -> ServedLosses:
    """Rows that happened in the span and matured by its end, each judged on both sides by what was live then."""
    here = replay.here
    ripe = mature(known_table(here, replay.there, as_of=replay.until))
    ripe = ripe[(ripe["_event"] >= replay.since) & (ripe["_event"] < replay.until)].reset_index(drop=True)
    both = [
        losses_as_served(ripe, _releases(workspace), _judge(workspace, here.params.judge.loss))
        for workspace in _both(replay)
    ]
    known = np.isfinite(both[0]) & np.isfinite(both[1])
    return ServedLosses(ripe.loc[known, "_event"], both[0][known], both[1][known])


def _both(replay: Replay) -> tuple[Workspace, Workspace]:
    return replay.here, replay.there


def _releases(workspace: Workspace) -> list[tuple[pd.Timestamp, int]]:
    return [(pd.Timestamp(row.as_of), row.version) for row in workspace.store.releases(workspace.model)]


def _judge(workspace: Workspace, loss: str) -> Callable[[int, pd.DataFrame], np.ndarray]:
    """What a version of a workspace loses on rows; each is loaded once."""
    loaded: dict[int, Predictor] = {}

    def losses(version: int, rows: pd.DataFrame) -> np.ndarray:
        if version not in loaded:
            loaded[version] = load_stored_version(workspace, version).predictor
        model = loaded[version]
        return row_losses(loss, model.view.actual(rows), model.predict(rows))

    return losses


def _cost(sides: list[ReplaySide | None], losses: np.ndarray, *, again: float) -> Cost:
    """What one side cost: what was lost, what runs ended how, and what the probes took."""
    there = [side for side in sides if side is not None]
    states = [side.state for side in there]
    checks = [side.check for side in there if side.check is not None]
    return Cost(
        loss=float(losses.sum()),
        promoted=states.count("promoted"),
        refused=states.count("refused"),
        restored=sum(side.outcome == "restore" for side in there),
        held=sum(side.outcome == "held" for side in there),
        probes=float(sum(check.probe.cost for check in checks if check.probe is not None)),
        again=again,
    )
