"""Writes what `retrim init` drafted into the workspace, and lands the table's history as it would have come."""

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import PlainSerializer

from retrim.adapters import git
from retrim.adapters.landing_zone import Landing
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import WorkspacePaths, write_file
from retrim.landing.ingest import Landed, land_batch
from retrim.lineage.settings_file import edited, slim
from retrim.lineage.workspace import Workspace, clock, report_progress
from retrim.onboarding.draft import WorkspaceDraft
from retrim.onboarding.history import contents
from retrim.profile.drafted_suite import suite_of
from retrim.profile.table import TableNote
from retrim.reading.address import is_address
from retrim.reading.chunks import PIECE_MB, LargeFile, large_at
from retrim.reading.container import ARROW, GZIP, PARQUET
from retrim.reading.raw import SUFFIXES, RawTable, last_of, read_raw
from retrim.settings import load_params, parse_params, settings_alone
from retrim.stats.codec import Instant, Unwritten, key, to_record, written
from retrim.stats.plugins import SettingChoice
from retrim.table.data import DataParams
from retrim.table.reading import PLAIN, ReadingParams
from retrim.yaml_files import load_yaml, read_yaml

LOOKED = 4
"""Pieces of a large file that are looked at: the last of the file."""
HEAD = 1 << 20
"""Bytes that say how a text is spelled."""


def large_table(where: str) -> LargeFile | None:
    """The file at `where`, if it is too large to be looked at whole: then its last rows are; None of anything else.

    Raises:
        BadInputError: It is large and damaged.
    """
    path = Path(where)
    if is_address(where) or not path.is_file():
        return None
    reading = _spelled(path)
    large = None if reading is None else large_at(path, piece_mb=PIECE_MB, reading=reading)
    return large if large is not None and len(large.counts) > LOOKED else None


def last_rows(large: LargeFile) -> RawTable:
    """The last pieces of a large file as a table, which knows how many rows lie before."""
    first = len(large.counts) - LOOKED
    named = [(piece.name, piece.content) for piece in large.pieces() if piece.part.number > first]
    return last_of(named, str(large.path), before=sum(large.counts[:first]))


def size_note(raw: RawTable) -> TableNote:
    """That not all was looked at."""
    seen = f"the file has {raw.rows + raw.before} rows, of which the last {raw.rows} were inspected"
    return TableNote("size", "", seen, "these notes describe the inspected rows; all rows land", "warn")


def _landing(workspace: Workspace) -> Callable[..., Landed]:
    params = workspace.params
    return partial(land_batch, workspace=workspace.paths, data=params.data, reading=params.reading, correction=False)


def land_pieces(workspace: Workspace, large: LargeFile, *, by_order: bool) -> Iterator[tuple[pd.Timestamp, Landed]]:
    """Lands the file piece by piece: all now, or a day apart and the last now where the order of rows is their time.

    One whose rows break the suite is set aside, and the others land: the suite was drafted from the last of them.
    """
    now, land = clock(), _landing(workspace)
    for piece in large.pieces():
        ago = (piece.part.count - piece.part.number) * pd.Timedelta("1D") if by_order else pd.Timedelta(0)
        yield now - ago, land(piece, now=now - ago)


def _spelled(path: Path) -> ReadingParams | None:
    """How the file spells its text, read off its beginning; None if it is not a table: whoever reads it says why."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head.startswith((PARQUET, ARROW)):
            return PLAIN
        if head.startswith(GZIP):
            with gzip.open(path) as text:
                head = text.read(HEAD)
        raw = read_raw(head[: head.rfind(b"\n") + 1], str(path))
    except (BadInputError, OSError, EOFError):
        return None
    return PLAIN.model_copy(update={"encoding": raw.encoding, "separator": raw.separator})


@dataclass(frozen=True)
class WrittenFiles:
    """What was written.

    Args:
        params: The settings, and the suite beside them.
        landed: Batches that landed, oldest first; empty when none was to.
        first: When the first of them arrived: as of then version 1 can be made, and the others checked one by one.
        last: When the last did.
        at_once: Whether they are pieces of a large file, which arrived together.
        commit: Which holds the settings and the suite; None where they are not committed.
    """

    params: Annotated[Path, PlainSerializer(lambda path: path.name, return_type=str)]
    suite: Annotated[Path, PlainSerializer(lambda path: f"expectations/{path.name}", return_type=str)]
    landed: Unwritten[tuple[Landed, ...]]
    first: Annotated[Instant | None, key("first_arrival")]
    last: Annotated[Instant | None, key("last_arrival")]
    at_once: Unwritten[bool]
    commit: str | None

    @written
    def set_aside(self) -> int:
        """Pieces of a large file that did not land."""
        return sum(one.outcome == "quarantined" for one in self.landed)

    @written
    def batches(self) -> int:
        return sum(one.kind == "rows" for one in self.landed) - self.set_aside

    @written
    def rows(self) -> int:
        return sum(one.rows for one in self.landed if one.kind == "rows" and one.outcome != "quarantined")

    @written
    def label_files(self) -> int:
        return sum(one.kind == "labels" for one in self.landed)

    @written
    def labels(self) -> int:
        return sum(one.rows for one in self.landed if one.kind == "labels")


def require_free(workspace: WorkspacePaths) -> None:
    """Checks that the workspace holds no other table's rows.

    Raises:
        RefusedError: It does: one model a workspace.
    """
    there = sorted(workspace.landing.rglob("*.parquet")) if workspace.landing.is_dir() else []
    if there:
        raise RefusedError(
            f"{len(there)} batches have already landed here, and a workspace has only one model; create a separate "
            "workspace: retrim new DIR; or, if no version exists yet, repeat the setup with --again"
        )


def half_landed(
    workspace: WorkspacePaths, drafted: WorkspaceDraft, raw: RawTable, large: LargeFile | None, *, reason: str
) -> bool:
    """Whether what has landed is the beginning of this very history, by these very settings: then a kill came between.

    Written and landed again, nothing that is there changes, and the rest comes.
    """
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
    wanted = parse_params(load_yaml(new_params(text, drafted, reason=reason, name=name)), name)
    return load_params(workspace.params) == wanted


def unsaved(workspace: WorkspacePaths, suite: Path) -> list[str]:
    """Files that would be overwritten and are not committed as they are."""
    names = [str(path.relative_to(workspace.root)) for path in (workspace.params, suite) if path.exists()]
    try:
        status = git.git(workspace.root, "status", "--porcelain", "--ignored", "--", *names)
    except RetrimError:
        return names
    return [line[2:].strip() for line in status.splitlines()]


def new_params(text: str, drafted: WorkspaceDraft, *, reason: str, name: str) -> str:
    """params.yaml with the draft in it, read back as it will be; what is the default is not stated.

    Raises:
        BadInputError: A value does not fit; names it.
    """
    data = settings_alone(DataParams, drafted.data.model_dump(mode="json"))
    reading = drafted.reading.model_dump(mode="json")
    changes: dict[tuple[str, ...], SettingChoice] = {
        ("data", name): SettingChoice(value, "") for name, value in data.items()
    }
    for leak in drafted.allowed:
        why = f"leak allowed, {leak.probe}: {reason}"
        changes["data", "columns"] = replace(changes["data", "columns"], why=why)
    reasons = drafted.known_before | {name: reason for leak in drafted.allowed for name in leak.columns}
    changes[("leaks", "allowed")] = SettingChoice(reasons, "")
    changes |= {("reading", name): SettingChoice(value, "") for name, value in reading.items()}
    document = edited(text, {**changes, **drafted.choices})
    parse_params(load_yaml(document), name)
    return slim(document, name)


def write(
    paths: WorkspacePaths,
    drafted: WorkspaceDraft,
    raw: RawTable,
    large: LargeFile | None,
    *,
    reason: str,
    land_history: bool,
    commit: bool,
) -> WrittenFiles:
    """Writes params.yaml and the suite, whole, commits them, and lands the history; of a large file, the file itself.

    Once committed they do not prevent the checkout of a version, whose tag holds them too.

    Raises:
        BadInputError: The draft does not fit the settings.
        RefusedError: A batch of the history was set aside.
    """
    read_yaml(paths.params)
    document = new_params(paths.params.read_text(encoding="utf-8"), drafted, reason=reason, name=paths.params.name)
    suite = paths.root / drafted.data.suite
    drafts = suite_of(drafted.data.model, drafted.suite)
    lines = ",\n".join("    " + json.dumps(to_record(one), ensure_ascii=False) for one in drafts.expectations)
    head = f'{{\n  "name": {json.dumps(drafts.name)},\n  "meta": {json.dumps(drafts.meta)},\n  "expectations": [\n'
    write_file(suite, f"{head}{lines}\n  ]\n}}\n".encode())
    write_file(paths.params, document.encode("utf-8"))
    hashed = commit_setup(paths, suite, drafted.data.model) if commit else None
    landed: list[Landed] = []
    arrivals: list[pd.Timestamp] = []
    if land_history:
        workspace = Workspace(paths, load_params(paths.params), Env())
        by_order = drafted.reading.arrival is not None
        history = _land(workspace, drafted, raw) if large is None else land_pieces(workspace, large, by_order=by_order)
        for arrives, one in history:
            landed.append(one)
            report_progress(f"landing batch {len(landed)}", len(landed), 0 if large is None else len(large.counts))
            arrivals.append(arrives)
            if one.outcome == "quarantined" and large is None:
                raise RefusedError(
                    f"batch {one.batch} of the history was quarantined: {'; '.join(map(str, one.faults))}; show it: "
                    f"retrim batch show {one.batch}"
                )
    first, last = (arrivals[0], arrivals[-1]) if arrivals else (None, None)
    return WrittenFiles(paths.params, suite, tuple(landed), first, last, at_once=large is not None, commit=hashed)


def commit_setup(workspace: WorkspacePaths, suite: Path, model: str) -> str | None:
    """The commit with the settings and the suite; None where there is no repository yet."""
    try:
        git.require_repository(workspace.root)
    except RetrimError:
        return None
    names = [str(path.relative_to(workspace.root)) for path in (workspace.params, suite)]
    return git.commit(workspace.root, names, f"init: settings and suite of {model}")


def _land(workspace: Workspace, drafted: WorkspaceDraft, raw: RawTable) -> Iterator[tuple[pd.Timestamp, Landed]]:
    folder = workspace.paths.var / "init"
    folder.mkdir(parents=True, exist_ok=True)
    land = _landing(workspace)
    for piece, content in contents(drafted, raw, now=clock()):
        file = folder / f"{piece.kind}-{piece.arrives:%Y%m%dT%H%M%S}{SUFFIXES[raw.kind]}"
        file.write_bytes(content)
        yield piece.arrives, land(file, piece.kind, now=piece.arrives)
        file.unlink()
