"""A replay's workspace: a clone of this one under `var/replay/`, with its past up to a date, and other settings."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from retrim.adapters import git
from retrim.adapters.adoption import adopt
from retrim.adapters.past import copy_past
from retrim.adapters.store import Row, iso
from retrim.core.replay.settings import Change, changes, merged
from retrim.core.table import DataParams
from retrim.datasets.landed import hash_file
from retrim.datasets.withdrawn import withdrawal_file
from retrim.errors import BadInputError
from retrim.files import link
from retrim.mapping import read_yaml
from retrim.ops.champion import stored_bundle
from retrim.ops.clones import clone
from retrim.ops.house import House
from retrim.ops.person import REFIT
from retrim.ops.receipts import trusted_keys
from retrim.ops.release import sync_aliases
from retrim.own import resolved
from retrim.paths import Workspace
from retrim.settings import Env, Params, parse_params

# What a column is, and what a row is called, stands in what has landed: it cannot be otherwise afterwards.
FIXED = ("model", "key", "task", "positive", "labels")
SEEN = ("feature", "forbidden")
"""Roles that say only what a model may see, not what has landed."""


@dataclass(frozen=True)
class Replay:
    """A replay that is ready to run.

    Args:
        here: The house with the history.
        there: The clone's.
        since: From when on it decides anew.
        until: The last moment of history that it repeats.
        moments: Decisions of history in `[since, until]`, a person's included, oldest first.
        changed: Settings that differ.
    """

    here: House
    there: House
    since: pd.Timestamp
    until: pd.Timestamp
    moments: tuple[Row, ...]
    changed: tuple[Change, ...]


def make_replay(
    house: House, *, since: pd.Timestamp, until: pd.Timestamp | None, other: Path | None, url: str | None
) -> Replay:
    """Clones the workspace, uncommitted edits included, and lays into it what was known and live before `since`.

    Args:
        house: The workspace with the history; it is only read.
        since: Decisions before it are kept as they are, those from it on are taken anew.
        until: Nothing after it is repeated; None: all of history.
        other: A params.yaml, whole or only with the sections and keys that differ; None: the settings as they are now.
        url: Address of the Prefect server that the replay uses; None: one of its own.

    Raises:
        BadInputError: There is no history to replay, or the other settings are none, or of another table.
    """
    moments = tuple(
        row
        for row in house.store.decisions(house.model)
        if row.as_of >= iso(since) and (until is None or row.as_of <= iso(until)) and row.source != REFIT
    )
    if not any(row.source == "check" for row in moments):
        raise BadInputError(_no_history(house, since))
    text, params = _settings(house, other)
    asked = f"{text}\n{'' if until is None else iso(until)}"  # another span or other settings: another folder
    folder = house.workspace.replays / f"{since:%Y%m%dT%H%M%S}-{sha256(asked.encode()).hexdigest()[:8]}"
    clone(house, folder)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    its_own = Env(store_url=None, mlflow_url=None, mlflow_artifacts=None, prefect_url=url)  # not the environment's
    there = House(Workspace(folder), params, its_own)
    lay_batches(house, there, after=None, until=since - pd.Timedelta("1us"))
    _adopt_past(house, there, since)
    changed = changes(house.params.model_dump(mode="json"), params.model_dump(mode="json"))
    last = pd.Timestamp(moments[-1].as_of)
    listed = {change.key: change for change in (*changed, *roles_changed(_columns_of(house, moments), params.data))}
    return Replay(house, there, since, last, moments, tuple(listed.values()))


def lay_batches(here: House, there: House, *, after: pd.Timestamp | None, until: pd.Timestamp) -> None:
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


def _no_history(house: House, since: pd.Timestamp) -> str:
    checks = house.store.decisions(house.model, source="check")
    if not checks:
        return "nothing was checked yet, so there is no history to replay; first `retrim check` or `retrim schedule`"
    return (
        f"no check was made at or after {iso(since)} in the span to replay; checks go from {checks[0].as_of} to "
        f"{checks[-1].as_of}: give an earlier --from"
    )


def _settings(house: House, other: Path | None) -> tuple[str, Params]:
    """The replay's params.yaml and what it says."""
    text = house.workspace.params.read_text(encoding="utf-8")
    if other is None:
        return text, house.params
    document = merged(read_yaml(house.workspace.params), read_yaml(other))
    params = parse_params(resolved(house.workspace.root, document), other.name)
    differing = [name for name in FIXED if getattr(params.data, name) != getattr(house.params.data, name)]
    mine, others = (_as_landed(each.data) for each in (house.params, params))
    differing += [f"columns.{name}" for name in [*mine, *others] if mine.get(name) != others.get(name)]
    if differing:
        raise BadInputError(
            f"{other.name}: data.{differing[0]} differs from that of params.yaml, and what has landed is as that says; "
            "leave the section data out, or as it is there but for the roles feature and forbidden"
        )
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True), params


def _as_landed(data: DataParams) -> dict[str, tuple[str, str]]:
    """Type and role of each column as far as they bear on what has landed."""
    return {name: (column.type, "" if column.role in SEEN else column.role) for name, column in data.columns.items()}


def roles_changed(then: Mapping[str, Mapping[str, Any]], data: DataParams) -> tuple[Change, ...]:
    """Columns that had another role in history than they have in the replay.

    Args:
        then: `data.columns` of a params.yaml of then, as it is written.
        data: What the table is in the replay.
    """
    roles = {
        name: (column.get("role"), data.columns[name].role) for name, column in then.items() if name in data.columns
    }
    return tuple(Change(f"data.columns.{name}.role", *pair) for name, pair in roles.items() if pair[0] != pair[1])


def _columns_of(house: House, moments: Sequence[Row]) -> Mapping[str, Mapping[str, Any]]:
    """`data.columns` of the newest version that history had by its last moment; empty where there is none."""
    made = [row for row in house.store.versions(house.model) if row.as_of <= moments[-1].as_of]
    commit = git.commit_of(house.workspace.root, made[-1].tag) if made else None
    if commit is None:
        return {}
    document = yaml.safe_load(git.file_at(house.workspace.root, commit, house.workspace.params.name))
    columns: Mapping[str, Mapping[str, Any]] = document["data"]["columns"]
    return columns


def _adopt_past(here: House, there: House, since: pd.Timestamp) -> None:
    """Lays the store's past and the bundles of the versions that were live into the replay, under the same numbers."""
    there.workspace.var.mkdir(exist_ok=True)
    there.keys.know([*here.keys.known(), *trusted_keys(here)])  # who signed what is copied counts there too
    past = copy_past(here.store, there.store, here.model, before=iso(since), keys=there.keys)
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
    """Forgets where this process was told that store and models are: a replay keeps its own, and touches no other."""
    for name in ("RETRIM_STORE_URL", "RETRIM_MLFLOW_URL", "RETRIM_MLFLOW_ARTIFACTS"):
        os.environ.pop(name, None)
