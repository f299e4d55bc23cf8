"""The page of a verification: what was asked and achieved, in a sentence, a table and two pictures."""

from pathlib import Path

from retrim.core.drift.verify_picture import alarms_by_column, asked_and_achieved
from retrim.core.policy.page import page
from retrim.files import write_file
from retrim.ops.house import House
from retrim.ops.verify import VerifiedAlarms

COLUMNS = ("what raises alarms", "asked", "achieved", "95 % interval, from", "to", "the history says")


def write_page(house: House, done: VerifiedAlarms) -> Path:
    """Writes page and pictures under `var/drift/` and gives the page's place; same figures, same bytes."""
    folder = house.workspace.var / "drift" / f"v{done.version}"
    found = done.found
    pictures = {"asked_and_achieved.png": asked_and_achieved(found), "by_column.png": alarms_by_column(found)}
    content = page(
        title=f"False alarms of {house.model}, version {done.version}",
        sentence=sentence(done),
        facts=facts(done),
        columns=COLUMNS,
        rows=rows(done),
        pictures={
            "The rate asked against the rate achieved": pictures["asked_and_achieved.png"],
            "By column": pictures["by_column.png"],
        },
    )
    for name, picture in pictures.items():
        write_file(folder / name, picture)
    write_file(folder / "verify.html", content)
    return folder / "verify.html"


def sentence(done: VerifiedAlarms) -> str:
    """Whether the rate is kept, as far as the history can tell."""
    found = done.found
    low, high = found.interval
    figures = (
        f"asked for {found.asked:.2%} of checks, achieved {found.achieved:.2%} (95 % interval {low:.2%} to {high:.2%})"
    )
    if found.asked < low:
        return f"More false alarms than asked: {figures}. Parts of this history do not look like the others."
    if found.asked > high:
        return f"Fewer false alarms than asked: {figures}. Alarms err on the quiet side."
    return f"The rate is kept, as far as this history can tell: {figures}."


def facts(done: VerifiedAlarms) -> list[str]:
    """What was looked at, a line each."""
    found = done.found
    looked = (
        f"asked: {done.wanted}; {found.checks} checks of {found.rows} rows, on parts of the champion's own history "
        "that calibration had not seen"
    )
    return [looked, f"the history holds {found.known:.0f} such windows, which is what the interval rests on"]


def rows(done: VerifiedAlarms) -> list[tuple[str, ...]]:
    """The table: columns by themselves, and each joint test."""
    found = done.found
    whole = [("any column", found.asked, found.achieved, found.interval, found.promise)]
    whole += [(f"all together, {t.test}", t.asked, t.achieved, t.interval, t.promise) for t in done.together]
    return [
        (what, f"{asked:.2%}", f"{achieved:.2%}", f"{low:.2%}", f"{high:.2%}", said)
        for what, asked, achieved, (low, high), said in whole
    ]
