"""The section `policy` of params.yaml: how a policy is tried on the history."""

from typing import Literal

from pydantic import Field

from retrim.core.section import Section


class PolicyParams(Section):
    """How policies are tried on the history that has landed."""

    windows: int = Field(ge=5, description="windows after the first part: each stands for a check")
    first: float = Field(gt=0, lt=1, description="share of the rows that the first model is made from")
    by: Literal["rows", "time"] = Field(description="windows of equal rows, or of equal time")
    prices: tuple[float, ...] = Field(description="the account is also tried at so many times account.price")
    deployment_delay: int = Field(ge=0, description="windows between a decision and its model being live")
    draws: int = Field(ge=100, description="bootstrap draws of the recommendation's interval")
    block: int = Field(ge=1, description="windows that belong together in the bootstrap")
    seed: int = Field(ge=0)
