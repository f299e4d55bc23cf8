"""Writes what `retrim init` drafted into the workspace, and lands the table's history as it would have come."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters import git
from retrim.adapters.landing import Landing
from retrim.core.init.sizes import Choice
from retrim.core.init.suite import suite_of
from retrim.datasets.large import Large
from retrim.datasets.raw import SUFFIXES, RawTable
from retrim.editing import edited
from retrim.errors import RefusedError, RetrimError
from retrim.files import write_file
from retrim.mapping import read_yaml
from retrim.ops.arrival import clock
from retrim.ops.house import House
from retrim.ops.ingest import Landed, land, land_labels
from retrim.ops.init.draft import Drafted
from retrim.ops.init.history import contents
from retrim.ops.init.large import land_pieces
from retrim.ops.progress import tell
from retrim.paths import Workspace
from retrim.settings import Env, load_params, parse_params


@dataclass(frozen=True)
class Written:
    """What was written.

    Args:
        params: The settings, and the suite beside them.
        suite: The suite's file.
        landed: Batches that landed, oldest first; empty when none was to.
        first: When the first of them arrived: as of then version 1 can be made, and the others checked one by one.
        last: When the last did.
        at_once: Whether they are pieces of a large file, which arrived together.
        commit: Which holds the settings and the suite; None where they are not committed.
    """

    params: Path
    suite: Path
    landed: tuple[Landed, ...]
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    at_once: bool
    commit: str | None

    @property
    def set_aside(self) -> int:
        """Pieces of a large file that did not land."""
        return sum(one.outcome == "quarantined" for one in self.landed)

    def as_record(self) -> dict[str, Any]:
        return {
            "params": self.params.name,
            "suite": f"expectations/{self.suite.name}",
            "batches": sum(one.kind == "rows" for one in self.landed) - self.set_aside,
            "rows": sum(one.rows for one in self.landed if one.kind == "rows" and one.outcome != "quarantined"),
            "set_aside": self.set_aside,
            "label_files": sum(one.kind == "labels" for one in self.landed),
            "labels": sum(one.rows for one in self.landed if one.kind == "labels"),
            "first_arrival": None if self.first is None else self.first.isoformat(),
            "last_arrival": None if self.last is None else self.last.isoformat(),
            "commit": self.commit,
        }


def require_free(workspace: Workspace) -> None:
    """Checks that the workspace holds no other table's rows.

    Raises:
        RefusedError: It does: one model a workspace.
    """
    there = sorted(workspace.landing.rglob("*.parquet")) if workspace.landing.is_dir() else []
    if there:
        raise RefusedError(
            f"{len(there)} batches have landed in this workspace as its params.yaml describes them, and "
            "one model a workspace "
            "is all there is; make another: retrim new DIR; or, before the first version, redo the set-up: --again"
        )


def half_landed(workspace: Workspace, drafted: Drafted, raw: RawTable, large: Large | None, *, reason: str) -> bool:
    """Whether what has landed is the beginning of this very history, by these very settings: then a kill came between.

    Written and landed again, nothing that is there changes, and the rest comes.
    """
    import yaml

    there = {batch.digest for batch in Landing(workspace.landing).batches()} if workspace.landing.is_dir() else set()
    if not there:
        return False
    if large is None:
        digests = [sha256(content).hexdigest() for _, content in contents(drafted, raw, now=clock())]
        begun = there == set(digests[: len(there)]) and len(there) < len(digests)
    else:
        begun = there < set(large.digests)
    if not begun:
        return False
    text, name = workspace.params.read_text(encoding="utf-8"), workspace.params.name
    wanted = parse_params(yaml.safe_load(new_params(text, drafted, reason=reason, name=name)), name)
    return load_params(workspace.params) == wanted


def unsaved(workspace: Workspace, suite: Path) -> list[str]:
    """Files that would be overwritten and are not committed as they are."""
    names = [str(path.relative_to(workspace.root)) for path in (workspace.params, suite) if path.exists()]
    try:
        said = git.git(workspace.root, "status", "--porcelain", "--ignored", "--", *names)
    except RetrimError:
        return names
    return [line[2:].strip() for line in said.splitlines()]


def changes_of(drafted: Drafted, allowed_reason: str) -> dict[tuple[str, ...], Choice]:
    """Every value of params.yaml that is set, by its place."""
    data, reading = drafted.data.model_dump(mode="json"), drafted.reading.model_dump(mode="json")
    changes: dict[tuple[str, ...], Choice] = {("data", name): Choice(value, "") for name, value in data.items()}
    for leak in drafted.allowed:
        why = f"leak allowed, {leak.probe}: {allowed_reason}"
        changes[("data", "columns")] = Choice(data["columns"], why)
    changes[("leaks", "entity")] = Choice(drafted.entity, "")
    reasons = {name: allowed_reason for leak in drafted.allowed for name in leak.columns}
    changes[("leaks", "allowed")] = Choice(reasons, "")
    changes |= {("reading", name): Choice(value, "") for name, value in reading.items()}
    return {**changes, **drafted.choices}


def new_params(text: str, drafted: Drafted, *, reason: str, name: str) -> str:
    """params.yaml with the draft in it, read back as it will be.

    Raises:
        BadInputError: A value does not fit; names it.
    """
    import yaml

    document = edited(text, changes_of(drafted, reason))
    parse_params(yaml.safe_load(document), name)
    return document


def write(
    workspace: Workspace,
    drafted: Drafted,
    raw: RawTable,
    large: Large | None,
    *,
    reason: str,
    land_history: bool,
    commit: bool,
) -> Written:
    """Writes params.yaml and the suite, whole, commits them, and lands the history; of a large file, the file itself.

    Once committed they do not prevent the checkout of a version, whose tag holds them too.

    Raises:
        BadInputError: The draft does not fit the settings.
        RefusedError: A batch of the history was set aside.
    """
    read_yaml(workspace.params)
    document = new_params(
        workspace.params.read_text(encoding="utf-8"), drafted, reason=reason, name=workspace.params.name
    )
    suite = workspace.root / drafted.data.suite
    drafts = suite_of(drafted.data.model, drafted.suite)
    lines = ",\n".join("    " + json.dumps(one, ensure_ascii=False) for one in drafts["expectations"])
    head = (
        f'{{\n  "name": {json.dumps(drafts["name"])},\n  "meta": {json.dumps(drafts["meta"])},\n  "expectations": [\n'
    )
    write_file(suite, f"{head}{lines}\n  ]\n}}\n".encode())
    write_file(workspace.params, document.encode("utf-8"))
    made = commit_setup(workspace, suite, drafted.data.model) if commit else None
    landed: list[Landed] = []
    arrivals: list[pd.Timestamp] = []
    if land_history:
        house = House(workspace, load_params(workspace.params), Env())
        by_order = drafted.reading.arrival is not None
        history = _land(house, drafted, raw) if large is None else land_pieces(house, large, by_order=by_order)
        for arrives, one in history:
            landed.append(one)
            tell(f"landing batch {len(landed)}", len(landed), 0 if large is None else len(large.counts))
            arrivals.append(arrives)
            if one.outcome == "quarantined" and large is None:
                raise RefusedError(
                    f"the history's batch {one.batch} was set aside: {'; '.join(map(str, one.faults))}; "
                    f"look at it: retrim quarantine show {one.batch}"
                )
    first, last = (arrivals[0], arrivals[-1]) if arrivals else (None, None)
    return Written(workspace.params, suite, tuple(landed), first, last, at_once=large is not None, commit=made)


def commit_setup(workspace: Workspace, suite: Path, model: str) -> str | None:
    """The commit with the settings and the suite; None where there is no repository yet."""
    try:
        git.require_repository(workspace.root)
    except RetrimError:
        return None
    names = [str(path.relative_to(workspace.root)) for path in (workspace.params, suite)]
    return git.commit(workspace.root, names, f"init: settings and suite of {model}")


def _land(house: House, drafted: Drafted, raw: RawTable) -> Iterator[tuple[pd.Timestamp, Landed]]:
    folder = house.workspace.var / "init"
    folder.mkdir(parents=True, exist_ok=True)
    params = house.params
    for piece, content in contents(drafted, raw, now=clock()):
        file = folder / f"{piece.kind}-{piece.arrives:%Y%m%dT%H%M%S}{SUFFIXES[raw.kind]}"
        file.write_bytes(content)
        how: dict[str, Any] = {"workspace": house.workspace, "data": params.data, "reading": params.reading}
        to_land = land if piece.kind == "rows" else land_labels
        yield piece.arrives, to_land(file, now=piece.arrives, correction=False, **how)
        file.unlink()
