"""The section `fairness` of params.yaml."""

from itertools import pairwise
from typing import Literal

from pydantic import Field, field_validator

from retrim.core.section import Section

Mitigation = Literal["reweight", "thresholds"]
Equalised = Literal["selection_rate", "false_positive_rate", "false_negative_rate"]


class GroupParams(Section):
    """Groups that one column makes: its categories, or the spans between the cuts of a number."""

    column: str = Field(description="any column but target and times, also one with the role forbidden")
    cuts: tuple[float, ...] = Field(description="where a number is cut, ascending; empty for a category")
    least_rows: int = Field(ge=2, description="rows behind a figure of a group; with fewer it is named, not judged")

    @field_validator("cuts")
    @classmethod
    def _ascend(cls, cuts: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(cuts)):
            raise ValueError(f"{list(cuts)} do not ascend; write each cut once, the lowest first")
        return cuts


class AtMostParams(Section):
    """The largest difference between two groups that a measure may show; null: reported, never refused."""

    selection_rate: float | None = Field(ge=0, le=1, description="share of rows selected")
    false_positive_rate: float | None = Field(ge=0, le=1, description="share selected, of the negative rows")
    false_negative_rate: float | None = Field(ge=0, le=1, description="share not selected, of the positive rows")
    error_rate: float | None = Field(ge=0, le=1, description="share of rows whose class is wrong")
    mean_error: float | None = Field(ge=0, description="prediction minus outcome, in the target's unit")
    mean_absolute_error: float | None = Field(ge=0, description="its size, in the target's unit")


class ProxyParams(Section):
    """How well a forbidden column can be told from the features."""

    rows: int = Field(ge=100, description="training rows looked at, at most, spread evenly")
    cells: int = Field(ge=2, description="quantile cells of a number; most categories, the rarer taken together")
    rounds: int = Field(ge=1, description="boosting rounds of the model that guesses the column")
    leaves: int = Field(ge=2, description="leaves of its trees")
    turns: int = Field(ge=19, description="times the column is turned against the features: what chance would show")
    warn_at: float = Field(ge=0.5, lt=1, description="area under the curve from which a warning is given")
    refuse: bool = Field(description="whether such a warning is a refusal")
    seed: int = Field(ge=0)


class FairnessParams(Section):
    """Error rates by group, limits, mitigation, forbidden columns."""

    groups: tuple[GroupParams, ...] = Field(description="none: fairness is not looked at")
    at_most: AtMostParams
    confidence: float = Field(gt=0.5, lt=1, description="with which a difference must exceed its limit; of intervals")
    threshold: float = Field(gt=0, lt=1, description="probability from which a row of a binary task is selected")
    bins: int = Field(ge=2, description="bins of predictions in the calibration error, of equal rows")
    mitigate: Mitigation | None = Field(description="reweight, thresholds or null")
    equalise: Equalised = Field(description="what group-aware thresholds make alike")
    forbidden: tuple[str, ...] = Field(description="columns that no model may use; their proxies are reported")
    proxies: ProxyParams

    @property
    def reweights(self) -> bool:
        """Whether training rows are weighted."""
        return self.mitigate == "reweight"

    def limits(self) -> dict[str, float]:
        """The measures that may refuse, and what they allow."""
        at_most = self.at_most
        given = {
            "selection_rate": at_most.selection_rate,
            "false_positive_rate": at_most.false_positive_rate,
            "false_negative_rate": at_most.false_negative_rate,
            "error_rate": at_most.error_rate,
            "mean_error": at_most.mean_error,
            "mean_absolute_error": at_most.mean_absolute_error,
        }
        return {name: limit for name, limit in given.items() if limit is not None}
