"""The decision: rules look at the evidence, and the first that holds decides. Every answer has its reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
from pydantic import Field, field_validator

from retrim.core.account import Account
from retrim.core.plugins import Registry
from retrim.core.section import Section
from retrim.errors import UnknownNameError


class TriggerParams(Section):
    """Rules that may start a retraining."""

    rules: tuple[str, ...] = Field(description="any one of them suffices")
    drift_columns: tuple[str, ...] = Field(description="columns the drift rule looks at; empty: all, and the score")
    drift_checks: tuple[int, int] = Field(description="m of the last n checks must have a finding over its threshold")
    cooldown_checks: int = Field(ge=0, description="checks after a retraining or refusal without another")
    refusals_to_hold: int = Field(ge=1, description="refusals running after which a person has to release the next")

    @field_validator("rules")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            try:
                RULES.entry(name)
            except UnknownNameError as wrong:
                raise ValueError(str(wrong)) from wrong
        return names

    @field_validator("drift_checks")
    @classmethod
    def _m_of_n(cls, checks: tuple[int, int]) -> tuple[int, int]:
        if not 1 <= checks[0] <= checks[1]:
            raise ValueError(f"{list(checks)} is no [m, n] with 1 <= m <= n")
        return checks


@dataclass(frozen=True)
class Evidence:
    """All that a decision rests on.

    Args:
        now: When it is taken.
        champion: The live version; None before the first.
        account: After this check's deposit.
        price: Of a retraining, in units of the loss.
        errors: Standard errors of itself that the account must exceed.
        drifted: Columns over a threshold at each check that had rows to look at, oldest first.
        looked: Whether this check had, and so is the last of them.
        checks_since_run: Checks since the last run that was promoted or refused, this one counted; None if none was.
        refusals: Runs refused one after the other, up to now.
        deferred_until: When a deferred run is to be tried again; None if none waits.
        going_on: The run that is under way or is taken up again after a kill; None if there is none.
    """

    now: pd.Timestamp
    champion: int | None
    account: Account
    price: float
    errors: float
    drifted: tuple[tuple[str, ...], ...]
    looked: bool
    checks_since_run: int | None
    refusals: int
    deferred_until: pd.Timestamp | None
    going_on: str | None


@dataclass(frozen=True)
class Said:
    """What one rule said."""

    rule: str
    fires: bool
    text: str

    def as_record(self) -> dict[str, Any]:
        return {"rule": self.rule, "fires": self.fires, "text": self.text}


@dataclass(frozen=True)
class Decision:
    """The answer: `none`, `retrain`, or `held` for a person; why; and what every rule said."""

    outcome: Literal["none", "retrain", "held"]
    reason: str
    said: tuple[Said, ...]


Rule = Callable[[Evidence, TriggerParams], Said]
RULES: Registry[Rule] = Registry("trigger rule")


@RULES.register("account")
def account_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when the account pays for a retraining and stands clear of its own noise."""
    account, price = evidence.account, evidence.price
    fires = account.pays(price, errors=evidence.errors)
    text = (
        f"account {account.balance:.4g} against price {price:.4g} "
        f"and {evidence.errors:g} standard errors ({evidence.errors * account.error:.4g})"
    )
    return Said("account", fires, text)


@RULES.register("drift")
def drift_rule(evidence: Evidence, params: TriggerParams) -> Said:
    """Fires when m of the last n checks that had rows to look at found drift in the columns it looks at."""
    m, n = params.drift_checks
    if not evidence.looked:
        return Said("drift", False, "too few new rows to look at")  # old findings start nothing a second time
    seen = [
        [column for column in columns if not params.drift_columns or column in params.drift_columns]
        for columns in evidence.drifted[-n:]
    ]
    count = sum(bool(columns) for columns in seen)
    named = ", ".join(sorted({column for columns in seen for column in columns})) or "no column"
    return Said("drift", count >= m, f"drift in {count} of the last {len(seen)} checks, {m} of {n} needed: {named}")


def decide(evidence: Evidence, params: TriggerParams) -> Decision:
    """The decision, and what every rule said; all are asked, also when none could act."""
    said = tuple(RULES[name](evidence, params) for name in params.rules)
    firing = [each.text for each in said if each.fires]
    quiet = "; ".join(each.text for each in said) or "no rule is set"
    held_back = evidence.refusals >= params.refusals_to_hold
    hold = f"{evidence.refusals} refusals running; a person has to release the next run: `retrim retrain --reason ...`"
    if evidence.going_on is not None:
        return Decision("none", f"{evidence.going_on} is going on; what comes of it is judged first", said)
    if evidence.deferred_until is not None:
        if evidence.now < evidence.deferred_until:
            return Decision(
                "none", f"a deferred run waits for labels until {evidence.deferred_until.isoformat()}", said
            )
        return Decision("retrain", f"labels awaited until {evidence.deferred_until.isoformat()} are due now", said)
    if evidence.champion is None:
        if held_back:
            return Decision("held", hold, said)
        return Decision("retrain", "no version is live: the first is made", said)
    if not firing:
        return Decision("none", quiet, said)
    if held_back:
        return Decision("held", f"{'; '.join(firing)}; but {hold}", said)
    if evidence.checks_since_run is not None and evidence.checks_since_run <= params.cooldown_checks:
        cooling = f"cooldown, check {evidence.checks_since_run} of {params.cooldown_checks} after the last run"
        return Decision("none", f"{cooling} ({'; '.join(firing)})", said)
    return Decision("retrain", "; ".join(firing), said)
