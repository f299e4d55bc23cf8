"""What became of a version since it was made: releases, its envelope, drift and loss at every check."""

from collections.abc import Mapping
from typing import Any

from retrim.core.card.facts import Facts
from retrim.core.card.page import Section, Table, facts_table, told
from retrim.core.drift.scores import SCORE

STORE = "store: "
MOST_LINES, MOST_TEXT = 40, 160
NAMES = {
    "release_checks": "Release checks",
    "approval": "Approval",
    "probation": "Probation",
    "proof": "Proof that it can be rebuilt",
    "card": "Cards that were kept",
    "imported": "Import",
}
SKIPPED = frozenset({"signature", "public_key"})
"""Of a receipt: long, and of no use to a reader; `retrim receipt verify` reads them."""


def releases(facts: Facts) -> Section:
    """When it went live and why, and when something else did."""
    rows = tuple(
        (str(row["sequence"]), told(row["at"]), row["action"], f"version {row['version']}", row["actor"], row["reason"])
        for row in facts.releases
        if facts.number in (row["version"], row["previous"])
    )
    if not rows:
        return Section("Releases", "releases", ("It was never live.",))
    heads = ("move", "at", "action", "live after it", "by", "reason")
    return Section("Releases", "releases", tables=(Table(heads, rows, f"{STORE}releases"),))


def envelope(facts: Facts) -> tuple[Section, ...]:
    """A section for every kind of record that was added after the version was made, whatever it holds."""
    kinds = sorted({str(row["kind"]) for row in facts.envelope} - {"card"}, key=lambda kind: (kind not in NAMES, kind))
    made = []
    for kind in kinds:
        tables = []
        for row in facts.envelope:
            if row["kind"] == kind:
                tables += _record(row, f"{STORE}envelopes")
        made.append(Section(NAMES.get(kind, kind.replace("_", " ")), f"envelope-{kind}", tables=tuple(tables)))
    return tuple(made)


def _record(row: Mapping[str, Any], source: str) -> list[Table]:
    """One record: its checks as a table where it has some, all else as names and values."""
    record = dict(row["record"])
    caption = f"{row['id']}, {told(row['at'])}"
    checks = record.pop("checks", None)
    tables = []
    plain = {
        name: value
        for name, value in _lines(record).items()
        if value is not None and not SKIPPED & set(name.replace(" ", "_").split("."))
    }
    if plain:
        shown = list(plain.items())[:MOST_LINES]
        if len(plain) > len(shown):
            shown.append(("...", f"{len(plain) - len(shown)} more"))
        tables.append(facts_table([(name, _brief(value)) for name, value in shown], source, caption))
    if isinstance(checks, list) and checks and all(isinstance(check, dict) for check in checks):
        names = list(dict.fromkeys(name for check in checks for name in check))
        rows = tuple(tuple(_brief(check.get(name)) for name in names) for check in checks)
        tables.append(Table(tuple(names), rows, source, caption if not plain else ""))
    return tables


def _lines(record: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, Mapping) and value:
            found |= {f"{name}.{below}": each for below, each in _lines(value).items()}
        else:
            found[name.replace("_", " ")] = value
    return found


def _brief(value: Any) -> str:
    text = told(value)
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 3] + "..."


def drift(facts: Facts) -> Section:
    """The checks at which it was live: rows, loss, what had drifted, what was decided."""
    if not facts.checks:
        return Section("Since it went live", "since", ("No check has looked at it while it was live.",))
    rows = []
    for check in facts.checks:
        record = check["record"]
        over = [_finding(each) for each in record["findings"] if each["over"]]
        window = record.get("window")
        rows.append(
            (
                told(check["as_of"]),
                "-" if window is None else str(window["rows"]),
                told(record.get("loss")),
                "-" if not record.get("interval") else f"{record['interval'][0]:.4g} to {record['interval'][1]:.4g}",
                "; ".join(over[:4]) + (f"; {len(over) - 4} more" if len(over) > 4 else "") or "none",
                check["outcome"],
            )
        )
    before = facts.verdict["losses"].get(facts.verdict["winner"])
    drifted = sum(1 for row in rows if row[4] != "none")
    sentence = (
        f"{len(rows)} check{'' if len(rows) == 1 else 's'} while it was live, {drifted} with drift over a limit; "
    )
    sentence += f"its mean loss where it was judged: {told(before)}."
    heads = ("check", "rows with new labels", "mean loss", "interval", "drift over its limit", "decision")
    return Section("Since it went live", "since", (sentence,), (Table(heads, tuple(rows), f"{STORE}decisions"),))


def _finding(found: Mapping[str, Any]) -> str:
    name = "predictions" if found["column"] == SCORE else found["column"]
    return f"{name} ({found['test']} {found['effect']:.3g})"
