"""What changed between two versions: what they were made from, what they are, and what they say of the same rows."""

import json
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters import git
from retrim.adapters.store import Row, iso
from retrim.core.bundle import SPLIT
from retrim.core.contrast import changes, feature_changes, flat, packages, step_changes
from retrim.datasets.landed import BatchFile
from retrim.errors import RetrimError
from retrim.mapping import parse_yaml
from retrim.ops.champion import Stored, stored
from retrim.ops.common_rows import compare_on_common_rows
from retrim.ops.house import House


@dataclass(frozen=True)
class Side:
    """One of the two versions: its record in the store, and its bundle."""

    row: Row
    found: Stored

    @property
    def number(self) -> int:
        return self.found.version

    def read(self, name: str) -> Any:
        return json.loads(self.found.files[name])


def diff(house: House, older: int, newer: int, *, top: int, now: pd.Timestamp) -> dict[str, Any]:
    """The record of what differs; what cannot be told is None, with a sentence under `notes`.

    Args:
        house: The house.
        older: A version ...
        newer: ... and another.
        top: Rows that moved most.
        now: The rows that both are compared on had landed and matured by then.

    Raises:
        BadInputError: There is no such version.
        RefusedError: A stored bundle is not the recorded one.
    """
    sides = [_side(house, version) for version in (older, newer)]
    notes: list[str] = []
    views = [side.found.predictor.view for side in sides]
    compared = compare_on_common_rows(house, *(side.found for side in sides), top=top, now=now)
    notes += compared.pop("notes")
    return {
        "from": older,
        "to": newer,
        "data": _data(house, sides, notes),
        "code": _code(house, sides, notes),
        "parameters": _parameters(house, sides, notes),
        "hyperparameters": changes(*({**s.found.predictor.recipe.as_record(), **_hyper(s)} for s in sides)),
        "features": feature_changes(*views),
        "steps": step_changes(*views),
        "environment": _environment(house, sides, notes),
        **compared,
        "notes": notes,
    }


def _side(house: House, version: int) -> Side:
    found = stored(house, version)
    row = house.store.version(house.model, version)
    assert row is not None, version
    return Side(row, found)


def _hyper(side: Side) -> dict[str, Any]:
    """Hyperparameters by name; the mapping itself is left out, so that each is compared alone."""
    return {"hyperparameters": None, **side.found.predictor.recipe.hyperparameters}


def _data(house: House, sides: list[Side], notes: list[str]) -> dict[str, Any]:
    """Rows and windows of both, and the batches that had come by the one and not by the other."""
    facts = [_rows_of(side) for side in sides]
    arrived = [{batch.path: batch for batch in house.landing.batches(pd.Timestamp(side.row.as_of))} for side in sides]
    came = [batch for path, batch in arrived[1].items() if path not in arrived[0]]
    gone = [batch for path, batch in arrived[0].items() if path not in arrived[1]]
    if not any(arrived):
        notes.append("data: the batches are not in this landing zone; what came between the two cannot be told")
    same = (
        None
        if None in (facts[0]["raw_digest"], facts[1]["raw_digest"])
        else facts[0]["raw_digest"] == facts[1]["raw_digest"]
    )
    return {
        "from": facts[0],
        "to": facts[1],
        "same": same,
        "came": [_batch(batch) for batch in came],
        "gone": [_batch(batch) for batch in gone],
    }


def _rows_of(side: Side) -> dict[str, Any]:
    split, predictor = side.read(SPLIT), side.found.predictor
    fit = side.read(f"models/{side.row.verdict['winner']}/fit.json")
    return {
        "as_of": side.row.as_of,
        "raw_digest": side.row.lineage.get("raw_digest"),
        "rows": split["rows"],
        "window": predictor.window,
        "trained_rows": fit.get("rows"),
        "trained_from": fit.get("from"),
        "trained_until": fit.get("until"),
        "judged_from": split.get("judged_from"),
        "judged_until": split.get("judged_until"),
        "mode": side.row.lineage.get("mode"),
        "champion": side.row.lineage.get("champion"),
        "model_sha256": side.row.model_sha256,
    }


def _batch(batch: BatchFile) -> dict[str, Any]:
    return {"batch": batch.batch, "kind": batch.kind, "rows": batch.rows, "arrived": iso(batch.arrived)}


def _commits(house: House, sides: list[Side], what: str, notes: list[str]) -> list[str] | None:
    """The snapshot of each; None, with a note, where one is not recorded or not in this repository."""
    commits = []
    for side in sides:
        commit = side.row.lineage.get("snapshot")
        if commit is None:
            notes.append(f"{what}: version {side.number} has no recorded commit, so this cannot be told")
        elif not git.has_commit(house.workspace.root, commit):
            notes.append(
                f"{what}: commit {commit[:12]} of version {side.number} is not in this repository, so this cannot be "
                f"told; fetch {side.row.tag} from where it was made"
            )
        else:
            commits.append(commit)
    return commits if len(commits) == len(sides) else None


def _code(house: House, sides: list[Side], notes: list[str]) -> dict[str, Any] | None:
    commits = _commits(house, sides, "code", notes)
    if commits is None:
        return None
    files = git.changed_files(house.workspace.root, *commits)
    return {
        "from": commits[0],
        "to": commits[1],
        "files": [{"file": each.name, "added": each.added, "removed": each.removed} for each in files],
    }


def _parameters(house: House, sides: list[Side], notes: list[str]) -> dict[str, list[Any]] | None:
    texts = _files(house, sides, "params.yaml", "parameters", notes)
    return None if texts is None else changes(*(flat(parse_yaml(text, "params.yaml")) for text in texts))


def _environment(house: House, sides: list[Side], notes: list[str]) -> dict[str, Any]:
    texts = _files(house, sides, "requirements.lock", "packages", notes)
    return {
        "python": [side.row.lineage.get("python") for side in sides],
        "platform": [side.row.lineage.get("platform") for side in sides],
        "packages": None if texts is None else changes(*(packages(text) for text in texts)),
    }


def _files(house: House, sides: list[Side], name: str, what: str, notes: list[str]) -> list[str] | None:
    commits = _commits(house, sides, what, notes)
    if commits is None:
        return None
    texts = []
    for side, commit in zip(sides, commits, strict=True):
        try:
            texts.append(git.file_at(house.workspace.root, commit, name).decode(errors="replace"))
        except RetrimError:
            notes.append(f"{what}: the commit of version {side.number} has no {name}, so this cannot be told")
    return texts if len(texts) == len(sides) else None
