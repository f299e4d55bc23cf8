"""`retrim init`: from somebody's own table to a workspace that works on it."""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from retrim.adapters.landing_zone import Landing
from retrim.adapters.sql_table import is_database, read_query, refuse_query
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths, count_cores, flush_all, write_file
from retrim.landing.quarantine import Quarantine
from retrim.lineage.workspace import Workspace, clock, landing_address_of, report_progress
from retrim.onboarding.desk import Ask, InitRequest
from retrim.onboarding.draft import WorkspaceDraft, draft
from retrim.onboarding.write import (
    WrittenFiles,
    commit_setup,
    half_landed,
    large_table,
    last_rows,
    require_free,
    size_note,
    unsaved,
    write,
)
from retrim.profile.first_model import SEED
from retrim.profile.leaks import DUPLICATES
from retrim.profile.too_good import LEANS_ON
from retrim.reading.address import address_of, is_address
from retrim.reading.chunks import LargeFile
from retrim.reading.landed import landed_paths
from retrim.reading.raw import RawTable, open_raw, raw_of
from retrim.settings import Params, load_params, read_code
from retrim.training.estimators import is_own, parts_of
from retrim.yaml_files import read_yaml

READY = "ready.json"
"""In the folder of a set-up that waits to take the place of another: all of it is there."""
MOVED = ("landing", "quarantine")
"""What of `var/` a set-up has."""
FORBIDDEN = "forbidden"
"""The role of a column that no model sees."""
OPEN = ("running", "waiting", "unpushed")
"""States of a run that may still become a version."""


@dataclass(frozen=True)
class ReplacedSetup:
    """What a new set-up takes the place of.

    Args:
        batches: That have landed, rows and labels.
        aside: Batches that lie in quarantine.
        kept: The folder, from the workspace, where all of that is kept.
    """

    batches: int
    rows: int
    aside: int
    kept: str

    def __str__(self) -> str:
        aside = f", and {self.aside} in quarantine," if self.aside else ""
        return (
            f"{self.batches} landed batches with {self.rows} rows{aside} are moved to {self.kept}; files that arrived "
            "after the first setup must be ingested again"
        )


def require_unreleased(paths: WorkspacePaths) -> None:
    """Checks that no version was made by the set-up that stands, and none is being made.

    Raises:
        RefusedError: One was, or is.
    """
    workspace = Workspace(paths, load_params(paths.params), Env())
    versions = workspace.store.versions(workspace.model)
    if versions:
        raise RefusedError(
            f"version {versions[-1].version} of {workspace.model} was trained on the landed rows, so they must not be "
            "replaced; create a separate workspace: retrim new DIR"
        )
    going = [run for run in workspace.store.runs(workspace.model) if run.state in OPEN]
    if going:
        raise RefusedError(
            f"run {going[-1].id} has not ended ({going[-1].state}); wait until it ends, then repeat the setup"
        )


def find_replaced(workspace: WorkspacePaths) -> ReplacedSetup | None:
    """What a new set-up takes the place of; None where none stands, as the first one was refused.

    Raises:
        RefusedError: A version was made by it, or is being made.
    """
    go_on(workspace)
    if read_yaml(workspace.params).get("data") is None:
        return None
    require_unreleased(workspace)
    return replaced(workspace)


def replaced(workspace: WorkspacePaths) -> ReplacedSetup:
    """What a new set-up would take the place of, now."""
    batches = Landing(workspace.landing).batches() if workspace.landing.is_dir() else []
    aside = [entry for entry in Quarantine(workspace.quarantine).entries() if entry.state == "held"]
    folder = _free(workspace.var / "init", clock())
    rows = sum(batch.rows for batch in batches if batch.kind == "rows")
    return ReplacedSetup(len(batches), rows, len(aside), str(folder.relative_to(workspace.root)))


def _free(folder: Path, now: pd.Timestamp) -> Path:
    name = f"before-{now:%Y%m%dT%H%M%SZ}"
    taken = {path.name for path in folder.glob("before-*")}
    return folder / next(free for number in range(len(taken) + 1) if (free := f"{name}{'-' * number}") not in taken)


def go_on(workspace: WorkspacePaths) -> bool:
    """Finishes a replacement that was interrupted once all of it lay ready; whether there was one."""
    ready = _stage(workspace).root / READY
    if not ready.is_file():
        return False
    _take_over(workspace, **json.loads(ready.read_bytes()))
    return True


def write_again(
    workspace: WorkspacePaths, drafted: WorkspaceDraft, what: ReplacedSetup, *, reason: str, commit: bool, **how: Any
) -> WrittenFiles:
    """Makes the new set-up aside, and when all of it is there puts it in the place of the old.

    Killed before that, the old one stands; killed after, `go_on` finishes. Nothing of the old one is lost.

    Raises:
        RefusedError: A batch of the history was set aside; the old set-up stands.
    """
    stage = _stage(workspace)
    shutil.rmtree(stage.root, ignore_errors=True)
    for name in MOVED:
        (stage.var / name).mkdir(parents=True)
    stage.params.write_bytes(workspace.params.read_bytes())
    model = load_params(workspace.params).train.model
    if is_own(model):
        code, _ = parts_of(model)
        write_file(stage.root / code, read_code(workspace.root, code))
    try:
        written = write(stage, drafted, reason=reason, commit=False, **how)
    except RefusedError as error:
        shutil.rmtree(stage.root, ignore_errors=True)
        reason_of_batch = str(error).partition("; show it")[0]
        raise RefusedError(
            f"{reason_of_batch}. Nothing was replaced; correct the file, then repeat the setup"
        ) from error
    flush_all([*landed_paths(stage.landing), stage.params], below=stage.root)
    write_file(stage.root / READY, json.dumps({"suite": drafted.data.suite, "before": what.kept}).encode())
    _take_over(workspace, suite=drafted.data.suite, before=what.kept)
    suite = workspace.root / drafted.data.suite
    hashed = commit_setup(workspace, suite, drafted.data.model) if commit else None
    return replace(written, params=workspace.params, suite=suite, commit=hashed)


def _stage(workspace: WorkspacePaths) -> WorkspacePaths:
    return WorkspacePaths(workspace.var / "init" / "again")


def _take_over(workspace: WorkspacePaths, *, suite: str, before: str) -> None:
    """Moves what lies ready into place; each step may be done already. Paths are relative to the workspace."""
    stage, replaced_setup = _stage(workspace), workspace.root / before
    replaced_setup.mkdir(parents=True, exist_ok=True)
    with Landing(workspace.landing).locked():
        for name in MOVED:
            fresh, old = stage.var / name, workspace.var / name
            if not fresh.is_dir():
                continue  # it has been moved
            if old.is_dir():
                old.rename(_beside(replaced_setup / name))
            fresh.rename(old)
        for name in (workspace.params.name, suite):
            file = workspace.root / name
            if file.is_file() and not (replaced_setup / name).exists():
                write_file(replaced_setup / name, file.read_bytes())
            write_file(file, (stage.root / name).read_bytes())
    shutil.rmtree(stage.root)


def _beside(path: Path) -> Path:
    """The path, or one with `-since` where it is taken: what came between a kill and what finishes it is kept too."""
    while path.exists():
        path = path.with_name(f"{path.name}-since")
    return path


@dataclass(frozen=True)
class InspectedTable:
    """A table and its drafted settings; `large` is its file, if only a part of it was inspected."""

    raw: RawTable
    drafted: WorkspaceDraft
    large: LargeFile | None

    def as_record(self) -> dict[str, Any]:
        return {"kind": self.raw.kind, "files": self.raw.files, **self.drafted.as_record()}


def model_name(where: str) -> str:
    """A model's name from that of its file: `Hourly Traffic (2018).csv.gz` gives `hourly_traffic_2018`."""
    file = address_of(where).name if is_address(where) else PurePath(where.rstrip("/")).name
    stem = file.split(".")[0]
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_")
    return name if name and name[0].isalpha() else f"table_{name}".strip("_")


def open_table(where: str, *, query: str | None, table: str | None) -> RawTable:
    """The table in a file, a folder, at an address, or what a database answers.

    Raises:
        BadInputError: It is not a table, or a query is given but no database.
    """
    if is_address(where) and is_database(where):
        return raw_of(read_query(where, query=query, table=table), address_of(where).shown)
    refuse_query(query, table)
    return open_raw(where)


def inspect_table(
    workspace: WorkspacePaths,
    where: str,
    wishes: InitRequest,
    *,
    ask: Ask,
    query: str | None = None,
    table: str | None = None,
) -> InspectedTable:
    """Looks at the table at `where` and drafts settings; writes nothing.

    Raises:
        BadInputError: It is not a table, or lacks a named column.
        RefusedError: Nothing can be made of it, or a column gives the answer away.
    """
    settings = read_yaml(workspace.params)
    confidence = float(_stated(settings, "gate").get("confidence", Params.model_fields["gate"].default.confidence))
    large = large_table(where)
    if large is not None and wishes.label_time:
        raise BadInputError(
            f"{where} has {large.rows} rows and lands in chunks, each row with its label, so --label-time cannot be "
            "used; pass --horizon or --label-due instead, or provide rows and labels in separate files"
        )
    allowed, columns = _stated(settings, "leaks", "allowed"), _stated(settings, "data", "columns")
    wishes = replace(
        wishes,
        known_before={str(name): str(why) for name, why in allowed.items()},
        known_after=tuple(str(name) for name in columns if _stated(columns, name).get("role") == FORBIDDEN),
    )
    report_progress("reading the table")
    raw = open_table(where, query=query, table=table) if large is None else last_rows(large)
    report_progress(f"inspecting {raw.rows:,} rows")
    drafted = draft(raw, wishes, ask=ask, confidence=confidence, seed=SEED, threads=count_cores())
    if drafted.leaks:
        raise RefusedError(_refusal(drafted))
    if large is not None:
        drafted.notes.insert(0, size_note(raw))
    return InspectedTable(raw, drafted, large)


def _stated(settings: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """A mapping within a params.yaml that need not describe a table yet; empty where there is none."""
    for name in names:
        within = settings.get(name)
        settings = within if isinstance(within, Mapping) else {}
    return settings


def _refusal(drafted: WorkspaceDraft) -> str:
    """What gives the answer away, how to go on, and what a model without it leans on."""
    names = list(dict.fromkeys(name for leak in drafted.leaks for name in leak.columns))
    columns = [name for name in names if name != DUPLICATES]
    if columns:
        out = "Leave out what is not known before the event: " + " ".join(f"--forbid {name!r}" for name in columns)
        known = "or, if it is known by then"
    else:
        out, known = "Send each row once", "or, if these events happened twice"
    leaned = "".join(f". Without the leak: {note}" for note in drafted.notes if note.about == LEANS_ON)
    leaks = "; ".join(leak.text for leak in drafted.leaks)
    return f"leak: {leaks}. {out}; {known}: --allow-leak {names[0]!r} --reason WHY{leaned}"


def settle_request(
    workspace: WorkspacePaths,
    looked: InspectedTable,
    *,
    reason: str,
    land_history: bool,
    overwrite: bool,
    commit: bool,
    again: ReplacedSetup | None = None,
) -> WrittenFiles:
    """Writes the draft and lands the history. What a kill interrupted is gone on with.

    Args:
        again: What it takes the place of; None: nothing has been set up before.

    Raises:
        RefusedError: Something that is not committed would be lost, or rows of another table have landed.
    """
    drafted, raw, large = looked.drafted, looked.raw, looked.large
    at = landing_address_of(workspace, drafted.data.model, Env())
    if at is not None:
        at.require_empty()
    if again is not None or not half_landed(workspace, drafted, raw, large, reason=reason):
        if again is None:
            require_free(workspace)
        lost = unsaved(workspace, workspace.root / drafted.data.suite)
        if lost and not overwrite:
            raise RefusedError(
                f"{', '.join(lost)}: uncommitted changes would be overwritten; commit them first, then run the "
                "command again"
            )
    if again is not None:
        require_unreleased(workspace)
        how = {"raw": raw, "large": large, "land_history": land_history}
        written = write_again(workspace, drafted, again, reason=reason, commit=commit, **how)
    else:
        written = write(workspace, drafted, raw, large, reason=reason, land_history=land_history, commit=commit)
    if at is not None:
        with Landing(workspace.landing, at).locked():
            pass  # which lays the history there
    return written
