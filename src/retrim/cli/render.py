"""How answers look: tables and sentences for people, JSON for programs.

Figures of a record in words, as the answers show them.
"""

import json
import logging
import os
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from retrim.stats.codec import to_record

if TYPE_CHECKING:
    from retrim.checking.history import StopCounts
    from retrim.checking.holds import GivenAnswer
    from retrim.cli.answers import HeldBatch, RunFacts, StoppedRun
    from retrim.decision.accumulated_gain import LifeTotals, MoneyParams
    from retrim.decision.check_record import CheckRecord
    from retrim.decision.loss_comparison import LossComparison
    from retrim.decision.previous_champions import PreviousChampions
    from retrim.decision.probation import ProbationFacts, ServedPredictions, Skew
    from retrim.decision.rules import RolledBack
    from retrim.drift.findings import DriftFinding
    from retrim.drift.performance import EstimateQuality
    from retrim.release.approval import WaitingVersion

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed
GAP = 2  # between columns
LOG_WIDTH = 120  # where no terminal says how wide it is
# No markup unless a call asks for it: columns are called `weight [kg]`, and Rich would take the unit for a style.
OUT = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else LOG_WIDTH, markup=False)
ERR = Console(stderr=True, markup=False)


def show_json(answer: Any) -> None:
    """A record, or JSON of records, on standard output, and nothing else."""
    print(json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True, default=to_record))  # noqa: T201  the answer itself


def say(text: str) -> None:
    """A sentence, or lines of them."""
    OUT.print(text, highlight=False, markup=False, soft_wrap=True)


def show(answer: Any, text: str, *, as_json: bool) -> None:
    """A record as JSON, or what it says."""
    if as_json:
        show_json(answer)
    else:
        say(text)


def show_list(answer: Any, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, none: str, as_json: bool) -> None:
    """Records as JSON, or as a table whose last column is cut to the width; `none` where there are none."""
    if as_json:
        show_json(answer)
    elif rows:
        show_table(columns, rows, brief_last=True)
    else:
        say(none)


def figure(value: float) -> str:
    """A loss, a gain or another measured number, to four digits."""
    return f"{value:.4g}"


def show_table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None, brief_last: bool = False
) -> None:
    """A table; numbers are the caller's to format."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    others: list[int] = []
    if brief_last:
        others = [max(len(row[place]) for row in (columns, *texts)) for place in range(len(columns) - 1)]
        left = max(OUT.width - sum(others) - GAP * len(others), len(columns[-1]))
        texts = [[*row[:-1], brief(row[-1], left)] for row in texts]
    table = Table(header_style="bold", box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    for place, column in enumerate(columns):
        whole = others[0] if brief_last and place == 0 else None  # what a row is called is typed again
        table.add_column(column, overflow="fold", no_wrap=brief_last, min_width=whole)
    for row in texts:
        table.add_row(*(Text(harmless(text)) for text in row))
    if title is not None:
        OUT.print(f"\n[bold]{escape(title)}[/]", highlight=False, markup=True)
    OUT.print(table)


def show_facts(facts: Sequence[tuple[str, Any]]) -> None:
    """Names and values, one a line."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value is not None:
            table.add_row(name, Text(harmless(str(value))))
    OUT.print(table)


@dataclass(frozen=True)
class ShownTable:
    """A table under its title, and a line below it."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Screen:
    """What is said of one thing: names and values, of which None is left out, and tables."""

    facts: tuple[tuple[str, Any], ...]
    tables: tuple[ShownTable, ...]


def show_screen(screen: Screen) -> None:
    """The facts, then the tables."""
    show_facts(screen.facts)
    for table in screen.tables:
        show_table(table.heads, table.rows, title=table.title or None)
        if table.note:
            OUT.print(f"  {table.note}", highlight=False, markup=False)


def harmless(text: str) -> str:
    """The text with control signs spelled out: a cell of a file could else write anything on a terminal."""
    return CONTROL.sub(lambda sign: sign[0].encode("unicode_escape").decode(), text)


def moment(at: str | datetime | None) -> str | None:
    """A time as people read it, in UTC: to the minute, and without the hour at midnight."""
    if at is None:
        return None
    time = (datetime.fromisoformat(at) if isinstance(at, str) else at).astimezone(UTC)
    return f"{time:%Y-%m-%d}" if (time.hour, time.minute) == (0, 0) else f"{time:%Y-%m-%d %H:%M}"


UNITS = ("B", "kB", "MB", "GB")


def size(count: float) -> str:
    """Bytes in the unit that fits."""
    place = 0
    while count >= 1000 and place < len(UNITS) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.1f} {UNITS[place]}" if place else f"{count:.0f} {UNITS[0]}"


def brief(text: str, most: int) -> str:
    """A text cut at a word, with three dots where something is left out; the whole stands in the record."""
    return textwrap.shorten(text, most, placeholder=" ...")


@contextmanager
def progress() -> Iterator[None]:
    """Draws what the use cases tell: a live line on a terminal, plain lines elsewhere."""
    logger = logging.getLogger("retrim.progress")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.propagate = False
    if ERR.is_terminal:
        with Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=ERR,
            transient=True,
        ) as bars:
            handler: logging.Handler = _Bars(bars)
            logger.addHandler(handler)
            try:
                yield
            finally:
                logger.removeHandler(handler)
                logger.setLevel(level)
        return
    handler = _Lines()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


class _Bars(logging.Handler):
    """One bar for what lasts (named `name: detail`), one for what is in progress."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self.bars = bars
        self.tasks: dict[str, Any] = {}

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is None:
            return
        lane = "checks" if step.what.startswith("checks") else "run"
        if lane == "checks" and "run" in self.tasks:  # the run has ended; the next has a line and a clock of its own
            self.bars.remove_task(self.tasks.pop("run"))
        if lane not in self.tasks:
            self.tasks[lane] = self.bars.add_task(step.what, total=step.total or None)
        self.bars.update(self.tasks[lane], description=step.what, completed=step.done, total=step.total or None)


class _Lines(logging.Handler):
    """A line for each step but the trials of a search."""

    def emit(self, record: logging.LogRecord) -> None:
        step = getattr(record, "step", None)
        if step is not None and "loss" not in step.what:
            ERR.print(f"{step.what} ({step.done}/{step.total})" if step.total else step.what, highlight=False)


REASON = 150  # characters of a reason on the screen of the status: two lines of it


def gain_in_words(balance: float, retraining_cost: float, money: "MoneyParams | None") -> str:
    """The accumulated gain against the retraining cost, in the loss, and in money where that is said."""
    said = f"{balance:.4g} of {retraining_cost:.4g}"
    if money is None:
        return said
    return f"{said} ({money.worth(balance):.2f} of {money.cost:.2f} {money.currency})"


def estimate_in_words(check: "CheckRecord") -> str | None:
    """The loss estimated without labels, and how good such estimates were up to then."""
    said, good = check.estimate.newest, quality_in_words(check.estimate.quality)
    if said is None:
        return good
    text = f"{said.loss:.4g} on {said.rows} rows without labels, by the {said.by}"
    return text if good is None else f"{text}; {good}"


def quality_in_words(quality: "EstimateQuality | None") -> str | None:
    """How far off the estimates were that labels have come for."""
    if quality is None:
        return None
    return (
        f"{quality.scored} estimate{' was' if quality.scored == 1 else 's were'} off by {quality.off:.0%} of the loss "
        f"on average; assuming an unchanged loss was off by {quality.naive_off:.0%}"
    )


def totals_in_words(totals: "LifeTotals | None") -> str | None:
    """What the model has cost up to a check, with its probes and without."""
    if totals is None or not totals.checks:
        return None
    count, checks = totals.retrainings, totals.checks
    return (
        f"{totals.without_probes:.4g} in {checks} check{'' if checks == 1 else 's'} (loss: {totals.loss:.4g}, "
        f"{count} retraining{'' if count == 1 else 's'}: {totals.retrainings_cost:.4g}); "
        f"{totals.with_probes:.4g} with the probes ({totals.probes_cost:.4g})"
    )


def back_in_words(back: "RolledBack | None") -> str | None:
    """That a rollback keeps anything from starting by itself; None where it does not."""
    if back is None or not back.holds:
        return None
    return (
        f"rolled back from version {back.left}: no run starts automatically until {back.needed} rows have matured "
        f"since the rollback ({back.rows} by the last check), or until a person retrains or acknowledges"
    )


GUARDS = {
    "hold": "the hold after refusals",
    "cooldown": "the cooldown",
    "circle": "the loop breaker",
    "budget": "the budget",
    "gate": "the gate preview",
    "manual": "manual",
    "pause": "a pause",
}


def guards_in_words(counts: "StopCounts | None") -> str | None:
    """How often each guard kept a rule from a run since the live version's release; None where none did."""
    if counts is None or not (counts.guards or counts.refused):
        return None
    said = [f"{GUARDS[guard]} {count}" for guard, count in sorted(counts.guards.items())]
    if counts.refused:
        said.append(f"the gate refused {counts.refused} run{'' if counts.refused == 1 else 's'}")
    checks = counts.checks
    return f"{', '.join(said)}, in {checks} check{'' if checks == 1 else 's'} since {moment(counts.since)}"


def answer_in_words(answer: "GivenAnswer | None") -> str | None:
    """What a person said to what was held."""
    if answer is None:
        return None
    what = "acknowledged" if answer.outcome == "settled" else "a run started"
    return f"{what} by {answer.by} on {moment(answer.as_of)}: {brief(answer.reason, REASON)}"


def limit_in_words(finding: "DriftFinding") -> str:
    """What makes a finding over: how rarely a window without drift strays as far, or the threshold on its effect."""
    if finding.promise is None or finding.p_value is None:
        return f"threshold {finding.threshold:.3g}"
    seen = "" if finding.seen is None else f"; a shift of {finding.seen:.2g} {finding.unit} would be detected"
    return f"p {finding.p_value:.2g} across all columns, {finding.promise}{seen}"


def loss_in_words(check: "CheckRecord") -> str | None:
    """The champion's measured loss with its interval."""
    measured = check.performance.measured
    if measured is None:
        return None
    low, high = measured.interval
    return f"{measured.loss:.4g} on {measured.window.rows} rows, between {low:.4g} and {high:.4g} with 90% confidence"


def expected_in_words(comparison: "LossComparison | None") -> str | None:
    """What the loss was expected to be, with its band."""
    if comparison is None or comparison.expected is None:
        return None
    expected = comparison.expected
    text = f"{expected.loss:.4g}"
    if expected.low is not None and expected.high is not None:
        text += f", between {expected.low:.4g} and {expected.high:.4g} if nothing has changed"
    text += f"; {expected.judged:.4g} on the holdout rows"
    return f"{text}, and these rows are {expected.harder:.2f} times harder" if expected.harder > 1 else text


def naive_in_words(comparison: "LossComparison | None") -> str | None:
    """The naive baselines on the same rows, the best first."""
    if comparison is None or not comparison.naive:
        return None
    ranked = sorted(comparison.naive.items(), key=lambda item: item[1].loss)
    text = ", ".join(f"{name.replace('_', ' ')} {naive.loss:.4g}" for name, naive in ranked)
    worse = comparison.worse_than
    return text if worse is None else f"{text}; the live version is worse than {worse.replace('_', ' ')}"


def served_in_words(served: "ServedPredictions | None") -> str | None:
    """Which predictions the measured rows were measured by, and how far those are from what their versions say now."""
    if served is None:
        return None
    said = [f"version {version}: {rows}" for version, rows in served.by_version.items()]
    by_version = f" ({', '.join(said)})" if said else ""
    parts = [f"{served.rows} rows by their served predictions{by_version}"]
    if served.predicted_again:
        parts.append(f"{served.predicted_again} rows predicted now, because none was stored before the label was due")
    if served.unreadable:
        parts.append(f"{served.unreadable} rows whose stored prediction is not a number")
    text = ", ".join(parts if served.rows or len(parts) == 1 else parts[1:])
    return text if served.skew is None else f"{text}; {_skew_in_words(served.skew)}"


def _skew_in_words(skew: "Skew") -> str:
    if skew.worst is None:
        return "they match what their versions predict now"
    who, request = "they", ""
    if skew.worst.request is not None:
        who, request = "they or answers to requests with other features", f", request {skew.worst.request}"
    return (
        f"{who} differ from what their versions predict now by up to {skew.largest:.2g} of the mean prediction (row "
        f"{skew.worst.key}, version {skew.worst.version}{request}); {skew.over} of {skew.rows} differ by more than "
        f"{skew.bound:g}"
    )


def previous_champions_in_words(previous_champions: "PreviousChampions | None") -> str | None:
    if previous_champions is None:
        return None
    losses = ", ".join(f"version {version}: {loss:.4g}" for version, loss in previous_champions.losses.items())
    return (
        f"{losses}; live: {previous_champions.champion_loss:.4g}, on {previous_champions.rows} rows new to all of them"
    )


def waits_in_words(versions: "Sequence[WaitingVersion]") -> str | None:
    """The versions that wait for a person, and what to type."""
    said = [
        f"version {each.version} waits for approval until {moment(each.expires)}: "
        f"retrim versions approve {each.version} --reason ..., or reject"
        for each in versions
    ]
    return "; ".join(said) or None


def quarantined_in_words(batches: "Sequence[HeldBatch]") -> str | None:
    """What lies in quarantine, and what shows it."""
    if not batches:
        return None
    count = "1 batch" if len(batches) == 1 else f"{len(batches)} batches"
    return f"{count}, the last on {moment(batches[-1].arrived)}: retrim batch list --quarantined"


def stopped_in_words(runs: "Sequence[StoppedRun]") -> str | None:
    """The runs that were killed, and what resumes them."""
    said = [f"{run.id}, attempt {run.attempt} of {run.attempts}: {run.why}" for run in runs]
    return "; ".join(said) + "; `retrim check` resumes it" if said else None


def resumed_in_words(run: "RunFacts") -> str:
    """A run that was killed and has been resumed: which, and how it ended."""
    return f"resumed {run.id}, as of {moment(run.as_of)}: {run.state}: {run.reason}"


def probation_in_words(probation: "ProbationFacts | None") -> str | None:
    """How a champion's probation stands or ended."""
    if probation is None:
        return None
    outcome, ended = probation.outcome, probation.ended
    return f"{outcome if ended is None else f'{outcome} on {moment(ended)}'}: {probation.said}"


def probe_in_words(check: "CheckRecord") -> str | None:
    cost = check.probe.cost
    if cost is None:
        return _left_out_in_words(check)
    return f"cost {cost.cost:.4g}, {cost.work / cost.retraining:.1%} of a retraining" if cost.retraining else None


def _left_out_in_words(check: "CheckRecord") -> str | None:
    """Why a check with new rows did not probe; None where it had none."""
    watch = check.probe.watch
    if check.champion is None or not watch.checks:
        return None
    since = f"the rows of {watch.checks} check{'' if watch.checks == 1 else 's'} wait for the next probe"
    if watch.asks:
        return f"not probed: too few rows to judge a refit, or none that the champion does not know; {since}"
    return f"not probed: nothing is up, or a refit has answered it; {since}"


def lacks_in_words(lacks: Sequence[str]) -> str | None:
    """What it means that the live version reads columns that are gone."""
    if not lacks:
        return None
    return f"{', '.join(lacks)}: no longer in the table, treated as missing, and not used by the next version"


def refit_in_words(run: "RunFacts | None") -> str | None:
    """How the run ended that fitted a promoted recipe once more; None where there was none."""
    if run is None:
        return None
    version = "" if run.version is None else f"version {run.version} "
    return f"{version}{run.state}: {run.reason}"
