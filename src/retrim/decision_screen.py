"""A decision with its evidence, and a check that was just made."""

from typing import Any

from retrim import screens
from retrim.core.gate.verdict import mark_of
from retrim.core.preview import too_few_rows
from retrim.words import (
    account_in_words,
    answer_in_words,
    estimate_in_words,
    formers_in_words,
    guards_in_words,
    limit_in_words,
    loss_in_words,
    probation_in_words,
    probe_in_words,
    refit_in_words,
    resumed_in_words,
    served_in_words,
    totals_in_words,
)


def show_decision(record: dict[str, Any]) -> None:
    """A decision: the evidence, the rules, the outcome, the verdict."""
    facts, run = record["record"], record["run"]
    reading = facts.get("reading")
    screens.show_facts(
        [
            ("decision", record["id"]),
            ("outcome", record["outcome"]),
            ("as of", screens.moment(record["as_of"])),
            ("by", record["by"]),
            ("reason", record["reason"]),
            ("live", facts.get("champion")),
            ("loss", loss_in_words(facts)),
            ("measured by", served_in_words(facts.get("served"))),
            ("estimated", estimate_in_words(facts)),
            (
                "probe against it",
                f"champion {reading['champion_loss']:.4g}, probe {reading['probe_loss']:.4g} on {reading['rows']} rows"
                f"{_late_in_words(reading)}"
                f", a gain of {reading['gain']:.4g} with a standard error of {reading['error']:.4g}"
                if reading
                else None,
            ),
            (
                "account",
                account_in_words(facts["account"]["balance"], facts["price"], facts.get("money"))
                if "account" in facts
                else None,
            ),
            ("too few rows", too_few_rows(facts)),
            ("former champions", formers_in_words(facts.get("formers"))),
            ("probation", probation_in_words(facts.get("probation"))),
            ("probe", probe_in_words(facts)),
            ("cost so far", totals_in_words(facts.get("totals"))),
            ("mode", f"{facts['mode']['mode']}: {facts['mode']['reason']}" if facts.get("mode") else None),
            ("run", f"{run['state']}: {run['reason']}" if run else None),
            ("fitted once more", refit_in_words(record["refit"])),
            ("answered", answer_in_words(record["answered"])),
            ("answers", f"retrim why {facts['answers']}" if "answers" in facts else None),
            ("otherwise", facts.get("change") or None),
            ("stopped by", guards_in_words(record["guards"])),
        ]
    )
    if facts.get("said"):
        rows = [
            (said["rule"], "yes" if said["fires"] else "no", said["text"], said.get("change", ""))
            for said in facts["said"]
        ]
        screens.show_table(("rule", "fires", "because", "what would have changed that"), rows, title="Rules")
    if facts.get("findings"):
        found = [
            (f["column"], f["test"], f"{f['effect']:.3g}", limit_in_words(f), _cost_in_words(f))
            for f in facts["findings"][:10]
        ]
        screens.show_table(("column", "test", "effect", "held against", ""), found, title="Drift, costliest first")
    if worse := [each for each in facts.get("slices", ()) if each["clear"] and each["added"] > 0]:
        heads = ("column", "slice", "rows", "loss", "where it was judged", "adds to the mean")
        screens.show_table(heads, [_slice_in_words(each) for each in worse[:5]], title="Where it loses more")
    if record["verdict"]:
        checks = [(mark_of(c), c["name"], c["text"]) for c in record["verdict"]["checks"]]
        if seen := record["verdict"].get("detectable"):  # older versions do not have it
            checks.append(("", "could be seen", seen["text"]))
        if size := record["verdict"].get("size"):
            checks.append(("", "size", size["text"]))
        screens.show_table(("", "check", "figures"), checks, title="Gate")
    if record["release_checks"]:
        passed = [(mark_of(c), c["name"], c["text"]) for c in record["release_checks"]["checks"]]
        screens.show_table(("", "check", "figures"), passed, title="Release checks")


def _cost_in_words(finding: dict[str, Any]) -> str:
    """Whether a finding is over, and what the column's shift alone does to the loss, where that is known."""
    said = ["over"] if finding["over"] else []
    if finding.get("loss_change"):
        said.append(f"loss {finding['loss_change']:+.3g}")
    return ", ".join(said)


def _slice_in_words(each: dict[str, Any]) -> tuple[str, ...]:
    return (
        each["column"],
        each["name"],
        str(each["rows"]),
        f"{each['loss']:.4g}",
        f"{each['before']:.4g}",
        f"{each['added']:.3g}",
    )


def show_resumed(runs: list[dict[str, Any]]) -> None:
    """What a command finished before it did what was asked."""
    for run in runs:
        screens.OUT.print(resumed_in_words(run), highlight=False, markup=False)


def show_refit(outcome: dict[str, Any]) -> None:
    """What came of fitting once more what a run promoted, where that was done."""
    said = refit_in_words(outcome.get("refit"))
    if said is not None:
        screens.OUT.print(f"fitted once more: {said}", highlight=False, markup=False)


def show_check(done: dict[str, Any]) -> None:
    """A check that was just made, and the run it started."""
    checked, run = done["check"], done["run"]
    show_resumed(done["resumed"])
    landed = checked.get("landed")
    if landed is not None and landed["since"] is not None and not landed["new"]:
        said = f"no row has landed since the check of {screens.moment(landed['since'])}: retrim ingest FILE"
        screens.OUT.print(said, highlight=False, markup=False)
    screens.OUT.print(f"{checked['outcome']}: {checked['reason']}", highlight=False, markup=False)
    if run is not None:
        screens.OUT.print(f"run {run['state']}: {run['reason']}", highlight=False, markup=False)
        show_refit(run)
    screens.OUT.print(f"evidence: retrim why {checked['id']}", highlight=False)


def _late_in_words(reading: dict[str, Any]) -> str:
    said = [
        f"{reading[name]} of them {what} and were not judged"
        for name, what in (("apart", "came late"), ("waited", "waited for it"))
        if reading.get(name)
    ]
    return f" ({', '.join(said)})" if said else ""
