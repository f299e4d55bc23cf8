"""Figures of a record in words, as the answers show them."""

from typing import Any

from retrim import screens

REASON = 150  # characters of a reason on the screen of the status: two lines of it


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
    count = found["scored"]
    return (
        f"{count} estimate{' was' if count == 1 else 's were'} off by {found['off']:.0%} of the loss on average, "
        f"taking it for unchanged by {found['naive_off']:.0%}"
    )


def totals_in_words(totals: dict[str, Any] | None) -> str | None:
    """What the model has cost up to a check, with its probes and without."""
    if totals is None or not totals["checks"]:
        return None
    count, checks = totals["retrainings"], totals["checks"]
    return (
        f"{totals['without_probes']:.4g} in {checks} check{'' if checks == 1 else 's'}: loss {totals['loss']:.4g}, "
        f"{count} retraining{'' if count == 1 else 's'} {totals['retrainings_cost']:.4g}; "
        f"{totals['with_probes']:.4g} with the probes, {totals['probes_cost']:.4g}"
    )


def back_in_words(record: dict[str, Any] | None) -> str | None:
    """That a rollback keeps anything from starting by itself; None where it does not."""
    if record is None or not record["holds"]:
        return None
    return (
        f"rolled back from version {record['left']}: nothing starts by itself until {record['needed']} rows have "
        f"matured since (at the last check {record['rows']} had), or a person says so"
    )


GUARDS = {
    "hold": "refusals that hold",
    "cooldown": "the cooldown",
    "circle": "the loop breaker",
    "budget": "the budget",
    "gate": "what the gate would have said",
    "manual": "manual",
}


def guards_in_words(found: dict[str, Any] | None) -> str | None:
    """How often each guard kept a rule from a run since the live version's release; None where none did."""
    if found is None or not (found["guards"] or found["refused"]):
        return None
    said = [f"{GUARDS[guard]} {count}" for guard, count in sorted(found["guards"].items())]
    if found["refused"]:
        said.append(f"the gate refused {found['refused']} run{'' if found['refused'] == 1 else 's'}")
    checks = found["checks"]
    return f"{', '.join(said)}, in {checks} check{'' if checks == 1 else 's'} since {screens.moment(found['since'])}"


def answer_in_words(answer: dict[str, Any] | None) -> str | None:
    """What a person said to what was held."""
    if answer is None:
        return None
    what = "settled" if answer["outcome"] == "settled" else "a run"
    return f"{what} by {answer['by']} on {screens.moment(answer['as_of'])}: {screens.brief(answer['reason'], REASON)}"


def limit_in_words(finding: dict[str, Any]) -> str:
    """What makes a finding over: how rarely a window without drift strays as far, or the threshold on its effect."""
    if finding.get("promise") is None or finding["p_value"] is None:
        return f"threshold {finding['threshold']:.3g}"
    seen = "" if finding["seen"] is None else f"; {finding['seen']:.2g} {finding['unit']} would be seen"
    return f"p {finding['p_value']:.2g} of all columns, {finding['promise']}{seen}"


def loss_in_words(facts: dict[str, Any]) -> str | None:
    """The champion's realised loss with its interval, and the band it is held against."""
    if facts.get("loss") is None:
        return None
    said = f"{facts['loss']:.4g} on {facts['window']['rows']} rows"
    if facts.get("interval"):
        low, high = facts["interval"]
        said += f", between {low:.4g} and {high:.4g} with 90 % confidence"
    band = facts.get("band")
    return said if band is None else f"{said}; {band['centre']:.4g} where it was judged"


def served_in_words(found: dict[str, Any] | None) -> str | None:
    """Which predictions the measured rows were measured by, and how far those are from what their versions say now."""
    if not found:
        return None
    said = [f"version {version} {rows}" for version, rows in found["by_version"].items()]
    text = f"{found['rows']} rows by the prediction that was served"
    text += f" ({', '.join(said)})" if said else ""
    if found["predicted_again"]:
        text += f", {found['predicted_again']} predicted now: none was stored before their label was due"
    if found["unreadable"]:
        text += f", of {found['unreadable']} the stored one is no number"
    return f"{text}; {_skew_in_words(found['skew'])}" if found["skew"] else text


def _skew_in_words(skew: dict[str, Any]) -> str:
    if not skew["largest"]:
        return "they are what their versions say now"
    worst = skew["worst"]
    return (
        f"up to {skew['largest']:.2g} of the mean prediction from what their versions say now "
        f"(row {worst['key']} of version {worst['version']}), {skew['over']} of {skew['rows']} beyond {skew['bound']:g}"
    )


def formers_in_words(found: dict[str, Any] | None) -> str | None:
    if not found:
        return None
    losses = ", ".join(f"version {version} {loss:.4g}" for version, loss in found["losses"].items())
    return f"{losses}; live {found['champion_loss']:.4g}, on {found['rows']} rows that none has seen"


def waits_in_words(found: list[dict[str, Any]]) -> str | None:
    """The versions that wait for a person, and what to type."""
    said = [
        f"version {each['version']} for a person, until {screens.moment(each['expires'])}: "
        f"retrim approve {each['version']} --reason ..., or reject"
        for each in found
    ]
    return "; ".join(said) or None


def quarantined_in_words(found: list[dict[str, Any]]) -> str | None:
    """What lies in quarantine, and what shows it."""
    if not found:
        return None
    count = "1 batch" if len(found) == 1 else f"{len(found)} batches"
    return f"{count}, the last on {screens.moment(found[-1]['arrived'])}: retrim quarantine list"


def stopped_in_words(found: list[dict[str, Any]]) -> str | None:
    """The runs that were killed, and what resumes them."""
    said = [f"{each['id']}: {each['why']} in attempt {each['attempt']} of {each['attempts']}" for each in found]
    return "; ".join(said) + "; `retrim check` resumes it" if said else None


def resumed_in_words(run: dict[str, Any]) -> str:
    """A run that was killed and has been resumed: which, and how it ended."""
    return f"resumed {run['id']}, as of {screens.moment(run['as_of'])}: {run['state']}: {run['reason']}"


def probation_in_words(found: dict[str, Any] | None) -> str | None:
    """How a champion's probation stands or ended."""
    if not found:
        return None
    ended = found["outcome"] if found["ended"] is None else f"{found['outcome']} on {screens.moment(found['ended'])}"
    return f"{ended}: {found['said']}"


def probe_in_words(facts: dict[str, Any]) -> str | None:
    cost = facts.get("probe")
    if cost is None:
        return _left_out_in_words(facts)
    return (
        f"cost {cost['cost']:.4g}, {cost['work'] / cost['retraining']:.1%} of a retraining"
        if cost["retraining"]
        else None
    )


def _left_out_in_words(facts: dict[str, Any]) -> str | None:
    """Why a check with new rows did not probe; None where it had none."""
    outlook = facts.get("outlook")
    if facts.get("champion") is None or not outlook or not outlook["checks"]:
        return None
    checks, most = outlook["checks"], facts["account"]["balance"] + outlook["more"]
    return (
        f"not asked: with the rows of {checks} check{'' if checks == 1 else 's'} that wait for it the account could "
        f"hold {most:.4g} at most, of {facts['price']:.4g}; they enter it with the next"
    )


def lacks_in_words(lacks: list[str]) -> str | None:
    """What it means that the live version reads columns that are gone."""
    if not lacks:
        return None
    return f"{', '.join(lacks)}: no column any more, predicted without where not known; the next version does without"


def refit_in_words(run: dict[str, Any] | None) -> str | None:
    """How the run ended that fitted a promoted recipe once more; None where there was none."""
    if not run:
        return None
    version = "" if run["version"] is None else f"version {run['version']} "
    return f"{version}{run['state']}: {run['reason']}"
