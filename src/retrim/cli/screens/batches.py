"""What the commands show of batches and of the balance of their rows, as reports."""

from typing import TYPE_CHECKING

from retrim.batches.concern import suspicion_of
from retrim.card.report import Facts, Report, Table, moment
from retrim.checking.history import named_suspects
from retrim.landing.withdraw import quarantined_batch, show_batch

if TYPE_CHECKING:
    from retrim.checking.audit import Audit
    from retrim.landing.quarantine import QuarantinedBatch
    from retrim.lineage.workspace import Workspace

PURPOSES = {
    "tested": ("landed", "tested for drift"),
    "target": ("matured", "label tested for drift"),
    "measured": ("matured", "measured"),
    "deposited": ("matured", "in the accumulated gain"),
}
EXEMPTIONS = {
    "used": "used to train or judge a version",
    "left_out": "left out by data.rows",
    "replaces": "replaces an earlier row",
    "withdrawn": "its batch was withdrawn",
}


def batch_report(workspace: "Workspace", name: str) -> Report:
    """A batch that landed, with what was suspicious about it, or one that is in quarantine.

    Raises:
        BadInputError: There is none, or several.
    """
    entry = quarantined_batch(workspace, name)
    if entry is not None:
        return quarantined_report(entry)
    batch = show_batch(workspace, name)
    back = batch.withdrawn
    suspicion = suspicion_of(batch.suspicious) if batch.suspicious else named_suspects(workspace).get(batch.batch)
    facts = (
        ("batch", batch.batch),
        ("kind", batch.kind + (", correction" if batch.correction else "")),
        ("rows", str(batch.rows)),
        ("arrived", moment(batch.arrived)),
        ("suspicious", suspicion),
        ("released", batch.released or None),
        ("columns", ", ".join(f"{column} ({kind})" for column, kind in batch.columns.items())),
        ("versions", ", ".join(map(str, batch.versions)) or "no version was made with it"),
        ("withdrawn", None if back is None else f"{moment(back.at)} by {back.by}"),
        ("because", None if back is None else back.reason),
    )
    return (Facts(facts),)


def quarantined_report(entry: "QuarantinedBatch") -> Report:
    """What is wrong with a batch, and the cure of each fault."""
    tables = []
    for fault in entry.faults:
        rows = tuple((example.row, example.key, example.value) for example in fault.examples if example.row is not None)
        cure = f"  cure: {fault.cure}"
        if rows:
            title = f"{fault.column}: {fault.rule} ({fault.count} rows)"
            tables.append(Table(title, ("row", "key", "value"), rows, cure))
        else:  # it is about the file as a whole
            values = tuple((example.value,) for example in fault.examples)
            tables.append(Table("", (f"{fault.column or 'the file'}: {fault.rule}",), values, cure))
    facts = (
        ("batch", entry.batch),
        ("file", entry.file),
        ("state", entry.state),
        ("by", entry.by or None),
        ("reason", entry.reason or None),
    )
    if entry.state != "held":
        return (Facts(facts), *tables)
    can = all(fault.releasable for fault in entry.faults)
    release = f"if its values are right: retrim batch release {entry.batch} --reason WHY"
    return (Facts(facts), *tables, release if can else "it cannot be released: ingest a corrected file")


def audit_report(audit: "Audit") -> Report:
    """The balance of the rows as a table, and the rows that are out of it."""
    rows = []
    for one in audit.balances:
        base, name = PURPOSES[one.kind]
        exempt = sum(one.exempt.values())
        rows.append((f"{base} {one.rows}", f"{name} {one.counted}", f"waiting {one.waiting}", f"exempt {exempt}"))
    parts: list[str | Table] = [Table("", ("rows", "= counted", "+ waiting", "+ exempt"), tuple(rows))]
    reasons = {name: audit.balances[0].exempt[reason] for reason, name in EXEMPTIONS.items()}
    if exemptions := ", ".join(f"{name}: {count}" for name, count in reasons.items() if count):
        parts.append(f"exempt from drift tests: {exemptions}")
    if audit.found:
        faults = tuple((PURPOSES[one.kind][1], one.fault, one.batch, one.row, one.key) for one in audit.found)
        parts.append(Table("rows missing or counted twice", ("for", "fault", "batch", "row", "key"), faults))
    parts += [f"batch {batch} was counted but is no longer in the landing zone" for batch in audit.lost]
    parts += [f"check {check} records a different number of rows from what it counted" for check in audit.disagree]
    return (*parts, "all counts agree" if audit.holds else "the counts do not agree")
