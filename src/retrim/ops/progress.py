"""Progress as log records, so that a terminal can draw what a flow does without the flow knowing of it."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass

LOGGER = logging.getLogger("retrim.progress")
TRIAL = re.compile(r"trial (\d+) of (\d+): loss (\S+)")
TRIAL_LOG = re.compile(r"trial log (\S+)")


@dataclass(frozen=True)
class Step:
    """One sign of progress: what is going on, and how far it is (0 of 0 where nobody knows)."""

    what: str
    done: int
    total: int


def tell(what: str, done: int = 0, total: int = 0) -> None:
    """Tells whoever listens to the logger `retrim.progress`."""
    LOGGER.info("%s %d/%d", what, done, total, extra={"step": Step(what, done, total)})


def stage_teller(stage: str, place: int, total: int) -> Callable[[str], None]:
    """Turns what a stage prints into progress: stages by their place, a search by its trials."""
    tell(stage, place, total)

    def say(line: str) -> None:
        LOGGER.debug("%s: %s", stage, line)
        if found := TRIAL.search(line):
            tell(f"{stage}: loss {found[3]}", int(found[1]), int(found[2]))

    return say
