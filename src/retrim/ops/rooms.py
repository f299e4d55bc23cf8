"""Run rooms: made as of a date from a snapshot of the workspace, for a run or for a person."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters import git, pipeline
from retrim.adapters.dvc_session import DvcSession
from retrim.adapters.store import iso
from retrim.core.gate import Shown
from retrim.core.modes import FINAL, Mode, RunMode
from retrim.datasets.landed import check_whole
from retrim.errors import BadInputError
from retrim.files import folder_digest
from retrim.machine import CORES_VARIABLE, platform_tag
from retrim.ops.cache_lock import using_cache
from retrim.ops.champion import stored, stored_bundle
from retrim.ops.changed_table import refuse_changes
from retrim.ops.former import files_for_run
from retrim.ops.house import House
from retrim.ops.live import Live, live, trusted_live
from retrim.ops.mode import mode_now
from retrim.ops.shown import recipe_digest, shown_before
from retrim.ops.sizing import size_of_run
from retrim.ops.strange_code import pinned_code


@dataclass(frozen=True)
class Room:
    """A run room: where it lies, the snapshot it was made from, and the untracked files in that."""

    folder: Path
    snapshot: str
    untracked: tuple[str, ...]
    champion: int | None

    def as_record(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "snapshot": self.snapshot,
            "untracked": list(self.untracked),
            "champion": self.champion,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "Room":
        return cls(Path(record["folder"]), record["snapshot"], tuple(record["untracked"]), record["champion"])


def open_room(
    house: House, name: str, *, as_of: pd.Timestamp, mode: RunMode, taken: git.Snapshot | None, by_account: bool = False
) -> Room:
    """Makes the room `var/runs/<name>`, with the batches that had arrived by `as_of` and the live champion.

    Where checks of the champion's life have probed its recipe, the pins say how many of the newest rows judge: the
    stage `features` keeps back so many. Where the account started the run (`by_account`), they hold what those checks
    have shown, too: the stage `compare` counts it. A rebuild finds both there, and gives the same verdict.

    It is made from the snapshot `taken`, by default from one of the workspace as it is now.

    Raises:
        BadInputError: No batch had arrived by then, or a room of that name is there.
        RefusedError: The workspace holds a file that a tag must not publish; a batch, the champion or the release log
            was altered.
    """
    champion = trusted_live(house)
    life = [] if mode == FINAL else _shown(house, champion, as_of=as_of)
    return _open(
        house,
        name,
        as_of=as_of,
        mode=mode,
        champion=champion,
        judged_before=None,
        taken=taken,
        life=life,
        eased=by_account and mode != FINAL and champion is not None,
    )


def open_room_by_hand(house: House, *, as_of: pd.Timestamp, mode: Mode | None) -> Room:
    """Makes a room for a person, as a run of that date would have had it: batches, champion and mode of then.

    Raises:
        As `open_room`.
    """
    champion = live(house, before=as_of)
    chosen = mode or _mode(house, champion)
    name = f"hand-{as_of:%Y%m%dT%H%M%S}-{chosen}"
    with using_cache(house):
        return _open(house, name, as_of=as_of, mode=chosen, champion=champion, judged_before=as_of, taken=None)


def _shown(house: House, champion: Live | None, *, as_of: pd.Timestamp) -> list[Shown]:
    """What the checks of the champion's life have shown of its recipe, refitted with today's settings."""
    if champion is None:
        return []
    digest = recipe_digest(house, stored(house, champion.version).predictor)
    return shown_before(house, champion.version, digest, as_of=as_of)


def _mode(house: House, champion: Live | None) -> Mode:
    return house.params.retrain.first_mode if champion is None else mode_now(house).mode


def _judged(house: House, *, before: pd.Timestamp | None) -> list[dict[str, Any]]:
    """The rows that earlier verdicts were given on, as event times: the gate grows stricter with each.

    Those of runs before a date, for a room that a person has made as of it; of all runs by default.
    """
    return [
        {"version": row.version, "from": row.verdict["judged_from"], "until": row.verdict["judged_until"]}
        for row in house.store.versions(house.model)
        if row.verdict.get("judged_from") is not None
        and row.verdict.get("agreement") is None  # that chose nothing
        and (before is None or pd.Timestamp(row.as_of) < before)
    ]


def _open(
    house: House,
    name: str,
    *,
    as_of: pd.Timestamp,
    mode: RunMode,
    champion: Live | None,
    judged_before: pd.Timestamp | None,
    taken: git.Snapshot | None,
    life: Sequence[Shown] = (),
    eased: bool = False,
) -> Room:
    folder = house.workspace.runs / name
    if folder.exists():
        raise BadInputError(
            f"there is a room {folder} already; work there, or remove it with `git worktree remove --force {folder}`"
        )
    refuse_changes(house.landing, house.params.data)
    batches = house.landing.batches(as_of)
    if not any(batch.kind == "rows" for batch in batches):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")
    for batch in batches:
        check_whole(batch.path)
    if taken is None:
        taken = git.snapshot(house.workspace.root, max_file_mb=house.params.room.max_file_mb)
    judged = _judged(house, before=judged_before)
    former = {} if mode == FINAL else files_for_run(house, champion, before=judged_before)
    formers = len({name.partition("/")[0] for name in former})
    size = None
    if champion is not None and life:
        champions = stored(house, champion.version).predictor
        size = size_of_run(
            house, champions, life, judged, as_of=as_of, mode=mode, formers=formers, eased=eased
        ).as_pinned()
    pins = {
        "model": house.model,
        "as_of": iso(as_of),
        "mode": mode,
        "champion": None if champion is None else champion.version,
        "judged": judged,
        "shown": [each.as_record() for each in life] if eased else None,
        "size": size,
        "python": platform.python_version(),
        "platform": platform_tag(),
        **pinned_code(house.workspace.root, taken.commit),
    }
    pipeline.open_room(
        house.workspace,
        folder,
        taken.commit,
        raw=[batch.path for batch in batches],
        champion=None if champion is None else stored_bundle(house, champion.version),
        former=former,
        pins=pins,
        digest=folder_digest,
    )
    return Room(folder, taken.commit, taken.untracked, None if champion is None else champion.version)


def stage_environment(house: House) -> dict[str, str]:
    """Variables for stages: where the trial log lies, and how many cores they may use."""
    cores = os.environ.get(CORES_VARIABLE)
    return {"RETRIM_TRIALS": str(house.workspace.trials)} | ({CORES_VARIABLE: cores} if cores else {})


def stages_of(house: House, room: Room) -> DvcSession:
    """DVC, ready to run the stages of a room; a context, at whose end it ends with all that works for it."""
    return DvcSession(room.folder, stage_environment(house))
