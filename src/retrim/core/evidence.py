"""What a decision rests on, what a rule says of it, and the table the rules enter."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import Field, field_validator, model_validator

from retrim.core.account import Account
from retrim.core.band import Band, BandParams
from retrim.core.history import Deferral
from retrim.core.plan import Timetable
from retrim.core.plugins import Registry
from retrim.core.preview import Preview
from retrim.core.section import Section, Span
from retrim.core.timetable import next_due
from retrim.errors import UnknownNameError


class BudgetParams(Section):
    """How many retrainings may be started: a stop for a runaway, which a healthy loop never meets."""

    runs: int = Field(ge=1, description="retrainings, at most ...")
    checks: int = Field(ge=1, description="... in so many checks one after the other, this one counted")


class TriggerParams(Section):
    """Rules that may start a retraining, and what keeps them from it."""

    rules: tuple[str, ...] = Field(description="any one of them suffices; manual: a person decides on every alarm")
    drift_columns: tuple[str, ...] = Field(description="columns the drift rule looks at; empty: all, and the score")
    drift_checks: tuple[int, int] = Field(description="m of the last n checks must have a finding over its threshold")
    every: Timetable = Field(description="the schedule rule: a span since the last run, or a cron expression in UTC")
    band: BandParams
    cooldown_checks: int = Field(ge=0, description="checks after a run in which no rule but the account starts one")
    loop_checks: int = Field(ge=0, description="checks after a promotion in which the same alarm goes to a person")
    refusals_to_hold: int = Field(ge=1, description="refusals running after which only new evidence starts the next")
    budget: BudgetParams | None = Field(description="retrainings at most in so many checks; null: as many as fire")
    max_wait: Span | None = Field(
        description="span without a label after which estimate and schedule may fire; null: never"
    )

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

    @model_validator(mode="after")
    def _comes(self) -> "TriggerParams":
        next_due(self.every, pd.Timestamp("2000-01-01", tz="UTC"))
        return self


@dataclass(frozen=True)
class Evidence:
    """All that a decision rests on.

    Args:
        now: When it is taken.
        champion: The live version; None before the first.
        account: After this check's deposit.
        deposited: What this check put in: balance and variance, the balance possibly below zero; None if nothing.
        price: Of a retraining, in units of the loss.
        errors: Standard errors of itself that the account must exceed.
        ahead: Checks like the newest ones that are added before it is held to the price.
        pending: Usual checks that the rows count for whose labels are not due yet.
        preview: What the gate would say of the newest refits; None where that is not known.
        drifted: Columns over a threshold at each check that had rows to look at, oldest first.
        looked: Whether this check had, and so is the last of them.
        loss: The champion's mean loss on the rows that matured for this check; None if too few did.
        estimate: What its loss on rows without labels is estimated at; None if that cannot be said.
        band: What its loss does while nothing changes; None if that is not known.
        labels_until: When the newest label matured; None if none has.
        last_run: As-of date of the last run that was promoted or refused; None if none was.
        checks_since_run: Checks since then, this one counted; None if none was.
        promoted_by: Rules that started that run, if it was promoted.
        refusals: Runs refused one after the other, up to now.
        lowest: The least that the account has held since the last of them, its debit taken; None if that is not known.
        anew: Without a live version: rows that have matured since the last of them, and those that judged it; else
            None.
        deferral: The deferred run that waits to be tried again; None if none does.
        going_on: The run that is under way or is taken up again after a kill; None if there is none.
        waiting: The run whose version waits for a person's approval; None if there is none.
        held: Rules whose alarm waits for a person.
        spent: Of each run that was paid for, how many checks ago it was, oldest first; 1: at the check before.
        settled: Rules whose alarm a person has settled; it is answered for as long as it stays up.
        timetable_settled: When a person last settled the timetable's alarm; None if nobody has.
    """

    now: pd.Timestamp
    champion: int | None
    account: Account
    deposited: Account | None
    price: float
    errors: float
    ahead: float
    pending: float
    preview: Preview | None
    drifted: tuple[tuple[str, ...], ...]
    looked: bool
    loss: float | None
    estimate: float | None
    band: Band | None
    labels_until: pd.Timestamp | None
    last_run: pd.Timestamp | None
    checks_since_run: int | None
    promoted_by: tuple[str, ...]
    refusals: int
    deferral: Deferral | None
    going_on: str | None
    waiting: str | None
    held: tuple[str, ...]
    spent: tuple[int, ...]
    settled: tuple[str, ...] = ()
    timetable_settled: pd.Timestamp | None = None
    lowest: float | None = None
    anew: tuple[int, int] | None = None


@dataclass(frozen=True)
class Said:
    """What one rule said.

    Args:
        rule: Its name.
        fires: Whether it asks for a retraining.
        text: The figures it looked at.
        change: What would have changed its answer.
        stopped: Whether it would have fired, and the gate's preview kept it from that.
    """

    rule: str
    fires: bool
    text: str
    change: str
    stopped: bool = False

    def as_record(self) -> dict[str, Any]:
        return {"rule": self.rule, "fires": self.fires, "text": self.text, "change": self.change}


Rule = Callable[[Evidence, TriggerParams], Said]

# A rule is registered with two facts: `starts`, whether it can ask for a retraining at all; `repeats`, whether its
# alarm can be up again right after a promotion although nothing new happened.
RULES: Registry[Rule] = Registry("trigger rule")
