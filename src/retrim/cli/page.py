"""The state of a model as one self-contained page: what `retrim status` says, and how it came to be so, in pictures."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import pandas as pd

from retrim.adapters.landing_zone import Quarantine
from retrim.checking.history import CHECK, as_check
from retrim.cli import render
from retrim.cli.answers import StatusAnswer, find_status
from retrim.cli.render import quarantined_in_words, waits_in_words
from retrim.cli.screens import HELD, live_in_words, next_in_words, status_facts
from retrim.decision.check_record import StoredCheck
from retrim.decision.stored_rows import ReleaseRow
from retrim.lineage.workspace import Workspace
from retrim.reports.health import Health, HealthLevel, find_health
from retrim.stats.charts import gain_over_time, loss_over_time

TEMPLATE = "status.html.j2"
MOST_CHECKS = 500
"""Checks that are drawn and listed: the newest. A record takes 2 ms to read, so that a long life opens in seconds."""
MOST_DAYS = 40
"""Checks across the table of drift, as wide as a screen."""
LEVELS = (0.5, 1.0, 2.0)
"""Effect over threshold from which on a cell of that table is shaded one step darker."""


@dataclass(frozen=True)
class Answer:
    """A question that a person comes with, and the answer.

    Args:
        question: It.
        lines: The answer, a sentence each.
        calm: Whether nobody has to do anything.
    """

    question: str
    lines: tuple[str, ...]
    calm: bool = True


@dataclass(frozen=True)
class Form:
    """What a person may do from the page where a server shows it; a reason is asked for and kept.

    Args:
        about: What it is about.
        value: The version or the batch; empty where there is one thing only.
        buttons: Name of the action and what the button says.
    """

    about: str
    value: str
    buttons: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Picture:
    """A picture with the words for those who do not see it."""

    title: str
    png: bytes


@dataclass(frozen=True)
class DriftCell:
    """A column at a check: how dark, from 0 to 3, whether it is over, and what the tests said."""

    level: int
    over: bool
    text: str


@dataclass(frozen=True)
class ListedTable:
    """A table of the page; each row has an address of its own, `#` and its first value."""

    anchor: str
    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class StatusPage:
    """What the page shows.

    Args:
        model: Its name.
        at: When it was made.
        answers: To what a person asks first.
        facts: The lines of `retrim status`.
        pictures: Loss and accumulated gain over the checks.
        drift_at: Dates of the checks across the table of drift.
        drift: A row for each column that came near its threshold: its name and a cell for each check.
        tables: Checks, versions, batches, alerts.
        forms: What a person may do now.
    """

    model: str
    at: str
    answers: tuple[Answer, ...]
    facts: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    drift_at: tuple[str, ...]
    drift: tuple[tuple[str, tuple[DriftCell, ...]], ...]
    tables: tuple[ListedTable, ...]
    forms: tuple[Form, ...] = ()


def find_page(workspace: Workspace, *, now: pd.Timestamp) -> StatusPage:
    """What the page of a workspace shows at a moment."""
    status = find_status(workspace, now=now)
    rows = workspace.store.decisions(workspace.model, source=CHECK)
    checks = [as_check(row) for row in rows[-MOST_CHECKS:]]
    dates, drift = drift_table(checks[-MOST_DAYS:])
    return StatusPage(
        model=workspace.model,
        at=render.moment(now) or "",
        answers=answers(status, find_health(workspace, now=now)),
        facts=tuple((name, str(value)) for name, value in status_facts(status) if value is not None),
        pictures=_pictures(workspace, checks),
        drift_at=dates,
        drift=drift,
        tables=(_checks(checks, len(rows)), _versions(workspace), _batches(workspace), _alerts(workspace)),
        forms=forms(status, workspace.store.releases(workspace.model)),
    )


def forms(status: StatusAnswer, releases: Sequence[ReleaseRow]) -> tuple[Form, ...]:
    """What a person may do now: answer what waits, and go back to the version before."""
    found = [
        Form(
            f"Version {each.version} waits for approval",
            str(each.version),
            (("approve", "Approve"), ("reject", "Reject")),
        )
        for each in status.waiting
    ]
    if status.held:
        found.append(Form("A decision is on hold", "", (("acknowledge", "Acknowledge, without a retraining"),)))
    found += [
        Form(f"Batch {each.batch} is in quarantine", each.batch, (("release", "Land it in spite of its faults"),))
        for each in status.quarantined
    ]
    if releases and releases[-1].previous is not None:
        button = ("rollback", f"Roll back to version {releases[-1].previous}")
        found.append(Form(f"Version {releases[-1].version} is live", str(releases[-1].previous), (button,)))
    return tuple(found)


def answers(status: StatusAnswer, health: Health) -> tuple[Answer, ...]:
    """The five answers on top of the page."""
    live, last = status.champion, status.last_decision
    why = (f"Because: {live.reason}",) if live is not None and live.reason else ()
    decided = "No check has been made yet." if last is None else f"{last.outcome}: {last.reason}"
    asked = (waits_in_words(status.waiting), HELD if status.held else None, quarantined_in_words(status.quarantined))
    waits = tuple(line for line in asked if line is not None)
    return (
        Answer("Is it healthy?", health.said, calm=health.level is HealthLevel.OK),
        Answer("What is live, and why?", (live_in_words(live), *why), calm=live is not None),
        Answer("Why was it retrained, or not, at the last check?", (decided,)),
        Answer("What happens next?", (next_in_words(status.next_run),), calm=status.next_run is not None),
        Answer("What waits for you?", waits or ("Nothing.",), calm=not waits),
    )


def _pictures(workspace: Workspace, checks: Sequence[StoredCheck]) -> tuple[Picture, ...]:
    """Loss and accumulated gain over the checks, with each release marked; none before the first check."""
    if not checks:
        return ()
    first = pd.Timestamp(checks[0].as_of)
    releases = [(pd.Timestamp(row.as_of), f"v{row.version}") for row in workspace.store.releases(workspace.model)]
    events = [event for event in releases if event[0] >= first]
    losses, gains = [], []
    for check in checks:
        at, record = pd.Timestamp(check.as_of), check.record
        estimated = None if record.estimate is None else record.estimate.loss
        known = {"realised": record.loss, "estimated": estimated}
        losses.append((at, {name: value for name, value in known.items() if value is not None}))
        sums = {"accumulated gain": record.accumulated_gain.balance, "retraining cost": record.retraining_cost}
        gains.append((at, sums))
    loss = workspace.params.judge.loss
    return (
        Picture("Loss at each check, realised and estimated", loss_over_time(losses, loss=loss, events=events)),
        Picture("Accumulated gain and retraining cost at each check", gain_over_time(gains, events=events)),
    )


def drift_table(checks: Sequence[StoredCheck]) -> tuple[tuple[str, ...], tuple[tuple[str, tuple[DriftCell, ...]], ...]]:
    """Columns by checks: how far each column was from its reference.

    Args:
        checks: Oldest first.

    Returns:
        The date of each check; then each column that reached half its threshold once, the worst first, with a cell for
        each check.
    """
    worst: dict[str, float] = {}
    cells: list[dict[str, DriftCell]] = []
    for check in checks:
        at: dict[str, DriftCell] = {}
        for found in check.record.findings:
            share = found.effect / found.threshold if found.threshold else 0.0
            level = sum(share >= step for step in LEVELS)
            before = at.get(found.column)
            text = f"{found.test} {found.effect:.3g} against {found.threshold:.3g}"
            if before is None or level > before.level:
                at[found.column] = DriftCell(level, found.over or (before is not None and before.over), text)
            worst[found.column] = max(worst.get(found.column, 0.0), share)
        cells.append(at)
    names = sorted((name for name, share in worst.items() if share >= LEVELS[0]), key=lambda name: (-worst[name], name))
    calm = DriftCell(0, over=False, text="not near its threshold")
    dates = tuple(render.moment(check.as_of) or "" for check in checks)
    return dates, tuple((name, tuple(at.get(name, calm) for at in cells)) for name in names)


def _checks(checks: Sequence[StoredCheck], count: int) -> ListedTable:
    rows = []
    for check in reversed(checks):
        record = check.record
        loss = "" if record.loss is None else f"{record.loss:.4g}"
        gain = f"{record.accumulated_gain.balance:.4g} of {record.retraining_cost:.4g}"
        live = "" if record.champion is None else str(record.champion)
        rows.append((check.id, render.moment(check.as_of) or "", live, loss, gain, check.outcome, check.reason))
    heads = ("check", "as of", "live", "loss", "accumulated gain", "outcome", "reason")
    note = f"The newest {len(checks)} of {count}." if count > len(checks) else ""
    return ListedTable("checks", "Checks", heads, tuple(rows), note)


def _versions(workspace: Workspace) -> ListedTable:
    released: dict[int, list[str]] = {}
    for row in workspace.store.releases(workspace.model):
        released.setdefault(row.version, []).append(f"{row.action} on {render.moment(row.as_of)}, by {row.actor}")
    rows = tuple(
        (
            f"version-{row.version}",
            render.moment(row.as_of) or "",
            row.run,
            "; ".join(released.get(row.version, ["not released"])),
        )
        for row in reversed(workspace.store.versions(workspace.model))
    )
    return ListedTable("versions", "Versions", ("version", "as of", "run", "released"), rows)


def _batches(workspace: Workspace) -> ListedTable:
    landed = [
        (file.batch, render.moment(file.arrived) or "", "landed", f"{file.rows} rows")
        for file in workspace.landing.batches()
    ]
    held = [
        (entry.batch, render.moment(entry.arrived) or "", entry.state, "; ".join(str(fault) for fault in entry.faults))
        for entry in Quarantine(workspace.paths.quarantine).entries()
    ]
    rows = sorted([*landed, *held], key=lambda row: row[1], reverse=True)
    note = f"The newest {MOST_CHECKS} of {len(rows)}." if len(rows) > MOST_CHECKS else ""
    return ListedTable("batches", "Batches", ("batch", "arrived", "state", ""), tuple(rows[:MOST_CHECKS]), note)


def _alerts(workspace: Workspace) -> ListedTable:
    rows = tuple(
        (row.id, render.moment(row.at) or "", row.kind, row.text)
        for row in reversed(workspace.store.alerts(workspace.model)[-MOST_CHECKS:])
    )
    return ListedTable("alerts", "Alerts", ("alert", "at", "kind", "text"), rows)


@dataclass(frozen=True)
class ServedPage:
    """What a server adds to the page.

    Args:
        links: Other pages beside it: name and address.
        said: What came of the last action; empty: none.
        failed: Whether it was refused.
    """

    links: tuple[tuple[str, str], ...]
    said: str = ""
    failed: bool = False


def page_html(page: StatusPage, served: ServedPage | None = None) -> str:
    """The page with its pictures in it; every text is escaped. Forms are there only where a server answers them."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["png"] = lambda picture: b64encode(picture).decode()
    text = (files("retrim") / "templates" / TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text).render(page=page, served=served)
