"""The real flows in this process, against the tests' Prefect server: saves a minute of start-ups a test."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pandas as pd

from retrim.lineage.workspace import ask_for_run
from retrim.stats.codec import to_record
from tests.builders.world import World, prefect_settings


@contextmanager
def at_work(world: World) -> Iterator[None]:
    """Works in the world's folder, as a deployment would, with its server's address set."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

    before = Path.cwd()
    path = os.environ["PATH"]
    os.environ["PATH"] = world.environment["PATH"]
    os.chdir(world.root)
    try:
        with (
            temporary_settings({**prefect_settings(world.server), PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
            deciding_as_in(world),
        ):
            yield
    finally:
        os.chdir(before)
        os.environ["PATH"] = path


@contextmanager
def deciding_as_in(world: World) -> Iterator[None]:
    """Decides as the world's own code does, where that was made to act on drift at once (`without_cooldown`)."""
    from retrim.checking import decide as module

    triggers, settings = (world.root / "src" / "retrim" / name for name in ("decision/triggers.py", "settings.py"))
    if not triggers.is_file() or "default=(1, 1)" not in triggers.read_text(encoding="utf-8"):
        yield
        return
    found = re.search(r'"triggers.cooldown_checks".*_but_by_calendar\((\d+)\)', settings.read_text(encoding="utf-8"))
    assert found is not None
    changed, decide = {"drift_checks": (1, 1), "cooldown_checks": int(found[1])}, module.decide
    with mock.patch.object(module, "decide", lambda known, params: decide(known, params.model_copy(update=changed))):
        yield


def make_check(world: World, day: float) -> dict[str, Any]:
    """What the check flow gave for a day: `check`, and `run` if one was started."""
    return check_at(world, world.day(day))


def check_at(world: World, moment: str) -> dict[str, Any]:
    """The same for a moment."""
    from retrim_flows.check import check as flow

    with at_work(world):
        done = flow(moment)
    assert done is not None, moment
    run = None if done.run is None else to_record(done.run)
    return {"check": done.check.as_record(), "run": run, "resumed": done.resumed}


def retrain(world: World, day: float, reason: str) -> dict[str, Any]:
    """How the run ended that a person asked for as of a day."""
    return retrain_at(world, world.day(day), reason)


def retrain_at(world: World, moment: str, reason: str) -> dict[str, Any]:
    """The same for a moment."""
    from retrim_flows.retrain import retrain as flow

    with at_work(world):
        at = pd.Timestamp(moment)
        return to_record(flow(ask_for_run(world.workspace, as_of=at, by="a test", reason=reason, now=at), moment))
