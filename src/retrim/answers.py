"""What the reading commands answer, from the store alone: versions, a decision, the status."""

from typing import Any

import pandas as pd

from retrim import screens
from retrim.adapters import prefect_server
from retrim.adapters.store import Row, iso
from retrim.errors import BadInputError
from retrim.ops.check import CHECK, balance, money_of, price_now
from retrim.ops.house import House
from retrim.ops.overdue import overdue
from retrim.ops.release import live
from retrim.ops.settle import answer_to, settlement_now
from retrim.ops.standing import is_held
from retrim.words import (
    REASON,
    account_in_words,
    answer_in_words,
    estimate_in_words,
    formers_in_words,
    limit_in_words,
    loss_in_words,
    probe_in_words,
    quality_in_words,
    totals_in_words,
)


def version_records(house: House) -> list[dict[str, Any]]:
    """Every version: `version`, `aliases`, `tag`, `as_of`, `model_sha256`, `made`, `promote`, `verdict`."""
    now_live = live(house)
    aliases: dict[int | None, list[str]] = {}
    if now_live is not None:
        aliases.setdefault(now_live.version, []).append("champion")
        aliases.setdefault(now_live.previous, []).append("previous")
    return [
        {
            "version": row.version,
            "aliases": aliases.get(row.version, []),
            "tag": row.tag,
            "as_of": row.as_of,
            "model_sha256": row.model_sha256,
            "made": row.made,
            "promote": row.verdict["promote"],
            "verdict": row.verdict["reason"],
        }
        for row in house.store.versions(house.model)
    ]


def decision_record(house: House, which: str | None) -> dict[str, Any]:
    """One decision with its evidence and what came of it.

    Args:
        house: The house.
        which: A decision's id, a date (its last decision), or None for the newest.

    Raises:
        BadInputError: There is none.
    """
    decisions = house.store.decisions(house.model)
    if not decisions:
        raise BadInputError("nothing was decided yet; run `retrim check` or `retrim retrain`")
    found = [row for row in decisions if which is None or row.id == which or row.as_of.startswith(which)]
    if not found:
        raise BadInputError(f"no decision {which!r}; the newest is {decisions[-1].id}")
    row = found[-1]
    run = house.store.run(f"run-{row.id}")
    return {
        "id": row.id,
        "source": row.source,
        "as_of": row.as_of,
        "outcome": row.outcome,
        "reason": row.reason,
        "record": row.record,
        "run": None if run is None else _run_record(run),
        "verdict": None if run is None or run.version is None else _verdict(house, run.version),
        "answered": answer_to(house, row),
    }


def status_record(house: House, *, now: pd.Timestamp) -> dict[str, Any]:
    """What is live, the account against the price, the last check and decision, and what comes next."""
    now_live = live(house)
    decisions = house.store.decisions(house.model)
    checks = [row for row in decisions if row.source == CHECK]
    running = house.store.runs(house.model, state="running")
    late = overdue(workspace=house.workspace, data=house.params.data, now=now)
    last = decisions[-1] if decisions else None
    return {
        "model": house.model,
        "champion": None if now_live is None else now_live.as_record(),
        "account": None if now_live is None else balance(house, now_live.version).balance,
        "price": None if now_live is None else price_now(house),
        "money": money_of(house),
        "totals": checks[-1].record.get("totals") if checks else None,
        "estimates": checks[-1].record.get("estimates") if checks else None,
        "last_check": checks[-1].as_of if checks else None,
        "last_decision": None
        if last is None
        else {"id": last.id, "as_of": last.as_of, "outcome": last.outcome, "reason": last.reason},
        "held": is_held(house, decisions),
        "settled": settlement_now(house),
        "running": [_run_record(run) for run in running],
        "next_run": prefect_server.next_run(house.workspace.prefect, house.env.prefect_url, deployment=house.model),
        "overdue": None if late is None else late.as_record(),
        "alerts": [{"at": row.at, "kind": row.kind, "text": row.text} for row in house.store.alerts(house.model)[-5:]],
        "now": iso(now),
    }


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
            ("to do", None if champion else "land rows: retrim ingest FILE; then make version 1: retrim retrain"),
            ("last check", screens.moment(record["last_check"]) or "none yet: retrim check"),
            ("account", account),
            ("cost so far", totals_in_words(record["totals"])),
            ("estimates", quality_in_words(record["estimates"])),
            ("last decision", f"{last['outcome']} on {screens.moment(last['as_of'])}" if last else None),
            ("because", screens.brief(last["reason"], REASON) if last else None),
            ("all of it", f"retrim why {last['id']}" if last else None),
            ("held", "waits for a person: retrim retrain or settle --reason ..." if record["held"] else None),
            ("settled", answer_in_words(record["settled"])),
            ("running", ", ".join(run["id"] for run in record["running"]) or None),
            ("next", _next(record["next_run"])),
            ("overdue", f"a batch was due on {screens.moment(late['due'])}" if late else None),
        ]
    )
    rows = [(screens.moment(each["at"]), f"{each['kind']}: {each['text']}") for each in record["alerts"]]
    if rows:
        screens.show_table(("at", "what"), rows, title="Alerts", brief_last=True)


def _live(champion: dict[str, Any] | None) -> str:
    if champion is None:
        return "nothing yet"
    back = ", rolled back to" if champion["action"] == "rollback" else ""
    return f"version {champion['version']}{back} since {screens.moment(champion['since'])}"


def _next(following: dict[str, str] | None) -> str:
    if following is None:
        return "nothing is scheduled: retrim schedule"
    return f"{following['flow']} at {screens.moment(following['at'])}"


def show_decision(record: dict[str, Any]) -> None:
    """A decision: the evidence, the rules, the outcome, the verdict."""
    facts, run = record["record"], record["run"]
    reading = facts.get("reading")
    screens.show_facts(
        [
            ("decision", record["id"]),
            ("outcome", record["outcome"]),
            ("as of", screens.moment(record["as_of"])),
            ("reason", record["reason"]),
            ("live", facts.get("champion")),
            ("loss", loss_in_words(facts)),
            ("estimated", estimate_in_words(facts)),
            (
                "probe against it",
                f"champion {reading['champion_loss']:.4g}, probe {reading['probe_loss']:.4g} on {reading['rows']} rows"
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
            ("former champions", formers_in_words(facts.get("formers"))),
            ("probe", probe_in_words(facts)),
            ("cost so far", totals_in_words(facts.get("totals"))),
            ("mode", f"{facts['mode']['mode']}: {facts['mode']['reason']}" if facts.get("mode") else None),
            ("run", f"{run['state']}: {run['reason']}" if run else None),
            ("answered", answer_in_words(record["answered"])),
            ("by", facts.get("by")),
            ("answers", f"retrim why {facts['answers']}" if "answers" in facts else None),
            ("otherwise", facts.get("change") or None),
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
            (f["column"], f["test"], f"{f['effect']:.3g}", limit_in_words(f), "over" if f["over"] else "")
            for f in facts["findings"][:10]
        ]
        screens.show_table(("column", "test", "effect", "held against", ""), found, title="Drift, strongest first")
    if record["verdict"]:
        checks = [("passed" if c["passed"] else "failed", c["name"], c["text"]) for c in record["verdict"]["checks"]]
        screens.show_table(("", "check", "figures"), checks, title="Gate")


def show_check(done: dict[str, Any]) -> None:
    """A check that was just made, and the run it started."""
    checked, run = done["check"], done["run"]
    screens.OUT.print(f"{checked['outcome']}: {checked['reason']}", highlight=False, markup=False)
    if run is not None:
        screens.OUT.print(f"run {run['state']}: {run['reason']}", highlight=False, markup=False)
    screens.OUT.print(f"evidence: retrim why {checked['id']}", highlight=False)


def _run_record(run: Row) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "as_of": run.as_of,
        "mode": run.mode,
        "attempt": run.attempt,
        "version": run.version,
        "reason": run.detail.get("reason", ""),
    }


def _verdict(house: House, version: int) -> dict[str, Any] | None:
    row = house.store.version(house.model, version)
    return None if row is None else dict(row.verdict)
