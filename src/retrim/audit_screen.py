"""The balance of the rows as a table, and the rows that are out of it."""

from retrim import screens
from retrim.ops.audit import Audit

NAMES = {
    "tested": ("landed", "tested for drift"),
    "target": ("matured", "label tested for drift"),
    "measured": ("matured", "measured"),
    "deposited": ("matured", "in the account"),
}
REASONS = {
    "used": "made or judged a version",
    "late": "came after its row was counted",
    "left_out": "left out by data.rows",
    "replaces": "replaces another",
    "withdrawn": "its batch was withdrawn",
}


def show_audit(audit: Audit) -> None:
    """Prints it."""
    rows = []
    for each in audit.balances:
        base, name = NAMES[each.kind]
        exempt = sum(each.exempt.values())
        rows.append([f"{base} {each.rows}", f"{name} {each.counted}", f"waiting {each.waiting}", f"exempt {exempt}"])
    screens.show_table(("rows", "= counted", "+ waiting", "+ exempt"), rows)
    reasons = {name: audit.balances[0].exempt[reason] for reason, name in REASONS.items()}
    shown = ", ".join(f"{name}: {count}" for name, count in reasons.items() if count)
    if shown:
        screens.OUT.print(f"exempt from drift tests: {shown}", highlight=False, markup=False)
    if audit.found:
        found = [(NAMES[each.kind][1], each.fault, each.batch, each.row, each.key) for each in audit.found]
        screens.show_table(("for", "fault", "batch", "row", "key"), found, title="rows out of balance")
    for batch in audit.lost:
        screens.OUT.print(f"batch {batch} was counted and is not landed any more", highlight=False, markup=False)
    for check in audit.disagree:
        text = f"check {check} says another number of rows than it noted as counted"
        screens.OUT.print(text, highlight=False, markup=False)
    screens.OUT.print("the balance holds" if audit.holds else "the balance does not hold", highlight=False)
