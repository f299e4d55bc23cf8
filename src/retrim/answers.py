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
from retrim.ops.standing import waiting_rules

REASON = 150  # characters of a reason on the screen of the status: two lines of it


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
        "held": (last is not None and last.outcome == "held") or bool(waiting_rules(house, checks)),
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
            ("held", "waits for a person: retrim retrain --reason ..." if record["held"] else None),
            ("running", ", ".join(run["id"] for run in record["running"]) or None),
            ("next", _next(record["next_run"])),
            ("overdue", f"a batch was due on {screens.moment(late['due'])}" if late else None),
        ]
    )
    rows = [(screens.moment(each["at"]), f"{each['kind']}: {each['text']}") for each in record["alerts"]]
    if rows:
        screens.show_table(("at", "what"), rows, title="Alerts", brief_last=True)


def account_in_words(balance: float, price: float, money: dict[str, Any] | None) -> str:
    """The account against the price, in the loss, and in money where that is said."""
    said = f"{balance:.4g} of {price:.4g}"
    if money is None:
        return said
    return f"{said} ({balance * money['per_unit']:.2f} of {money['cost']:.2f} {money['currency']})"


def estimate_in_words(facts: dict[str, Any]) -> str | None:
    """The loss estimated without labels, and how good such estimates were up to then."""
    said = facts.get("estimate")
    if not said:
        return quality_in_words(facts.get("estimates"))
    text = f"{said['loss']:.4g} on {said['rows']} rows by the {said['by']}, without their labels"
    good = quality_in_words(facts.get("estimates"))
    return text if good is None else f"{text}; {good}"


def quality_in_words(found: dict[str, float] | None) -> str | None:
    """How far off the estimates were that labels have come for."""
    if found is None:
        return None
    return (
        f"{found['scored']} estimates were off by {found['off']:.0%} of the loss on average, "
        f"taking it for unchanged by {found['naive_off']:.0%}"
    )


def totals_in_words(totals: dict[str, Any] | None) -> str | None:
    """What the model has cost up to a check, with its probes and without."""
    if totals is None or not totals["checks"]:
        return None
    count = totals["retrainings"]
    return (
        f"{totals['without_probes']:.4g} in {totals['checks']} checks: loss {totals['loss']:.4g}, "
        f"{count} retraining{'' if count == 1 else 's'} {totals['retrainings_cost']:.4g}; "
        f"{totals['with_probes']:.4g} with the probes, {totals['probes_cost']:.4g}"
    )


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
            ("loss", _loss_in_words(facts)),
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
            ("former champions", _formers_in_words(facts.get("formers"))),
            ("probe", _probe_in_words(facts)),
            ("cost so far", totals_in_words(facts.get("totals"))),
            ("mode", f"{facts['mode']['mode']}: {facts['mode']['reason']}" if facts.get("mode") else None),
            ("run", f"{run['state']}: {run['reason']}" if run else None),
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
            (f["column"], f["test"], f"{f['effect']:.3g}", _limit_in_words(f), "over" if f["over"] else "")
            for f in facts["findings"][:10]
        ]
        screens.show_table(("column", "test", "effect", "held against", ""), found, title="Drift, strongest first")
    if record["verdict"]:
        checks = [("passed" if c["passed"] else "failed", c["name"], c["text"]) for c in record["verdict"]["checks"]]
        screens.show_table(("", "check", "figures"), checks, title="Gate")


def _limit_in_words(finding: dict[str, Any]) -> str:
    """What makes a finding over: how rarely a window without drift strays as far, or the threshold on its effect."""
    if finding.get("promise") is None or finding["p_value"] is None:
        return f"threshold {finding['threshold']:.3g}"
    seen = "" if finding["seen"] is None else f"; {finding['seen']:.2g} {finding['unit']} would be seen"
    return f"p {finding['p_value']:.2g} of all columns, {finding['promise']}{seen}"


def _loss_in_words(facts: dict[str, Any]) -> str | None:
    """The champion's realised loss with its interval, and the band it is held against."""
    if facts.get("loss") is None:
        return None
    said = f"{facts['loss']:.4g} on {facts['window']['rows']} rows"
    if facts.get("interval"):
        low, high = facts["interval"]
        said += f", between {low:.4g} and {high:.4g} with 90 % confidence"
    band = facts.get("band")
    return said if band is None else f"{said}; {band['centre']:.4g} where it was judged"


def _formers_in_words(found: dict[str, Any] | None) -> str | None:
    if not found:
        return None
    losses = ", ".join(f"version {version} {loss:.4g}" for version, loss in found["losses"].items())
    return f"{losses}; live {found['champion_loss']:.4g}, on {found['rows']} rows that none has seen"


def _probe_in_words(facts: dict[str, Any]) -> str | None:
    cost = facts.get("probe")
    if cost is None:
        return None
    return (
        f"cost {cost['cost']:.4g}, {cost['work'] / cost['retraining']:.1%} of a retraining"
        if cost["retraining"]
        else None
    )


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
