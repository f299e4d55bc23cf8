"""Run rooms: worktrees in which DVC rebuilds a model from the raw data that had arrived by a date."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from retrim.adapters import git
from retrim.adapters.dvc_cache import cache_folder
from retrim.adapters.dvc_session import ROOM_VARIABLE, Say, StageFailedError, clean_environment, end_group
from retrim.adapters.environment import GENTLE
from retrim.adapters.heartbeat import Heartbeat, StageHungError
from retrim.adapters.outputs import file_hash, tree_hash
from retrim.adapters.reaper import start_reaper
from retrim.core.canonical import to_json
from retrim.core.limits import StageLimits
from retrim.core.proof import Output
from retrim.errors import RetrimError
from retrim.files import link, write_folder
from retrim.paths import NO_CHAMPION, Paths, Workspace

INPUTS = ["data/raw.dvc", "data/champion.dvc", "data/former.dvc"]
DVC_ADVERTISES = "Having any troubles?"  # what follows says nothing of the error
COMMITTED = [*INPUTS, "data/pins.json", "dvc.lock"]


def stages(root: Path) -> list[str]:
    """Stage names in run order, as they stand in dvc.yaml."""
    return list(yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def open_room(
    workspace: Workspace,
    folder: Path,
    commit: str,
    *,
    raw: Iterable[Path],
    champion: Path | None,
    former: Mapping[str, bytes],
    pins: Mapping[str, Any],
    digest: Callable[[Path], str],
) -> None:
    """Makes a run room: worktree, shared DVC cache, raw batches, champion, former champions, pins.

    Args:
        workspace: Whose code (at `commit`), cache and remote it is.
        folder: Where the room is made; must not exist.
        commit: The snapshot.
        raw: Batch files that had arrived by the as-of date; linked, or copied from another disk.
        champion: Folder of the champion's bundle, or None before version 1.
        former: Files of former champions by relative name; empty where none competes.
        pins: What the machine sets; the digests of what was laid are added.
        digest: SHA-256 of a folder.
    """
    git.add_worktree(workspace.root, folder, commit)
    share_cache(workspace, folder)
    paths = Paths(folder)
    shutil.rmtree(paths.raw, ignore_errors=True)
    for source in raw:
        link(source, paths.raw / source.parent.name / source.name)
    shutil.rmtree(paths.champion, ignore_errors=True)
    if champion is None:
        paths.champion.mkdir(parents=True)
        (paths.champion / NO_CHAMPION).write_bytes(to_json({"champion": None}))
    else:
        shutil.copytree(champion, paths.champion, copy_function=shutil.copyfile)
    write_folder(paths.former, former or {NO_CHAMPION: to_json({"former": None})})
    laid = {"raw": paths.raw, "champion": paths.champion, "former": paths.former}
    digests = {f"{name}_digest": digest(place) for name, place in laid.items()}
    paths.pins.write_bytes(to_json({**pins, **digests}))
    dvc(folder, "add", *(f"data/{name}" for name in laid))


def share_cache(workspace: Workspace, folder: Path) -> None:
    """Gives a room the workspace's DVC cache and local settings; its own lock files stay inside it."""
    from dvc.config import Config

    local = Config(str(workspace.root / ".dvc")).read("local")
    with Config(str(folder / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        config.setdefault("cache", {}).setdefault("dir", _in_ascii(workspace.root / ".dvc" / "cache", Path.cwd()))
        config.setdefault("core", {})["site_cache_dir"] = _in_ascii(folder / ".dvc" / "tmp" / "site", folder)


def _in_ascii(path: Path, start: Path) -> str:
    """A path as DVC can write it: its settings are ASCII, so one with other letters is told as seen from `start`."""
    return str(path) if str(path).isascii() else os.path.relpath(path, start)


def reproduce_all(room: Path, *, python: Path | None, limits: StageLimits, gently: bool, say: Say) -> str:
    """Runs every stage of a room, whatever is cached, with its own trial log; gives all that was printed.

    Args:
        room: A room at the tag of a version.
        python: Interpreter to run with; None for this one.
        limits: Of all stages together, past which they are ended.
        gently: Whether everything else goes first.
        say: Called with each line as it comes.

    Raises:
        StageFailedError: A stage did not end well.
        StageHungError: They took too long, or gave no sign of life for too long.
    """
    python = python or Path(sys.executable)
    environment = clean_environment({"RETRIM_TRIALS": str(room / "var" / "trials")}, python)
    command = [str(python), "-m", "dvc", "repro", "--force", "--no-run-cache"]
    return _follow(command, "repro", room, environment, limits=limits, gently=gently, say=say)


def executed(printed: str) -> tuple[str, ...]:
    """The stages that DVC says it ran, in order."""
    return tuple(re.findall(r"(?m)^Running stage '([^']+)'", printed))


def lock_differences(room: Path) -> list[str]:
    """What a rebuild changed in dvc.lock against the commit it stands on: stage, output, both hashes."""
    recorded = yaml.safe_load(git.git(room, "show", "HEAD:dvc.lock"))["stages"]
    rebuilt = yaml.safe_load((room / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    found = []
    for stage, facts in recorded.items():
        for kind in ("deps", "outs"):
            old, new = _hashes(facts, kind), _hashes(rebuilt.get(stage, {}), kind)
            changed = [path for path in sorted(old.keys() | new.keys()) if old.get(path) != new.get(path)]
            found += [f"{stage}: {path} has {new.get(path)}, recorded {old.get(path)}" for path in changed]
    if not found and git.git(room, "status", "--porcelain", "--", "dvc.lock"):
        found.append("dvc.lock differs from the recorded one")
    return found


def outputs(room: Path) -> list[Output]:
    """Every output of every stage, in run order: its hash in the room's commit, and that of what lies there now."""
    recorded = yaml.safe_load(git.git(room, "show", "HEAD:dvc.lock"))["stages"]
    found = []
    for stage in stages(room):
        for path, digest in sorted(_hashes(recorded.get(stage, {}), "outs").items()):
            place = room / path
            made = tree_hash(place) if place.is_dir() else file_hash(place) if place.exists() else None
            found.append(Output(stage, path, digest, made))
    return found


def lay_inputs(workspace: Workspace, room: Path) -> None:
    """Lays raw data and champions into a room that shares the workspace's cache: from there, else from the remote.

    Raises:
        RetrimError: They are in neither.
    """
    share_cache(workspace, room)
    notes = noted(room)
    try:
        dvc(room, "checkout", *notes)
    except RetrimError:
        if not has_remote(room):
            raise
        dvc(room, "pull", *notes)


def fetch_inputs(workspace: Workspace, room: Path) -> None:
    """Lays raw data and champions into a room that shares no cache: from that of the workspace, or the remote.

    Hashes are checked on the way. What the workspace's cache has but altered is an error, whatever the remote has.

    Raises:
        RetrimError: They are in neither, or are not what was recorded.
    """
    from dvc.config import Config

    local = Config(str(workspace.root / ".dvc")).read("local")
    cache = cache_folder(workspace.root)
    with Config(str(room / ".dvc"), validate=False).edit("local") as config:
        config.update(local)
        own = _in_ascii(room / ".dvc" / "cache", Path.cwd())
        config["cache"] = {"dir": own}  # whatever DVC's other settings share
        config.setdefault("core", {})["site_cache_dir"] = _in_ascii(room / ".dvc" / "tmp" / "site", room)
        config.setdefault("remote", {})["retrim-cache"] = {"url": _in_ascii(cache, Path.cwd()), "verify": True}
    notes = noted(room)
    lost = not all(_has(cache, room / note) for note in notes)
    remote = [] if lost and has_remote(room) else ["-r", "retrim-cache"]
    dvc(room, "pull", *remote, *notes)


def noted(room: Path) -> list[str]:
    """The inputs that DVC notes in a room; a version made before former champions competed has none of theirs."""
    return [note for note in INPUTS if (room / note).exists()]


def _has(cache: Path, note: Path) -> bool:
    """Whether a cache has every file of the folder that a `.dvc` file notes, whatever is in it."""
    digest = yaml.safe_load(note.read_text(encoding="utf-8"))["outs"][0]["md5"]
    listing = cache / "files" / "md5" / digest[:2] / digest[2:]
    if not listing.exists():
        return False
    digests = [entry["md5"] for entry in json.loads(listing.read_bytes())]
    return all((cache / "files" / "md5" / each[:2] / each[2:]).exists() for each in digests)


def _hashes(facts: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {entry["path"]: entry["md5"] for entry in facts.get(kind, [])}


def _follow(
    command: list[str],
    stage: str,
    room: Path,
    environment: Mapping[str, str],
    *,
    limits: StageLimits,
    gently: bool,
    say: Say,
) -> str:
    start_reaper()
    process = subprocess.Popen(
        command,
        cwd=room,
        env={**environment, ROOM_VARIABLE: str(room)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="backslashreplace",  # a stage may print what is no text
        start_new_session=True,
    )
    lines = []
    assert process.stdout is not None
    if gently:
        with suppress(psutil.Error):  # it has ended already
            psutil.Process(process.pid).nice(GENTLE)
    try:
        with Heartbeat(process, limits) as heart:
            for line in process.stdout:
                heart.beat()
                lines.append(line)
                say(line.rstrip())
        if heart.why is not None:
            raise StageHungError(stage, heart.why, "".join(lines))
        if process.wait():
            raise StageFailedError(stage, "".join(lines))
    finally:
        end_group(process)
        process.stdout.close()
    return "".join(lines)


def dvc(room: Path, *arguments: str) -> str:
    """What one DVC command prints.

    Raises:
        RetrimError: It failed; the message is DVC's own.
    """
    start_reaper()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=room,
        env=clean_environment({ROOM_VARIABLE: str(room)}, Path(sys.executable)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr or done.stdout).partition(DVC_ADVERTISES)[0].strip()
        raise RetrimError(f"dvc {' '.join(arguments[:2])} failed in {room.name}: {said}")
    return done.stdout


def has_remote(root: Path) -> bool:
    """Whether a default DVC remote is set."""
    from dvc.config import Config

    return bool(Config(str(root / ".dvc"))["core"].get("remote"))


def without_remote(root: Path) -> None:
    """Lets a repository, and the rooms made from it, have no default remote, whatever DVC's other settings say.

    Those of the project, the person and the machine stay as they are: DVC reads the local ones last.
    """
    from dvc.config import Config

    with Config(str(root / ".dvc"), validate=False).edit("local", validate=False) as config:
        config.setdefault("core", {})["remote"] = ""


def close_room(workspace: Workspace, folder: Path) -> None:
    """Removes a room; what DVC made in it stays in the cache."""
    git.remove_worktree(workspace.root, folder)
