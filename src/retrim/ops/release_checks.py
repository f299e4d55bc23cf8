"""The release checks of a stored version: made in a fresh process, kept in its envelope before it is live."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

import retrim
from retrim.adapters.exhibits import Exhibits
from retrim.adapters.store import Row, iso
from retrim.core.release_checks import RELEASE_CHECKS, Answers, Latency, ReleaseChecks, hold_to
from retrim.errors import RetrimError
from retrim.ops.champion import stored_bundle
from retrim.ops.house import House

FIRST = "first"


def release_checks(house: House, version: int, *, now: pd.Timestamp) -> Row:
    """The release checks of a version, made and recorded once, after its gate and before it goes live.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Its stored bundle is not the recorded one.
    """
    found = recorded(house, version, FIRST)
    return record_checks(house, version, FIRST, check_stored(house, version), now=now) if found is None else found


def recorded(house: House, version: int, name: str) -> Row | None:
    """The release checks that were recorded under a name: `first`, or those of one move."""
    rows = house.store.envelope(house.model, version, kind=RELEASE_CHECKS)
    return next((row for row in rows if row.id == name), None)


def record_checks(house: House, version: int, name: str, checks: ReleaseChecks, *, now: pd.Timestamp) -> Row:
    """Adds release checks to the envelope of a version; gives what stands there, which is what was first."""
    record = checks.as_record()
    house.store.add_to_envelope(house.model, version, kind=RELEASE_CHECKS, name=name, at=iso(now), record=record)
    found = recorded(house, version, name)
    assert found is not None
    return found


def check_stored(house: House, version: int, *, again: bool = False) -> ReleaseChecks:
    """Loads a stored version in a fresh process and holds it to `release` in params.yaml.

    Args:
        house: The house.
        version: The version.
        again: It was live before: size and latency are reported only.

    Raises:
        As `release_checks`.
    """
    row = house.store.version(house.model, version)
    folder = stored_bundle(house, version)
    assert row is not None
    params = house.params.release
    size = sum((folder / name).stat().st_size for name in Exhibits(folder).predicting)
    return hold_to(ask_fresh(folder, str(row.bundle), seconds=params.load_seconds), size, params, again=again)


def ask_fresh(folder: Path, digest: str, *, seconds: float) -> Answers:
    """What a fresh process says of a stored bundle; one that has not answered in time is ended.

    Args:
        folder: Of the bundle.
        digest: Of the bundle, which that process looks for itself.
        seconds: It may take.
    """
    source = str(Path(retrim.__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": source, "OMP_WAIT_POLICY": "passive"}
    command = [sys.executable, "-P", "-m", "retrim.ops.answering", str(folder), digest, str(seconds)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return Answers(f"it had not answered after {seconds:g} s")
    if done.returncode:
        last = next(reversed(done.stderr.strip().splitlines()), "")
        return Answers(last or f"it ended with {done.returncode}")
    try:
        return _read(done.stdout)
    except (KeyError, TypeError, ValueError) as error:
        raise RetrimError(f"the fresh process said {done.stdout[:200]!r}, which is no answer") from error


def _read(text: str) -> Answers:
    said = json.loads(text)
    times = tuple((int(rows), Latency(median, p99, int(tries))) for rows, median, p99, tries in said["latency"])
    return Answers(None, int(said["rows"]), float(said["farthest"]), float(said["seconds"]), times)
