"""The status on one screen."""

from typing import Any

from retrim import screens
from retrim.words import (
    REASON,
    account_in_words,
    answer_in_words,
    back_in_words,
    guards_in_words,
    lacks_in_words,
    probation_in_words,
    quality_in_words,
    quarantined_in_words,
    served_in_words,
    stopped_in_words,
    totals_in_words,
    waits_in_words,
)

FIRST_STEPS = "land rows: retrim ingest FILE; then make version 1: retrim retrain"

AGAIN = "version 1 was not made, for the reason told by the line `all of it`; a check tries again as rows come"


def first_steps(record: dict[str, Any]) -> str | None:
    """What leads to a first version; None where there is one, or one is under way or waits for a person."""
    if record["champion"] or record["waiting"] or record["running"] or record["unpushed"]:
        return None
    last = record["last_decision"]
    return AGAIN if last is not None and last["outcome"] == "retrain" else FIRST_STEPS


def show_status(record: dict[str, Any]) -> None:
    """The status on one screen."""
    champion, last, late = record["champion"], record["last_decision"], record["overdue"]
    account = None
    if record["price"] is not None:
        share = f" ({record['account'] / record['price']:.0%})" if record["price"] else ""  # version 1 may be perfect
        paid = account_in_words(record["account"], record["price"], record["money"])
        account = f"{paid}, the price of a retraining{share}"
    screens.show_facts(
        [
            ("model", record["model"]),
            ("live", _live(champion)),
            ("because", screens.brief(champion["reason"], REASON) if champion else None),
            ("lacks", lacks_in_words(record["lacks"])),
            ("probation", probation_in_words(record["probation"])),
            ("to do", first_steps(record)),
            ("last check", screens.moment(record["last_check"]) or "none yet: retrim check"),
            ("account", account),
            ("too few rows", record["short"]),
            ("cost so far", totals_in_words(record["totals"])),
            ("measured by", served_in_words(record["served"])),
            ("estimates", quality_in_words(record["estimates"])),
            ("last decision", f"{last['outcome']} on {screens.moment(last['as_of'])}" if last else None),
            ("because", screens.brief(last["reason"], REASON) if last else None),
            ("all of it", f"retrim why {last['id']}" if last else None),
            ("waits", waits_in_words(record["waiting"])),
            (
                "held",
                "waits for a person: retrim retrain, or without a run: retrim settle --reason WHY"
                if record["held"]
                else None,
            ),
            ("ends by", record["hold_ends"] if record["held"] else None),
            ("because", back_in_words(record["rolled_back"])),
            ("settled", answer_in_words(record["settled"])),
            ("stopped by", guards_in_words(record["guards"])),
            ("running", ", ".join(run["id"] for run in record["running"]) or None),
            ("unpushed", "; ".join(f"{run['id']}: {run['reason']}" for run in record["unpushed"]) or None),
            ("stopped", stopped_in_words(record["stopped"])),
            ("next", _next(record["next_run"])),
            ("quarantine", quarantined_in_words(record["quarantined"])),
            ("overdue", late["text"] if late else None),
        ]
    )
    rows = [(screens.moment(each["at"]), f"{each['kind']}: {each['text']}") for each in record["alerts"]]
    if rows:
        screens.show_table(("at", "what"), rows, title="Alerts", brief_last=True)


def show_places(places: list[dict[str, Any]]) -> None:
    """A line a model: where it is, what is live, the last check, and what is the matter."""
    rows = [
        (
            place["model"] or "?",
            place["workspace"] or place["store"],
            f"version {place['live']} since {screens.moment(place['since'])}" if place["live"] else "nothing yet",
            screens.moment(place["last_check"]) or "none yet",
            "; ".join(place["faults"]) or "nothing",
        )
        for place in places
    ]
    screens.show_table(("model", "where", "live", "last check", "to look at"), rows)


def _live(champion: dict[str, Any] | None) -> str:
    if champion is None:
        return "nothing yet"
    back = ", rolled back to" if "rollback" in champion["action"] else ""
    same_day = champion["since"][:10] == champion["as_of"][:10]
    pretended = "" if same_day else f", as of {screens.moment(champion['as_of'])}"
    return f"version {champion['version']}{back} since {screens.moment(champion['since'])}{pretended}"


def _next(following: dict[str, str] | None) -> str:
    if following is None:
        return "nothing is scheduled: retrim schedule"
    return f"{following['flow']} at {screens.moment(following['at'])}"
