"""Is it worth retraining? The account, the rules, and the decision with its reasons."""

from typing import Literal

from pydantic import Field

from retrim.core.section import Section


class ProbeParams(Section):
    """The cheap refit that asks whether retraining would pay."""

    blocks: int = Field(ge=1, description="blocks of the newest window, each judged by a fit on what matured before it")
    min_rows: int = Field(ge=2, description="mature rows a check needs before it says anything")


class AccountParams(Section):
    """What retraining would have saved so far, against what it costs."""

    price: float = Field(gt=0, description="the gain in mean loss that pays for one retraining in one check")
    price_unit: Literal["loss", "first_loss"] = Field(description="units of the loss, or of version 1's judging loss")
    usual_rows: int = Field(ge=1, description="rows of a usual check")
    errors: float = Field(ge=0, description="standard errors of itself that the account must also exceed")


class TriggerParams(Section):
    """Rules that may start a retraining."""

    rules: tuple[str, ...] = Field(description="any one of them suffices")
    drift_columns: tuple[str, ...] = Field(description="columns the drift rule looks at; empty: all, and the score")
    drift_checks: tuple[int, int] = Field(description="m of the last n checks must have a finding over its threshold")
    cooldown_checks: int = Field(ge=0, description="checks after a retraining or refusal without another")
    refusals_to_hold: int = Field(ge=1, description="refusals running after which a person has to release the next")
