"""What a run has made becomes a version: committed, registered, tagged, recorded."""

import json

import pandas as pd

from retrim.adapters import dvc_cache, git, pipeline
from retrim.adapters.store import Row, iso
from retrim.core.bundle import model_digest
from retrim.core.needs import needs_of
from retrim.core.view import FeatureView
from retrim.errors import RetrimError
from retrim.files import file_digest, folder_digest, read_folder
from retrim.ops.counts import used_rows
from retrim.ops.grain import GRAIN, grain_of
from retrim.ops.house import House
from retrim.ops.known import HISTORY, NEEDS
from retrim.ops.origin import MLFLOW_RUN, REPOSITORY
from retrim.ops.release import show_challenger
from retrim.ops.rooms import Room
from retrim.ops.unpushed import wait_for_remote
from retrim.paths import Paths


def publish(house: House, run: Row, room: Room, parent: str, *, now: pd.Timestamp) -> int | None:
    """Commits the room, pushes it, publishes its bundle, tags it, records the version. Run twice, it adds nothing.

    The DVC remote comes first: nothing has a number before its files are stored. Where the remote is away, the run ends
    *unpushed*, to be finished later, and there is no version yet: None. All files are flushed to the disk before the
    store has a row of them, so that a power cut cannot keep the row and lose what it stands for.
    """
    paths = Paths(room.folder)
    commit = git.commit_files(room.folder, pipeline.COMMITTED, f"retrim: {run.id}", date=run.as_of)
    if pipeline.has_remote(house.workspace.root):
        try:
            pipeline.dvc(room.folder, "push")
        except RetrimError as error:
            wait_for_remote(house, run, room, why=str(error), now=now)
            return None
    bundle = folder_digest(paths.candidate)
    verdict = json.loads((paths.verdict / "verdict.json").read_bytes())
    lineage = {
        "run": run.id,
        "decision": run.decision,
        "snapshot": room.snapshot,
        "untracked": list(room.untracked),
        "commit": commit,
        "dvc_lock": file_digest(room.folder / "dvc.lock"),
        "requirements_lock": file_digest(room.folder / "requirements.lock"),
        "row_order": json.loads((paths.features / "split.json").read_bytes())["row_order"],
        "seed": house.params.train.seed,
        GRAIN: grain_of(house),
        REPOSITORY: git.first_commit(house.workspace.root),
        MLFLOW_RUN: parent,
        **({"allowed_leaks": dict(house.params.leaks.allowed)} if house.params.leaks.allowed else {}),
        NEEDS: needs_of(read_folder(paths.candidate)),
        "model_sha256": model_digest(read_folder(paths.models / verdict["winner"])),
        **json.loads(paths.pins.read_bytes()),
    }
    if (paths.features / "history.json").is_file():
        lineage[HISTORY] = json.loads((paths.features / "history.json").read_bytes())
    version = house.registry.publish(
        parent,
        paths.candidate,
        bundle_id=bundle,
        lineage=lineage,
        params={"mode": run.mode, "as_of": run.as_of},
        example=_example(paths),
    )
    show_challenger(house, version)
    tag = f"retrim/{house.model}/v{version}"
    git.tag(house.workspace.root, tag, commit, same=pipeline.COMMITTED)
    git.flush(house.workspace.root, tag)
    dvc_cache.flush(house.workspace.root, commit)
    house.store.add_version(
        {
            "model": house.model,
            "version": version,
            "run": run.id,
            "tag": tag,
            "as_of": run.as_of,
            "bundle": bundle,
            "model_sha256": lineage["model_sha256"],
            "made": iso(now),
            "lineage": lineage,
            "verdict": verdict,
        },
        used=used_rows(paths, house.params.data),
    )
    return version


def _example(paths: Paths) -> pd.DataFrame:
    view = FeatureView.from_record(json.loads((paths.features / "view.json").read_bytes()))
    return pd.read_parquet(paths.view)[list(view.needs)].tail(5)
