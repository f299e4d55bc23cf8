"""What every stage does around its `run`: prove where it is, read its sections, write whole folders."""

import hashlib
import inspect
import json
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

import retrim
from retrim.core.canonical import digest_of, to_json
from retrim.core.section import Section, explain
from retrim.errors import BadInputError, RetrimError
from retrim.paths import Paths

CORES_VARIABLE = "RETRIM_CORES"
TRIALS_VARIABLE = "RETRIM_TRIALS"


def main(run: Callable[..., None]) -> None:
    """Runs one stage in the working folder and ends the process with its exit code."""
    try:
        paths = Paths(Path.cwd())
        check_pins(paths)
        run(**_arguments(run, paths))
    except RetrimError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def _arguments(run: Callable[..., None], paths: Paths) -> dict[str, Any]:
    document = yaml.safe_load((paths.root / "params.yaml").read_text(encoding="utf-8"))
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(run).parameters.items():
        if name == "paths":
            given[name] = paths
        elif name == "cores":
            given[name] = cores()
        elif name == "trials":
            given[name] = Path(os.environ.get(TRIALS_VARIABLE) or paths.root / "var" / "trials")
        else:
            given[name] = _section(parameter.annotation, name, document)
    return given


def _section(kind: type[Section], name: str, document: Mapping[str, Any]) -> Section:
    try:
        return kind.model_validate(document[name])
    except KeyError as error:
        raise BadInputError(f"params.yaml: section {name!r} is missing; add it") from error
    except ValidationError as error:
        raise BadInputError(f"params.yaml: {name}.{explain(error)}") from error


def cores() -> int:
    """Cores this process may use: `RETRIM_CORES`, else what the system gives it. Changes time, never a result."""
    return int(os.environ.get(CORES_VARIABLE) or len(os.sched_getaffinity(0)))


def platform_tag() -> str:
    """What the same bytes are promised for: system, machine and Python."""
    return f"{sysconfig.get_platform()}-python{platform.python_version()}"


def folder_digest(folder: Path) -> str:
    """SHA-256 of all files of a folder, by relative name and content."""
    names = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    digests = {}
    for name, path in names.items():
        with path.open("rb") as file:
            digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digest_of(digests)


def read_pins(paths: Paths) -> dict[str, Any]:
    """What the machine set for this room: as_of, mode, champion, digests, Python, platform."""
    try:
        pins = json.loads(paths.pins.read_bytes())
    except FileNotFoundError as error:
        raise BadInputError(
            f"{paths.pins} is missing: this is no run room; make one with `retrim room --as-of DATE`"
        ) from error
    assert isinstance(pins, dict)
    return pins


def check_pins(paths: Paths) -> None:
    """Refuses code, Python, raw data or a champion other than the pinned ones.

    Raises:
        BadInputError: Something is not what was pinned; the message says what, and the cure.
    """
    pins = read_pins(paths)
    package = Path(retrim.__file__).resolve().parent
    if package != (paths.root / "src" / "retrim").resolve():
        raise BadInputError(
            f"the code that runs lies in {package}, not in this room; run the stage through `dvc repro`, "
            "or put PYTHONPATH=src before it"
        )
    if platform.python_version() != pins["python"]:
        raise BadInputError(
            f"this is Python {platform.python_version()}; the version was made with {pins['python']}; use that one"
        )
    for name, folder in (("raw", paths.raw), ("champion", paths.champion)):
        if not folder.is_dir() or folder_digest(folder) != pins[f"{name}_digest"]:
            raise BadInputError(
                f"data/{name} is not the one pinned in data/pins.json; run `dvc checkout` "
                f"(in a fresh clone `dvc pull data/raw.dvc data/champion.dvc`), then `dvc repro` again"
            )


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replaces `folder` by these files, whole: they are written beside it first."""
    fresh = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for name, content in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def write_file(path: Path, content: bytes) -> None:
    """Replaces a file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)


def read_folder(folder: Path) -> dict[str, bytes]:
    """All files of a folder by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def read_json(path: Path) -> Any:
    return json.loads(path.read_bytes())


__all__ = [
    "check_pins",
    "cores",
    "folder_digest",
    "main",
    "platform_tag",
    "read_folder",
    "read_json",
    "read_pins",
    "to_json",
    "write_file",
    "write_folder",
]
