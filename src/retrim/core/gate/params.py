"""The section `gate` of params.yaml."""

from pydantic import Field

from retrim.core.section import Section, SomeSpan


class GateSliceParams(Section):
    """Parts of the judging block in which a challenger must not be much worse."""

    columns: tuple[str, ...] = Field(description="columns that are always looked at, features or not")
    found: bool = Field(description="whether the cells of every feature are looked at too")
    worst: float | None = Field(ge=0, description="share that may be lost to the champion in any; null: reported only")
    confidence: float = Field(gt=0.5, lt=1, description="that a slice is worse than that, over all slices together")


class HarmParams(Section):
    """How surely a challenger is not worse."""

    most: float = Field(ge=0, lt=1, description="share that it may lose to the champion")
    confidence: float = Field(gt=0.5, lt=1, description="that it loses no more, one-sided")


class CalibrationParams(Section):
    """What predictions say of their own error."""

    bins: int = Field(ge=2, description="of equally many predictions, for the expected calibration error")
    worse: float | None = Field(ge=0, le=1, description="error above the champion's, at most; null: reported only")
    most: float | None = Field(ge=0, le=1, description="error of the challenger, at most; null: reported only")
    confidence: float = Field(gt=0.5, lt=1, description="that a limit is exceeded, one-sided")


class GateParams(Section):
    """What a challenger must show."""

    min_rows: int = Field(ge=2, description="judging rows, at least")
    min_gain: float = Field(ge=0, lt=1, description="relative gain over the champion, at least")
    confidence: float = Field(gt=0.5, lt=1, description="one-sided confidence that the gain is above zero")
    harm: HarmParams | None = Field(description="what is asked beyond chance on few or noisy rows; null: nothing")
    half_life: SomeSpan | None = Field(description="age at which a row weighs half in gain and floor; null: all alike")
    reuse: float = Field(ge=0, description="power with which rows that have judged before grow stricter; 0: never")
    folds: int = Field(ge=1, description="equal spans of the judging block")
    worst_fold: float | None = Field(ge=0, description="share that may be lost in any of them; null: reported only")
    slices: GateSliceParams
    calibration: CalibrationParams
    churn: float | None = Field(ge=0, description="change of predictions, refused when surely more; null: reported")
    floor: tuple[str, ...] = Field(min_length=1, description="naive baselines a model must beat")
    season: SomeSpan = Field(description="one season of the seasonal mean")
    season_cells: int = Field(ge=1, description="parts a season is cut into")
    seed: int = Field(ge=0, description="of the bootstrap")
