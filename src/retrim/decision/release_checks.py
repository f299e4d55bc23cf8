"""The release checks: what a version must show after the gate, as it was stored and in a process that knows nothing."""

from dataclasses import dataclass

from pydantic import Field

from retrim.decision.brakes import ApprovalParams
from retrim.gate.reference_rows import TOLERANCE
from retrim.stats.codec import Number, written
from retrim.stats.plugins import SettingsSection

RELEASE_CHECKS = "release_checks"
"""Their kind in the envelope of a version."""
MEGABYTE = 1_000_000
LOAD_SECONDS = 60.0
"""Processor time in which a fresh process must load the model and predict: a slower model cannot be served."""
MOST_MB = 200.0
"""Memory for predicting, in megabytes."""
MOST_MS = {1: 500.0, 1000: 2000.0}
"""Processor time to predict so many rows at once, in milliseconds; the lowest of repeated predictions counts, so a busy
machine changes little."""


class ReleaseParams(SettingsSection):
    """What a version must show before it goes live, after the gate."""

    approval: ApprovalParams = Field(default=ApprovalParams(), description="releases that wait for a person's approval")


@dataclass(frozen=True)
class Latency:
    """Processor time of one prediction, in milliseconds: of all threads, and none while the process waits its turn.

    Args:
        least: The lowest of them, which a busy machine changes least.
        median: Half of them took less.
    """

    least: float
    median: float
    tries: int


@dataclass(frozen=True)
class FreshAnswers:
    """What a fresh process said of a version.

    Args:
        failure: Why it could not be loaded or asked; None where it could.
        rows: Reference rows it was asked; 0 where its bundle is older than they are.
        farthest: The largest distance of an answer from the stored one, as a share of that or of 1.
        seconds: Processor time from the start of the process to the answers, in seconds.
        latency: Of predictions of that many rows at once.
    """

    failure: str | None
    rows: int = 0
    farthest: float = 0.0
    seconds: float = 0.0
    latency: tuple[tuple[int, Latency], ...] = ()


@dataclass(frozen=True)
class ReleaseCheck:
    """One line: the figure, what it is held against (None: reported only), and a sentence."""

    name: str
    passed: bool
    figure: Number | None
    threshold: Number | None
    text: str


@dataclass(frozen=True)
class ReleaseChecks:
    """All of them; every one runs, also after one has failed."""

    checks: tuple[ReleaseCheck, ...]

    @written
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @written
    def reason(self) -> str:
        """Every check that failed, else that all passed."""
        failed = [check.text for check in self.checks if not check.passed]
        return "; ".join(failed) if failed else f"all {len(self.checks)} release checks passed"


def hold_to(answers: FreshAnswers, size: int, *, again: bool) -> ReleaseChecks:
    """The release checks of a version.

    Args:
        size: Bytes of the files that predicting takes.
    """
    checks = [_loads(answers), _answers(answers, again=again), _size(size, None if again else MOST_MB)]
    checks += [_latency(rows, latency, None if again else MOST_MS.get(rows)) for rows, latency in answers.latency]
    return ReleaseChecks(tuple(checks))


def _loads(answers: FreshAnswers) -> ReleaseCheck:
    name, limit = "loads", LOAD_SECONDS
    if answers.failure is not None:
        return ReleaseCheck(name, False, None, limit, f"a fresh process could not load it: {answers.failure}")
    text = f"a fresh process loaded it and answered in {answers.seconds:.2f} s of processor time, {limit:g} s allowed"
    return ReleaseCheck(name, answers.seconds <= limit, answers.seconds, limit, text)


def _answers(answers: FreshAnswers, *, again: bool) -> ReleaseCheck:
    name = "reference rows"
    if answers.failure is not None:
        return ReleaseCheck(name, False, None, TOLERANCE, "the stored reference rows were not predicted")
    if not answers.rows:
        text = "its bundle is from before reference rows were kept" if again else "its bundle has no reference rows"
        return ReleaseCheck(name, again, None, TOLERANCE, text)
    text = (
        f"{answers.rows} stored reference rows: predictions differ by {answers.farthest:.1e}, {TOLERANCE:.0e} allowed"
    )
    return ReleaseCheck(name, answers.farthest <= TOLERANCE, min(answers.farthest, 1e300), TOLERANCE, text)


def _size(size: int, most: float | None) -> ReleaseCheck:
    megabytes = size / MEGABYTE
    text = f"predicting takes {megabytes:.3g} MB" + ("" if most is None else f", {most:g} MB allowed")
    return ReleaseCheck("size", most is None or megabytes <= most, megabytes, most, text)


def _latency(rows: int, latency: Latency, most: float | None) -> ReleaseCheck:
    what = "one row" if rows == 1 else f"{rows:,} rows"
    text = f"{what} in {latency.least:.3g} ms of processor time, {latency.median:.3g} ms in the median"
    if most is not None:
        text += f", {most:g} ms allowed"
    return ReleaseCheck(f"latency: {what}", most is None or latency.least <= most, latency.least, most, text)
