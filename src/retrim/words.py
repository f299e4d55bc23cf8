"""Figures of a record in words: account, estimates, cost."""

from typing import Any


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
